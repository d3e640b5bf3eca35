/*
 * THREATS row 20: connections that cost and say nothing. Deadlines end them, half-open ones of a
 * prefix are few once connections are scarce, and ten thousand of them, from many addresses, do not
 * keep a client waiting.
 */
#include "tests/unit/running_worker.h"
#include "tests/unit/streams.h"

#include <sys/resource.h>
#include <sys/wait.h>

static int from(struct streams *s, uint8_t prefix)
{
    int pair[2];
    struct addr remote = addr_ipv4(198, 51, prefix, 1, 1234);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    connections_accept(s->connections, pair[1], STREAMS_LISTENER, &remote);
    return pair[0];
}

static void end(int *fds, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        close(fds[i]);
    }
}

/* Cap 16: from the ninth on, a prefix has two half open at most. */
static void threat_20_half_open_of_a_prefix_are_few_above_half_of_the_cap(void **state)
{
    struct streams *s = *state;
    uint8_t m[STUN_HEADER_LEN];
    int fds[16];
    unsigned count = 0;
    s->snapshot.streams.half_open_per_prefix = 2;
    while (count < 9) {
        fds[count++] = from(s, 1);
    }
    assert_int_equal(streams_ended(s, REASON_HALF_OPEN_CAP), 1);
    count--;
    close(fds[count]);
    fds[count++] = from(s, 2);
    fds[count++] = from(s, 2);
    close(from(s, 2));
    close(from(s, 1));
    assert_int_equal(streams_ended(s, REASON_HALF_OPEN_CAP), 3);
    /* Who has spoken has proven nothing. Who has an allocation is not half open any more. */
    streams_say(s, fds[count - 1], m, streams_binding(m, 1));
    close(from(s, 2));
    assert_int_equal(streams_ended(s, REASON_HALF_OPEN_CAP), 4);
    s->in_use = true;
    streams_say(s, fds[count - 1], m, streams_binding(m, 2));
    s->in_use = false;
    fds[count++] = from(s, 2);
    streams_assert_open(fds[count - 1]);
    assert_int_equal(streams_ended(s, REASON_HALF_OPEN_CAP), 4);
    end(fds, count);
}

static void threat_20_all_together_are_capped(void **state)
{
    struct streams *s = *state;
    int fds[40];
    for (uint8_t i = 0; i < 40; i++) {
        fds[i] = from(s, i);
    }
    assert_int_equal(streams_ended(s, REASON_CONNECTION_CAP), 24);
    assert_int_equal(connections_count(s->connections), 16);
    end(fds, 40);
}

/* They come back as fast as they are thrown out, and never hold more than their deadline allows. */
static void threat_20_silent_and_slow_ones_are_thrown_out(void **state)
{
    struct streams *s = *state;
    uint8_t m[STUN_HEADER_LEN];
    int fds[16];
    streams_binding(m, 1);
    for (uint8_t i = 0; i < 16; i++) {
        fds[i] = from(s, i);
    }
    for (unsigned second = 0; second < 6; second++) {
        for (unsigned i = 0; i < 8; i++) {
            (void)!send(fds[i], m + second, 1, MSG_NOSIGNAL);
        }
        streams_turn(s);
        streams_later(s, 1000);
    }
    assert_int_equal(streams_ended(s, REASON_FRAME_TIMEOUT), 8);
    assert_int_equal(connections_count(s->connections), 8);
    streams_later(s, 24200);
    assert_int_equal(streams_ended(s, REASON_FIRST_MESSAGE_TIMEOUT), 8);
    assert_int_equal(connections_count(s->connections), 0);
    end(fds, 16);
}

static void threat_20_handshakes_that_do_not_end_are_thrown_out(void **state)
{
    struct streams *s = *state;
    int fds[16];
    s->listeners[STREAMS_LISTENER].transport = TRANSPORT_TLS;
    for (uint8_t i = 0; i < 16; i++) {
        fds[i] = from(s, i);
    }
    streams_later(s, 5200);
    assert_int_equal(streams_ended(s, REASON_HANDSHAKE_TIMEOUT), 16);
    end(fds, 16);
}

#define IDLE 5000
#define SLOW 5000

/* A process of its own, which needs as many descriptors again: connects, says so, then sends on
 * half of them a byte a second each until it is told to end. */
struct attacker {
    pid_t pid;
    int end; /* closed: end; a byte comes when all are connected */
};

static int attack(const struct addr *to, unsigned n)
{
    struct addr source = addr_ipv4(127, (uint8_t)(1 + n % 100), (uint8_t)(n / 100), 1, 0);
    struct sockaddr_storage sa;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    socklen_t len = addr_to_sockaddr(&source, &sa);
    if (fd < 0 || bind(fd, (struct sockaddr *)&sa, len) != 0) {
        return -1;
    }
    len = addr_to_sockaddr(to, &sa);
    return connect(fd, (struct sockaddr *)&sa, len) == 0 ? fd : -1;
}

static void attacker_run(const struct running *d, int end)
{
    static int fds[IDLE + SLOW];
    static const uint8_t hello[8] = {22, 3, 1, 2, 0, 1, 0, 1};
    uint8_t byte;
    for (unsigned i = 0; i < IDLE + SLOW; i++) {
        fds[i] = attack(&d->endpoints[1]->addr, i);
        if (fds[i] < 0) {
            _exit(1);
        }
    }
    (void)!send(end, "", 1, MSG_NOSIGNAL);
    for (unsigned n = 0; recv(end, &byte, 1, MSG_DONTWAIT) < 0; n += SLOW / 50) {
        for (unsigned i = n; i < n + SLOW / 50; i++) {
            unsigned second = i / SLOW % sizeof(hello);
            (void)!send(fds[IDLE + i % SLOW], hello + second, 1, MSG_NOSIGNAL);
        }
        usleep(20000);
    }
    _exit(0);
}

static struct attacker attacker_start(const struct running *d)
{
    struct attacker a;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    a.pid = fork();
    assert_true(a.pid >= 0);
    if (a.pid == 0) {
        close(pair[0]);
        attacker_run(d, pair[1]);
    }
    close(pair[1]);
    a.end = pair[0];
    return a;
}

static void attacker_end(struct attacker *a)
{
    int status;
    close(a->end);
    assert_int_equal(waitpid(a->pid, &status, 0), a->pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* A new client of TLS asks and is answered. Returns the milliseconds that it took. */
static uint64_t serve_one(const struct running *d, SSL_CTX *ctx)
{
    static const uint8_t binding[20] = {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 9};
    uint8_t got[512];
    const uint64_t begin = clock_now().mono_us;
    int fd = attack(&d->endpoints[1]->addr, 20000);
    SSL *ssl = SSL_new(ctx);
    assert_true(fd >= 0);
    assert_int_equal(SSL_set_fd(ssl, fd), 1);
    assert_int_equal(SSL_connect(ssl), 1);
    assert_int_equal(SSL_write(ssl, binding, sizeof(binding)), sizeof(binding));
    assert_true(SSL_read(ssl, got, sizeof(got)) > STUN_HEADER_LEN);
    SSL_free(ssl);
    close(fd);
    return (clock_now().mono_us - begin) / US_PER_MS;
}

static void threat_20_client_is_served_among_ten_thousand_within_a_second(void **state)
{
    struct rlimit files;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = files.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
    assert_int_equal(running_setup(state, 16384), 0);
    struct running *d = *state;
    /* Where files are few, half of them would do for fewer than these. */
    atomic_store(&d->sockets.connections, atomic_load(&d->sockets.left));
    SSL_CTX *ctx = test_client_ctx(TLS1_2_VERSION, TLS1_3_VERSION);
    struct attacker a = attacker_start(d);
    const struct counters *c = worker_counters(d->workers.items[0]);
    uint64_t slowest = 0;
    uint8_t byte;
    assert_int_equal(read(a.end, &byte, 1), 1);
    while (atomic_load(&c->metric[METRIC_CONNECTIONS_TLS]) < IDLE + SLOW) {
        usleep(1000);
    }
    for (unsigned i = 0; i < 8; i++) {
        uint64_t took = serve_one(d, ctx);
        slowest = took > slowest ? took : slowest;
        usleep(300000);
    }
    print_message("slowest of 8 among %d connections: %u ms\n", IDLE + SLOW, (unsigned)slowest);
    assert_true(slowest < 1000);
    assert_int_equal(atomic_load(&c->metric[METRIC_CONNECTIONS_TLS]), IDLE + SLOW + 8);
    assert_int_equal(atomic_load(&c->closed[REASON_CONNECTION_CAP]), 0);
    attacker_end(&a);
    SSL_CTX_free(ctx);
    running_teardown(state);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, streams_setup, streams_teardown)
    const struct CMUnitTest tests[] = {
        CASE(threat_20_half_open_of_a_prefix_are_few_above_half_of_the_cap),
        CASE(threat_20_all_together_are_capped),
        CASE(threat_20_silent_and_slow_ones_are_thrown_out),
        CASE(threat_20_handshakes_that_do_not_end_are_thrown_out),
        cmocka_unit_test(threat_20_client_is_served_among_ten_thousand_within_a_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
