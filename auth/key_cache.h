/*
 * What the store has answered, for a while: keys, and that there is none. One worker's, of a fixed
 * size; a name is kept only as two keyed hashes of it. Everything that leaves is wiped. For this
 * folder only.
 */
#ifndef AUTH_KEY_CACHE_H
#define AUTH_KEY_CACHE_H

#include "auth/store.h"

#define KEY_CACHE_ENTRIES 16384
#define KEY_CACHE_WAYS    4 /* entries that a question may lie in */

struct key_cache;

struct key_cache_entry {
    uint64_t tag[2];
    uint64_t fresh_until_us;   /* monotonic */
    uint64_t stale_until_us;   /* … and where the store does not answer; 0: an empty entry */
    uint64_t refuses_until_us; /* until then it says no: see key_cache_match */
    bool known;                /* false: there is no such key */
    /* The key; of a user only `key` and `key_len` */
    struct store_oauth_key oauth;
};

struct key_cache_match {
    /* Never NULL: any entry where nothing matches, so that the same can be done with it and takes
     * as long. Until the next call that changes the cache. */
    const struct key_cache_entry *entry;
    bool fresh;
    bool stale; /* still of use where the store does not answer; true of a fresh one as well */
    /* Who does not have this key, or has no key, may be refused for it. As long for a key as for
     * there being none: what lasts longer could be told by the question that it spares. */
    bool refuses;
};

/* `key`: 32 random bytes. NULL: out of memory. */
struct key_cache *key_cache_new(const uint8_t key[32]);
void key_cache_free(struct key_cache *c); /* NULL: nothing happens */
void key_cache_clear(struct key_cache *c);

struct key_cache_times {
    uint64_t now_us, fresh_until_us, stale_until_us, refuses_until_us;
};
/*
 * Keeps an answer. Where its place is taken, what has had its time goes first, then what says that
 * there is no key, then the oldest key. STORE_UNREACHABLE keeps nothing: what was there goes on as
 * fresh until fresh_until_us, but not beyond the end that it was given, and refuses nobody longer.
 */
void key_cache_put(
    struct key_cache *c, const struct store_answer *answer, const struct key_cache_times *times);

/* The same steps whatever is there (THREATS row 8). */
struct key_cache_match key_cache_find(
    const struct key_cache *c, const struct store_need *need, uint64_t now_us);

#endif
