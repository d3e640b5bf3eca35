/*
 * Where two rules meet: media beside the end of its allocation, refreshes beside a lowered limit,
 * retransmissions of what has taken effect, attributes that mean nothing beside ones that do.
 */
#include "tests/scenario/fixture.h"

static void test_edge_media_just_before_refresh_0_is_relayed(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 4000);
    fixture_allocate(&f->a);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    f->w->hold_outbox = true;
    client_indicate(&f->a, &peer, "bye", 3);
    /* The same loop turn: nothing has been flushed when the allocation ends. */
    struct request *r = malloc(sizeof(*r));
    assert_non_null(r);
    request_begin(r, &f->a, STUN_REQUEST, STUN_REFRESH);
    stun_write_u32(&r->w, STUN_ATTR_LIFETIME, 0);
    request_finish(r, &f->a);
    client_send_raw(&f->a, r->bytes, r->len);
    free(r);
    f->w->hold_outbox = false;
    world_run(f->w);
    assert_int_equal(world_allocations(f->w), 0);
    assert_true(fixture_peer_got(f->w, &peer, "bye"));
    assert_int_equal(world_dropped(f->w, REASON_RELAY_CLOSED), 0);
}

static void test_edge_lowered_quota_lets_what_is_held_be_refreshed(void **state)
{
    struct fixture *f = *state;
    fixture_allocate(&f->a);
    for (unsigned i = 0; i < 5; i++) {
        const struct addr peer = world_peer(i, 4000);
        assert_int_equal(client_bind(&f->a, (uint16_t)(0x4000 + i), &peer), 200);
    }
    f->settings.limits.quota.permissions_per_user = 2;
    f->settings.limits.quota.channels_per_user = 2;
    f->settings.limits.quota.permissions_per_prefix = 2;
    f->settings.limits.quota.channels_per_prefix = 2;
    world_reload(f->w, &f->settings);
    const struct addr held = world_peer(3, 4000), fresh = world_peer(9, 4000);
    assert_int_equal(client_permit(&f->a, &held), 200);
    assert_int_equal(client_bind(&f->a, 0x4003, &held), 200);
    assert_int_equal(client_permit(&f->a, &fresh), 508);
    assert_int_equal(client_bind(&f->a, 0x4009, &fresh), 508);
}

static void test_edge_draft_attribute_is_no_reservation_token(void **state)
{
    struct fixture *f = *state;
    struct response r;
    uint8_t bogus[8];
    assert_int_equal(client_allocate(&f->a, NULL), 200);
    assert_int_equal(client_refresh(&f->a, 0, NULL), 200);
    assert_int_equal(CLIENT_ASK(&f->a, STUN_ALLOCATE, &r, ATTR_UDP, ATTR_EVEN_PAIR), 200);
    assert_true(r.has_token);
    memset(bogus, 0xff, sizeof(bogus));
    bogus[0] = r.token[0];
    struct client second;
    client_init(&second, f->w, 30);
    client_challenge(&second);
    assert_int_equal(CLIENT_ASK(&second, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_TOKEN(bogus),
                         {STUN_ATTR_ADDITIONAL_ADDRESS_FAMILY_DRAFT, 8, r.token}),
        508);
    assert_int_equal(CLIENT_ASK(&second, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_TOKEN(r.token),
                         {STUN_ATTR_ADDITIONAL_ADDRESS_FAMILY_DRAFT, 8, bogus}),
        200);
}

static void test_edge_draft_attribute_asks_for_both_families(void **state)
{
    struct fixture *f = *state;
    struct response r;
    client_challenge(&f->a);
    assert_int_equal(CLIENT_ASK(&f->a, STUN_ALLOCATE, &r, ATTR_UDP,
                         {STUN_ATTR_ADDITIONAL_ADDRESS_FAMILY_DRAFT, 4, "\x02\0\0"}),
        200);
    assert_int_equal(r.relayed_count, 2);
}

static void test_edge_permission_for_a_hundred_peers_in_one_request(void **state)
{
    struct fixture *f = *state;
    struct response answer;
    fixture_allocate(&f->a);
    struct request *r = malloc(sizeof(*r));
    assert_non_null(r);
    request_begin(r, &f->a, STUN_REQUEST, STUN_CREATE_PERMISSION);
    for (unsigned i = 0; i < 100; i++) {
        const struct addr peer = world_peer(i, 0);
        request_peer(r, &peer);
    }
    request_finish(r, &f->a);
    assert_int_equal(client_send(&f->a, r, &answer), 200);
    free(r);
    const struct addr last = world_peer(99, 4000);
    assert_true(fixture_to_peer(&f->a, &last, "hello"));
}

static void test_edge_quota_counts_a_rest_user_by_name(void **state)
{
    struct fixture *f = *state;
    f->settings.limits.quota.allocations_per_user = 2;
    fixture_restart(f);
    for (unsigned i = 0; i < 4; i++) {
        struct client c;
        client_init(&c, f->w, 40 + i);
        client_set_rest(&c, "alice", 3600 + i, "north"); /* a fresh credential each time */
        assert_int_equal(client_allocate(&c, NULL), i < 2 ? 200 : 486);
    }
    struct client other;
    client_init(&other, f->w, 50);
    client_set_rest(&other, "bob", 3600, "north");
    assert_int_equal(client_allocate(&other, NULL), 200);
}

static void test_edge_dual_short_of_ports_without_the_other_family_is_508(void **state)
{
    struct fixture *f = *state;
    f->settings.relay.addresses[0] = f->settings.relay.addresses[1];
    f->settings.relay.address_count = 1;
    f->settings.relay.port_min = 50000;
    f->settings.relay.port_max = 50001;
    assert_int_equal(f->settings.relay.addresses[0].local.family, ADDR_IPV6);
    fixture_restart(f);
    for (unsigned i = 0; i < 2; i++) {
        struct client c;
        client_init(&c, f->w, 60 + i);
        client_challenge(&c);
        assert_int_equal(CLIENT_ASK(&c, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_FAMILY6), 200);
    }
    client_challenge(&f->a);
    assert_int_equal(CLIENT_ASK(&f->a, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_BOTH), 508);
    assert_int_equal(world_refused(f->w, REASON_PORTS_EXHAUSTED), 1);
}

static void test_edge_retransmitted_end_of_one_family_is_answered_the_same(void **state)
{
    struct fixture *f = *state;
    struct response first, again;
    client_challenge(&f->a);
    assert_int_equal(CLIENT_ASK(&f->a, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_BOTH), 200);
    struct request *r = malloc(sizeof(*r));
    assert_non_null(r);
    request_begin(r, &f->a, STUN_REQUEST, STUN_REFRESH);
    request_family(r, STUN_ATTR_REQUESTED_ADDRESS_FAMILY, 2);
    stun_write_u32(&r->w, STUN_ATTR_LIFETIME, 0);
    request_finish(r, &f->a);
    assert_int_equal(client_send(&f->a, r, &first), 200);
    assert_int_equal(client_send(&f->a, r, &again), 200);
    free(r);
    assert_int_equal(first.lifetime, 0);
    assert_int_equal(again.lifetime, 0);
    assert_int_equal(world_allocations(f->w), 1);
    /* To extend what has ended is still a mismatch. */
    assert_int_equal(CLIENT_ASK(&f->a, STUN_REFRESH, NULL, ATTR_FAMILY6), 443);
}

static void test_edge_lapsed_channels_are_not_charged(void **state)
{
    struct fixture *f = *state;
    f->settings.limits.quota.channels_per_user = 1;
    fixture_restart(f);
    fixture_allocate(&f->a);
    assert_int_equal(client_refresh(&f->a, 3600, NULL), 200);
    const struct addr one = world_peer(1, 1), two = world_peer(2, 2);
    assert_int_equal(client_bind(&f->a, 0x4000, &one), 200);
    struct client second;
    client_init(&second, f->w, 70);
    assert_int_equal(client_allocate(&second, NULL), 200);
    assert_int_equal(client_refresh(&second, 3600, NULL), 200);
    assert_int_equal(client_bind(&second, 0x4000, &two), 508);
    world_advance(f->w, 599);
    assert_int_equal(client_bind(&second, 0x4000, &two), 508);
    world_advance(f->w, 2);
    assert_int_equal(client_bind(&second, 0x4000, &two), 438);
    assert_int_equal(client_bind(&second, 0x4000, &two), 200);
}

static void test_edge_request_to_a_multicast_address_is_dropped(void **state)
{
    struct fixture *f = *state;
    f->a.server = addr_ipv4(224, 0, 0, 1, 3478);
    assert_int_equal(client_binding(&f->a, NULL), 0);
    f->a.server = addr_ipv4(255, 255, 255, 255, 3478);
    assert_int_equal(client_binding(&f->a, NULL), 0);
    assert_int_equal(world_dropped(f->w, REASON_DESTINATION_NOT_UNICAST), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_edge_media_just_before_refresh_0_is_relayed),
        SCENARIO(test_edge_lowered_quota_lets_what_is_held_be_refreshed),
        SCENARIO(test_edge_draft_attribute_is_no_reservation_token),
        SCENARIO(test_edge_draft_attribute_asks_for_both_families),
        SCENARIO(test_edge_permission_for_a_hundred_peers_in_one_request),
        SCENARIO(test_edge_quota_counts_a_rest_user_by_name),
        SCENARIO(test_edge_dual_short_of_ports_without_the_other_family_is_508),
        SCENARIO(test_edge_retransmitted_end_of_one_family_is_answered_the_same),
        SCENARIO(test_edge_lapsed_channels_are_not_charged),
        SCENARIO(test_edge_request_to_a_multicast_address_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
