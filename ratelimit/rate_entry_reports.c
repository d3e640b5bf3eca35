/*
 * What the control thread does with entries of the rate table: takes what is to be reported, writes
 * back what was answered. It alone begins and ends flights and writes denials. A denial is written
 * before what it answers is taken out of `pending`, while that keeps the entry its owner's (see
 * rate_entry.c). Called by rate_reports.c and rate_table.c.
 */
#include "ratelimit/rate_entry.h"
#include "ratelimit/rate_pending.h"

static uint32_t capped(uint32_t a, uint32_t b, uint32_t most)
{
    if (most > RATE_COUNT_MAX)
        most = RATE_COUNT_MAX;
    return a < most && b < most - a ? a + b : most;
}

static uint64_t ms_up(uint64_t us)
{
    return us / US_PER_MS + (us % US_PER_MS != 0);
}

bool rate_entry_take(struct rate_set *s, unsigned way, struct rate_taken *taken)
{
    uint64_t word = atomic_load(&s->pending[way]);
    struct rate_pending p, after;
    do {
        after = p = rate_pending_of(word);
        after.owed = 0;
        after.dirty = false;
        after.flight = p.unreported > 0 || p.owed > 0;
    } while (!atomic_compare_exchange_weak(&s->pending[way], &word, rate_pending_word(&after)));
    if (!after.flight)
        return false;
    *taken = (struct rate_taken){p.unreported, p.owed};
    return true;
}

bool rate_entry_in_flight(const struct rate_set *s, unsigned way)
{
    uint64_t word = atomic_load(&s->pending[way]);
    return word != RATE_CLAIMED && rate_pending_of(word).flight;
}

static void deny(_Atomic uint64_t *denial, uint64_t deny_us, uint64_t now_us)
{
    const uint64_t old = atomic_load(denial);
    uint64_t until_us;
    if (__builtin_add_overflow(now_us, deny_us, &until_us))
        until_us = UINT64_MAX;
    const uint64_t until_ms = deny_us == 0 ? 0 : ms_up(until_us);
    atomic_store(
        denial, rate_denial_word(until_ms, rate_denial_realm(old), rate_denial_scope(old)));
}

void rate_entry_answered(struct rate_set *s, unsigned way, const struct rate_taken *taken,
    uint64_t deny_us, uint64_t now_us)
{
    deny(&s->denial[way], deny_us, now_us);
    uint64_t word = atomic_load(&s->pending[way]);
    struct rate_pending p;
    do {
        p = rate_pending_of(word);
        p.unreported -= taken->unreported < p.unreported ? taken->unreported : p.unreported;
        p.since_ms = rate_since_of(now_us);
        p.flight = false;
    } while (!atomic_compare_exchange_weak(&s->pending[way], &word, rate_pending_word(&p)));
}

bool rate_entry_put_back(
    struct rate_set *s, unsigned way, const struct rate_taken *taken, uint32_t owed_max)
{
    uint64_t word = atomic_load(&s->pending[way]);
    struct rate_pending p;
    bool was_dirty;
    do {
        p = rate_pending_of(word);
        was_dirty = p.dirty;
        p.owed = capped(p.owed, taken->owed, owed_max);
        p.flight = false;
        p.dirty = true;
    } while (!atomic_compare_exchange_weak(&s->pending[way], &word, rate_pending_word(&p)));
    return !was_dirty;
}

void rate_entry_forgive(struct rate_set *s, unsigned way)
{
    const uint64_t old = atomic_load(&s->denial[way]);
    atomic_store(
        &s->denial[way], rate_denial_word(0, rate_denial_realm(old), rate_denial_scope(old)));
    atomic_store(&s->pending[way], 0);
}

bool rate_entry_forget(struct rate_set *s, unsigned way, uint64_t cost_us, uint64_t now_us)
{
    uint64_t word = atomic_load(&s->pending[way]), paid_us;
    const uint64_t tat = atomic_load(&s->tat[way]);
    if (__builtin_mul_overflow(cost_us, rate_pending_of(word).unreported, &paid_us) ||
        tat > now_us || now_us - tat < paid_us ||
        rate_denial_until_us(atomic_load(&s->denial[way])) > now_us)
        return false;
    return atomic_compare_exchange_strong(&s->pending[way], &word, 0);
}

/* So far ahead of now under another cost. */
static uint64_t rescaled(uint64_t at, uint64_t before, uint64_t after, uint64_t now_us)
{
    if (at <= now_us)
        return at;
    const unsigned __int128 ahead = (unsigned __int128)(at - now_us) * after / before;
    return ahead < UINT64_MAX - 1 - now_us ? now_us + (uint64_t)ahead : UINT64_MAX - 1;
}

void rate_tat_rescale(_Atomic uint64_t *tat, uint64_t before, uint64_t after, uint64_t now_us)
{
    uint64_t old = atomic_load(tat);
    while (old > now_us && old != UINT64_MAX &&
           !atomic_compare_exchange_weak(tat, &old, rescaled(old, before, after, now_us)))
        continue;
}

void rate_entry_rescale(
    struct rate_set *s, unsigned way, uint64_t before, uint64_t after, uint64_t now_us)
{
    rate_tat_rescale(&s->tat[way], before, after, now_us);
    uint64_t old = atomic_load(&s->denial[way]);
    const uint64_t until_us = rate_denial_until_us(old);
    if (until_us <= now_us)
        return;
    const uint64_t until_ms = ms_up(rescaled(until_us, before, after, now_us));
    /* Fails where the entry has just been given to another key. */
    (void)atomic_compare_exchange_strong(&s->denial[way], &old,
        rate_denial_word(until_ms, rate_denial_realm(old), rate_denial_scope(old)));
}
