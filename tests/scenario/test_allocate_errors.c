/*
 * Allocate that fails (RFC 8656 section 7.2): each check of the list with its code, and nothing
 * taken by any of them.
 */
#include "tests/scenario/fixture.h"

#include <errno.h>

static void nothing_is_taken(struct fixture *f, uint32_t allocations)
{
    assert_int_equal(world_allocations(f->w), allocations);
    assert_int_equal(world_sockets_open(f->w), allocations);
    assert_int_equal(world_ports_claimed(f->w), allocations);
}

static void test_allocate_on_a_used_5tuple_is_437(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    fixture_allocate(&f->a);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    assert_int_equal(client_allocate(&f->a, NULL), 437);
    assert_int_equal(world_refused(f->w, REASON_ALLOCATION_EXISTS), 1);
    /* The one that was there goes on. */
    assert_true(fixture_to_peer(&f->a, &peer, "still here"));
    nothing_is_taken(f, 1);
}

static void test_allocate_of_another_user_on_a_used_5tuple_is_437(void **state)
{
    struct fixture *f = *state;
    fixture_allocate(&f->a);
    client_set_user(&f->a, "bob", "builder");
    assert_int_equal(client_allocate(&f->a, NULL), 437);
    nothing_is_taken(f, 1);
}

static void test_allocate_without_transport_is_400(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(CLIENT_ASK(&f->a, STUN_ALLOCATE, NULL, ATTR_FAMILY4), 400);
    assert_int_equal(world_refused(f->w, REASON_MISSING_ATTRIBUTE), 1);
    nothing_is_taken(f, 0);
}

static void test_allocate_of_other_transports_is_442(void **state)
{
    struct fixture *f = *state;
    for (unsigned protocol = 0; protocol < 256; protocol++) {
        const uint8_t value[4] = {(uint8_t)protocol};
        const int code =
            CLIENT_ASK(&f->a, STUN_ALLOCATE, NULL, {STUN_ATTR_REQUESTED_TRANSPORT, 4, value});
        assert_int_equal(code, protocol == 17 ? 200 : 442);
        if (code == 200)
            assert_int_equal(client_refresh(&f->a, 0, NULL), 200);
    }
    nothing_is_taken(f, 0);
}

static void test_allocate_of_token_with_what_excludes_it_is_400(void **state)
{
    struct fixture *f = *state;
    const struct raw_attr others[] = {
        ATTR_EVEN, ATTR_EVEN_PAIR, ATTR_FAMILY4, ATTR_FAMILY6, ATTR_BOTH};
    for (unsigned i = 0; i < 5; i++) {
        const struct raw_attr attrs[] = {ATTR_UDP, ATTR_TOKEN("12345678"), others[i]};
        assert_int_equal(client_ask(&f->a, STUN_ALLOCATE, attrs, 3, NULL), 400);
        const struct raw_attr turned[] = {others[i], ATTR_TOKEN("12345678"), ATTR_UDP};
        assert_int_equal(client_ask(&f->a, STUN_ALLOCATE, turned, 3, NULL), 400);
    }
    assert_int_equal(world_refused(f->w, REASON_CONFLICTING_ATTRIBUTES), 10);
}

static void test_allocate_of_an_invented_token_is_508(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(CLIENT_ASK(&f->a, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_TOKEN("12345678")), 508);
    assert_int_equal(
        CLIENT_ASK(&f->a, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_TOKEN("\0\0\0\0\0\0\0\0")), 508);
    assert_int_equal(CLIENT_ASK(&f->a, STUN_ALLOCATE, NULL, ATTR_UDP,
                         ATTR_TOKEN("\xff\xff\xff\xff\xff\xff\xff\xff")),
        508);
    nothing_is_taken(f, 0);
}

static void test_allocate_of_both_family_attributes_is_400(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(
        CLIENT_ASK(&f->a, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_FAMILY6, ATTR_BOTH), 400);
    assert_int_equal(
        CLIENT_ASK(&f->a, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_FAMILY4, ATTR_BOTH), 400);
    nothing_is_taken(f, 0);
}

static void test_allocate_of_an_unsupported_family_is_440(void **state)
{
    struct fixture *f = *state;
    f->settings.relay.address_count = 1; /* IPv4 only */
    fixture_restart(f);
    assert_int_equal(CLIENT_ASK(&f->a, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_FAMILY6), 440);
    assert_int_equal(CLIENT_ASK(&f->a, STUN_ALLOCATE, NULL, ATTR_UDP,
                         {STUN_ATTR_REQUESTED_ADDRESS_FAMILY, 4, "\x03\0\0"}),
        440);
    assert_int_equal(CLIENT_ASK(&f->a, STUN_ALLOCATE, NULL, ATTR_UDP,
                         {STUN_ATTR_REQUESTED_ADDRESS_FAMILY, 4, "\0\0\0"}),
        440);
    f->settings.relay.addresses[0] = f->settings.relay.addresses[1]; /* IPv6 only */
    fixture_restart(f);
    assert_int_equal(CLIENT_ASK(&f->a, STUN_ALLOCATE, NULL, ATTR_UDP), 440);
    assert_int_equal(CLIENT_ASK(&f->a, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_EVEN), 440);
    assert_int_equal(CLIENT_ASK(&f->a, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_FAMILY6), 200);
}

static void test_allocate_of_a_pair_and_both_families_is_400(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(
        CLIENT_ASK(&f->a, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_EVEN_PAIR, ATTR_BOTH), 400);
    nothing_is_taken(f, 0);
}

static void test_allocate_of_additional_ipv4_is_400(void **state)
{
    struct fixture *f = *state;
    const uint16_t type = STUN_ATTR_ADDITIONAL_ADDRESS_FAMILY;
    assert_int_equal(CLIENT_ASK(&f->a, STUN_ALLOCATE, NULL, ATTR_UDP, {type, 4, "\x01\0\0"}), 400);
    /* "0x02 … is the only valid value in Allocate request" */
    assert_int_equal(CLIENT_ASK(&f->a, STUN_ALLOCATE, NULL, ATTR_UDP, {type, 4, "\x03\0\0"}), 400);
    assert_int_equal(CLIENT_ASK(&f->a, STUN_ALLOCATE, NULL, ATTR_UDP, {type, 4, "\0\0\0"}), 400);
    nothing_is_taken(f, 0);
}

static void test_allocate_over_the_quota_of_a_user_is_486(void **state)
{
    struct fixture *f = *state;
    f->settings.limits.quota.allocations_per_user = 1;
    fixture_restart(f);
    fixture_allocate(&f->a);
    struct client second;
    client_init(&second, f->w, 7);
    assert_int_equal(client_allocate(&second, NULL), 486);
    assert_int_equal(world_refused(f->w, REASON_QUOTA_USER), 1);
    /* Another user does not notice, and what is given back can be had again. */
    fixture_allocate(&f->b);
    assert_int_equal(client_refresh(&f->a, 0, NULL), 200);
    assert_int_equal(client_allocate(&second, NULL), 200);
    nothing_is_taken(f, 2);
}

static void test_allocate_without_free_ports_is_508(void **state)
{
    struct fixture *f = *state;
    f->settings.relay.port_min = f->settings.relay.port_max = 50000;
    fixture_restart(f);
    fixture_allocate(&f->a);
    assert_int_equal(client_allocate(&f->b, NULL), 508);
    assert_int_equal(world_refused(f->w, REASON_PORTS_EXHAUSTED), 1);
    nothing_is_taken(f, 1);
    assert_int_equal(client_refresh(&f->a, 0, NULL), 200);
    fixture_allocate(&f->b);
}

static void test_allocate_when_every_port_is_another_programs_is_508(void **state)
{
    struct fixture *f = *state;
    f->settings.relay.port_min = 50000;
    f->settings.relay.port_max = 50001;
    fixture_restart(f);
    for (unsigned i = 0; i < 2; i++) {
        f->w->sockets.occupied[i] = f->settings.relay.addresses[0].local;
        f->w->sockets.occupied[i].port = (uint16_t)(50000 + i);
    }
    f->w->sockets.occupied_count = 2;
    assert_int_equal(client_allocate(&f->a, NULL), 508);
    nothing_is_taken(f, 0);
}

static void test_allocate_out_of_files_is_508(void **state)
{
    struct fixture *f = *state;
    const int errors[] = {-EMFILE, -ENFILE, -EACCES, -ENOBUFS};
    for (unsigned i = 0; i < 4; i++) {
        f->w->sockets.fail_open_in = 1;
        f->w->sockets.fail_open_with = errors[i];
        assert_int_equal(client_allocate(&f->a, NULL), 508);
        nothing_is_taken(f, 0);
    }
    assert_int_equal(world_refused(f->w, REASON_FILES_EXHAUSTED), 2);
    assert_int_equal(world_refused(f->w, REASON_SOCKET_FAILED), 1);
    assert_int_equal(world_refused(f->w, REASON_MEMORY_EXHAUSTED), 1);
    fixture_allocate(&f->a);
}

static void test_allocate_without_randomness_fails_and_takes_nothing(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(client_challenge(&f->a), 401);
    f->w->random_fails = true;
    const int code = client_allocate(&f->a, NULL);
    assert_true(code == 500 || code == 508);
    nothing_is_taken(f, 0);
    f->w->random_fails = false;
    fixture_allocate(&f->a);
}

static void test_allocate_over_the_cap_of_a_worker_is_508(void **state)
{
    struct fixture *f = *state;
    f->settings.max_allocations = 1;
    fixture_restart(f);
    fixture_allocate(&f->a);
    assert_int_equal(client_allocate(&f->b, NULL), 508);
    assert_int_equal(world_refused(f->w, REASON_ALLOCATION_CAP), 1);
    nothing_is_taken(f, 1);
}

static void test_allocate_of_a_tunnel_client_is_not_accepted(void **state)
{
    /* "a TURN server MUST NOT accept Teredo or 6to4 addresses in these requests" (section 21.4) */
    struct fixture *f = *state;
    const char *tunnels[] = {
        "[2002:2d2d:1::1]:4000", "[2001:0:4136:e378:8000:63bf:3fff:fdd2]:4000"};
    for (unsigned i = 0; i < 2; i++) {
        f->a.nonce_len = 0;
        f->a.server = f->w->server_ipv6;
        assert_int_equal(addr_parse(&f->a.addr, tunnels[i]), 0);
        assert_int_not_equal(client_allocate(&f->a, NULL), 200);
        assert_true(
            world_refused(f->w, REASON_SOURCE_TUNNEL) + world_dropped(f->w, REASON_SOURCE_TUNNEL) >
            i);
        nothing_is_taken(f, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_allocate_on_a_used_5tuple_is_437),
        SCENARIO(test_allocate_of_another_user_on_a_used_5tuple_is_437),
        SCENARIO(test_allocate_without_transport_is_400),
        SCENARIO(test_allocate_of_other_transports_is_442),
        SCENARIO(test_allocate_of_token_with_what_excludes_it_is_400),
        SCENARIO(test_allocate_of_an_invented_token_is_508),
        SCENARIO(test_allocate_of_both_family_attributes_is_400),
        SCENARIO(test_allocate_of_an_unsupported_family_is_440),
        SCENARIO(test_allocate_of_a_pair_and_both_families_is_400),
        SCENARIO(test_allocate_of_additional_ipv4_is_400),
        SCENARIO(test_allocate_over_the_quota_of_a_user_is_486),
        SCENARIO(test_allocate_without_free_ports_is_508),
        SCENARIO(test_allocate_when_every_port_is_another_programs_is_508),
        SCENARIO(test_allocate_out_of_files_is_508),
        SCENARIO(test_allocate_without_randomness_fails_and_takes_nothing),
        SCENARIO(test_allocate_over_the_cap_of_a_worker_is_508),
        SCENARIO(test_allocate_of_a_tunnel_client_is_not_accepted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
