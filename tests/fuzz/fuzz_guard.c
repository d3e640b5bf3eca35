/*
 * Any row of deposits, packets and ticks against the guard, under keys that the input chooses:
 * bytes of the input's own, packets of whoever has the keys, and those with a byte changed. Below
 * `classify` nothing is dropped, what no sender made never passes where keys are required, and no
 * packet is changed.
 */
#include <errno.h>

#include "srtp/guard.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/srtp_sender.h"

#define SENDERS 4
#define STEP    8   /* bytes */
#define RAW_MAX 200 /* bytes of a packet of the input's own */
#define STREAMS 3   /* of a direction */

static const enum reason expected[] = {REASON_NONE, REASON_GUARD_NOT_MEDIA,
    REASON_GUARD_STUN_MALFORMED, REASON_GUARD_DTLS_MALFORMED, REASON_GUARD_CHANNEL_MALFORMED,
    REASON_GUARD_RTP_MALFORMED, REASON_GUARD_RTCP_MALFORMED, REASON_SRTP_FAILED,
    REASON_SRTP_REPLAYED, REASON_SRTP_TOO_OLD, REASON_SRTP_UNVERIFIED, REASON_SRTP_CROWDED};

struct fuzz_reasons fuzz_reasons = {
    .expected = expected, .count = sizeof(expected) / sizeof(expected[0])};

struct table {
    struct counters counters;
    struct srtp_guard *guard;
    struct srtp_session session;
    struct instant now;
    struct sender senders[SENDERS];
    bool begun[SENDERS];
};

static enum reason judge(struct table *t, struct slice packet, uint8_t how)
{
    const uint8_t level = how % (SRTP_GUARD_VERIFY_REQUIRED + 1), shift = how >> 6;
    uint8_t *exact = malloc(shift + packet.len + 1);
    FUZZ_REQUIRE(exact != NULL);
    if (packet.len > 0)
        memcpy(exact + shift, packet.data, packet.len);
    const struct srtp_packet p = {
        slice_of(exact + shift, packet.len), how >> 5 & 1, level, &t->now};
    const enum reason reason = srtp_guard_judge(t->guard, &t->session, &p);
    FUZZ_REQUIRE(packet.len == 0 || memcmp(exact + shift, packet.data, packet.len) == 0);
    FUZZ_REQUIRE(level >= SRTP_GUARD_CLASSIFY || reason == REASON_NONE);
    free(exact);
    fuzz_note(reason);
    return reason;
}

/* Of nobody who has a key. */
static void judge_strange(struct table *t, struct slice packet, uint8_t how)
{
    const enum reason reason = judge(t, packet, how);
    const bool media = packet.len > 0 && packet.data[0] >= 128 && packet.data[0] <= 191;
    FUZZ_REQUIRE(reason != REASON_NONE || !media ||
                 how % (SRTP_GUARD_VERIFY_REQUIRED + 1) < SRTP_GUARD_VERIFY_REQUIRED);
}

/* step: 0, how, seed, suite, SSRC, roll-over counter, end, sender. */
static void deposit(struct table *t, const uint8_t step[STEP])
{
    const unsigned who = step[7] % SENDERS;
    struct srtp_deposit d = {.until = t->now.wall_s + (int8_t)step[6],
        .binding = {.allocation = step[1] & 2 ? 7 : 0,
            .direction = step[1] & 1,
            .has_ssrc = step[1] & 4 || !(step[1] & 2),
            .ssrc = step[4],
            .user_len = 1,
            .user = "a"},
        .keys = step[1] & 8 ? sender_keys_mki(step[3] % SRTP_SUITE_COUNT, step[2], 1 + step[2] % 32)
                            : sender_keys(step[3] % SRTP_SUITE_COUNT, step[2])};
    d.keys.has_roc = step[1] & 16;
    d.keys.roc = step[5];
    if (t->begun[who])
        sender_deinit(&t->senders[who]);
    t->begun[who] = sender_init(&t->senders[who], &d.keys);
    const int rc = srtp_guard_deposit(t->guard, &t->session, &d, &t->now);
    FUZZ_REQUIRE(t->begun[who] && (rc == 0 || rc == -ENOSPC));
    FUZZ_REQUIRE(srtp_guard_key_count(&t->session) <= SRTP_SESSION_KEYS_MAX);
}

/* step: 1 or 2 (RTCP), how, SSRC, sequence number in two bytes, which byte, what to XOR, sender. */
static void send_one(struct table *t, const uint8_t step[STEP])
{
    static struct sent sent;
    const unsigned who = step[7] % SENDERS;
    const bool ok =
        t->begun[who] &&
        (step[0] % 4 == 2 ? sender_rtcp(&t->senders[who], step[2], &sent)
                          : sender_rtp(&t->senders[who], step[2],
                                (uint16_t)(step[3] << 8 | step[4]), step[5] % 64, &sent));
    if (!ok)
        return; /* libsrtp2 sends no index twice */
    if (step[6] == 0) {
        judge(t, slice_of(sent.u.bytes, sent.len), step[1]);
        if (step[5] & 64)
            judge(t, slice_of(sent.u.bytes, sent.len), step[1]);
        return;
    }
    sent.u.bytes[step[5] % sent.len] ^= step[6];
    judge_strange(t, slice_of(sent.u.bytes, sent.len), step[1]);
}

/* step: 3, how, bytes behind it, milliseconds in two bytes, seconds, window, replays. */
static size_t other(struct table *t, const uint8_t step[STEP], struct slice behind)
{
    const struct srtp_policy policy = {.replay = step[7] & 1 ? SRTP_REPLAY_COUNT : SRTP_REPLAY_DROP,
        .window = SRTP_WINDOW_MIN + step[6],
        .streams_per_direction = STREAMS,
        .key_grace_s = step[7] >> 1};
    size_t len = step[2] < behind.len ? step[2] : behind.len;
    len = len < RAW_MAX ? len : RAW_MAX;
    srtp_guard_set_policy(t->guard, &policy);
    t->now.mono_us += (step[3] << 8 | step[4]) * 1000ull;
    t->now.wall_s += step[5];
    srtp_guard_tick(t->guard, &t->session, &t->now);
    judge_strange(t, slice_of(behind.data, len), step[1]);
    return len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* Not on the stack, where sanitizers do not keep the alignment of counters. */
    static struct table t;
    memset(&t, 0, sizeof(t));
    t.now = (struct instant){.mono_us = US_PER_S, .wall_s = 1800000000};
    FUZZ_REQUIRE(srtp_verifier_init() == 0);
    t.guard = srtp_guard_new(&t.counters, 2 * STREAMS);
    FUZZ_REQUIRE(t.guard != NULL);
    for (size_t at = 0; size - at >= STEP;) {
        const uint8_t *step = data + at;
        at += STEP;
        if (step[0] % 4 == 0)
            deposit(&t, step);
        else if (step[0] % 4 == 3)
            at += other(&t, step, slice_of(data + at, size - at));
        else
            send_one(&t, step);
    }
    srtp_guard_end(t.guard, &t.session);
    FUZZ_REQUIRE(srtp_guard_key_count(&t.session) == 0);
    srtp_guard_free(t.guard);
    for (unsigned i = 0; i < SENDERS; i++) {
        if (t.begun[i])
            sender_deinit(&t.senders[i]);
    }
    return 0;
}
