/*
 * THREATS rows 4 and 6 for DTLS: ClientHellos from addresses that have proven nothing are answered
 * with less than they are, and leave nothing behind, whatever cookie they carry.
 */
#include "tls/dtls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include <malloc.h>
#include <stdlib.h>

#include "tests/tls/dtls_server.h"

#define FLOOD 50000u

/* Of a sanitizer, where one is: it does not fill in mallinfo2. */
size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static size_t in_use(void)
{
    if (__sanitizer_get_current_allocated_bytes)
        return __sanitizer_get_current_allocated_bytes();
    const struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

/* What was sent in answer to the hello in hand. */
struct answers {
    size_t count, len;
};

static void answer(void *ctx, struct slice datagram)
{
    struct answers *a = ctx;
    a->count++;
    a->len += datagram.len;
}

/* From another address each time; every answer is smaller than its question. */
static void flood(struct dtls_listener *listener, struct slice hello)
{
    for (unsigned i = 0; i < FLOOD; i++) {
        struct answers answers = {0};
        struct dtls_session *session = NULL;
        const struct dtls_hello_from from = {.datagram = hello,
            .client =
                addr_ipv4(203, 0, (uint8_t)(i >> 8), (uint8_t)i, (uint16_t)(1024 + i % 60000)),
            .local = addr_ipv4(198, 51, 100, 1, 5349),
            .now_s = 1700000000 + i / 1000,
            .send = answer,
            .ctx = &answers};
        assert_int_equal(
            dtls_listener_hello(listener, context, &from, &session), DTLS_HELLO_ANSWERED);
        assert_null(session);
        assert_int_equal(answers.count, 1);
        assert_true(answers.len < hello.len && answers.len <= 48);
    }
}

static void test_threat_06_spoofed_client_hellos_leave_nothing(void **state)
{
    struct test_dtls t;
    test_dtls_init(&t, client_ctx, context);
    SSL_do_handshake(t.client);
    struct test_datagram first = test_queue_take(&t.to_server, 0);
    test_dtls_deliver(&t, slice_of(first.data, first.len));
    SSL_do_handshake(t.client);
    struct test_datagram second = test_queue_take(&t.to_server, 0); /* somebody else's cookie */
    const size_t before = in_use();
    flood(t.listener, slice_of(first.data, first.len));
    flood(t.listener, slice_of(second.data, second.len));
    assert_true(in_use() <= before + 1024);
    free(first.data);
    free(second.data);
    test_dtls_deinit(&t);
}

/* THREATS row 20: of a handshake that an address has only begun. */
static void test_threat_20_fragments_of_long_messages_cost_no_memory(void **state)
{
    struct test_dtls t;
    test_dtls_init(&t, client_ctx, context);
    for (unsigned i = 0; i < 2; i++) {
        SSL_do_handshake(t.client);
        struct test_datagram hello = test_queue_take(&t.to_server, 0);
        test_dtls_deliver(&t, slice_of(hello.data, hello.len));
        free(hello.data);
    }
    assert_non_null(t.session);
    const size_t before = in_use();
    for (uint8_t i = 0; i < 30; i++) {
        /* Two in a record, of messages that are not the next: of the modest one and of a long one a
         * byte each. */
        uint8_t d[13 + 2 * 13] = {22, 0xfe, 0xfd, [10] = (uint8_t)(i + 2), [12] = 26};
        for (unsigned k = 0; k < 2; k++) {
            uint8_t *m = d + 13 + k * 13;
            m[0] = 11;
            m[2] = k ? 62 : 0; /* the length: 15 992 or 120 bytes */
            m[3] = 120;
            m[5] = k ? (uint8_t)(4 + i % 8) : 3;
            m[8] = k ? i : 0;
            m[11] = 1;
        }
        test_dtls_deliver(&t, slice_of(d, sizeof(d)));
        assert_int_equal(t.outcome, TLS_MORE);
    }
    assert_true(in_use() <= before + 16384);
    /* Cut off at every byte, and cut off inside: the end is found. */
    uint8_t cut[13 + 13] = {22, 0xfe, 0xfd, [10] = 40, [12] = 13, [13] = 11, [18] = 3, [24] = 1};
    for (size_t len = 0; len < sizeof(cut); len++) {
        test_dtls_deliver(&t, slice_of(cut, len));
        assert_int_equal(t.outcome, TLS_MORE);
    }
    assert_true(test_dtls_handshake(&t));
    test_dtls_deinit(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threat_06_spoofed_client_hellos_leave_nothing),
        cmocka_unit_test(test_threat_20_fragments_of_long_messages_cost_no_memory),
    };
    return cmocka_run_group_tests(tests, dtls_server_set_up, dtls_server_tear_down);
}
