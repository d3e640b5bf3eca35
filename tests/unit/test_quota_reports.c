/* Reports of quotas: how often, in which company, and what becomes of those that are lost. */
#include "ratelimit/quota_reports.h"

#include "base/clock.h"
#include "tests/unit/fake_leases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define START_US (1000 * US_PER_S)

static const uint8_t key[16] = "quota table key", name_key[16] = "name key";

struct rig {
    struct fake_fleet fleet;
    struct fake_member member;
    struct quota_table *t;
    struct quota_reports *r;
    uint64_t now_us, due_us;
};

static int set_up(void **state)
{
    struct rig *f = calloc(1, sizeof(*f));
    f->now_us = START_US;
    f->member = (struct fake_member){
        .fleet = &f->fleet, .there_us = 100, .back_us = 100, .patience_us = 2 * US_PER_S};
    f->t = quota_new(1000, key);
    quota_share(f->t, name_key);
    const struct share share = fake_share(&f->member);
    f->r = quota_reports_new(f->t, &share);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *f = *state;
    if (quota_allocations(f->t) != 0)
        return -1;
    quota_reports_free(f->r);
    quota_free(f->t);
    free(f);
    return 0;
}

static void run(struct rig *f)
{
    f->member.now_us = f->now_us;
    f->due_us = quota_reports_run(f->r, f->now_us);
}

static void pass(struct rig *f, uint64_t us)
{
    for (const uint64_t end = f->now_us + us; f->now_us < end;) {
        f->now_us += 100;
        fake_run(&f->fleet, f->now_us);
        run(f);
    }
}

static enum reason open_limited(
    struct rig *f, struct quota_charge *c, const char *user, uint32_t limit)
{
    const struct quota_limits limits = {.allocations_per_user = limit};
    const struct quota_asked asked = {.limits = &limits,
        .realm = 1,
        .realm_name = slice_of_string("example.org"),
        .user = slice_of_string(user),
        .client = addr_ipv4(10, 0, 0, 1, 1000),
        .now_us = f->now_us};
    bool report = false;
    return quota_open(f->t, c, &asked, &report);
}

static void open_one(struct rig *f, struct quota_charge *c, const char *user)
{
    assert_int_equal(open_limited(f, c, user, 100), REASON_NONE);
}

static uint32_t others_of(struct rig *f, const char *user)
{
    struct quota_state out;
    quota_inspect(f->t, 1, slice_of_string(user), f->now_us, &out);
    return out.others;
}

static void test_reports_of_one_key_5_ms_apart(void **state)
{
    struct rig *f = *state;
    struct quota_charge c[100];
    unsigned held = 0;
    for (unsigned i = 0; i < 1000; i++) { /* 100 ms */
        if (i % 10 == 0 && open_limited(f, &c[held], "alice", 100000) == REASON_NONE)
            held++;
        pass(f, 100);
    }
    assert_int_equal(held, 100);
    assert_in_range(f->fleet.calls_made, 10, 21);
    pass(f, 10 * US_PER_MS);
    assert_int_equal(fake_held(&f->fleet), 100);
    while (held > 0)
        quota_close(f->t, &c[--held]);
}

static void test_reports_first_is_sent_at_once_and_says_when_the_next_is_due(void **state)
{
    struct rig *f = *state;
    struct quota_charge c[2];
    run(f);
    assert_true(f->due_us == UINT64_MAX);
    open_one(f, &c[0], "alice");
    run(f);
    assert_int_equal(f->fleet.calls_made, 1);
    assert_true(f->due_us == UINT64_MAX); /* an answer comes */
    f->now_us += 200;
    fake_run(&f->fleet, f->now_us);
    open_one(f, &c[1], "alice");
    run(f);
    assert_int_equal(f->fleet.calls_made, 1);
    assert_true(f->due_us == START_US + QUOTA_REPORT_EVERY_US);
    f->now_us = f->due_us;
    run(f);
    assert_int_equal(f->fleet.calls_made, 2);
    assert_int_equal(f->member.last[0].held, 2);
    quota_close(f->t, &c[0]);
    quota_close(f->t, &c[1]);
}

static void test_reports_go_together_by_shard(void **state)
{
    enum { MANY = 60 };
    struct rig *f = *state;
    struct quota_charge c[MANY];
    char user[8];
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(user, sizeof(user), "u%u", i);
        open_one(f, &c[i], user);
    }
    run(f); /* that a call has one shard, the fake demands */
    assert_int_equal(f->fleet.items_made, MANY);
    assert_in_range(f->fleet.calls_made, 2, SHARE_SHARDS);
    for (unsigned i = 0; i < MANY; i++)
        quota_close(f->t, &c[i]);
    pass(f, 10 * US_PER_MS);
    assert_int_equal(fake_held(&f->fleet), 0);
    assert_int_equal(quota_reports_stats(f->r).leases, 0);
}

static void test_reports_come_and_gone_says_nothing(void **state)
{
    struct rig *f = *state;
    struct quota_charge c;
    for (unsigned i = 0; i < 3; i++) {
        open_one(f, &c, "alice");
        quota_close(f->t, &c);
        run(f);
    }
    assert_int_equal(f->fleet.calls_made, 0);
    assert_int_equal(quota_reports_stats(f->r).leases, 0);
}

/* Whatever becomes of the reports of a change, the fleet knows in the end. */
static void lose(struct rig *f, enum fake_fate fate, uint32_t before, uint32_t after)
{
    struct quota_charge c[8];
    for (uint32_t i = 0; i < before; i++)
        open_one(f, &c[i], "alice");
    pass(f, 10 * US_PER_MS);
    assert_int_equal(fake_held(&f->fleet), before);
    f->member.fate = fate;
    for (uint32_t i = before; i < after; i++)
        open_one(f, &c[i], "alice");
    for (uint32_t i = before; i > after; i--)
        quota_close(f->t, &c[i - 1]);
    pass(f, US_PER_S);
    f->member.fate = FAKE_HEARD;
    pass(f, 10 * US_PER_S);
    assert_int_equal(fake_held(&f->fleet), after);
    for (uint32_t i = 0; i < after; i++)
        quota_close(f->t, &c[i]);
    pass(f, 10 * US_PER_MS);
    assert_int_equal(fake_held(&f->fleet), 0);
    pass(f, 10 * US_PER_S);
    assert_int_equal(quota_reports_stats(f->r).leases, 0);
}

static void test_reports_lost_are_made_again(void **state)
{
    static const enum fake_fate fates[] = {FAKE_UNHEARD, FAKE_UNANSWERED, FAKE_LATE, FAKE_REFUSED};
    for (unsigned i = 0; i < 4; i++) {
        lose(*state, fates[i], 0, 3);
        lose(*state, fates[i], 3, 0);
        lose(*state, fates[i], 4, 2);
    }
}

static void test_reports_late_one_does_not_last(void **state)
{
    /* It is given up, the next is answered, then it happens. */
    struct rig *f = *state;
    struct quota_charge c;
    f->member.patience_us = 20 * US_PER_MS;
    open_one(f, &c, "alice");
    f->member.fate = FAKE_LATE;
    run(f);
    f->member.fate = FAKE_HEARD;
    quota_close(f->t, &c);
    pass(f, 100 * US_PER_MS);
    assert_int_equal(fake_held(&f->fleet), 0);
    pass(f, 100 * US_PER_MS);
    assert_int_equal(fake_held(&f->fleet), 1);
    pass(f, 6 * US_PER_S);
    assert_int_equal(fake_held(&f->fleet), 0);
    assert_int_equal(quota_reports_stats(f->r).leases, 0);
}

static void test_reports_entry_in_flight_is_not_another_keys(void **state)
{
    /* All entries of a small table come and go while reports are under way. */
    struct rig *f = *state;
    char user[16];
    f->member.back_us = 3 * US_PER_MS;
    for (unsigned round = 0; round < 300; round++) {
        struct quota_charge c[8];
        for (unsigned i = 0; i < 8; i++) {
            snprintf(user, sizeof(user), "u%u", (round * 5 + i) % 40);
            open_one(f, &c[i], user);
        }
        pass(f, 100 * (1 + round % 7));
        for (unsigned i = 0; i < 8; i++)
            quota_close(f->t, &c[i]);
    }
    pass(f, 50 * US_PER_MS);
    assert_int_equal(fake_held(&f->fleet), 0);
    assert_int_equal(quota_reports_stats(f->r).leases, 0);
    /* And what is held now is told of under its own name alone. */
    struct quota_charge c[2];
    open_one(f, &c[0], "u1");
    open_one(f, &c[1], "u1");
    pass(f, 50 * US_PER_MS);
    assert_int_equal(fake_held(&f->fleet), 2);
    quota_close(f->t, &c[0]);
    quota_close(f->t, &c[1]);
}

static void test_reports_again_tells_all_and_keeps_what_was_known(void **state)
{
    struct rig *f = *state;
    struct quota_charge a, b;
    open_one(f, &a, "alice");
    open_one(f, &b, "bob");
    pass(f, 10 * US_PER_MS);
    for (unsigned i = 0; i < FAKE_NAMES; i++)
        if (f->fleet.leases[i].name)
            f->fleet.leases[i].held[1] = 7;
    quota_reports_again(f->r);
    pass(f, 20 * US_PER_MS);
    assert_int_equal(others_of(f, "alice"), 7);
    memset(f->fleet.leases, 0, sizeof(f->fleet.leases));
    quota_reports_again(f->r);
    pass(f, 20 * US_PER_MS);
    assert_int_equal(fake_held(&f->fleet), 2);
    assert_int_equal(others_of(f, "alice"), 7); /* until the other has told it again, */
    pass(f, 9 * US_PER_S);
    assert_int_equal(others_of(f, "bob"), 7);
    pass(f, 7 * US_PER_S); /* or has not */
    assert_int_equal(others_of(f, "alice"), 0);
    assert_int_equal(others_of(f, "bob"), 0);
    quota_close(f->t, &a);
    quota_close(f->t, &b);
}

static void test_reports_again_in_flight_tells_once_more(void **state)
{
    struct rig *f = *state;
    struct quota_charge c;
    open_one(f, &c, "alice");
    run(f);
    f->now_us += 150; /* it has happened, the answer is under way */
    fake_run(&f->fleet, f->now_us);
    memset(f->fleet.leases, 0, sizeof(f->fleet.leases));
    quota_reports_again(f->r);
    pass(f, 20 * US_PER_MS);
    assert_int_equal(fake_held(&f->fleet), 1);
    quota_close(f->t, &c);
}

static void test_reports_refused_asks_again_not_each_time(void **state)
{
    struct rig *f = *state;
    struct quota_charge c, d;
    assert_int_equal(open_limited(f, &c, "alice", 1), REASON_NONE);
    pass(f, 10 * US_PER_MS);
    const uint64_t before = f->fleet.calls_made;
    for (unsigned i = 0; i < 10000; i++) { /* a second */
        assert_int_equal(open_limited(f, &d, "alice", 1), REASON_QUOTA_USER);
        pass(f, 100);
    }
    assert_in_range(f->fleet.calls_made - before, 2, 6);
    quota_close(f->t, &c);
}

/* Redis is away for long, or full: who comes and goes meanwhile keeps no entry, or nobody would
 * find room. */
static void outlast(struct rig *f, enum fake_fate fate)
{
    enum { STAY = 200, COME_AND_GO = 30000 };
    struct quota_charge stay[STAY], c;
    char user[16];
    f->member.fate = fate;
    f->member.patience_us = 200;
    for (unsigned i = 0; i < STAY; i++) {
        snprintf(user, sizeof(user), "stays%u", i);
        open_one(f, &stay[i], user);
    }
    for (unsigned i = 0; i < COME_AND_GO; i++) {
        snprintf(user, sizeof(user), "u%u", i);
        open_one(f, &c, user);
        f->now_us += US_PER_MS;
        fake_run(&f->fleet, f->now_us);
        run(f);
        quota_close(f->t, &c);
    }
    assert_in_range(quota_reports_stats(f->r).leases, STAY, 4000);
    f->now_us += US_PER_S;
    for (unsigned i = 0; i < STAY; i++)
        quota_close(f->t, &stay[i]);
    f->member.fate = FAKE_HEARD;
    pass(f, 100 * US_PER_MS);
    assert_int_equal(fake_held(&f->fleet), 0);
    assert_int_equal(quota_reports_stats(f->r).leases, 0);
}

static void test_reports_outage_keeps_no_entries_of_those_that_left(void **state)
{
    outlast(*state, FAKE_REFUSED);
}

static void test_reports_full_redis_keeps_no_entries_of_those_that_left(void **state)
{
    outlast(*state, FAKE_ERROR);
}

/* Redis refuses all: it is asked now and then, and not by everybody at once. */
static void test_reports_refused_by_redis_are_few(void **state)
{
    enum { MANY = 900 };
    struct rig *f = *state;
    static struct quota_charge c[MANY];
    char user[16];
    f->member.fate = FAKE_UNHEARD;
    f->member.patience_us = 200;
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(user, sizeof(user), "u%u", i);
        open_one(f, &c[i], user);
    }
    pass(f, US_PER_S);
    assert_in_range(f->fleet.calls_made, 20, 200);
    for (unsigned i = 0; i < MANY; i++)
        quota_close(f->t, &c[i]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_reports_of_one_key_5_ms_apart),
        TEST(test_reports_first_is_sent_at_once_and_says_when_the_next_is_due),
        TEST(test_reports_go_together_by_shard),
        TEST(test_reports_come_and_gone_says_nothing),
        TEST(test_reports_lost_are_made_again),
        TEST(test_reports_late_one_does_not_last),
        TEST(test_reports_entry_in_flight_is_not_another_keys),
        TEST(test_reports_again_tells_all_and_keeps_what_was_known),
        TEST(test_reports_again_in_flight_tells_once_more),
        TEST(test_reports_refused_asks_again_not_each_time),
        TEST(test_reports_outage_keeps_no_entries_of_those_that_left),
        TEST(test_reports_full_redis_keeps_no_entries_of_those_that_left),
        TEST(test_reports_refused_by_redis_are_few),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
