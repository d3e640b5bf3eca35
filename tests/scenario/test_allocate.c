/*
 * Allocate that succeeds (RFC 8656 sections 5, 6 and 7.2): what the answer holds, which port it is,
 * and retransmissions.
 */
#include "tests/scenario/fixture.h"

static void test_allocate_answer_holds_what_the_rfc_lists(void **state)
{
    struct fixture *f = *state;
    struct response r;
    assert_int_equal(client_allocate(&f->a, &r), 200);
    assert_int_equal(r.relayed_count, 1);
    assert_true(addr_equal_ip(&r.relayed[0], &f->settings.relay.addresses[0].public));
    assert_true(r.relayed[0].port >= 49152);
    assert_true(r.has_lifetime);
    assert_int_equal(r.lifetime, 600);
    assert_true(addr_equal(&r.mapped, &f->a.addr));
    assert_false(r.has_token || r.has_address_error || r.has_software);
    assert_int_equal(world_sockets_open(f->w), 1);
    assert_int_equal(world_ports_claimed(f->w), 1);
    assert_int_equal(world_metric(f->w, METRIC_ALLOCATIONS_CREATED), 1);
}

static void test_allocate_over_ipv6_is_given_an_ipv4_address(void **state)
{
    /* "If the REQUESTED-ADDRESS-FAMILY attribute is absent and the server supports the IPv4 address
     * family, the server MUST allocate an IPv4 relayed transport address" */
    struct fixture *f = *state;
    struct response r;
    client_set_ipv6(&f->a, 3);
    assert_int_equal(client_allocate(&f->a, &r), 200);
    assert_int_equal(r.relayed[0].family, ADDR_IPV4);
    assert_true(addr_equal(&r.mapped, &f->a.addr));
}

static void test_allocate_of_a_family_is_given_that_family(void **state)
{
    struct fixture *f = *state;
    struct response r;
    assert_int_equal(CLIENT_ASK(&f->a, STUN_ALLOCATE, &r, ATTR_UDP, ATTR_FAMILY6), 200);
    assert_int_equal(r.relayed_count, 1);
    assert_int_equal(r.relayed[0].family, ADDR_IPV6);
    assert_true(addr_equal_ip(&r.relayed[0], &f->settings.relay.addresses[1].public));
    assert_int_equal(CLIENT_ASK(&f->b, STUN_ALLOCATE, &r, ATTR_FAMILY4, ATTR_UDP), 200);
    assert_int_equal(r.relayed[0].family, ADDR_IPV4);
}

static void test_allocate_with_dont_fragment_succeeds(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(
        CLIENT_ASK(&f->a, STUN_ALLOCATE, NULL, ATTR_UDP, {STUN_ATTR_DONT_FRAGMENT, 0, ""}), 200);
}

static void test_allocate_ignores_reserved_bits(void **state)
{
    /* RFFU and reserved fields "MUST be ignored on reception". */
    struct fixture *f = *state;
    struct response r;
    assert_int_equal(
        CLIENT_ASK(&f->a, STUN_ALLOCATE, &r, {STUN_ATTR_REQUESTED_TRANSPORT, 4, "\x11\xff\xff\xff"},
            {STUN_ATTR_REQUESTED_ADDRESS_FAMILY, 4, "\x01\xff\xff\xff"},
            {STUN_ATTR_EVEN_PORT, 1, "\x7f"}),
        200);
    assert_int_equal(r.relayed[0].port % 2, 0);
    assert_false(r.has_token);
}

static void test_allocate_ignores_attributes_that_it_does_not_expect(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(CLIENT_ASK(&f->a, STUN_ALLOCATE, NULL, ATTR_UDP,
                         {STUN_ATTR_SOFTWARE, 4, "test"}, {0xc0ff, 3, "abc"},
                         {STUN_ATTR_CHANNEL_NUMBER, 4, "\x40\0\0"}, {STUN_ATTR_DATA, 2, "xy"}),
        200);
}

static void test_allocate_retransmitted_is_answered_the_same(void **state)
{
    struct fixture *f = *state;
    struct request q;
    struct response first, second;
    client_challenge(&f->a);
    request_begin(&q, &f->a, STUN_REQUEST, STUN_ALLOCATE);
    request_transport(&q, 17);
    request_finish(&q, &f->a);
    assert_int_equal(client_send(&f->a, &q, &first), 200);
    world_advance(f->w, 5);
    assert_int_equal(client_send(&f->a, &q, &second), 200);
    assert_true(addr_equal(&first.relayed[0], &second.relayed[0]));
    assert_true(addr_equal(&first.mapped, &second.mapped));
    assert_true(second.lifetime <= 600 && second.lifetime >= 594);
    assert_true(second.integrity);
    assert_int_equal(world_allocations(f->w), 1);
    assert_int_equal(world_sockets_open(f->w), 1);
}

static void test_allocate_retransmitted_with_a_pair_returns_the_same_token(void **state)
{
    struct fixture *f = *state;
    struct request q;
    struct response first, second;
    client_challenge(&f->a);
    request_begin(&q, &f->a, STUN_REQUEST, STUN_ALLOCATE);
    request_transport(&q, 17);
    request_even_port(&q, true);
    request_finish(&q, &f->a);
    assert_int_equal(client_send(&f->a, &q, &first), 200);
    assert_int_equal(client_send(&f->a, &q, &second), 200);
    assert_true(first.has_token && second.has_token);
    assert_memory_equal(first.token, second.token, 8);
    assert_int_equal(world_metric(f->w, METRIC_RESERVATIONS_CREATED), 1);
    assert_int_equal(world_sockets_open(f->w), 2);
}

static void test_allocate_retransmitted_dual_returns_both_addresses(void **state)
{
    struct fixture *f = *state;
    struct request q;
    struct response first, second;
    client_challenge(&f->a);
    request_begin(&q, &f->a, STUN_REQUEST, STUN_ALLOCATE);
    request_transport(&q, 17);
    request_family(&q, STUN_ATTR_ADDITIONAL_ADDRESS_FAMILY, 2);
    request_finish(&q, &f->a);
    assert_int_equal(client_send(&f->a, &q, &first), 200);
    assert_int_equal(client_send(&f->a, &q, &second), 200);
    assert_int_equal(second.relayed_count, 2);
    assert_true(addr_equal(&first.relayed[0], &second.relayed[0]));
    assert_true(addr_equal(&first.relayed[1], &second.relayed[1]));
}

static void test_allocate_again_after_deletion_makes_a_new_one(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    fixture_allocate(&f->a);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    assert_int_equal(client_refresh(&f->a, 0, NULL), 200);
    fixture_allocate(&f->a);
    /* "the list of permissions and the list of channels are initially empty" */
    assert_false(fixture_to_peer(&f->a, &peer, "old permission"));
    assert_int_equal(world_dropped(f->w, REASON_NO_PERMISSION), 1);
}

static void test_allocate_two_clients_have_two_addresses(void **state)
{
    struct fixture *f = *state;
    const struct addr a = fixture_allocate(&f->a);
    const struct addr b = fixture_allocate(&f->b);
    assert_false(addr_equal(&a, &b));
}

static void test_allocate_same_client_to_two_listeners_has_two_allocations(void **state)
{
    /* The 5-tuple holds the server's address and port too. */
    struct fixture *f = *state;
    fixture_allocate(&f->a);
    f->a.server.port = 3479;
    fixture_allocate(&f->a);
    assert_int_equal(world_allocations(f->w), 2);
}

static void test_allocate_avoids_ports_of_other_programs(void **state)
{
    struct fixture *f = *state;
    f->settings.relay.port_min = 50000;
    f->settings.relay.port_max = 50003;
    fixture_restart(f);
    for (unsigned i = 0; i < 3; i++) {
        f->w->sockets.occupied[i] = f->settings.relay.addresses[0].local;
        f->w->sockets.occupied[i].port = (uint16_t)(50000 + i);
    }
    f->w->sockets.occupied_count = 3;
    const struct addr relayed = fixture_allocate(&f->a);
    assert_int_equal(relayed.port, 50003);
}

static void test_allocate_software_goes_to_authenticated_clients_only(void **state)
{
    struct fixture *f = *state;
    struct response r;
    f->settings.relay.software = true;
    fixture_restart(f);
    assert_int_equal(client_allocate(&f->a, &r), 200);
    assert_true(r.has_software);
    f->b.auth = CLIENT_NONE;
    assert_int_equal(CLIENT_ASK(&f->b, STUN_ALLOCATE, &r, ATTR_UDP), 401);
    assert_false(r.has_software);
    assert_int_equal(client_binding(&f->b, &r), 200);
    assert_false(r.has_software);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_allocate_answer_holds_what_the_rfc_lists),
        SCENARIO(test_allocate_over_ipv6_is_given_an_ipv4_address),
        SCENARIO(test_allocate_of_a_family_is_given_that_family),
        SCENARIO(test_allocate_with_dont_fragment_succeeds),
        SCENARIO(test_allocate_ignores_reserved_bits),
        SCENARIO(test_allocate_ignores_attributes_that_it_does_not_expect),
        SCENARIO(test_allocate_retransmitted_is_answered_the_same),
        SCENARIO(test_allocate_retransmitted_with_a_pair_returns_the_same_token),
        SCENARIO(test_allocate_retransmitted_dual_returns_both_addresses),
        SCENARIO(test_allocate_again_after_deletion_makes_a_new_one),
        SCENARIO(test_allocate_two_clients_have_two_addresses),
        SCENARIO(test_allocate_same_client_to_two_listeners_has_two_allocations),
        SCENARIO(test_allocate_avoids_ports_of_other_programs),
        SCENARIO(test_allocate_software_goes_to_authenticated_clients_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
