/* What a datagram is, by its first byte (RFC 7983 section 7). */
#ifndef WIRE_DEMUX_H
#define WIRE_DEMUX_H

#include "base/slice.h"

enum demux_kind {
    DEMUX_EMPTY,   /* no byte */
    DEMUX_STUN,    /* 0..3 */
    DEMUX_ZRTP,    /* 16..19 */
    DEMUX_DTLS,    /* 20..63 */
    DEMUX_CHANNEL, /* 64..79 */
    DEMUX_RTP,     /* 128..191: RTP or RTCP */
    DEMUX_OTHER    /* reserved: MUST be dropped */
};

enum demux_kind demux(struct slice datagram);

#endif
