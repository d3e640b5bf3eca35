/*
 * Rate buckets shared by all workers: fixed size, 4-way, atomics, no lock. An entry is {tag, tat,
 * unreported, deny until}; a key's tag is the SipHash of the key. Only entries are evicted that are
 * drained, and have nothing to report and no deny, so that a flood of keys never empties another
 * key's bucket. A key that finds no place shares a bucket with others like it of its scope: with
 * those of its address, of the next wider prefix, or, where these find no place either, with those
 * whose /24 or /32 (without a prefix: whose key) hashes alike.
 *
 * A limit is this process's alone (rate_table_admit), or the fleet's (rate_table_admit_shared):
 * then an instance admits while fewer than u = 1 + ceil(rate * 20 ms) admissions are unreported and
 * no deny is in force; control reports them (ratelimit/rate_reports.h) and hears how long to deny.
 * With u of them unreported the verdict is "not yet": the next answer, or silence, decides.
 * Where no answer has come for 50 ms, this instance's share of the bucket decides, which runs all
 * the time, so that flapping mints nothing. No Redis: the share is the whole. The bounds stand in
 * docs/limits.md and are proven by tests/scenario/test_shared_limits.c.
 */
#ifndef RATELIMIT_RATE_TABLE_H
#define RATELIMIT_RATE_TABLE_H

#include "base/addr.h"
#include "base/clock.h"
#include "base/slice.h"
#include "ratelimit/gcra.h"

enum rate_scope {
    RATE_ANSWER_BINDING = 1,
    RATE_ANSWER_OTHER = 2,
    RATE_HANDSHAKE = 3,
    RATE_GUESS_SOURCE = 4,
    RATE_GUESS_PREFIX = 5,
    RATE_GUESS_USER = 6,
    RATE_ALLOCATION_ADDRESS = 7,
    RATE_ALLOCATION_PREFIX = 8,
    RATE_ALLOCATION_NETWORK = 9,
    RATE_ALLOCATION_USER = 10,
    RATE_ALLOCATION_REALM = 11,
    RATE_ALLOCATION_INSTANCE = 12,
    RATE_GUESS_NETWORK = 13
};
/* Where Redis has lost what it knew, or is new, an empty bucket of guesses would leave the first
 * who mistypes a password without an answer for seconds, and a full one lets a guesser begin again
 * once. */
static inline bool rate_scope_begins_full(enum rate_scope scope)
{
    return scope == RATE_GUESS_SOURCE || scope == RATE_GUESS_PREFIX ||
           scope == RATE_GUESS_NETWORK || scope == RATE_GUESS_USER;
}

#define RATE_SCOPES 14 /* one more than the last */

#define RATE_REPORT_WINDOW_US (20 * US_PER_MS) /* of u above */
#define RATE_REPORT_WITHIN_US (10 * US_PER_MS) /* of what is in no hurry */
#define RATE_SILENCE_US       (50 * US_PER_MS)

struct rate_table;

/* What a bucket belongs to: a prefix, an id, or both together. */
struct rate_key {
    enum rate_scope scope;
    struct addr prefix; /* masked; ADDR_NONE: any address */
    unsigned bits;      /* of the prefix; 0 without one */
    uint64_t id;        /* a hash of whatever else names it; 0: nothing else does */
    uint64_t name; /* rate_table_name of the above, for who asks more than once; 0: not made yet */
    uint8_t realm; /* whose limit it is, by realm id; not part of the name */
};

struct rate_ask {
    uint64_t now_us;
    bool deny_alone; /* no decision without Redis: while it is silent, the answer is RATE_ALONE */
};

enum rate_verdict {
    RATE_ADMITTED,
    RATE_OVER,  /* the limit is reached */
    RATE_ALONE, /* Redis does not answer, and the caller wants no decision without it */
    RATE_WAIT,  /* not to be said before Redis has answered, or been silent */
};

/* A key's own entry; all zero where it has none. */
struct rate_state {
    bool known;
    uint64_t tat_us;           /* from now until this instance's share is as full as at rest */
    uint32_t unreported, owed; /* admitted and not acknowledged; admitted while Redis was silent */
    uint64_t deny_us;          /* for so long from now; 0: no deny */
    bool silent;               /* the oldest report has waited for RATE_SILENCE_US */
};

/* `entries` is rounded up to a power of two ≥ 1024. `key`: 16 random bytes. NULL: out of memory. */
struct rate_table *rate_table_new(size_t entries, const uint8_t key[16]);
void rate_table_free(struct rate_table *t);

/* Admits one for this key and takes it from its bucket, or not. Any thread. */
bool rate_table_admit(
    struct rate_table *t, const struct rate_key *key, const struct gcra *g, uint64_t now_us);
/* Would one be admitted? Takes nothing, and makes no entry. Any thread. */
bool rate_table_peek(
    struct rate_table *t, const struct rate_key *key, const struct gcra *g, uint64_t now_us);

/*
 * From now on limits of the fleet are reported, under names made with this key, which all its
 * instances have. Before others use the table. Not called: shared limits are this process's own.
 */
void rate_table_share(struct rate_table *t, const uint8_t name_key[16]);
bool rate_table_is_shared(const struct rate_table *t);
/* So many instances share what there is while Redis is silent: at least 1, which it is at first.
 * Control thread, at any time. */
void rate_table_set_fleet(struct rate_table *t, uint32_t instances);
uint32_t rate_table_fleet(const struct rate_table *t);
/* Since control last looked, a key has come half way to what it may have unreported: it is to be
 * reported after RATE_REPORT_EVERY_US, not RATE_REPORT_WITHIN_US. Control thread. */
bool rate_table_hurries(const struct rate_table *t);
/* The link to Redis is down, or up again: who wants no decision without it is refused at once.
 * Control thread. */
void rate_table_set_reachable(struct rate_table *t, bool reachable);

/*
 * A limit of the fleet. Any thread. *report is set, and never cleared,
 * when control has to be woken: there is something to report and nobody has said so.
 */
enum rate_verdict rate_table_admit_shared(struct rate_table *t, const struct rate_key *key,
    const struct rate *limit, const struct rate_ask *ask, bool *report);
/* What would be said. Takes nothing, and makes no entry. */
enum rate_verdict rate_table_peek_shared(struct rate_table *t, const struct rate_key *key,
    const struct rate *limit, const struct rate_ask *ask);
void rate_table_inspect(
    struct rate_table *t, const struct rate_key *key, uint64_t now_us, struct rate_state *out);

/* A name for rate_key.id that is the same on every instance: of an account of a realm by its name,
 * or, the account empty, of the realm. Never 0. */
uint64_t rate_table_id(const struct rate_table *t, struct slice realm, struct slice account);
/* The name of a key as Redis has it. */
uint64_t rate_table_name(const struct rate_table *t, const struct rate_key *key);

/* The rate of a scope and realm has become another one. */
struct rate_change {
    enum rate_scope scope;
    uint8_t realm;
    struct rate before, after;
};
/*
 * After a reload: what is taken from the buckets of these scopes and realms stays taken, as so many
 * admissions, under another rate. Each scope and realm at most once among the changes. One pass
 * over the table, however many there are; none where no rate is another one. Control thread; others
 * may use the table meanwhile.
 */
void rate_table_rescale(
    struct rate_table *t, const struct rate_change *changes, size_t count, uint64_t now_us);

#endif
