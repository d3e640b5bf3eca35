/* Quotas of a fleet: who may open, by what was told and heard, and what is left when nobody
 * answers. */
#include "ratelimit/quota.h"
#include "ratelimit/quota_reports.h"
#include "ratelimit/quota_shared.h"
#include "ratelimit/rate_table.h"
#include "tests/unit/fake_leases.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define START_US (1000 * US_PER_S)

static const uint8_t key[16] = "quota table key", name_key[16] = "name key";

struct instance {
    struct quota_table *t;
    struct quota_reports *r;
    struct fake_member member;
    bool report;
};

struct rig {
    struct fake_fleet fleet;
    struct instance of[FAKE_INSTANCES];
    uint64_t now_us;
};

static void start(struct rig *f, unsigned i)
{
    struct instance *in = &f->of[i];
    in->t = quota_new(2000, key);
    quota_share(in->t, name_key);
    quota_set_fleet(in->t, 2);
    in->member = (struct fake_member){.fleet = &f->fleet,
        .instance = i,
        .there_us = 100,
        .back_us = 100,
        .patience_us = 2 * US_PER_S};
    const struct share share = fake_share(&in->member);
    in->r = quota_reports_new(in->t, &share);
}

static int set_up(void **state)
{
    struct rig *f = calloc(1, sizeof(*f));
    f->now_us = START_US;
    start(f, 0);
    start(f, 1);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *f = *state;
    for (unsigned i = 0; i < 2; i++) {
        if (quota_allocations(f->of[i].t) != 0)
            return -1; /* a test that has failed says why, which quota_free's assertion does not */
        quota_reports_free(f->of[i].r);
        quota_free(f->of[i].t);
    }
    free(f);
    return 0;
}

static void pass(struct rig *f, uint64_t us)
{
    for (const uint64_t end = f->now_us + us; f->now_us < end;) {
        f->now_us += 100;
        fake_run(&f->fleet, f->now_us);
        for (unsigned i = 0; i < 2; i++) {
            f->of[i].member.now_us = f->now_us;
            quota_reports_run(f->of[i].r, f->now_us);
        }
    }
}

struct ask {
    uint32_t per_user, per_realm;
    const char *user, *realm;
    bool deny_alone, waits;
};

static enum reason open_one(
    struct rig *f, unsigned i, struct quota_charge *c, const struct ask *ask)
{
    const struct quota_limits limits = {
        .allocations_per_user = ask->per_user, .allocations_per_realm = ask->per_realm};
    const struct quota_asked asked = {.limits = &limits,
        .realm = 3 + i, /* ids differ between instances */
        .realm_name = slice_of_string(ask->realm ? ask->realm : "example.org"),
        .user = slice_of_string(ask->user ? ask->user : "alice"),
        .client = addr_ipv4(10, 0, (uint8_t)i, 1, 1000),
        .now_us = f->now_us,
        .deny_alone = ask->deny_alone,
        .waits = ask->waits};
    f->of[i].report = false;
    return quota_open(f->of[i].t, c, &asked, &f->of[i].report);
}

/* So many are admitted, at most `tries`. */
static unsigned open_many(
    struct rig *f, unsigned i, struct quota_charge *c, unsigned tries, const struct ask *ask)
{
    unsigned n = 0;
    while (n < tries && open_one(f, i, &c[n], ask) == REASON_NONE)
        n++;
    return n;
}

static void close_many(struct rig *f, unsigned i, struct quota_charge *c, unsigned n)
{
    for (unsigned j = 0; j < n; j++)
        quota_close(f->of[i].t, &c[j]);
}

static struct quota_state state_of(struct rig *f, unsigned i)
{
    struct quota_state out;
    quota_inspect(f->of[i].t, 3 + i, slice_of_string("alice"), f->now_us, &out);
    return out;
}

static void test_shared_quota_unreported_at_most_u(void **state)
{
    struct rig *f = *state;
    static struct quota_charge c[200];
    const struct {
        uint32_t limit, u;
    } cases[] = {{1, 1}, {2, 2}, {3, 3}, {4, 4}, {47, 4}, {48, 4}, {64, 5}, {160, 11}};
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct ask ask = {.per_user = cases[i].limit};
        assert_int_equal(open_many(f, 0, c, 200, &ask), cases[i].u);
        assert_int_equal(state_of(f, 0).unreported, cases[i].u);
        close_many(f, 0, c, cases[i].u);
        pass(f, 20 * US_PER_MS);
    }
}

/* Who can wait is told to, as long as there is room; and takes nothing meanwhile. */
static void test_shared_quota_pending_is_heard_of_later(void **state)
{
    struct rig *f = *state;
    static struct quota_charge c[20];
    struct ask ask = {.per_user = 10, .waits = true};
    assert_int_equal(open_many(f, 0, c, 20, &ask), 4);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(open_one(f, 0, &c[4], &ask), REASON_LIMITS_PENDING);
    assert_int_equal(state_of(f, 0).held, 4);
    pass(f, 10 * US_PER_MS);
    assert_int_equal(open_many(f, 0, c + 4, 20, &ask), 4);
    pass(f, 10 * US_PER_MS);
    assert_int_equal(open_many(f, 0, c + 8, 20, &ask), 2);
    assert_int_equal(open_one(f, 0, &c[10], &ask), REASON_QUOTA_USER); /* full, whoever waits */
    close_many(f, 0, c, 10);
    /* Of a realm likewise, and of a user without limit of his own. */
    ask = (struct ask){.per_realm = 10, .user = "bob", .waits = true};
    pass(f, 20 * US_PER_MS);
    assert_int_equal(open_many(f, 0, c, 20, &ask), 4);
    assert_int_equal(open_one(f, 0, &c[4], &ask), REASON_LIMITS_PENDING);
    ask.waits = false;
    assert_int_equal(open_one(f, 0, &c[4], &ask), REASON_QUOTA_REALM);
    close_many(f, 0, c, 4);
}

static void test_shared_quota_is_the_fleets(void **state)
{
    struct rig *f = *state;
    static struct quota_charge a[40], b[40];
    const struct ask ask = {.per_user = 30};
    unsigned held_a = 0, held_b = 0;
    for (unsigned round = 0; round < 20; round++) {
        held_a += open_many(f, 0, a + held_a, 1, &ask);
        held_b += open_many(f, 1, b + held_b, 1, &ask);
        pass(f, 10 * US_PER_MS);
    }
    assert_in_range(held_a + held_b, 30, 30 + 4);
    pass(f, 6 * US_PER_S);
    assert_int_equal(state_of(f, 0).others, held_b);
    assert_int_equal(state_of(f, 1).others, held_a);
    assert_int_equal(open_one(f, 0, &a[39], &ask), REASON_QUOTA_USER);
    /* What one gives back the other gets, soon after it was refused. */
    const unsigned back = held_a + held_b - 25;
    close_many(f, 1, b, back);
    pass(f, 20 * US_PER_MS);
    assert_int_equal(open_one(f, 0, &a[39], &ask), REASON_QUOTA_USER);
    pass(f, 300 * US_PER_MS);
    assert_int_equal(open_many(f, 0, a + held_a, 10, &ask), 4); /* u */
    pass(f, 20 * US_PER_MS);
    assert_int_equal(open_many(f, 0, a + held_a + 4, 10, &ask), 1);
    close_many(f, 0, a, held_a + 5);
    close_many(f, 1, b + back, held_b - back);
    pass(f, 20 * US_PER_MS);
    assert_int_equal(fake_held(&f->fleet), 0);
}

static void test_shared_quota_of_a_realm_is_the_fleets(void **state)
{
    struct rig *f = *state;
    struct quota_charge a[4], b[4], c;
    const struct ask alice = {.per_realm = 6}, bob = {.per_realm = 6, .user = "bob"};
    assert_int_equal(open_many(f, 0, a, 4, &alice), 4);
    pass(f, 10 * US_PER_MS);
    assert_int_equal(open_many(f, 1, b, 1, &bob), 1);
    pass(f, 10 * US_PER_MS);
    assert_int_equal(open_many(f, 1, b + 1, 3, &bob), 1);
    assert_int_equal(open_one(f, 1, &c, &bob), REASON_QUOTA_REALM);
    /* Of users, who have no limit, nothing was told; and the refused one left nothing. */
    unsigned names = 0;
    for (unsigned i = 0; i < FAKE_NAMES; i++)
        names += f->fleet.leases[i].name != 0;
    assert_int_equal(names, 1);
    close_many(f, 0, a, 4);
    close_many(f, 1, b, 2);
}

static void test_shared_quota_of_another_realm_is_its_own(void **state)
{
    struct rig *f = *state;
    struct quota_charge a[4], b[4];
    const struct ask here = {.per_user = 4, .per_realm = 4},
                     there = {.per_user = 4, .per_realm = 4, .realm = "example.net"};
    assert_int_equal(open_many(f, 0, a, 4, &here), 4);
    pass(f, 10 * US_PER_MS);
    assert_int_equal(open_many(f, 1, b, 1, &there), 1);
    pass(f, 10 * US_PER_MS); /* it has heard */
    assert_int_equal(state_of(f, 1).others, 0);
    assert_int_equal(open_many(f, 1, b + 1, 3, &there), 3);
    close_many(f, 0, a, 4);
    close_many(f, 1, b, 4);
}

/* Near its limit an instance hears of the others though nothing happens there. */
static void test_shared_quota_near_the_limit_is_asked_after(void **state)
{
    struct rig *f = *state;
    struct quota_charge a[4], b[4];
    const struct ask ask = {.per_user = 6};
    assert_int_equal(open_many(f, 0, a, 2, &ask), 2);
    pass(f, 10 * US_PER_MS);
    assert_int_equal(open_many(f, 1, b, 3, &ask), 3);
    pass(f, 10 * US_PER_MS);
    assert_int_equal(state_of(f, 0).others, 0);
    pass(f, 5 * US_PER_S);
    assert_int_equal(state_of(f, 0).others, 3);
    assert_int_equal(open_many(f, 0, a + 2, 2, &ask), 1);
    close_many(f, 0, a, 3);
    close_many(f, 1, b, 3);
}

static void test_shared_quota_without_limit_tells_nothing(void **state)
{
    struct rig *f = *state;
    static struct quota_charge c[100];
    const struct ask ask = {0};
    assert_int_equal(open_many(f, 0, c, 100, &ask), 100);
    assert_false(f->of[0].report);
    pass(f, 100 * US_PER_MS);
    close_many(f, 0, c, 100);
    pass(f, 100 * US_PER_MS);
    assert_int_equal(f->fleet.calls_made, 0);
}

static void test_shared_quota_limit_of_a_reload_tells_what_is_held(void **state)
{
    struct rig *f = *state;
    struct quota_charge c[12], d;
    const struct ask before = {0}, after = {.per_user = 10};
    assert_int_equal(open_many(f, 0, c, 12, &before), 12);
    const struct quota_limits limits = {.allocations_per_user = 10};
    quota_set_limits(f->of[0].t, 3, &limits);
    pass(f, 10 * US_PER_MS);
    assert_int_equal(fake_held(&f->fleet), 12);
    assert_int_equal(open_one(f, 1, &d, &after), REASON_NONE); /* it has not asked before */
    pass(f, 10 * US_PER_MS);
    assert_int_equal(open_one(f, 1, &d, &after), REASON_QUOTA_USER);
    close_many(f, 1, &d, 1);
    /* Taken away again: what was told is told until it is gone. */
    quota_set_limits(f->of[0].t, 3, &(struct quota_limits){0});
    close_many(f, 0, c, 12);
    pass(f, 10 * US_PER_MS);
    assert_int_equal(fake_held(&f->fleet), 0);
}

static void test_shared_quota_first_open_after_a_reload_tells_of_others(void **state)
{
    struct rig *f = *state;
    struct quota_charge c[12], d;
    const struct ask before = {0}, after = {.per_user = 10, .user = "bob"};
    assert_int_equal(open_many(f, 0, c, 12, &before), 12);
    assert_int_equal(open_one(f, 0, &d, &after), REASON_NONE);
    assert_true(f->of[0].report);
    pass(f, 10 * US_PER_MS);
    assert_int_equal(fake_held(&f->fleet), 13);
    close_many(f, 0, c, 12);
    close_many(f, 0, &d, 1);
}

static void test_shared_quota_silence_leaves_the_share(void **state)
{
    struct rig *f = *state;
    static struct quota_charge c[100];
    const struct ask ask = {.per_user = 60};
    f->of[0].member.fate = FAKE_UNHEARD;
    assert_int_equal(open_many(f, 0, c, 100, &ask), 4);
    pass(f, 49 * US_PER_MS);
    assert_int_equal(open_many(f, 0, c + 4, 100, &ask), 0);
    pass(f, 10 * US_PER_MS);
    assert_true(state_of(f, 0).silent);
    assert_int_equal(open_many(f, 0, c + 4, 90, &ask), 26); /* 60 / 2 */
    /* It stays so for as long as nobody answers, and nothing that is held ends. */
    for (unsigned i = 0; i < 30; i++) {
        pass(f, 10 * US_PER_S);
        assert_true(state_of(f, 0).silent);
    }
    assert_int_equal(open_many(f, 0, c + 30, 60, &ask), 0);
    f->of[0].member.fate = FAKE_HEARD;
    pass(f, 3 * US_PER_S);
    assert_false(state_of(f, 0).silent);
    assert_int_equal(fake_held(&f->fleet), 30);
    assert_int_equal(open_many(f, 0, c + 30, 60, &ask), 4);
    close_many(f, 0, c, 34);
}

static void test_shared_quota_share_is_at_least_one(void **state)
{
    struct rig *f = *state;
    struct quota_charge c[2];
    const struct ask ask = {.per_user = 3};
    quota_set_fleet(f->of[0].t, 10);
    quota_set_reachable(f->of[0].t, false);
    assert_int_equal(open_many(f, 0, c, 2, &ask), 1);
    assert_int_equal(open_one(f, 0, &c[1], &ask), REASON_QUOTA_USER);
    quota_set_reachable(f->of[0].t, true);
    assert_int_equal(open_one(f, 0, &c[1], &ask), REASON_NONE);
    close_many(f, 0, c, 2);
}

static void test_shared_quota_link_down_deny_opens_nothing(void **state)
{
    struct rig *f = *state;
    struct quota_charge c[2], unlimited;
    const struct ask ask = {.per_user = 60, .deny_alone = true}, free = {.deny_alone = true};
    assert_int_equal(open_one(f, 0, &c[0], &ask), REASON_NONE);
    quota_set_reachable(f->of[0].t, false);
    assert_int_equal(open_one(f, 0, &c[1], &ask), REASON_LIMITS_UNREACHABLE);
    assert_int_equal(state_of(f, 0).held, 1);
    /* What has no limit needs nobody's word. */
    assert_int_equal(open_one(f, 0, &unlimited, &free), REASON_NONE);
    close_many(f, 0, &unlimited, 1);
    close_many(f, 0, c, 1);
}

static void test_shared_quota_dead_instance_leaves_its_share_to_others(void **state)
{
    struct rig *f = *state;
    struct quota_charge a[4], b[4];
    const struct ask ask = {.per_user = 4};
    assert_int_equal(open_many(f, 0, a, 4, &ask), 4);
    pass(f, 10 * US_PER_MS);
    assert_int_equal(open_many(f, 1, b, 4, &ask), 4); /* u: it has not heard yet */
    pass(f, 10 * US_PER_MS);
    close_many(f, 1, b, 3);
    assert_int_equal(open_many(f, 1, b, 4, &ask), 0);
    f->fleet.dead[0] = true;
    pass(f, 6 * US_PER_S); /* near its limit: asked after every 5 s */
    assert_int_equal(open_many(f, 1, b, 4, &ask), 3);
    close_many(f, 1, b, 4);
    close_many(f, 0, a, 4);
}

static void test_shared_quota_inspects_a_realm(void **state)
{
    struct rig *f = *state;
    struct quota_charge c[2];
    struct quota_state out = {.held = 77};
    const struct ask ask = {.per_realm = 9};
    quota_inspect(f->of[0].t, 3, (struct slice){0}, f->now_us, &out);
    assert_int_equal(out.held, 0);
    assert_int_equal(open_many(f, 0, c, 2, &ask), 2);
    quota_inspect(f->of[0].t, 3, (struct slice){0}, f->now_us, &out);
    assert_int_equal(out.held, 2);
    assert_int_equal(out.unreported, 2);
    pass(f, 10 * US_PER_MS);
    quota_inspect(f->of[0].t, 3, (struct slice){0}, f->now_us, &out);
    assert_int_equal(out.unreported, 0);
    close_many(f, 0, c, 2);
}

/* A worker may enter what has changed after control has taken the list and before it reports: the
 * entry is in the list still, and what changes then must not enter it a second time. */
static void test_shared_quota_changes_are_listed_once(void **state)
{
    struct rig *f = *state;
    struct quota_shared *s = quota_shared_of(f->of[0].t);
    struct quota_charge c[3];
    const struct ask ask = {.per_user = 10};
    assert_int_equal(open_many(f, 0, c, 1, &ask), 1);
    const uint32_t index = quota_shared_changed(s);
    assert_int_not_equal(index, QUOTA_NO_INDEX);
    assert_int_equal(quota_shared_next(s, index), QUOTA_NO_INDEX);
    assert_int_equal(quota_shared_changed(s), QUOTA_NO_INDEX);

    assert_int_equal(open_many(f, 0, c + 1, 1, &ask), 1);
    assert_int_equal(quota_shared_snapshot(s, index, f->now_us), 2);
    quota_shared_postpone(s, index);
    assert_int_equal(open_many(f, 0, c + 2, 1, &ask), 1);
    assert_int_equal(quota_shared_changed(s), index);
    assert_int_equal(quota_shared_next(s, index), QUOTA_NO_INDEX);

    close_many(f, 0, c, 3);
    assert_false(quota_shared_let_go(s, index)); /* nothing is held, but it is in the list */
    assert_int_equal(quota_shared_changed(s), index);
    quota_shared_next(s, index);
    quota_shared_postpone(s, index);
    pass(f, 100 * US_PER_MS);
    assert_int_equal(fake_held(&f->fleet), 0);
    assert_int_equal(quota_reports_stats(f->of[0].r).leases, 0);
}

/* Workers open and close while control reports: in the end the fleet has been told exactly what is
 * held, which is nothing, and no lease is left. */
enum { THREADS = 3, ROUNDS = 100000, USERS = 5, EACH = 4 };

struct worker {
    struct rig *f;
    unsigned number, opened;
    uint64_t random;
};

static _Atomic unsigned running;

static void *work(void *arg)
{
    struct worker *w = arg;
    struct quota_charge c[USERS][EACH] = {{{0}}};
    for (unsigned i = 0; i < ROUNDS; i++) {
        w->random = w->random * 6364136223846793005ull + 1442695040888963407ull;
        const unsigned user = (unsigned)(w->random >> 33) % USERS;
        struct quota_charge *mine = &c[user][(w->random >> 40) % EACH];
        char name[2] = {(char)('a' + user), 0};
        const struct ask ask = {.per_user = 6, .per_realm = 40, .user = name};
        const struct quota_limits limits = {
            .allocations_per_user = ask.per_user, .allocations_per_realm = ask.per_realm};
        bool report = false;
        const struct quota_asked asked = {.limits = &limits,
            .realm = 3,
            .realm_name = slice_of_string("example.org"),
            .user = slice_of_string(name),
            .client = addr_ipv4(10, 0, 0, (uint8_t)w->number, 1000),
            .now_us = START_US};
        if (mine->open)
            quota_close(w->f->of[0].t, mine);
        else
            w->opened += quota_open(w->f->of[0].t, mine, &asked, &report) == REASON_NONE;
    }
    for (unsigned i = 0; i < USERS * EACH; i++)
        quota_close(w->f->of[0].t, &c[i / EACH][i % EACH]);
    atomic_fetch_sub(&running, 1);
    return NULL;
}

static void test_shared_quota_threads_and_control_leave_no_lease(void **state)
{
    struct rig *f = *state;
    pthread_t thread[THREADS];
    struct worker workers[THREADS];
    atomic_store(&running, THREADS);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.f = f, .number = i, .random = 88172645463325252ull + i};
        assert_int_equal(pthread_create(&thread[i], NULL, work, &workers[i]), 0);
    }
    unsigned seen = 0;
    while (atomic_load(&running) > 0) {
        f->of[0].member.fate = f->now_us % 700 == 0 ? FAKE_UNANSWERED : FAKE_HEARD;
        f->of[0].member.patience_us = 400;
        pass(f, 100);
        const uint32_t held = fake_held(&f->fleet);
        seen = held > seen ? held : seen;
        assert_true(held <= USERS * 6 + 40);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
        assert_true(workers[i].opened > 100);
    }
    assert_true(seen > 0);
    f->of[0].member.fate = FAKE_HEARD;
    pass(f, 20 * US_PER_S);
    assert_int_equal(fake_held(&f->fleet), 0);
    assert_int_equal(quota_reports_stats(f->of[0].r).leases, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_shared_quota_unreported_at_most_u),
        TEST(test_shared_quota_pending_is_heard_of_later),
        TEST(test_shared_quota_is_the_fleets),
        TEST(test_shared_quota_of_a_realm_is_the_fleets),
        TEST(test_shared_quota_of_another_realm_is_its_own),
        TEST(test_shared_quota_near_the_limit_is_asked_after),
        TEST(test_shared_quota_without_limit_tells_nothing),
        TEST(test_shared_quota_limit_of_a_reload_tells_what_is_held),
        TEST(test_shared_quota_first_open_after_a_reload_tells_of_others),
        TEST(test_shared_quota_silence_leaves_the_share),
        TEST(test_shared_quota_share_is_at_least_one),
        TEST(test_shared_quota_link_down_deny_opens_nothing),
        TEST(test_shared_quota_dead_instance_leaves_its_share_to_others),
        TEST(test_shared_quota_inspects_a_realm),
        TEST(test_shared_quota_changes_are_listed_once),
        TEST(test_shared_quota_threads_and_control_leave_no_lease),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
