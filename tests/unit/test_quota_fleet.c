/*
 * Three instances and a name, or two, that they all want: thousands of seeds, each with its own
 * limits, delays, losses and ways of asking. Nobody but this file counts what is held, and never
 * finds more than the bound of quota.h.
 */
#include "ratelimit/quota_reports.h"

#include "base/clock.h"
#include "tests/unit/fake_leases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define START_US  (1000 * US_PER_S)
#define INSTANCES 3
#define STEPS     1000
#define HELD_MAX  400
#define SEEDS     250

static const uint8_t key[16] = "quota table key", name_key[16] = "name key";

enum weather { NORMAL, LOSSES, OUTAGE, CUT_OFF };

struct instance {
    struct quota_table *t;
    struct quota_reports *r;
    struct fake_member member;
    struct quota_charge held[HELD_MAX];
    unsigned count;
};

struct simulation {
    struct fake_fleet fleet;
    struct instance of[INSTANCES];
    enum weather weather;
    uint64_t random, now_us;
    uint32_t limit, u, most;
};

static uint32_t below(struct simulation *s, uint32_t bound)
{
    uint64_t z = s->random += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return (uint32_t)((z ^ z >> 31) >> 16) % bound;
}

static void begin(struct simulation *s, uint64_t seed, enum weather weather)
{
    static const uint32_t limits[] = {1, 2, 3, 5, 12, 40, 100, 260};
    memset(s, 0, sizeof(*s));
    s->random = seed;
    s->weather = weather;
    s->now_us = START_US;
    s->limit = limits[below(s, 8)];
    const uint32_t u = 1 + s->limit / 16;
    s->u = u < 4 ? 4 : u;
    s->u = s->u > s->limit ? s->limit : s->u;
    for (unsigned i = 0; i < INSTANCES; i++) {
        struct instance *in = &s->of[i];
        in->t = quota_new(HELD_MAX, key);
        quota_share(in->t, name_key);
        quota_set_fleet(in->t, INSTANCES);
        in->member =
            (struct fake_member){.fleet = &s->fleet, .instance = i, .patience_us = 200 * US_PER_MS};
        const struct share share = fake_share(&in->member);
        in->r = quota_reports_new(in->t, &share);
    }
}

static uint32_t held(const struct simulation *s)
{
    uint32_t sum = 0;
    for (unsigned i = 0; i < INSTANCES; i++)
        sum += s->of[i].count;
    return sum;
}

static void open_some(struct simulation *s, unsigned i, unsigned tries)
{
    struct instance *in = &s->of[i];
    const struct quota_limits limits = {.allocations_per_user = s->limit};
    const struct quota_asked asked = {.limits = &limits,
        .realm_name = slice_of_string("example.org"),
        .user = slice_of_string("alice"),
        .client = addr_ipv4(10, 0, 0, 1, 1000),
        .now_us = s->now_us};
    bool report = false;
    while (tries-- > 0 && in->count < HELD_MAX &&
           quota_open(in->t, &in->held[in->count], &asked, &report) == REASON_NONE)
        in->count++;
    s->most = held(s) > s->most ? held(s) : s->most;
}

static void close_some(struct simulation *s, unsigned i, unsigned n)
{
    struct instance *in = &s->of[i];
    while (n-- > 0 && in->count > 0)
        quota_close(in->t, &in->held[--in->count]);
}

static void choose_fate(struct simulation *s, unsigned i, unsigned step)
{
    struct fake_member *m = &s->of[i].member;
    const bool out = step > STEPS / 3 && step < 2 * STEPS / 3;
    m->there_us = 50 + below(s, s->weather == NORMAL ? 8000 : 16000);
    m->back_us = 50 + below(s, 8000);
    m->fate = FAKE_HEARD;
    if (s->weather == LOSSES)
        m->fate = below(s, 6) == 0 ? FAKE_UNHEARD + below(s, 2) : FAKE_HEARD;
    else if (out && (s->weather == OUTAGE || (s->weather == CUT_OFF && i == 0)))
        m->fate = below(s, 2) ? FAKE_REFUSED : FAKE_UNHEARD;
    quota_set_reachable(s->of[i].t, m->fate != FAKE_REFUSED);
}

static void step(struct simulation *s, unsigned n)
{
    s->now_us += 100 + below(s, 3000);
    fake_run(&s->fleet, s->now_us);
    for (unsigned i = 0; i < INSTANCES; i++) {
        choose_fate(s, i, n);
        s->of[i].member.now_us = s->now_us;
        /* Late, at times, but never so that it looks like silence. */
        if (s->weather == NORMAL || below(s, 3) > 0)
            quota_reports_run(s->of[i].r, s->now_us);
    }
    /* At times all turn to the one that has just been told that there is room. */
    const unsigned i = below(s, INSTANCES);
    switch (below(s, 8)) {
    case 0:
        close_some(s, i, 1 + below(s, 4));
        break;
    case 1:
        close_some(s, i, below(s, 3) ? 0 : HELD_MAX);
        break;
    case 2:
        for (unsigned j = 0; j < INSTANCES; j++)
            open_some(s, j, HELD_MAX);
        break;
    default:
        open_some(s, i, 1 + below(s, 6));
    }
}

static void settle(struct simulation *s, uint64_t us)
{
    for (unsigned i = 0; i < INSTANCES; i++) {
        s->of[i].member.fate = FAKE_HEARD;
        s->of[i].member.there_us = s->of[i].member.back_us = 300;
        quota_set_reachable(s->of[i].t, true);
    }
    for (const uint64_t end = s->now_us + us; s->now_us < end;) {
        s->now_us += 5000;
        fake_run(&s->fleet, s->now_us);
        for (unsigned i = 0; i < INSTANCES; i++) {
            s->of[i].member.now_us = s->now_us;
            quota_reports_run(s->of[i].r, s->now_us);
        }
    }
}

/* Instances hold what they were asked for, and what they have told is that: in the end nothing. */
static void end(struct simulation *s)
{
    settle(s, 7 * US_PER_S);
    assert_int_equal(fake_held(&s->fleet), held(s));
    /* Who asks often enough gets all that there is. */
    for (unsigned round = 0; round < 60; round++) {
        for (unsigned i = 0; i < INSTANCES; i++)
            open_some(s, (i + round) % INSTANCES, 1);
        settle(s, 210 * US_PER_MS);
    }
    if (s->limit <= 40)
        assert_true(held(s) >= s->limit);
    for (unsigned i = 0; i < INSTANCES; i++)
        close_some(s, i, HELD_MAX);
    settle(s, 7 * US_PER_S);
    assert_int_equal(fake_held(&s->fleet), 0);
    for (unsigned i = 0; i < INSTANCES; i++) {
        assert_int_equal(quota_reports_stats(s->of[i].r).leases, 0);
        quota_reports_free(s->of[i].r);
        quota_free(s->of[i].t);
    }
}

static void simulate(enum weather weather)
{
    static struct simulation s;
    double worst = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        begin(&s, seed * 4 + weather, weather);
        for (unsigned n = 0; n < STEPS; n++)
            step(&s, n);
        const bool answered = weather == NORMAL;
        const uint32_t bound = answered ? s.limit + (INSTANCES - 1) * s.u
                                        : 2 * s.limit + (INSTANCES - 1) * s.u + INSTANCES;
        if (s.most > bound)
            fail_msg("seed %u: %u held, at most %u may be", (unsigned)seed, s.most, bound);
        const double used =
            (double)(s.most - (s.most < s.limit ? s.most : s.limit)) / (bound - s.limit);
        worst = used > worst ? used : worst;
        end(&s);
    }
    print_message("of what the bound leaves beyond the limit at most %.2f was used\n", worst);
    assert_true(worst > 0.3); /* or this shows nothing */
}

static void test_fleet_quota_in_normal_running_within_the_bound(void **state)
{
    simulate(NORMAL);
}

static void test_fleet_quota_with_losses_within_the_bound(void **state)
{
    simulate(LOSSES);
}

static void test_fleet_quota_in_an_outage_within_the_bound(void **state)
{
    simulate(OUTAGE);
}

static void test_fleet_quota_with_one_cut_off_within_the_bound(void **state)
{
    simulate(CUT_OFF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fleet_quota_in_normal_running_within_the_bound),
        cmocka_unit_test(test_fleet_quota_with_losses_within_the_bound),
        cmocka_unit_test(test_fleet_quota_in_an_outage_within_the_bound),
        cmocka_unit_test(test_fleet_quota_with_one_cut_off_within_the_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
