/*
 * Two words of an entry of the rate table. `pending` is what was admitted and not acknowledged, all
 * of it in one word so that one compare-and-swap moves it; `denial` is whose entry it is, and until
 * when Redis has said no. For rate_entry.c and rate_entry_reports.c.
 */
#ifndef RATELIMIT_RATE_PENDING_H
#define RATELIMIT_RATE_PENDING_H

#include "base/clock.h"
#include "ratelimit/rate_table.h"

#define RATE_COUNT_MAX ((1u << 20) - 1)
#define RATE_SINCE_MAX ((1u << 22) - 1)
#define RATE_UNTIL_MAX ((1ull << 40) - 1)

struct rate_pending {
    uint32_t unreported; /* admitted while fewer than u were, and not acknowledged: 20 bits */
    uint32_t owed;       /* admitted by the share while Redis was silent, not sent: 20 bits */
    uint32_t since_ms;   /* of the oldest unreported, modulo 2^22; 0 where none is */
    bool flight;         /* a report is on its way */
    bool dirty;          /* control has been told, or was about to be, and has not looked yet */
};

/* The entry is changing hands: no other state, as nothing unreported has no time. */
#define RATE_CLAIMED (1ull << 40)

static inline struct rate_pending rate_pending_of(uint64_t word)
{
    return (struct rate_pending){.unreported = word & RATE_COUNT_MAX,
        .owed = word >> 20 & RATE_COUNT_MAX,
        .since_ms = word >> 40 & RATE_SINCE_MAX,
        .flight = word >> 62 & 1,
        .dirty = word >> 63};
}

static inline uint64_t rate_pending_word(const struct rate_pending *p)
{
    uint64_t since = p->unreported > 0 ? p->since_ms & RATE_SINCE_MAX : 0;
    return p->unreported | (uint64_t)p->owed << 20 | since << 40 | (uint64_t)p->flight << 62 |
           (uint64_t)p->dirty << 63;
}

static inline uint32_t rate_since_of(uint64_t now_us)
{
    return now_us / US_PER_MS & RATE_SINCE_MAX;
}

static inline uint32_t rate_pending_age_ms(const struct rate_pending *p, uint64_t now_us)
{
    return (rate_since_of(now_us) - p->since_ms) & RATE_SINCE_MAX;
}

/* Has the oldest waited for too long? Whose batch has begun a little before the one that admitted
 * it sees it in its future: up to a second of that is no age of 70 minutes. */
static inline bool rate_pending_silent(const struct rate_pending *p, uint64_t now_us)
{
    uint32_t age = rate_pending_age_ms(p, now_us);
    return p->unreported > 0 && age > RATE_SILENCE_US / US_PER_MS && age < RATE_SINCE_MAX - 1000;
}

/* until (ms, 40 bits; 0: not denied), realm, scope. */
static inline uint64_t rate_denial_word(uint64_t until_ms, uint8_t realm, uint8_t scope)
{
    return (until_ms < RATE_UNTIL_MAX ? until_ms : RATE_UNTIL_MAX) | (uint64_t)realm << 40 |
           (uint64_t)scope << 48;
}

static inline uint64_t rate_denial_until_us(uint64_t word)
{
    return (word & RATE_UNTIL_MAX) * US_PER_MS;
}

static inline uint8_t rate_denial_realm(uint64_t word)
{
    return (uint8_t)(word >> 40);
}

static inline uint8_t rate_denial_scope(uint64_t word)
{
    return (uint8_t)(word >> 48);
}

#endif
