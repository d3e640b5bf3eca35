/*
 * Channels (RFC 8656 section 12): numbers, both ways of being bound already, families, policy,
 * caps, expiry, and the permission that a ChannelBind makes.
 */
#include "tests/scenario/fixture.h"

static void test_channel_carries_media_both_ways(void **state)
{
    struct fixture *f = *state;
    struct received m;
    const struct addr peer = world_peer(1, 5000);
    const struct addr relayed = fixture_allocate(&f->a);
    assert_int_equal(client_bind(&f->a, 0x4000, &peer), 200);
    assert_true(fixture_channel_to_peer(&f->a, 0x4000, &peer, "out"));
    assert_true(world_from_peer(f->w, &peer, &relayed, slice_of_string("in"), 0));
    assert_true(client_receive(&f->a, &m));
    assert_true(m.channel);
    assert_int_equal(m.number, 0x4000);
    assert_memory_equal(m.data.data, "in", 2);
    /* "it may use either a ChannelData message or a Send indication" */
    assert_true(fixture_to_peer(&f->a, &peer, "by Send"));
}

static void test_channel_number_out_of_range_is_400(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    fixture_allocate(&f->a);
    const uint16_t bad[] = {0, 1, 0x3fff, 0x5000, 0x7fff, 0x8000, 0xffff};
    for (unsigned i = 0; i < 7; i++)
        assert_int_equal(client_bind(&f->a, bad[i], &peer), 400);
    assert_int_equal(world_refused(f->w, REASON_CHANNEL_OUT_OF_RANGE), 7);
    assert_false(fixture_to_peer(&f->a, &peer, "no permission from a refusal"));
}

static void test_channel_numbers_at_the_edges_are_bound(void **state)
{
    struct fixture *f = *state;
    const struct addr first = world_peer(1, 5000), last = world_peer(2, 5000);
    fixture_allocate(&f->a);
    assert_int_equal(client_bind(&f->a, 0x4000, &first), 200);
    assert_int_equal(client_bind(&f->a, 0x4fff, &last), 200);
    assert_true(fixture_channel_to_peer(&f->a, 0x4000, &first, "first"));
    assert_true(fixture_channel_to_peer(&f->a, 0x4fff, &last, "last"));
}

static void test_channel_bound_to_another_peer_is_400(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000), port = world_peer(1, 5001),
                      other = world_peer(2, 5000);
    fixture_allocate(&f->a);
    assert_int_equal(client_bind(&f->a, 0x4000, &peer), 200);
    assert_int_equal(client_bind(&f->a, 0x4000, &other), 400);
    assert_int_equal(client_bind(&f->a, 0x4000, &port), 400);
    assert_int_equal(world_refused(f->w, REASON_CHANNEL_CONFLICT), 2);
    assert_true(fixture_channel_to_peer(&f->a, 0x4000, &peer, "as before"));
    assert_false(fixture_to_peer(&f->a, &other, "no permission from a refusal"));
}

static void test_peer_bound_to_another_channel_is_400(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    fixture_allocate(&f->a);
    assert_int_equal(client_bind(&f->a, 0x4000, &peer), 200);
    assert_int_equal(client_bind(&f->a, 0x4001, &peer), 400);
    assert_false(fixture_channel_to_peer(&f->a, 0x4001, &peer, "no"));
    assert_true(fixture_channel_to_peer(&f->a, 0x4000, &peer, "yes"));
}

static void test_channels_of_two_ports_of_one_peer_are_apart(void **state)
{
    struct fixture *f = *state;
    struct received m;
    const struct addr one = world_peer(1, 5000), two = world_peer(1, 5001),
                      three = world_peer(1, 5002);
    const struct addr relayed = fixture_allocate(&f->a);
    assert_int_equal(client_bind(&f->a, 0x4000, &one), 200);
    assert_int_equal(client_bind(&f->a, 0x4001, &two), 200);
    world_from_peer(f->w, &two, &relayed, slice_of_string("two"), 0);
    assert_true(client_receive(&f->a, &m));
    assert_true(m.channel);
    assert_int_equal(m.number, 0x4001);
    /* A third port has a permission, but no channel. */
    world_from_peer(f->w, &three, &relayed, slice_of_string("three"), 0);
    assert_true(client_receive(&f->a, &m));
    assert_false(m.channel);
    assert_true(addr_equal(&m.peer, &three));
}

static void test_channel_bound_again_to_its_peer_succeeds(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    fixture_allocate(&f->a);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(client_bind(&f->a, 0x4000, &peer), 200);
}

static void test_channel_of_one_allocation_is_nothing_to_another(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000), other = world_peer(2, 5000);
    fixture_allocate(&f->a);
    fixture_allocate(&f->b);
    assert_int_equal(client_bind(&f->a, 0x4000, &peer), 200);
    assert_false(fixture_channel_to_peer(&f->b, 0x4000, &peer, "no"));
    assert_int_equal(client_bind(&f->b, 0x4000, &other), 200);
    assert_int_equal(client_bind(&f->b, 0x4001, &peer), 200);
}

static void test_channel_of_another_family_is_443(void **state)
{
    struct fixture *f = *state;
    const struct addr peer4 = world_peer(1, 5000), peer6 = world_peer6(1, 5000);
    fixture_allocate(&f->a);
    assert_int_equal(client_bind(&f->a, 0x4000, &peer6), 443);
    assert_int_equal(CLIENT_ASK(&f->b, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_FAMILY6), 200);
    assert_int_equal(client_bind(&f->b, 0x4000, &peer4), 443);
    assert_int_equal(client_bind(&f->b, 0x4000, &peer6), 200);
    assert_true(fixture_channel_to_peer(&f->b, 0x4000, &peer6, "six"));
}

static void test_channel_to_a_forbidden_peer_is_403(void **state)
{
    struct fixture *f = *state;
    struct addr peer = addr_ipv4(192, 168, 0, 1, 5000);
    fixture_allocate(&f->a);
    assert_int_equal(client_bind(&f->a, 0x4000, &peer), 403);
    peer = f->w->server_ipv4;
    assert_int_equal(client_bind(&f->a, 0x4000, &peer), 403);
    /* The number is still free. */
    peer = world_peer(1, 5000);
    assert_int_equal(client_bind(&f->a, 0x4000, &peer), 200);
}

static void test_channels_over_the_cap_are_508(void **state)
{
    struct fixture *f = *state;
    f->settings.relay.channels_per_allocation = 3;
    fixture_restart(f);
    fixture_allocate(&f->a);
    for (uint16_t i = 0; i < 5; i++) {
        const struct addr peer = world_peer(i + 1u, 5000);
        assert_int_equal(client_bind(&f->a, (uint16_t)(0x4000 + i), &peer), i < 3 ? 200 : 508);
        if (i >= 3)
            assert_false(fixture_to_peer(&f->a, &peer, "no permission from a refusal"));
    }
    assert_int_equal(world_refused(f->w, REASON_CHANNEL_CAP), 2);
    const struct addr bound = world_peer(1, 5000);
    assert_int_equal(client_bind(&f->a, 0x4000, &bound), 200);
}

static void test_channel_over_the_permission_cap_is_508_and_not_bound(void **state)
{
    struct fixture *f = *state;
    f->settings.relay.permissions_per_allocation = 1;
    fixture_restart(f);
    const struct addr first = world_peer(1, 5000), second = world_peer(2, 5000),
                      port = world_peer(1, 5001);
    fixture_allocate(&f->a);
    assert_int_equal(client_bind(&f->a, 0x4000, &first), 200);
    assert_int_equal(client_bind(&f->a, 0x4001, &second), 508);
    assert_false(fixture_channel_to_peer(&f->a, 0x4001, &second, "no"));
    assert_int_equal(client_bind(&f->a, 0x4001, &port), 200);
}

static void test_channel_data_on_an_unbound_channel_is_dropped(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    fixture_allocate(&f->a);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    client_channel_data(&f->a, 0x4000, "x", 1);
    assert_int_equal(world_dropped(f->w, REASON_NO_CHANNEL), 1);
    assert_null(world_take_to_peer(f->w));
}

static void test_channel_data_outside_the_numbers_is_dropped(void **state)
{
    struct fixture *f = *state;
    fixture_allocate(&f->a);
    const uint16_t numbers[] = {0x5000, 0x6000, 0x7fff, 0xffff};
    for (unsigned i = 0; i < 4; i++)
        client_channel_data(&f->a, numbers[i], "x", 1);
    assert_int_equal(f->w->media_to_peer, 0);
    assert_int_equal(
        world_dropped(f->w, REASON_NOT_STUN) + world_dropped(f->w, REASON_CHANNEL_RESERVED), 4);
}

static void test_channel_numbers_of_rfc5766_are_bound_where_the_operator_asks(void **state)
{
    struct fixture *f = *state;
    f->settings.relay.rfc5766_channels = true;
    fixture_restart(f);
    const uint16_t numbers[] = {0x4000, 0x4fff, 0x5000, 0x7fff}, bad[] = {0x3fff, 0x8000, 0xffff};
    f->a_relayed = fixture_allocate(&f->a);
    for (unsigned i = 0; i < 4; i++) {
        const struct addr peer = world_peer(i + 1, 5000);
        assert_int_equal(client_bind(&f->a, numbers[i], &peer), 200);
        assert_true(fixture_channel_to_peer(&f->a, numbers[i], &peer, "out"));
        assert_true(world_from_peer(f->w, &peer, &f->a_relayed, slice_of_string("in"), 0));
        const struct sent *s = NULL;
        do {
            s = world_take_to_client(f->w, &f->a.addr);
        } while (s && !s->media);
        if (!s) {
            fail_msg("channel %#x: nothing came", (unsigned)numbers[i]);
            return;
        }
        assert_int_equal(s->bytes[0] << 8 | s->bytes[1], numbers[i]);
    }
    const struct addr peer = world_peer(9, 5000);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(client_bind(&f->a, bad[i], &peer), 400);
}

static void test_channel_data_without_allocation_is_dropped(void **state)
{
    struct fixture *f = *state;
    client_channel_data(&f->a, 0x4000, "x", 1);
    assert_int_equal(world_dropped(f->w, REASON_NO_ALLOCATION_MEDIA), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_channel_carries_media_both_ways),
        SCENARIO(test_channel_number_out_of_range_is_400),
        SCENARIO(test_channel_numbers_at_the_edges_are_bound),
        SCENARIO(test_channel_bound_to_another_peer_is_400),
        SCENARIO(test_peer_bound_to_another_channel_is_400),
        SCENARIO(test_channels_of_two_ports_of_one_peer_are_apart),
        SCENARIO(test_channel_bound_again_to_its_peer_succeeds),
        SCENARIO(test_channel_of_one_allocation_is_nothing_to_another),
        SCENARIO(test_channel_of_another_family_is_443),
        SCENARIO(test_channel_to_a_forbidden_peer_is_403),
        SCENARIO(test_channels_over_the_cap_are_508),
        SCENARIO(test_channel_over_the_permission_cap_is_508_and_not_bound),
        SCENARIO(test_channel_data_on_an_unbound_channel_is_dropped),
        SCENARIO(test_channel_data_outside_the_numbers_is_dropped),
        SCENARIO(test_channel_numbers_of_rfc5766_are_bound_where_the_operator_asks),
        SCENARIO(test_channel_data_without_allocation_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
