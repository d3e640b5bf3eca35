/* A worker as the daemon runs it, with a TCP and a TLS listener: Binding, 401, a reload, the end.
 */
#include "tests/unit/running_worker.h"

static int setup(void **state)
{
    return running_setup(state, 16);
}

static int client(struct running *d, unsigned listener)
{
    struct sockaddr_storage sa;
    socklen_t len = addr_to_sockaddr(&d->endpoints[listener]->addr, &sa);
    const struct timeval patience = {.tv_sec = 5};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, len), 0);
    return fd;
}

static const uint8_t binding[20] = {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 9};
static const uint8_t allocate[28] = {
    0, 3, 0, 8, 0x21, 0x12, 0xa4, 0x42, 8, [20] = 0, 0x19, 0, 4, 17, 0, 0, 0};

static void check_exchange(int fd, const uint8_t *request, size_t len, uint16_t answer)
{
    uint8_t got[512];
    assert_int_equal(send(fd, request, len, 0), len);
    ssize_t n = recv(fd, got, sizeof(got), 0);
    assert_true(n >= STUN_HEADER_LEN);
    assert_int_equal(got[0] << 8 | got[1], answer);
    assert_memory_equal(got + 8, request + 8, 12);
}

static void test_worker_streams_answers_over_tcp(void **state)
{
    struct running *d = *state;
    int fd = client(d, RUNNING_TCP);
    check_exchange(fd, binding, sizeof(binding), 0x0101);
    check_exchange(fd, allocate, sizeof(allocate), 0x0113);
    check_exchange(fd, binding, sizeof(binding), 0x0101);
    close(fd);
}

static void test_worker_streams_answers_over_tls(void **state)
{
    struct running *d = *state;
    uint8_t got[512];
    SSL_CTX *ctx = test_client_ctx(TLS1_3_VERSION, TLS1_3_VERSION);
    SSL *ssl = SSL_new(ctx);
    int fd = client(d, RUNNING_TLS);
    assert_int_equal(SSL_set_fd(ssl, fd), 1);
    assert_int_equal(SSL_connect(ssl), 1);
    assert_int_equal(SSL_write(ssl, binding, sizeof(binding)), sizeof(binding));
    assert_true(SSL_read(ssl, got, sizeof(got)) > STUN_HEADER_LEN);
    assert_int_equal(got[0], 1);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    close(fd);
}

static void test_worker_streams_reload_adds_a_listener_and_keeps_who_is_there(void **state)
{
    struct running *d = *state;
    int before = client(d, RUNNING_TCP);
    check_exchange(before, binding, sizeof(binding), 0x0101);
    struct mailbox_message m = {.kind = MAILBOX_SNAPSHOT};
    m.u.snapshot = &d->snapshots[1];
    assert_int_equal(mailbox_post(worker_mailbox(d->workers.items[0]), &m), 0);
    while (d->taken != 1) {
        uv_run(&d->loop, UV_RUN_ONCE);
    }
    int after = client(d, RUNNING_ADDED);
    check_exchange(after, binding, sizeof(binding), 0x0101);
    check_exchange(before, binding, sizeof(binding), 0x0101);
    close(before);
    close(after);
}

/* Whoever is connected when the server stops is told at once. */
static void test_worker_streams_stop_closes_connections(void **state)
{
    struct running *d = *state;
    uint8_t byte;
    int fd = client(d, RUNNING_TCP);
    check_exchange(fd, binding, sizeof(binding), 0x0101);
    running_stop(d);
    worker_free(d->workers.items[0]);
    d->workers.items[0] = NULL;
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    close(fd);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, running_teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_worker_streams_answers_over_tcp),
        CASE(test_worker_streams_answers_over_tls),
        CASE(test_worker_streams_reload_adds_a_listener_and_keeps_who_is_there),
        CASE(test_worker_streams_stop_closes_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
