/*
 * Rate buckets of all workers: which entry is a key's, and what is shared by keys that have none.
 * What holds of entries stands in rate_entry.c, how control reports them in rate_reports.c.
 *
 * A key's tag is its name in Redis too, so that all instances make it alike: a SipHash under the
 * key that they have in common. Which set it lives in is this process's secret: nobody can choose
 * keys that meet there. Called from any thread.
 */
#include "ratelimit/rate_control.h"
#include "ratelimit/rate_dirty.h"
#include "ratelimit/rate_shared.h"
#include "ratelimit/rate_table.h"

#include "base/crypto.h"
#include <stdlib.h>

#define ENTRIES_MIN 1024
#define ENTRIES_MAX (1u << 30) /* what the ring can name */

struct rate_table {
    struct rate_set *sets;
    /* RATE_SCOPES × sets, one tat each: for keys that have neither an entry nor a parent with one
     */
    _Atomic uint64_t *overflow;
    size_t mask;
    unsigned shift;                /* of 64 bits to as many as the mask has */
    uint8_t key[16], name_key[16]; /* the same until the table is shared */
    bool shared;
    _Atomic bool unreachable, alone;
    _Atomic uint32_t instances;
    struct rate_dirty dirty;
};

struct rate_table *rate_table_new(size_t entries, const uint8_t key[16])
{
    size_t sets = ENTRIES_MIN / RATE_WAYS;
    while (sets * RATE_WAYS < entries && sets * RATE_WAYS < ENTRIES_MAX)
        sets *= 2;
    struct rate_table *t = aligned_alloc(64, sizeof(*t));
    if (!t)
        return NULL;
    *t = (struct rate_table){
        .mask = sets - 1, .shift = (unsigned)__builtin_clzll(sets) + 1, .instances = 1};
    t->sets = aligned_alloc(64, sets * sizeof(*t->sets));
    t->overflow = calloc(sets * RATE_SCOPES, sizeof(*t->overflow));
    const bool listed = rate_dirty_init(&t->dirty, sets * RATE_WAYS);
    if (!t->sets || !t->overflow || !listed) {
        rate_table_free(t);
        return NULL;
    }
    memset(t->sets, 0, sets * sizeof(*t->sets));
    memcpy(t->key, key, 16);
    memcpy(t->name_key, key, 16);
    return t;
}

void rate_table_free(struct rate_table *t)
{
    if (!t)
        return;
    rate_dirty_deinit(&t->dirty);
    free(t->sets);
    free(t->overflow);
    free(t);
}

void rate_table_share(struct rate_table *t, const uint8_t name_key[16])
{
    memcpy(t->name_key, name_key, 16);
    t->shared = true;
}

bool rate_table_is_shared(const struct rate_table *t)
{
    return t->shared;
}

void rate_table_set_fleet(struct rate_table *t, uint32_t instances)
{
    atomic_store(&t->instances, instances > 0 ? instances : 1);
}

uint32_t rate_table_fleet(const struct rate_table *t)
{
    return atomic_load(&t->instances);
}

void rate_table_set_reachable(struct rate_table *t, bool reachable)
{
    atomic_store(&t->unreachable, !reachable);
}

void rate_table_set_alone(struct rate_table *t, bool alone)
{
    if (atomic_load(&t->alone) != alone) /* else the line stays shared */
        atomic_store(&t->alone, alone);
}

bool rate_table_is_reachable(const struct rate_table *t)
{
    return !atomic_load(&t->unreachable);
}

uint64_t rate_table_name(const struct rate_table *t, const struct rate_key *key)
{
    if (key->name != 0)
        return key->name;
    uint8_t text[3 + 16 + sizeof(key->id)] = {
        (uint8_t)key->scope, key->prefix.family, (uint8_t)key->bits};
    size_t len = sizeof(text) - (key->id == 0 ? sizeof(key->id) : 0);
    memcpy(text + 3, key->prefix.ip, 16);
    memcpy(text + 19, &key->id, sizeof(key->id));
    uint64_t name = crypto_siphash(t->name_key, text, len);
    return name ? name : 1;
}

uint64_t rate_table_id(const struct rate_table *t, struct slice realm, struct slice account)
{
    struct {
        uint64_t realm, account, len;
    } text = {crypto_siphash(t->name_key, realm.data, realm.len),
        crypto_siphash(t->name_key, account.data, account.len), account.len};
    uint64_t id = crypto_siphash(t->name_key, &text, sizeof(text));
    return id ? id : 1;
}

/* Of a shared table others may know the names: what they meet in is a product with a number that
 * nobody knows, of which they never see anything. */
static size_t place_of(const struct rate_table *t, uint64_t tag)
{
    uint64_t odd;
    memcpy(&odd, t->key, sizeof(odd));
    return t->shared ? tag * (odd | 1) >> t->shift : tag & t->mask;
}

typedef enum entry_says ask_fn(struct rate_table *t, const struct rate_asked *a, bool *report);

/* ENTRY_GONE: the key has no entry and its set has none to give. */
static enum entry_says admit(struct rate_table *t, const struct rate_asked *a, bool *report)
{
    const size_t at = place_of(t, a->tag);
    struct rate_set *s = &t->sets[at];
    for (unsigned i = 0; i < RATE_TRIES; i++) {
        unsigned way = rate_set_find(s, a->tag);
        if (way < RATE_WAYS) {
            unsigned news = 0;
            enum entry_says v = rate_entry_charge(s, way, a, &news);
            if ((news & RATE_NEWS_DIRTY) &&
                rate_dirty_push(&t->dirty, (uint32_t)(at * RATE_WAYS + way)))
                *report = true;
            if ((news & RATE_NEWS_HURRY) && rate_dirty_hurry(&t->dirty))
                *report = true;
            if (v != ENTRY_GONE)
                return v;
        } else if (!rate_set_claim(s, a) && !rate_set_has_room(s, a->now_us)) {
            return ENTRY_GONE;
        }
    }
    return ENTRY_OVER;
}

/* What admit would say. */
static enum entry_says look(struct rate_table *t, const struct rate_asked *a, bool *report)
{
    const struct rate_set *s = &t->sets[place_of(t, a->tag)];
    (void)report;
    for (unsigned i = 0; i < RATE_TRIES; i++) {
        unsigned way = rate_set_find(s, a->tag);
        if (way == RATE_WAYS)
            return rate_set_has_room(s, a->now_us) ? ENTRY_ADMITTED : ENTRY_GONE;
        enum entry_says v = rate_entry_look(s, way, a);
        if (v != ENTRY_GONE)
            return v;
    }
    return ENTRY_OVER;
}

/* The next wider prefix whose keys share a bucket when they find no place, 0: none. */
static unsigned parent_bits(const struct rate_key *key, unsigned bits)
{
    if (key->prefix.family == ADDR_IPV4)
        return bits > 24 ? 24 : 0;
    return bits > 64 ? 64 : bits > 48 ? 48 : 0;
}

/* The bucket that all keys of a scope share whose prefix hashes alike. Of an IPv6 address /32: whom
 * a network was given shall not fill the buckets of all others with its many prefixes. */
static _Atomic uint64_t *overflow_of(const struct rate_table *t, const struct rate_key *key)
{
    struct rate_key wide = *key;
    wide.name = 0;
    if (key->prefix.family != ADDR_NONE) {
        wide.id = 0;
        wide.bits = key->prefix.family == ADDR_IPV4 ? 24 : 32;
        wide.prefix = addr_masked(&key->prefix, wide.bits);
    }
    const size_t sets = t->mask + 1;
    return &t->overflow[key->scope * sets + place_of(t, rate_table_name(t, &wide))];
}

/* The key's own bucket, or else the narrowest that it shares and that has a place. */
static enum entry_says judge(struct rate_table *t, const struct rate_key *key, ask_fn *ask,
    struct rate_asked *a, bool *report)
{
    a->scope = (uint8_t)key->scope;
    a->realm = key->realm;
    a->tag = rate_table_name(t, key);
    enum entry_says v = ask(t, a, report);
    struct rate_key wider = {.scope = key->scope | RATE_FOLDED};
    a->scope |= RATE_FOLDED;
    for (unsigned up = key->id ? key->bits : parent_bits(key, key->bits);
         v == ENTRY_GONE && up != 0 && key->prefix.family != ADDR_NONE; up = parent_bits(key, up)) {
        wider.prefix = addr_masked(&key->prefix, up);
        wider.bits = up;
        a->tag = rate_table_name(t, &wider);
        v = ask(t, a, report);
    }
    return v;
}

static enum entry_says admit_one(
    struct rate_table *t, const struct rate_key *key, struct rate_asked *a, bool *report)
{
    enum entry_says v = judge(t, key, admit, a, report);
    return v == ENTRY_GONE ? rate_tat_charge(overflow_of(t, key), &a->local, a->now_us) : v;
}

static enum entry_says look_at_one(
    struct rate_table *t, const struct rate_key *key, struct rate_asked *a)
{
    bool report = false;
    enum entry_says v = judge(t, key, look, a, &report);
    return v == ENTRY_GONE ? rate_tat_look(overflow_of(t, key), &a->local, a->now_us) : v;
}

bool rate_table_admit(
    struct rate_table *t, const struct rate_key *key, const struct gcra *g, uint64_t now_us)
{
    struct rate_asked a = {.local = *g, .now_us = now_us};
    bool report = false;
    return g->cost_us == 0 || admit_one(t, key, &a, &report) == ENTRY_ADMITTED;
}

bool rate_table_peek(
    struct rate_table *t, const struct rate_key *key, const struct gcra *g, uint64_t now_us)
{
    struct rate_asked a = {.local = *g, .now_us = now_us};
    return g->cost_us == 0 || look_at_one(t, key, &a) == ENTRY_ADMITTED;
}

static struct rate_asked shared_asked(
    const struct rate_table *t, const struct rate *limit, const struct rate_ask *ask)
{
    struct rate_asked a = {.now_us = ask->now_us, .local = gcra_of(limit)};
    if (t->shared) {
        a.local = rate_share_of(limit, atomic_load(&t->instances));
        a.unreported_max = rate_unreported_max(limit);
        a.owed_max = rate_owed_max(limit);
        a.deny_alone = ask->deny_alone;
        a.alone = atomic_load(&t->alone);
    }
    return a;
}

/* "No decision without Redis", and it is known to be away. */
static bool is_alone(const struct rate_table *t, const struct rate_asked *a)
{
    return a->deny_alone && (a->alone || atomic_load(&t->unreachable));
}

enum rate_verdict rate_table_admit_shared(struct rate_table *t, const struct rate_key *key,
    const struct rate *limit, const struct rate_ask *ask, bool *report)
{
    if (limit->count == 0)
        return RATE_ADMITTED;
    struct rate_asked a = shared_asked(t, limit, ask);
    return is_alone(t, &a) ? RATE_ALONE : (enum rate_verdict)admit_one(t, key, &a, report);
}

enum rate_verdict rate_table_peek_shared(struct rate_table *t, const struct rate_key *key,
    const struct rate *limit, const struct rate_ask *ask)
{
    if (limit->count == 0)
        return RATE_ADMITTED;
    struct rate_asked a = shared_asked(t, limit, ask);
    return is_alone(t, &a) ? RATE_ALONE : (enum rate_verdict)look_at_one(t, key, &a);
}

void rate_table_inspect(
    struct rate_table *t, const struct rate_key *key, uint64_t now_us, struct rate_state *out)
{
    const uint64_t tag = rate_table_name(t, key);
    const struct rate_set *s = &t->sets[place_of(t, tag)];
    const unsigned way = rate_set_find(s, tag);
    *out = (struct rate_state){.known = way < RATE_WAYS};
    if (!out->known)
        return;
    const uint64_t tat = atomic_load(&s->tat[way]), word = atomic_load(&s->pending[way]);
    const uint64_t until = rate_denial_until_us(atomic_load(&s->denial[way]));
    const struct rate_pending p = rate_pending_of(word);
    out->tat_us = tat > now_us && tat != UINT64_MAX ? tat - now_us : 0;
    out->unreported = p.unreported;
    out->owed = p.owed;
    out->deny_us = until > now_us ? until - now_us : 0;
    out->silent = rate_pending_silent(&p, now_us) || atomic_load(&t->alone);
}

/* Of realms that share an overflow bucket none can say what is the others': it drains under the
 * rate that it was filled under. */
static bool overflow_is_of_one_limit(enum rate_scope scope)
{
    return scope != RATE_ALLOCATION_USER && scope != RATE_ALLOCATION_REALM;
}

/* Which of the changes is a realm's and scope's; 0: none, else one more than its index. */
struct change_index {
    uint16_t at[RATE_SCOPES][UINT8_MAX + 1];
};

static bool is_rescaled(const struct rate_change *c)
{
    const uint64_t from = gcra_of(&c->before).cost_us, to = gcra_of(&c->after).cost_us;
    return from != 0 && to != 0 && from != to;
}

static void rescale_overflow(struct rate_table *t, const struct rate_change *c, uint64_t now_us)
{
    const size_t sets = t->mask + 1;
    for (size_t i = 0; i < sets && overflow_is_of_one_limit(c->scope); i++)
        rate_tat_rescale(&t->overflow[c->scope * sets + i], gcra_of(&c->before).cost_us,
            gcra_of(&c->after).cost_us, now_us);
}

static void rescale_entry(
    struct rate_table *t, uint32_t index, const struct rate_change *c, uint64_t now_us)
{
    unsigned way;
    struct rate_set *s = rate_table_set_of(t, index, &way);
    rate_entry_rescale(s, way, gcra_of(&c->before).cost_us, gcra_of(&c->after).cost_us, now_us);
}

void rate_table_rescale(
    struct rate_table *t, const struct rate_change *changes, size_t count, uint64_t now_us)
{
    struct change_index index = {0};
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        if (!is_rescaled(&changes[i]))
            continue;
        any = true;
        index.at[changes[i].scope][changes[i].realm] = (uint16_t)(i + 1);
        rescale_overflow(t, &changes[i], now_us);
    }
    for (uint32_t i = 0; any && i < rate_table_entries(t); i++) {
        const struct rate_owner owner = rate_table_owner(t, i);
        const unsigned of = index.at[owner.scope][owner.realm];
        if (of > 0)
            rescale_entry(t, i, &changes[of - 1], now_us);
    }
}

size_t rate_table_entries(const struct rate_table *t)
{
    return (t->mask + 1) * RATE_WAYS;
}

bool rate_table_hurries(const struct rate_table *t)
{
    return rate_dirty_hurries(&t->dirty);
}

void rate_table_heed(struct rate_table *t)
{
    rate_dirty_heed(&t->dirty);
}

bool rate_table_next(struct rate_table *t, uint32_t *index)
{
    return rate_dirty_pop(&t->dirty, index);
}

struct rate_set *rate_table_set_of(struct rate_table *t, uint32_t index, unsigned *way)
{
    *way = index % RATE_WAYS;
    return &t->sets[index / RATE_WAYS];
}

struct rate_owner rate_table_owner(const struct rate_table *t, uint32_t index)
{
    const struct rate_set *s = &t->sets[index / RATE_WAYS];
    const uint64_t denial = atomic_load(&s->denial[index % RATE_WAYS]);
    return (struct rate_owner){.name = atomic_load(&s->tag[index % RATE_WAYS]),
        .scope = rate_denial_scope(denial) & ~RATE_FOLDED,
        .realm = rate_denial_realm(denial)};
}
