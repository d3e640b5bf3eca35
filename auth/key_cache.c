/*
 * A set-associative table. Names come from strangers: so the hashes are keyed, nothing is allocated
 * for them, and an answer that there is no key never takes the place of a key. Where a set is full
 * of keys, such an answer goes into one entry of its own that belongs to no set; there it lasts
 * until the next one, which is long enough for the requests that have waited for it.
 *
 * What always holds: a question looks at every entry that its answer may lie in, and at the hashes
 * of nothing less. Called by auth_worker.c (answers) and auth_sources.c (questions).
 */
#include "auth/key_cache.h"

#include "base/crypto.h"
#include <stdlib.h>

#define SETS (KEY_CACHE_ENTRIES / KEY_CACHE_WAYS)

struct key_cache {
    uint8_t key[2][16];
    struct key_cache_entry entry[KEY_CACHE_ENTRIES];
    struct key_cache_entry overflow;
};

struct tags {
    uint64_t tag[2];
};

static struct tags tags_of(const struct key_cache *c, const struct store_need *need)
{
    uint8_t text[1 + 4 + STORE_NAME_MAX];
    const size_t len = need->name.len < STORE_NAME_MAX ? need->name.len : STORE_NAME_MAX;
    text[0] = (uint8_t)need->kind;
    for (int i = 0; i < 4; i++)
        text[1 + i] = (uint8_t)(need->realm >> (8 * i));
    if (len > 0)
        memcpy(text + 5, need->name.data, len);
    struct tags t;
    for (int i = 0; i < 2; i++)
        t.tag[i] = crypto_siphash(c->key[i], text, 5 + len);
    return t;
}

static size_t set_of(const struct tags *t)
{
    return (size_t)(t->tag[0] % SETS) * KEY_CACHE_WAYS;
}

struct key_cache *key_cache_new(const uint8_t key[32])
{
    struct key_cache *c = calloc(1, sizeof(*c));
    if (c)
        memcpy(c->key, key, sizeof(c->key));
    return c;
}

void key_cache_clear(struct key_cache *c)
{
    secret_cleanse(c->entry, sizeof(c->entry));
    secret_cleanse(&c->overflow, sizeof(c->overflow));
}

void key_cache_free(struct key_cache *c)
{
    if (!c)
        return;
    secret_cleanse(c, sizeof(*c));
    free(c);
}

static bool is_of(const struct key_cache_entry *e, const struct tags *t)
{
    return e->stale_until_us != 0 && e->tag[0] == t->tag[0] && e->tag[1] == t->tag[1];
}

/* What goes first: nothing, then what has had its time, then what says no, then keys; the oldest of
 * each. */
static uint64_t worth(const struct key_cache_entry *e, uint64_t now_us)
{
    const uint64_t rank = e->stale_until_us < now_us ? 0 : e->known ? 2 : 1;
    return rank << 62 | e->stale_until_us >> 2;
}

/* The entry of these tags, if any, else the one that a new answer may take. */
static struct key_cache_entry *place_of(
    struct key_cache *c, const struct tags *t, bool known, uint64_t now_us)
{
    struct key_cache_entry *set = &c->entry[set_of(t)], *least = set;
    for (size_t i = 0; i < KEY_CACHE_WAYS; i++) {
        if (is_of(&set[i], t))
            return &set[i];
        if (worth(&set[i], now_us) < worth(least, now_us))
            least = &set[i];
    }
    return !known && least->known && least->stale_until_us >= now_us ? &c->overflow : least;
}

static void go_on(
    struct key_cache_entry *e, const struct tags *t, const struct key_cache_times *times)
{
    if (!is_of(e, t) || e->fresh_until_us >= times->fresh_until_us)
        return;
    e->fresh_until_us =
        times->fresh_until_us < e->stale_until_us ? times->fresh_until_us : e->stale_until_us;
}

static void fill(struct key_cache_entry *e, const struct store_answer *answer)
{
    e->known = answer->verdict == STORE_FOUND;
    if (!e->known)
        return;
    if (answer->question.kind == STORE_OAUTH_KEY) {
        e->oauth = answer->u.oauth;
        return;
    }
    const struct auth_key *user = &answer->u.user;
    e->oauth.key_len = user->len < sizeof(e->oauth.key) ? user->len : sizeof(e->oauth.key);
    memcpy(e->oauth.key, user->bytes, e->oauth.key_len);
}

void key_cache_put(
    struct key_cache *c, const struct store_answer *answer, const struct key_cache_times *times)
{
    const struct store_need need = {(enum store_kind)answer->question.kind, answer->question.realm,
        slice_of(answer->question.name, answer->question.name_len)};
    const struct tags t = tags_of(c, &need);
    if (answer->verdict == STORE_UNREACHABLE) {
        for (size_t i = 0; i < KEY_CACHE_WAYS; i++)
            go_on(&c->entry[set_of(&t) + i], &t, times);
        go_on(&c->overflow, &t, times);
        return;
    }
    struct key_cache_entry *e = place_of(c, &t, answer->verdict == STORE_FOUND, times->now_us);
    if (e != &c->overflow && is_of(&c->overflow, &t))
        secret_cleanse(&c->overflow, sizeof(c->overflow));
    secret_cleanse(e, sizeof(*e));
    *e = (struct key_cache_entry){.tag = {t.tag[0], t.tag[1]},
        .fresh_until_us = times->fresh_until_us,
        .stale_until_us = times->stale_until_us,
        .refuses_until_us = times->refuses_until_us};
    fill(e, answer);
}

/* All ones if the condition holds, else zero. */
static uint64_t all_if(bool condition)
{
    return (uint64_t)0 - condition;
}

struct key_cache_match key_cache_find(
    const struct key_cache *c, const struct store_need *need, uint64_t now_us)
{
    const struct tags t = tags_of(c, need);
    const struct key_cache_entry *set = &c->entry[set_of(&t)];
    uint64_t at = 0, hits = 0;
    for (size_t i = 0; i <= KEY_CACHE_WAYS; i++) {
        const struct key_cache_entry *e = i < KEY_CACHE_WAYS ? &set[i] : &c->overflow;
        const uint64_t same = (e->tag[0] ^ t.tag[0]) | (e->tag[1] ^ t.tag[1]);
        const uint64_t hit = all_if(same == 0) & all_if(e->stale_until_us >= now_us);
        at = (i & hit) | (at & ~hit);
        hits |= hit;
    }
    const struct key_cache_entry *const from[2] = {&set[at % KEY_CACHE_WAYS], &c->overflow};
    const struct key_cache_entry *e = from[at == KEY_CACHE_WAYS];
    return (struct key_cache_match){.entry = e,
        .fresh = (hits & all_if(e->fresh_until_us >= now_us)) != 0,
        .stale = hits != 0,
        .refuses = (hits & all_if(e->refuses_until_us >= now_us)) != 0};
}
