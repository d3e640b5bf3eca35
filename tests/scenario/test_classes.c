/*
 * Classes, methods and sources that are not answered (RFC 8489 section 6.3; THREATS row 5):
 * whatever is no request for a method of ours, and whoever must not be answered.
 */
#include "tests/scenario/fixture.h"

static void test_only_requests_of_known_methods_are_answered(void **state)
{
    struct fixture *f = *state;
    for (unsigned method = 0; method < 0x1000; method++) {
        for (unsigned class = STUN_REQUEST; class <= STUN_ERROR; class ++) {
            struct request q;
            request_begin(&q, &f->a, class, (uint16_t)method);
            request_close(&q);
            const int code = client_send(&f->a, &q, NULL);
            const bool ours = method == STUN_BINDING || method == STUN_ALLOCATE ||
                              method == STUN_REFRESH || method == STUN_CREATE_PERMISSION ||
                              method == STUN_CHANNEL_BIND;
            const int expected = class != STUN_REQUEST || !ours ? 0
                                 : method == STUN_BINDING       ? 200
                                                                : 401;
            if (code != expected)
                fail_msg("class %u, method 0x%03x: %d", class, method, code);
        }
        world_clear(f->w);
    }
    assert_int_equal(f->w->replies, 5);
    /* RFC 7983: STUN begins with a byte of 0 to 3, so methods from 0x100 on are none. */
    assert_int_equal(world_dropped(f->w, REASON_STUN_UNKNOWN_METHOD), 0x100 - 5);
    assert_int_equal(world_dropped(f->w, REASON_NOT_STUN), 4 * 0xf00);
}

static void test_signed_indications_and_responses_change_nothing(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    fixture_allocate(&f->a);
    const uint16_t methods[] = {
        STUN_ALLOCATE, STUN_REFRESH, STUN_CREATE_PERMISSION, STUN_CHANNEL_BIND, STUN_DATA};
    for (unsigned i = 0; i < 5; i++) {
        for (unsigned class = STUN_INDICATION; class <= STUN_ERROR; class ++) {
            struct request q;
            request_begin(&q, &f->a, class, methods[i]);
            request_channel(&q, 0x4000);
            request_peer(&q, &peer);
            stun_write_attr(&q.w, STUN_ATTR_DATA, slice_of_string("x"));
            stun_write_u32(&q.w, STUN_ATTR_LIFETIME, 0);
            request_finish(&q, &f->a);
            assert_int_equal(client_send(&f->a, &q, NULL), 0);
        }
    }
    assert_int_equal(world_allocations(f->w), 1);
    assert_false(fixture_to_peer(&f->a, &peer, "no"));
    assert_int_equal(world_dropped(f->w, REASON_STUN_NOT_A_REQUEST), 15);
}

static void test_first_bytes_of_other_protocols_are_dropped(void **state)
{
    struct fixture *f = *state;
    uint8_t datagram[40] = {0};
    fixture_allocate(&f->a);
    const uint64_t replies = f->w->replies;
    for (unsigned first = 4; first < 256; first++) {
        if (first >= 64 && first <= 79)
            continue;
        datagram[0] = (uint8_t)first;
        client_send_raw(&f->a, datagram, sizeof(datagram));
    }
    assert_int_equal(f->w->replies, replies);
    assert_int_equal(world_dropped(f->w, REASON_NOT_STUN), 252 - 16);
    client_send_raw(&f->a, datagram, 0);
    assert_int_equal(world_dropped(f->w, REASON_EMPTY_DATAGRAM), 1);
}

static void unanswered(struct fixture *f, const char *source, enum reason reason)
{
    const uint64_t before = world_dropped(f->w, reason);
    assert_int_equal(addr_parse(&f->a.addr, source), 0);
    f->a.server = f->a.addr.family == ADDR_IPV4 ? f->w->server_ipv4 : f->w->server_ipv6;
    assert_int_equal(client_binding(&f->a, NULL), 0);
    assert_int_equal(client_challenge(&f->a), 0);
    assert_int_equal(world_dropped(f->w, reason), before + 2);
}

static void test_sources_that_cannot_be_clients_are_not_answered(void **state)
{
    struct fixture *f = *state;
    f->a.addr.port = 0;
    assert_int_equal(client_binding(&f->a, NULL), 0);
    assert_int_equal(world_dropped(f->w, REASON_SOURCE_PORT_ZERO), 1);
    static const char *const sources[] = {"224.0.0.1:5000", "239.255.255.255:5000",
        "255.255.255.255:5000", "0.0.0.0:5000", "[::]:5000", "[ff02::1]:5000", "[ff0e::1]:5000"};
    for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++)
        unanswered(f, sources[i], REASON_SOURCE_NOT_UNICAST);
}

static void test_sources_that_are_ours_are_not_answered(void **state)
{
    struct fixture *f = *state;
    unanswered(f, "198.51.100.10:3478", REASON_SOURCE_IS_OURS);
    unanswered(f, "[2001:db8:100::10]:3478", REASON_SOURCE_IS_OURS);
    const struct addr relayed = fixture_allocate(&f->b);
    const uint64_t before = world_dropped(f->w, REASON_SOURCE_IS_OURS);
    f->a.server = f->w->server_ipv4;
    f->a.addr = relayed;
    assert_int_equal(client_binding(&f->a, NULL), 0);
    assert_int_equal(client_challenge(&f->a), 0);
    assert_int_equal(world_dropped(f->w, REASON_SOURCE_IS_OURS), before + 2);
    /* Another port of the address is another program's. */
    f->a.addr.port = (uint16_t)(relayed.port == 50000 ? 50001 : 50000);
    assert_int_equal(client_binding(&f->a, NULL), 200);
    /* And the port of the allocation when that is over. */
    assert_int_equal(client_refresh(&f->b, 0, NULL), 200);
    f->a.addr = relayed;
    assert_int_equal(client_binding(&f->a, NULL), 200);
}

static void test_allocation_behind_a_source_of_ours_is_not_made(void **state)
{
    /* RFC 8656 section 21.1.7, "TURN Loop Attack": B's requests in A's name. */
    struct fixture *f = *state;
    const struct addr relayed = fixture_allocate(&f->b);
    f->a.addr = relayed;
    memcpy(f->a.nonce, f->b.nonce, f->a.nonce_len = f->b.nonce_len);
    memcpy(f->a.realm, f->b.realm, f->a.realm_len = f->b.realm_len);
    assert_int_equal(client_allocate(&f->a, NULL), 0);
    assert_int_equal(world_allocations(f->w), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_only_requests_of_known_methods_are_answered),
        SCENARIO(test_signed_indications_and_responses_change_nothing),
        SCENARIO(test_first_bytes_of_other_protocols_are_dropped),
        SCENARIO(test_sources_that_cannot_be_clients_are_not_answered),
        SCENARIO(test_sources_that_are_ours_are_not_answered),
        SCENARIO(test_allocation_behind_a_source_of_ours_is_not_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
