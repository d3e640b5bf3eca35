/*
 * Draining: who is new is sent elsewhere or refused, who is in notices nothing until the deadline,
 * and nothing is charged for what is refused (RFC 8489 section 10, RFC 8656 section 7.2).
 */
#include "tests/scenario/fixture.h"

#define DEADLINE_S 3000

static struct addr alternate(uint8_t n, uint16_t port)
{
    return addr_ipv4(192, 0, 2, n, port);
}

static struct addr alternate6(uint8_t n, uint16_t port)
{
    return (struct addr){
        .family = ADDR_IPV6, .port = port, .ip = {0x20, 0x01, 0x0d, 0xb8, 0, 7, [15] = n}};
}

static void add(struct fixture *f, struct addr server)
{
    struct drain_alternates *all = &f->settings.drain.alternates;
    all->servers[all->count++] = server;
}

static void drain(struct fixture *f)
{
    f->settings.drain.on = true;
    f->settings.drain.deadline_us = f->w->now.mono_us + DEADLINE_S * US_PER_S;
    world_reload(f->w, &f->settings);
}

/* With a fresh nonce where it wants one. */
static int refresh(struct client *c)
{
    const int code = client_refresh(c, 600, NULL);
    return code == 438 ? client_refresh(c, 600, NULL) : code;
}

static void undo(struct fixture *f)
{
    f->settings.drain.on = false;
    world_reload(f->w, &f->settings);
}

/* The n-th ALTERNATE-SERVER, family ADDR_NONE: there is none. */
static struct addr told(const struct response *r, unsigned n)
{
    struct slice value;
    struct addr out = {0};
    unsigned at = 0;
    while (stun_next(&r->msg, STUN_ATTR_ALTERNATE_SERVER, &at, &value)) {
        if (n-- == 0) {
            assert_true(stun_read_addr(value, &out));
            return out;
        }
    }
    return (struct addr){0};
}

static bool is_told(const struct response *r, unsigned n, struct addr server)
{
    const struct addr got = told(r, n);
    return addr_equal(&got, &server);
}

static void test_drain_without_alternates_refuses_with_508(void **state)
{
    struct fixture *f = *state;
    struct response r;
    f->settings.limits.quota.allocations_per_user = 1;
    fixture_allocate(&f->a);
    drain(f);
    struct client second;
    client_init(&second, f->w, 9); /* over her quota as well */
    assert_int_equal(client_allocate(&second, &r), 508);
    assert_true(r.integrity);
    assert_int_equal(client_allocate(&f->b, &r), 508);
    assert_int_equal(told(&r, 0).family, ADDR_NONE);
    assert_int_equal(world_refused(f->w, REASON_DRAINING), 2);
    assert_int_equal(world_refused(f->w, REASON_QUOTA_USER), 0);
    assert_int_equal(world_allocations(f->w), 1);
}

static void test_drain_sends_elsewhere_by_family_of_the_client(void **state)
{
    struct fixture *f = *state;
    struct response r;
    add(f, alternate6(1, 3479));
    add(f, alternate(1, 3480));
    drain(f);
    assert_int_equal(client_allocate(&f->a, &r), 300);
    assert_true(r.integrity);
    assert_true(is_told(&r, 0, alternate(1, 3480)));
    assert_true(is_told(&r, 1, alternate6(1, 3479)));
    assert_int_equal(told(&r, 2).family, ADDR_NONE);
    client_set_ipv6(&f->b, 2);
    assert_int_equal(client_allocate(&f->b, &r), 300);
    assert_true(is_told(&r, 0, alternate6(1, 3479)));
    assert_true(is_told(&r, 1, alternate(1, 3480)));
    assert_int_equal(world_refused(f->w, REASON_DRAINING), 2);
}

static void test_drain_without_an_alternate_of_the_family_refuses(void **state)
{
    struct fixture *f = *state;
    struct response r;
    add(f, alternate6(1, 0));
    drain(f);
    assert_int_equal(client_allocate(&f->a, &r), 508);
    assert_int_equal(told(&r, 0).family, ADDR_NONE);
}

static void test_drain_without_a_port_names_the_port_of_the_listener(void **state)
{
    struct fixture *f = *state;
    struct response r;
    add(f, alternate(1, 0));
    drain(f);
    assert_int_equal(client_allocate(&f->a, &r), 300);
    assert_true(is_told(&r, 0, alternate(1, f->a.server.port)));
}

/* One list for a whole fleet names this server too. */
static void test_drain_never_sends_to_itself(void **state)
{
    struct fixture *f = *state;
    struct response r;
    struct addr self = f->w->settings.server_ipv4;
    add(f, self);
    self.port = 0;
    add(f, self);
    drain(f);
    assert_int_equal(client_allocate(&f->a, &r), 508);
    add(f, alternate(1, 0));
    world_reload(f->w, &f->settings);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(client_allocate(&f->a, &r), 300);
        assert_true(is_told(&r, 0, alternate(1, f->a.server.port)));
    }
}

static void test_drain_spreads_clients_and_repeats_itself_to_one(void **state)
{
    struct fixture *f = *state;
    struct response r;
    unsigned seen[4] = {0};
    for (uint8_t i = 1; i <= 4; i++)
        add(f, alternate(i, 3478));
    drain(f);
    assert_int_equal(client_challenge(&f->a), 401);
    for (unsigned i = 0; i < 60; i++) {
        struct request q;
        struct addr first;
        request_begin(&q, &f->a, STUN_REQUEST, STUN_ALLOCATE);
        request_transport(&q, 17);
        request_finish(&q, &f->a);
        assert_int_equal(client_send(&f->a, &q, &r), 300);
        first = told(&r, 0);
        assert_int_equal(client_send(&f->a, &q, &r), 300);
        assert_true(is_told(&r, 0, first));
        assert_in_range(first.ip[3], 1, 4);
        seen[first.ip[3] - 1]++;
        world_clear(f->w);
    }
    for (unsigned i = 0; i < 4; i++)
        assert_true(seen[i] > 0);
}

static struct slice domain_of(const struct response *r)
{
    struct slice value = {0};
    (void)stun_find(&r->msg, STUN_ATTR_ALTERNATE_DOMAIN, &value);
    return value;
}

static void test_drain_tells_the_domain_over_tls_and_sha256_only(void **state)
{
    static const char domain[] = "other.example";
    static const struct {
        uint8_t transport;
        enum client_auth auth;
        bool told;
    } rows[] = {{TRANSPORT_UDP, CLIENT_SHA256, false}, {TRANSPORT_TCP, CLIENT_SHA256, false},
        {TRANSPORT_TLS, CLIENT_SHA256, true}, {TRANSPORT_DTLS, CLIENT_SHA256, true},
        {TRANSPORT_TLS, CLIENT_MD5, false}};
    struct fixture *f = *state;
    add(f, alternate(1, 0));
    memcpy(f->settings.drain.alternates.domain, domain, sizeof(domain));
    drain(f);
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct client c;
        struct response r;
        client_init(&c, f->w, 20 + i);
        c.transport = rows[i].transport;
        c.auth = rows[i].auth;
        c.connection = transport_is_stream(c.transport) ? 1 : 0;
        assert_int_equal(client_allocate(&c, &r), 300);
        assert_true(slice_equal(domain_of(&r), slice_of_string(rows[i].told ? domain : "")));
    }
}

static void test_drain_challenges_strangers_as_ever(void **state)
{
    struct fixture *f = *state;
    struct response r;
    add(f, alternate(1, 0));
    drain(f);
    assert_int_equal(client_challenge(&f->a), 401);
    client_set_user(&f->a, "alice", "wrong");
    assert_int_equal(client_allocate(&f->a, &r), 401);
    assert_int_equal(told(&r, 0).family, ADDR_NONE);
    assert_int_equal(client_binding(&f->b, NULL), 200);
    assert_int_equal(world_refused(f->w, REASON_DRAINING), 0);
}

static void test_drain_leaves_everything_alone_that_lives(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000), other = world_peer(2, 5000);
    const struct addr relayed = fixture_allocate(&f->a);
    assert_int_equal(client_bind(&f->a, 0x4000, &peer), 200);
    drain(f);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(refresh(&f->a), 200);
        assert_true(fixture_channel_to_peer(&f->a, 0x4000, &peer, "out"));
        assert_true(fixture_from_peer(&f->a, &peer, &relayed, "in"));
        assert_int_equal(client_permit(&f->a, &other), 200);
        assert_true(fixture_to_peer(&f->a, &other, "said"));
        assert_int_equal(client_bind(&f->a, 0x4001, &other), 200);
        assert_int_equal(client_bind(&f->a, 0x4000, &peer), 200);
        world_advance(f->w, 200);
    }
    assert_int_equal(world_allocations(f->w), 1);
    assert_int_equal(refresh(&f->a), 200);
    assert_int_equal(client_refresh(&f->a, 0, NULL), 200);
    assert_int_equal(world_allocations(f->w), 0);
    assert_int_equal(client_allocate(&f->a, NULL), 508); /* its place is gone */
}

/* "the server can stop parsing the request and immediately generate a success response" (RFC 8656
 * section 7.2): its first answer was lost, and the drain came. */
static void test_drain_answers_a_repeated_allocate_as_before(void **state)
{
    struct fixture *f = *state;
    struct request q;
    struct response r;
    assert_int_equal(client_challenge(&f->a), 401);
    request_begin(&q, &f->a, STUN_REQUEST, STUN_ALLOCATE);
    request_transport(&q, 17);
    request_finish(&q, &f->a);
    assert_int_equal(client_send(&f->a, &q, &r), 200);
    const struct addr relayed = r.relayed[0];
    drain(f);
    assert_int_equal(client_send(&f->a, &q, &r), 200);
    assert_true(addr_equal(&r.relayed[0], &relayed));
}

static void test_drain_lets_a_reserved_port_be_claimed(void **state)
{
    struct fixture *f = *state;
    struct response r;
    assert_int_equal(CLIENT_ASK(&f->a, STUN_ALLOCATE, &r, ATTR_UDP, ATTR_EVEN_PAIR), 200);
    assert_true(r.has_token);
    add(f, alternate(1, 0));
    drain(f);
    struct client second;
    client_init(&second, f->w, 9);
    assert_int_equal(CLIENT_ASK(&second, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_TOKEN(r.token)), 200);
    assert_int_equal(CLIENT_ASK(&f->b, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_EVEN_PAIR), 300);
}

static void test_drain_refuses_what_is_malformed_as_ever(void **state)
{
    struct fixture *f = *state;
    drain(f);
    assert_int_equal(CLIENT_ASK(&f->a, STUN_ALLOCATE, NULL, ATTR_EVEN), 400);
    assert_int_equal(client_refresh(&f->a, 600, NULL), 437);
}

static void test_drain_ends_nothing_before_its_deadline_and_all_at_it(void **state)
{
    struct fixture *f = *state;
    f->settings.workers = 2;
    fixture_restart(f);
    const struct addr peer = world_peer(1, 5000);
    f->b.worker = 1;
    fixture_allocate(&f->a);
    fixture_allocate(&f->b);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    drain(f);
    for (unsigned i = 0; i < DEADLINE_S / 200 - 1; i++) {
        world_advance(f->w, 200);
        assert_int_equal(refresh(&f->a), 200);
        assert_int_equal(refresh(&f->b), 200);
        assert_int_equal(client_permit(&f->a, &peer), 200);
    }
    world_advance(f->w, 199);
    assert_int_equal(world_allocations(f->w), 2);
    assert_true(fixture_to_peer(&f->a, &peer, "the last"));
    assert_int_equal(world_metric(f->w, METRIC_END_DRAINED), 0);
    world_advance(f->w, 1);
    assert_int_equal(world_allocations(f->w), 0);
    assert_int_equal(world_metric(f->w, METRIC_END_DRAINED), 2);
    assert_int_equal(refresh(&f->a), 437);
}

static void test_drain_that_is_undone_lets_in_and_ends_nothing(void **state)
{
    struct fixture *f = *state;
    fixture_allocate(&f->a);
    drain(f);
    assert_int_equal(client_allocate(&f->b, NULL), 508);
    undo(f);
    fixture_allocate(&f->b);
    for (unsigned i = 0; i < DEADLINE_S / 500 + 1; i++) {
        world_advance(f->w, 500);
        assert_int_equal(refresh(&f->a), 200);
        assert_int_equal(refresh(&f->b), 200);
    }
    assert_int_equal(world_metric(f->w, METRIC_END_DRAINED), 0);
}

/* The store does not answer: who lives here has its key. */
static void test_drain_without_the_store_keeps_what_lives(void **state)
{
    struct fixture *f = *state;
    client_set_stored(&f->a);
    fixture_allocate(&f->a);
    f->w->store.unreachable = true;
    drain(f);
    const struct addr peer = world_peer(1, 5000);
    assert_int_equal(client_refresh(&f->a, 600, NULL), 200);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    assert_true(fixture_to_peer(&f->a, &peer, "out"));
    assert_int_equal(client_allocate(&f->b, NULL), 508);
    assert_int_equal(world_refused(f->w, REASON_DRAINING), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_drain_without_alternates_refuses_with_508),
        SCENARIO(test_drain_sends_elsewhere_by_family_of_the_client),
        SCENARIO(test_drain_without_an_alternate_of_the_family_refuses),
        SCENARIO(test_drain_without_a_port_names_the_port_of_the_listener),
        SCENARIO(test_drain_never_sends_to_itself),
        SCENARIO(test_drain_spreads_clients_and_repeats_itself_to_one),
        SCENARIO(test_drain_tells_the_domain_over_tls_and_sha256_only),
        SCENARIO(test_drain_challenges_strangers_as_ever),
        SCENARIO(test_drain_leaves_everything_alone_that_lives),
        SCENARIO(test_drain_answers_a_repeated_allocate_as_before),
        SCENARIO(test_drain_lets_a_reserved_port_be_claimed),
        SCENARIO(test_drain_refuses_what_is_malformed_as_ever),
        SCENARIO(test_drain_ends_nothing_before_its_deadline_and_all_at_it),
        SCENARIO(test_drain_that_is_undone_lets_in_and_ends_nothing),
        SCENARIO(test_drain_without_the_store_keeps_what_lives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
