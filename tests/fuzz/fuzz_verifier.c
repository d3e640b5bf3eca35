/*
 * Any row of packets against a verifier with fixed keys: bytes of the input's own, packets of a
 * real sender, and those with a byte changed. What no sender made never verifies and never passes
 * for a duplicate, what one made never fails, and no packet is changed.
 */
#include "tests/fuzz/fuzz.h"
#include "tests/unit/srtp_sender.h"

#define SSRCS     5 /* one more than may be */
#define SEQUENCES 16
#define RTCPS     8
#define RAW_MAX   200

static const char *const names[SRTP_VERDICT_COUNT] = {
    "verified", "replayed", "failed", "seen", "too_old", "unverified", "crowded"};

struct fuzz_reasons fuzz_reasons = {.count = SRTP_VERDICT_COUNT, .names = names};

/* Of one suite; made once, for a sender costs more than a thousand packets. */
struct stock {
    bool made;
    struct sent rtp[SSRCS][SEQUENCES], rtcp[SSRCS][RTCPS];
};

static struct srtp_keys keys_of(unsigned kind)
{
    const enum srtp_suite suite = kind % SRTP_SUITE_COUNT;
    return kind < SRTP_SUITE_COUNT ? sender_keys(suite, 1) : sender_keys_mki(suite, 1, 4);
}

static const struct stock *stock_of(unsigned kind)
{
    static struct stock stocks[2 * SRTP_SUITE_COUNT];
    struct stock *s = &stocks[kind];
    if (s->made)
        return s;
    const struct srtp_keys keys = keys_of(kind);
    struct sender tx;
    FUZZ_REQUIRE(srtp_verifier_init() == 0 && sender_init(&tx, &keys));
    for (unsigned i = 0; i < SSRCS; i++) {
        /* Over a wrap, and further apart than a window towards the end. */
        for (unsigned n = 0; n < SEQUENCES; n++)
            FUZZ_REQUIRE(sender_rtp(
                &tx, i, (uint16_t)(65530 + n + (n > 12 ? 100 * n : 0)), n, &s->rtp[i][n]));
        for (unsigned n = 0; n < RTCPS; n++)
            FUZZ_REQUIRE(sender_rtcp(&tx, i, &s->rtcp[i][n]));
    }
    sender_deinit(&tx);
    s->made = true;
    return s;
}

static enum srtp_verdict judge(
    struct srtp_verifier *v, struct slice packet, bool rtcp, unsigned shift)
{
    static uint64_t now_us;
    uint8_t *exact = malloc(shift + packet.len + 1);
    FUZZ_REQUIRE(exact != NULL);
    if (packet.len > 0)
        memcpy(exact + shift, packet.data, packet.len);
    const enum srtp_verdict verdict =
        srtp_verifier_judge(v, slice_of(exact + shift, packet.len), rtcp, now_us += 1000);
    FUZZ_REQUIRE(packet.len == 0 || memcmp(exact + shift, packet.data, packet.len) == 0);
    free(exact);
    fuzz_note_outcome(verdict);
    return verdict;
}

static void judge_raw(struct srtp_verifier *v, struct slice packet, uint8_t how)
{
    const enum srtp_verdict verdict = judge(v, packet, how & 1, how >> 1 & 3);
    FUZZ_REQUIRE(verdict != SRTP_VERIFIED && verdict != SRTP_REPLAYED && verdict != SRTP_CROWDED);
}

static void judge_stock(struct srtp_verifier *v, const struct stock *s, const uint8_t step[4])
{
    static struct sent changed;
    const bool rtcp = step[0] & 1;
    const unsigned i = step[1] % SSRCS;
    const struct sent *sent =
        rtcp ? &s->rtcp[i][step[1] / SSRCS % RTCPS] : &s->rtp[i][step[1] / SSRCS % SEQUENCES];
    if (step[3] == 0) {
        const enum srtp_verdict verdict = judge(v, slice_of(sent->u.bytes, sent->len), rtcp, 0);
        FUZZ_REQUIRE(verdict != SRTP_FAILED && verdict != SRTP_UNVERIFIED);
        return;
    }
    changed.len = sent->len;
    memcpy(changed.u.bytes, sent->u.bytes, sent->len);
    changed.u.bytes[step[2] % sent->len] ^= step[3];
    judge_raw(v, slice_of(changed.u.bytes, changed.len), step[0]);
}

/* First the keys and how they are used; then steps of four bytes, of which one may say that the
 * bytes behind it are a packet. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    const unsigned kind = data[0] % (2 * SRTP_SUITE_COUNT);
    const struct stock *stock = stock_of(kind);
    const struct srtp_verifier_options options = {
        .window = 128, .streams = SSRCS - 1, .tell_duplicates = data[0] & 0x80};
    struct srtp_keys keys = keys_of(kind);
    keys.has_roc = data[0] & 0x40;
    struct srtp_verifier *v = NULL;
    FUZZ_REQUIRE(srtp_verifier_new(&v, &keys, &options) == 0);
    for (size_t at = 1; size - at >= 4;) {
        const uint8_t *step = data + at;
        at += 4;
        if ((step[0] & 0x80) == 0) {
            judge_stock(v, stock, step);
            continue;
        }
        const size_t left = size - at, len = step[1] < left ? step[1] : left;
        judge_raw(v, slice_of(data + at, len < RAW_MAX ? len : RAW_MAX), step[0]);
        at += len;
    }
    srtp_verifier_free(v);
    return 0;
}
