/*
 * Usage records: the deltas of all records of an allocation are its totals, and the totals of all
 * allocations what the relay has counted, whatever room there is for records.
 */
#include "tests/scenario/fixture.h"

#include <limits.h>

#include "relay/usage.h"

#define EVERY_S 10

/* What records of one allocation have said so far. */
struct account {
    uint64_t allocation;
    uint32_t records;
    bool ended;
    uint8_t reason;
    struct usage_traffic sum;
};

struct books {
    struct account *accounts;
    size_t count, cap;
    struct usage_traffic sum; /* of all deltas */
    uint64_t lost, live, ends;
    struct usage_record last;
};

static struct books books;
static struct usage_ring *rings[WORLD_WORKERS_MAX];

static struct account *account_of(uint64_t allocation)
{
    for (size_t i = books.count; i > 0; i--) {
        if (books.accounts[i - 1].allocation == allocation)
            return &books.accounts[i - 1];
    }
    if (books.count == books.cap) {
        books.cap = books.cap ? books.cap * 2 : 64;
        books.accounts = realloc(books.accounts, books.cap * sizeof(books.accounts[0]));
        assert_non_null(books.accounts);
    }
    books.accounts[books.count] = (struct account){.allocation = allocation};
    return &books.accounts[books.count++];
}

static void add(struct usage_traffic *sum, const struct usage_traffic *t)
{
    sum->packets_to_peer += t->packets_to_peer;
    sum->bytes_to_peer += t->bytes_to_peer;
    sum->packets_to_client += t->packets_to_client;
    sum->bytes_to_client += t->bytes_to_client;
    sum->dropped_to_peer += t->dropped_to_peer;
    sum->dropped_to_client += t->dropped_to_client;
}

static void enter(const struct usage_record *r)
{
    add(&books.sum, &r->delta);
    if (r->kind == USAGE_LOST) {
        assert_memory_equal(&r->delta, &r->total, sizeof(r->total));
        books.lost += r->lost;
        return;
    }
    struct account *a = account_of(r->allocation);
    assert_false(a->ended);
    assert_int_equal(r->sequence, ++a->records);
    add(&a->sum, &r->delta);
    assert_memory_equal(&a->sum, &r->total, sizeof(a->sum));
    a->ended = r->kind == USAGE_END;
    a->reason = r->reason;
    books.live += r->kind == USAGE_LIVE;
    books.ends += r->kind == USAGE_END;
    memcpy(&books.last, r, offsetof(struct usage_record, user) + r->user_len);
}

/* At most so many of a worker. */
static void take(unsigned worker, unsigned most)
{
    const struct usage_record *r;
    while (most-- > 0 && (r = usage_ring_peek(rings[worker]))) {
        enter(r);
        usage_ring_pass(rings[worker]);
    }
}

static void take_all(void)
{
    for (unsigned i = 0; i < WORLD_WORKERS_MAX; i++) {
        if (rings[i])
            take(i, UINT_MAX);
    }
}

/* A world with records, and rings of so many places. */
static void begin(struct fixture *f, unsigned workers, uint32_t places)
{
    f->settings.workers = workers;
    f->settings.usage_every_s = EVERY_S;
    for (unsigned i = 0; i < workers; i++) {
        rings[i] = usage_ring_new(places);
        assert_non_null(rings[i]);
        f->settings.usage[i] = rings[i];
    }
    fixture_restart(f);
}

static int set_up(void **state)
{
    memset(&books, 0, sizeof(books));
    memset(rings, 0, sizeof(rings));
    return fixture_set_up(state);
}

static int tear_down(void **state)
{
    const int r = fixture_tear_down(state);
    for (unsigned i = 0; i < WORLD_WORKERS_MAX; i++)
        usage_ring_free(rings[i]);
    free(books.accounts);
    return r;
}

static void test_usage_of_an_allocation_is_told_while_it_lives_and_at_its_end(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    begin(f, 1, 64);
    const struct addr relayed = fixture_allocate(&f->a);
    const int64_t began_ms = instant_wall_ms(&f->w->now);
    take_all();
    assert_int_equal(books.count, 0);
    assert_false(fixture_to_peer(&f->a, &peer, "no permission"));
    assert_int_equal(client_permit(&f->a, &peer), 200);
    assert_true(fixture_to_peer(&f->a, &peer, "seven b"));
    assert_true(fixture_from_peer(&f->a, &peer, &relayed, "in"));
    world_advance(f->w, EVERY_S + 1);
    take_all();
    assert_int_equal(books.live, 1);
    const struct usage_record *r = &books.last;
    assert_int_equal(r->kind, USAGE_LIVE);
    assert_int_equal(r->transport, TRANSPORT_UDP);
    assert_int_equal(r->source, AUTH_SOURCE_STATIC);
    assert_int_equal(r->realm, REALM_PLAIN);
    assert_int_equal(r->user_len, 5);
    assert_memory_equal(r->user, "alice", 5);
    assert_true(addr_equal(&r->client, &f->a.addr));
    assert_int_equal(r->relayed_count, 1);
    assert_true(addr_equal(&r->relayed[0], &relayed));
    assert_int_equal(r->started_ms, began_ms);
    assert_in_range(r->age_ms, EVERY_S * 1000 - 1000, EVERY_S * 1000 + 2000);
    assert_int_equal(r->at_ms, r->started_ms + (int64_t)r->age_ms);
    const struct usage_traffic first = {1, 7, 1, 2, 1, 0};
    assert_memory_equal(&r->delta, &first, sizeof(first));
    /* It is told of where nothing has passed, too. */
    world_advance(f->w, EVERY_S);
    take_all();
    assert_int_equal(books.live, 2);
    assert_true(fixture_to_peer(&f->a, &peer, "more"));
    assert_int_equal(client_refresh(&f->a, 0, NULL), 200);
    take_all();
    assert_int_equal(books.ends, 1);
    assert_int_equal(r->kind, USAGE_END);
    assert_int_equal(r->reason, END_DELETED);
    assert_true(r->delta.packets_to_peer == 1 && r->delta.bytes_to_peer == 4);
    assert_true(r->delta.packets_to_client == 0 && r->total.packets_to_client == 1);
    assert_int_equal(r->sequence, 3);
}

static void test_usage_names_the_relayed_addresses_that_there_were(void **state)
{
    struct fixture *f = *state;
    struct response r;
    begin(f, 1, 64);
    client_challenge(&f->a);
    assert_int_equal(CLIENT_ASK(&f->a, STUN_ALLOCATE, &r, ATTR_UDP, ATTR_BOTH), 200);
    assert_int_equal(r.relayed_count, 2);
    assert_int_equal(CLIENT_ASK(&f->a, STUN_REFRESH, NULL, ATTR_LIFETIME("\0\0\0\0"),
                         {STUN_ATTR_REQUESTED_ADDRESS_FAMILY, 4, "\x01\0\0\0"}),
        200);
    assert_int_equal(client_refresh(&f->a, 0, NULL), 200);
    take_all();
    assert_int_equal(books.last.relayed_count, 2);
    for (unsigned i = 0; i < 2; i++)
        assert_true(addr_equal(&books.last.relayed[i], &r.relayed[i]));
}

static void test_usage_full_ring_keeps_the_deltas_for_the_next_record(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    struct client more[8];
    begin(f, 1, 4);
    fixture_allocate(&f->a);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    for (unsigned i = 0; i < 8; i++) {
        client_init(&more[i], f->w, 20 + i);
        fixture_allocate(&more[i]);
    }
    for (unsigned round = 0; round < 5; round++) {
        assert_true(fixture_to_peer(&f->a, &peer, "media"));
        world_advance(f->w, EVERY_S);
    }
    /* One place is left for ends. */
    assert_int_equal(usage_ring_room(rings[0]), 1);
    assert_true(world_metric(f->w, METRIC_USAGE_DEFERRED) > 0);
    for (unsigned round = 0; round < 10; round++) {
        take_all();
        world_advance(f->w, 1);
    }
    /* In its next record is all that has come meanwhile. */
    assert_true(books.live >= 9);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(client_refresh(&more[i], 0, NULL), 200);
    /* Ends wait in the worker, and the next does not overtake them. */
    assert_int_equal(usage_ring_room(rings[0]), 0);
    take(0, 1);
    assert_int_equal(client_refresh(&f->a, 0, NULL), 200);
    assert_int_equal(usage_ring_room(rings[0]), 1);
    for (unsigned round = 0; round < 5; round++) {
        take_all();
        world_advance(f->w, 1);
    }
    assert_int_equal(books.ends, 9);
    assert_int_equal(books.lost, 0);
    assert_int_equal(books.sum.bytes_to_peer, 25);
}

static void test_usage_ends_beyond_all_room_are_told_by_realm(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    f->settings.max_allocations = 4;
    begin(f, 1, 2);
    /* Two in the ring, four that wait. */
    for (unsigned i = 0; i < 9; i++) {
        struct client c;
        client_init(&c, f->w, 20 + i);
        fixture_allocate(&c);
        assert_int_equal(client_permit(&c, &peer), 200);
        assert_true(fixture_to_peer(&c, &peer, "media"));
        assert_int_equal(client_refresh(&c, 0, NULL), 200);
    }
    assert_int_equal(world_metric(f->w, METRIC_USAGE_LOST), 3);
    for (unsigned round = 0; round < 5; round++) {
        take_all();
        world_advance(f->w, 1);
    }
    assert_int_equal(books.ends, 6);
    assert_int_equal(books.lost, 3);
    assert_int_equal(books.sum.packets_to_peer, 9);
    assert_int_equal(books.sum.bytes_to_peer, 45);
}

static void test_usage_shutdown_tells_everything(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    f->settings.max_allocations = 64;
    begin(f, 1, 2);
    for (unsigned i = 0; i < 40; i++) {
        struct client c;
        client_init(&c, f->w, 20 + i);
        fixture_allocate(&c);
        assert_int_equal(client_permit(&c, &peer), 200);
        assert_true(fixture_to_peer(&c, &peer, "media"));
    }
    world_free(f->w);
    take_all();
    memset(f->settings.usage, 0, sizeof(f->settings.usage));
    fixture_begin(f);
    assert_int_equal(books.ends, 40);
    assert_int_equal(books.last.reason, END_SHUTDOWN);
    assert_int_equal(books.sum.bytes_to_peer, 200);
}

/* As control does that waits for Redis: the workers are there still. */
static void test_usage_end_of_all_allocations_is_told_as_there_is_room(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    unsigned calls = 1;
    f->settings.max_allocations = 64;
    begin(f, 1, 2);
    for (unsigned i = 0; i < 7; i++) {
        struct client c;
        client_init(&c, f->w, 20 + i);
        fixture_allocate(&c);
        assert_int_equal(client_permit(&c, &peer), 200);
        assert_true(fixture_to_peer(&c, &peer, "media"));
    }
    const struct instant now = f->w->now;
    for (; relay_end_allocations(f->w->worker[0].relay, &now); calls++) {
        assert_int_equal(world_allocations(f->w), 0);
        assert_int_equal(usage_ring_room(rings[0]), 0);
        take_all();
        assert_true(calls < 10);
    }
    take_all();
    assert_int_equal(calls, 4);
    assert_int_equal(books.ends, 7);
    assert_int_equal(books.last.reason, END_SHUTDOWN);
    assert_int_equal(books.sum.bytes_to_peer, 35);
    world_free(f->w);
    take_all();
    memset(f->settings.usage, 0, sizeof(f->settings.usage));
    fixture_begin(f);
    assert_int_equal(books.ends, 7);
}

static void test_usage_switched_by_a_reload(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    begin(f, 1, 64);
    f->settings.usage_every_s = 0;
    world_reload(f->w, &f->settings);
    fixture_allocate(&f->a);
    fixture_allocate(&f->b);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    assert_true(fixture_to_peer(&f->a, &peer, "before"));
    world_advance(f->w, EVERY_S * 2);
    assert_int_equal(client_refresh(&f->b, 0, NULL), 200);
    take_all();
    assert_int_equal(books.count, 0);
    f->settings.usage_every_s = EVERY_S;
    world_reload(f->w, &f->settings);
    world_advance(f->w, EVERY_S + 1);
    assert_int_equal(client_refresh(&f->a, 0, NULL), 200);
    take_all();
    assert_true(books.live == 1 && books.ends == 1);
    assert_int_equal(books.sum.bytes_to_peer, 6);
}

/* Of a thousand slots none waits longer than `every` for its next record, and a tick is short. */
static void test_usage_everybody_is_told_of_once_in_every(void **state)
{
    struct fixture *f = *state;
    f->settings.max_allocations = 512;
    f->settings.limits.quota.allocations_per_user = 0;
    begin(f, 1, 1024);
    for (unsigned i = 0; i < 300; i++) {
        struct client c;
        client_init(&c, f->w, 20 + i);
        fixture_allocate(&c);
        world_clear(f->w);
    }
    world_advance_ms(f->w, EVERY_S * 1000);
    take_all();
    assert_true(books.count == 300);
    for (unsigned s = 0; s < EVERY_S; s++) {
        const uint64_t before = books.live;
        world_advance(f->w, 1);
        take_all();
        assert_in_range(books.live - before, 20, 40);
    }
    for (size_t i = 0; i < books.count; i++)
        assert_in_range(books.accounts[i].records, 2, 3);
}

/* Clients that come and go, on three workers, with a reader that is often too slow. */
static void test_usage_of_a_thousand_allocations_is_what_the_relay_has_counted(void **state)
{
    enum { CLIENTS = 40, ALLOCATIONS = 1000 };
    static const char payload[1200];
    struct fixture *f = *state;
    struct client c[CLIENTS];
    struct addr relayed[CLIENTS] = {{0}};
    const struct addr peer = world_peer(1, 5000);
    unsigned made = 0;
    f->settings.max_allocations = 64;
    begin(f, 3, 8);
    for (unsigned i = 0; i < CLIENTS; i++)
        client_init(&c[i], f->w, 20 + i);
    while (made < ALLOCATIONS) {
        const unsigned i = (unsigned)(world_random(f->w) % CLIENTS);
        const size_t len = world_random(f->w) % sizeof(payload);
        const uint64_t what = world_random(f->w) % 100;
        if (relayed[i].family == ADDR_NONE) {
            relayed[i] = fixture_allocate(&c[i]);
            made++;
            if (what < 90)
                (void)client_permit(&c[i], &peer);
        } else if (what < 12) {
            if (client_refresh(&c[i], 0, NULL) == 438)
                (void)client_refresh(&c[i], 0, NULL);
            relayed[i] = (struct addr){0};
        } else if (what < 50) {
            client_indicate(&c[i], &peer, payload, len);
        } else if (what < 90) {
            world_from_peer(f->w, &peer, &relayed[i], slice_of(payload, len), 0);
        } else if (what < 95) {
            world_advance_ms(f->w, 300);
        } else {
            take((unsigned)(what % 3), 5);
        }
        world_clear(f->w);
    }
    const struct usage_traffic counted = {
        .packets_to_peer = world_metric(f->w, METRIC_RELAYED_TO_PEER),
        .bytes_to_peer = world_metric(f->w, METRIC_BYTES_TO_PEER),
        .packets_to_client = world_metric(f->w, METRIC_RELAYED_TO_CLIENT),
    };
    const uint64_t dropped = world_dropped(f->w, REASON_NO_PERMISSION);
    const uint64_t lost = world_metric(f->w, METRIC_USAGE_LOST);
    assert_true(world_metric(f->w, METRIC_USAGE_DEFERRED) > 0);
    world_free(f->w);
    take_all();
    memset(f->settings.usage, 0, sizeof(f->settings.usage));
    fixture_begin(f);
    assert_int_equal(books.ends + books.lost, made);
    assert_int_equal(books.lost, lost);
    assert_true(counted.packets_to_peer > 1000 && dropped > 0);
    assert_int_equal(books.sum.packets_to_peer, counted.packets_to_peer);
    assert_int_equal(books.sum.bytes_to_peer, counted.bytes_to_peer);
    assert_int_equal(books.sum.packets_to_client, counted.packets_to_client);
    assert_int_equal(books.sum.dropped_to_peer + books.sum.dropped_to_client, dropped);
    for (size_t i = 0; i < books.count; i++)
        assert_true(books.accounts[i].ended || lost > 0);
}

#define USAGE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        USAGE(test_usage_of_an_allocation_is_told_while_it_lives_and_at_its_end),
        USAGE(test_usage_names_the_relayed_addresses_that_there_were),
        USAGE(test_usage_full_ring_keeps_the_deltas_for_the_next_record),
        USAGE(test_usage_ends_beyond_all_room_are_told_by_realm),
        USAGE(test_usage_shutdown_tells_everything),
        USAGE(test_usage_end_of_all_allocations_is_told_as_there_is_room),
        USAGE(test_usage_switched_by_a_reload),
        USAGE(test_usage_everybody_is_told_of_once_in_every),
        USAGE(test_usage_of_a_thousand_allocations_is_what_the_relay_has_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
