/*
 * Sorts what passes between a client and its peers, and says whether what is in the clear of it can
 * be what it claims to be. Looks at the first bytes only and keeps nothing. That is no proof: of
 * random bytes some pass, and only a key tells media from what imitates it. Called by the guard
 * once a datagram, on both straight paths.
 */
#include "srtp/classify.h"

#include "wire/channel_data.h"
#include "wire/demux.h"
#include "wire/stun.h"

#define DTLS_HEADER_LEN  13 /* type, version, epoch, sequence number, length */
#define DTLS_TYPE_CID    25 /* RFC 9146: a connection ID lies in front of the length */
#define DTLS_TYPE_MAX    26
#define DTLS_1_0         0xfeff
#define DTLS_1_2         0xfefd
#define DTLS_UNIFIED_MIN 32
#define DTLS_UNIFIED_CID 0x10
#define DTLS_UNIFIED_SEQ 0x08
#define DTLS_UNIFIED_LEN 0x04
#define DTLS_SEALED_MIN  16

static uint16_t u16_at(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static enum reason check_stun(struct slice datagram)
{
    const uint8_t *p = datagram.data;
    if (datagram.len < STUN_HEADER_LEN)
        return REASON_GUARD_STUN_MALFORMED;
    /* RFC 8489 section 5: "The Magic Cookie field MUST contain the fixed value 0x2112A442 in
     * network byte order. [...] it aids in distinguishing STUN packets from packets of other
     * protocols". ICE never was without it. The most significant 2 bits are 0 in all that demux
     * calls STUN. */
    if (((uint32_t)u16_at(p + 4) << 16 | u16_at(p + 6)) != STUN_MAGIC_COOKIE)
        return REASON_GUARD_STUN_MALFORMED;
    /* "The message length MUST contain the size of the message in bytes, not including the 20-byte
     * STUN header. Since all STUN attributes are padded to a multiple of 4 bytes, the last 2 bits
     * of this field are always zero." */
    const uint16_t len = u16_at(p + 2);
    return len % 4 == 0 && datagram.len - STUN_HEADER_LEN == len ? REASON_NONE
                                                                 : REASON_GUARD_STUN_MALFORMED;
}

/* DTLS 1.3's encrypted records: 001CSLEE (RFC 9147 section 4). */
static bool is_unified_record(struct slice datagram)
{
    const uint8_t first = datagram.data[0];
    const bool cid = (first & DTLS_UNIFIED_CID) != 0, has_len = (first & DTLS_UNIFIED_LEN) != 0;
    const size_t before_len = (first & DTLS_UNIFIED_SEQ) != 0 ? 3 : 2;
    /* A connection ID is as long as was negotiated, which nobody told us: at least a byte. */
    const size_t header_len = before_len + (has_len ? 2 : 0);
    /* Section 4.2.3: "This procedure requires the ciphertext length be at least 16 bytes. Receivers
     * MUST reject shorter records". */
    if (datagram.len < header_len + cid + DTLS_SEALED_MIN)
        return false;
    if (!has_len || cid)
        return true;
    const uint16_t len = u16_at(datagram.data + before_len);
    return len >= DTLS_SEALED_MIN && len <= datagram.len - header_len;
}

/* The first record: later ones may be a stranger's idea of padding, and receivers ignore them. */
static bool is_plain_record(struct slice datagram)
{
    const uint8_t *p = datagram.data;
    /* The smallest record carries one byte. */
    if (p[0] > DTLS_TYPE_MAX || datagram.len <= DTLS_HEADER_LEN)
        return false;
    const uint16_t version = u16_at(p + 1);
    if (version != DTLS_1_0 && version != DTLS_1_2)
        return false;
    if (p[0] == DTLS_TYPE_CID)
        return datagram.len > DTLS_HEADER_LEN + 1;
    const uint16_t len = u16_at(p + DTLS_HEADER_LEN - 2);
    return len >= 1 && len <= datagram.len - DTLS_HEADER_LEN;
}

static enum reason check_dtls(struct slice datagram)
{
    const bool good = datagram.data[0] >= DTLS_UNIFIED_MIN ? is_unified_record(datagram)
                                                           : is_plain_record(datagram);
    return good ? REASON_NONE : REASON_GUARD_DTLS_MALFORMED;
}

static enum reason check_channel(struct slice datagram)
{
    struct channel_data channel;
    if (channel_data_parse(&channel, datagram) != REASON_NONE)
        return REASON_GUARD_CHANNEL_MALFORMED;
    /* RFC 8656 section 12.5: "Over UDP, the padding is not required but MAY be included", and is
     * never more than three bytes. */
    const size_t behind = datagram.len - CHANNEL_HEADER_LEN - channel.payload.len;
    return behind <= (0 - channel.payload.len) % 4 ? REASON_NONE : REASON_GUARD_CHANNEL_MALFORMED;
}

void srtp_classify(struct srtp_class *out, struct slice datagram)
{
    *out = (struct srtp_class){.kind = SRTP_KIND_OTHER, .bad = REASON_GUARD_NOT_MEDIA};
    switch (demux(datagram)) {
    case DEMUX_RTP:
        if (rtp_is_rtcp(datagram)) {
            out->kind = SRTP_KIND_RTCP;
            out->bad = rtcp_parse(&out->u.rtcp, datagram);
        } else {
            out->kind = SRTP_KIND_RTP;
            out->bad = rtp_parse(&out->u.rtp, datagram);
        }
        break;
    case DEMUX_STUN:
        out->kind = SRTP_KIND_STUN;
        out->bad = check_stun(datagram);
        break;
    case DEMUX_DTLS:
        out->kind = SRTP_KIND_DTLS;
        out->bad = check_dtls(datagram);
        break;
    case DEMUX_CHANNEL:
        out->kind = SRTP_KIND_CHANNEL;
        out->bad = check_channel(datagram);
        break;
    case DEMUX_ZRTP:
    case DEMUX_OTHER:
    case DEMUX_EMPTY:
        break;
    }
}
