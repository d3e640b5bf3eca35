/*
 * Time and channels (RFC 8656 sections 9 and 12): a binding lasts 600 s, its permission 300 s; what
 * refreshes which, and what may be bound anew.
 */
#include "tests/scenario/fixture.h"

/* The code, after a new nonce where the old one has become stale. */
static int bind_again(struct client *c, uint16_t channel, const struct addr *peer)
{
    const int code = client_bind(c, channel, peer);
    return code == 438 ? client_bind(c, channel, peer) : code;
}

static int permit_again(struct client *c, const struct addr *peer)
{
    const int code = client_permit(c, peer);
    return code == 438 ? client_permit(c, peer) : code;
}

static struct addr allocate_long(struct client *c)
{
    struct response r;
    assert_int_equal(
        CLIENT_ASK(c, STUN_ALLOCATE, &r, ATTR_UDP, ATTR_LIFETIME("\0\0\x0e\x10")), 200);
    return r.relayed[0];
}

static void test_channel_without_permission_carries_nothing(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    const struct addr relayed = allocate_long(&f->a);
    assert_int_equal(client_bind(&f->a, 0x4000, &peer), 200);
    world_advance(f->w, 299);
    assert_true(fixture_channel_to_peer(&f->a, 0x4000, &peer, "out"));
    assert_true(fixture_from_peer(&f->a, &peer, &relayed, "in"));
    world_advance(f->w, 2);
    assert_false(fixture_channel_to_peer(&f->a, 0x4000, &peer, "late"));
    assert_false(fixture_from_peer(&f->a, &peer, &relayed, "late"));
    assert_int_equal(world_dropped(f->w, REASON_NO_PERMISSION), 2);
    /* The binding is still there: with a permission it works again, as a channel. */
    struct received m;
    assert_int_equal(permit_again(&f->a, &peer), 200);
    assert_true(fixture_channel_to_peer(&f->a, 0x4000, &peer, "again"));
    world_from_peer(f->w, &peer, &relayed, slice_of_string("in"), 0);
    assert_true(client_receive(&f->a, &m));
    assert_true(m.channel);
}

static void test_channel_bind_refreshes_the_permission(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000), port = world_peer(1, 9);
    const struct addr relayed = allocate_long(&f->a);
    assert_int_equal(client_permit(&f->a, &port), 200);
    world_advance(f->w, 200);
    assert_int_equal(client_bind(&f->a, 0x4000, &peer), 200);
    world_advance(f->w, 200);
    assert_int_equal(client_bind(&f->a, 0x4000, &peer), 200);
    world_advance(f->w, 299);
    assert_true(fixture_from_peer(&f->a, &port, &relayed, "in"));
    world_advance(f->w, 2);
    assert_false(fixture_from_peer(&f->a, &port, &relayed, "late"));
}

static void test_channel_expires_after_600_seconds(void **state)
{
    struct fixture *f = *state;
    struct received m;
    const struct addr peer = world_peer(1, 5000);
    const struct addr relayed = allocate_long(&f->a);
    assert_int_equal(client_bind(&f->a, 0x4000, &peer), 200);
    world_advance(f->w, 290);
    assert_int_equal(permit_again(&f->a, &peer), 200);
    world_advance(f->w, 290);
    assert_int_equal(permit_again(&f->a, &peer), 200);
    world_advance(f->w, 19);
    assert_true(fixture_channel_to_peer(&f->a, 0x4000, &peer, "in time"));
    world_advance(f->w, 2);
    /* CreatePermission did not refresh it; the permission alone makes Data indications. */
    assert_false(fixture_channel_to_peer(&f->a, 0x4000, &peer, "late"));
    assert_int_equal(world_dropped(f->w, REASON_NO_CHANNEL), 1);
    world_from_peer(f->w, &peer, &relayed, slice_of_string("in"), 0);
    assert_true(client_receive(&f->a, &m));
    assert_false(m.channel);
    assert_true(addr_equal(&m.peer, &peer));
}

static void test_channel_refreshed_lasts_another_600_seconds(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    allocate_long(&f->a);
    assert_int_equal(client_bind(&f->a, 0x4000, &peer), 200);
    world_advance(f->w, 500);
    assert_int_equal(bind_again(&f->a, 0x4000, &peer), 200);
    world_advance(f->w, 298);
    assert_int_equal(permit_again(&f->a, &peer), 200);
    world_advance(f->w, 298);
    assert_int_equal(permit_again(&f->a, &peer), 200);
    assert_true(fixture_channel_to_peer(&f->a, 0x4000, &peer, "in time"));
    world_advance(f->w, 5);
    assert_false(fixture_channel_to_peer(&f->a, 0x4000, &peer, "late"));
}

static void test_channel_is_not_refreshed_by_media(void **state)
{
    /* "the receipt of a ChannelData message MUST NOT refresh either the channel binding or the
     * permission" */
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    const struct addr relayed = allocate_long(&f->a);
    assert_int_equal(client_bind(&f->a, 0x4000, &peer), 200);
    for (unsigned i = 0; i < 59; i++) {
        world_advance(f->w, 10);
        if (i == 25 || i == 50)
            assert_int_equal(permit_again(&f->a, &peer), 200);
        assert_true(fixture_channel_to_peer(&f->a, 0x4000, &peer, "out"));
        assert_true(fixture_from_peer(&f->a, &peer, &relayed, "in"));
    }
    world_advance(f->w, 11);
    assert_false(fixture_channel_to_peer(&f->a, 0x4000, &peer, "late"));
}

static void test_channel_number_after_expiry_is_bound_to_another_peer(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000), other = world_peer(2, 5000);
    allocate_long(&f->a);
    assert_int_equal(client_bind(&f->a, 0x4000, &peer), 200);
    world_advance(f->w, 599);
    assert_int_equal(bind_again(&f->a, 0x4000, &other), 400);
    world_advance(f->w, 2);
    assert_int_equal(bind_again(&f->a, 0x4000, &other), 200);
    assert_true(fixture_channel_to_peer(&f->a, 0x4000, &other, "out"));
    assert_int_equal(world_metric(f->w, METRIC_CHANNELS_REUSED), 1);
    /* The old peer is free for another number. */
    assert_int_equal(bind_again(&f->a, 0x4001, &peer), 200);
    assert_true(fixture_channel_to_peer(&f->a, 0x4001, &peer, "out"));
}

static void test_channel_after_expiry_makes_room_under_the_cap(void **state)
{
    struct fixture *f = *state;
    f->settings.relay.channels_per_allocation = 2;
    fixture_restart(f);
    allocate_long(&f->a);
    struct addr peer = world_peer(1, 5000);
    assert_int_equal(client_bind(&f->a, 0x4000, &peer), 200);
    world_advance(f->w, 300);
    peer = world_peer(2, 5000);
    assert_int_equal(client_bind(&f->a, 0x4001, &peer), 200);
    peer = world_peer(3, 5000);
    assert_int_equal(client_bind(&f->a, 0x4002, &peer), 508);
    world_advance(f->w, 301);
    assert_int_equal(bind_again(&f->a, 0x4002, &peer), 200);
}

static void test_channels_end_with_the_allocation(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    fixture_allocate(&f->a);
    assert_int_equal(client_bind(&f->a, 0x4000, &peer), 200);
    assert_int_equal(client_refresh(&f->a, 0, NULL), 200);
    fixture_allocate(&f->a);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    assert_false(fixture_channel_to_peer(&f->a, 0x4000, &peer, "no"));
    assert_int_equal(world_dropped(f->w, REASON_NO_CHANNEL), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_channel_without_permission_carries_nothing),
        SCENARIO(test_channel_bind_refreshes_the_permission),
        SCENARIO(test_channel_expires_after_600_seconds),
        SCENARIO(test_channel_refreshed_lasts_another_600_seconds),
        SCENARIO(test_channel_is_not_refreshed_by_media),
        SCENARIO(test_channel_number_after_expiry_is_bound_to_another_peer),
        SCENARIO(test_channel_after_expiry_makes_room_under_the_cap),
        SCENARIO(test_channels_end_with_the_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
