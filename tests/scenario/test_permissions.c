/*
 * Permissions (RFC 8656 sections 9 and 10): all of a request or none, by address without port, for
 * 300 seconds, and only for what the peer policy allows.
 */
#include "tests/scenario/fixture.h"

static int permit(struct client *c, const struct addr *peers, size_t count)
{
    struct request q;
    request_begin(&q, c, STUN_REQUEST, STUN_CREATE_PERMISSION);
    for (size_t i = 0; i < count; i++)
        request_peer(&q, &peers[i]);
    request_finish(&q, c);
    return client_send(c, &q, NULL);
}

static struct addr ip(const char *text, uint16_t port)
{
    struct addr a;
    assert_int_equal(addr_parse_ip(&a, text), 0);
    a.port = port;
    return a;
}

static void test_permission_lets_both_directions_pass(void **state)
{
    struct fixture *f = *state;
    struct response r;
    struct request q;
    const struct addr peer = world_peer(1, 5000);
    const struct addr relayed = fixture_allocate(&f->a);
    assert_false(fixture_to_peer(&f->a, &peer, "no"));
    assert_false(fixture_from_peer(&f->a, &peer, &relayed, "no"));
    assert_int_equal(world_dropped(f->w, REASON_NO_PERMISSION), 2);
    request_begin(&q, &f->a, STUN_REQUEST, STUN_CREATE_PERMISSION);
    request_peer(&q, &peer);
    request_finish(&q, &f->a);
    assert_int_equal(client_send(&f->a, &q, &r), 200);
    assert_true(r.integrity);
    assert_true(fixture_to_peer(&f->a, &peer, "out"));
    assert_true(fixture_from_peer(&f->a, &peer, &relayed, "in"));
}

static void test_permission_is_for_the_address_whatever_the_port(void **state)
{
    struct fixture *f = *state;
    const struct addr named = world_peer(1, 0);
    const struct addr relayed = fixture_allocate(&f->a);
    assert_int_equal(client_permit(&f->a, &named), 200);
    for (uint16_t port = 1; port < 60000; port = (uint16_t)(port + 7777)) {
        const struct addr peer = world_peer(1, port);
        assert_true(fixture_to_peer(&f->a, &peer, "out"));
        assert_true(fixture_from_peer(&f->a, &peer, &relayed, "in"));
    }
    const struct addr neighbour = world_peer(2, 5000);
    assert_false(fixture_to_peer(&f->a, &neighbour, "no"));
    assert_false(fixture_from_peer(&f->a, &neighbour, &relayed, "no"));
}

static void test_permissions_of_one_request_are_all_installed(void **state)
{
    struct fixture *f = *state;
    struct addr peers[40];
    fixture_allocate(&f->a);
    for (unsigned i = 0; i < 40; i++)
        peers[i] = world_peer(i + 1, 5000);
    assert_int_equal(permit(&f->a, peers, 40), 200);
    for (unsigned i = 0; i < 40; i++)
        assert_true(fixture_to_peer(&f->a, &peers[i], "out"));
}

static void none_of(struct fixture *f, const struct addr *peers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_false(fixture_to_peer(&f->a, &peers[i], "no"));
}

static void test_permissions_with_a_forbidden_peer_are_403_and_none(void **state)
{
    struct fixture *f = *state;
    fixture_allocate(&f->a);
    struct addr peers[3] = {world_peer(1, 5000), world_peer(2, 5000), world_peer(3, 5000)};
    for (unsigned bad = 0; bad < 3; bad++) {
        struct addr mixed[3] = {peers[0], peers[1], peers[2]};
        mixed[bad] = ip("10.1.2.3", 5000);
        assert_int_equal(permit(&f->a, mixed, 3), 403);
        none_of(f, peers, 3);
    }
    assert_int_equal(world_refused(f->w, REASON_PEER_FORBIDDEN), 3);
}

static void test_permissions_with_another_family_are_443_and_none(void **state)
{
    struct fixture *f = *state;
    fixture_allocate(&f->a);
    const struct addr peers[2] = {world_peer(1, 5000), world_peer6(1, 5000)};
    assert_int_equal(permit(&f->a, peers, 2), 443);
    none_of(f, peers, 1);
    assert_int_equal(permit(&f->a, peers + 1, 1), 443);
}

static void test_permissions_with_an_invalid_peer_are_400_and_none(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    fixture_allocate(&f->a);
    struct request q;
    request_begin(&q, &f->a, STUN_REQUEST, STUN_CREATE_PERMISSION);
    request_peer(&q, &peer);
    stun_write_attr(&q.w, STUN_ATTR_XOR_PEER_ADDRESS, slice_of("\0\x01\0\0\0\0", 6));
    request_finish(&q, &f->a);
    assert_int_equal(client_send(&f->a, &q, NULL), 400);
    none_of(f, &peer, 1);
    assert_int_equal(permit(&f->a, NULL, 0), 400);
    assert_int_equal(world_refused(f->w, REASON_MISSING_ATTRIBUTE), 1);
}

static void test_permission_of_forbidden_addresses_is_403(void **state)
{
    struct fixture *f = *state;
    static const char *const denied[] = {"0.0.0.0", "127.0.0.1", "10.0.0.1", "172.16.0.1",
        "192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1", "255.255.255.255",
        "198.51.100.10"};
    static const char *const denied6[] = {"::", "::1", "fe80::1", "fc00::1", "ff02::1",
        "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:2d2d:1::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2", "::10.0.0.1", "2001:db8:100::10"};
    assert_int_equal(CLIENT_ASK(&f->a, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_BOTH), 200);
    for (size_t i = 0; i < sizeof(denied) / sizeof(denied[0]); i++) {
        const struct addr peer = ip(denied[i], 5000);
        assert_int_equal(client_permit(&f->a, &peer), 403);
    }
    for (size_t i = 0; i < sizeof(denied6) / sizeof(denied6[0]); i++) {
        const struct addr peer = ip(denied6[i], 5000);
        assert_int_equal(client_permit(&f->a, &peer), 403);
    }
}

static void test_permission_expires_after_300_seconds(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    const struct addr relayed = fixture_allocate(&f->a);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    world_advance(f->w, 299);
    assert_true(fixture_to_peer(&f->a, &peer, "out"));
    assert_true(fixture_from_peer(&f->a, &peer, &relayed, "in"));
    world_advance(f->w, 2);
    assert_false(fixture_to_peer(&f->a, &peer, "late"));
    assert_false(fixture_from_peer(&f->a, &peer, &relayed, "late"));
}

static void test_permission_refreshed_lasts_another_300_seconds(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000), same = world_peer(1, 6000);
    const struct addr relayed = fixture_allocate(&f->a);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    world_advance(f->w, 200);
    assert_int_equal(client_permit(&f->a, &same), 200);
    world_advance(f->w, 299);
    assert_true(fixture_from_peer(&f->a, &peer, &relayed, "in"));
    world_advance(f->w, 2);
    assert_false(fixture_from_peer(&f->a, &peer, &relayed, "late"));
}

static void test_permission_is_not_refreshed_by_media(void **state)
{
    /* "Note that a Send indication never causes the server to refresh the permission." */
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    const struct addr relayed = fixture_allocate(&f->a);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    for (unsigned i = 0; i < 29; i++) {
        world_advance(f->w, 10);
        assert_true(fixture_to_peer(&f->a, &peer, "out"));
        assert_true(fixture_from_peer(&f->a, &peer, &relayed, "in"));
    }
    world_advance(f->w, 11);
    assert_false(fixture_to_peer(&f->a, &peer, "late"));
}

static void test_permission_refused_is_not_refreshed(void **state)
{
    struct fixture *f = *state;
    const struct addr peers[2] = {world_peer(1, 5000), ip("10.0.0.1", 1)};
    fixture_allocate(&f->a);
    assert_int_equal(client_permit(&f->a, &peers[0]), 200);
    world_advance(f->w, 200);
    assert_int_equal(permit(&f->a, peers, 2), 403);
    world_advance(f->w, 102);
    assert_false(fixture_to_peer(&f->a, &peers[0], "late"));
}

static void test_permission_of_one_allocation_is_nothing_to_another(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    fixture_allocate(&f->a);
    const struct addr relayed = fixture_allocate(&f->b);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    assert_false(fixture_to_peer(&f->b, &peer, "no"));
    assert_false(fixture_from_peer(&f->b, &peer, &relayed, "no"));
}

static void test_permissions_over_the_cap_are_508_and_none(void **state)
{
    struct fixture *f = *state;
    f->settings.relay.permissions_per_allocation = 4;
    fixture_restart(f);
    fixture_allocate(&f->a);
    struct addr peers[6];
    for (unsigned i = 0; i < 6; i++)
        peers[i] = world_peer(i + 1, 5000);
    assert_int_equal(permit(&f->a, peers, 3), 200);
    assert_int_equal(permit(&f->a, peers + 3, 2), 508);
    none_of(f, peers + 3, 2);
    /* What is there counts once: a refresh of it with one more fits. */
    assert_int_equal(permit(&f->a, peers, 4), 200);
    assert_true(fixture_to_peer(&f->a, &peers[3], "out"));
    assert_int_equal(permit(&f->a, peers, 5), 508);
    assert_int_equal(world_refused(f->w, REASON_PERMISSION_CAP), 2);
    /* What has expired makes room. */
    world_advance(f->w, 302);
    assert_int_equal(permit(&f->a, peers + 2, 4), 200);
}

static void test_permission_named_twice_in_a_request_counts_once(void **state)
{
    struct fixture *f = *state;
    f->settings.relay.permissions_per_allocation = 1;
    fixture_restart(f);
    fixture_allocate(&f->a);
    const struct addr peers[3] = {world_peer(1, 1), world_peer(1, 2), world_peer(1, 1)};
    assert_int_equal(permit(&f->a, peers, 3), 200);
}

static void test_permission_retransmitted_is_answered_the_same(void **state)
{
    struct fixture *f = *state;
    struct request q;
    struct response first, second;
    const struct addr peer = world_peer(1, 5000);
    fixture_allocate(&f->a);
    request_begin(&q, &f->a, STUN_REQUEST, STUN_CREATE_PERMISSION);
    request_peer(&q, &peer);
    request_finish(&q, &f->a);
    assert_int_equal(client_send(&f->a, &q, &first), 200);
    assert_int_equal(client_send(&f->a, &q, &second), 200);
    assert_memory_equal(first.bytes, second.bytes, first.len);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_permission_lets_both_directions_pass),
        SCENARIO(test_permission_is_for_the_address_whatever_the_port),
        SCENARIO(test_permissions_of_one_request_are_all_installed),
        SCENARIO(test_permissions_with_a_forbidden_peer_are_403_and_none),
        SCENARIO(test_permissions_with_another_family_are_443_and_none),
        SCENARIO(test_permissions_with_an_invalid_peer_are_400_and_none),
        SCENARIO(test_permission_of_forbidden_addresses_is_403),
        SCENARIO(test_permission_expires_after_300_seconds),
        SCENARIO(test_permission_refreshed_lasts_another_300_seconds),
        SCENARIO(test_permission_is_not_refreshed_by_media),
        SCENARIO(test_permission_refused_is_not_refreshed),
        SCENARIO(test_permission_of_one_allocation_is_nothing_to_another),
        SCENARIO(test_permissions_over_the_cap_are_508_and_none),
        SCENARIO(test_permission_named_twice_in_a_request_counts_once),
        SCENARIO(test_permission_retransmitted_is_answered_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
