/*
 * The state of a key is one word, { told, others, since, waiting }: who opens reads all of it at
 * once, after it has been counted, and control moves it at once. Entries that have changed lie in a
 * stack without a lock, of which control takes all at once.
 *
 * What always holds:
 * - While its pin is marked an entry is in the stack, or on its way there in the hands of the one
 * who marked it. Only control takes the mark away, and only when it hands the entry out: so none is
 * there twice, which would make a ring of the stack, and no pin passes to another key meanwhile.
 * - Name and owner are those of the key whose tag the owner has: they are written by who holds it.
 */
#include "ratelimit/quota_shared.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "ratelimit/rate_table.h"
#include <stdatomic.h>
#include <stdlib.h>

#define REALMS      64
#define GROUPS      (REALMS * QUOTA_LEVELS)
#define OTHERS_MAX  PIN_COUNT_MAX
#define COUNT_BITS  24
#define COUNT_MASK  ((1u << COUNT_BITS) - 1)
#define SINCE_BITS  15
#define SINCE_MASK  ((1u << SINCE_BITS) - 1)
#define SINCE_SHIFT (2 * COUNT_BITS)
#define WAITING     (1ull << 63)
#define UNIT_US     (4 * US_PER_MS) /* of since: it wraps after 131 s */

struct entry {
    _Atomic uint64_t state;
    _Atomic uint64_t name;
    _Atomic uint64_t owner; /* the tag of the pin; realm and level in its free bits */
    _Atomic uint32_t next;  /* in the stack */
    uint32_t slot;
};

struct quota_shared {
    struct pin_table *pins;
    struct entry *entries;
    bool begun;
    uint8_t name_key[16];
    _Atomic uint32_t instances;
    _Atomic bool reachable;
    _Atomic bool woken;   /* control will look, and nobody needs to say so again */
    _Atomic bool look;    /* a realm has a limit that it had not */
    _Atomic uint32_t top; /* of the stack */
    _Atomic uint32_t limits[GROUPS];
};

struct view {
    uint32_t told, others, since;
    bool waiting;
};

static struct view unpack(uint64_t word)
{
    return (struct view){.told = (uint32_t)word & COUNT_MASK,
        .others = (uint32_t)(word >> COUNT_BITS) & COUNT_MASK,
        .since = (uint32_t)(word >> SINCE_SHIFT) & SINCE_MASK,
        .waiting = (word & WAITING) != 0};
}

static uint64_t pack(struct view v)
{
    return v.told | (uint64_t)v.others << COUNT_BITS | (uint64_t)v.since << SINCE_SHIFT |
           (v.waiting ? WAITING : 0);
}

struct quota_shared *quota_shared_new(struct pin_table *pins)
{
    struct quota_shared *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->pins = pins;
    s->entries = calloc(pin_table_entries(pins), sizeof(s->entries[0]));
    if (!s->entries) {
        free(s);
        return NULL;
    }
    atomic_store(&s->instances, 1);
    atomic_store(&s->reachable, true);
    atomic_store(&s->top, QUOTA_NO_INDEX);
    return s;
}

void quota_shared_free(struct quota_shared *s)
{
    if (s)
        free(s->entries);
    free(s);
}

void quota_shared_begin(struct quota_shared *s, const uint8_t name_key[16])
{
    memcpy(s->name_key, name_key, sizeof(s->name_key));
    s->begun = true;
}

bool quota_shared_begun(const struct quota_shared *s)
{
    return s->begun;
}

void quota_shared_set_fleet(struct quota_shared *s, uint32_t instances)
{
    atomic_store(&s->instances, instances > 0 ? instances : 1);
}

void quota_shared_set_reachable(struct quota_shared *s, bool reachable)
{
    atomic_store(&s->reachable, reachable);
}

uint64_t quota_shared_name(
    const struct quota_shared *s, enum quota_level level, struct slice realm, struct slice user)
{
    const struct {
        uint64_t level, realm, user;
    } text = {level, crypto_siphash(s->name_key, realm.data, realm.len),
        crypto_siphash(s->name_key, user.data, user.len)};
    return crypto_siphash(s->name_key, &text, sizeof(text));
}

static uint32_t group_of(uint32_t realm, enum quota_level level)
{
    return (realm % REALMS) * QUOTA_LEVELS + level;
}

static uint32_t limit_of(const struct quota_limits *limits, enum quota_level level)
{
    const uint32_t limit =
        level == QUOTA_OF_USER ? limits->allocations_per_user : limits->allocations_per_realm;
    return limit > OTHERS_MAX ? OTHERS_MAX : limit;
}

static uint32_t unreported_max(uint32_t limit)
{
    const uint32_t share = 1 + limit / 16, floor = share < 4 ? 4 : share;
    return limit < floor ? limit : floor;
}

bool quota_shared_note(struct quota_shared *s, uint32_t realm, const struct quota_limits *limits)
{
    bool look = false;
    for (enum quota_level level = 0; level < QUOTA_LEVELS; level++) {
        _Atomic uint32_t *noted = &s->limits[group_of(realm, level)];
        const uint32_t limit = limit_of(limits, level);
        if (atomic_load_explicit(noted, memory_order_relaxed) != limit)
            look |= atomic_exchange(noted, limit) == 0;
    }
    if (look)
        atomic_store(&s->look, true);
    return look;
}

static void push(struct quota_shared *s, uint32_t index)
{
    uint32_t top = atomic_load(&s->top);
    do {
        atomic_store(&s->entries[index].next, top);
    } while (!atomic_compare_exchange_weak(&s->top, &top, index));
}

static void wake(struct quota_shared *s, bool *report)
{
    if (!atomic_load(&s->woken) && !atomic_exchange(&s->woken, true))
        *report = true;
}

static uint32_t units(uint64_t now_us)
{
    return (uint32_t)(now_us / UNIT_US) & SINCE_MASK;
}

/* A moment that is ahead of us, on another thread's clock of its batch, is now. */
static bool is_silent(const struct quota_shared *s, const struct view *v, uint64_t now_us)
{
    const uint32_t passed = (units(now_us) - v->since) & SINCE_MASK;
    return !atomic_load(&s->reachable) ||
           (v->waiting && passed <= SINCE_MASK / 2 && passed * UNIT_US > RATE_SILENCE_US);
}

static enum quota_verdict judge(const struct quota_shared *s, const struct view *v, uint32_t limit,
    uint32_t count, const struct quota_asked *asked)
{
    if (!is_silent(s, v, asked->now_us)) {
        if (count > limit || v->others > limit - count)
            return QUOTA_OVER;
        return count <= (uint64_t)v->told + unreported_max(limit) ? QUOTA_GRANTED : QUOTA_WAIT;
    }
    if (asked->deny_alone)
        return QUOTA_ALONE;
    const uint32_t share = limit / atomic_load(&s->instances);
    return count <= (share > 0 ? share : 1) ? QUOTA_GRANTED : QUOTA_OVER;
}

static void wait_from(struct entry *e, uint64_t now_us)
{
    uint64_t word = atomic_load(&e->state);
    struct view v;
    do {
        v = unpack(word);
        if (v.waiting)
            return;
        v.waiting = true;
        v.since = units(now_us);
    } while (!atomic_compare_exchange_weak(&e->state, &word, pack(v)));
}

enum quota_verdict quota_shared_take(struct quota_shared *s, const struct quota_who *who,
    const struct quota_asked *asked, uint32_t *index, bool *report)
{
    const uint32_t limit = limit_of(asked->limits, who->level);
    struct pin_taken taken;
    if (pin_table_take_kept(s->pins, who->hash, limit > 0, &taken) != PIN_DONE)
        return QUOTA_NO_ROOM;
    struct entry *e = &s->entries[taken.index];
    /* The name before the owner: whose tag stands there, has its name there. */
    const uint64_t owner = pin_table_tag(who->hash) | group_of(who->realm, who->level);
    if (atomic_load(&e->owner) != owner) {
        atomic_store(&e->name, who->name);
        atomic_store(&e->owner, owner);
    }
    *index = taken.index;
    if (limit > 0) {
        const struct view v = unpack(atomic_load(&e->state));
        const enum quota_verdict verdict = judge(s, &v, limit, taken.count, asked);
        if (verdict == QUOTA_GRANTED)
            wait_from(e, asked->now_us);
        if (taken.marked)
            push(s, taken.index);
        if (verdict != QUOTA_GRANTED)
            quota_shared_give(s, taken.index);
        wake(s, report);
        return verdict;
    }
    if (taken.marked)
        push(s, taken.index);
    return QUOTA_GRANTED;
}

void quota_shared_give(struct quota_shared *s, uint32_t index)
{
    if (pin_table_give_kept(s->pins, index))
        push(s, index);
}

bool quota_shared_inspect(
    const struct quota_shared *s, uint64_t hash, uint64_t now_us, struct quota_state *out)
{
    uint32_t index;
    if (!pin_table_find(s->pins, hash, &index))
        return false;
    const struct view v = unpack(atomic_load(&s->entries[index].state));
    const uint32_t count = pin_table_count(s->pins, index);
    *out = (struct quota_state){.held = count,
        .others = v.others,
        .unreported = count > v.told ? count - v.told : 0,
        .silent = is_silent(s, &v, now_us)};
    return true;
}

static uint32_t group_at(const struct entry *e)
{
    const uint64_t owner = atomic_load(&e->owner);
    return (uint32_t)(owner - pin_table_tag(owner));
}

/* What is held under limits that came after it. */
static void look_for_limited(struct quota_shared *s)
{
    const size_t entries = pin_table_entries(s->pins);
    for (uint32_t i = 0; i < entries; i++) {
        const struct entry *e = &s->entries[i];
        if (atomic_load(&s->limits[group_at(e)]) > 0 &&
            pin_table_keep(s->pins, i, pin_table_tag(atomic_load(&e->owner))))
            push(s, i);
    }
}

uint32_t quota_shared_changed(struct quota_shared *s)
{
    atomic_store(&s->woken, false);
    if (atomic_exchange(&s->look, false))
        look_for_limited(s);
    return atomic_exchange(&s->top, QUOTA_NO_INDEX);
}

uint32_t quota_shared_next(struct quota_shared *s, uint32_t index)
{
    const uint32_t next = atomic_load(&s->entries[index].next);
    pin_table_unmark(s->pins, index);
    return next;
}

void quota_shared_postpone(struct quota_shared *s, uint32_t index)
{
    if (pin_table_mark(s->pins, index))
        push(s, index);
}

uint64_t quota_shared_name_at(const struct quota_shared *s, uint32_t index)
{
    return atomic_load(&s->entries[index].name);
}

uint32_t *quota_shared_slot(struct quota_shared *s, uint32_t index)
{
    return &s->entries[index].slot;
}

uint32_t quota_shared_count(const struct quota_shared *s, uint32_t index)
{
    return pin_table_count(s->pins, index);
}

uint32_t quota_shared_snapshot(struct quota_shared *s, uint32_t index, uint64_t now_us)
{
    struct entry *e = &s->entries[index];
    uint32_t count;
    do {
        count = pin_table_count(s->pins, index);
        uint64_t word = atomic_load(&e->state);
        struct view v;
        do {
            v = unpack(word);
            const uint32_t passed = (units(now_us) - v.since) & SINCE_MASK;
            if (!v.waiting && count != v.told)
                v.since = units(now_us);
            else if (v.waiting && passed > SINCE_MASK / 4)
                v.since = (v.since + SINCE_MASK / 8) & SINCE_MASK; /* long ago, but no wrap */
            v.waiting |= count != v.told;
            v.told = count < v.told ? count : v.told;
        } while (!atomic_compare_exchange_weak(&e->state, &word, pack(v)));
    } while (pin_table_count(s->pins, index) != count);
    return count;
}

void quota_shared_answered(
    struct quota_shared *s, uint32_t index, const struct quota_answer *answer)
{
    struct entry *e = &s->entries[index];
    const uint32_t others = answer->others > OTHERS_MAX ? OTHERS_MAX : answer->others;
    uint64_t word = atomic_load(&e->state);
    struct view v;
    do {
        v = unpack(word);
        v.told = answer->sent;
        v.others = answer->at_least && v.others > others ? v.others : others;
        v.since = units(answer->now_us);
        v.waiting = pin_table_count(s->pins, index) != answer->sent;
    } while (!atomic_compare_exchange_weak(&e->state, &word, pack(v)));
}

bool quota_shared_is_near(const struct quota_shared *s, uint32_t index)
{
    const struct entry *e = &s->entries[index];
    const uint32_t limit = atomic_load(&s->limits[group_at(e)]);
    const struct view v = unpack(atomic_load(&e->state));
    const uint64_t held = (uint64_t)pin_table_count(s->pins, index) + v.others;
    return limit > 0 && held + unreported_max(limit) >= limit;
}

bool quota_shared_let_go(struct quota_shared *s, uint32_t index)
{
    if (!pin_table_seize(s->pins, index))
        return false;
    atomic_store(&s->entries[index].state, 0);
    s->entries[index].slot = 0;
    pin_table_drop(s->pins, index);
    return true;
}
