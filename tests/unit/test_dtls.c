/* DTLS against OpenSSL's client: cookies, loss, forgery, message boundaries. THREATS rows 4, 6. */
#include "tls/dtls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "tests/tls/dtls_server.h"

static struct test_dtls t;

static int begin(void **state)
{
    test_dtls_init(&t, client_ctx, context);
    return 0;
}

static int end(void **state)
{
    test_dtls_deinit(&t);
    return 0;
}

/* What the client sends next, for the test to change; the caller frees it. */
static struct test_datagram next_from_client(void)
{
    SSL_do_handshake(t.client);
    return test_queue_take(&t.to_server, 0);
}

static void deliver(struct test_datagram d)
{
    test_dtls_deliver(&t, slice_of(d.data, d.len));
}

static void establish(void)
{
    assert_true(test_dtls_handshake(&t));
    assert_int_equal(t.outcome, TLS_MORE);
}

/* The session is as it was: it still hears the client and is heard. */
static void assert_alive(void)
{
    uint8_t heard[16];
    assert_int_equal(t.outcome, TLS_MORE);
    assert_int_equal(dtls_session_failure(t.session), REASON_NONE);
    assert_true(test_dtls_say(&t, slice_of_string("alive")));
    assert_int_equal(dtls_session_write(t.session, slice_of_string("yes")), 0);
    assert_int_equal(test_dtls_hear(&t, heard, sizeof(heard)), 3);
}

static void test_dtls_first_hello_is_answered_with_less(void **state)
{
    struct test_datagram hello = next_from_client();
    deliver(hello);
    assert_int_equal(t.hello, DTLS_HELLO_ANSWERED);
    assert_null(t.session);
    assert_int_equal(t.to_client.pushed, 1);
    assert_true(t.answered_len <= 48 && t.answered_len <= hello.len);
    free(hello.data);
}

static void test_dtls_handshake_with_a_cookie_carries_messages(void **state)
{
    establish();
    assert_true(dtls_session_established(t.session));
    assert_alive();
    assert_int_equal(dtls_session_tick(t.session), UINT64_MAX);
}

/* The hello with a cookie, after the answer to the one without. */
static struct test_datagram hello_with_cookie(void)
{
    struct test_datagram hello = next_from_client();
    deliver(hello);
    free(hello.data);
    assert_int_equal(t.hello, DTLS_HELLO_ANSWERED);
    return next_from_client();
}

static void test_dtls_cookie_of_elsewhere_proves_nothing(void **state)
{
    struct test_datagram hello = hello_with_cookie();
    const struct addr client = t.client_addr, local = t.local_addr;
    struct tls_context *foreign = test_server_context(&server, "another secret of 32 bytes .....");
    for (unsigned i = 0; i < 7; i++) {
        t.client_addr = client;
        t.local_addr = local;
        t.now_s = 1700000000;
        t.context = context;
        switch (i) {
        case 0:
            t.client_addr.port++;
            break;
        case 1:
            t.client_addr.ip[3]++;
            break;
        case 2:
            t.local_addr.port++;
            break;
        case 3:
            t.local_addr.ip[3]++;
            break;
        case 4:
            t.now_s += 121;
            break;
        case 5:
            t.now_s -= 121;
            break;
        default:
            t.context = foreign;
        }
        deliver(hello);
        assert_int_equal(t.hello, DTLS_HELLO_ANSWERED);
        assert_null(t.session);
    }
    t.context = context;
    t.now_s = 1700000000 + 60;
    deliver(hello);
    assert_int_equal(t.hello, DTLS_HELLO_ACCEPTED);
    free(hello.data);
    tls_context_release(foreign);
}

static void test_dtls_cookie_with_any_bit_changed_proves_nothing(void **state)
{
    struct test_datagram hello = hello_with_cookie();
    const size_t cookie = 13 + 12 + 2 + 32 + 1 + 1; /* no session id in a first handshake */
    assert_int_equal(hello.data[cookie - 1], 17);
    for (size_t bit = 0; bit < 17 * 8; bit++) {
        hello.data[cookie + bit / 8] ^= (uint8_t)(1 << bit % 8);
        deliver(hello);
        assert_int_equal(t.hello, DTLS_HELLO_ANSWERED);
        hello.data[cookie + bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    deliver(hello);
    assert_int_equal(t.hello, DTLS_HELLO_ACCEPTED);
    free(hello.data);
}

static void test_dtls_malformed_hello_is_dropped_in_silence(void **state)
{
    static const struct {
        size_t at;
        uint8_t value;
    } row[] = {{0, 21}, {0, 23}, {1, 3}, {4, 1}, {13, 2}, {13, 14}, {16, 0}, {21, 1}, {24, 1},
        {25, 3}, {59, 33}, {59, 255}};
    struct test_datagram hello = next_from_client();
    const size_t pushed = t.to_client.pushed;
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        const uint8_t was = hello.data[row[i].at];
        hello.data[row[i].at] = row[i].value;
        deliver(hello);
        assert_int_equal(t.hello, DTLS_HELLO_DROPPED);
        hello.data[row[i].at] = was;
    }
    for (size_t len = 0; len < hello.len; len++) {
        uint8_t *exact = malloc(len ? len : 1);
        memcpy(exact, hello.data, len);
        test_dtls_deliver(&t, slice_of(exact, len));
        assert_int_equal(t.hello, DTLS_HELLO_DROPPED);
        free(exact);
    }
    assert_int_equal(t.to_client.pushed, pushed);
    deliver(hello);
    assert_int_equal(t.hello, DTLS_HELLO_ANSWERED);
    free(hello.data);
}

/* One record and one message of that length, as a hello but for its size. */
static void deliver_hello_of(size_t len)
{
    uint8_t *hello = calloc(1, len);
    const size_t record = len - 13, body = len - 25;
    static const uint8_t head[] = {22, 0xfe, 0xff};
    memcpy(hello, head, sizeof(head));
    hello[11] = (uint8_t)(record >> 8);
    hello[12] = (uint8_t)record;
    hello[13] = 1;
    hello[15] = hello[23] = (uint8_t)(body >> 8);
    hello[16] = hello[24] = (uint8_t)body;
    hello[25] = 0xfe;
    hello[26] = 0xfd;
    test_dtls_deliver(&t, slice_of(hello, len));
    free(hello);
}

static void test_dtls_hello_of_impossible_length_is_dropped(void **state)
{
    deliver_hello_of(25 + 40);
    assert_int_equal(t.hello, DTLS_HELLO_DROPPED);
    deliver_hello_of(25 + 41);
    assert_int_equal(t.hello, DTLS_HELLO_ANSWERED);
    assert_true(t.answered_len <= 25 + 41);
    deliver_hello_of(2048);
    assert_int_equal(t.hello, DTLS_HELLO_ANSWERED);
    deliver_hello_of(2049);
    assert_int_equal(t.hello, DTLS_HELLO_DROPPED);
}

static void test_dtls_handshake_survives_the_loss_of_any_datagram(void **state)
{
    for (size_t lost = 0; lost < 12; lost++) {
        struct test_dtls *l = &t;
        test_dtls_deinit(l);
        begin(NULL);
        size_t seen = 0;
        for (unsigned turn = 0; turn < 40; turn++) {
            SSL_do_handshake(t.client);
            struct test_queue *q = t.to_server.count ? &t.to_server : &t.to_client;
            if (q->count == 0)
                break;
            if (seen++ == lost) {
                free(test_queue_take(q, 0).data);
                break;
            }
            if (q == &t.to_server) {
                struct test_datagram d = test_queue_take(q, 0);
                deliver(d);
                free(d.data);
            }
        }
        establish();
        assert_alive();
    }
}

/* Lets the first flights through, then changes the order of each flight there is. */
static void handshake_with(void (*change)(struct test_queue *q))
{
    for (unsigned turn = 0; turn < 12; turn++) {
        SSL_do_handshake(t.client);
        change(&t.to_server);
        while (t.to_server.count > 0) {
            struct test_datagram d = test_queue_take(&t.to_server, 0);
            deliver(d);
            free(d.data);
        }
        change(&t.to_client);
    }
    establish();
    assert_alive();
}

static void repeat(struct test_queue *q)
{
    const size_t count = q->count;
    for (size_t i = 0; i < count; i++)
        test_queue_push(q, slice_of(q->entry[i].data, q->entry[i].len));
}

static void turn_round(struct test_queue *q)
{
    for (size_t i = 0; i < q->count / 2; i++) {
        const struct test_datagram d = q->entry[i];
        q->entry[i] = q->entry[q->count - 1 - i];
        q->entry[q->count - 1 - i] = d;
    }
}

static void test_dtls_handshake_survives_repeated_datagrams(void **state)
{
    handshake_with(repeat);
}

static void test_dtls_handshake_survives_turned_flights(void **state)
{
    handshake_with(turn_round);
}

static void test_dtls_flight_fits_its_path_and_is_sent_again_by_the_tick(void **state)
{
    struct test_datagram hello = hello_with_cookie();
    deliver(hello);
    free(hello.data);
    assert_int_equal(t.hello, DTLS_HELLO_ACCEPTED);
    const size_t count = t.to_client.count;
    assert_true(count > 0);
    const uint64_t due = dtls_session_tick(t.session);
    assert_true(due > 900000 && due <= 1000000);
    assert_int_equal(t.to_client.count, count);
    test_clock_advance(1);
    assert_true(dtls_session_tick(t.session) > 1900000);
    assert_true(t.to_client.count > count); /* OpenSSL packs a flight once only */
    for (size_t i = 0; i < t.to_client.count; i++)
        assert_true(t.to_client.entry[i].len <= 1200);
    unsigned ticks = 0;
    for (; ticks < 100 && dtls_session_tick(t.session) != UINT64_MAX; ticks++)
        test_clock_advance(61);
    assert_true(ticks < 20); /* not for ever */
    assert_int_equal(dtls_session_failure(t.session), REASON_TLS_HANDSHAKE_FAILED);
}

static void test_dtls_forged_records_change_nothing_in_a_session(void **state)
{
    struct test_datagram hello = hello_with_cookie();
    deliver(hello);
    establish();
    const uint64_t pushed = t.to_client.pushed;
    static const uint8_t alert[] = {21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 99, 0, 2, 2, 40};
    static const uint8_t close_notify[] = {21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 98, 0, 2, 1, 0};
    static const uint8_t change_cipher[] = {20, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 97, 0, 1, 1};
    static const uint8_t data_in_clear[] = {23, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 96, 0, 2, 1, 0};
    static const uint8_t nothing[1];
    const struct slice forged[] = {slice_of(hello.data, hello.len), slice_of(alert, sizeof(alert)),
        slice_of(close_notify, sizeof(close_notify)),
        slice_of(change_cipher, sizeof(change_cipher)),
        slice_of(data_in_clear, sizeof(data_in_clear)), slice_of(nothing, 0), slice_of(nothing, 1)};
    for (size_t i = 0; i < sizeof(forged) / sizeof(forged[0]); i++) {
        for (unsigned again = 0; again < 20; again++)
            test_dtls_deliver(&t, forged[i]);
        assert_alive();
    }
    assert_int_equal(t.to_client.pushed, pushed + sizeof(forged) / sizeof(forged[0]));
    free(hello.data);
}

/* Every type in the epoch that is in force, the next one and a far one, without a tag that fits. */
static void test_dtls_records_without_their_tag_change_nothing(void **state)
{
    establish();
    for (unsigned type = 0; type < 256; type++) {
        for (uint8_t epoch = 1; epoch < 4; epoch++) {
            uint8_t record[13 + 40] = {
                (uint8_t)type, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, (uint8_t)type, epoch, 0, 40};
            test_dtls_deliver(&t, slice_of(record, sizeof(record)));
            assert_int_equal(t.outcome, TLS_MORE);
        }
    }
    assert_alive();
}

static void test_dtls_record_with_any_byte_changed_is_dropped(void **state)
{
    establish();
    SSL_write(t.client, "genuine", 7);
    struct test_datagram d = test_queue_take(&t.to_server, 0);
    const unsigned before = t.messages;
    for (size_t i = 0; i < d.len; i++) {
        d.data[i] ^= 0x40;
        deliver(d);
        assert_int_equal(t.outcome, TLS_MORE);
        d.data[i] ^= 0x40;
    }
    assert_int_equal(t.messages, before);
    deliver(d);
    assert_int_equal(t.messages, before + 1);
    deliver(d); /* and once more: a replay */
    assert_int_equal(t.messages, before + 1);
    assert_alive();
    free(d.data);
}

static void test_dtls_messages_keep_their_bounds(void **state)
{
    static const size_t size[] = {1, 1200, 16384};
    static uint8_t said[16385], heard[16385];
    establish();
    for (size_t i = 0; i < sizeof(size) / sizeof(size[0]); i++) {
        memset(said, (int)('a' + i), size[i]);
        assert_true(test_dtls_say(&t, slice_of(said, size[i])));
        const size_t pushed = t.to_client.pushed;
        assert_int_equal(dtls_session_write(t.session, slice_of(said, size[i])), 0);
        assert_int_equal(t.to_client.pushed, pushed + 1);
        assert_int_equal(test_dtls_hear(&t, heard, sizeof(heard)), size[i]);
        assert_memory_equal(said, heard, size[i]);
    }
    assert_int_equal(dtls_session_write(t.session, slice_of(said, 16385)), -EMSGSIZE);
    assert_alive();
}

static void test_dtls_datagram_with_several_records_is_read_to_its_end(void **state)
{
    establish();
    uint8_t joined[200];
    size_t len = 0;
    for (unsigned i = 0; i < 3; i++) {
        SSL_write(t.client, "abc", 3);
        struct test_datagram d = test_queue_take(&t.to_server, 0);
        memcpy(joined + len, d.data, d.len);
        len += d.len;
        free(d.data);
    }
    const unsigned before = t.messages;
    test_dtls_deliver(&t, slice_of(joined, len));
    assert_int_equal(t.messages, before + 3);
    assert_alive();
}

static void test_dtls_close_notify_goes_both_ways(void **state)
{
    establish();
    SSL_shutdown(t.client);
    struct test_datagram d = test_queue_take(&t.to_server, 0);
    deliver(d);
    free(d.data);
    assert_int_equal(t.outcome, TLS_CLOSED);
    assert_int_equal(dtls_session_failure(t.session), REASON_NONE);
    dtls_session_close(t.session);
    assert_int_equal(SSL_shutdown(t.client), 1);
    assert_int_equal(dtls_session_write(t.session, slice_of_string("late")), -EPIPE);
}

static void test_dtls_renegotiation_is_refused_and_ends_nothing(void **state)
{
    establish();
    const size_t pushed = t.to_client.pushed;
    SSL_renegotiate(t.client);
    SSL_do_handshake(t.client);
    struct test_datagram d = test_queue_take(&t.to_server, 0);
    deliver(d);
    free(d.data);
    assert_int_equal(t.outcome, TLS_MORE);
    assert_true(t.to_client.pushed <= pushed + 1 && t.answered_len < 64);
    assert_int_equal(dtls_session_write(t.session, slice_of_string("still here")), 0);
}

static void test_dtls_old_version_is_refused_behind_the_cookie(void **state)
{
    SSL_CTX *old = test_dtls_client_ctx(DTLS1_VERSION);
    test_dtls_deinit(&t);
    test_dtls_init(&t, old, context);
    assert_false(test_dtls_handshake(&t));
    assert_int_equal(t.hello, DTLS_HELLO_REFUSED);
    assert_null(t.session);
    SSL_CTX_free(old);
}

static void test_dtls_names_protocols_and_sessions_are_those_of_tls(void **state)
{
    const unsigned char *chosen;
    unsigned len;
    SSL_set_tlsext_host_name(t.client, "other.example");
    SSL_set_alpn_protos(t.client, (const unsigned char *)"\x09stun.turn", 10);
    establish();
    assert_int_equal(X509_cmp(SSL_get0_peer_certificate(t.client), server.second.cert), 0);
    SSL_get0_alpn_selected(t.client, &chosen, &len);
    assert_int_equal(len, 9);
    SSL_SESSION *session = SSL_get1_session(t.client);
    SSL_shutdown(t.client);
    test_dtls_deinit(&t);
    begin(NULL);
    SSL_set_session(t.client, session);
    SSL_SESSION_free(session);
    establish();
    assert_int_equal(SSL_session_reused(t.client), 1);
    assert_alive();
}

static void test_dtls_write_before_the_handshake_is_refused(void **state)
{
    struct test_datagram hello = hello_with_cookie();
    deliver(hello);
    free(hello.data);
    assert_non_null(t.session);
    const size_t pushed = t.to_client.pushed;
    assert_false(dtls_session_established(t.session));
    assert_int_equal(dtls_session_write(t.session, slice_of_string("early")), -EPIPE);
    dtls_session_close(t.session);
    assert_int_equal(t.to_client.pushed, pushed);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

struct gate {
    bool open, proven;
    unsigned asked, sent;
};

static bool ask_gate(void *ctx, bool proven)
{
    struct gate *gate = ctx;
    gate->asked++;
    gate->proven = proven;
    return gate->open;
}

static void through_gate(void *ctx, struct slice datagram)
{
    struct gate *gate = ctx;
    gate->sent++;
}

static enum dtls_hello hello_at(struct gate *gate, struct test_datagram hello)
{
    const struct dtls_hello_from from = {.datagram = slice_of(hello.data, hello.len),
        .client = t.client_addr,
        .local = t.local_addr,
        .now_s = t.now_s,
        .send = through_gate,
        .admit = ask_gate,
        .ctx = gate};
    return dtls_listener_hello(t.listener, context, &from, &t.session);
}

static void test_dtls_who_is_not_admitted_is_sent_nothing(void **state)
{
    struct gate gate = {0};
    struct test_datagram hello = next_from_client();
    assert_int_equal(hello_at(&gate, hello), DTLS_HELLO_DECLINED);
    assert_int_equal(gate.asked, 1);
    assert_false(gate.proven);
    deliver(hello);
    free(hello.data);
    hello = next_from_client();
    assert_int_equal(hello_at(&gate, hello), DTLS_HELLO_DECLINED);
    assert_int_equal(gate.asked, 2);
    assert_true(gate.proven);
    assert_int_equal(gate.sent, 0);
    assert_null(t.session);
    gate.open = true;
    assert_int_equal(hello_at(&gate, hello), DTLS_HELLO_ACCEPTED);
    assert_true(gate.sent > 0);
    free(hello.data);
}

static void test_dtls_malformed_hello_asks_for_nothing(void **state)
{
    struct gate gate = {.open = true};
    struct test_datagram hello = next_from_client();
    hello.len--;
    assert_int_equal(hello_at(&gate, hello), DTLS_HELLO_DROPPED);
    assert_int_equal(gate.asked, 0);
    free(hello.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_dtls_first_hello_is_answered_with_less),
        CASE(test_dtls_handshake_with_a_cookie_carries_messages),
        CASE(test_dtls_cookie_of_elsewhere_proves_nothing),
        CASE(test_dtls_cookie_with_any_bit_changed_proves_nothing),
        CASE(test_dtls_malformed_hello_is_dropped_in_silence),
        CASE(test_dtls_hello_of_impossible_length_is_dropped),
        CASE(test_dtls_handshake_survives_the_loss_of_any_datagram),
        CASE(test_dtls_handshake_survives_repeated_datagrams),
        CASE(test_dtls_handshake_survives_turned_flights),
        CASE(test_dtls_flight_fits_its_path_and_is_sent_again_by_the_tick),
        CASE(test_dtls_forged_records_change_nothing_in_a_session),
        CASE(test_dtls_records_without_their_tag_change_nothing),
        CASE(test_dtls_record_with_any_byte_changed_is_dropped),
        CASE(test_dtls_messages_keep_their_bounds),
        CASE(test_dtls_datagram_with_several_records_is_read_to_its_end),
        CASE(test_dtls_close_notify_goes_both_ways),
        CASE(test_dtls_renegotiation_is_refused_and_ends_nothing),
        CASE(test_dtls_old_version_is_refused_behind_the_cookie),
        CASE(test_dtls_names_protocols_and_sessions_are_those_of_tls),
        CASE(test_dtls_write_before_the_handshake_is_refused),
        CASE(test_dtls_who_is_not_admitted_is_sent_nothing),
        CASE(test_dtls_malformed_hello_asks_for_nothing),
    };
    return cmocka_run_group_tests(tests, dtls_server_set_up, dtls_server_tear_down);
}
