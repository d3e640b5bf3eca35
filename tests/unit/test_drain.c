/* daemon/drain.c under a clock of the test: what a drain is made of, when it says something, and
 * when the daemon stops for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "daemon/drain.h"

struct world {
    struct config config;
    struct counters counters;
    struct drain drain;
    struct instant now;
    uint64_t live;
    unsigned spreads, stops;
    bool settled;
};

static struct world world;

static void spread(void *ctx)
{
    world.spreads++;
}

static bool settled(void *ctx)
{
    return world.settled;
}

static void stop(void *ctx)
{
    world.stops++;
}

static uint64_t allocations(void *ctx)
{
    return world.live;
}

static int set_up(void **state)
{
    memset(&world, 0, sizeof(world));
    world.config.drain.deadline_s = 3600;
    world.config.drain.alternates.servers[0] = addr_ipv4(192, 0, 2, 1, 0);
    world.config.drain.alternates.count = 1;
    world.now = (struct instant){.mono_us = 1000 * US_PER_S};
    world.live = 7;
    world.settled = true;
    world.drain.deps = (struct drain_deps){.config = &world.config,
        .counters = &world.counters,
        .spread = spread,
        .settled = settled,
        .stop = stop,
        .allocations = allocations};
    return 0;
}

static void begin(const struct drain_asked *asked)
{
    static const struct drain_asked nothing;
    drain_begin(&world.drain, asked ? asked : &nothing, "test", &world.now);
}

static void pass(uint64_t seconds)
{
    for (uint64_t i = 0; i < seconds; i++) {
        world.now.mono_us += US_PER_S;
        drain_tick(&world.drain, &world.now);
    }
}

static struct relay_drain snapshot(void)
{
    struct relay_drain out;
    memset(&out, 0xa5, sizeof(out));
    drain_snapshot(&world.drain, &world.config, &out);
    return out;
}

static uint64_t gauge(void)
{
    struct counters_sum sum = {0};
    counters_sum_add(&sum, &world.counters);
    return sum.gauge[GAUGE_DRAINING];
}

static void test_drain_begins_as_the_configuration_says(void **state)
{
    assert_false(snapshot().on);
    begin(NULL);
    const struct relay_drain out = snapshot();
    assert_true(out.on);
    assert_int_equal(out.deadline_us, world.now.mono_us + 3600 * US_PER_S);
    assert_int_equal(out.alternates.count, 1);
    assert_int_equal(world.drain.at_first, 7);
    assert_false(world.drain.stop);
    assert_int_equal(world.spreads, 1);
    assert_int_equal(gauge(), 1);
    assert_int_equal(drain_left_s(&world.drain, &world.now), 3600);
}

static void test_drain_takes_what_is_asked_before_what_is_configured(void **state)
{
    const struct drain_alternates two = {
        .servers = {addr_ipv4(192, 0, 2, 2, 1), addr_ipv4(192, 0, 2, 3, 1)}, .count = 2};
    const struct drain_asked asked = {.has_deadline = true,
        .deadline_s = 60,
        .has_stop = true,
        .stop = true,
        .has_alternates = true,
        .alternates = &two};
    begin(&asked);
    assert_int_equal(snapshot().deadline_us, world.now.mono_us + 60 * US_PER_S);
    assert_int_equal(snapshot().alternates.count, 2);
    assert_int_equal(drain_alternates(&world.drain)->count, 2);
    assert_true(world.drain.stop);
}

static void test_drain_asked_again_keeps_what_is_not_said(void **state)
{
    const struct drain_asked first = {
        .has_deadline = true, .deadline_s = 600, .has_stop = true, .stop = true};
    const struct drain_asked later = {.has_deadline = true, .deadline_s = 5};
    begin(&first);
    const uint64_t deadline = snapshot().deadline_us;
    world.live = 3;
    pass(30);
    begin(NULL);
    assert_int_equal(snapshot().deadline_us, deadline);
    assert_true(world.drain.stop);
    assert_int_equal(world.drain.at_first, 7);
    begin(&later);
    assert_int_equal(snapshot().deadline_us, world.now.mono_us + 5 * US_PER_S);
    assert_true(world.drain.stop);
    assert_int_equal(world.spreads, 3);
}

/* A reload changes where clients are sent, unless that was said with the drain; a deadline that
 * runs is never moved by it. */
static void test_drain_through_a_reload_keeps_its_deadline(void **state)
{
    begin(NULL);
    const uint64_t deadline = snapshot().deadline_us;
    struct config next = world.config;
    next.drain.deadline_s = 1;
    next.drain.stop = true;
    next.drain.alternates.count = 0;
    struct relay_drain out;
    drain_snapshot(&world.drain, &next, &out);
    assert_true(out.on);
    assert_int_equal(out.deadline_us, deadline);
    assert_int_equal(out.alternates.count, 0);
    assert_false(world.drain.stop);
}

static void test_drain_undone_is_over(void **state)
{
    begin(NULL);
    drain_undo(&world.drain, "test", &world.now);
    assert_false(snapshot().on);
    assert_int_equal(gauge(), 0);
    assert_int_equal(world.spreads, 2);
    assert_int_equal(drain_left_s(&world.drain, &world.now), 0);
    drain_undo(&world.drain, "test", &world.now);
    assert_int_equal(world.spreads, 2);
    world.live = 0;
    pass(10);
    assert_int_equal(world.stops, 0);
}

/* The next one begins afresh. */
static void test_drain_after_an_undone_one_has_nothing_of_it(void **state)
{
    const struct drain_alternates none = {0};
    const struct drain_asked asked = {.has_deadline = true,
        .deadline_s = 1,
        .has_stop = true,
        .stop = true,
        .has_alternates = true,
        .alternates = &none};
    begin(&asked);
    drain_undo(&world.drain, "test", &world.now);
    pass(100);
    world.live = 2;
    begin(NULL);
    assert_false(world.drain.stop);
    assert_int_equal(world.drain.at_first, 2);
    assert_int_equal(snapshot().deadline_us, world.now.mono_us + 3600 * US_PER_S);
    assert_int_equal(snapshot().alternates.count, 1);
}

static void test_drain_stops_the_daemon_when_nothing_is_left(void **state)
{
    const struct drain_asked asked = {.has_stop = true, .stop = true};
    begin(&asked);
    pass(100);
    assert_int_equal(world.stops, 0);
    world.live = 0;
    pass(1);
    assert_int_equal(world.stops, 1);
}

/* A worker that still lets somebody in may have done so a moment ago. */
static void test_drain_stops_no_daemon_whose_workers_do_not_know(void **state)
{
    const struct drain_asked asked = {.has_stop = true, .stop = true};
    world.live = 0;
    world.settled = false;
    begin(&asked);
    pass(5);
    assert_int_equal(world.stops, 0);
    world.settled = true;
    pass(1);
    assert_int_equal(world.stops, 1);
}

static void test_drain_without_stop_waits(void **state)
{
    begin(NULL);
    world.live = 0;
    pass(4000);
    assert_int_equal(world.stops, 0);
    assert_true(snapshot().on);
    assert_int_equal(drain_left_s(&world.drain, &world.now), 0);
}

static void test_drain_speaks_every_ten_seconds(void **state)
{
    begin(NULL);
    assert_int_equal(world.drain.logged_us, world.now.mono_us);
    const uint64_t first = world.now.mono_us;
    pass(9);
    assert_int_equal(world.drain.logged_us, first);
    pass(1);
    assert_int_equal(world.drain.logged_us, first + 10 * US_PER_S);
    pass(15);
    assert_int_equal(world.drain.logged_us, first + 20 * US_PER_S);
    world.live = 0;
    pass(1); /* the end is said at once, and once */
    assert_int_equal(world.drain.logged_us, first + 26 * US_PER_S);
    pass(60);
    assert_int_equal(world.drain.logged_us, first + 26 * US_PER_S);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_drain_begins_as_the_configuration_says, set_up),
        cmocka_unit_test_setup(test_drain_takes_what_is_asked_before_what_is_configured, set_up),
        cmocka_unit_test_setup(test_drain_asked_again_keeps_what_is_not_said, set_up),
        cmocka_unit_test_setup(test_drain_through_a_reload_keeps_its_deadline, set_up),
        cmocka_unit_test_setup(test_drain_undone_is_over, set_up),
        cmocka_unit_test_setup(test_drain_after_an_undone_one_has_nothing_of_it, set_up),
        cmocka_unit_test_setup(test_drain_stops_the_daemon_when_nothing_is_left, set_up),
        cmocka_unit_test_setup(test_drain_stops_no_daemon_whose_workers_do_not_know, set_up),
        cmocka_unit_test_setup(test_drain_without_stop_waits, set_up),
        cmocka_unit_test_setup(test_drain_speaks_every_ten_seconds, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
