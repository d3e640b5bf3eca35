/*
 * What a datagram between a client and a peer is, by RFC 7983 and RFC 5761, and whether what is in
 * the clear of it is plausible. Pure.
 */
#ifndef SRTP_CLASSIFY_H
#define SRTP_CLASSIFY_H

#include "base/counters.h"
#include "wire/rtp.h"

enum srtp_kind {
    SRTP_KIND_OTHER, /* none of the others: also ZRTP, and nothing at all */
    SRTP_KIND_STUN,
    SRTP_KIND_DTLS,
    SRTP_KIND_CHANNEL, /* TURN through TURN */
    SRTP_KIND_RTP,
    SRTP_KIND_RTCP,
    SRTP_KIND_COUNT
};

struct srtp_class {
    enum srtp_kind kind;
    enum reason bad; /* REASON_NONE: plausible; else why `classify` drops it */
    union {
        struct rtp_header rtp;   /* of a plausible one */
        struct rtcp_header rtcp; /* likewise */
    } u;
};

/*
 * By the first byte, and then: STUN has its magic cookie and the length that it says; DTLS's first
 * record has a known type and version and ends inside the datagram, or is DTLS 1.3's and not too
 * short; ChannelData has the length that it says, with at most its padding behind; RTP and RTCP as
 * wire/rtp.h. Not plausible is REASON_GUARD_{STUN,DTLS,CHANNEL,RTP,RTCP}_MALFORMED, no kind at all
 * is REASON_GUARD_NOT_MEDIA. `kind` is said of what is not plausible, too; `u` then is zeros. By
 * pointer: a returned struct costs as much again as all checks.
 */
void srtp_classify(struct srtp_class *out, struct slice datagram);

#endif
