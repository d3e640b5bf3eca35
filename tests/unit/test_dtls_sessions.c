/* DTLS sessions from their first datagram to their last: messages both ways, deadlines, ends. */
#include "tests/unit/dtls_clients.h"

static void test_dtls_sessions_message_comes_as_a_packet_of_its_session(void **state)
{
    assert_true(dtls_peer_settle(w, &peer));
    assert_int_equal(w->count, 0);
    assert_int_equal(dtls_metric(w, METRIC_DTLS_COOKIES), 1);
    assert_int_equal(dtls_metric(w, METRIC_CONNECTIONS_DTLS), 1);
    assert_int_equal(w->counters.gauge[GAUGE_CONNECTIONS_DTLS], 1);
    assert_int_equal(w->counters.gauge[GAUGE_CONNECTIONS_HALF_OPEN], 1);
    const uint64_t before = dtls_metric(w, METRIC_RECEIVED_CLIENT);
    assert_int_equal(dtls_metric(w, METRIC_CONSUMED), before);
    dtls_peer_say(w, &peer, "hello");
    assert_true(dtls_heard_last(w, &peer, "hello"));
    assert_int_equal(w->seen[0].bytes.len, 5);
    assert_int_equal(w->seen[0].realm, 5);
    assert_int_equal(w->seen[0].realms, 0x22);
    assert_true(addr_equal(&w->seen[0].flow.local, &w->endpoint->addr));
    assert_int_equal(handle_worker(w->seen[0].flow.connection), 2);
    assert_int_equal(dtls_metric(w, METRIC_RECEIVED_CLIENT), before + 1);
    assert_int_equal(w->counters.gauge[GAUGE_CONNECTIONS_HALF_OPEN], 0);
}

static void test_dtls_sessions_answers_are_heard_as_one_message_each(void **state)
{
    establish();
    const struct flow flow = w->seen[0].flow;
    for (unsigned i = 0; i < 2; i++) {
        struct outbox_entry *e = outbox_append(w->outbox);
        e->target = OUTBOX_TO_CLIENT;
        e->media = true;
        e->flow = flow;
        e->header_len = 4;
        memcpy(e->header, "head", 4);
        e->body = slice_of_string(i ? "second" : "first");
    }
    dtls_answer(w, &flow, slice_of_string("reply"), false);
    assert_string_equal(dtls_peer_hear(&peer), "headfirst");
    assert_string_equal(dtls_peer_hear(&peer), "headsecond");
    assert_string_equal(dtls_peer_hear(&peer), "reply");
    assert_int_equal(dtls_metric(w, METRIC_RELAYED_TO_CLIENT), 2);
    assert_int_equal(dtls_metric(w, METRIC_REPLIES_SENT), 1);
    /* The test's relay/ had nothing to relay for them. */
    counters_add(&w->counters, METRIC_RECEIVED_PEER, 2);
}

static void test_dtls_sessions_message_without_room_or_session_is_dropped(void **state)
{
    static uint8_t big[16385];
    establish();
    struct flow flow = w->seen[0].flow;
    dtls_answer(w, &flow, slice_of(big, sizeof(big)), true);
    assert_int_equal(dtls_dropped(w, REASON_DATAGRAM_TOO_BIG), 1);
    dtls_answer(w, &flow, slice_of(big, sizeof(big) - 1), true);
    assert_int_equal(dtls_metric(w, METRIC_RELAYED_TO_CLIENT), 1);
    flow.connection += 1ull << 32;
    dtls_answer(w, &flow, slice_of_string("nobody"), true);
    dtls_answer(w, &flow, slice_of_string("nobody"), false);
    assert_int_equal(dtls_dropped(w, REASON_CONNECTION_GONE), 1);
    assert_int_equal(dtls_metric(w, METRIC_REPLIES_FAILED), 1);
    counters_add(&w->counters, METRIC_RECEIVED_PEER, 3);
}

/* Records of several datagrams in one: what a client may do. */
static void test_dtls_sessions_each_message_of_a_datagram_counts(void **state)
{
    uint8_t joined[1000];
    size_t len = 0;
    establish();
    const uint64_t before = dtls_metric(w, METRIC_RECEIVED_CLIENT);
    dtls_peer_write(&peer, "one", 3);
    dtls_peer_write(&peer, "two", 3);
    dtls_peer_write(&peer, "three", 5);
    while (peer.t.to_server.count > 0) {
        struct test_datagram d = test_queue_take(&peer.t.to_server, 0);
        memcpy(joined + len, d.data, d.len);
        len += d.len;
        free(d.data);
    }
    dtls_peer_send(w, &peer, slice_of(joined, len));
    assert_int_equal(w->count, 4);
    assert_string_equal(w->first[1], "one");
    assert_string_equal(w->first[2], "two");
    assert_true(dtls_heard_last(w, &peer, "three"));
    assert_int_equal(dtls_metric(w, METRIC_RECEIVED_CLIENT), before + 3);
}

/* More in one batch than what may be borrowed at once: nothing is written over. */
static void test_dtls_sessions_messages_stay_until_they_are_sent(void **state)
{
    static char text[16000];
    establish();
    w->echo = true;
    for (unsigned i = 0; i < 12; i++) {
        memset(text, 'A' + (int)i, sizeof(text));
        dtls_peer_write(&peer, text, sizeof(text));
        struct test_datagram d = test_queue_take(&peer.t.to_server, 0);
        assert_int_equal(send(peer.fd, d.data, d.len, 0), d.len);
        free(d.data);
    }
    dtls_turn(w);
    assert_int_equal(w->count, 13);
    assert_int_equal(w->sent_count, 12);
    assert_memory_equal(w->sent, "ABCDEFGHIJKL", 12);
    memset(text, 'A', sizeof(text));
    assert_memory_equal(dtls_peer_hear(&peer), text, sizeof(text));
}

static void test_dtls_sessions_record_that_is_repeated_or_changed_is_dropped(void **state)
{
    establish();
    dtls_peer_write(&peer, "once", 4);
    struct test_datagram d = test_queue_take(&peer.t.to_server, 0);
    d.data[d.len - 1] ^= 1;
    dtls_peer_send(w, &peer, slice_of(d.data, d.len));
    assert_int_equal(dtls_dropped(w, REASON_DTLS_RECORD_BAD), 1);
    d.data[d.len - 1] ^= 1;
    dtls_peer_send(w, &peer, slice_of(d.data, d.len));
    assert_true(dtls_heard_last(w, &peer, "once"));
    dtls_peer_send(w, &peer, slice_of(d.data, d.len));
    dtls_peer_send(w, &peer, slice_of(d.data, 12));
    dtls_peer_send(w, &peer, slice_of(d.data, 13));
    assert_int_equal(dtls_dropped(w, REASON_DTLS_RECORD_BAD), 4);
    assert_int_equal(w->count, 2);
    free(d.data);
    dtls_peer_say(w, &peer, "alive");
    assert_true(dtls_heard_last(w, &peer, "alive"));
}

/* In nobody's epoch, of every type, of any length: nothing changes. */
static void test_dtls_sessions_forged_records_end_nothing(void **state)
{
    uint8_t forged[200] = {0, 0xfe, 0xfd};
    establish();
    for (unsigned type = 20; type < 64; type++) {
        for (unsigned epoch = 0; epoch < 3; epoch++) {
            forged[0] = (uint8_t)type;
            forged[4] = (uint8_t)epoch;
            forged[12] = sizeof(forged) - 13;
            forged[13] = type == 21 ? 2 : 20;
            dtls_peer_send(w, &peer, slice_of(forged, sizeof(forged)));
            dtls_peer_send(w, &peer, slice_of(forged, 15));
        }
    }
    assert_int_equal(dtls_sessions_count(w->sessions), 1);
    dtls_peer_say(w, &peer, "alive");
    assert_true(dtls_heard_last(w, &peer, "alive"));
    assert_true(dtls_dropped(w, REASON_DTLS_RECORD_BAD) > 200);
}

static void test_dtls_sessions_close_notify_ends_the_session_and_what_it_had(void **state)
{
    establish();
    SSL_shutdown(peer.t.client);
    dtls_peer_push(w, &peer);
    assert_int_equal(dtls_sessions_count(w->sessions), 0);
    assert_int_equal(dtls_closed(w, REASON_CLOSED_BY_CLIENT), 1);
    assert_int_equal(w->closed_count, 1);
    assert_memory_equal(&w->closed[0], &w->seen[0].flow, sizeof(struct flow));
    assert_true(dtls_peer_receive(&peer) > 0); /* its own close_notify */
    dtls_peer_restart(w, &peer);
    establish();
    assert_int_not_equal(w->seen[1].flow.connection, w->seen[0].flow.connection);
}

/* RFC 7350 section 3: "The same rules established in Section 7.2.2 of [RFC5389] for keeping open
 * and closing TCP/TLS connections MUST be used as well": what was asked before the end is answered.
 */
static void test_dtls_sessions_request_before_close_notify_is_answered(void **state)
{
    establish();
    w->echo = true;
    dtls_peer_write(&peer, "last", 4);
    SSL_shutdown(peer.t.client);
    while (peer.t.to_server.count > 0) {
        struct test_datagram d = test_queue_take(&peer.t.to_server, 0);
        assert_int_equal(send(peer.fd, d.data, d.len, 0), d.len);
        free(d.data);
    }
    dtls_turn(w); /* both in one batch */
    assert_true(dtls_heard_last(w, &peer, "last"));
    assert_string_equal(dtls_peer_hear(&peer), "last");
    assert_int_equal(dtls_closed(w, REASON_CLOSED_BY_CLIENT), 1);
}

static void test_dtls_sessions_of_silence_is_not_told(void **state)
{
    assert_true(dtls_peer_settle(w, &peer));
    SSL_shutdown(peer.t.client);
    dtls_peer_push(w, &peer);
    assert_int_equal(dtls_closed(w, REASON_CLOSED_BY_CLIENT), 1);
    assert_int_equal(w->closed_count, 0);
}

/* The hello with its cookie has been sent, and the client says no more. */
static void half_open(void)
{
    dtls_peer_step(&peer);
    dtls_peer_push(w, &peer);
    dtls_peer_receive(&peer);
    dtls_peer_step(&peer);
    dtls_peer_push(w, &peer);
    assert_int_equal(dtls_sessions_count(w->sessions), 1);
    dtls_peer_receive(&peer);
}

static void test_dtls_sessions_handshake_has_five_seconds(void **state)
{
    half_open();
    dtls_later(w, 4800);
    assert_int_equal(dtls_sessions_count(w->sessions), 1);
    dtls_later(w, 400);
    assert_int_equal(dtls_sessions_count(w->sessions), 0);
    assert_int_equal(dtls_closed(w, REASON_HANDSHAKE_TIMEOUT), 1);
    assert_int_equal(w->closed_count, 0);
}

static void test_dtls_sessions_flight_is_sent_again_until_it_arrives(void **state)
{
    half_open();
    test_queue_clear(&peer.t.to_client);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(dtls_peer_receive(&peer), 0);
        test_clock_advance(i ? 3 : 2);
        dtls_later(w, 1200);
        dtls_later(w, 1000);
        assert_true(peer.t.to_client.count > 0 || dtls_peer_receive(&peer) > 0);
        if (i == 0) {
            test_queue_clear(&peer.t.to_client);
        }
    }
    assert_true(dtls_peer_settle(w, &peer));
    establish();
}

static void test_dtls_sessions_idle_ends_after_five_minutes(void **state)
{
    establish();
    dtls_later(w, 299000);
    assert_int_equal(dtls_sessions_count(w->sessions), 1);
    dtls_later(w, 2000);
    assert_int_equal(dtls_sessions_count(w->sessions), 0);
    assert_int_equal(dtls_closed(w, REASON_CONNECTION_IDLE), 1);
    assert_int_equal(w->closed_count, 1);
    assert_true(dtls_peer_receive(&peer) > 0);
}

static void test_dtls_sessions_with_an_allocation_is_never_idle(void **state)
{
    establish();
    w->in_use = true;
    for (unsigned i = 0; i < 10; i++) {
        dtls_later(w, 301000);
    }
    assert_int_equal(dtls_sessions_count(w->sessions), 1);
    w->in_use = false;
    dtls_later(w, 301000);
    assert_int_equal(dtls_closed(w, REASON_CONNECTION_IDLE), 1);
}

static void test_dtls_sessions_stop_says_goodbye(void **state)
{
    establish();
    dtls_sessions_end_all(w->sessions);
    assert_int_equal(dtls_closed(w, REASON_CONNECTION_STOPPING), 1);
    assert_int_equal(w->closed_count, 1);
    assert_int_equal(dtls_peer_receive(&peer), 1);
    dtls_peer_hear(&peer);
    assert_int_equal(SSL_get_shutdown(peer.t.client), SSL_RECEIVED_SHUTDOWN);
}

static void test_dtls_sessions_reload_keeps_sessions_with_their_certificate(void **state)
{
    struct dtls_peer other;
    establish();
    struct tls_context *before = w->snapshot.tls;
    w->snapshot.tls = test_server_context(&w->server, "another secret of 32 bytes .....");
    tls_context_release(before);
    dtls_peer_say(w, &peer, "still");
    assert_true(dtls_heard_last(w, &peer, "still"));
    dtls_peer_init(w, &other, "127.0.0.1");
    assert_true(dtls_peer_settle(w, &other));
    dtls_peer_deinit(&other);
}

static void test_dtls_sessions_without_a_certificate_end_nothing_and_begin_nothing(void **state)
{
    struct dtls_peer other;
    establish();
    tls_context_release(w->snapshot.tls);
    w->snapshot.tls = NULL;
    dtls_peer_say(w, &peer, "still");
    assert_true(dtls_heard_last(w, &peer, "still"));
    dtls_peer_init(w, &other, "127.0.0.1");
    dtls_peer_step(&other);
    dtls_peer_push(w, &other); /* relay/ is handed it, and drops what is no STUN */
    assert_int_equal(w->seen[w->count - 1].flow.transport, TRANSPORT_UDP);
    assert_int_equal(w->first[w->count - 1][0], 22);
    assert_int_equal(dtls_peer_receive(&other), 0);
    dtls_peer_deinit(&other);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_dtls_sessions_message_comes_as_a_packet_of_its_session),
        CASE(test_dtls_sessions_answers_are_heard_as_one_message_each),
        CASE(test_dtls_sessions_message_without_room_or_session_is_dropped),
        CASE(test_dtls_sessions_each_message_of_a_datagram_counts),
        CASE(test_dtls_sessions_messages_stay_until_they_are_sent),
        CASE(test_dtls_sessions_record_that_is_repeated_or_changed_is_dropped),
        CASE(test_dtls_sessions_forged_records_end_nothing),
        CASE(test_dtls_sessions_close_notify_ends_the_session_and_what_it_had),
        CASE(test_dtls_sessions_request_before_close_notify_is_answered),
        CASE(test_dtls_sessions_of_silence_is_not_told),
        CASE(test_dtls_sessions_handshake_has_five_seconds),
        CASE(test_dtls_sessions_flight_is_sent_again_until_it_arrives),
        CASE(test_dtls_sessions_idle_ends_after_five_minutes),
        CASE(test_dtls_sessions_with_an_allocation_is_never_idle),
        CASE(test_dtls_sessions_stop_says_goodbye),
        CASE(test_dtls_sessions_reload_keeps_sessions_with_their_certificate),
        CASE(test_dtls_sessions_without_a_certificate_end_nothing_and_begin_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
