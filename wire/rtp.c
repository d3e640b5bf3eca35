/*
 * What lies in the clear of RTP and RTCP headers, SRTP's and SRTCP's alike. Padding, the contents
 * of extensions and all RTCP behind the first eight bytes may be encrypted: none of it is read, and
 * a padding bit says nothing. Called by srtp/ once a media datagram.
 */
#include "wire/rtp.h"

#define RTP_VERSION          2
#define RTP_EXTENSION_BIT    0x10
#define EXTENSION_HEADER_LEN 4
#define RTCP_TYPE_MIN        192
#define RTCP_TYPE_MAX        223

static uint16_t u16_at(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t u32_at(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

bool rtp_is_rtcp(struct slice datagram)
{
    /* RFC 5761 section 4: "the RTCP packet type field occupies the same position in the packet as
     * the combination of the RTP marker (M) bit and the RTP payload type (PT)." RTCP has "the range
     * 209-223, then [...] the range 194-199, so that only the RTP payload types in the range 64-95
     * are blocked". */
    return datagram.len >= 2 && datagram.data[1] >= RTCP_TYPE_MIN &&
           datagram.data[1] <= RTCP_TYPE_MAX;
}

enum reason rtp_parse(struct rtp_header *out, struct slice datagram)
{
    const uint8_t *p = datagram.data;
    /* RFC 3550 section 5.1: "The first twelve octets are present in every RTP packet". Appendix
     * A.1: "RTP version field must equal 2." */
    if (datagram.len < RTP_HEADER_LEN || p[0] >> 6 != RTP_VERSION)
        return REASON_GUARD_RTP_MALFORMED;
    /* "The length of the packet must be consistent with CC". */
    size_t len = RTP_HEADER_LEN + 4u * (p[0] & 0x0f);
    if (len > datagram.len)
        return REASON_GUARD_RTP_MALFORMED;
    if ((p[0] & RTP_EXTENSION_BIT) != 0) {
        /* Section 5.3.1: "a 16-bit length field that counts the number of 32-bit words in the
         * extension, excluding the four-octet extension header (therefore zero is a valid
         * length)." */
        if (datagram.len - len < EXTENSION_HEADER_LEN)
            return REASON_GUARD_RTP_MALFORMED;
        len += EXTENSION_HEADER_LEN + 4u * u16_at(p + len + 2);
        if (len > datagram.len || len > UINT16_MAX)
            return REASON_GUARD_RTP_MALFORMED;
    }
    *out = (struct rtp_header){
        .ssrc = u32_at(p + 8),
        .timestamp = u32_at(p + 4),
        .sequence = u16_at(p + 2),
        .payload_type = p[1] & 0x7f,
        .marker = p[1] >> 7 != 0,
        .header_len = (uint16_t)len,
    };
    return REASON_NONE;
}

enum reason rtcp_parse(struct rtcp_header *out, struct slice datagram)
{
    const uint8_t *p = datagram.data;
    /* RFC 3711 section 3.4: encrypted is what comes "from the first RTCP packet, i.e., from the
     * ninth (9) octet to the end of the compound packet", so eight are there in clear. */
    if (datagram.len < RTCP_HEADER_LEN || p[0] >> 6 != RTP_VERSION || !rtp_is_rtcp(datagram))
        return REASON_GUARD_RTCP_MALFORMED;
    /* RFC 3550 section 6.4.1: "The length of this RTCP packet in 32-bit words minus one". One
     * without a sender's SSRC ("valid, but useless", section 6.6, and never first in a compound)
     * has no place in SRTCP. */
    const size_t len = 4u * (u16_at(p + 2) + 1u);
    if (len < RTCP_HEADER_LEN || len > datagram.len)
        return REASON_GUARD_RTCP_MALFORMED;
    *out = (struct rtcp_header){.ssrc = u32_at(p + 4), .packet_type = p[1]};
    return REASON_NONE;
}
