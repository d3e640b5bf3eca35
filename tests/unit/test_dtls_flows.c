/*
 * Whose datagram is it? DTLS and plain text on one port, forged sources, clients that begin anew on
 * their 5-tuple, and who is not let in. THREATS rows 4, 5, 6, 20.
 */
#include "tests/unit/dtls_clients.h"

static const uint8_t stun[20] = {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42};

static void assert_alive(const char *text)
{
    dtls_peer_say(w, &peer, text);
    assert_true(dtls_heard_last(w, &peer, text));
}

static struct slice slice_of_datagram(const struct test_datagram *d)
{
    return slice_of(d->data, d->len);
}

static void test_dtls_flows_plain_text_beside_a_session_is_relayed(void **state)
{
    struct dtls_peer plain;
    establish();
    dtls_peer_init(w, &plain, "127.0.0.1");
    dtls_peer_send(w, &plain, slice_of(stun, sizeof(stun)));
    assert_int_equal(w->count, 2);
    assert_int_equal(w->seen[1].flow.transport, TRANSPORT_UDP);
    assert_int_equal(w->seen[1].flow.connection, HANDLE_NONE);
    dtls_peer_deinit(&plain);
}

/* "plain text spoofed onto a flow with a DTLS session": the same addresses, without the keys. */
static void test_dtls_flows_plain_text_on_a_session_is_dropped(void **state)
{
    const uint8_t channel[8] = {0x40, 0, 0, 4, 1, 2, 3, 4}, media[12] = {0x80};
    dtls_peer_send(w, &peer, slice_of(stun, sizeof(stun)));
    assert_int_equal(w->count, 1);
    assert_int_equal(w->seen[0].flow.transport, TRANSPORT_UDP);
    establish();
    dtls_peer_send(w, &peer, slice_of(stun, sizeof(stun)));
    dtls_peer_send(w, &peer, slice_of(channel, sizeof(channel)));
    dtls_peer_send(w, &peer, slice_of(media, sizeof(media)));
    dtls_peer_send(w, &peer, slice_of(media, 0));
    assert_int_equal(dtls_dropped(w, REASON_PLAIN_ON_DTLS_FLOW), 4);
    assert_int_equal(w->count, 2);
    assert_alive("alive");
}

/* Of another client, whom the server answers with a cookie, from the address of this one. */
static void spoof_hello(const struct dtls_peer *onto)
{
    struct test_dtls t;
    test_dtls_init(&t, w->client_ctx, w->snapshot.tls);
    SSL_do_handshake(t.client);
    struct test_datagram hello = test_queue_take(&t.to_server, 0);
    assert_int_equal(send(onto->fd, hello.data, hello.len, 0), hello.len);
    dtls_turn(w);
    free(hello.data);
    test_dtls_deinit(&t);
}

static void test_dtls_flows_spoofed_hello_ends_nothing(void **state)
{
    establish();
    const uint64_t cookies = dtls_metric(w, METRIC_DTLS_COOKIES);
    for (unsigned i = 0; i < 50; i++) {
        spoof_hello(&peer);
    }
    assert_int_equal(dtls_metric(w, METRIC_DTLS_COOKIES), cookies + 50);
    assert_int_equal(dtls_sessions_count(w->sessions), 1);
    assert_alive("alive");
    dtls_answer(w, &w->seen[0].flow, slice_of_string("reply"), false);
    assert_string_equal(dtls_peer_hear(&peer), "reply");
    assert_int_equal(w->closed_count, 0);
}

/* A client that is started again on its socket, up to its hello with the cookie, which is sent. */
static void restart_half(void)
{
    if (peer.t.client) {
        dtls_peer_receive(&peer); /* what is for the one before */
    }
    dtls_peer_restart(w, &peer);
    dtls_peer_step(&peer);
    dtls_peer_push(w, &peer);
    dtls_peer_receive(&peer);
    dtls_peer_step(&peer);
    assert_int_equal(peer.t.to_server.count, 1);
    dtls_peer_push(w, &peer);
}

/* One who sees the cookie go by, or the client's own first words: a session is pending, no more. */
static void test_dtls_flows_hello_with_a_good_cookie_ends_nothing_by_itself(void **state)
{
    establish();
    struct test_dtls old = peer.t;
    peer.t = (struct test_dtls){0};
    restart_half();
    assert_int_equal(dtls_sessions_count(w->sessions), 2);
    test_dtls_deinit(&peer.t);
    peer.t = old;
    dtls_peer_receive(&peer); /* the server's flight means nothing to the session */
    test_queue_clear(&peer.t.to_client);
    assert_alive("alive");
    dtls_answer(w, &w->seen[0].flow, slice_of_string("reply"), false);
    assert_string_equal(dtls_peer_hear(&peer), "reply");
    dtls_later(w, 5200);
    assert_int_equal(dtls_closed(w, REASON_HANDSHAKE_TIMEOUT), 1);
    assert_int_equal(dtls_sessions_count(w->sessions), 1);
    assert_int_equal(w->closed_count, 0);
    assert_alive("still");
}

static void test_dtls_flows_restarted_client_takes_its_place_when_it_is_complete(void **state)
{
    establish();
    const struct flow before = w->seen[0].flow;
    restart_half();
    assert_int_equal(w->closed_count, 0);
    establish();
    assert_int_equal(dtls_sessions_count(w->sessions), 1);
    assert_int_equal(dtls_closed(w, REASON_SESSION_REPLACED), 1);
    assert_int_equal(w->closed_count, 1);
    assert_memory_equal(&w->closed[0], &before, sizeof(before));
    assert_true(w->seen[1].flow.connection != before.connection);
    dtls_answer(w, &before, slice_of_string("late"), true);
    assert_int_equal(dtls_dropped(w, REASON_CONNECTION_GONE), 1);
    counters_add(&w->counters, METRIC_RECEIVED_PEER, 1);
    assert_alive("alive");
}

/* At most one is pending; the newest is what the client waits for. */
static void test_dtls_flows_client_restarted_often_has_two_sessions_at_most(void **state)
{
    establish();
    for (unsigned i = 0; i < 5; i++) {
        restart_half();
        assert_int_equal(dtls_sessions_count(w->sessions), 2);
    }
    assert_int_equal(dtls_closed(w, REASON_SESSION_REPLACED), 4);
    assert_int_equal(w->closed_count, 0);
    establish();
    assert_int_equal(dtls_closed(w, REASON_SESSION_REPLACED), 5);
    assert_int_equal(dtls_sessions_count(w->sessions), 1);
}

static void test_dtls_flows_unfinished_handshake_gives_way(void **state)
{
    for (unsigned i = 0; i < 3; i++) {
        restart_half();
        assert_int_equal(dtls_sessions_count(w->sessions), 1);
    }
    establish();
    assert_int_equal(dtls_closed(w, REASON_SESSION_REPLACED), 2);
    assert_int_equal(w->closed_count, 0);
}

/* When the session before ends on its own, the pending one stands alone. */
static void test_dtls_flows_pending_session_outlives_the_one_before(void **state)
{
    establish();
    SSL_shutdown(peer.t.client);
    struct test_datagram goodbye = test_queue_take(&peer.t.to_server, 0);
    restart_half();
    dtls_peer_send(w, &peer, slice_of_datagram(&goodbye));
    free(goodbye.data);
    assert_int_equal(dtls_closed(w, REASON_CLOSED_BY_CLIENT), 1);
    assert_int_equal(dtls_sessions_count(w->sessions), 1);
    establish();
    assert_int_equal(dtls_closed(w, REASON_SESSION_REPLACED), 0);
}

/* Copies on the way, and replays: the hello of a session draws nothing more. */
static void test_dtls_flows_repeated_hello_begins_nothing(void **state)
{
    struct test_datagram hellos[2];
    dtls_peer_step(&peer);
    hellos[0] = test_queue_take(&peer.t.to_server, 0);
    dtls_peer_send(w, &peer, slice_of_datagram(&hellos[0]));
    dtls_peer_receive(&peer);
    dtls_peer_step(&peer);
    hellos[1] = test_queue_take(&peer.t.to_server, 0);
    dtls_peer_send(w, &peer, slice_of_datagram(&hellos[1]));
    dtls_peer_receive(&peer);
    for (unsigned i = 0; i < 2; i++) {
        for (unsigned k = 0; k < 4; k++) {
            dtls_peer_send(w, &peer, slice_of_datagram(&hellos[k % 2]));
        }
        assert_int_equal(dtls_peer_receive(&peer), 0);
        assert_int_equal(dtls_sessions_count(w->sessions), 1);
        establish();
    }
    assert_int_equal(dtls_metric(w, METRIC_CONNECTIONS_DTLS), 1);
    assert_int_equal(dtls_metric(w, METRIC_DTLS_COOKIES), 1);
    free(hellos[0].data);
    free(hellos[1].data);
}

/* The same of one that is pending beside a session: a replay must not begin its handshake anew. */
static void test_dtls_flows_repeated_hello_of_a_pending_session_begins_nothing(void **state)
{
    establish();
    dtls_peer_restart(w, &peer);
    dtls_peer_step(&peer);
    dtls_peer_push(w, &peer);
    dtls_peer_receive(&peer);
    dtls_peer_step(&peer);
    struct test_datagram hello = test_queue_take(&peer.t.to_server, 0);
    for (unsigned i = 0; i < 3; i++) {
        dtls_peer_send(w, &peer, slice_of_datagram(&hello));
        assert_int_equal(dtls_metric(w, METRIC_CONNECTIONS_DTLS), 2);
        assert_int_equal(dtls_closed(w, REASON_SESSION_REPLACED), 0);
    }
    assert_true(dtls_peer_settle(w, &peer));
    assert_alive("alive");
    free(hello.data);
}

static void test_dtls_flows_nobody_is_answered_beyond_the_budget(void **state)
{
    w->broke = true;
    spoof_hello(&peer);
    spoof_hello(&peer);
    assert_int_equal(dtls_dropped(w, REASON_ANSWER_BUDGET), 2);
    assert_int_equal(dtls_peer_receive(&peer), 0);
    w->broke = false;
    dtls_peer_step(&peer);
    dtls_peer_push(w, &peer);
    dtls_peer_receive(&peer);
    w->broke = true; /* who has a cookie is not charged */
    establish();
    assert_int_equal(dtls_dropped(w, REASON_ANSWER_BUDGET), 2);
}

/* One cookie is good for many ClientHellos, of which each costs a signature. */
static void test_dtls_flows_cookie_buys_no_handshakes_beyond_their_budget(void **state)
{
    dtls_peer_step(&peer);
    dtls_peer_push(w, &peer);
    dtls_peer_receive(&peer);
    dtls_peer_step(&peer);
    w->no_handshake = true;
    dtls_peer_push(w, &peer);
    assert_int_equal(dtls_closed(w, REASON_HANDSHAKE_BUDGET), 1);
    assert_int_equal(dtls_peer_receive(&peer), 0);
    assert_int_equal(dtls_sessions_count(w->sessions), 0);
}

static void test_dtls_flows_forbidden_source_is_never_answered(void **state)
{
    dtls_peer_step(&peer);
    dtls_peer_push(w, &peer);
    dtls_peer_receive(&peer);
    dtls_peer_step(&peer); /* even with a good cookie */
    w->source = REASON_SOURCE_IS_OURS;
    dtls_peer_push(w, &peer);
    spoof_hello(&peer);
    assert_int_equal(dtls_dropped(w, REASON_SOURCE_IS_OURS), 2);
    assert_int_equal(dtls_peer_receive(&peer), 0);
    assert_int_equal(dtls_sessions_count(w->sessions), 0);
}

static void test_dtls_flows_session_beyond_the_cap_is_refused(void **state)
{
    struct dtls_peer more[2];
    w->snapshot.dtls.max_sessions = 2;
    establish();
    for (unsigned i = 0; i < 2; i++) {
        dtls_peer_init(w, &more[i], "127.0.0.1");
        assert_int_equal(dtls_peer_settle(w, &more[i]), i == 0);
    }
    assert_int_equal(dtls_closed(w, REASON_CONNECTION_CAP), 1);
    assert_int_equal(dtls_sessions_count(w->sessions), 2);
    assert_int_equal(dtls_metric(w, METRIC_CONNECTIONS_DTLS), 3);
    dtls_peer_deinit(&more[0]);
    dtls_peer_deinit(&more[1]);
    assert_alive("alive");
}

/* Above half of the cap a prefix has so many half-open ones; its neighbours do not notice. */
static void test_dtls_flows_half_open_sessions_of_a_prefix_are_few(void **state)
{
    struct dtls_peer silent[9], other;
    w->snapshot.dtls.half_open_per_prefix = 3;
    for (unsigned i = 0; i < 9; i++) {
        dtls_peer_init(w, &silent[i], "127.0.7.7");
        dtls_peer_settle(w, &silent[i]);
    }
    assert_int_equal(dtls_sessions_count(w->sessions), 8);
    assert_int_equal(dtls_closed(w, REASON_HALF_OPEN_CAP), 1);
    dtls_peer_init(w, &other, "127.0.8.8");
    assert_true(dtls_peer_settle(w, &other));
    dtls_peer_deinit(&other);
    for (unsigned i = 0; i < 9; i++) {
        dtls_peer_deinit(&silent[i]);
    }
}

static void test_dtls_flows_sessions_are_half_open_until_they_have_an_allocation(void **state)
{
    struct dtls_peer spoken[8], late[2];
    w->snapshot.dtls.half_open_per_prefix = 4;
    for (unsigned i = 0; i < 8; i++) {
        dtls_peer_init(w, &spoken[i], i < 4 ? "127.0.7.7" : i < 6 ? "127.0.5.5" : "127.0.6.6");
        assert_true(dtls_peer_settle(w, &spoken[i]));
        dtls_peer_say(w, &spoken[i], "hello");
    }
    dtls_peer_init(w, &late[0], "127.0.7.7");
    assert_false(dtls_peer_settle(w, &late[0]));
    assert_int_equal(dtls_closed(w, REASON_HALF_OPEN_CAP), 1);
    w->in_use = true;
    dtls_peer_say(w, &spoken[0], "proven");
    dtls_peer_init(w, &late[1], "127.0.7.7");
    assert_true(dtls_peer_settle(w, &late[1]));
    w->in_use = false;
    for (unsigned i = 0; i < 8; i++) {
        dtls_peer_deinit(&spoken[i]);
    }
    dtls_peer_deinit(&late[0]);
    dtls_peer_deinit(&late[1]);
}

static void test_dtls_flows_dtls_listener_takes_nothing_else(void **state)
{
    const uint8_t data[20] = {23, 0xfe, 0xfd};
    uint8_t hello[80] = {22, 0xfe, 0xfd, [12] = 67, [13] = 1, [16] = 99};
    w->listener.dtls_only = true;
    dtls_peer_send(w, &peer, slice_of(stun, sizeof(stun)));
    dtls_peer_send(w, &peer, slice_of(stun, 0));
    assert_int_equal(dtls_dropped(w, REASON_NOT_DTLS), 2);
    dtls_peer_send(w, &peer, slice_of(data, sizeof(data)));
    dtls_peer_send(w, &peer, slice_of(hello, 20));
    assert_int_equal(dtls_dropped(w, REASON_DTLS_NO_SESSION), 2);
    dtls_peer_send(w, &peer, slice_of(hello, sizeof(hello)));
    assert_int_equal(dtls_dropped(w, REASON_DTLS_HELLO_MALFORMED), 1);
    assert_int_equal(dtls_peer_receive(&peer), 0);
    assert_int_equal(w->count, 0);
    establish();
}

/* A client that holds back its last flight, and sends what makes OpenSSL keep buffers. */
static void test_dtls_flows_handshake_has_so_many_datagrams(void **state)
{
    uint8_t early[60] = {22, 0xfe, 0xfd, 0, 1, [12] = 47};
    restart_half();
    for (unsigned i = 0; i < 100; i++) {
        early[10] = (uint8_t)i;
        dtls_peer_send(w, &peer, slice_of(early, sizeof(early)));
    }
    assert_int_equal(dtls_dropped(w, REASON_DTLS_RECORD_BAD), 68);
    assert_int_equal(dtls_sessions_count(w->sessions), 1);
    dtls_later(w, 5200);
    assert_int_equal(dtls_sessions_count(w->sessions), 0);
}

static int begin_wildcard(void **state)
{
    w = dtls_world_new("0.0.0.0", 16);
    dtls_peer_init(w, &peer, "127.0.0.1");
    return 0;
}

/* A connected socket takes nothing from elsewhere: so answers leave from where they were asked. */
static void test_dtls_flows_wildcard_listener_answers_from_the_address_it_was_asked_at(void **state)
{
    struct dtls_peer other;
    dtls_peer_init(w, &other, "127.0.0.1");
    struct sockaddr_storage sa;
    const struct addr to = addr_ipv4(127, 0, 0, 9, w->endpoint->addr.port);
    const socklen_t len = addr_to_sockaddr(&to, &sa);
    assert_int_equal(connect(other.fd, (struct sockaddr *)&sa, len), 0);
    establish();
    assert_true(dtls_peer_settle(w, &other));
    dtls_peer_say(w, &other, "other");
    assert_true(dtls_heard_last(w, &other, "other"));
    assert_true(addr_equal(&w->seen[1].flow.local, &to));
    dtls_answer(w, &w->seen[1].flow, slice_of_string("there"), false);
    assert_string_equal(dtls_peer_hear(&other), "there");
    dtls_peer_deinit(&other);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_dtls_flows_plain_text_beside_a_session_is_relayed),
        CASE(test_dtls_flows_plain_text_on_a_session_is_dropped),
        CASE(test_dtls_flows_spoofed_hello_ends_nothing),
        CASE(test_dtls_flows_hello_with_a_good_cookie_ends_nothing_by_itself),
        CASE(test_dtls_flows_restarted_client_takes_its_place_when_it_is_complete),
        CASE(test_dtls_flows_client_restarted_often_has_two_sessions_at_most),
        CASE(test_dtls_flows_unfinished_handshake_gives_way),
        CASE(test_dtls_flows_pending_session_outlives_the_one_before),
        CASE(test_dtls_flows_repeated_hello_begins_nothing),
        CASE(test_dtls_flows_repeated_hello_of_a_pending_session_begins_nothing),
        CASE(test_dtls_flows_nobody_is_answered_beyond_the_budget),
        CASE(test_dtls_flows_cookie_buys_no_handshakes_beyond_their_budget),
        CASE(test_dtls_flows_forbidden_source_is_never_answered),
        CASE(test_dtls_flows_session_beyond_the_cap_is_refused),
        CASE(test_dtls_flows_half_open_sessions_of_a_prefix_are_few),
        CASE(test_dtls_flows_sessions_are_half_open_until_they_have_an_allocation),
        CASE(test_dtls_flows_dtls_listener_takes_nothing_else),
        CASE(test_dtls_flows_handshake_has_so_many_datagrams),
        cmocka_unit_test_setup_teardown(
            test_dtls_flows_wildcard_listener_answers_from_the_address_it_was_asked_at,
            begin_wildcard, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
