/*
 * ICMP errors about what was sent to peers (RFC 8656 sections 11.5, 12.5, 18.13): which types,
 * whose permission, what the client is told.
 *
 * exception: figure 11 of section 18.13 draws ICMP Type seven and ICMP Code nine bits wide. Both
 * are eight bits in the ICMP header, and every value that is relayed reads the same only if they
 * are eight here: so it is taken.
 */
#include "tests/scenario/fixture.h"

static void test_icmp_of_the_relayed_types_reaches_the_client(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    const struct addr relayed = fixture_allocate(&f->a);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    for (unsigned type = 0; type < 256; type++) {
        struct received m;
        const uint8_t type_code[2] = {(uint8_t)type, 1};
        assert_true(world_icmp(f->w, &relayed, &peer, type_code, 0));
        const bool got = client_receive(&f->a, &m);
        assert_int_equal(got, type == 3 || type == 11);
        if (!got)
            continue;
        assert_true(m.icmp);
        assert_true(addr_equal(&m.peer, &peer));
        const uint8_t expected[8] = {0, 0, (uint8_t)type, 1, 0, 0, 0, 0};
        assert_memory_equal(m.icmp_value, expected, 8);
    }
}

static void test_icmp6_of_the_relayed_types_reaches_the_client(void **state)
{
    struct fixture *f = *state;
    struct response r;
    const struct addr peer = world_peer6(1, 5000);
    assert_int_equal(CLIENT_ASK(&f->a, STUN_ALLOCATE, &r, ATTR_UDP, ATTR_FAMILY6), 200);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    for (unsigned type = 0; type < 256; type++) {
        struct received m;
        const uint8_t type_code[2] = {(uint8_t)type, 4};
        assert_true(world_icmp(f->w, &r.relayed[0], &peer, type_code, 1280));
        const bool got = client_receive(&f->a, &m);
        assert_int_equal(got, type >= 1 && type <= 3);
        if (!got)
            continue;
        /* Only "Packet too big" carries its MTU: "For other ICMPv6 types …, the Error Data field
         * MUST be set to zero." */
        const uint8_t mtu[2] = {0x05, 0x00}, none[2] = {0, 0};
        assert_int_equal(m.icmp_value[2], type);
        assert_int_equal(m.icmp_value[3], 4);
        assert_memory_equal(m.icmp_value + 6, type == 2 ? mtu : none, 2);
    }
}

static void test_icmp_fragmentation_needed_carries_the_mtu(void **state)
{
    struct fixture *f = *state;
    struct received m;
    const struct addr peer = world_peer(1, 5000);
    const struct addr relayed = fixture_allocate(&f->a);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    for (uint8_t code = 0; code < 16; code++) {
        const uint8_t type_code[2] = {3, code};
        assert_true(world_icmp(f->w, &relayed, &peer, type_code, 0x01020304));
        assert_true(client_receive(&f->a, &m));
        const uint8_t expected[8] = {0, 0, 3, code, 1, 2, 3, 4}, none[4] = {0};
        assert_memory_equal(m.icmp_value, expected, 4);
        assert_memory_equal(m.icmp_value + 4, code == 4 ? expected + 4 : none, 4);
    }
}

static void test_icmp_names_the_peers_port(void **state)
{
    /* "If destination port … is available to the server, then the port portion … is set to the
     * destination port" */
    struct fixture *f = *state;
    struct received m;
    const struct addr permitted = world_peer(1, 1), destination = world_peer(1, 4321);
    const struct addr relayed = fixture_allocate(&f->a);
    assert_int_equal(client_permit(&f->a, &permitted), 200);
    assert_true(world_icmp(f->w, &relayed, &destination, (const uint8_t[]){3, 3}, 0));
    assert_true(client_receive(&f->a, &m));
    assert_int_equal(m.peer.port, 4321);
}

static void test_icmp_over_a_channel_is_a_data_indication(void **state)
{
    /* "The server uses a Data indication to signal the XOR-PEER-ADDRESS and ICMP attributes to the
     * client even if a channel has been bound to the peer." */
    struct fixture *f = *state;
    struct received m;
    const struct addr peer = world_peer(1, 5000);
    const struct addr relayed = fixture_allocate(&f->a);
    assert_int_equal(client_bind(&f->a, 0x4000, &peer), 200);
    assert_true(world_icmp(f->w, &relayed, &peer, (const uint8_t[]){3, 3}, 0));
    assert_true(client_receive(&f->a, &m));
    assert_true(m.icmp && !m.channel);
}

static void test_icmp_about_a_peer_without_permission_is_dropped(void **state)
{
    struct fixture *f = *state;
    struct received m;
    const struct addr peer = world_peer(1, 5000), other = world_peer(2, 5000);
    const struct addr relayed = fixture_allocate(&f->a);
    assert_int_equal(client_permit(&f->a, &other), 200);
    assert_true(world_icmp(f->w, &relayed, &peer, (const uint8_t[]){3, 3}, 0));
    assert_false(client_receive(&f->a, &m));
    world_advance(f->w, 301);
    assert_true(world_icmp(f->w, &relayed, &other, (const uint8_t[]){3, 3}, 0));
    assert_false(client_receive(&f->a, &m));
}

static void test_icmp_keeps_the_books_balanced(void **state)
{
    /* Whatever becomes of an error, it is counted once. */
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000), other = world_peer(2, 5000);
    const struct addr relayed = fixture_allocate(&f->a);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    assert_true(world_icmp(f->w, &relayed, &peer, (const uint8_t[]){3, 3}, 0));
    world_check(f->w);
    assert_true(world_icmp(f->w, &relayed, &peer, (const uint8_t[]){8, 0}, 0));
    assert_true(world_icmp(f->w, &relayed, &other, (const uint8_t[]){3, 3}, 0));
    world_check(f->w);
    assert_int_equal(world_metric(f->w, METRIC_ICMP_RELAYED), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_icmp_of_the_relayed_types_reaches_the_client),
        SCENARIO(test_icmp6_of_the_relayed_types_reaches_the_client),
        SCENARIO(test_icmp_fragmentation_needed_carries_the_mtu),
        SCENARIO(test_icmp_names_the_peers_port),
        SCENARIO(test_icmp_over_a_channel_is_a_data_indication),
        SCENARIO(test_icmp_about_a_peer_without_permission_is_dropped),
        SCENARIO(test_icmp_keeps_the_books_balanced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
