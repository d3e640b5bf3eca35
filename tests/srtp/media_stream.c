/*
 * Packets as libsrtp2 makes them, and faults put into them afterwards, so that nothing but the
 * fault is wrong with a packet. Contents are made from the stream's seed. Used by srtp_caller, one
 * thread.
 */
#include "tests/srtp/media_stream.h"

#include <stdlib.h>
#include <string.h>

#define KEPT          4096u /* of RTP, for replays; more than MEDIA_WINDOW */
#define RECENT        32u
#define RTP_LEN       12u
#define RTCP_LEN      8u
#define REPORT_LEN    28u /* SR without blocks */
#define TRAILER_RTCP  4u  /* E and the index */
#define PAYLOAD_TYPE  96
#define SENDER_REPORT 200

static const struct suite {
    const char *name;
    void (*rtp)(srtp_crypto_policy_t *policy);
    void (*rtcp)(srtp_crypto_policy_t *policy);
    size_t key_len, tag_len;
    bool aead;
} suites[] = {
    {"AES_CM_128_HMAC_SHA1_80", srtp_crypto_policy_set_rtp_default,
        srtp_crypto_policy_set_rtcp_default, 30, 10, false},
    {"AES_CM_128_HMAC_SHA1_32", srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32,
        srtp_crypto_policy_set_rtcp_default, 30, 4, false},
    {"AES_256_CM_HMAC_SHA1_80", srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80,
        srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80, 46, 10, false},
    {"AES_256_CM_HMAC_SHA1_32", srtp_crypto_policy_set_aes_cm_256_hmac_sha1_32,
        srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80, 46, 4, false},
    {"AEAD_AES_128_GCM", srtp_crypto_policy_set_aes_gcm_128_16_auth,
        srtp_crypto_policy_set_aes_gcm_128_16_auth, 28, 16, true},
    {"AEAD_AES_256_GCM", srtp_crypto_policy_set_aes_gcm_256_16_auth,
        srtp_crypto_policy_set_aes_gcm_256_16_auth, 44, 16, true},
};

static const struct suite *find_suite(const char *name)
{
    for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++) {
        if (strcmp(name, suites[i].name) == 0) {
            return &suites[i];
        }
    }
    return NULL;
}

bool media_suite(const char *name, const char **suite, size_t *len)
{
    const struct suite *found = find_suite(name);

    if (found == NULL) {
        return false;
    }
    *suite = found->name;
    *len = found->key_len;
    return true;
}

const char *media_status_text(srtp_err_status_t status)
{
    switch (status) {
    case srtp_err_status_ok:
        return "ok";
    case srtp_err_status_auth_fail:
        return "auth_fail";
    case srtp_err_status_cant_check: /* SRTCP that seems not to be encrypted */
        return "cant_check";
    case srtp_err_status_replay_fail:
        return "replay_fail";
    case srtp_err_status_replay_old:
        return "replay_old";
    case srtp_err_status_no_ctx:
        return "no_ctx";
    case srtp_err_status_bad_mki:
        return "bad_mki";
    default:
        return "other";
    }
}

bool media_is_rtcp(const uint8_t *bytes, size_t len)
{
    return len >= RTCP_LEN && bytes[1] >= 192 && bytes[1] <= 223;
}

static uint32_t read_u32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static void write_u32(uint8_t *out, uint32_t value)
{
    for (int i = 0; i < 4; i++) {
        out[i] = (uint8_t)(value >> (24 - 8 * i));
    }
}

uint32_t media_ssrc(const uint8_t *bytes, bool rtcp)
{
    return read_u32(bytes + (rtcp ? 4 : 8));
}

/* xorshift32 */
static uint32_t next_number(struct media_stream *s)
{
    s->seed ^= s->seed << 13;
    s->seed ^= s->seed >> 17;
    s->seed ^= s->seed << 5;
    return s->seed;
}

/* A context for one SSRC from this roll-over counter on, or NULL. */
static srtp_t open_context(const struct media_key *key, uint32_t ssrc, uint32_t roc)
{
    const struct suite *suite = find_suite(key->suite);
    struct media_key copy = *key; /* libsrtp2 takes no constants */
    srtp_master_key_t master = {
        .key = copy.bytes, .mki_id = copy.mki, .mki_size = (unsigned)key->mki_len};
    srtp_master_key_t *masters[] = {&master};
    srtp_policy_t policy = {
        .ssrc = {.type = ssrc_specific, .value = ssrc}, .window_size = MEDIA_WINDOW};
    srtp_t context;

    suite->rtp(&policy.rtp);
    suite->rtcp(&policy.rtcp);
    if (key->mki_len > 0) {
        policy.keys = masters;
        policy.num_master_keys = 1;
    } else {
        policy.key = copy.bytes;
    }
    if (srtp_create(&context, &policy) != srtp_err_status_ok) {
        return NULL;
    }
    if (roc > 0 && srtp_set_stream_roc(context, ssrc, roc) != srtp_err_status_ok) {
        srtp_dealloc(context);
        return NULL;
    }
    return context;
}

static bool open_both(struct media_stream *s)
{
    s->sender = open_context(&s->key, s->ssrc, s->roc);
    s->receiver = open_context(&s->key, s->ssrc, s->roc);
    return s->sender != NULL && s->receiver != NULL;
}

static void close_both(struct media_stream *s)
{
    if (s->sender != NULL) {
        srtp_dealloc(s->sender);
    }
    if (s->receiver != NULL) {
        srtp_dealloc(s->receiver);
    }
    s->sender = s->receiver = NULL;
}

bool media_stream_init(struct media_stream *s)
{
    s->sent = calloc(KEPT, sizeof(*s->sent));
    s->sent_count = 0;
    s->seed |= 1;
    return s->sent != NULL && open_both(s);
}

void media_stream_deinit(struct media_stream *s)
{
    close_both(s);
    free(s->sent);
}

bool media_stream_rekey(struct media_stream *s, const struct media_key *key)
{
    close_both(s);
    s->key = *key;
    s->reports = 0;
    return open_both(s);
}

static srtp_err_status_t protect(
    srtp_t context, const struct media_key *key, bool rtcp, struct media_packet *p)
{
    int len = (int)p->len;
    srtp_err_status_t status =
        rtcp ? srtp_protect_rtcp_mki(context, p->bytes, &len, key->mki_len > 0, 0)
             : srtp_protect_mki(context, p->bytes, &len, key->mki_len > 0, 0);

    p->len = (size_t)len;
    return status;
}

static srtp_err_status_t unprotect(
    srtp_t context, const struct media_key *key, const uint8_t *bytes, size_t length)
{
    uint8_t copy[sizeof(((struct media_packet *)0)->bytes)];
    int len = (int)length;

    memcpy(copy, bytes, length);
    return media_is_rtcp(bytes, length)
               ? srtp_unprotect_rtcp_mki(context, copy, &len, key->mki_len > 0)
               : srtp_unprotect_mki(context, copy, &len, key->mki_len > 0);
}

/* The next packet in the clear. */
static void write_clear(struct media_stream *s, bool rtcp, struct media_packet *p)
{
    size_t begin = rtcp ? RTCP_LEN : RTP_LEN;

    p->len = rtcp ? REPORT_LEN : RTP_LEN + s->size;
    for (size_t i = begin; i < p->len; i++) {
        p->bytes[i] = (uint8_t)(next_number(s) >> 7);
    }
    p->bytes[0] = 0x80;
    if (rtcp) {
        p->bytes[1] = SENDER_REPORT;
        p->bytes[2] = 0;
        p->bytes[3] = REPORT_LEN / 4 - 1;
        write_u32(p->bytes + 4, s->ssrc);
    } else {
        p->bytes[1] = PAYLOAD_TYPE;
        p->bytes[2] = (uint8_t)(s->sequence >> 8);
        p->bytes[3] = (uint8_t)s->sequence;
        write_u32(p->bytes + 4, (s->roc << 16 | s->sequence) * 960);
        write_u32(p->bytes + 8, s->ssrc);
    }
}

static void advance(struct media_stream *s, bool rtcp)
{
    if (rtcp) {
        s->reports++;
    } else if (++s->sequence == 0) {
        s->roc++;
    }
}

/* A whole one, and the sequence goes on. */
static bool make_whole(struct media_stream *s, bool rtcp, struct media_packet *out)
{
    write_clear(s, rtcp, out);
    advance(s, rtcp);
    return protect(s->sender, &s->key, rtcp, out) == srtp_err_status_ok;
}

/* The next packet of this stream under a key that is not its own. */
static bool make_under(
    struct media_stream *s, const struct media_key *key, bool rtcp, struct media_packet *out)
{
    srtp_t context = open_context(key, s->ssrc, s->roc);
    bool good = context != NULL;

    /* The index of SRTCP is that of the context: as many as this stream has sent, and one more, or
     * it would be a replay first of all. */
    for (uint64_t i = 0; good && rtcp && i < s->reports; i++) {
        write_clear(s, true, out);
        good = protect(context, key, true, out) == srtp_err_status_ok;
    }
    if (good) {
        write_clear(s, rtcp, out);
        good = protect(context, key, rtcp, out) == srtp_err_status_ok;
    }
    if (!rtcp) {
        advance(s, false);
    }
    if (context != NULL) {
        srtp_dealloc(context);
    }
    return good;
}

/* Where the tag begins. RFC 3711 section 3.1 and 3.4: behind MKI and index; RFC 7714 section 8.1
 * and 9.2: before them. */
static size_t tag_begin(const struct media_stream *s, bool rtcp, size_t len, size_t *tag_len)
{
    const struct suite *suite = find_suite(s->key.suite);

    *tag_len = rtcp && !suite->aead ? 10 : suite->tag_len;
    size_t behind = suite->aead ? s->key.mki_len + (rtcp ? TRAILER_RTCP : 0) : 0;
    return len - behind - *tag_len;
}

static void flip(struct media_stream *s, struct media_packet *p, size_t begin, size_t len)
{
    p->bytes[begin + next_number(s) % len] ^= (uint8_t)(1u << next_number(s) % 8);
}

static void flip_payload(struct media_stream *s, struct media_packet *p, bool rtcp)
{
    flip(s, p, rtcp ? RTCP_LEN : RTP_LEN, rtcp ? REPORT_LEN - RTCP_LEN : s->size);
}

/* Bits of [begin, end) that are not those of the other packet. */
static unsigned bits_apart(
    const struct media_packet *a, const struct media_packet *b, size_t begin, size_t end)
{
    unsigned count = 0;

    for (size_t i = begin; i < end; i++) {
        count += (unsigned)__builtin_popcount(a->bytes[i] ^ b->bytes[i]);
    }
    return count;
}

/* One bit of [begin, end), and none elsewhere. */
static bool one_bit_apart(
    const struct media_packet *a, const struct media_packet *b, size_t begin, size_t end)
{
    return a->len == b->len && bits_apart(a, b, begin, end) == 1 &&
           bits_apart(a, b, 0, a->len) == 1;
}

/* False: what was made is not the fault. */
static bool damage(
    struct media_stream *s, enum media_fault fault, bool rtcp, struct media_packet *p)
{
    const struct media_packet whole = *p;
    size_t header = rtcp ? RTCP_LEN : RTP_LEN, tag_len, tag = tag_begin(s, rtcp, p->len, &tag_len);

    switch (fault) {
    case FAULT_HEADER:
        if (rtcp) {
            p->bytes[0] ^= 1;
        } else {
            flip(s, p, 4, 4);
        }
        return one_bit_apart(p, &whole, 0, header);
    case FAULT_PAYLOAD:
        flip_payload(s, p, rtcp);
        return one_bit_apart(p, &whole, header, tag);
    case FAULT_TAG:
        flip(s, p, tag, tag_len);
        return one_bit_apart(p, &whole, tag, tag + tag_len);
    default:
        memmove(p->bytes + tag + tag_len - 1, p->bytes + tag + tag_len, p->len - tag - tag_len);
        p->len--;
        return bits_apart(p, &whole, 0, tag + tag_len - 1) == 0;
    }
}

/* A packet that was sent, `ago` before the latest (0) of RTP. */
static bool recall(const struct media_stream *s, uint64_t ago, bool rtcp, struct media_packet *out)
{
    if (rtcp ? s->sent_rtcp.len == 0 : ago >= s->sent_count || ago >= KEPT) {
        return false;
    }
    *out = rtcp ? s->sent_rtcp : s->sent[(s->sent_count - 1 - ago) % KEPT];
    return true;
}

static void keep(struct media_stream *s, bool rtcp, const struct media_packet *p)
{
    if (rtcp) {
        s->sent_rtcp = *p;
    } else {
        s->sent[s->sent_count++ % KEPT] = *p;
    }
}

static bool make_again(
    struct media_stream *s, enum media_fault fault, bool rtcp, struct media_packet *out)
{
    uint64_t recent = s->sent_count < RECENT ? s->sent_count : RECENT;
    uint64_t ago = recent > 0 ? next_number(s) % recent : 0;

    if (!recall(s, fault == FAULT_OLD ? MEDIA_WINDOW + RECENT : ago, rtcp, out)) {
        return false;
    }
    const struct media_packet whole = *out;
    if (fault == FAULT_FORGED) {
        flip_payload(s, out, rtcp);
    }
    return fault != FAULT_FORGED || one_bit_apart(out, &whole, rtcp ? RTCP_LEN : RTP_LEN, out->len);
}

bool media_stream_make(struct media_stream *s, struct media_stream *other, enum media_fault fault,
    bool rtcp, struct media_packet *out)
{
    struct media_key wrong = s->key;

    switch (fault) {
    case FAULT_WRONG_KEY:
        wrong.bytes[next_number(s) % 16] ^= (uint8_t)(1u << next_number(s) % 8);
        return make_under(s, &wrong, rtcp, out);
    case FAULT_WRONG_DIRECTION:
        return other != NULL && make_under(s, &other->key, rtcp, out);
    case FAULT_REFLECTED:
        return other != NULL && recall(other, 0, rtcp, out);
    case FAULT_REPLAY:
    case FAULT_OLD:
    case FAULT_FORGED:
        return make_again(s, fault, rtcp, out);
    default:
        break;
    }
    if (!make_whole(s, rtcp, out)) {
        return false;
    }
    if (fault != FAULT_PLAIN) {
        return damage(s, fault, rtcp, out);
    }
    keep(s, rtcp, out);
    return true;
}

srtp_err_status_t media_stream_receive(struct media_stream *s, const uint8_t *bytes, size_t len)
{
    return unprotect(s->receiver, &s->key, bytes, len);
}

srtp_err_status_t media_stream_judge_alone(
    const struct media_stream *s, const struct media_packet *p, bool rtcp)
{
    srtp_t context = open_context(&s->key, media_ssrc(p->bytes, rtcp), s->roc);
    srtp_err_status_t status = srtp_err_status_fail;

    if (context != NULL) {
        status = unprotect(context, &s->key, p->bytes, p->len);
        srtp_dealloc(context);
    }
    return status;
}
