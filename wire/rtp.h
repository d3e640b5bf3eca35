/*
 * What can be read of RTP and RTCP without their keys: RFC 3550 sections 5.1, 5.3.1 and 6.4, RFC
 * 5761 section 4. SRTP and SRTCP encrypt padding, extensions' contents and all but the first header
 * of a compound: nothing of these is looked at. Pure; numbers in host byte order.
 */
#ifndef WIRE_RTP_H
#define WIRE_RTP_H

#include "base/counters.h"
#include "base/slice.h"

#define RTP_HEADER_LEN  12
#define RTCP_HEADER_LEN 8 /* up to the sender's SSRC, which all that is encrypted follows */

struct rtp_header {
    uint32_t ssrc, timestamp;
    uint16_t sequence;
    uint8_t payload_type; /* 0–127 */
    bool marker;
    uint16_t header_len; /* bytes to the payload: CSRCs and the extension included */
};

struct rtcp_header {
    uint32_t ssrc;
    uint8_t packet_type; /* 192–223 */
};

/* Of a datagram whose first byte says RTP or RTCP (demux): packet types 192–223. What is too short
 * to say is RTP. */
bool rtp_is_rtcp(struct slice datagram);
/* REASON_NONE, or REASON_GUARD_RTP_MALFORMED with *out untouched: version, CSRC count and extension
 * lie within the datagram. */
enum reason rtp_parse(struct rtp_header *out, struct slice datagram);
/* REASON_NONE, or REASON_GUARD_RTCP_MALFORMED with *out untouched: version, type, and the first
 * packet's length, which takes in its sender's SSRC and ends inside the datagram. */
enum reason rtcp_parse(struct rtcp_header *out, struct slice datagram);

#endif
