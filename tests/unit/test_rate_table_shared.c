/* Limits of the fleet in the rate table: what an instance admits from what it knows, what is
 * pending meanwhile and keeps its place, time that wraps. */
#include "ratelimit/rate_shared.h"

#include "base/clock.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/rate_flights.h"

#define NOW (1000 * US_PER_S)

static const uint8_t own_key[16] = "of this process", other_key[16] = "of another one!",
                     name_key[16] = "of all of them!";
/* u is 2, 3 and 20 001. */
static const struct rate slow = {1, 1, 10}, quick = {100, 1, 100},
                         most = {RATE_SHARED_MAX, 1, RATE_SHARED_MAX};
static bool report;

static struct rate_table *shared_table(uint32_t instances)
{
    struct rate_table *t = rate_table_new(1024, own_key);
    rate_table_share(t, name_key);
    rate_table_set_fleet(t, instances);
    return t;
}

static struct rate_key key_of(uint32_t n)
{
    return (struct rate_key){
        .scope = RATE_ALLOCATION_USER, .id = 0x9e3779b97f4a7c15ull * (n + 1), .realm = 3};
}

static const struct rate_key key = {.scope = RATE_ALLOCATION_USER, .id = 7, .realm = 3};

static enum rate_verdict admit(struct rate_table *t, const struct rate *limit, uint64_t now)
{
    const struct rate_ask ask = {.now_us = now};
    enum rate_verdict said = rate_table_peek_shared(t, &key, limit, &ask);
    assert_int_equal(rate_table_admit_shared(t, &key, limit, &ask, &report), said);
    return said;
}

static unsigned admit_all(struct rate_table *t, const struct rate *limit, uint64_t now)
{
    unsigned n = 0;
    while (n < 3 * RATE_SHARED_MAX && admit(t, limit, now) == RATE_ADMITTED)
        n++;
    return n;
}

static enum rate_verdict ask_alone(struct rate_table *t, const struct rate *limit, uint64_t now)
{
    const struct rate_ask ask = {.now_us = now, .deny_alone = true};
    enum rate_verdict said = rate_table_peek_shared(t, &key, limit, &ask);
    assert_int_equal(rate_table_admit_shared(t, &key, limit, &ask, &report), said);
    return said;
}

/* Everything is reported and answered at once. How much it was. */
static unsigned settle(struct rate_table *t, uint64_t deny_us, uint64_t now)
{
    struct flight f = {0};
    unsigned sum = 0;
    while (fly(t, &f)) {
        sum += f.taken.unreported + f.taken.owed;
        land(&f, deny_us, now);
    }
    return sum;
}

static struct rate_state state_of(struct rate_table *t, uint64_t now)
{
    struct rate_state s;
    rate_table_inspect(t, &key, now, &s);
    return s;
}

static void test_rate_table_not_shared_whole_bucket_nothing_pending(void **state)
{
    struct rate_table *t = rate_table_new(1024, own_key);
    assert_false(rate_table_is_shared(t));
    report = false;
    assert_int_equal(admit_all(t, &quick, NOW), 100);
    assert_int_equal(admit(t, &quick, NOW + 9999), RATE_OVER);
    assert_int_equal(admit_all(t, &quick, NOW + 20000), 2);
    rate_table_set_reachable(t, false);
    assert_int_equal(ask_alone(t, &quick, NOW + 20000), RATE_OVER);
    assert_int_equal(ask_alone(t, &quick, NOW + 30000), RATE_ADMITTED);
    assert_int_equal(state_of(t, NOW).unreported, 0);
    assert_false(report);
    assert_int_equal(settle(t, 0, NOW), 0);
    rate_table_free(t);
}

static void test_rate_table_shared_admits_u_until_it_is_answered(void **state)
{
    struct rate_table *t = shared_table(3);
    struct flight f = {0};
    assert_true(rate_table_is_shared(t));
    report = false;
    assert_int_equal(admit(t, &quick, NOW), RATE_ADMITTED);
    assert_true(report);
    assert_false(rate_table_hurries(t));
    report = false;
    assert_int_equal(admit(t, &quick, NOW), RATE_ADMITTED);
    assert_true(report); /* most of what may be unreported is */
    assert_true(rate_table_hurries(t));
    report = false;
    assert_int_equal(admit_all(t, &quick, NOW), 1);
    assert_false(report); /* control knows */
    assert_true(fly(t, &f));
    assert_int_equal(f.taken.unreported, 3);
    assert_int_equal(f.taken.owed, 0);
    assert_int_equal(f.owner.name, rate_table_name(t, &key));
    assert_int_equal(f.owner.scope, RATE_ALLOCATION_USER);
    assert_int_equal(f.owner.realm, 3);
    assert_int_equal(admit(t, &quick, NOW + 1000), RATE_WAIT);
    land(&f, 0, NOW + 1000);
    assert_int_equal(admit_all(t, &quick, NOW + 1000), 3);
    assert_true(report);
    /* What comes during a flight is not what it answers. */
    assert_true(fly(t, &f));
    f.taken.unreported = 2;
    land(&f, 0, NOW + 2000);
    assert_int_equal(admit_all(t, &quick, NOW + 2000), 2);
    assert_int_equal(settle(t, 0, NOW + 3000), 3);
    rate_table_free(t);
}

static void test_rate_table_shared_deny_holds_as_long_as_it_says(void **state)
{
    struct rate_table *t = shared_table(1);
    assert_int_equal(admit_all(t, &quick, NOW), 3);
    settle(t, 10001, NOW + 500);
    assert_int_equal(state_of(t, NOW + 1000).deny_us, 10000);
    /* Rounded up to the millisecond: 500 + 10 001 us. */
    assert_int_equal(admit(t, &quick, NOW + 10999), RATE_OVER);
    assert_int_equal(admit(t, &quick, NOW + 11000), RATE_ADMITTED);
    assert_int_equal(state_of(t, NOW + 11000).deny_us, 0);
    settle(t, 90000, NOW + 11000);
    assert_int_equal(admit(t, &quick, NOW + 12000), RATE_OVER);
    /* The latest answer counts. */
    struct flight f = {0};
    assert_false(fly(t, &f));
    rate_table_free(t);
}

static void test_rate_table_shared_silence_leaves_it_to_the_share(void **state)
{
    struct rate_table *t = shared_table(1);
    struct flight f = {0};
    assert_int_equal(admit_all(t, &slow, NOW), 2);
    assert_true(fly(t, &f));
    assert_int_equal(admit(t, &slow, NOW + 50999), RATE_WAIT);
    assert_false(state_of(t, NOW + 50999).silent);
    assert_true(state_of(t, NOW + 51000).silent);
    /* Two of the ten are gone: the bucket here has been paying all the time. */
    assert_int_equal(admit_all(t, &slow, NOW + 51000), 8);
    assert_int_equal(state_of(t, NOW + 51000).owed, 8);
    assert_int_equal(admit_all(t, &slow, NOW + US_PER_S), 1);
    land(&f, 0, NOW + US_PER_S);
    assert_int_equal(state_of(t, NOW + US_PER_S).unreported, 0);
    assert_int_equal(settle(t, 0, NOW + US_PER_S), 9);
    rate_table_free(t);
}

/* Of B = 10 four instances have two and a half each, at a quarter of a second. */
static void test_rate_table_shared_share_is_one_of_n(void **state)
{
    struct rate_table *t = shared_table(4);
    assert_int_equal(rate_table_fleet(t), 4);
    assert_int_equal(admit_all(t, &slow, NOW), 2);
    assert_int_equal(state_of(t, NOW).tat_us, 8 * US_PER_S);
    assert_int_equal(admit(t, &slow, NOW + 1999999), RATE_OVER);
    assert_int_equal(admit_all(t, &slow, NOW + 2 * US_PER_S), 1);
    assert_int_equal(admit_all(t, &slow, NOW + 6 * US_PER_S - 1), 0);
    assert_int_equal(admit_all(t, &slow, NOW + 6 * US_PER_S), 1);
    rate_table_set_fleet(t, 0); /* this one is there */
    assert_int_equal(rate_table_fleet(t), 1);
    assert_int_equal(admit_all(t, &slow, NOW + 7 * US_PER_S), 1);
    rate_table_free(t);
}

/* More instances than the burst: one at once, at R / N. */
static void test_rate_table_shared_share_is_one_at_least(void **state)
{
    struct rate_table *t = shared_table(100);
    assert_int_equal(admit_all(t, &slow, NOW), 2);
    assert_int_equal(admit(t, &slow, NOW + 100 * US_PER_S - 1), RATE_OVER);
    assert_int_equal(admit_all(t, &slow, NOW + 100 * US_PER_S), 1);
    assert_int_equal(admit_all(t, &slow, NOW + 200 * US_PER_S - 1), 0);
    rate_table_free(t);
}

/* A long time of R admitted a second from Redis: what the share is short of is its burst. */
static void test_rate_table_shared_drains_the_share_never_below_empty(void **state)
{
    struct rate_table *t = shared_table(1);
    uint64_t now = NOW;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(admit_all(t, &quick, now), 3);
        settle(t, 0, now);
    }
    assert_int_equal(state_of(t, now).tat_us, US_PER_S);
    assert_int_equal(admit_all(t, &quick, now), 3);
    assert_int_equal(admit_all(t, &quick, now + 60000), 6); /* what has come in since */
    rate_table_free(t);
}

static void test_rate_table_shared_deny_alone_refuses_in_silence(void **state)
{
    struct rate_table *t = shared_table(1);
    assert_int_equal(ask_alone(t, &slow, NOW), RATE_ADMITTED);
    assert_int_equal(ask_alone(t, &slow, NOW), RATE_ADMITTED);
    assert_int_equal(ask_alone(t, &slow, NOW + 50000), RATE_WAIT);
    assert_int_equal(ask_alone(t, &slow, NOW + 51000), RATE_ALONE);
    assert_int_equal(admit(t, &slow, NOW + 51000), RATE_ADMITTED);
    settle(t, 0, NOW + 51000);
    assert_int_equal(ask_alone(t, &slow, NOW + 51000), RATE_ADMITTED);
    rate_table_set_reachable(t, false);
    assert_int_equal(ask_alone(t, &slow, NOW + 51000), RATE_ALONE);
    assert_int_equal(admit(t, &slow, NOW + 51000), RATE_ADMITTED);
    settle(t, 0, NOW + 51000);
    rate_table_set_reachable(t, true);
    assert_int_equal(ask_alone(t, &slow, NOW + 51000), RATE_ADMITTED);
    rate_table_free(t);
}

static void test_rate_table_shared_answer_makes_the_rest_young(void **state)
{
    struct rate_table *t = shared_table(1);
    struct flight f = {0};
    assert_int_equal(admit(t, &quick, NOW), RATE_ADMITTED);
    assert_true(fly(t, &f));
    assert_int_equal(admit_all(t, &quick, NOW + 1000), 2);
    land(&f, 0, NOW + 40000);
    assert_int_equal(admit_all(t, &quick, NOW + 40000), 1);
    assert_int_equal(admit(t, &quick, NOW + 60000), RATE_WAIT); /* its flight is still young */
    assert_int_equal(admit(t, &quick, NOW + 91000), RATE_ADMITTED);
    rate_table_free(t);
}

/* The time of the oldest is kept modulo 2^22 ms. */
static void test_rate_table_shared_silence_across_the_wrap(void **state)
{
    const uint64_t wrap = (1ull << 22) * US_PER_MS;
    for (int64_t off = -60; off <= 60; off++) {
        struct rate_table *t = shared_table(1);
        const uint64_t start = 5 * wrap + (uint64_t)(off * 1000);
        assert_int_equal(admit_all(t, &slow, start), 2);
        assert_int_equal(admit(t, &slow, start + 50999), RATE_WAIT);
        assert_int_equal(admit_all(t, &slow, start + 51000), 8);
        /* Somebody whose batch began a little earlier. */
        assert_int_equal(admit(t, &slow, start - 900 * US_PER_MS), RATE_WAIT);
        assert_false(state_of(t, start - 900 * US_PER_MS).silent);
        rate_table_free(t);
    }
}

/* A day without Redis: at no time does the silence look young again. */
static void test_rate_table_shared_silence_of_a_day(void **state)
{
    struct rate_table *t = shared_table(1);
    assert_int_equal(admit_all(t, &slow, NOW), 2);
    for (uint64_t s = 20; s < 86400; s += 20)
        assert_int_equal(admit_all(t, &slow, NOW + s * US_PER_S), 10);
    rate_table_free(t);
}

static void test_rate_table_shared_counts_reach_their_caps(void **state)
{
    struct rate_table *t = shared_table(1);
    struct flight f = {0};
    assert_int_equal(rate_unreported_max(&most), 20001);
    assert_int_equal(rate_unreported_max(&(struct rate){UINT32_MAX, 1, 1}), RATE_COUNT_MAX);
    assert_int_equal(rate_unreported_max(&(struct rate){1, 0, 1}), RATE_COUNT_MAX);
    assert_int_equal(rate_unreported_max(&(struct rate){1, 3600, 1}), 2);
    assert_int_equal(rate_unreported_max(&(struct rate){50, 1, 1}), 2);
    assert_int_equal(rate_unreported_max(&(struct rate){51, 1, 1}), 3);
    assert_int_equal(rate_owed_max(&(struct rate){1, 1, UINT32_MAX}), RATE_COUNT_MAX);
    const struct rate_ask ask = {.now_us = NOW};
    unsigned n = 0;
    while (rate_table_admit_shared(t, &key, &most, &ask, &report) == RATE_ADMITTED)
        n++;
    assert_int_equal(n, 20001);
    assert_true(fly(t, &f));
    /* Two bursts in silence: told is one, and what flies is another. */
    for (int i = 1; i <= 2; i++) {
        const struct rate_ask later = {.now_us = NOW + (uint64_t)i * 2 * US_PER_S};
        for (n = 0; rate_table_admit_shared(t, &key, &most, &later, &report) == RATE_ADMITTED;)
            n++;
        assert_int_equal(n, RATE_SHARED_MAX);
    }
    assert_int_equal(state_of(t, NOW).owed, RATE_SHARED_MAX);
    assert_int_equal(state_of(t, NOW).unreported, 20001);
    f.taken.owed = 5;
    assert_false(rate_entry_put_back(f.set, f.way, &f.taken, rate_owed_max(&most)));
    assert_int_equal(state_of(t, NOW).owed, RATE_SHARED_MAX);
    assert_int_equal(state_of(t, NOW).unreported, 20001);
    assert_int_equal(settle(t, 0, NOW), 20001 + RATE_SHARED_MAX);
    rate_table_free(t);
}

static void test_rate_table_shared_time_saturates(void **state)
{
    struct rate_table *t = shared_table(UINT32_MAX);
    const struct rate hourly = {1, 3600, RATE_SHARED_MAX};
    for (uint64_t now = UINT64_MAX - 5; now != 0; now++) {
        admit_all(t, &hourly, now);
        settle(t, UINT64_MAX, now);
        admit_all(t, &hourly, now);
        rate_table_rescale(t, &(struct rate_change){RATE_ALLOCATION_USER, 3, hourly, most}, 1, now);
        rate_table_rescale(t, &(struct rate_change){RATE_ALLOCATION_USER, 3, most, hourly}, 1, now);
        assert_true(state_of(t, now).tat_us < 6);
    }
    rate_table_free(t);
    t = shared_table(1);
    assert_int_equal(admit_all(t, &slow, NOW), 2);
    settle(t, UINT64_MAX, NOW);
    assert_int_equal(admit(t, &slow, 365 * 86400 * US_PER_S), RATE_OVER);
    rate_table_free(t);
}

/* 20 000 keys in 1024 places: what is unreported, owed, in flight or denied stays. */
static void test_rate_table_shared_pending_keeps_its_place(void **state)
{
    struct rate_table *t = shared_table(1);
    const struct gcra g = gcra_of(&quick);
    struct flight f = {0};
    const uint64_t later = NOW + 10 * US_PER_S;
    for (int phase = 0; phase < 5; phase++) {
        if (phase == 0)
            assert_int_equal(admit(t, &quick, NOW), RATE_ADMITTED);
        else if (phase == 1)
            assert_true(fly(t, &f));
        else if (phase == 2)
            land(&f, 20 * US_PER_S, NOW);
        for (uint32_t i = 0; i < 20000; i++) {
            const struct rate_key local = {.scope = RATE_HANDSHAKE, .id = i + 1};
            rate_table_admit(t, &local, &g, later + (uint64_t)phase * US_PER_S);
        }
        if (phase == 3) /* the denial is over, as all that is taken here */
            rate_table_rescale(t,
                &(struct rate_change){RATE_ALLOCATION_USER, 3, {1, 1, 1}, {RATE_SHARED_MAX, 1, 1}},
                1, NOW);
        assert_int_equal(state_of(t, NOW).known, phase < 4);
    }
    assert_false(fly(t, &f));
    rate_table_free(t);
}

static void test_rate_table_shared_names_are_those_of_other_instances(void **state)
{
    struct rate_table *a = rate_table_new(1024, own_key), *b = rate_table_new(4096, other_key);
    const struct slice one = slice_of_string("one"), none = slice_of(NULL, 0);
    struct rate_key k = key;
    assert_int_not_equal(rate_table_name(a, &k), rate_table_name(b, &k));
    rate_table_share(a, name_key);
    rate_table_share(b, name_key);
    assert_int_equal(rate_table_name(a, &k), rate_table_name(b, &k));
    k.realm = 4; /* ids of realms are not the same everywhere */
    assert_int_equal(rate_table_name(a, &k), rate_table_name(b, &key));
    k.scope = RATE_ALLOCATION_REALM;
    assert_int_not_equal(rate_table_name(a, &k), rate_table_name(a, &key));
    assert_int_equal(rate_table_id(a, one, one), rate_table_id(b, one, one));
    assert_int_not_equal(rate_table_id(a, one, one), rate_table_id(a, one, none));
    assert_int_not_equal(rate_table_id(a, one, none), rate_table_id(a, none, one));
    rate_table_free(a);
    rate_table_free(b);
}

static void fill(struct rate_table *t, uint64_t now)
{
    const struct gcra g = gcra_of(&(struct rate){1, 3600, 1});
    for (uint32_t i = 0; i < 20000; i++) {
        const struct rate_key k = {.scope = RATE_HANDSHAKE, .id = i + 1};
        rate_table_admit(t, &k, &g, now);
    }
}

/* A full table: what has no entry shares with its prefix, and is reported under that one's name. */
static void test_rate_table_shared_folded_keys_are_reported_together(void **state)
{
    struct rate_table *t = shared_table(1);
    struct flight f = {0};
    struct rate_key k = {.scope = RATE_ALLOCATION_ADDRESS, .bits = 32};
    unsigned admitted = 0, reported = 0;
    uint64_t names[2] = {0};
    const struct rate_ask ask = {.now_us = NOW};
    k.prefix = addr_ipv4(10, 0, 0, 1, 0); /* its place is there before the flood */
    assert_int_equal(rate_table_admit_shared(t, &k, &quick, &ask, &report), RATE_ADMITTED);
    k.prefix = addr_ipv4(10, 0, 0, 0, 0);
    k.bits = 24;
    k.scope |= RATE_FOLDED;
    assert_int_equal(rate_table_admit_shared(t, &k, &quick, &ask, &report), RATE_ADMITTED);
    names[0] = rate_table_name(t, &k);
    settle(t, 0, NOW);
    fill(t, NOW);
    k.scope = RATE_ALLOCATION_ADDRESS;
    k.bits = 32;
    for (int i = 2; i < 256; i++) {
        k.prefix.ip[3] = (uint8_t)i;
        admitted += rate_table_admit_shared(t, &k, &quick, &ask, &report) == RATE_ADMITTED;
    }
    assert_int_equal(admitted, 3);
    while (fly(t, &f)) {
        reported += f.taken.unreported;
        names[1] = f.owner.name;
        assert_int_equal(f.owner.scope, RATE_ALLOCATION_ADDRESS);
        land(&f, 0, NOW);
    }
    assert_int_equal(reported, 3);
    assert_int_equal(names[0], names[1]);
    rate_table_free(t);
}

/* The last bucket is nobody's in Redis: it admits what this instance may alone. */
static void test_rate_table_shared_last_bucket_is_the_share(void **state)
{
    struct rate_table *t = shared_table(4);
    unsigned most_of = 0;
    fill(t, NOW);
    for (uint32_t i = 0; i < 1000; i++) {
        const struct rate_key k = key_of(i);
        const struct rate_ask ask = {.now_us = NOW};
        unsigned n = 0;
        while (rate_table_peek_shared(t, &k, &slow, &ask) == RATE_ADMITTED) {
            assert_int_equal(rate_table_admit_shared(t, &k, &slow, &ask, &report), RATE_ADMITTED);
            n++;
        }
        most_of = n > most_of ? n : most_of;
    }
    assert_int_equal(most_of, 2);
    struct flight f = {0};
    assert_false(fly(t, &f));
    rate_table_free(t);
}

static void test_rate_table_rescale_keeps_what_is_taken(void **state)
{
    struct rate_table *t = shared_table(1);
    const struct rate tenfold = {10, 1, 10};
    assert_int_equal(admit_all(t, &slow, NOW), 2);
    assert_int_equal(admit_all(t, &slow, NOW + 51000), 8);
    settle(t, 4 * US_PER_S, NOW + 51000);
    const uint64_t ahead = state_of(t, NOW + 51000).tat_us;
    /* Others' stay as they are. */
    rate_table_rescale(
        t, &(struct rate_change){RATE_ALLOCATION_USER, 4, slow, tenfold}, 1, NOW + 51000);
    rate_table_rescale(
        t, &(struct rate_change){RATE_ALLOCATION_REALM, 3, slow, tenfold}, 1, NOW + 51000);
    rate_table_rescale(
        t, &(struct rate_change){RATE_ALLOCATION_USER, 3, slow, {0}}, 1, NOW + 51000);
    assert_int_equal(state_of(t, NOW + 51000).tat_us, ahead);
    rate_table_rescale(
        t, &(struct rate_change){RATE_ALLOCATION_USER, 3, slow, tenfold}, 1, NOW + 51000);
    assert_int_equal(state_of(t, NOW + 51000).tat_us, ahead / 10);
    assert_int_equal(state_of(t, NOW + 51000).deny_us, 400000);
    rate_table_rescale(
        t, &(struct rate_change){RATE_ALLOCATION_USER, 3, tenfold, slow}, 1, NOW + 51000);
    assert_int_equal(state_of(t, NOW + 51000).deny_us, 4 * US_PER_S);
    rate_table_free(t);
}

/* All that a reload has changed, in one pass: each by its own rates. */
static void test_rate_table_rescale_of_many_takes_each_by_its_own(void **state)
{
    static const enum rate_scope scopes[] = {
        RATE_ALLOCATION_USER, RATE_ALLOCATION_REALM, RATE_GUESS_USER};
    struct rate_table *t = shared_table(1);
    struct rate_change changes[8 * 3 + 1];
    size_t count = 0;
    uint64_t ahead[8 * 3];
    struct rate_state said;
    for (unsigned i = 0; i < 8 * 3; i++) {
        const struct rate_key k = {
            .scope = scopes[i % 3], .id = i + 1, .realm = i % 3 == 2 ? 0 : (uint8_t)(255 - i)};
        const struct rate_ask ask = {.now_us = NOW};
        assert_int_equal(rate_table_admit_shared(t, &k, &slow, &ask, &report), RATE_ADMITTED);
        rate_table_inspect(t, &k, NOW, &said);
        ahead[i] = said.tat_us;
        if (i % 3 != 2) /* none of the last of all realms */
            changes[count++] =
                (struct rate_change){k.scope, k.realm, slow, {i < 21 ? i + 2 : 1, 1, slow.burst}};
    }
    changes[count++] = (struct rate_change){RATE_GUESS_USER, 0, slow, {1000, 1, 1000}};
    rate_table_rescale(t, changes, count, NOW);
    for (unsigned i = 0; i < 8 * 3; i++) {
        const struct rate_key k = {.scope = scopes[i % 3], .id = i + 1};
        const unsigned faster = i % 3 == 2 ? 1000 : i < 21 ? i + 2 : 1;
        rate_table_inspect(t, &k, NOW, &said);
        assert_in_range(said.tat_us, ahead[i] / faster - 1, ahead[i] / faster + 1);
    }
    rate_table_free(t);
}

static void test_rate_table_rescale_reaches_last_buckets_of_one_limit(void **state)
{
    struct rate_table *t = shared_table(1);
    const struct rate hourly = {1, 3600, 1};
    const struct rate_key k = {.scope = RATE_GUESS_USER, .id = 1};
    const struct rate_ask ask = {.now_us = NOW};
    fill(t, NOW);
    assert_int_equal(rate_table_admit_shared(t, &k, &hourly, &ask, &report), RATE_ADMITTED);
    assert_int_equal(rate_table_peek_shared(t, &k, &quick, &ask), RATE_OVER);
    rate_table_rescale(t, &(struct rate_change){RATE_GUESS_USER, 0, hourly, quick}, 1, NOW);
    assert_int_equal(rate_table_peek_shared(t, &k, &quick, &ask), RATE_ADMITTED);
    rate_table_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rate_table_not_shared_whole_bucket_nothing_pending),
        cmocka_unit_test(test_rate_table_shared_admits_u_until_it_is_answered),
        cmocka_unit_test(test_rate_table_shared_deny_holds_as_long_as_it_says),
        cmocka_unit_test(test_rate_table_shared_silence_leaves_it_to_the_share),
        cmocka_unit_test(test_rate_table_shared_share_is_one_of_n),
        cmocka_unit_test(test_rate_table_shared_share_is_one_at_least),
        cmocka_unit_test(test_rate_table_shared_drains_the_share_never_below_empty),
        cmocka_unit_test(test_rate_table_shared_deny_alone_refuses_in_silence),
        cmocka_unit_test(test_rate_table_shared_answer_makes_the_rest_young),
        cmocka_unit_test(test_rate_table_shared_silence_across_the_wrap),
        cmocka_unit_test(test_rate_table_shared_silence_of_a_day),
        cmocka_unit_test(test_rate_table_shared_counts_reach_their_caps),
        cmocka_unit_test(test_rate_table_shared_time_saturates),
        cmocka_unit_test(test_rate_table_shared_pending_keeps_its_place),
        cmocka_unit_test(test_rate_table_shared_names_are_those_of_other_instances),
        cmocka_unit_test(test_rate_table_shared_folded_keys_are_reported_together),
        cmocka_unit_test(test_rate_table_shared_last_bucket_is_the_share),
        cmocka_unit_test(test_rate_table_rescale_keeps_what_is_taken),
        cmocka_unit_test(test_rate_table_rescale_of_many_takes_each_by_its_own),
        cmocka_unit_test(test_rate_table_rescale_reaches_last_buckets_of_one_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
