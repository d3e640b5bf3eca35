/*
 * THREATS row 6: nothing is kept for a client that has not proven its address. A million forged
 * Allocates, each from another address, leave the resident memory where it was (+ 1 MiB at most)
 * and open no socket.
 */
#include "tests/scenario/fixture.h"
#include "tests/scenario/resident.h"

#define FLOOD   1000000u
#define WARM_UP 20000u
#define GROWTH  (1024u * 1024u)

static uint64_t answered;

/* In place of the fake network, which keeps what it is given. */
static void count_only(void *ctx, struct outbox *outbox)
{
    answered += outbox->count;
}

/* Nine of ten forge the addresses of eight prefixes, whose budgets they use up; the tenth comes
 * from anywhere. */
static struct addr forge(struct world *w, unsigned i)
{
    const uint64_t dice = world_random(w);
    const uint16_t port = (uint16_t)(1024 + (dice >> 32) % 60000);
    if (i % 10 != 0)
        return addr_ipv4(93, 184, (uint8_t)(dice % 8), (uint8_t)(dice >> 8), port);
    return addr_ipv4((uint8_t)(11 + dice % 80), (uint8_t)(dice >> 8), (uint8_t)(dice >> 16),
        (uint8_t)(dice >> 24), port);
}

static void flood(struct fixture *f, const uint8_t *request, size_t len, unsigned count)
{
    struct world_worker *k = &f->w->worker[0];
    for (unsigned i = 0; i < count; i++) {
        const struct packet p = {.bytes = slice_of(request, len),
            .flow = {.local = f->w->server_ipv4, .remote = forge(f->w, i)}};
        counters_add(&k->counters, METRIC_RECEIVED_CLIENT, 1);
        relay_from_client(k->relay, &p, &f->w->now);
        outbox_flush(&k->outbox);
        f->w->now.mono_us += 10;
    }
}

static void survive(struct fixture *f, const struct request *q)
{
    f->settings.limits.unauthenticated_per_address =
        (struct rate){.count = 100, .period_s = 1, .burst = 100};
    f->settings.limits.unauthenticated_per_prefix =
        (struct rate){.count = 1000, .period_s = 1, .burst = 1000};
    fixture_restart(f);
    struct outbox *outbox = &f->w->worker[0].outbox;
    outbox->send = count_only;
    answered = 0;
    flood(f, q->bytes, q->len, WARM_UP);
    const size_t before = resident();
    flood(f, q->bytes, q->len, FLOOD);
    const size_t after = resident();
    assert_true(after < before + GROWTH);
    assert_true(answered > FLOOD / 10);
    assert_int_equal(world_allocations(f->w), 0);
    assert_int_equal(f->w->sockets.opened, 0);
    assert_int_equal(world_ports_claimed(f->w), 0);
    outbox->send = world_send_outbox;
    fixture_allocate(&f->a);
}

static void test_a_million_forged_allocates_leave_nothing(void **state)
{
    struct fixture *f = *state;
    struct request q;
    request_begin(&q, &f->a, STUN_REQUEST, STUN_ALLOCATE);
    request_transport(&q, 17);
    request_close(&q);
    survive(f, &q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_a_million_forged_allocates_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
