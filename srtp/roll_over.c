/*
 * Which roll-over counters are tried for an SSRC that has no stream yet, or was elsewhere. A forger
 * who invents SSRCs gets a bounded number of packets called unverified, and nothing that he sends
 * keeps an SSRC that begins under way, with counter 0, from being found at its first packet. Called
 * by the verifier.
 */
#include "srtp/roll_over.h"

#include <errno.h>
#include <stdlib.h>

#define STEP    8          /* counters a packet */
#define ADVANCE (STEP - 1) /* it may roll over between two packets, so one is tried again */
#define END     1024
#define KEPT_US 60000000ull

void roll_over_tell(struct roll_over *r, const struct srtp_keys *keys)
{
    r->told = keys->has_roc;
    r->roc = keys->roc;
}

int roll_over_init(struct roll_over *r, const struct srtp_keys *keys, uint32_t hints)
{
    roll_over_tell(r, keys);
    if (hints == 0)
        return 0;
    r->hints = calloc(hints, sizeof(r->hints[0]));
    return r->hints ? 0 : -ENOMEM;
}

void roll_over_deinit(struct roll_over *r)
{
    free(r->hints);
}

void roll_over_add_hint(struct roll_over *r, uint32_t ssrc, uint32_t roc)
{
    r->hints[r->hint_count++] = (struct roll_over_hint){ssrc, roc};
}

static const struct roll_over_hint *find_hint(const struct roll_over *r, uint32_t ssrc)
{
    for (uint32_t i = 0; i < r->hint_count; i++) {
        if (r->hints[i].ssrc == ssrc)
            return &r->hints[i];
    }
    return NULL;
}

static bool try_one(const struct roll_over_ask *ask, uint32_t try, uint32_t *roc)
{
    if (!packet_tags_fit_rtp(ask->tags, ask->packet, try))
        return false;
    *roc = try;
    return true;
}

/* It may roll over between the deposit and the first packet, which need not be the first that was
 * sent. */
static bool try_around(const struct roll_over_ask *ask, uint32_t around, uint32_t *roc)
{
    return try_one(ask, around, roc) || try_one(ask, around + 1, roc) ||
           (around > 0 && try_one(ask, around - 1, roc));
}

static bool try_step(const struct roll_over_ask *ask, uint32_t first, uint32_t *roc)
{
    for (uint32_t i = 0; i < STEP; i++) {
        if (try_one(ask, first + i, roc))
            return true;
    }
    return false;
}

/* The search for this SSRC, or a place for one, or NULL. */
static struct roll_over_search *find_search(struct roll_over *r, uint32_t ssrc, uint64_t now_us)
{
    struct roll_over_search *place = NULL;
    for (unsigned i = 0; i < ROLL_OVER_SEARCHES; i++) {
        struct roll_over_search *s = &r->searches[i];
        if (s->used && now_us - s->since_us >= KEPT_US)
            s->used = false;
        if (s->used && s->ssrc == ssrc)
            return s;
        if (!s->used && !place)
            place = s;
    }
    return place;
}

static enum srtp_verdict search(
    struct roll_over *r, const struct roll_over_ask *ask, uint64_t now_us, uint32_t *roc)
{
    struct roll_over_search *s = find_search(r, ask->ssrc, now_us);
    const bool going_on = s && s->used;
    /* Packets of a forger may have come first. */
    if (going_on && try_around(ask, 0, roc))
        return SRTP_VERIFIED;
    if (going_on && s->next >= END)
        return SRTP_FAILED;
    const uint32_t first = going_on ? s->next : 0;
    if (try_step(ask, first, roc))
        return SRTP_VERIFIED;
    if (!s)
        return SRTP_FAILED;
    *s = (struct roll_over_search){
        .ssrc = ask->ssrc, .next = first + ADVANCE, .since_us = now_us, .used = true};
    return s->next >= END ? SRTP_FAILED : SRTP_UNVERIFIED;
}

enum srtp_verdict roll_over_find(
    struct roll_over *r, const struct roll_over_ask *ask, uint64_t now_us, uint32_t *roc)
{
    const struct roll_over_hint *hint = find_hint(r, ask->ssrc);
    if (!r->told && !hint)
        return search(r, ask, now_us, roc);
    /* One that begins under way, or anew, begins with 0. */
    const bool fits = (r->told && try_around(ask, r->roc, roc)) ||
                      (hint && try_around(ask, hint->roc, roc)) || try_around(ask, 0, roc);
    return fits ? SRTP_VERIFIED : SRTP_FAILED;
}

bool roll_over_resume(const struct roll_over_ask *ask, uint32_t *ahead, uint32_t *roc)
{
    const uint32_t first = *roc + 1;
    /* Packets of a forger may have come first. */
    if (try_one(ask, first, roc) || try_step(ask, first + *ahead, roc)) {
        *ahead = 0;
        return true;
    }
    *ahead = *ahead + ADVANCE < END ? *ahead + ADVANCE : 0;
    return false;
}

void roll_over_found(struct roll_over *r, uint32_t ssrc)
{
    for (unsigned i = 0; i < ROLL_OVER_SEARCHES; i++) {
        if (r->searches[i].ssrc == ssrc)
            r->searches[i].used = false;
    }
}
