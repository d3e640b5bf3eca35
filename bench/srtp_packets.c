/*
 * SRTP by libsrtp2 for the media rows. A context a session: libsrtp2 looks its streams up in a
 * list, and a generator that walks through two hundred of them would be the slower one.
 *
 * Called by media.c and main.c.
 */
#include "bench/srtp_packets.h"

#include <srtp2/srtp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define KEY_MAX    46
#define WINDOW     1024
#define BLOCK      256 /* packets that are made, and then verified at once */
#define PACKET_MAX 1500
#define RTP_LEN    12

struct suite {
    const char *name;
    void (*set)(srtp_crypto_policy_t *policy);
    size_t tag_len;
    bool aead;
};

struct srtp_packets {
    const struct suite *suite;
    unsigned sessions;
    srtp_t contexts[];
};

static const struct suite suites[] = {
    {"AES_CM_128_HMAC_SHA1_80", srtp_crypto_policy_set_rtp_default, 10, false},
    {"AES_CM_128_HMAC_SHA1_32", srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32, 4, false},
    {"AES_256_CM_HMAC_SHA1_80", srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80, 10, false},
    {"AES_256_CM_HMAC_SHA1_32", srtp_crypto_policy_set_aes_cm_256_hmac_sha1_32, 4, false},
    {"AEAD_AES_128_GCM", srtp_crypto_policy_set_aes_gcm_128_16_auth, 16, true},
    {"AEAD_AES_256_GCM", srtp_crypto_policy_set_aes_gcm_256_16_auth, 16, true},
};

static const struct suite *find_suite(const char *name)
{
    for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++) {
        if (strcmp(name, suites[i].name) == 0) {
            return &suites[i];
        }
    }
    fprintf(stderr, "turnpike-bench: no such suite: %s\n", name);
    return NULL;
}

/* `auth_only`: what is encrypted stays so. NULL after one line on stderr. */
static srtp_t open_context(const struct suite *suite, srtp_ssrc_type_t type, bool auth_only)
{
    static bool begun;
    uint8_t key[KEY_MAX];
    srtp_policy_t policy = {.ssrc.type = type, .key = key, .window_size = WINDOW};
    srtp_t context;

    for (unsigned i = 0; i < KEY_MAX; i++) {
        key[i] = (uint8_t)(i + 1);
    }
    suite->set(&policy.rtp);
    suite->set(&policy.rtcp);
    if (auth_only) {
        policy.rtp.sec_serv = sec_serv_auth;
    }
    begun = begun || srtp_init() == srtp_err_status_ok;
    if (!begun || srtp_create(&context, &policy) != srtp_err_status_ok) {
        fprintf(stderr, "turnpike-bench: libsrtp2 refuses %s\n", suite->name);
        return NULL;
    }
    return context;
}

/* A context a session. NULL after one line on stderr. */
static struct srtp_packets *open_contexts(
    const struct suite *suite, unsigned sessions, srtp_ssrc_type_t type, bool auth_only)
{
    struct srtp_packets *p =
        suite != NULL ? calloc(1, sizeof(*p) + sessions * sizeof(p->contexts[0])) : NULL;

    if (p == NULL) {
        return NULL;
    }
    p->suite = suite;
    for (; p->sessions < sessions; p->sessions++) {
        p->contexts[p->sessions] = open_context(suite, type, auth_only);
        if (p->contexts[p->sessions] == NULL) {
            srtp_packets_free(p);
            return NULL;
        }
    }
    return p;
}

struct srtp_packets *srtp_packets_new(const char *suite, unsigned sessions)
{
    return open_contexts(find_suite(suite), sessions, ssrc_any_outbound, false);
}

void srtp_packets_free(struct srtp_packets *p)
{
    if (p == NULL) {
        return;
    }
    for (unsigned i = 0; i < p->sessions; i++) {
        srtp_dealloc(p->contexts[i]);
    }
    free(p);
}

size_t srtp_packets_tag_len(const struct srtp_packets *p)
{
    return p->suite->tag_len;
}

static void protect(srtp_t context, uint8_t *packet, size_t len)
{
    int length = (int)len;

    if (srtp_protect(context, packet, &length) != srtp_err_status_ok) {
        fputs("turnpike-bench: libsrtp2 refuses a packet\n", stderr);
        exit(EXIT_FAILURE);
    }
}

void srtp_packets_protect(struct srtp_packets *p, unsigned session, uint8_t *packet, size_t len)
{
    protect(p->contexts[session], packet, len);
}

static uint64_t cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* A block, the sessions in turns from `first` on. */
static void make_block(
    struct srtp_packets *from, uint64_t first, uint8_t (*packets)[PACKET_MAX], unsigned size)
{
    for (unsigned i = 0; i < BLOCK; i++) {
        uint16_t sequence = (uint16_t)((first + i) / from->sessions);
        const uint8_t header[RTP_LEN] = {
            0x80, 96, (uint8_t)(sequence >> 8), (uint8_t)sequence, [11] = 1};
        memcpy(packets[i], header, RTP_LEN);
        protect(
            from->contexts[(first + i) % from->sessions], packets[i], size - from->suite->tag_len);
    }
}

/* False: one of them does not verify. */
static bool verify_block(
    struct srtp_packets *to, uint64_t first, uint8_t (*packets)[PACKET_MAX], unsigned size)
{
    uint8_t scratch[PACKET_MAX];

    for (unsigned i = 0; i < BLOCK; i++) {
        uint8_t *packet = to->suite->aead ? memcpy(scratch, packets[i], size) : packets[i];
        int len = (int)size;
        if (srtp_unprotect(to->contexts[(first + i) % to->sessions], packet, &len) !=
            srtp_err_status_ok) {
            return false;
        }
    }
    return true;
}

static bool measure(
    struct srtp_packets *from, struct srtp_packets *to, const struct srtp_cost_of *of, double *ns)
{
    static uint8_t packets[BLOCK][PACKET_MAX];
    uint64_t used = 0, count = 0, warm = 2 * (uint64_t)of->sessions, measured = 0;

    while ((double)used < of->seconds * 1e9) {
        make_block(from, count, packets, of->size);
        uint64_t began = cpu_ns();
        if (!verify_block(to, count, packets, of->size)) {
            fputs("turnpike-bench: a packet does not verify\n", stderr);
            return false;
        }
        count += BLOCK;
        if (count > warm) { /* every stream has been made */
            used += cpu_ns() - began;
            measured += BLOCK;
        }
    }
    *ns = (double)used / (double)measured;
    return true;
}

int srtp_packets_cost(const struct srtp_cost_of *of, double *ns)
{
    const struct suite *suite = find_suite(of->suite);
    struct srtp_packets *from = open_contexts(suite, of->sessions, ssrc_any_outbound, false);
    struct srtp_packets *to =
        from != NULL ? open_contexts(suite, of->sessions, ssrc_any_inbound, !suite->aead) : NULL;
    bool good = to != NULL && measure(from, to, of, ns);

    srtp_packets_free(from);
    srtp_packets_free(to);
    return good ? 0 : -1;
}
