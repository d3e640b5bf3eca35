/*
 * Clients over TCP and TLS: to relay/ they look like those over UDP, but for the padding that a
 * stream needs, budgets that a proven address does not need, and that a closed connection's
 * allocation ends at once.
 */
#include "tests/scenario/fixture.h"

static void over(struct client *c, enum transport transport, uint64_t connection)
{
    c->transport = (uint8_t)transport;
    c->connection = connection;
}

static void test_streams_relay_both_ways_on_either_transport(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    static const enum gauge gauge[] = {GAUGE_ALLOCATIONS_TCP_IPV4, GAUGE_ALLOCATIONS_TLS_IPV4};
    for (unsigned i = 0; i < 2; i++) {
        struct client c;
        client_init(&c, f->w, 10 + i);
        over(&c, TRANSPORT_TCP + i, 70 + i);
        const struct addr relayed = fixture_allocate(&c);
        assert_int_equal(atomic_load(&f->w->worker[0].counters.gauge[gauge[i]]), 1);
        assert_int_equal(client_permit(&c, &peer), 200);
        assert_true(fixture_to_peer(&c, &peer, "out"));
        assert_true(fixture_from_peer(&c, &peer, &relayed, "in"));
        assert_int_equal(client_bind(&c, 0x4001, &peer), 200);
        assert_true(fixture_channel_to_peer(&c, 0x4001, &peer, "channel out"));
        assert_true(fixture_from_peer(&c, &peer, &relayed, "channel in"));
        const struct sent *last = f->w->sent[f->w->sent_count - 1];
        assert_int_equal(last->flow.transport, TRANSPORT_TCP + i);
        assert_true(last->flow.connection == c.connection);
    }
}

/* "Over TCP and TLS-over-TCP, the ChannelData message MUST be padded to a multiple of four bytes"
 * (RFC 8656 section 12.5); over UDP it is not. */
static void test_streams_channel_data_is_padded_to_four(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    over(&f->a, TRANSPORT_TCP, 7);
    struct client *clients[] = {&f->a, &f->b};
    for (unsigned i = 0; i < 2; i++) {
        const struct addr relayed = fixture_allocate(clients[i]);
        assert_int_equal(client_bind(clients[i], 0x4001, &peer), 200);
        for (size_t len = 1; len <= 8; len++) {
            world_from_peer(f->w, &peer, &relayed, slice_of("12345678", len), 0);
            const struct sent *got = world_take_to_client(f->w, &clients[i]->addr);
            assert_non_null(got);
            assert_int_equal(got->len, i == 0 ? 4 + ((len + 3) & ~3ul) : 4 + len);
            assert_int_equal(got->bytes[3], len);
        }
    }
}

static void check_dont_fragment(struct client *c, const struct addr *peer, bool expected)
{
    struct request q;
    request_begin(&q, c, STUN_INDICATION, STUN_SEND);
    request_peer(&q, peer);
    request_empty(&q, STUN_ATTR_DONT_FRAGMENT);
    stun_write_attr(&q.w, STUN_ATTR_DATA, slice_of_string("df"));
    request_close(&q);
    client_send_raw(c, q.bytes, q.len);
    const struct sent *s = world_take_to_peer(c->world);
    assert_non_null(s);
    assert_int_equal(s->dont_fragment, expected);
    client_indicate(c, peer, "x", 1);
    assert_false(world_take_to_peer(c->world)->dont_fragment);
}

/* "ignoring the DONT-FRAGMENT attribute is only applicable for UDP-to-UDP relay and not for
 * TCP-to-UDP relay" (RFC 8656 section 13): over a connection it counts whatever the families are.
 */
static void test_streams_dont_fragment_counts_between_any_families(void **state)
{
    struct fixture *f = *state;
    const struct addr peers[2] = {world_peer(1, 5000), world_peer6(1, 5000)};
    static const enum transport transports[] = {TRANSPORT_TCP, TRANSPORT_TLS, TRANSPORT_DTLS};
    for (unsigned i = 0; i < 12; i++) {
        struct client c;
        bool client6 = i & 1, peer6 = i & 2;
        client_init(&c, f->w, 20 + i);
        if (client6) {
            client_set_ipv6(&c, 20 + i);
        }
        over(&c, transports[i / 4], 90 + i);
        assert_int_equal(peer6 ? CLIENT_ASK(&c, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_FAMILY6)
                               : CLIENT_ASK(&c, STUN_ALLOCATE, NULL, ATTR_UDP),
            200);
        assert_int_equal(client_permit(&c, &peers[peer6]), 200);
        check_dont_fragment(
            &c, &peers[peer6], transport_is_stream(c.transport) || (!client6 && !peer6));
    }
}

/* A connection has proven its address. */
static void test_streams_draw_no_answer_budget(void **state)
{
    struct fixture *f = *state;
    f->settings.limits.unauthenticated_per_address =
        (struct rate){.count = 3, .period_s = 60, .burst = 3};
    fixture_restart(f);
    over(&f->a, TRANSPORT_TCP, 7);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(client_challenge(&f->a), 401);
    }
    over(&f->a, TRANSPORT_UDP, HANDLE_NONE);
    unsigned answered = 0;
    for (unsigned i = 0; i < 20; i++) {
        answered += client_challenge(&f->a) == 401;
    }
    assert_int_equal(answered, 3);
}

static void test_streams_closed_connection_ends_its_allocation(void **state)
{
    struct fixture *f = *state;
    f->settings.limits.quota.allocations_per_user = 1;
    fixture_restart(f);
    over(&f->a, TRANSPORT_TCP, 7);
    fixture_allocate(&f->a);
    const uint32_t ports = world_ports_claimed(f->w);
    struct flow flow = client_flow(&f->a);
    assert_true(relay_flow_in_use(f->w->worker[0].relay, &flow));
    client_close(&f->a);
    assert_false(relay_flow_in_use(f->w->worker[0].relay, &flow));
    assert_int_equal(world_allocations(f->w), 0);
    assert_int_equal(world_ports_claimed(f->w), ports - 1);
    assert_int_equal(world_sockets_open(f->w), 0);
    assert_int_equal(world_metric(f->w, METRIC_ALLOCATIONS_ENDED), 1);
    assert_int_equal(world_metric(f->w, METRIC_END_CONNECTION_CLOSED), 1);
    /* The user's one allocation can be had again. */
    over(&f->a, TRANSPORT_TCP, 8);
    fixture_allocate(&f->a);
    /* A connection without one ends without a trace. */
    over(&f->b, TRANSPORT_TCP, 9);
    client_close(&f->b);
    assert_int_equal(world_allocations(f->w), 1);
    assert_int_equal(world_metric(f->w, METRIC_ALLOCATIONS_ENDED), 1);
}

/* The same addresses again are another 5-tuple: handles never come twice. */
static void test_streams_allocation_belongs_to_its_connection(void **state)
{
    struct fixture *f = *state;
    over(&f->a, TRANSPORT_TCP, 7);
    fixture_allocate(&f->a);
    over(&f->a, TRANSPORT_TCP, 8);
    assert_int_equal(client_refresh(&f->a, 600, NULL), 437);
    over(&f->a, TRANSPORT_UDP, HANDLE_NONE);
    assert_int_equal(client_refresh(&f->a, 600, NULL), 437);
    over(&f->a, TRANSPORT_TCP, 7);
    assert_int_equal(client_refresh(&f->a, 600, NULL), 200);
}

/* A request that waits for another worker when its connection closes: nobody is answered, and the
 * reserved port that comes for it goes back. */
static void test_streams_request_that_waits_ends_with_its_connection(void **state)
{
    struct fixture *f = *state;
    struct response made;
    f->settings.workers = 2;
    fixture_restart(f);
    f->a.worker = 0;
    assert_int_equal(CLIENT_ASK(&f->a, STUN_ALLOCATE, &made, ATTR_UDP, ATTR_EVEN_PAIR), 200);
    const uint32_t sockets = world_sockets_open(f->w);
    struct client second;
    client_init(&second, f->w, 9);
    second.worker = 1;
    over(&second, TRANSPORT_TCP, 1ull << 56 | 1);
    assert_int_equal(client_challenge(&second), 401);
    f->w->hold_mail = true;
    assert_int_equal(CLIENT_ASK(&second, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_TOKEN(made.token)), 0);
    const uint64_t replies = f->w->replies;
    client_close(&second);
    assert_int_equal(world_refused(f->w, REASON_FLOW_GONE), 1);
    f->w->hold_mail = false;
    world_run(f->w);
    world_advance(f->w, 3);
    assert_int_equal(f->w->replies, replies);
    assert_int_equal(world_allocations(f->w), 1);
    assert_int_equal(world_sockets_open(f->w), sockets - 1);
    assert_int_equal(world_reservations(f->w), 0);
}

/* No loop runs over a connection: its source may be any port of ours, which UDP's may not. */
static void test_streams_source_may_share_a_port_with_a_listener(void **state)
{
    struct fixture *f = *state;
    const struct addr relayed = fixture_allocate(&f->b);
    f->a.addr = relayed;
    assert_int_equal(client_binding(&f->a, NULL), 0);
    assert_int_equal(world_dropped(f->w, REASON_SOURCE_IS_OURS), 1);
    over(&f->a, TRANSPORT_TCP, 7);
    assert_int_equal(client_binding(&f->a, NULL), 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_streams_relay_both_ways_on_either_transport),
        SCENARIO(test_streams_channel_data_is_padded_to_four),
        SCENARIO(test_streams_dont_fragment_counts_between_any_families),
        SCENARIO(test_streams_draw_no_answer_budget),
        SCENARIO(test_streams_closed_connection_ends_its_allocation),
        SCENARIO(test_streams_allocation_belongs_to_its_connection),
        SCENARIO(test_streams_request_that_waits_ends_with_its_connection),
        SCENARIO(test_streams_source_may_share_a_port_with_a_listener),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
