/*
 * Bandwidth (THREATS row 18): of an allocation, a user, a realm and the instance, each direction
 * apart, in every form of media. What is over is dropped and counted by its reason, and nobody else
 * loses anything by it.
 */
#include "tests/scenario/fixture.h"

#define MEGA      1000000ull /* bytes a second: 8 mbit */
#define PACKET    1000u
#define BURST     500u /* packets: half a second */
#define KEY_FRAME 200u
#define CHANNEL   0x4000

enum way { CHANNEL_OUT, SEND_INDICATION, CHANNEL_IN, DATA_INDICATION, WAYS };
enum level { ALLOCATION, USER, A_REALM, INSTANCE, LEVELS };

static const enum reason reasons[LEVELS] = {REASON_BANDWIDTH_ALLOCATION, REASON_BANDWIDTH_USER,
    REASON_BANDWIDTH_REALM, REASON_BANDWIDTH_INSTANCE};

/* A client with an allocation, a peer behind a channel and one without. */
struct call {
    struct client *client;
    struct addr relayed, bound, other;
};

static struct call begin_call(struct client *c)
{
    struct call call = {.client = c,
        .relayed = fixture_allocate(c),
        .bound = world_peer(1, 5000),
        .other = world_peer(1, 5001)};
    assert_int_equal(client_bind(c, CHANNEL, &call.bound), 200);
    return call;
}

static void send_bytes(const struct call *call, enum way way, uint32_t bytes)
{
    static const uint8_t data[65536];
    struct world *w = call->client->world;
    switch (way) {
    case CHANNEL_OUT:
        client_channel_data(call->client, CHANNEL, data, bytes);
        return;
    case SEND_INDICATION:
        client_indicate(call->client, &call->other, data, bytes);
        return;
    default:
        world_from_peer(w, way == CHANNEL_IN ? &call->bound : &call->other, &call->relayed,
            slice_of(data, bytes), 0);
    }
}

static uint64_t relayed(const struct world *w)
{
    return world_metric(w, METRIC_RELAYED_TO_PEER) + world_metric(w, METRIC_RELAYED_TO_CLIENT);
}

/* How many of so many packets pass at this moment. */
static unsigned pass(const struct call *call, enum way way, unsigned packets)
{
    struct world *w = call->client->world;
    const uint64_t before = relayed(w);
    for (unsigned i = 0; i < packets; i++)
        send_bytes(call, way, PACKET);
    world_run(w);
    world_clear(w);
    return (unsigned)(relayed(w) - before);
}

/* A flow of so many packets a millisecond; how many of them pass. */
static unsigned flow(const struct call *call, enum way way, unsigned per_ms, unsigned ms)
{
    unsigned passed = 0;
    for (unsigned i = 0; i < ms; i++) {
        passed += pass(call, way, per_ms);
        world_advance_ms(call->client->world, 1);
    }
    return passed;
}

static void set_rate(struct fixture *f, enum level level, uint64_t bytes_per_s)
{
    struct ratelimit_settings *limits = &f->settings.limits;
    uint64_t *const places[LEVELS] = {&limits->rates.bandwidth_per_allocation,
        &limits->rates.bandwidth_per_user, &limits->rates.bandwidth_per_realm,
        &limits->bandwidth_per_instance};
    limits->bandwidth_burst_ms = 500;
    *places[level] = bytes_per_s;
}

/* A world in which one level is limited to 8 mbit. */
static void limit(struct fixture *f, enum level level)
{
    memset(&f->settings.limits.rates, 0, sizeof(f->settings.limits.rates));
    f->settings.limits.bandwidth_per_instance = 0;
    set_rate(f, level, MEGA);
    fixture_restart(f);
}

static void test_bandwidth_key_frame_passes_and_what_is_over_is_dropped(void **state)
{
    struct fixture *f = *state;
    for (enum level level = 0; level < LEVELS; level++) {
        limit(f, level);
        const struct call call = begin_call(&f->a);
        for (enum way way = 0; way < WAYS; way++) {
            const uint64_t dropped = world_dropped(f->w, reasons[level]);
            assert_int_equal(pass(&call, way, KEY_FRAME), KEY_FRAME);
            assert_int_equal(pass(&call, way, BURST), BURST - KEY_FRAME);
            assert_int_equal(world_dropped(f->w, reasons[level]), dropped + KEY_FRAME);
            /* Dropped, not kept for later. */
            world_advance_ms(f->w, 100);
            assert_int_equal(pass(&call, way, 0), 0);
            world_advance(f->w, 1);
        }
        world_check(f->w);
    }
}

static void test_bandwidth_sustained_flow_gets_the_rate_and_the_burst(void **state)
{
    struct fixture *f = *state;
    for (enum level level = 0; level < LEVELS; level++) {
        for (enum way way = 0; way < WAYS; way++) {
            limit(f, level);
            const struct call call = begin_call(&f->a);
            /* Twice the rate for three seconds, of which the last packets come at 2.999 s. */
            const unsigned passed = flow(&call, way, 2, 3000);
            assert_in_range(passed, BURST + 2999 - 1, BURST + 2999);
            assert_int_equal(world_dropped(f->w, reasons[level]), 6000 - passed);
        }
    }
}

static void test_bandwidth_flow_at_the_rate_loses_nothing(void **state)
{
    struct fixture *f = *state;
    for (enum level level = 0; level < LEVELS; level++) {
        limit(f, level);
        const struct call call = begin_call(&f->a);
        for (enum way way = 0; way < WAYS; way++)
            assert_int_equal(flow(&call, way, 1, 500), 500);
    }
}

static void test_bandwidth_of_one_direction_leaves_the_other(void **state)
{
    struct fixture *f = *state;
    for (enum level level = 0; level < LEVELS; level++) {
        limit(f, level);
        const struct call call = begin_call(&f->a);
        assert_int_equal(pass(&call, CHANNEL_OUT, 2 * BURST), BURST);
        assert_int_equal(pass(&call, SEND_INDICATION, 1), 0);
        assert_int_equal(pass(&call, DATA_INDICATION, 2 * BURST), BURST);
        assert_int_equal(pass(&call, CHANNEL_IN, 1), 0);
    }
}

static void test_bandwidth_flood_of_a_user_leaves_others_untouched(void **state)
{
    struct fixture *f = *state;
    set_rate(f, USER, MEGA);
    set_rate(f, A_REALM, 3 * MEGA);
    set_rate(f, INSTANCE, 3 * MEGA);
    fixture_restart(f);
    const struct call alice = begin_call(&f->a), bob = begin_call(&f->b);
    for (enum way way = 0; way < WAYS; way++) {
        unsigned passed = 0;
        for (unsigned ms = 0; ms < 1000; ms++) {
            pass(&alice, way, 20);
            passed += pass(&bob, way, 1);
            world_advance_ms(f->w, 1);
        }
        assert_int_equal(passed, 1000);
    }
    assert_int_equal(world_dropped(f->w, REASON_BANDWIDTH_REALM), 0);
    assert_int_equal(world_dropped(f->w, REASON_BANDWIDTH_INSTANCE), 0);
    assert_true(world_dropped(f->w, REASON_BANDWIDTH_USER) > 70000);
    world_check(f->w);
}

static void test_bandwidth_of_a_user_counts_over_allocations_and_workers(void **state)
{
    struct fixture *f = *state;
    struct client again;
    f->settings.workers = 2;
    limit(f, USER);
    client_init(&again, f->w, 3);
    again.worker = 1;
    const struct call one = begin_call(&f->a), two = begin_call(&again), bob = begin_call(&f->b);
    assert_int_equal(pass(&one, CHANNEL_OUT, KEY_FRAME), KEY_FRAME);
    assert_int_equal(pass(&two, CHANNEL_OUT, BURST), BURST - KEY_FRAME);
    assert_int_equal(pass(&one, CHANNEL_OUT, 1), 0);
    assert_int_equal(pass(&bob, CHANNEL_OUT, BURST), BURST);
}

static void test_bandwidth_of_an_allocation_leaves_the_users_other_one(void **state)
{
    struct fixture *f = *state;
    struct client again;
    limit(f, ALLOCATION);
    client_init(&again, f->w, 3);
    const struct call one = begin_call(&f->a), two = begin_call(&again);
    assert_int_equal(pass(&one, CHANNEL_IN, 2 * BURST), BURST);
    assert_int_equal(pass(&two, CHANNEL_IN, 2 * BURST), BURST);
}

static void test_bandwidth_of_a_realm_is_its_own(void **state)
{
    struct fixture *f = *state;
    const struct realm_rates faster = {.bandwidth_per_realm = 2 * MEGA};
    f->settings.realm_rates[REALM_STORED] = &faster;
    limit(f, A_REALM);
    f->b.realm_id = REALM_STORED;
    client_set_user(&f->b, "carol", "chorus");
    const struct call alice = begin_call(&f->a), carol = begin_call(&f->b);
    assert_int_equal(pass(&alice, CHANNEL_OUT, 2 * BURST), BURST);
    assert_int_equal(pass(&carol, CHANNEL_OUT, 4 * BURST), 2 * BURST);
}

static void test_bandwidth_of_realm_and_instance_is_shared_by_workers(void **state)
{
    struct fixture *f = *state;
    f->settings.workers = 2;
    for (enum level level = A_REALM; level < LEVELS; level++) {
        limit(f, level);
        f->b.worker = 1;
        const struct call alice = begin_call(&f->a), bob = begin_call(&f->b);
        unsigned passed = 0;
        for (unsigned ms = 0; ms < 2000; ms++) {
            passed += pass(&alice, CHANNEL_OUT, 2) + pass(&bob, CHANNEL_OUT, 2);
            world_advance_ms(f->w, 1);
        }
        /* Each worker may still have 10 ms that it has not used. */
        assert_in_range(passed, BURST + 1999 - 20, BURST + 1999);
    }
}

static void test_bandwidth_reload_holds_at_once_and_forgets_nothing(void **state)
{
    struct fixture *f = *state;
    for (enum level level = 0; level < LEVELS; level++) {
        limit(f, level);
        const struct call call = begin_call(&f->a);
        assert_int_equal(pass(&call, CHANNEL_OUT, 2 * BURST), BURST);
        set_rate(f, level, 4 * MEGA);
        world_reload(f->w, &f->settings);
        assert_int_equal(pass(&call, CHANNEL_OUT, 100), 0);
        assert_int_equal(flow(&call, CHANNEL_OUT, 4, 500), 4 * 499);
        set_rate(f, level, MEGA / 2);
        world_reload(f->w, &f->settings);
        assert_in_range(flow(&call, CHANNEL_OUT, 4, 1000), 500, 504);
        set_rate(f, level, 0);
        world_reload(f->w, &f->settings);
        assert_int_equal(pass(&call, CHANNEL_OUT, 10 * BURST), 10 * BURST);
        set_rate(f, level, MEGA);
        world_reload(f->w, &f->settings);
        assert_in_range(pass(&call, CHANNEL_OUT, BURST), 0, 10);
    }
}

static void test_bandwidth_goes_with_the_user_and_not_with_its_place(void **state)
{
    struct fixture *f = *state;
    /* Room for few: who comes after alice has her entry of the quota table. */
    f->settings.relay.max_allocations = 2;
    limit(f, USER);
    const struct call alice = begin_call(&f->a);
    assert_int_equal(pass(&alice, CHANNEL_OUT, 2 * BURST), BURST);
    assert_int_equal(client_refresh(&f->a, 0, NULL), 200);
    const struct call again = begin_call(&f->a);
    assert_int_equal(pass(&again, CHANNEL_OUT, 1), 0);
    assert_int_equal(client_refresh(&f->a, 0, NULL), 200);
    const struct call bob = begin_call(&f->b);
    assert_int_equal(pass(&bob, CHANNEL_OUT, 2 * BURST), BURST);
}

static void test_bandwidth_strangers_take_nothing(void **state)
{
    struct fixture *f = *state;
    for (enum level level = 0; level < LEVELS; level++) {
        limit(f, level);
        struct call call = begin_call(&f->a);
        const struct call stranger = {
            &f->a, call.relayed, world_peer(9, 5000), world_peer(9, 5000)};
        assert_int_equal(pass(&stranger, CHANNEL_IN, 2 * BURST), 0);
        assert_int_equal(pass(&stranger, SEND_INDICATION, 2 * BURST), 0);
        assert_int_equal(world_dropped(f->w, REASON_NO_PERMISSION), 4 * BURST);
        assert_int_equal(pass(&call, CHANNEL_IN, BURST), BURST);
        assert_int_equal(pass(&call, CHANNEL_OUT, BURST), BURST);
    }
}

static void test_bandwidth_denied_peers_take_nothing(void **state)
{
    struct fixture *f = *state;
    struct prefix_rule deny;
    const char *why = "";
    assert_int_equal(prefix_rule_parse(&deny, "45.45.0.0/24:5001", &why), 0);
    for (enum level level = 0; level < LEVELS; level++) {
        f->settings.relay.policy.deny_count = 0;
        limit(f, level);
        const struct call call = begin_call(&f->a);
        f->settings.relay.policy.deny = &deny;
        f->settings.relay.policy.deny_count = 1;
        world_reload(f->w, &f->settings);
        assert_int_equal(pass(&call, SEND_INDICATION, 2 * BURST), 0);
        assert_int_equal(pass(&call, DATA_INDICATION, 2 * BURST), 0);
        assert_int_equal(world_dropped(f->w, REASON_PEER_DENIED), 4 * BURST);
        assert_int_equal(pass(&call, CHANNEL_OUT, BURST), BURST);
        assert_int_equal(pass(&call, CHANNEL_IN, BURST), BURST);
    }
}

static void test_bandwidth_requests_and_icmp_are_not_media(void **state)
{
    struct fixture *f = *state;
    struct received m;
    for (enum level level = 0; level < LEVELS; level++) {
        limit(f, level);
        const struct call call = begin_call(&f->a);
        assert_int_equal(pass(&call, CHANNEL_OUT, 2 * BURST), BURST);
        assert_int_equal(pass(&call, CHANNEL_IN, 2 * BURST), BURST);
        assert_int_equal(client_refresh(&f->a, 600, NULL), 200);
        assert_int_equal(client_permit(&f->a, &call.other), 200);
        assert_true(world_icmp(f->w, &call.relayed, &call.bound, (const uint8_t[2]){3, 4}, 1400));
        assert_true(client_receive(&f->a, &m));
        assert_true(m.icmp);
        assert_int_equal(pass(&call, CHANNEL_IN, 1), 0);
    }
}

static void test_bandwidth_largest_datagram_passes_the_smallest_limit(void **state)
{
    struct fixture *f = *state;
    for (enum level level = 0; level < LEVELS; level++) {
        set_rate(f, level, 1);
        fixture_restart(f);
        const struct call call = begin_call(&f->a);
        const uint64_t before = relayed(f->w);
        for (unsigned i = 0; i < 3; i++) {
            send_bytes(&call, CHANNEL_OUT, 65503);
            send_bytes(&call, CHANNEL_IN, 65503);
        }
        world_run(f->w);
        assert_int_equal(relayed(f->w) - before, 4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_bandwidth_key_frame_passes_and_what_is_over_is_dropped),
        SCENARIO(test_bandwidth_sustained_flow_gets_the_rate_and_the_burst),
        SCENARIO(test_bandwidth_flow_at_the_rate_loses_nothing),
        SCENARIO(test_bandwidth_of_one_direction_leaves_the_other),
        SCENARIO(test_bandwidth_flood_of_a_user_leaves_others_untouched),
        SCENARIO(test_bandwidth_of_a_user_counts_over_allocations_and_workers),
        SCENARIO(test_bandwidth_of_an_allocation_leaves_the_users_other_one),
        SCENARIO(test_bandwidth_of_a_realm_is_its_own),
        SCENARIO(test_bandwidth_of_realm_and_instance_is_shared_by_workers),
        SCENARIO(test_bandwidth_reload_holds_at_once_and_forgets_nothing),
        SCENARIO(test_bandwidth_goes_with_the_user_and_not_with_its_place),
        SCENARIO(test_bandwidth_strangers_take_nothing),
        SCENARIO(test_bandwidth_denied_peers_take_nothing),
        SCENARIO(test_bandwidth_requests_and_icmp_are_not_media),
        SCENARIO(test_bandwidth_largest_datagram_passes_the_smallest_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
