/*
 * Dual allocations (RFC 8656 sections 5, 7.2 and 8): both families in one, met in part with
 * ADDRESS-ERROR-CODE, refreshed and deleted one at a time without touching the other.
 */
#include "tests/scenario/fixture.h"

#include <errno.h>

static int allocate_dual(struct client *c, struct response *r)
{
    return CLIENT_ASK(c, STUN_ALLOCATE, r, ATTR_UDP, ATTR_BOTH);
}

static const struct addr *of_family(const struct response *r, enum addr_family family)
{
    for (unsigned i = 0; i < r->relayed_count; i++)
        if (r->relayed[i].family == family)
            return &r->relayed[i];
    return NULL;
}

static int refresh_family(struct client *c, uint8_t family, uint32_t lifetime, struct response *r)
{
    struct request q;
    request_begin(&q, c, STUN_REQUEST, STUN_REFRESH);
    stun_write_u32(&q.w, STUN_ATTR_LIFETIME, lifetime);
    request_family(&q, STUN_ATTR_REQUESTED_ADDRESS_FAMILY, family);
    request_finish(&q, c);
    return client_send(c, &q, r);
}

static void test_dual_gives_one_address_of_each_family(void **state)
{
    struct fixture *f = *state;
    struct response r;
    assert_int_equal(allocate_dual(&f->a, &r), 200);
    assert_int_equal(r.relayed_count, 2);
    assert_non_null(of_family(&r, ADDR_IPV4));
    assert_non_null(of_family(&r, ADDR_IPV6));
    assert_false(r.has_address_error);
    assert_int_equal(world_sockets_open(f->w), 2);
    /* One allocation, one charge. */
    assert_int_equal(world_allocations(f->w), 1);
}

static void test_dual_relays_both_families(void **state)
{
    struct fixture *f = *state;
    struct response r;
    assert_int_equal(allocate_dual(&f->a, &r), 200);
    const struct addr peers[2] = {world_peer(1, 5000), world_peer6(1, 5000)};
    struct request q;
    request_begin(&q, &f->a, STUN_REQUEST, STUN_CREATE_PERMISSION);
    request_peer(&q, &peers[0]);
    request_peer(&q, &peers[1]);
    request_finish(&q, &f->a);
    assert_int_equal(client_send(&f->a, &q, NULL), 200);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(fixture_to_peer(&f->a, &peers[i], "out"));
        assert_true(fixture_from_peer(&f->a, &peers[i], of_family(&r, peers[i].family), "in"));
    }
}

static void test_dual_without_ipv6_addresses_says_440(void **state)
{
    struct fixture *f = *state;
    struct response r;
    f->settings.relay.address_count = 1;
    fixture_restart(f);
    assert_int_equal(allocate_dual(&f->a, &r), 200);
    assert_int_equal(r.relayed_count, 1);
    assert_int_equal(r.relayed[0].family, ADDR_IPV4);
    assert_true(r.has_address_error);
    assert_int_equal(r.address_error_family, ADDR_IPV6);
    assert_int_equal(r.address_error_code, 440);
}

static void test_dual_with_one_family_exhausted_says_508(void **state)
{
    struct fixture *f = *state;
    struct response r;
    f->settings.relay.port_min = f->settings.relay.port_max = 50000;
    fixture_restart(f);
    assert_int_equal(CLIENT_ASK(&f->b, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_FAMILY6), 200);
    assert_int_equal(allocate_dual(&f->a, &r), 200);
    assert_int_equal(r.relayed_count, 1);
    assert_int_equal(r.relayed[0].family, ADDR_IPV4);
    assert_true(r.has_address_error);
    assert_int_equal(r.address_error_family, ADDR_IPV6);
    assert_int_equal(r.address_error_code, 508);
}

static void test_dual_with_ipv4_exhausted_gives_ipv6(void **state)
{
    struct fixture *f = *state;
    struct response r;
    f->settings.relay.port_min = f->settings.relay.port_max = 50000;
    fixture_restart(f);
    fixture_allocate(&f->b);
    assert_int_equal(allocate_dual(&f->a, &r), 200);
    assert_int_equal(r.relayed_count, 1);
    assert_int_equal(r.relayed[0].family, ADDR_IPV6);
    assert_int_equal(r.address_error_family, ADDR_IPV4);
    assert_int_equal(r.address_error_code, 508);
}

static void test_dual_with_both_exhausted_is_508(void **state)
{
    struct fixture *f = *state;
    f->settings.relay.port_min = f->settings.relay.port_max = 50000;
    fixture_restart(f);
    assert_int_equal(allocate_dual(&f->b, NULL), 200);
    assert_int_equal(allocate_dual(&f->a, NULL), 508);
    assert_int_equal(world_sockets_open(f->w), 2);
}

static void test_dual_with_a_socket_that_fails_is_met_in_part(void **state)
{
    struct fixture *f = *state;
    for (unsigned nth = 1; nth <= 2; nth++) {
        struct response r;
        f->w->sockets.fail_open_in = nth;
        f->w->sockets.fail_open_with = -EMFILE;
        assert_int_equal(allocate_dual(&f->a, &r), 200);
        assert_int_equal(r.relayed_count, 1);
        assert_true(r.has_address_error);
        assert_int_equal(r.address_error_code, 508);
        assert_true(r.address_error_family != (enum addr_family)r.relayed[0].family);
        assert_int_equal(world_sockets_open(f->w), 1);
        assert_int_equal(client_refresh(&f->a, 0, NULL), 200);
    }
}

static void test_dual_even_port_makes_both_ports_even(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < 8; i++) {
        struct response r;
        assert_int_equal(CLIENT_ASK(&f->a, STUN_ALLOCATE, &r, ATTR_UDP, ATTR_BOTH, ATTR_EVEN), 200);
        assert_int_equal(r.relayed_count, 2);
        assert_int_equal(r.relayed[0].port % 2, 0);
        assert_int_equal(r.relayed[1].port % 2, 0);
        assert_int_equal(client_refresh(&f->a, 0, NULL), 200);
    }
}

static void test_dual_deleting_one_family_leaves_the_other_alone(void **state)
{
    /* "it MUST NOT affect any permissions or channels associated with allocations for the other
     * address family" */
    struct fixture *f = *state;
    struct response r;
    const struct addr peer4 = world_peer(1, 5000), peer6 = world_peer6(1, 5000);
    assert_int_equal(allocate_dual(&f->a, &r), 200);
    const struct addr relayed4 = *of_family(&r, ADDR_IPV4), relayed6 = *of_family(&r, ADDR_IPV6);
    assert_int_equal(client_bind(&f->a, 0x4000, &peer4), 200);
    assert_int_equal(client_bind(&f->a, 0x4001, &peer6), 200);
    assert_int_equal(refresh_family(&f->a, 2, 0, &r), 200);
    assert_int_equal(r.lifetime, 0);
    assert_int_equal(world_sockets_open(f->w), 1);
    assert_int_equal(world_allocations(f->w), 1);
    assert_true(fixture_channel_to_peer(&f->a, 0x4000, &peer4, "still"));
    assert_true(fixture_from_peer(&f->a, &peer4, &relayed4, "still"));
    assert_false(fixture_channel_to_peer(&f->a, 0x4001, &peer6, "gone"));
    assert_false(fixture_to_peer(&f->a, &peer6, "gone"));
    assert_false(world_from_peer(f->w, &peer6, &relayed6, slice_of_string("gone"), 0));
    /* What is deleted has no family any more: 443 for it, in requests of every kind. */
    assert_int_equal(refresh_family(&f->a, 2, 600, NULL), 443);
    assert_int_equal(client_permit(&f->a, &peer6), 443);
    assert_int_equal(client_bind(&f->a, 0x4001, &peer6), 443);
    /* The channel number is free for the family that is left. */
    const struct addr other = world_peer(2, 5000);
    assert_int_equal(client_bind(&f->a, 0x4001, &other), 200);
    assert_int_equal(refresh_family(&f->a, 1, 0, NULL), 200);
    assert_int_equal(world_allocations(f->w), 0);
    assert_int_equal(client_refresh(&f->a, 600, NULL), 437);
}

static void test_dual_refresh_without_family_is_for_both(void **state)
{
    struct fixture *f = *state;
    struct response r;
    assert_int_equal(allocate_dual(&f->a, &r), 200);
    world_advance(f->w, 500);
    assert_int_equal(client_refresh(&f->a, 600, NULL), 200);
    world_advance(f->w, 500);
    assert_int_equal(world_sockets_open(f->w), 2);
    world_advance(f->w, 102);
    assert_int_equal(world_sockets_open(f->w), 0);
}

static void test_dual_families_expire_apart(void **state)
{
    struct fixture *f = *state;
    struct response r;
    const struct addr peer4 = world_peer(1, 5000);
    assert_int_equal(allocate_dual(&f->a, &r), 200);
    world_advance(f->w, 400);
    assert_int_equal(refresh_family(&f->a, 1, 600, &r), 200);
    assert_int_equal(r.lifetime, 600);
    world_advance(f->w, 202);
    assert_int_equal(world_sockets_open(f->w), 1);
    assert_int_equal(world_allocations(f->w), 1);
    int code = client_permit(&f->a, &peer4);
    if (code == 438)
        code = client_permit(&f->a, &peer4);
    assert_int_equal(code, 200);
    assert_true(fixture_to_peer(&f->a, &peer4, "lives"));
    assert_int_equal(refresh_family(&f->a, 2, 600, NULL), 443);
    world_advance(f->w, 400);
    assert_int_equal(world_allocations(f->w), 0);
}

static void test_dual_deleted_whole_gives_everything_back(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(allocate_dual(&f->a, NULL), 200);
    assert_int_equal(client_refresh(&f->a, 0, NULL), 200);
    assert_int_equal(world_sockets_open(f->w), 0);
    assert_int_equal(world_ports_claimed(f->w), 0);
    assert_int_equal(world_allocations(f->w), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_dual_gives_one_address_of_each_family),
        SCENARIO(test_dual_relays_both_families),
        SCENARIO(test_dual_without_ipv6_addresses_says_440),
        SCENARIO(test_dual_with_one_family_exhausted_says_508),
        SCENARIO(test_dual_with_ipv4_exhausted_gives_ipv6),
        SCENARIO(test_dual_with_both_exhausted_is_508),
        SCENARIO(test_dual_with_a_socket_that_fails_is_met_in_part),
        SCENARIO(test_dual_even_port_makes_both_ports_even),
        SCENARIO(test_dual_deleting_one_family_leaves_the_other_alone),
        SCENARIO(test_dual_refresh_without_family_is_for_both),
        SCENARIO(test_dual_families_expire_apart),
        SCENARIO(test_dual_deleted_whole_gives_everything_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
