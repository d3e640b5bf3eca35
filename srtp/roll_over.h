/*
 * The roll-over counter of an SSRC that is new to a verifier: as the deposit or the key before
 * tells, or searched for within bounds. Nothing is allocated for a packet. One thread.
 */
#ifndef SRTP_ROLL_OVER_H
#define SRTP_ROLL_OVER_H

#include "srtp/packet_tags.h"
#include "srtp/verifier.h"

#define ROLL_OVER_SEARCHES 8 /* SSRCs at once */

/* What the verifier of the key before knows of an SSRC. */
struct roll_over_hint {
    uint32_t ssrc, roc;
};

/* Counters tried for an SSRC that fits none yet. */
struct roll_over_search {
    uint32_t ssrc;
    uint32_t next;     /* the first of the next packet's; from the end on all were tried */
    uint64_t since_us; /* of the latest packet while it searches, then of the end */
    bool used;
};

/* Embedded; private. */
struct roll_over {
    bool told;
    uint32_t roc;
    struct roll_over_hint *hints;
    uint32_t hint_count;
    struct roll_over_search searches[ROLL_OVER_SEARCHES];
};

struct roll_over_ask {
    struct packet_tags *tags;
    uint32_t ssrc;
    struct slice packet; /* RTP of this SSRC */
};

/* `r` is zeroed. 0, or -ENOMEM: room for `hints` of them. */
int roll_over_init(struct roll_over *r, const struct srtp_keys *keys, uint32_t hints);
void roll_over_deinit(struct roll_over *r);
/* What the keys say, in place of what they said before. */
void roll_over_tell(struct roll_over *r, const struct srtp_keys *keys);
/* At most as often as there is room. */
void roll_over_add_hint(struct roll_over *r, uint32_t ssrc, uint32_t roc);

/* SRTP_VERIFIED with *roc set: the tag is right under it. Else SRTP_FAILED or SRTP_UNVERIFIED as in
 * srtp/verifier.h. */
enum srtp_verdict roll_over_find(
    struct roll_over *r, const struct roll_over_ask *ask, uint64_t now_us, uint32_t *roc);
/* Of a stream that was elsewhere for a while: `roc` is what its sequence number alone would say,
 * and did not fit. *ahead, 0 at first and again once it is found, belongs to the stream. True with
 * *roc set to a later one that fits. */
bool roll_over_resume(const struct roll_over_ask *ask, uint32_t *ahead, uint32_t *roc);
/* A stream has begun: its search, if there is one, gives its place back. */
void roll_over_found(struct roll_over *r, uint32_t ssrc);

#endif
