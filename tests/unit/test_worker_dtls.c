/* A worker as the daemon runs it, with DTLS on a port of its own and beside plain UDP. */
#include <openssl/bio.h>

#include "tests/unit/running_worker.h"

static const uint8_t binding[20] = {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 9};
static const uint8_t classic[20] = {0, 1, 0, 0, 7, 7, 7, 7, 9};
static const uint8_t allocate[28] = {
    0, 3, 0, 8, 0x21, 0x12, 0xa4, 0x42, 8, [20] = 0, 0x19, 0, 4, 17, 0, 0, 0};

static SSL_CTX *client_ctx;

struct dtls {
    SSL *ssl;
    int fd;
};

static int setup(void **state)
{
    client_ctx = SSL_CTX_new(DTLS_client_method());
    return running_setup(state, 16);
}

static int teardown(void **state)
{
    SSL_CTX_free(client_ctx);
    return running_teardown(state);
}

static int udp_client(struct running *d, unsigned listener)
{
    struct sockaddr_storage sa;
    socklen_t len = addr_to_sockaddr(&d->udp[listener]->addr, &sa);
    const struct timeval patience = {.tv_sec = 5};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, len), 0);
    return fd;
}

/* A handshake on a connected socket. */
static struct dtls dtls_client(int fd)
{
    struct dtls c = {SSL_new(client_ctx), fd};
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    assert_int_equal(getpeername(fd, (struct sockaddr *)&sa, &len), 0);
    BIO *bio = BIO_new_dgram(fd, BIO_NOCLOSE);
    BIO_ctrl(bio, BIO_CTRL_DGRAM_SET_CONNECTED, 0, &sa);
    SSL_set_bio(c.ssl, bio, bio);
    assert_int_equal(SSL_connect(c.ssl), 1);
    return c;
}

static void dtls_close(struct dtls *c)
{
    SSL_free(c->ssl);
    close(c->fd);
}

static void check_answer(const uint8_t *got, int n, const uint8_t *request, uint16_t answer)
{
    assert_true(n >= STUN_HEADER_LEN);
    assert_int_equal(got[0] << 8 | got[1], answer);
    assert_memory_equal(got + 4, request + 4, 16);
}

static void check_dtls(struct dtls *c, const uint8_t *request, int len, uint16_t answer)
{
    uint8_t got[512];
    assert_int_equal(SSL_write(c->ssl, request, len), len);
    check_answer(got, SSL_read(c->ssl, got, sizeof(got)), request, answer);
}

static void check_udp(int fd, const uint8_t *request, size_t len, uint16_t answer)
{
    uint8_t got[512];
    assert_int_equal(send(fd, request, len, 0), len);
    check_answer(got, (int)recv(fd, got, sizeof(got), 0), request, answer);
}

static void test_worker_dtls_answers_on_both_ports(void **state)
{
    struct running *d = *state;
    for (unsigned i = RUNNING_UDP; i <= RUNNING_DTLS; i++) {
        struct dtls c = dtls_client(udp_client(d, i));
        check_dtls(&c, binding, sizeof(binding), 0x0101);
        check_dtls(&c, allocate, sizeof(allocate), 0x0113);
        check_dtls(&c, classic, sizeof(classic), 0x0111); /* 500: RFC 7350 section 3 */
        dtls_close(&c);
    }
}

static void test_worker_dtls_plain_udp_beside_it_is_served(void **state)
{
    struct running *d = *state;
    struct dtls c = dtls_client(udp_client(d, RUNNING_UDP));
    int fd = udp_client(d, RUNNING_UDP);
    check_udp(fd, binding, sizeof(binding), 0x0101);
    check_udp(fd, allocate, sizeof(allocate), 0x0113);
    check_udp(fd, classic, sizeof(classic), 0x0101);
    check_dtls(&c, binding, sizeof(binding), 0x0101);
    dtls_close(&c);
    close(fd);
}

/* From the client's own socket, as one who forges its address would: nothing comes back. */
static void test_worker_dtls_plain_text_on_a_session_is_not_answered(void **state)
{
    struct running *d = *state;
    struct dtls c = dtls_client(udp_client(d, RUNNING_UDP));
    check_dtls(&c, binding, sizeof(binding), 0x0101);
    assert_int_equal(send(c.fd, binding, sizeof(binding), 0), sizeof(binding));
    check_dtls(&c, allocate, sizeof(allocate), 0x0113); /* the next that comes is DTLS */
    const struct counters *counters = worker_counters(d->workers.items[0]);
    assert_int_equal(counters->dropped[REASON_PLAIN_ON_DTLS_FLOW], 1);
    dtls_close(&c);
}

/* Forged to come from a listener of ours: two servers would answer each other. */
static void test_worker_dtls_own_listener_draws_no_cookie(void **state)
{
    struct running *d = *state;
    const struct counters *counters = worker_counters(d->workers.items[0]);
    uint8_t hello[80] = {22, 0xfe, 0xff, [12] = 67, [13] = 1, [16] = 55, [24] = 55};
    struct sockaddr_storage sa;
    socklen_t len = addr_to_sockaddr(&d->udp[RUNNING_DTLS]->addr, &sa);
    assert_int_equal(
        sendto(d->udp[RUNNING_UDP]->fds[0], hello, sizeof(hello), 0, (struct sockaddr *)&sa, len),
        sizeof(hello));
    for (unsigned i = 0; i < 5000 && counters->dropped[REASON_SOURCE_IS_OURS] == 0; i++) {
        usleep(1000);
    }
    assert_int_equal(counters->dropped[REASON_SOURCE_IS_OURS], 1);
    assert_int_equal(counters->metric[METRIC_DTLS_COOKIES], 0);
}

static void test_worker_dtls_reload_keeps_sessions(void **state)
{
    struct running *d = *state;
    struct dtls c = dtls_client(udp_client(d, RUNNING_DTLS));
    check_dtls(&c, binding, sizeof(binding), 0x0101);
    struct mailbox_message m = {.kind = MAILBOX_SNAPSHOT};
    m.u.snapshot = &d->snapshots[1];
    assert_int_equal(mailbox_post(worker_mailbox(d->workers.items[0]), &m), 0);
    while (d->taken != 1) {
        uv_run(&d->loop, UV_RUN_ONCE);
    }
    check_dtls(&c, binding, sizeof(binding), 0x0101);
    dtls_close(&c);
}

static void test_worker_dtls_stop_says_goodbye(void **state)
{
    struct running *d = *state;
    uint8_t byte;
    struct dtls c = dtls_client(udp_client(d, RUNNING_DTLS));
    check_dtls(&c, binding, sizeof(binding), 0x0101);
    running_stop(d);
    worker_free(d->workers.items[0]);
    d->workers.items[0] = NULL;
    assert_int_equal(SSL_read(c.ssl, &byte, 1), 0);
    assert_int_equal(SSL_get_error(c.ssl, 0), SSL_ERROR_ZERO_RETURN);
    dtls_close(&c);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_worker_dtls_answers_on_both_ports),
        CASE(test_worker_dtls_plain_udp_beside_it_is_served),
        CASE(test_worker_dtls_plain_text_on_a_session_is_not_answered),
        CASE(test_worker_dtls_own_listener_draws_no_cookie),
        CASE(test_worker_dtls_reload_keeps_sessions),
        CASE(test_worker_dtls_stop_says_goodbye),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
