/*
 * A worker as the daemon runs it, on a thread of its own, with listeners of every transport on
 * loopback; the test is its control thread.
 */
#ifndef TESTS_UNIT_RUNNING_WORKER_H
#define TESTS_UNIT_RUNNING_WORKER_H

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

/* In the order of the snapshot; the last one comes with a reload. */
enum { RUNNING_TCP, RUNNING_TLS, RUNNING_UDP, RUNNING_DTLS, RUNNING_ADDED, RUNNING_LISTENERS };

#define RUNNING_ASKED 8

struct running {
    uv_loop_t loop;
    struct mailbox *control;
    struct relay_shared shared;
    struct connection_counts *connections, *dtls;
    struct socket_budget sockets;
    uint32_t max_connections;
    struct worker_list workers;
    struct test_server server;
    struct stream_endpoint *endpoints[RUNNING_LISTENERS];
    struct udp_endpoint *udp[RUNNING_LISTENERS];
    struct net_listener listeners[RUNNING_LISTENERS];
    struct net_snapshot snapshots[2];
    bool started, stopped;
    uint64_t taken;
    struct store_question asked[RUNNING_ASKED]; /* what the worker has asked of the store */
    unsigned asked_count;
    struct srtp_wanted wanted; /* the last whose keys it has asked for */
    unsigned wanted_count;
    bool unwanted;            /* the last of them has ended */
    struct session_page page; /* the last that has come back */
    unsigned pages;
};

static inline void running_deliver(void *ctx, struct mailbox_message *m)
{
    struct running *d = ctx;
    d->started |= m->kind == MAILBOX_STARTED;
    d->stopped |= m->kind == MAILBOX_STOPPED;
    if (m->kind == MAILBOX_SNAPSHOT_TAKEN) {
        d->taken = m->u.version;
    }
    if (m->kind == MAILBOX_ASK && d->asked_count < RUNNING_ASKED) {
        d->asked[d->asked_count++] = *m->u.question;
    }
    if (m->kind == MAILBOX_SRTP_WANTED) {
        d->wanted = *m->u.wanted;
        d->wanted_count++;
    }
    if (m->kind == MAILBOX_SESSIONS_READ) {
        d->page = *m->u.page;
        d->pages++;
    }
    d->unwanted |= m->kind == MAILBOX_SRTP_UNWANTED && m->u.allocation == d->wanted.allocation;
    mailbox_message_free(m);
}

static inline const struct auth *running_make_auth(void)
{
    char error[256];
    struct auth_realm_settings realm = {
        .name = (char *)(uintptr_t) "example.org", .store_users = true, .store_secrets = true};
    struct auth_settings settings = {.realms = &realm,
        .realm_count = 1,
        .max_ttl_s = 3600,
        .nonce_lifetime_s = 600,
        .key_ttl_s = 60,
        .key_negative_ttl_s = 5};
    assert_int_equal(secret_set(&settings.nonce_secret, slice_of_string("sixteen bytes and")), 0);
    const struct auth *auth = auth_new(&settings, error, sizeof(error));
    assert_non_null(auth);
    secret_wipe(&settings.nonce_secret);
    return auth;
}

static inline struct addr running_name_of(int fd)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    struct addr a;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    assert_int_equal(addr_from_sockaddr(&a, (struct sockaddr *)&sa), 0);
    return a;
}

static inline void running_open_stream(struct running *d, unsigned i, enum transport transport)
{
    struct addr a = addr_ipv4(127, 0, 0, 1, 0);
    assert_int_equal(stream_endpoint_open(&d->endpoints[i], &a, 1), 0);
    d->endpoints[i]->addr = running_name_of(d->endpoints[i]->fds[0]);
    d->listeners[i] = (struct net_listener){
        .transport = (uint8_t)transport, .stream = d->endpoints[i], .realms = 1};
}

static inline void running_open_udp(struct running *d, unsigned i, enum transport transport)
{
    struct addr a = addr_ipv4(127, 0, 0, 1, 0);
    assert_int_equal(udp_endpoint_open(&d->udp[i], &a, 1, 0), 0);
    d->udp[i]->addr = running_name_of(d->udp[i]->fds[0]);
    d->listeners[i] =
        (struct net_listener){.transport = (uint8_t)transport, .udp = d->udp[i], .realms = 1};
}

/* One relayed address, on loopback. */
static inline void running_make_relay(struct running *d, struct net_snapshot *s)
{
    const struct addr a = addr_ipv4(127, 0, 0, 1, 0);
    s->relay.relay = (struct relay_settings){.port_min = 49152,
        .port_max = 65535,
        .default_lifetime_s = 600,
        .max_lifetime_s = 3600,
        .max_allocation_age_s = 3600,
        .max_allocations = 16,
        .permissions_per_allocation = 8,
        .channels_per_allocation = 8};
    s->relay.srtp = (struct srtp_policy){.window = 1024, .streams_per_direction = 8};
    memset(s->relay.guard_of_listener, SRTP_GUARD_VERIFY, sizeof(s->relay.guard_of_listener));
    s->relay.relayed[0].address = (struct relay_address){a, a};
    s->relay.relayed[0].ports = port_maps_add(d->shared.ports, &a, &a);
    s->relay.relayed_count = 1;
}

static inline void running_make_snapshot(struct running *d, unsigned version, size_t listeners)
{
    struct net_snapshot *s = &d->snapshots[version];
    s->relay.version = version;
    s->relay.auth = running_make_auth();
    const struct peer_policy_settings policy = {
        .deny_recommended = true, .never = &d->udp[RUNNING_UDP]->addr, .never_count = 1};
    s->relay.policy = peer_policy_new(&policy, d->shared.ports);
    assert_non_null(s->relay.policy);
    running_make_relay(d, s);
    s->listeners = d->listeners;
    s->listener_count = listeners;
    s->streams = (struct stream_settings){.max_connections = d->max_connections,
        .handshake_timeout_ms = 5000,
        .frame_timeout_ms = 5000,
        .first_message_timeout_ms = 30000,
        .idle_timeout_ms = 300000,
        .half_open_per_prefix = 256,
        .write_queue = 65536};
    s->dtls = (struct dtls_settings){.max_sessions = d->max_connections,
        .half_open_per_prefix = 256,
        .handshake_timeout_ms = 5000,
        .idle_timeout_ms = 300000};
    s->tls = test_server_context(&d->server, TEST_SECRET);
}

static inline void running_wait_for(struct running *d, const bool *what)
{
    while (!*what) {
        uv_run(&d->loop, UV_RUN_ONCE);
    }
}

/* `connections`: the cap, of DTLS sessions too. */
static inline int running_setup(void **state, uint32_t connections)
{
    static const uint8_t key[16] = {3};
    struct running *d = calloc(1, sizeof(*d));
    d->max_connections = connections;
    assert_int_equal(uv_loop_init(&d->loop), 0);
    assert_int_equal(mailbox_new(&d->control, &d->loop, 64, running_deliver, d), 0);
    test_server_init(&d->server);
    d->shared.rates = rate_table_new(1024, key);
    d->shared.quotas = quota_new(16, key);
    d->shared.ports = port_maps_new();
    d->shared.parking = parking_counts_new(key);
    d->connections = connection_counts_new(connections, key);
    d->dtls = connection_counts_new(connections, key);
    socket_budget_init(&d->sockets, 32);
    running_open_stream(d, RUNNING_TCP, TRANSPORT_TCP);
    running_open_stream(d, RUNNING_TLS, TRANSPORT_TLS);
    running_open_udp(d, RUNNING_UDP, TRANSPORT_UDP);
    running_open_udp(d, RUNNING_DTLS, TRANSPORT_DTLS);
    running_open_stream(d, RUNNING_ADDED, TRANSPORT_TCP);
    running_make_snapshot(d, 0, RUNNING_ADDED);
    running_make_snapshot(d, 1, RUNNING_LISTENERS);
    const struct worker_options options = {.workers = &d->workers,
        .control = d->control,
        .shared = &d->shared,
        .random = random_system(),
        .sockets = &d->sockets,
        .connections = d->connections,
        .dtls = d->dtls,
        .max_allocations = 16};
    assert_int_equal(worker_new(&d->workers.items[0], &options), 0);
    d->workers.count = 1;
    assert_int_equal(worker_start(d->workers.items[0], &d->snapshots[0]), 0);
    running_wait_for(d, &d->started);
    *state = d;
    return 0;
}

static inline void running_stop(struct running *d)
{
    struct mailbox_message m = {.kind = MAILBOX_STOP};
    assert_int_equal(mailbox_post(worker_mailbox(d->workers.items[0]), &m), 0);
    running_wait_for(d, &d->stopped);
    worker_join(d->workers.items[0]);
    while (worker_settle(d->workers.items[0]) > 0) {
    }
}

static inline int running_teardown(void **state)
{
    struct running *d = *state;
    if (!d->stopped) {
        running_stop(d);
    }
    worker_free(d->workers.items[0]);
    while (mailbox_drain(d->control) > 0) {
    }
    mailbox_close(d->control);
    while (uv_run(&d->loop, UV_RUN_DEFAULT) != 0) {
    }
    assert_int_equal(uv_loop_close(&d->loop), 0);
    for (unsigned i = 0; i < 2; i++) {
        auth_free((struct auth *)(uintptr_t)d->snapshots[i].relay.auth);
        peer_policy_free((struct peer_policy *)(uintptr_t)d->snapshots[i].relay.policy);
        tls_context_release(d->snapshots[i].tls);
    }
    for (unsigned i = 0; i < RUNNING_LISTENERS; i++) {
        stream_endpoint_close(d->endpoints[i]);
        udp_endpoint_close(d->udp[i]);
    }
    connection_counts_free(d->connections); /* asserts that all have come back */
    connection_counts_free(d->dtls);
    port_maps_free(d->shared.ports);
    quota_free(d->shared.quotas);
    rate_table_free(d->shared.rates);
    parking_counts_free(d->shared.parking);
    test_server_deinit(&d->server);
    free(d);
    return 0;
}

#endif
