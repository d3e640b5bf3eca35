/*
 * THREATS row 26: peers that were never permitted, such as a spoofed DTLS ClientHello for a WebRTC
 * client behind the relay: not a byte is forwarded, each is counted.
 */
#include "tests/scenario/fixture.h"

#define SPOOFED 20000u

/* A DTLS 1.2 record with the beginning of a ClientHello. */
static const uint8_t client_hello[] = {22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 44, 1, 0, 0, 32, 0,
    0, 0, 0, 0, 0, 0, 32, 254, 253, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18,
    19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32};

static struct slice hello(void)
{
    return slice_of(client_hello, sizeof(client_hello));
}

static void test_spoofed_client_hellos_are_dropped_and_counted(void **state)
{
    struct fixture *f = *state;
    const struct addr friend = world_peer(1, 5000);
    f->a_relayed = fixture_allocate(&f->a);
    assert_int_equal(client_bind(&f->a, 0x4000, &friend), 200);
    const uint64_t replies = f->w->replies;
    for (unsigned i = 0; i < SPOOFED; i++) {
        const uint64_t dice = world_random(f->w);
        const struct addr peer = addr_ipv4((uint8_t)(46 + dice % 40), (uint8_t)(dice >> 8),
            (uint8_t)(dice >> 16), (uint8_t)(dice >> 24), (uint16_t)(dice >> 32));
        assert_true(world_from_peer(f->w, &peer, &f->a_relayed, hello(), 0));
    }
    assert_int_equal(f->w->media_to_client, 0);
    assert_int_equal(f->w->media_to_peer, 0);
    assert_int_equal(f->w->replies, replies);
    assert_int_equal(world_metric(f->w, METRIC_BYTES_TO_CLIENT), 0);
    assert_int_equal(world_dropped(f->w, REASON_NO_PERMISSION), SPOOFED);
    /* The friend's own passes. */
    struct received m;
    assert_true(world_from_peer(f->w, &friend, &f->a_relayed, hello(), 0));
    assert_true(client_receive(&f->a, &m));
    assert_true(slice_equal(m.data, hello()));
}

static void test_neighbours_of_a_permitted_peer_are_dropped(void **state)
{
    struct fixture *f = *state;
    struct received m;
    const struct addr friend = world_peer(1, 5000);
    f->a_relayed = fixture_allocate(&f->a);
    assert_int_equal(client_permit(&f->a, &friend), 200);
    for (unsigned bit = 0; bit < 32; bit++) {
        struct addr peer = friend;
        peer.ip[bit / 8] ^= (uint8_t)(1u << bit % 8);
        world_from_peer(f->w, &peer, &f->a_relayed, hello(), 0);
        assert_false(client_receive(&f->a, &m));
    }
    assert_int_equal(world_dropped(f->w, REASON_NO_PERMISSION), 32);
}

static void test_neighbours_of_a_permitted_ipv6_peer_are_dropped(void **state)
{
    struct fixture *f = *state;
    struct received m;
    struct response r;
    const struct addr friend = world_peer6(1, 5000);
    assert_int_equal(CLIENT_ASK(&f->a, STUN_ALLOCATE, &r, ATTR_UDP, ATTR_FAMILY6), 200);
    assert_int_equal(client_permit(&f->a, &friend), 200);
    for (unsigned bit = 0; bit < 128; bit++) {
        struct addr peer = friend;
        peer.ip[bit / 8] ^= (uint8_t)(1u << bit % 8);
        world_from_peer(f->w, &peer, &r.relayed[0], hello(), 0);
        assert_false(client_receive(&f->a, &m));
    }
    assert_true(world_from_peer(f->w, &friend, &r.relayed[0], hello(), 0));
    assert_true(client_receive(&f->a, &m));
}

static void test_peers_of_expired_permissions_and_other_allocations_are_dropped(void **state)
{
    struct fixture *f = *state;
    struct received m;
    const struct addr friend = world_peer(1, 5000);
    f->a_relayed = fixture_allocate(&f->a);
    f->b_relayed = fixture_allocate(&f->b);
    assert_int_equal(client_permit(&f->a, &friend), 200);
    world_from_peer(f->w, &friend, &f->b_relayed, hello(), 0);
    assert_false(client_receive(&f->b, &m));
    world_advance(f->w, 301);
    world_from_peer(f->w, &friend, &f->a_relayed, hello(), 0);
    assert_false(client_receive(&f->a, &m));
    assert_int_equal(world_dropped(f->w, REASON_NO_PERMISSION), 2);
}

static void test_refused_permissions_let_nothing_in(void **state)
{
    struct fixture *f = *state;
    struct received m;
    f->a_relayed = fixture_allocate(&f->a);
    const struct addr peer = addr_ipv4(10, 0, 0, 1, 5000);
    assert_int_equal(client_permit(&f->a, &peer), 403);
    world_from_peer(f->w, &peer, &f->a_relayed, hello(), 0);
    assert_false(client_receive(&f->a, &m));
}

/* The same for clients of connections. */
static int set_up_streams(void **state)
{
    int r = fixture_set_up(state);
    struct fixture *f = *state;
    f->a.transport = TRANSPORT_TCP;
    f->a.connection = 7;
    f->b.transport = TRANSPORT_TLS;
    f->b.connection = 8;
    return r;
}

int main(void)
{
#define STREAMS(name) cmocka_unit_test_setup_teardown(name, set_up_streams, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        SCENARIO(test_spoofed_client_hellos_are_dropped_and_counted),
        SCENARIO(test_neighbours_of_a_permitted_peer_are_dropped),
        SCENARIO(test_neighbours_of_a_permitted_ipv6_peer_are_dropped),
        SCENARIO(test_peers_of_expired_permissions_and_other_allocations_are_dropped),
        SCENARIO(test_refused_permissions_let_nothing_in),
        STREAMS(test_spoofed_client_hellos_are_dropped_and_counted),
        STREAMS(test_neighbours_of_a_permitted_peer_are_dropped),
        STREAMS(test_neighbours_of_a_permitted_ipv6_peer_are_dropped),
        STREAMS(test_peers_of_expired_permissions_and_other_allocations_are_dropped),
        STREAMS(test_refused_permissions_let_nothing_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
