/* A worker as the daemon runs it, with a TCP and a TLS listener: Binding, 401, a reload, the end.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/random.h"
#include "net/socket_budget.h"
#include "net/worker.h"
#include "ratelimit/connection_counts.h"
#include "tests/tls/client.h"
#include "tests/tls/server.h"
#include "wire/stun.h"

#define LISTENERS 3

struct daemon {
    uv_loop_t loop;
    struct mailbox *control;
    struct relay_shared shared;
    struct connection_counts *connections;
    struct socket_budget sockets;
    struct worker_list workers;
    struct test_server server;
    struct stream_endpoint *endpoints[LISTENERS];
    struct net_listener listeners[LISTENERS];
    struct net_snapshot snapshots[2];
    bool started, stopped;
    uint64_t taken;
};

static void deliver(void *ctx, struct mailbox_message *m)
{
    struct daemon *d = ctx;
    d->started |= m->kind == MAILBOX_STARTED;
    d->stopped |= m->kind == MAILBOX_STOPPED;
    if (m->kind == MAILBOX_SNAPSHOT_TAKEN) {
        d->taken = m->u.version;
    }
}

static const struct auth *make_auth(void)
{
    char error[256];
    struct auth_realm_settings realm = {.name = (char *)(uintptr_t) "example.org"};
    struct auth_settings settings = {
        .realms = &realm, .realm_count = 1, .max_ttl_s = 3600, .nonce_lifetime_s = 600};
    assert_int_equal(secret_set(&settings.nonce_secret, slice_of_string("sixteen bytes and")), 0);
    const struct auth *auth = auth_new(&settings, error, sizeof(error));
    assert_non_null(auth);
    secret_wipe(&settings.nonce_secret);
    return auth;
}

static void open_endpoint(struct daemon *d, unsigned i, enum transport transport)
{
    struct addr a = addr_ipv4(127, 0, 0, 1, 0);
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    assert_int_equal(stream_endpoint_open(&d->endpoints[i], &a, 1), 0);
    assert_int_equal(getsockname(d->endpoints[i]->fds[0], (struct sockaddr *)&sa, &len), 0);
    assert_int_equal(addr_from_sockaddr(&d->endpoints[i]->addr, (struct sockaddr *)&sa), 0);
    d->listeners[i] =
        (struct net_listener){.transport = (uint8_t)transport, .stream = d->endpoints[i]};
}

static void make_snapshot(struct daemon *d, unsigned version, size_t listeners)
{
    struct net_snapshot *s = &d->snapshots[version];
    s->relay.version = version;
    s->relay.auth = make_auth();
    const struct peer_policy_settings policy = {.deny_recommended = true};
    s->relay.policy = peer_policy_new(&policy, d->shared.ports);
    assert_non_null(s->relay.policy);
    s->listeners = d->listeners;
    s->listener_count = listeners;
    s->streams = (struct stream_settings){.max_connections = 16,
        .handshake_timeout_ms = 5000,
        .frame_timeout_ms = 5000,
        .first_message_timeout_ms = 30000,
        .idle_timeout_ms = 300000,
        .write_queue = 65536};
    s->tls = test_server_context(&d->server, TEST_SECRET);
}

static void wait_for(struct daemon *d, const bool *what)
{
    while (!*what) {
        uv_run(&d->loop, UV_RUN_ONCE);
    }
}

static int setup(void **state)
{
    static const uint8_t key[16] = {3};
    struct daemon *d = calloc(1, sizeof(*d));
    assert_int_equal(uv_loop_init(&d->loop), 0);
    assert_int_equal(mailbox_new(&d->control, &d->loop, 64, deliver, d), 0);
    test_server_init(&d->server);
    d->shared.rates = rate_table_new(1024, key);
    d->shared.quotas = quota_new(16, key);
    d->shared.ports = port_maps_new();
    d->connections = connection_counts_new(16, key);
    socket_budget_init(&d->sockets, 32);
    open_endpoint(d, 0, TRANSPORT_TCP);
    open_endpoint(d, 1, TRANSPORT_TLS);
    open_endpoint(d, 2, TRANSPORT_TCP);
    make_snapshot(d, 0, 2);
    make_snapshot(d, 1, 3);
    const struct worker_options options = {.workers = &d->workers,
        .control = d->control,
        .shared = &d->shared,
        .random = random_system(),
        .sockets = &d->sockets,
        .connections = d->connections,
        .max_allocations = 16};
    assert_int_equal(worker_new(&d->workers.items[0], &options), 0);
    d->workers.count = 1;
    assert_int_equal(worker_start(d->workers.items[0], &d->snapshots[0]), 0);
    wait_for(d, &d->started);
    *state = d;
    return 0;
}

static void stop(struct daemon *d)
{
    struct mailbox_message m = {.kind = MAILBOX_STOP};
    assert_int_equal(mailbox_post(worker_mailbox(d->workers.items[0]), &m), 0);
    wait_for(d, &d->stopped);
    worker_join(d->workers.items[0]);
    while (worker_settle(d->workers.items[0]) > 0) {
    }
}

static int teardown(void **state)
{
    struct daemon *d = *state;
    if (!d->stopped) {
        stop(d);
    }
    worker_free(d->workers.items[0]);
    mailbox_close(d->control);
    while (uv_run(&d->loop, UV_RUN_DEFAULT) != 0) {
    }
    assert_int_equal(uv_loop_close(&d->loop), 0);
    for (unsigned i = 0; i < 2; i++) {
        auth_free((struct auth *)(uintptr_t)d->snapshots[i].relay.auth);
        peer_policy_free((struct peer_policy *)(uintptr_t)d->snapshots[i].relay.policy);
        tls_context_release(d->snapshots[i].tls);
    }
    for (unsigned i = 0; i < LISTENERS; i++) {
        stream_endpoint_close(d->endpoints[i]);
    }
    connection_counts_free(d->connections); /* asserts that all have come back */
    port_maps_free(d->shared.ports);
    quota_free(d->shared.quotas);
    rate_table_free(d->shared.rates);
    test_server_deinit(&d->server);
    free(d);
    return 0;
}

static int client(struct daemon *d, unsigned listener)
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
    struct daemon *d = *state;
    int fd = client(d, 0);
    check_exchange(fd, binding, sizeof(binding), 0x0101);
    check_exchange(fd, allocate, sizeof(allocate), 0x0113);
    check_exchange(fd, binding, sizeof(binding), 0x0101);
    close(fd);
}

static void test_worker_streams_answers_over_tls(void **state)
{
    struct daemon *d = *state;
    uint8_t got[512];
    SSL_CTX *ctx = test_client_ctx(TLS1_3_VERSION, TLS1_3_VERSION);
    SSL *ssl = SSL_new(ctx);
    int fd = client(d, 1);
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
    struct daemon *d = *state;
    int before = client(d, 0);
    check_exchange(before, binding, sizeof(binding), 0x0101);
    struct mailbox_message m = {.kind = MAILBOX_SNAPSHOT};
    m.u.snapshot = &d->snapshots[1];
    assert_int_equal(mailbox_post(worker_mailbox(d->workers.items[0]), &m), 0);
    while (d->taken != 1) {
        uv_run(&d->loop, UV_RUN_ONCE);
    }
    int after = client(d, 2);
    check_exchange(after, binding, sizeof(binding), 0x0101);
    check_exchange(before, binding, sizeof(binding), 0x0101);
    close(before);
    close(after);
}

/* Whoever is connected when the server stops is told at once. */
static void test_worker_streams_stop_closes_connections(void **state)
{
    struct daemon *d = *state;
    uint8_t byte;
    int fd = client(d, 0);
    check_exchange(fd, binding, sizeof(binding), 0x0101);
    stop(d);
    worker_free(d->workers.items[0]);
    d->workers.items[0] = NULL;
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    close(fd);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_worker_streams_answers_over_tcp),
        CASE(test_worker_streams_answers_over_tls),
        CASE(test_worker_streams_reload_adds_a_listener_and_keeps_who_is_there),
        CASE(test_worker_streams_stop_closes_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
