/*
 * One SSRC in one direction, protected by libsrtp2 as an endpoint does it: what is sent, whole or
 * with a fault, and what the far end makes of it.
 */
#ifndef TESTS_SRTP_MEDIA_STREAM_H
#define TESTS_SRTP_MEDIA_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <srtp2/srtp.h>

#define MEDIA_KEY_MAX  46
#define MEDIA_MKI_MAX  16
#define MEDIA_STATUSES (srtp_err_status_pkt_idx_adv + 1)
#define MEDIA_WINDOW   1024 /* of the far end, in packets */

/* What becomes of a packet on its way, or what is sent in its place. */
#define MEDIA_FAULTS(F)                                                                            \
    F(PLAIN, "plain")                                                                              \
    F(HEADER, "header")                   /* a bit of the time stamp; of RTCP: of the RC field */  \
    F(PAYLOAD, "payload")                 /* a bit of what is encrypted */                         \
    F(TAG, "tag")                         /* a bit of the tag */                                   \
    F(TRUNCATED, "truncated")             /* the last byte of the tag is missing */                \
    F(WRONG_KEY, "wrong_key")             /* the next packet under another master key */           \
    F(WRONG_DIRECTION, "wrong_direction") /* the next packet under the key of the other way */     \
    F(REFLECTED, "reflected")             /* what came the other way, sent back */                 \
    F(REPLAY, "replay")                   /* the packet before, once more */                       \
    F(OLD, "old")                         /* one from before the window, once more */              \
    F(FORGED, "forged")                   /* another payload under the index of the one before */

enum media_fault {
#define FAULT(id, name) FAULT_##id,
    MEDIA_FAULTS(FAULT)
#undef FAULT
        FAULT_COUNT
};

struct media_key {
    const char *suite; /* of RFC 4568; a constant */
    size_t len, mki_len;
    uint8_t bytes[MEDIA_KEY_MAX], mki[MEDIA_MKI_MAX];
};

struct media_packet {
    uint8_t bytes[1500];
    size_t len;
};

struct media_stream {
    char name[32];
    uint8_t direction;
    uint32_t ssrc, roc; /* roll-over counter of the next packet */
    uint16_t sequence;  /* of the next packet */
    unsigned size;      /* of the payload in the clear */
    struct media_key key;
    srtp_t sender, receiver;
    uint32_t seed;
    struct media_packet *sent; /* the latest of RTP, by number */
    uint64_t sent_count;
    uint64_t reports;              /* RTCP under this key */
    struct media_packet sent_rtcp; /* the latest; len 0: none */
};

/* False: no such suite. Sets *len to the bytes of key and salt that it takes. */
bool media_suite(const char *name, const char **suite, size_t *len);
const char *media_status_text(srtp_err_status_t status);

/* name, direction, ssrc, roc, sequence, size, seed and key are given. False: libsrtp2 refuses. */
bool media_stream_init(struct media_stream *s);
void media_stream_deinit(struct media_stream *s);
/* Goes on under this key, at both ends. */
bool media_stream_rekey(struct media_stream *s, const struct media_key *key);

/* The next packet with such a fault; `other`: the stream whose key or packet two of the faults
 * take. False: it cannot be made (yet), or what was made is another fault than this. */
bool media_stream_make(struct media_stream *s, struct media_stream *other, enum media_fault fault,
    bool rtcp, struct media_packet *out);
/* What the far end says of a packet that has come. */
srtp_err_status_t media_stream_receive(struct media_stream *s, const uint8_t *bytes, size_t len);
/* What a far end would say that has seen nothing before. */
srtp_err_status_t media_stream_judge_alone(
    const struct media_stream *s, const struct media_packet *p, bool rtcp);
/* RFC 5761 section 4 */
bool media_is_rtcp(const uint8_t *bytes, size_t len);
uint32_t media_ssrc(const uint8_t *bytes, bool rtcp);

#endif
