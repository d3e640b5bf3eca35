/*
 * Tags and replays by libsrtp2. One session a verifier, with a template stream: a stream of its own
 * for an SSRC is a copy that shares the template's keys, so it costs little, and master keys need
 * not be kept once there is one: the first packet that fits makes it. A template takes no roll-over
 * counter, and libsrtp2 looks at no tag without a stream: so a new SSRC is judged by
 * srtp/packet_tags first, and only what is authentic makes a stream. What is forged changes nothing
 * but the place of a search. Called by the guard for each packet.
 *
 * exception: the first verified packet allocates, for libsrtp2 makes its session then, and so does
 * that of a new SSRC, for it makes its stream then.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <srtp2/srtp.h>
#include <stdlib.h>

#include "base/secret.h"
#include "srtp/packet_tags.h"
#include "srtp/roll_over.h"
#include "srtp/srtp_settings.h"
#include "srtp/verifier.h"
#include "wire/rtp.h"

#define NO_STREAM    UINT32_MAX
#define PACKET_SMALL 2048 /* a datagram of nearly all networks */
#define PACKET_MAX   65536
#define WINDOW_MIN   64 /* of libsrtp2 */
#define INDEX_HALF   32768
#define ELSEWHERE_US 5000000ull /* half of the sequence numbers take longer */

struct stream {
    uint32_t ssrc;
    bool begun;       /* its first SRTP packet has verified: `highest` is valid */
    uint64_t highest; /* index of SRTP, 48 bits */
    uint64_t last_us; /* when one verified last */
    uint32_t ahead;   /* roll_over_resume */
};

struct srtp_verifier {
    srtp_t session;      /* NULL until something has fitted */
    srtp_t rtcp_session; /* the same, but for one fault of libsrtp2 (see make_sessions) */
    struct packet_tags *tags;
    struct srtp_keys keys; /* until there is a session, then zeros */
    uint32_t window;
    bool in_place, use_mki, tell_duplicates;
    /* What follows the payload: MKI and tag, and of SRTCP the index. */
    size_t trailer_len, rtcp_trailer_len;
    struct roll_over roll_over; /* of SSRCs that have not begun */
    uint32_t count, max;
    uint32_t latest; /* of `streams`: most packets are of the SSRC of the one before */
    struct stream streams[];
};

/* libsrtp2 would write to the standard error stream. Nothing of it is news: a stream that was made
 * as one that sends (see make_stream) and then receives is a "collision" to it. */
static void ignore_event(srtp_event_data_t *event)
{
}

bool srtp_verifier_available(void)
{
    return true;
}

static void set_suite(srtp_policy_t *policy, enum srtp_suite suite)
{
    switch (suite) {
    case SRTP_AES_128_SHA1_80:
    case SRTP_AES_128_SHA1_32:
    case SRTP_SUITE_COUNT:
        srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(&policy->rtp);
        break;
    case SRTP_AES_256_SHA1_80:
    case SRTP_AES_256_SHA1_32:
        srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80(&policy->rtp);
        break;
    case SRTP_AEAD_128_GCM:
        srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy->rtp);
        break;
    case SRTP_AEAD_256_GCM:
        srtp_crypto_policy_set_aes_gcm_256_16_auth(&policy->rtp);
        break;
    }
    policy->rtcp = policy->rtp;
    policy->rtp.auth_tag_len = srtp_suites[suite].tag_len;
    /* Tags only: nothing is decrypted, nothing written. libsrtp2 takes that for a claim that SRTCP
     * comes unencrypted, and knows no AEAD without decryption. */
    if (!srtp_suites[suite].aead)
        policy->rtp.sec_serv = sec_serv_auth;
}

static int make_session(srtp_t *session, const srtp_policy_t *policy)
{
    switch (srtp_create(session, policy)) {
    case srtp_err_status_ok:
        return 0;
    case srtp_err_status_alloc_fail:
        return -ENOMEM;
    default:
        return -EINVAL;
    }
}

/*
 * RFC 4568 section 6.2: of AES_CM_128_HMAC_SHA1_32 too "SRTCP auth. tag" is "80 bits". libsrtp2 2.5
 * looks for the MKI of SRTCP before a tag of the length of SRTP's, so these
 * suites with an MKI need a second session, in which both have 80 bits.
 */
static int make_sessions(struct srtp_verifier *v, srtp_policy_t *policy)
{
    int result = make_session(&v->session, policy);
    v->rtcp_session = v->session;
    if (result < 0 || !v->use_mki || policy->rtp.auth_tag_len == policy->rtcp.auth_tag_len)
        return result;
    policy->rtp.auth_tag_len = policy->rtcp.auth_tag_len;
    v->rtcp_session = NULL;
    return make_session(&v->rtcp_session, policy);
}

static int set_keys(struct srtp_verifier *v, const struct srtp_keys *keys)
{
    srtp_policy_t policy = {.ssrc = {.type = ssrc_any_inbound}};
    srtp_master_key_t masters[SRTP_MASTERS_MAX];
    srtp_master_key_t *list[SRTP_MASTERS_MAX];
    set_suite(&policy, keys->suite);
    policy.window_size = v->window;
    policy.keys = list;
    policy.num_master_keys = keys->count;
    for (unsigned i = 0; i < keys->count; i++) {
        /* libsrtp2 copies, but takes them without const. */
        masters[i] = (srtp_master_key_t){
            .key = (unsigned char *)(uintptr_t)keys->masters[i].key_and_salt,
            .mki_id = (unsigned char *)(uintptr_t)keys->masters[i].mki,
            .mki_size = keys->masters[i].mki_len,
        };
        list[i] = &masters[i];
    }
    return make_sessions(v, &policy);
}

static void free_sessions(struct srtp_verifier *v)
{
    if (v->rtcp_session && v->rtcp_session != v->session)
        srtp_dealloc(v->rtcp_session);
    /* libsrtp2 and the libraries below it wipe session keys; test_verifier looks for them. */
    if (v->session)
        srtp_dealloc(v->session);
    v->session = v->rtcp_session = NULL;
}

/* Most of a verifier's time and memory is libsrtp2's, and whoever forges is not to cause it. False:
 * out of memory. */
static bool has_session(struct srtp_verifier *v)
{
    if (v->session)
        return true;
    if (set_keys(v, &v->keys) < 0) {
        free_sessions(v);
        return false;
    }
    secret_cleanse(&v->keys, sizeof(v->keys));
    return true;
}

static bool keys_plausible(const struct srtp_keys *keys)
{
    if (keys->suite >= SRTP_SUITE_COUNT || keys->count == 0 || keys->count > SRTP_MASTERS_MAX)
        return false;
    const uint8_t mki_len = keys->masters[0].mki_len;
    for (unsigned i = 1; i < keys->count; i++) {
        if (keys->masters[i].mki_len != mki_len)
            return false;
    }
    return mki_len <= SRTP_MKI_MAX && (mki_len > 0 || keys->count == 1);
}

static int begin_roll_over(
    struct srtp_verifier *v, const struct srtp_keys *keys, const struct srtp_verifier *before)
{
    const int result = roll_over_init(&v->roll_over, keys, before ? before->count : 0);
    for (uint32_t i = 0; result == 0 && before && i < before->count; i++) {
        const struct stream *stream = &before->streams[i];
        if (stream->begun)
            roll_over_add_hint(&v->roll_over, stream->ssrc, (uint32_t)(stream->highest >> 16));
    }
    return result;
}

int srtp_verifier_new(struct srtp_verifier **out, const struct srtp_keys *keys,
    const struct srtp_verifier_options *options)
{
    if (!keys_plausible(keys) || options->window < WINDOW_MIN ||
        options->window > SRTP_WINDOW_MAX || options->streams == 0 ||
        options->streams > SRTP_STREAMS_MAX)
        return -EINVAL;
    struct srtp_verifier *v = calloc(1, sizeof(*v) + options->streams * sizeof(v->streams[0]));
    if (!v)
        return -ENOMEM;
    const struct srtp_suite_facts *suite = &srtp_suites[keys->suite];
    v->in_place = !suite->aead;
    v->use_mki = keys->masters[0].mki_len > 0;
    v->tell_duplicates = options->tell_duplicates;
    v->max = options->streams;
    v->window = options->window;
    v->keys = *keys;
    v->trailer_len = keys->masters[0].mki_len + suite->tag_len;
    v->rtcp_trailer_len = SRTCP_INDEX_LEN + keys->masters[0].mki_len +
                          (suite->aead ? suite->tag_len : SRTCP_HMAC_LEN);
    int result = packet_tags_new(&v->tags, keys);
    if (result == 0)
        result = begin_roll_over(v, keys, options->before);
    if (result < 0) {
        srtp_verifier_free(v);
        return result;
    }
    *out = v;
    return 0;
}

/* The first verifier takes 1.5 ms, for OpenSSL loads what it needs; and where libsrtp2 stands on
 * NSS, each takes 0.7 ms while there is no other, for the last one takes NSS down. No worker has
 * that time, so there is always one, of a key of zeros. */
static struct srtp_verifier *lasting;

static void init_once(void)
{
    static const struct srtp_keys keys = {.count = 1};
    static const struct srtp_verifier_options options = {.window = WINDOW_MIN, .streams = 1};
    if (srtp_init() == srtp_err_status_ok && srtp_verifier_new(&lasting, &keys, &options) == 0 &&
        !has_session(lasting)) {
        srtp_verifier_free(lasting);
        lasting = NULL;
    }
    srtp_install_event_handler(ignore_event);
}

int srtp_verifier_init(void)
{
    /* A second srtp_init fails. */
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init_once);
    return lasting ? 0 : -EIO;
}

void srtp_verifier_tell_roc(struct srtp_verifier *v, const struct srtp_keys *keys)
{
    roll_over_tell(&v->roll_over, keys);
}

void srtp_verifier_free(struct srtp_verifier *v)
{
    if (!v)
        return;
    free_sessions(v);
    packet_tags_free(v->tags);
    roll_over_deinit(&v->roll_over);
    secret_cleanse(&v->keys, sizeof(v->keys));
    free(v);
}

static uint32_t find_stream(struct srtp_verifier *v, uint32_t ssrc)
{
    if (v->latest < v->count && v->streams[v->latest].ssrc == ssrc)
        return v->latest;
    for (uint32_t i = 0; i < v->count; i++) {
        if (v->streams[i].ssrc == ssrc)
            return v->latest = i;
    }
    return NO_STREAM;
}

/* The caller has seen that there is room. */
static struct stream *add_stream(struct srtp_verifier *v, uint32_t ssrc)
{
    v->latest = v->count++;
    v->streams[v->latest] = (struct stream){.ssrc = ssrc};
    return &v->streams[v->latest];
}

static bool crowded(const struct srtp_verifier *v, uint32_t i)
{
    return i == NO_STREAM && v->count == v->max;
}

static srtp_err_status_t unprotect(
    struct srtp_verifier *v, void *packet, size_t packet_len, bool rtcp)
{
    int len = (int)packet_len;
    return rtcp ? srtp_unprotect_rtcp_mki(v->rtcp_session, packet, &len, v->use_mki)
                : srtp_unprotect_mki(v->session, packet, &len, v->use_mki);
}

/* `copy` is as large as the caller wants it to be, and not cleared beforehand: that would cost more
 * than the copy. What was decrypted there is nobody's business. */
static inline srtp_err_status_t unprotect_copy(
    struct srtp_verifier *v, struct slice packet, bool rtcp, uint32_t *copy)
{
    memcpy(copy, packet.data, packet.len);
    const srtp_err_status_t status = unprotect(v, copy, packet.len, rtcp);
    secret_cleanse(copy, packet.len);
    return status;
}

__attribute__((noinline)) static srtp_err_status_t unprotect_small(
    struct srtp_verifier *v, struct slice packet, bool rtcp)
{
    __attribute__((uninitialized)) uint32_t copy[PACKET_SMALL / 4];
    return unprotect_copy(v, packet, rtcp, copy);
}

__attribute__((noinline)) static srtp_err_status_t unprotect_large(
    struct srtp_verifier *v, struct slice packet, bool rtcp)
{
    __attribute__((uninitialized)) uint32_t copy[PACKET_MAX / 4];
    return unprotect_copy(v, packet, rtcp, copy);
}

static srtp_err_status_t ask_library(struct srtp_verifier *v, struct slice packet, bool rtcp)
{
    /* libsrtp2: "assumes that the RTP packet is aligned on a 32-bit boundary". Where it only
     * authenticates, it writes nothing: test_verifier has the packet in memory that is read-only.
     */
    if (v->in_place && !rtcp && (uintptr_t)packet.data % 4 == 0)
        return unprotect(v, (void *)(uintptr_t)packet.data, packet.len, false);
    if (packet.len <= PACKET_SMALL)
        return unprotect_small(v, packet, rtcp);
    return packet.len <= PACKET_MAX ? unprotect_large(v, packet, rtcp) : srtp_err_status_bad_param;
}

/* RFC 3711 appendix A, but that no counter is before 0: so does libsrtp2. */
static uint64_t estimate_index(uint64_t highest, uint16_t sequence)
{
    const uint32_t roc = (uint32_t)(highest >> 16);
    const uint16_t s_l = (uint16_t)highest;
    uint32_t v = roc;
    if (s_l < 32768) {
        if (highest > 32768 && sequence - s_l > 32768)
            v = roc - 1;
    } else if (highest > 32768 && s_l - 32768 > sequence) {
        v = roc + 1;
    }
    return (uint64_t)v << 16 | sequence;
}

/* The index was seen: of the packet that was, or of a forged one? */
static enum srtp_verdict judge_seen(
    struct srtp_verifier *v, const struct stream *stream, struct slice packet, bool rtcp)
{
    if (!v->tell_duplicates)
        return SRTP_SEEN;
    bool fits;
    if (rtcp) {
        fits = packet_tags_fit_rtcp(v->tags, packet);
    } else {
        const uint16_t sequence = (uint16_t)(packet.data[2] << 8 | packet.data[3]);
        const uint64_t index = estimate_index(stream->highest, sequence);
        fits = packet_tags_fit_rtp(v->tags, packet, (uint32_t)(index >> 16));
    }
    return fits ? SRTP_REPLAYED : SRTP_FAILED;
}

static enum srtp_verdict judge_status(struct srtp_verifier *v, srtp_err_status_t status,
    const struct stream *stream, struct slice packet, bool rtcp)
{
    switch (status) {
    case srtp_err_status_ok:
        return SRTP_VERIFIED;
    case srtp_err_status_replay_fail:
        return judge_seen(v, stream, packet, rtcp);
    case srtp_err_status_replay_old:
    case srtp_err_status_pkt_idx_old:
        return SRTP_TOO_OLD;
    default:
        return SRTP_FAILED;
    }
}

/*
 * RFC 3711 section 3.3.1: "2^15 packets would need to be lost […] before synchronization is lost."
 * So many are missing here, and not at the receiver, where media took another way for a while; none
 * would fit ever again. Only forward: what was seen stays seen.
 */
static bool goes_on(struct srtp_verifier *v, struct stream *stream, struct slice packet,
    uint16_t sequence, uint32_t *roc)
{
    const struct roll_over_ask ask = {v->tags, stream->ssrc, packet};
    *roc = (uint32_t)(estimate_index(stream->highest, sequence) >> 16);
    if (!roll_over_resume(&ask, &stream->ahead, roc))
        return false;
    const uint64_t index = (uint64_t)*roc << 16 | sequence;
    /* Nearer than that libsrtp2 would not take the counter over. */
    return index > stream->highest + INDEX_HALF &&
           srtp_set_stream_roc(v->session, stream->ssrc, *roc) == srtp_err_status_ok &&
           ask_library(v, packet, false) == srtp_err_status_ok;
}

static enum srtp_verdict judge_begun(struct srtp_verifier *v, struct stream *stream,
    struct slice packet, uint16_t sequence, uint64_t now_us)
{
    const srtp_err_status_t status = ask_library(v, packet, false);
    uint64_t index = estimate_index(stream->highest, sequence);
    if (status != srtp_err_status_ok) {
        uint32_t roc;
        if (now_us < stream->last_us + ELSEWHERE_US || !goes_on(v, stream, packet, sequence, &roc))
            return judge_status(v, status, stream, packet, false);
        index = (uint64_t)roc << 16 | sequence;
    }
    stream->last_us = now_us;
    if (index > stream->highest)
        stream->highest = index;
    return SRTP_VERIFIED;
}

/* libsrtp2 copies the template for a packet that is sent, too; it goes nowhere. That its index 0 is
 * marked as seen is forgotten with the counter that is set next. */
static void make_stream(struct srtp_verifier *v, uint32_t ssrc)
{
    uint32_t packet[(RTP_HEADER_LEN + SRTP_MAX_TRAILER_LEN) / 4] = {
        htonl(0x80000000), 0, htonl(ssrc)};
    int len = RTP_HEADER_LEN;
    srtp_protect_mki(v->session, packet, &len, v->use_mki, 0);
}

/* The first packet of an SSRC that has fitted under `roc`. */
static enum srtp_verdict begin_stream(struct srtp_verifier *v, const struct rtp_header *rtp,
    struct slice packet, uint32_t roc, uint64_t now_us)
{
    uint32_t i = find_stream(v, rtp->ssrc);
    if (crowded(v, i) || !has_session(v))
        return SRTP_CROWDED;
    if (roc > 0) {
        if (i == NO_STREAM || v->rtcp_session != v->session)
            make_stream(v, rtp->ssrc);
        srtp_set_stream_roc(v->session, rtp->ssrc, roc);
    }
    if (ask_library(v, packet, false) != srtp_err_status_ok) {
        /* Out of memory: as if it had not come. */
        if (i == NO_STREAM || v->rtcp_session != v->session)
            srtp_remove_stream(v->session, htonl(rtp->ssrc));
        return SRTP_CROWDED;
    }
    struct stream *stream = i == NO_STREAM ? add_stream(v, rtp->ssrc) : &v->streams[i];
    roll_over_found(&v->roll_over, rtp->ssrc);
    stream->begun = true;
    stream->highest = (uint64_t)roc << 16 | rtp->sequence;
    stream->last_us = now_us;
    return SRTP_VERIFIED;
}

static enum srtp_verdict judge_rtp(struct srtp_verifier *v, struct slice packet, uint64_t now_us)
{
    struct rtp_header rtp;
    if (rtp_parse(&rtp, packet) != REASON_NONE || packet.len < rtp.header_len + v->trailer_len)
        return SRTP_FAILED;
    const uint32_t i = find_stream(v, rtp.ssrc);
    if (i != NO_STREAM && v->streams[i].begun)
        return judge_begun(v, &v->streams[i], packet, rtp.sequence, now_us);
    const struct roll_over_ask ask = {v->tags, rtp.ssrc, packet};
    uint32_t roc;
    const enum srtp_verdict verdict = roll_over_find(&v->roll_over, &ask, now_us, &roc);
    return verdict == SRTP_VERIFIED ? begin_stream(v, &rtp, packet, roc, now_us) : verdict;
}

static enum srtp_verdict judge_rtcp(struct srtp_verifier *v, struct slice packet)
{
    struct rtcp_header rtcp;
    if (rtcp_parse(&rtcp, packet) != REASON_NONE ||
        packet.len < RTCP_HEADER_LEN + v->rtcp_trailer_len)
        return SRTP_FAILED;
    const uint32_t i = find_stream(v, rtcp.ssrc);
    if (i == NO_STREAM && !packet_tags_fit_rtcp(v->tags, packet))
        return SRTP_FAILED;
    if (crowded(v, i) || !has_session(v))
        return SRTP_CROWDED;
    const srtp_err_status_t status = ask_library(v, packet, true);
    if (status == srtp_err_status_ok && i == NO_STREAM)
        add_stream(v, rtcp.ssrc);
    return judge_status(v, status, i == NO_STREAM ? NULL : &v->streams[i], packet, true);
}

enum srtp_verdict srtp_verifier_judge(
    struct srtp_verifier *v, struct slice packet, bool rtcp, uint64_t now_us)
{
    return rtcp ? judge_rtcp(v, packet) : judge_rtp(v, packet, now_us);
}
