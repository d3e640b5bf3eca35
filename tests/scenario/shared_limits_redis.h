/*
 * A Redis in memory for scripts of limits: runs their text in Lua 5.1 as Redis does, on a clock
 * that the test sets, with keys that expire. It knows the commands that the scripts of buckets use
 * and fails the test at any other, at a key that was not announced in KEYS, and at keys of one call
 * with different hash tags.
 */
#ifndef TESTS_SCENARIO_SHARED_LIMITS_REDIS_H
#define TESTS_SCENARIO_SHARED_LIMITS_REDIS_H

#include "base/slice.h"
#include "fleet/redis_reply.h"

#define FAKE_KEYS 64 /* that a server holds at once */
#define FAKE_TEXT 96 /* bytes of a key, or of a value */

struct fake_entry {
    char key[FAKE_TEXT], value[FAKE_TEXT];
    size_t key_len, value_len;
    int64_t until_ms; /* INT64_MAX: does not expire */
};

/* What a server holds: copied whole for a snapshot or a replica. */
struct fake_data {
    size_t count;
    struct fake_entry entries[FAKE_KEYS];
};

struct fake_redis;

struct fake_redis *fake_redis_new(void);
void fake_redis_free(struct fake_redis *r);
struct fake_data *fake_redis_data(struct fake_redis *r);

/* As EVALSHA: keys, then arguments. The text of a script is compiled once for an address. */
struct fake_call {
    const char *script;
    uint32_t key_count;
    const struct slice *argv;
    size_t argc; /* keys included */
};
/*
 * The reply is valid until the next call; an error of the script is a reply of kind
 * REDIS_KIND_ERROR. `us`: the server's clock, since 1970.
 */
const struct redis_reply *fake_redis_evaluate(
    struct fake_redis *r, const struct fake_call *call, uint64_t us);
/* Calls so far. */
uint64_t fake_redis_calls(const struct fake_redis *r);

#endif
