/*
 * EVEN-PORT and RESERVATION-TOKEN (RFC 8656 sections 7.2, 18.7, 18.10) on one worker: pairs,
 * tokens, whose they are and how long they are good.
 */
#include "tests/scenario/fixture.h"

static int allocate_pair(struct client *c, struct response *r)
{
    return CLIENT_ASK(c, STUN_ALLOCATE, r, ATTR_UDP, ATTR_EVEN_PAIR);
}

static int claim(struct client *c, const uint8_t token[8], struct response *r)
{
    return CLIENT_ASK(c, STUN_ALLOCATE, r, ATTR_UDP, ATTR_TOKEN(token));
}

static void test_even_port_is_even(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < 16; i++) {
        struct response r;
        assert_int_equal(CLIENT_ASK(&f->a, STUN_ALLOCATE, &r, ATTR_UDP, ATTR_EVEN), 200);
        assert_int_equal(r.relayed[0].port % 2, 0);
        assert_false(r.has_token);
        assert_int_equal(world_sockets_open(f->w), 1);
        assert_int_equal(client_refresh(&f->a, 0, NULL), 200);
    }
}

static void test_pair_reserves_the_next_port(void **state)
{
    struct fixture *f = *state;
    struct response first, second;
    assert_int_equal(allocate_pair(&f->a, &first), 200);
    assert_int_equal(first.relayed[0].port % 2, 0);
    assert_true(first.has_token);
    assert_int_equal(world_sockets_open(f->w), 2);
    struct client other;
    client_init(&other, f->w, 9);
    assert_int_equal(claim(&other, first.token, &second), 200);
    assert_true(addr_equal_ip(&first.relayed[0], &second.relayed[0]));
    assert_int_equal(second.relayed[0].port, first.relayed[0].port + 1);
    assert_false(second.has_token);
    assert_int_equal(world_allocations(f->w), 2);
    assert_int_equal(world_metric(f->w, METRIC_RESERVATIONS_USED), 1);
}

static void test_pair_of_ipv6_reserves_the_next_port(void **state)
{
    struct fixture *f = *state;
    struct response first, second;
    assert_int_equal(
        CLIENT_ASK(&f->a, STUN_ALLOCATE, &first, ATTR_UDP, ATTR_EVEN_PAIR, ATTR_FAMILY6), 200);
    assert_int_equal(first.relayed[0].family, ADDR_IPV6);
    struct client other;
    client_init(&other, f->w, 9);
    assert_int_equal(claim(&other, first.token, &second), 200);
    assert_int_equal(second.relayed_count, 1);
    assert_int_equal(second.relayed[0].family, ADDR_IPV6);
    assert_int_equal(second.relayed[0].port, first.relayed[0].port + 1);
}

static void test_reserved_port_relays_after_the_claim_only(void **state)
{
    struct fixture *f = *state;
    struct response first, second;
    const struct addr peer = world_peer(1, 5000);
    assert_int_equal(allocate_pair(&f->a, &first), 200);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    struct addr odd = first.relayed[0];
    odd.port++;
    assert_false(fixture_from_peer(&f->a, &peer, &odd, "early"));
    struct client other;
    client_init(&other, f->w, 9);
    assert_int_equal(claim(&other, first.token, &second), 200);
    assert_false(fixture_from_peer(&other, &peer, &odd, "not permitted"));
    assert_int_equal(client_permit(&other, &peer), 200);
    assert_true(fixture_from_peer(&other, &peer, &odd, "in"));
    assert_true(fixture_to_peer(&other, &peer, "out"));
}

static void test_token_is_good_for_30_seconds(void **state)
{
    /* "The server MUST hold this reservation for at least 30 seconds" */
    struct fixture *f = *state;
    struct response first;
    assert_int_equal(allocate_pair(&f->a, &first), 200);
    world_advance(f->w, 29);
    world_advance_ms(f->w, 900);
    struct client other;
    client_init(&other, f->w, 9);
    assert_int_equal(claim(&other, first.token, NULL), 200);
}

static void test_token_too_old_is_508_and_its_port_free(void **state)
{
    struct fixture *f = *state;
    struct response first;
    assert_int_equal(allocate_pair(&f->a, &first), 200);
    world_advance(f->w, 31);
    assert_int_equal(world_metric(f->w, METRIC_RESERVATIONS_EXPIRED), 1);
    assert_int_equal(world_sockets_open(f->w), 1);
    assert_int_equal(world_ports_claimed(f->w), 1);
    struct client other;
    client_init(&other, f->w, 9);
    assert_int_equal(claim(&other, first.token, NULL), 508);
    assert_int_equal(world_refused(f->w, REASON_RESERVATION_UNKNOWN), 1);
}

static void test_token_outlives_the_allocation_that_made_it(void **state)
{
    struct fixture *f = *state;
    struct response first, second;
    assert_int_equal(allocate_pair(&f->a, &first), 200);
    assert_int_equal(client_refresh(&f->a, 0, NULL), 200);
    struct client other;
    client_init(&other, f->w, 9);
    assert_int_equal(claim(&other, first.token, &second), 200);
    assert_int_equal(second.relayed[0].port, first.relayed[0].port + 1);
}

static void test_token_is_good_once(void **state)
{
    struct fixture *f = *state;
    struct response first;
    struct client second, third;
    client_init(&second, f->w, 9);
    client_init(&third, f->w, 10);
    assert_int_equal(allocate_pair(&f->a, &first), 200);
    assert_int_equal(claim(&second, first.token, NULL), 200);
    assert_int_equal(claim(&third, first.token, NULL), 508);
    assert_int_equal(client_refresh(&second, 0, NULL), 200);
    assert_int_equal(claim(&third, first.token, NULL), 508);
}

static void test_token_claim_retransmitted_is_answered_the_same(void **state)
{
    struct fixture *f = *state;
    struct response first, second, again;
    struct client other;
    struct request q;
    client_init(&other, f->w, 9);
    assert_int_equal(allocate_pair(&f->a, &first), 200);
    client_challenge(&other);
    request_begin(&q, &other, STUN_REQUEST, STUN_ALLOCATE);
    request_transport(&q, 17);
    stun_write_attr(&q.w, STUN_ATTR_RESERVATION_TOKEN, slice_of(first.token, 8));
    request_finish(&q, &other);
    assert_int_equal(client_send(&other, &q, &second), 200);
    assert_int_equal(client_send(&other, &q, &again), 200);
    assert_true(addr_equal(&second.relayed[0], &again.relayed[0]));
}

static void test_token_of_another_user_is_508(void **state)
{
    struct fixture *f = *state;
    struct response first;
    assert_int_equal(allocate_pair(&f->a, &first), 200);
    assert_int_equal(claim(&f->b, first.token, NULL), 508);
    /* It is not used up by that. */
    struct client other;
    client_init(&other, f->w, 9);
    assert_int_equal(claim(&other, first.token, NULL), 200);
}

static void test_token_of_the_same_name_in_another_realm_is_508(void **state)
{
    struct fixture *f = *state;
    struct response first;
    client_set_rest(&f->a, "alice", 3600, "north");
    assert_int_equal(allocate_pair(&f->a, &first), 200);
    struct client other;
    client_init(&other, f->w, 9);
    client_set_rest(&other, "alice", 3600, "north");
    other.realm_id = REALM_PLAIN;
    assert_int_equal(claim(&other, first.token, NULL), 401);
    client_set_user(&other, "alice", "wonderland");
    assert_int_equal(claim(&other, first.token, NULL), 508);
}

static void test_token_with_any_bit_changed_is_508(void **state)
{
    struct fixture *f = *state;
    struct response first;
    struct client other;
    client_init(&other, f->w, 9);
    assert_int_equal(allocate_pair(&f->a, &first), 200);
    for (unsigned bit = 0; bit < 64; bit++) {
        uint8_t token[8];
        memcpy(token, first.token, 8);
        token[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(claim(&other, token, NULL), 508);
    }
    assert_int_equal(claim(&other, first.token, NULL), 200);
}

static void test_reservation_counts_against_the_quota(void **state)
{
    struct fixture *f = *state;
    f->settings.limits.quota.allocations_per_user = 2;
    fixture_restart(f);
    struct response first;
    assert_int_equal(allocate_pair(&f->a, &first), 200);
    struct client second;
    client_init(&second, f->w, 9);
    assert_int_equal(client_allocate(&second, NULL), 486);
    assert_int_equal(claim(&second, first.token, NULL), 200);
    assert_int_equal(client_refresh(&f->a, 0, NULL), 200);
    assert_int_equal(client_refresh(&second, 0, NULL), 200);
}

static void test_pair_without_a_charge_for_the_second_port_is_486(void **state)
{
    struct fixture *f = *state;
    f->settings.limits.quota.allocations_per_user = 1;
    fixture_restart(f);
    assert_int_equal(allocate_pair(&f->a, NULL), 486);
    assert_int_equal(world_sockets_open(f->w), 0);
    assert_int_equal(client_allocate(&f->a, NULL), 200);
}

static void test_pair_that_does_not_fit_is_508(void **state)
{
    struct fixture *f = *state;
    f->settings.relay.port_min = 50001;
    f->settings.relay.port_max = 50002;
    fixture_restart(f);
    assert_int_equal(allocate_pair(&f->a, NULL), 508);
    assert_int_equal(CLIENT_ASK(&f->a, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_EVEN), 200);
    assert_int_equal(client_allocate(&f->b, NULL), 200);
}

static void test_pair_with_one_port_of_another_program_takes_another_pair(void **state)
{
    struct fixture *f = *state;
    struct response r;
    f->settings.relay.port_min = 50000;
    f->settings.relay.port_max = 50003;
    fixture_restart(f);
    f->w->sockets.occupied[0] = f->settings.relay.addresses[0].local;
    f->w->sockets.occupied[0].port = 50001;
    f->w->sockets.occupied_count = 1;
    assert_int_equal(allocate_pair(&f->a, &r), 200);
    assert_int_equal(r.relayed[0].port, 50002);
    assert_int_equal(world_ports_claimed(f->w), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_even_port_is_even),
        SCENARIO(test_pair_reserves_the_next_port),
        SCENARIO(test_pair_of_ipv6_reserves_the_next_port),
        SCENARIO(test_reserved_port_relays_after_the_claim_only),
        SCENARIO(test_token_is_good_for_30_seconds),
        SCENARIO(test_token_too_old_is_508_and_its_port_free),
        SCENARIO(test_token_outlives_the_allocation_that_made_it),
        SCENARIO(test_token_is_good_once),
        SCENARIO(test_token_claim_retransmitted_is_answered_the_same),
        SCENARIO(test_token_of_another_user_is_508),
        SCENARIO(test_token_of_the_same_name_in_another_realm_is_508),
        SCENARIO(test_token_with_any_bit_changed_is_508),
        SCENARIO(test_reservation_counts_against_the_quota),
        SCENARIO(test_pair_without_a_charge_for_the_second_port_is_486),
        SCENARIO(test_pair_that_does_not_fit_is_508),
        SCENARIO(test_pair_with_one_port_of_another_program_takes_another_pair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
