/*
 * Media of libsrtp2's own making over a network that loses 30 % and reorders within the window,
 * while sequence numbers wrap, for who joins late and over a change of keys: nothing that was sent
 * may be dropped. Virtual time; one generator a seed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/thorough.h"
#include "tests/unit/srtp_sender.h"

#define SEEDS        25
#define SEEDS_MOST   100
#define SSRCS        3
#define PACKETS      700 /* of all SSRCs together */
#define BEFORE       200 /* of each SSRC, before who joins late is there */
#define REKEY        350 /* the packet from which on the new key is used */
#define LOSS_PERCENT 30
#define DELAY_MAX    120 /* packets that overtake; the window is 128 of one SSRC */
#define ROC_MAX      1000
#define ROC_SEARCHED 200 /* is found before keys change: 7 counters a packet */

enum join { JOIN_FROM_START, JOIN_LATE_TOLD, JOIN_LATE_SEARCHING, JOINS };

struct call {
    uint64_t random;
    struct sender old_tx, new_tx;
    struct srtp_verifier *old_v, *new_v;
    uint16_t sequence[SSRCS];
    uint32_t roc[SSRCS]; /* of the next packet */
    bool begun[SSRCS];   /* one has verified */
    struct srtp_keys new_keys;
    bool roc_goes_on; /* under the new key; else it begins with 0 */
    unsigned verified, unverified;
};

/* On its way. */
struct transit {
    struct sent sent;
    unsigned ssrc, arrives;
    bool rtcp, delivered, lost;
};

static struct transit transit[PACKETS];

static uint32_t draw(struct call *c, uint32_t bound)
{
    c->random = c->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((c->random >> 33) % bound);
}

static void advance(struct call *c, unsigned ssrc)
{
    if (++c->sequence[ssrc] == 0)
        c->roc[ssrc]++;
}

static void send_one(struct call *c, struct sender *tx, unsigned i)
{
    struct transit *t = &transit[i];
    t->ssrc = draw(c, SSRCS);
    t->rtcp = draw(c, 20) == 0;
    t->lost = draw(c, 100) < LOSS_PERCENT;
    t->delivered = false;
    t->arrives = i + draw(c, DELAY_MAX);
    if (t->rtcp) {
        assert_true(sender_rtcp(tx, 100 + t->ssrc, &t->sent));
        return;
    }
    assert_true(sender_rtp(tx, 100 + t->ssrc, c->sequence[t->ssrc], draw(c, 200), &t->sent));
    advance(c, t->ssrc);
}

/* The new key is tried first, then the one before: so does the guard. */
static void deliver(struct call *c, struct transit *t, unsigned now)
{
    enum srtp_verdict verdict = SRTP_FAILED;
    t->delivered = true;
    if (c->new_v)
        verdict = judge_sent(c->new_v, &t->sent, t->rtcp, now * 1000);
    if (verdict != SRTP_VERIFIED)
        verdict = judge_sent(c->old_v, &t->sent, t->rtcp, now * 1000);
    if (verdict == SRTP_VERIFIED) {
        c->verified++;
        c->begun[t->ssrc] = c->begun[t->ssrc] || !t->rtcp;
        return;
    }
    /* Only while a counter is searched for, and never once it was found. */
    assert_int_equal(verdict, SRTP_UNVERIFIED);
    assert_false(c->begun[t->ssrc]);
    c->unverified++;
}

static void deliver_due(struct call *c, unsigned now)
{
    for (unsigned i = 0; i < PACKETS && i <= now; i++) {
        if (!transit[i].delivered && !transit[i].lost && transit[i].arrives <= now)
            deliver(c, &transit[i], now);
    }
}

static struct srtp_verifier *make_verifier(
    const struct srtp_keys *keys, const struct srtp_verifier *before)
{
    const struct srtp_verifier_options options = {
        .window = 128, .streams = SSRCS, .tell_duplicates = true, .before = before};
    struct srtp_verifier *v = NULL;
    assert_int_equal(srtp_verifier_new(&v, keys, &options), 0);
    return v;
}

/* The deposit comes before the change, the verifier of it with the deposit. */
static void rekey(struct call *c)
{
    assert_true(sender_init(&c->new_tx, &c->new_keys));
    for (unsigned i = 0; i < SSRCS; i++) {
        if (!c->roc_goes_on)
            c->roc[i] = 0;
        assert_true(sender_set_roc(&c->new_tx, 100 + i, c->roc[i]));
    }
}

/* All SSRCs have one counter where it is told: a deposit has one. Sequences wrap in the middle. */
static void begin(struct call *c, unsigned suite, enum join join)
{
    struct srtp_keys keys = sender_keys((enum srtp_suite)suite, 5);
    c->new_keys = sender_keys((enum srtp_suite)suite, 6);
    c->roc_goes_on = draw(c, 2) == 0;
    assert_true(sender_init(&c->old_tx, &keys));
    const uint32_t roc = join == JOIN_FROM_START ? 0 : draw(c, ROC_MAX);
    for (unsigned i = 0; i < SSRCS; i++) {
        c->roc[i] = join == JOIN_LATE_SEARCHING ? draw(c, i == 0 ? ROC_SEARCHED : 12) : roc;
        c->sequence[i] = (uint16_t)(65536 - draw(c, 2 * PACKETS / SSRCS));
        assert_true(sender_set_roc(&c->old_tx, 100 + i, c->roc[i]));
        static struct sent missed;
        for (unsigned n = 0; join != JOIN_FROM_START && n < draw(c, BEFORE); n++) {
            assert_true(sender_rtp(&c->old_tx, 100 + i, c->sequence[i], 10, &missed));
            advance(c, i);
        }
    }
    keys.has_roc = join == JOIN_LATE_TOLD;
    keys.roc = roc;
    c->old_v = make_verifier(&keys, NULL);
}

static void run_call(unsigned suite, unsigned seed, enum join join)
{
    struct call c = {.random = seed * 1000003u + suite};
    begin(&c, suite, join);
    for (unsigned now = 0; now < PACKETS + DELAY_MAX; now++) {
        if (now == REKEY - 100)
            c.new_v = make_verifier(&c.new_keys, c.old_v);
        if (now == REKEY)
            rekey(&c);
        if (now < PACKETS)
            send_one(&c, now < REKEY ? &c.old_tx : &c.new_tx, now);
        deliver_due(&c, now);
    }
    if (join != JOIN_LATE_SEARCHING)
        assert_int_equal(c.unverified, 0);
    assert_true(c.verified + c.unverified > PACKETS * 6 / 10);
    sender_deinit(&c.old_tx);
    sender_deinit(&c.new_tx);
    srtp_verifier_free(c.old_v);
    srtp_verifier_free(c.new_v);
}

static void run_seeds(enum join join)
{
    for (unsigned suite = 0; suite < SRTP_SUITE_COUNT; suite++) {
        for (unsigned seed = 0; seed < thorough(SEEDS, SEEDS_MOST); seed++)
            run_call(suite, seed, join);
    }
}

static void test_srtp_wrap_of_a_call_from_its_start_drops_nothing(void **state)
{
    run_seeds(JOIN_FROM_START);
}

static void test_srtp_wrap_of_a_late_join_with_a_counter_drops_nothing(void **state)
{
    run_seeds(JOIN_LATE_TOLD);
}

static void test_srtp_wrap_of_a_late_join_without_a_counter_drops_nothing(void **state)
{
    run_seeds(JOIN_LATE_SEARCHING);
}

static int set_up(void **state)
{
    return srtp_verifier_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_srtp_wrap_of_a_call_from_its_start_drops_nothing),
        cmocka_unit_test(test_srtp_wrap_of_a_late_join_with_a_counter_drops_nothing),
        cmocka_unit_test(test_srtp_wrap_of_a_late_join_without_a_counter_drops_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
