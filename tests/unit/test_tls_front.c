/*
 * admin/tls_front and tls_link: bytes in any pieces, deadlines, caps, answers that are read late,
 * and that nothing is left of any of them.
 */
#include "tests/unit/admin_tls.h"

#include "admin/tls_pace.h"

#define LIVE    "GET /live HTTP/1.1\r\n\r\n"
#define METRICS "GET /metrics HTTP/1.1\r\n\r\n"
/* One network may come again after so long. */
#define PACE_US (US_PER_S / ADMIN_TLS_PACE_OF_NETWORK)

/* What a client says first, to be sent by hand. */
static size_t client_hello(uint8_t *out, size_t cap)
{
    SSL_CTX *ctx = test_client_ctx(TLS1_2_VERSION, TLS1_3_VERSION);
    SSL *ssl = SSL_new(ctx);
    BIO *in = BIO_new(BIO_s_mem()), *sent = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(in, -1);
    SSL_set_bio(ssl, in, sent);
    SSL_set_connect_state(ssl);
    SSL_do_handshake(ssl);
    int len = BIO_read(sent, out, (int)cap);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    ERR_clear_error();
    assert_true(len > 0);
    return (size_t)len;
}

static void test_tls_front_handshake_in_single_bytes_is_served(void **state)
{
    struct fixture *f = *state;
    SSL_CTX *ctx = test_client_ctx(TLS1_3_VERSION, TLS1_3_VERSION);
    struct tls_client c = dial_raw(f, 1, 0);
    SSL *ssl = SSL_new(ctx);
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    char byte, text[4096], answer[4096] = "";
    bool asked = false;
    BIO_set_mem_eof_return(in, -1);
    SSL_set_bio(ssl, in, out);
    SSL_set_connect_state(ssl);
    for (int i = 0; i < 50 && !answer[0]; i++) {
        if (SSL_do_handshake(ssl) == 1 && !asked)
            asked = SSL_write(ssl, LIVE, (int)strlen(LIVE)) > 0;
        while (BIO_read(out, &byte, 1) == 1) {
            assert_int_equal(send(c.fd, &byte, 1, MSG_NOSIGNAL), 1);
            uv_run(&f->loop, UV_RUN_NOWAIT);
        }
        run(f);
        ssize_t n = read(c.fd, text, sizeof(text));
        if (n > 0)
            BIO_write(in, text, (int)n);
        if (asked)
            SSL_read(ssl, answer, sizeof(answer) - 1);
        ERR_clear_error();
    }
    assert_starts(answer, "HTTP/1.1 200 ");
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    hang_up(&c);
}

static void test_tls_front_half_a_handshake_ends_at_its_deadline(void **state)
{
    struct fixture *f = *state;
    uint8_t hello[4096];
    size_t len = client_hello(hello, sizeof(hello));
    struct tls_client silent = dial_raw(f, 1, 0), half = dial_raw(f, 2, 2 * US_PER_S);
    assert_int_equal(send(half.fd, hello, len - 1, MSG_NOSIGNAL), (ssize_t)len - 1);
    admin_tls_front_tick(front, ADMIN_REQUEST_S * US_PER_S - 1);
    assert_true(is_open(f, silent.fd) && is_open(f, half.fd));
    admin_tls_front_tick(front, ADMIN_REQUEST_S * US_PER_S);
    assert_false(is_open(f, silent.fd));
    assert_true(is_open(f, half.fd));
    admin_tls_front_tick(front, (ADMIN_REQUEST_S + 2) * US_PER_S);
    assert_false(is_open(f, half.fd));
    assert_int_equal(counted(f, METRIC_ADMIN_CLOSED_LATE), 2);
    hang_up(&silent);
    hang_up(&half);
}

/* What the handshake took is not given again to the request. */
static void test_tls_front_request_has_the_deadline_of_its_connection(void **state)
{
    struct fixture *f = *state;
    const uint64_t began_us = clock_now().mono_us - (ADMIN_REQUEST_S - 1) * US_PER_S;
    dialled_us = began_us;
    struct tls_client c = dial(f, TLS1_3_VERSION, NULL);
    dialled_us = 0;
    bool orderly;
    assert_true(shake_hands(f, &c));
    run(f);
    assert_int_equal(opens, 1);
    assert_true(SSL_write(c.ssl, "GET /li", 7) > 0);
    run(f);
    admin_server_tick(f->server, began_us + ADMIN_REQUEST_S * US_PER_S);
    assert_string_equal(hear_tls(f, &c, &orderly), "");
    assert_true(orderly);
    assert_int_equal(counted(f, METRIC_ADMIN_CLOSED_LATE), 1);
    hang_up(&c);
}

static void test_tls_front_over_its_caps_the_oldest_handshake_goes(void **state)
{
    struct fixture *f = *state;
    enum { ALL = ADMIN_TLS_HANDSHAKES, OF_ONE = ADMIN_TLS_HANDSHAKES_OF_NETWORK };
    struct tls_client good = dial(f, TLS1_3_VERSION, NULL), c[ALL + 4];
    assert_true(shake_hands(f, &good));
    run(f);
    /* One network displaces its own only. */
    c[0] = dial_raw(f, 256, 0);
    for (size_t i = 1; i <= OF_ONE + 3; i++)
        c[i] = dial_raw(f, (unsigned)i, i);
    for (size_t i = 0; i <= OF_ONE + 3; i++)
        assert_int_equal(is_open(f, c[i].fd), i == 0 || i > 3);
    assert_int_equal(counted(f, METRIC_ADMIN_CLOSED_FULL), 3);
    for (size_t i = 0; i <= OF_ONE + 3; i++)
        hang_up(&c[i]);
    run(f);
    /* All of them together displace the oldest. */
    for (size_t i = 0; i < ALL + 4; i++)
        c[i] = dial_raw(f, (unsigned)(i << 8), 100 + i);
    for (size_t i = 0; i < ALL + 4; i++)
        assert_int_equal(is_open(f, c[i].fd), i >= 4);
    assert_int_equal(counted(f, METRIC_ADMIN_CLOSED_FULL), 7);
    /* Who is through his handshake is not touched. */
    bool orderly;
    assert_true(SSL_write(good.ssl, LIVE, (int)strlen(LIVE)) > 0);
    assert_starts(hear_tls(f, &good, &orderly), "HTTP/1.1 200 ");
    hang_up(&good);
    for (size_t i = 0; i < ALL + 4; i++)
        hang_up(&c[i]);
}

/* Two networks fill all places again and again, while somebody far away needs a second. */
static void test_tls_front_crowds_displace_their_own_handshakes(void **state)
{
    struct fixture *f = *state;
    enum { CROWD = 2 * ADMIN_TLS_HANDSHAKES };
    struct tls_client far = dial(f, TLS1_3_VERSION, NULL), c[CROWD];
    bool orderly;
    for (size_t i = 0; i < CROWD; i++)
        c[i] = dial_raw(f, (unsigned)(((1 + i % 2) << 8) + i), i * PACE_US);
    run(f);
    assert_int_equal(counted(f, METRIC_ADMIN_CLOSED_FULL), CROWD + 1 - ADMIN_TLS_HANDSHAKES);
    assert_true(shake_hands(f, &far));
    assert_true(SSL_write(far.ssl, LIVE, (int)strlen(LIVE)) > 0);
    assert_starts(hear_tls(f, &far, &orderly), "HTTP/1.1 200 ");
    hang_up(&far);
    for (size_t i = 0; i < CROWD; i++)
        hang_up(&c[i]);
}

/* A handshake costs a signature: who comes more often than may be gets none. */
static void test_tls_front_who_comes_too_often_is_not_shaken_hands_with(void **state)
{
    struct fixture *f = *state;
    enum { BURST = ADMIN_TLS_PACE_OF_NETWORK_BURST };
    for (unsigned i = 0; i < BURST; i++) {
        struct tls_client c = dial_raw(f, i, 0);
        assert_true(is_open(f, c.fd));
        hang_up(&c);
        run(f);
    }
    assert_int_equal(counted(f, METRIC_ADMIN_CLOSED_RATE), 0);
    struct tls_client over = dial(f, TLS1_3_VERSION, NULL), far = dial_raw(f, 256, 0);
    assert_false(is_open(f, over.fd));
    assert_true(is_open(f, far.fd));
    assert_int_equal(counted(f, METRIC_ADMIN_CLOSED_RATE), 1);
    dialled_us = PACE_US;
    assert_starts(ask_tls(f, TLS1_3_VERSION, NULL, LIVE), "HTTP/1.1 200 ");
    dialled_us = 0;
    hang_up(&over);
    hang_up(&far);
}

/* It takes it when it likes. */
static void test_tls_front_answer_for_a_client_that_reads_late_is_whole(void **state)
{
    struct fixture *f = *state;
    bool orderly;
    send_room = 1;
    struct tls_client c = dial(f, TLS1_3_VERSION, NULL);
    send_room = 0;
    assert_true(shake_hands(f, &c));
    assert_true(SSL_write(c.ssl, METRICS, (int)strlen(METRICS)) > 0);
    for (int i = 0; i < 10; i++)
        run(f);
    const char *answer = hear_tls(f, &c, &orderly);
    size_t length = 0;
    const char *field = strstr(answer, "content-length: ");
    assert_non_null(field);
    assert_int_equal(sscanf(field, "content-length: %zu", &length), 1);
    assert_int_equal(strlen(strstr(answer, "\r\n\r\n") + 4), length);
    assert_true(orderly);
    hang_up(&c);
}

static void test_tls_front_answer_that_nobody_reads_ends_at_its_deadline(void **state)
{
    struct fixture *f = *state;
    send_room = 1;
    struct tls_client c = dial(f, TLS1_3_VERSION, NULL);
    send_room = 0;
    assert_true(shake_hands(f, &c));
    assert_true(SSL_write(c.ssl, METRICS, (int)strlen(METRICS)) > 0);
    run(f);
    const uint64_t now_us = clock_now().mono_us;
    const unsigned open = open_files();
    admin_tls_front_tick(front, now_us + (ADMIN_RESPONSE_S - 1) * US_PER_S);
    run(f);
    assert_int_equal(open_files(), open);
    admin_tls_front_tick(front, now_us + (ADMIN_RESPONSE_S + 1) * US_PER_S);
    run(f);
    /* The end of the pair that the answer waits in, and the client's connection. */
    assert_int_equal(open_files(), open - 2);
    assert_int_equal(counted(f, METRIC_ADMIN_CLOSED_LATE), 1);
    hang_up(&c);
}

/* Whoever may ask for what is free takes all places so. */
static void test_tls_front_answers_that_nobody_reads_keep_nobody_out(void **state)
{
    struct fixture *f = *state;
    struct tls_client c[ADMIN_TLS_CONNECTIONS];
    send_room = 1;
    for (size_t i = 0; i < ADMIN_TLS_CONNECTIONS; i++) {
        dialled_us = i * PACE_US;
        c[i] = dial(f, TLS1_3_VERSION, NULL);
        assert_true(shake_hands(f, &c[i]));
        assert_true(SSL_write(c[i].ssl, METRICS, (int)strlen(METRICS)) > 0);
        run(f);
    }
    send_room = 0;
    assert_int_equal(counted(f, METRIC_ADMIN_CLOSED_FULL), 0);
    assert_starts(ask_tls(f, TLS1_3_VERSION, NULL, LIVE), "HTTP/1.1 200 ");
    dialled_us = 0;
    assert_int_equal(counted(f, METRIC_ADMIN_CLOSED_FULL), 1);
    for (size_t i = 0; i < ADMIN_TLS_CONNECTIONS; i++)
        hang_up(&c[i]);
}

static void test_tls_front_client_that_says_no_goodbye_is_closed(void **state)
{
    struct fixture *f = *state;
    struct tls_client c = dial(f, TLS1_3_VERSION, NULL);
    assert_true(shake_hands(f, &c));
    assert_true(SSL_write(c.ssl, LIVE, (int)strlen(LIVE)) > 0);
    run(f);
    const uint64_t now_us = clock_now().mono_us;
    const unsigned open = open_files();
    admin_tls_front_tick(front, now_us + (ADMIN_TLS_LINGER_S - 1) * US_PER_S);
    assert_int_equal(open_files(), open);
    admin_tls_front_tick(front, now_us + (ADMIN_TLS_LINGER_S + 1) * US_PER_S);
    assert_int_equal(open_files(), open - 1);
    assert_int_equal(counted(f, METRIC_ADMIN_CLOSED_LATE), 0);
    hang_up(&c);
}

/* One request is all that is served: who sends on and on is cut off. */
static void test_tls_front_endless_input_is_cut_off(void **state)
{
    struct fixture *f = *state;
    struct tls_client c = dial(f, TLS1_2_VERSION, NULL);
    static char junk[16384];
    size_t sent = 0;
    memset(junk, 'a', sizeof(junk));
    assert_true(shake_hands(f, &c));
    for (int i = 0; i < 100; i++) {
        ERR_clear_error();
        int n = SSL_write(c.ssl, junk, sizeof(junk));
        run(f);
        if (n <= 0)
            break;
        sent += (size_t)n;
    }
    assert_true(sent < 1024 * 1024);
    hang_up(&c);
    assert_starts(ask_tls(f, TLS1_3_VERSION, NULL, LIVE), "HTTP/1.1 200 ");
}

static void test_tls_front_broken_record_ends_the_connection(void **state)
{
    static const char bad[] = "\x17\x03\x03\x00\x20"
                              "0123456789abcdef0123456789abcdef";
    struct fixture *f = *state;
    BIO *raw;
    struct tls_client c = dial(f, TLS1_3_VERSION, NULL);
    assert_true(shake_hands(f, &c));
    run(f);
    raw = SSL_get_wbio(c.ssl);
    assert_int_equal(BIO_write(raw, bad, sizeof(bad) - 1), (int)sizeof(bad) - 1);
    bool orderly;
    assert_string_equal(hear_tls(f, &c, &orderly), "");
    assert_false(orderly);
    hang_up(&c);
    assert_int_equal(counted(f, METRIC_ADMIN_CLOSED_BROKEN), 1);
}

static uint64_t seed = 0x9e3779b97f4a7c15ull;

static uint32_t below(uint32_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 16) % n;
}

/* Handshakes with a byte changed, cut off, or followed by junk. */
static void test_tls_front_garbled_handshakes_end_and_leave_nothing(void **state)
{
    struct fixture *f = *state;
    uint8_t hello[4096], junk[4096];
    const size_t len = client_hello(hello, sizeof(hello));
    for (int i = 0; i < 400; i++) {
        struct tls_client c = dial_raw(f, below(1024), (uint64_t)i * PACE_US);
        memcpy(junk, hello, len);
        for (uint32_t k = below(3); k > 0; k--)
            junk[below((uint32_t)len)] ^= (uint8_t)(1 + below(255));
        (void)!send(c.fd, junk, 1 + below((uint32_t)len), MSG_NOSIGNAL);
        uv_run(&f->loop, UV_RUN_NOWAIT);
        (void)!send(c.fd, junk, below((uint32_t)len), MSG_NOSIGNAL);
        uv_run(&f->loop, UV_RUN_NOWAIT);
        hang_up(&c);
        uv_run(&f->loop, UV_RUN_NOWAIT);
    }
    run(f);
    assert_int_equal(opens, 0);
    assert_true(counted(f, METRIC_ADMIN_CLOSED_HANDSHAKE) > 50);
    dialled_us = 400 * PACE_US;
    assert_starts(ask_tls(f, TLS1_3_VERSION, NULL, LIVE), "HTTP/1.1 200 ");
    dialled_us = 0;
}

static void test_tls_front_closed_with_connections_open_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct tls_client c[9];
    for (size_t i = 0; i < 9; i++) {
        c[i] = dial(f, i % 2 ? TLS1_2_VERSION : TLS1_3_VERSION, NULL);
        if (i > 2)
            assert_true(shake_hands(f, &c[i]));
        if (i > 5)
            (void)SSL_write(c[i].ssl, LIVE, (int)strlen(LIVE));
        if (i % 3)
            uv_run(&f->loop, UV_RUN_NOWAIT);
    }
    admin_tls_front_close(front);
    run(f);
    for (size_t i = 0; i < 9; i++)
        hang_up(&c[i]);
    /* tear_down ends it here, and counts descriptors. */
}

/* Names the key and the file, as the operator wrote them. */
static void test_admin_policy_says_which_file_it_could_not_read(void **state)
{
    static char nowhere[] = "/nowhere/x.pem";
    struct admin_policy *made = NULL;
    struct admin_error error;
    struct admin_settings s = settings;
    s.tls.pair.cert = nowhere;
    assert_true(admin_policy_new(&made, &s, &error) < 0);
    assert_string_equal(error.text, "admin.tls.cert /nowhere/x.pem: No such file or directory");
    s = settings;
    s.tls.pair.key = files.certificates[1].key;
    assert_true(admin_policy_new(&made, &s, &error) < 0);
    assert_starts(error.text, "admin.tls.key ");
    assert_non_null(strstr(error.text, "does not match"));
    s = settings;
    s.tls.client_crl = nowhere;
    assert_true(admin_policy_new(&made, &s, &error) < 0);
    assert_starts(error.text, "admin.tls.client_crl /nowhere/x.pem: ");
    s.tls.client_crl = NULL;
    assert_true(admin_policy_new(&made, &s, &error) < 0);
    assert_null(made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OVER_TLS(test_tls_front_handshake_in_single_bytes_is_served),
        OVER_TLS(test_tls_front_half_a_handshake_ends_at_its_deadline),
        OVER_TLS(test_tls_front_request_has_the_deadline_of_its_connection),
        OVER_TLS(test_tls_front_over_its_caps_the_oldest_handshake_goes),
        OVER_TLS(test_tls_front_crowds_displace_their_own_handshakes),
        OVER_TLS(test_tls_front_who_comes_too_often_is_not_shaken_hands_with),
        OVER_TLS(test_tls_front_answer_for_a_client_that_reads_late_is_whole),
        OVER_TLS(test_tls_front_answer_that_nobody_reads_ends_at_its_deadline),
        OVER_TLS(test_tls_front_answers_that_nobody_reads_keep_nobody_out),
        OVER_TLS(test_tls_front_client_that_says_no_goodbye_is_closed),
        OVER_TLS(test_tls_front_endless_input_is_cut_off),
        OVER_TLS(test_tls_front_broken_record_ends_the_connection),
        OVER_TLS(test_tls_front_garbled_handshakes_end_and_leave_nothing),
        OVER_TLS(test_tls_front_closed_with_connections_open_leaves_nothing),
        OVER_TLS(test_admin_policy_says_which_file_it_could_not_read),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
