/* A guard with one session, packets for it and keys of it. */
#ifndef TESTS_UNIT_GUARD_BENCH_H
#define TESTS_UNIT_GUARD_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "srtp/guard.h"
#include "tests/unit/fake_verifier.h"

#define SSRC  0x11223344u
#define OTHER 0x55667788u
#define GRACE 30

struct bench {
    struct counters counters;
    struct srtp_guard *guard;
    struct srtp_session session;
    struct srtp_policy policy;
    struct instant now;
};

static inline int open_bench(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));
    assert_non_null(b);
    fakes_reset();
    b->now = (struct instant){.mono_us = 1000 * US_PER_S, .wall_s = 1800000000};
    b->policy = (struct srtp_policy){SRTP_REPLAY_DROP, 512, 4, GRACE};
    b->guard = srtp_guard_new(&b->counters, 100);
    assert_non_null(b->guard);
    srtp_guard_set_policy(b->guard, &b->policy);
    *state = b;
    return 0;
}

static inline int close_bench(void **state)
{
    struct bench *b = *state;
    srtp_guard_end(b->guard, &b->session);
    assert_int_equal(fakes_live, 0);
    assert_null(srtp_guard_next_stream(b->guard, &b->session, NULL));
    srtp_guard_free(b->guard);
    free(b);
    return 0;
}

static inline uint64_t metric(const struct bench *b, enum metric m)
{
    return atomic_load(&b->counters.metric[m]);
}

/* Bytes that are exactly as long as the packet. */
static inline enum reason judge(
    struct bench *b, uint8_t level, uint8_t direction, struct slice bytes)
{
    uint8_t *copy = malloc(bytes.len + 1);
    assert_non_null(copy);
    memcpy(copy, bytes.data, bytes.len);
    const struct srtp_packet p = {slice_of(copy, bytes.len), direction, level, &b->now};
    fake_asked = 0;
    const enum reason reason = srtp_guard_judge(b->guard, &b->session, &p);
    assert_memory_equal(copy, bytes.data, bytes.len);
    free(copy);
    return reason;
}

static inline enum reason judge_rtp(
    struct bench *b, uint8_t level, uint8_t direction, uint32_t ssrc, uint16_t sequence)
{
    const uint8_t rtp[20] = {0x80, 96, (uint8_t)(sequence >> 8), (uint8_t)sequence, 0, 0, 0, 1,
        (uint8_t)(ssrc >> 24), (uint8_t)(ssrc >> 16), (uint8_t)(ssrc >> 8), (uint8_t)ssrc};
    return judge(b, level, direction, slice_of(rtp, sizeof(rtp)));
}

static inline enum reason judge_rtcp(
    struct bench *b, uint8_t level, uint8_t direction, uint32_t ssrc)
{
    const uint8_t rtcp[28] = {0x80, 200, 0, 6, (uint8_t)(ssrc >> 24), (uint8_t)(ssrc >> 16),
        (uint8_t)(ssrc >> 8), (uint8_t)ssrc};
    return judge(b, level, direction, slice_of(rtcp, sizeof(rtcp)));
}

static inline struct srtp_deposit deposit_of(const struct bench *b, uint8_t direction, uint8_t name)
{
    struct srtp_deposit d = {.until = b->now.wall_s + 3600,
        .binding = {.allocation = 7, .direction = direction},
        .keys = {.suite = SRTP_AEAD_128_GCM, .count = 1}};
    d.keys.masters[0].key_and_salt[0] = name;
    return d;
}

static inline int deposit(struct bench *b, uint8_t direction, uint8_t name)
{
    const struct srtp_deposit d = deposit_of(b, direction, name);
    return srtp_guard_deposit(b->guard, &b->session, &d, &b->now);
}

static inline int deposit_for(struct bench *b, uint8_t direction, uint8_t name, uint32_t ssrc)
{
    struct srtp_deposit d = deposit_of(b, direction, name);
    d.binding.has_ssrc = true;
    d.binding.ssrc = ssrc;
    return srtp_guard_deposit(b->guard, &b->session, &d, &b->now);
}

static inline unsigned streams(const struct bench *b)
{
    unsigned n = 0;
    const struct srtp_stream *s = NULL;
    while ((s = srtp_guard_next_stream(b->guard, &b->session, s)))
        n++;
    return n;
}

#define GUARD_TEST(name) cmocka_unit_test_setup_teardown(name, open_bench, close_bench)

#endif
