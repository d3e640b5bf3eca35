/* The other side: what sends SRTP and SRTCP under a deposit's keys, by libsrtp2's own protect. */
#ifndef TESTS_UNIT_SRTP_SENDER_H
#define TESTS_UNIT_SRTP_SENDER_H

#include <arpa/inet.h>
#include <srtp2/srtp.h>
#include <stdlib.h>
#include <string.h>

#include "srtp/keys.h"
#include "srtp/verifier.h"

/* Of four bytes, for libsrtp2 demands alignment. */
struct sent {
    union {
        uint8_t bytes[65536];
        uint32_t words[16384];
    } u;
    size_t len;
};

struct sender {
    srtp_t session;
    bool use_mki;
    unsigned mki; /* index of the master that is used */
};

/* Masters that differ in each byte from seed to seed. */
static inline struct srtp_keys sender_keys(enum srtp_suite suite, uint8_t seed)
{
    struct srtp_keys keys = {.suite = suite, .count = 1};
    const struct srtp_suite_facts *facts = &srtp_suites[suite];
    for (unsigned i = 0; i < (unsigned)facts->key_len + facts->salt_len; i++)
        keys.masters[0].key_and_salt[i] = (uint8_t)(seed + 31 * suite + 7 * i + i * i * seed);
    return keys;
}

/* The same with a second master, told apart by MKIs of `mki_len` bytes: 1 and 2. */
static inline struct srtp_keys sender_keys_mki(enum srtp_suite suite, uint8_t seed, uint8_t mki_len)
{
    struct srtp_keys keys = sender_keys(suite, seed);
    keys.masters[1] = sender_keys(suite, (uint8_t)(seed + 1)).masters[0];
    keys.count = 2;
    for (unsigned i = 0; i < 2; i++) {
        keys.masters[i].mki_len = mki_len;
        keys.masters[i].mki[mki_len - 1] = (uint8_t)(i + 1);
    }
    return keys;
}

static inline void sender_policy(srtp_policy_t *p, enum srtp_suite suite)
{
    static void (*const rtp[SRTP_SUITE_COUNT])(srtp_crypto_policy_t *) = {
        srtp_crypto_policy_set_rtp_default,
        srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32,
        srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80,
        srtp_crypto_policy_set_aes_cm_256_hmac_sha1_32,
        srtp_crypto_policy_set_aes_gcm_128_16_auth,
        srtp_crypto_policy_set_aes_gcm_256_16_auth,
    };
    rtp[suite](&p->rtp);
    rtp[suite](&p->rtcp);
    if (!srtp_suites[suite].aead)
        p->rtcp.auth_tag_len = 10;
}

/* False: libsrtp2 refuses. */
static inline bool sender_init(struct sender *s, const struct srtp_keys *keys)
{
    srtp_policy_t policy = {.ssrc = {.type = ssrc_any_outbound}, .window_size = 32000};
    srtp_master_key_t masters[SRTP_MASTERS_MAX];
    srtp_master_key_t *list[SRTP_MASTERS_MAX];
    struct srtp_keys copy = *keys;
    for (unsigned i = 0; i < keys->count; i++) {
        masters[i] = (srtp_master_key_t){
            copy.masters[i].key_and_salt, copy.masters[i].mki, copy.masters[i].mki_len};
        list[i] = &masters[i];
    }
    policy.keys = list;
    policy.num_master_keys = keys->count;
    sender_policy(&policy, keys->suite);
    *s = (struct sender){.use_mki = keys->masters[0].mki_len > 0};
    const bool ok = srtp_create(&s->session, &policy) == srtp_err_status_ok;
    memset(&copy, 0, sizeof(copy));
    return ok;
}

static inline void sender_deinit(struct sender *s)
{
    srtp_dealloc(s->session);
}

static inline size_t sender_write_rtp(
    uint8_t *out, uint32_t ssrc, uint16_t sequence, size_t payload_len)
{
    const uint32_t net = htonl(ssrc);
    memset(out, 0, 12);
    out[0] = 0x80;
    out[1] = 96;
    out[2] = (uint8_t)(sequence >> 8);
    out[3] = (uint8_t)sequence;
    memcpy(out + 8, &net, 4);
    for (size_t i = 0; i < payload_len; i++)
        out[12 + i] = (uint8_t)(sequence + i);
    return 12 + payload_len;
}

/* False: libsrtp2 refuses. */
static inline bool sender_rtp(
    struct sender *s, uint32_t ssrc, uint16_t sequence, size_t payload_len, struct sent *out)
{
    int len = (int)sender_write_rtp(out->u.bytes, ssrc, sequence, payload_len);
    const bool ok =
        srtp_protect_mki(s->session, out->u.bytes, &len, s->use_mki, s->mki) == srtp_err_status_ok;
    out->len = (size_t)len;
    return ok;
}

/* A sender report with one report block, compounded with nothing. */
static inline bool sender_rtcp(struct sender *s, uint32_t ssrc, struct sent *out)
{
    const uint32_t net = htonl(ssrc);
    int len = 52;
    for (int i = 0; i < len; i++)
        out->u.bytes[i] = (uint8_t)i;
    out->u.bytes[0] = 0x81;
    out->u.bytes[1] = 200;
    out->u.bytes[2] = 0;
    out->u.bytes[3] = 12;
    memcpy(out->u.bytes + 4, &net, 4);
    const bool ok = srtp_protect_rtcp_mki(s->session, out->u.bytes, &len, s->use_mki, s->mki) ==
                    srtp_err_status_ok;
    out->len = (size_t)len;
    return ok;
}

/* The first packet of this SSRC has this counter. */
static inline bool sender_set_roc(struct sender *s, uint32_t ssrc, uint32_t roc)
{
    static struct sent unsent;
    if (roc == 0)
        return true;
    if (srtp_set_stream_roc(s->session, ssrc, roc) == srtp_err_status_ok)
        return true;
    /* A stream is there once something has been sent. */
    return sender_rtp(s, ssrc, 0, 0, &unsent) &&
           srtp_set_stream_roc(s->session, ssrc, roc) == srtp_err_status_ok;
}

static inline enum srtp_verdict judge_sent(
    struct srtp_verifier *v, const struct sent *sent, bool rtcp, uint64_t now_us)
{
    return srtp_verifier_judge(v, slice_of(sent->u.bytes, sent->len), rtcp, now_us);
}

#endif
