/*
 * THREATS rows 4, 5 and 6 for the DTLS sessions of a worker, judged by a real relay/: a million
 * forged ClientHellos make no session, open no file and keep no memory; each prefix draws what its
 * answer budget allows, cookies and challenges together; our own addresses draw nothing.
 */
#include "tests/scenario/fixture.h"
#include "tests/scenario/resident.h"

#include <dirent.h>

#include "net/dtls_sessions.h"
#include "tests/tls/datagrams.h"
#include "tests/tls/server.h"

#define FLOOD   500000u /* of each kind */
#define WARM_UP 20000u
#define GROWTH  (1024u * 1024u)
#define VICTIMS 8u
#define PER_NET 1000u
/* Answers really leave, to the loopback addresses that were forged: nobody listens there. */
#define CLOSED_PORT 9

struct flood {
    struct fixture *f;
    struct test_server server;
    struct tls_context *tls;
    struct outbox *outbox;
    struct counters counters;
    struct io io;
    struct udp_endpoint *endpoint;
    struct udp_listener listener;
    struct net_snapshot snapshot;
    struct connection_counts *counts;
    struct dtls_sessions *sessions;
    SSL_CTX *client_ctx;
    struct test_dtls client;
};

static enum reason judge(void *ctx, const struct flow *flow)
{
    return relay_judge_source(((struct flood *)ctx)->f->w->worker[0].relay, flow);
}

static bool charge_handshake(void *ctx, const struct addr *source, const struct instant *now)
{
    return relay_charge_handshake(((struct flood *)ctx)->f->w->worker[0].relay, source, now);
}

static bool charge(void *ctx, const struct addr *source, const struct instant *now)
{
    return relay_charge_answer(((struct flood *)ctx)->f->w->worker[0].relay, source, now);
}

static void send_none(void *ctx, struct outbox *outbox)
{
}

static void begin(struct flood *d, struct fixture *f)
{
    static const uint8_t key[16] = {1};
    const struct addr any = addr_ipv4(127, 0, 0, 1, 0);
    *d = (struct flood){.f = f};
    f->settings.limits.unauthenticated_per_address =
        (struct rate){.count = 100, .period_s = 1, .burst = 100};
    f->settings.limits.unauthenticated_per_prefix =
        (struct rate){.count = PER_NET, .period_s = 1, .burst = PER_NET};
    fixture_restart(f);
    f->w->forget = true;
    test_server_init(&d->server);
    d->snapshot.tls = test_server_context(&d->server, TEST_SECRET);
    d->snapshot.dtls = (struct dtls_settings){.max_sessions = 1024,
        .half_open_per_prefix = 256,
        .handshake_timeout_ms = 5000,
        .idle_timeout_ms = 300000};
    d->outbox = calloc(1, sizeof(*d->outbox));
    outbox_init(d->outbox, send_none, NULL);
    assert_int_equal(io_init(&d->io, NULL, d->outbox, &d->counters), 0);
    d->io.handlers = (struct io_handlers){.ctx = d,
        .judge_source = judge,
        .charge_answer = charge,
        .charge_handshake = charge_handshake};
    d->io.now = f->w->now;
    d->io.now_known = true;
    assert_int_equal(udp_endpoint_open(&d->endpoint, &any, 1, 0), 0);
    d->listener = (struct udp_listener){.endpoint = d->endpoint, .fd = d->endpoint->fds[0]};
    d->counts = connection_counts_new(1024, key);
    const struct dtls_sessions_options options = {
        .io = &d->io, .counts = d->counts, .random = random_system(), .max = 1024};
    d->sessions = dtls_sessions_new(&options);
    dtls_sessions_set_snapshot(d->sessions, &d->snapshot);
    d->client_ctx = test_dtls_client_ctx(DTLS1_2_VERSION);
    test_dtls_init(&d->client, d->client_ctx, d->snapshot.tls);
}

static void end(struct flood *d)
{
    struct counters_sum sum = {0};
    counters_sum_add(&sum, &d->counters);
    assert_int_equal(counters_sum_imbalance(&sum), 0);
    dtls_sessions_end_all(d->sessions);
    dtls_sessions_free(d->sessions);
    connection_counts_free(d->counts);
    test_dtls_deinit(&d->client);
    SSL_CTX_free(d->client_ctx);
    udp_endpoint_close(d->endpoint);
    io_deinit(&d->io);
    free(d->outbox);
    tls_context_release(d->snapshot.tls);
    test_server_deinit(&d->server);
}

/* A datagram as the listener hands it over. */
static void receive(struct flood *d, const struct addr *remote, struct slice datagram)
{
    const struct packet p = {
        .bytes = datagram, .flow = {.local = d->f->w->server_ipv4, .remote = *remote}};
    counters_add(&d->counters, METRIC_RECEIVED_CLIENT, 1);
    assert_true(dtls_sessions_take(d->sessions, &d->listener, &p));
}

static struct test_datagram next_hello(struct flood *d)
{
    SSL_do_handshake(d->client.client);
    return test_queue_take(&d->client.to_server, 0);
}

/* Nine of ten forge the addresses of eight prefixes; the tenth comes from anywhere. */
static struct addr forge(struct world *w, unsigned i)
{
    const uint64_t dice = world_random(w);
    if (i % 10 != 0)
        return addr_ipv4(127, 184, (uint8_t)(i % VICTIMS), (uint8_t)dice, CLOSED_PORT);
    return addr_ipv4(
        127, (uint8_t)(dice % 184), (uint8_t)(dice >> 8), (uint8_t)(dice >> 16), CLOSED_PORT);
}

static void flood(struct flood *d, struct slice hello, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const struct addr remote = forge(d->f->w, i);
        receive(d, &remote, hello);
        d->f->w->now.mono_us += 10;
        d->io.now = d->f->w->now;
    }
}

static unsigned open_files(void)
{
    unsigned count = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static void test_threat_06_a_million_client_hellos_leave_nothing(void **state)
{
    static struct flood d; /* a fake stack of ASan does not align it */
    begin(&d, *state);
    struct test_datagram first = next_hello(&d);
    test_dtls_deliver(&d.client, slice_of(first.data, first.len));
    struct test_datagram foreign = next_hello(&d); /* with the cookie of another address */
    flood(&d, slice_of(first.data, first.len), WARM_UP);
    const size_t before = resident();
    const unsigned files = open_files();
    flood(&d, slice_of(first.data, first.len), FLOOD);
    flood(&d, slice_of(foreign.data, foreign.len), FLOOD);
    assert_true(resident() < before + GROWTH);
    assert_int_equal(open_files(), files);
    assert_int_equal(dtls_sessions_count(d.sessions), 0);
    assert_int_equal(d.counters.metric[METRIC_CONNECTIONS_DTLS], 0);
    assert_true(d.counters.metric[METRIC_DTLS_COOKIES] > FLOOD / 10);
    free(first.data);
    free(foreign.data);
    end(&d);
}

/* A challenge for each of the forged requests, as far as the budget goes. */
static unsigned challenges(struct flood *d, unsigned victim, unsigned count)
{
    struct client c;
    struct request q;
    client_init(&c, d->f->w, 1);
    const uint64_t before = d->f->w->replies;
    for (unsigned i = 0; i < count; i++) {
        c.addr = addr_ipv4(127, 184, (uint8_t)victim, (uint8_t)i, CLOSED_PORT);
        request_begin(&q, &c, STUN_REQUEST, STUN_ALLOCATE);
        request_close(&q);
        client_send_raw(&c, q.bytes, q.len);
    }
    return (unsigned)(d->f->w->replies - before);
}

static void test_threat_04_cookies_and_challenges_share_the_budget_of_a_prefix(void **state)
{
    static struct flood d; /* a fake stack of ASan does not align it */
    begin(&d, *state);
    struct test_datagram hello = next_hello(&d);
    uint64_t cookies[VICTIMS] = {0}, drawn = 0;
    for (unsigned i = 0; i < 100000; i++) {
        const struct addr remote =
            addr_ipv4(127, 184, (uint8_t)(i % VICTIMS), (uint8_t)(i / VICTIMS), CLOSED_PORT);
        receive(&d, &remote, slice_of(hello.data, hello.len));
        cookies[i % VICTIMS] += d.counters.metric[METRIC_DTLS_COOKIES] - drawn;
        drawn = d.counters.metric[METRIC_DTLS_COOKIES];
        d.f->w->now.mono_us += 10;
        d.io.now = d.f->w->now;
    }
    for (unsigned i = 0; i < VICTIMS; i++) {
        /* Burst and one second of the rate; and the budget is there to be used. */
        assert_in_range(cookies[i], PER_NET, 2 * PER_NET);
        assert_in_range(cookies[i] + challenges(&d, i, 2000), PER_NET, 2 * PER_NET + 1);
    }
    assert_int_equal(d.counters.dropped[REASON_ANSWER_BUDGET], 100000 - drawn);
    free(hello.data);
    end(&d);
}

static void test_threat_05_our_own_addresses_draw_no_cookie(void **state)
{
    static struct flood d; /* a fake stack of ASan does not align it */
    begin(&d, *state);
    d.f->w->forget = false;
    const struct addr relayed = fixture_allocate(&d.f->a);
    struct test_datagram hello = next_hello(&d);
    for (unsigned i = 0; i < 1000; i++) {
        const struct addr sources[] = {relayed, d.f->w->server_ipv4};
        receive(&d, &sources[i % 2], slice_of(hello.data, hello.len));
    }
    assert_int_equal(d.counters.dropped[REASON_SOURCE_IS_OURS], 1000);
    assert_int_equal(d.counters.metric[METRIC_DTLS_COOKIES], 0);
    assert_int_equal(d.counters.metric[METRIC_SEND_CALLS], 0);
    free(hello.data);
    end(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_threat_06_a_million_client_hellos_leave_nothing),
        SCENARIO(test_threat_04_cookies_and_challenges_share_the_budget_of_a_prefix),
        SCENARIO(test_threat_05_our_own_addresses_draw_no_cookie),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
