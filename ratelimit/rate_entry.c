/*
 * Entries of the rate table without a lock: {tag, tat, pending, denial}. A key lives in one set of
 * four only. Called by rate_table.c, from any thread.
 *
 * What always holds, whatever the interleaving:
 * - A key has at most one open entry. Who wants to make one first takes an entry that may be
 *   forgotten (drained, nothing pending, not denied) by a compare-and-swap of its pending from
 *   nothing to CLAIMED and of its tat to BUSY, then writes the tag, then looks whether any other
 *   entry of the set has that tag; if so it gives its own up. Of two at once at least one sees the
 *   other, as tags are written and read in one order (seq_cst); that both give up is possible, and
 *   then both try again.
 * - Only what may be forgotten is taken: a charge that comes in between changes pending or tat, and
 *   the swap fails. What is pending therefore stays with its key until control has reported it.
 * - Never are more than u unreported, and never is one admitted in spite of a denial that came
 *   before: count and answer are in one word, and control writes a denial before it takes what it
 *   answers out of that word; whoever read the denial too early fails to swap.
 * - A charge that lands in an entry just given to another key (a word was read before, the tag
 *   changed after) is noticed: the tag is read again after the swap, and the admission is judged
 *   once more. The other key has paid, and reports, one admission too many: errors are on the side
 *   of refusing.
 * - Everything is tried a bounded number of times; who loses every time is refused.
 */
#include "ratelimit/rate_entry.h"

#include "ratelimit/rate_pending.h"

#define BUSY UINT64_MAX /* a tat: the entry is changing hands */

enum decision { BY_COUNT, BY_SHARE, REFUSE, REFUSE_ALONE, WAIT };

static bool is_denied(uint64_t denial, uint64_t now_us)
{
    return now_us < rate_denial_until_us(denial);
}

/* Drained, and not denied. */
static bool is_at_rest(uint64_t tat, uint64_t denial, uint64_t now_us)
{
    return tat != BUSY && tat <= now_us && !is_denied(denial, now_us);
}

static bool may_be_forgotten(const struct rate_set *s, unsigned way, uint64_t now_us)
{
    return atomic_load(&s->pending[way]) == 0 &&
           is_at_rest(atomic_load(&s->tat[way]), atomic_load(&s->denial[way]), now_us);
}

unsigned rate_set_find(const struct rate_set *s, uint64_t tag)
{
    unsigned way = 0;
    while (way < RATE_WAYS && atomic_load(&s->tag[way]) != tag)
        way++;
    return way;
}

bool rate_set_has_room(const struct rate_set *s, uint64_t now_us)
{
    for (unsigned i = 0; i < RATE_WAYS; i++) {
        if (atomic_load(&s->tat[i]) == BUSY || atomic_load(&s->pending[i]) == RATE_CLAIMED ||
            may_be_forgotten(s, i, now_us))
            return true;
    }
    return false;
}

/* Once pending is CLAIMED no denial comes any more, and only limits of this process alone touch the
 * tat. */
static bool take(struct rate_set *s, unsigned way, uint64_t now_us)
{
    uint64_t nothing = 0;
    if (!may_be_forgotten(s, way, now_us) ||
        !atomic_compare_exchange_strong(&s->pending[way], &nothing, RATE_CLAIMED))
        return false;
    uint64_t tat = atomic_load(&s->tat[way]);
    if (is_at_rest(tat, atomic_load(&s->denial[way]), now_us) &&
        atomic_compare_exchange_strong(&s->tat[way], &tat, BUSY))
        return true;
    atomic_store(&s->pending[way], 0);
    return false;
}

bool rate_set_claim(struct rate_set *s, const struct rate_asked *a)
{
    unsigned mine = 0;
    while (mine < RATE_WAYS && !take(s, mine, a->now_us))
        mine++;
    if (mine == RATE_WAYS)
        return false;
    atomic_store(&s->denial[mine], rate_denial_word(0, a->realm, a->scope));
    atomic_store(&s->tag[mine], a->tag);
    bool alone = true;
    for (unsigned i = 0; i < RATE_WAYS; i++)
        alone = alone && (i == mine || atomic_load(&s->tag[i]) != a->tag);
    if (!alone)
        atomic_store(&s->tag[mine], 0);
    atomic_store(&s->tat[mine], 0);
    atomic_store(&s->pending[mine], 0);
    return alone;
}

enum entry_says rate_tat_charge(_Atomic uint64_t *tat, const struct gcra *g, uint64_t now_us)
{
    uint64_t old = atomic_load(tat);
    for (unsigned i = 0; i < RATE_TRIES && old != BUSY; i++) {
        uint64_t new = old;
        if (!gcra_admit(g, &new, now_us))
            return ENTRY_OVER;
        if (atomic_compare_exchange_weak(tat, &old, new))
            return ENTRY_ADMITTED;
    }
    return old == BUSY ? ENTRY_GONE : ENTRY_OVER;
}

enum entry_says rate_tat_look(const _Atomic uint64_t *tat, const struct gcra *g, uint64_t now_us)
{
    uint64_t value = atomic_load(tat);
    /* Only what is drained, or new, changes hands. */
    return value == BUSY || gcra_admit(g, &value, now_us) ? ENTRY_ADMITTED : ENTRY_OVER;
}

static uint64_t plus(uint64_t a, uint64_t b)
{
    uint64_t sum;
    return __builtin_add_overflow(a, b, &sum) || sum == BUSY ? BUSY - 1 : sum;
}

/* The share pays for what the count admits, as long as it has anything: an outage begins with what
 * is left of it. Whoever fails to swap has seen another take from it, so that this ends. */
static void drain(_Atomic uint64_t *tat, const struct gcra *g, uint64_t now_us)
{
    uint64_t old = atomic_load(tat), new;
    do {
        uint64_t paid = plus(old > now_us ? old : now_us, g->cost_us);
        uint64_t empty = plus(plus(now_us, g->tau_us), g->cost_us);
        new = paid < empty ? paid : empty;
        if (old == BUSY || new <= old)
            return;
    } while (!atomic_compare_exchange_weak(tat, &old, new));
}

static enum decision decide(
    const struct rate_pending *p, uint64_t denial, const struct rate_asked *a)
{
    if (is_denied(denial, a->now_us))
        return REFUSE;
    if (p->unreported < a->unreported_max && !a->alone)
        return BY_COUNT;
    if (!rate_pending_silent(p, a->now_us) && !a->alone)
        return WAIT;
    return a->deny_alone ? REFUSE_ALONE : BY_SHARE;
}

/* Of those that admit nothing. */
static enum entry_says said_of(enum decision by)
{
    switch (by) {
    case REFUSE_ALONE:
        return ENTRY_ALONE;
    case WAIT:
        return ENTRY_WAIT;
    default:
        return ENTRY_OVER;
    }
}

/* After one more admission. */
static uint64_t admitted(struct rate_pending p, enum decision by, const struct rate_asked *a)
{
    if (by == BY_COUNT) {
        p.since_ms = p.unreported > 0 ? p.since_ms : rate_since_of(a->now_us);
        p.unreported++;
    } else {
        p.owed += p.owed < a->owed_max;
        /* Long silences shall not look young again when their time wraps. */
        if (rate_pending_age_ms(&p, a->now_us) > RATE_SINCE_MAX / 2)
            p.since_ms = (rate_since_of(a->now_us) - RATE_SINCE_MAX / 4) & RATE_SINCE_MAX;
    }
    p.dirty = true;
    return rate_pending_word(&p);
}

/* The first of an idle key can wait for others: one report costs as much as one of many. */
static unsigned news_of(const struct rate_pending *before, const struct rate_asked *a)
{
    const uint32_t many = a->unreported_max > 4 ? a->unreported_max / 2 : 2;
    return (before->dirty ? 0 : RATE_NEWS_DIRTY) |
           (before->unreported + 1 >= many ? RATE_NEWS_HURRY : 0);
}

static enum entry_says charge_shared(
    struct rate_set *s, unsigned way, const struct rate_asked *a, unsigned *news)
{
    bool paid = false;
    for (unsigned i = 0; i < RATE_TRIES; i++) {
        uint64_t word = atomic_load(&s->pending[way]);
        const struct rate_pending p = rate_pending_of(word);
        const enum decision by = decide(&p, atomic_load(&s->denial[way]), a);
        if (word == RATE_CLAIMED || atomic_load(&s->tag[way]) != a->tag)
            return ENTRY_GONE;
        if (by != BY_COUNT && by != BY_SHARE)
            return said_of(by);
        if (by == BY_SHARE && !paid) {
            enum entry_says v = rate_tat_charge(&s->tat[way], &a->local, a->now_us);
            if (v != ENTRY_ADMITTED)
                return v;
            paid = true;
        }
        if (!atomic_compare_exchange_strong(&s->pending[way], &word, admitted(p, by, a)))
            continue;
        if (!paid)
            drain(&s->tat[way], &a->local, a->now_us);
        *news |= news_of(&p, a);
        return atomic_load(&s->tag[way]) == a->tag ? ENTRY_ADMITTED : ENTRY_GONE;
    }
    return ENTRY_OVER;
}

enum entry_says rate_entry_charge(
    struct rate_set *s, unsigned way, const struct rate_asked *a, unsigned *news)
{
    if (a->unreported_max > 0)
        return charge_shared(s, way, a, news);
    enum entry_says v = rate_tat_charge(&s->tat[way], &a->local, a->now_us);
    return atomic_load(&s->tag[way]) == a->tag ? v : ENTRY_GONE;
}

static enum entry_says look_shared(
    const struct rate_set *s, unsigned way, const struct rate_asked *a)
{
    uint64_t word = atomic_load(&s->pending[way]);
    const struct rate_pending p = rate_pending_of(word);
    if (word == RATE_CLAIMED)
        return ENTRY_ADMITTED; /* it will be new */
    const enum decision by = decide(&p, atomic_load(&s->denial[way]), a);
    if (by == BY_COUNT)
        return ENTRY_ADMITTED;
    return by == BY_SHARE ? rate_tat_look(&s->tat[way], &a->local, a->now_us) : said_of(by);
}

enum entry_says rate_entry_look(const struct rate_set *s, unsigned way, const struct rate_asked *a)
{
    enum entry_says v = a->unreported_max > 0 ? look_shared(s, way, a)
                                              : rate_tat_look(&s->tat[way], &a->local, a->now_us);
    return atomic_load(&s->tag[way]) == a->tag ? v : ENTRY_GONE;
}
