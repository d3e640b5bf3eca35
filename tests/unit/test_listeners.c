/* What a snapshot changes of listeners that are polled already. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "net/listeners.h"

struct fixture {
    uv_loop_t loop;
    struct outbox outbox;
    struct counters counters;
    struct io io;
    struct udp_endpoint *endpoint;
    struct net_listener listener;
    struct net_snapshot snapshot;
    struct listeners listeners;
};

static struct fixture f;

static int setup(void **state)
{
    const struct addr loopback = addr_ipv4(127, 0, 0, 1, 0);
    memset(&f, 0, sizeof(f));
    assert_int_equal(uv_loop_init(&f.loop), 0);
    assert_int_equal(io_init(&f.io, &f.loop, &f.outbox, &f.counters), 0);
    assert_int_equal(udp_endpoint_open(&f.endpoint, &loopback, 1, 0), 0);
    f.listener = (struct net_listener){.transport = TRANSPORT_UDP, .udp = f.endpoint};
    f.snapshot = (struct net_snapshot){.listener_count = 1, .listeners = &f.listener};
    return 0;
}

static int teardown(void **state)
{
    listeners_stop(&f.listeners);
    uv_run(&f.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f.loop), 0);
    listeners_free(&f.listeners);
    udp_endpoint_close(f.endpoint);
    io_deinit(&f.io);
    return 0;
}

static void take(enum transport transport, uint32_t realm)
{
    const struct listeners_deps deps = {.io = &f.io};
    f.listener.transport = (uint8_t)transport;
    f.listener.realm = realm;
    f.listener.realms = 1 | (uint64_t)1 << realm;
    assert_int_equal(listeners_take(&f.listeners, &deps, &f.snapshot), 0);
    assert_int_equal(f.listeners.udp.count, 1);
}

/* udp and dtls share ports, so that a reload can make one of the other. */
static void test_listeners_udp_and_realm_follow_the_snapshot(void **state)
{
    take(TRANSPORT_UDP, 1);
    const struct udp_listener *l = f.listeners.udp.items[0];
    assert_false(l->dtls_only);
    assert_int_equal(l->realm, 1);
    assert_int_equal(l->realms, 3);
    take(TRANSPORT_DTLS, 2);
    assert_ptr_equal(f.listeners.udp.items[0], l);
    assert_true(l->dtls_only);
    assert_int_equal(l->realm, 2);
    assert_int_equal(l->realms, 5);
    take(TRANSPORT_UDP, 2);
    assert_false(l->dtls_only);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_listeners_udp_and_realm_follow_the_snapshot, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
