/*
 * Allocations a second: each scope refuses with its code and reason what is too fast, and nothing
 * else; who asks once is charged once; Refresh, permissions, channels and media are never judged.
 */
#include "tests/scenario/fixture.h"

#include "base/log.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Three at once, and then one every twenty seconds. */
#define BURST 3u
#define RATE_ONE                                                                                   \
    {                                                                                              \
        .count = 3, .period_s = 60, .burst = BURST                                                 \
    }
#define COMES_S 20u

static const struct rate three = RATE_ONE;

/* An Allocate from the next port, and so from another 5-tuple. */
static int ask(struct client *c)
{
    c->addr.port++;
    c->nonce_len = 0;
    return client_allocate(c, NULL);
}

static unsigned given(struct client *c, unsigned asks)
{
    unsigned n = 0;
    for (unsigned i = 0; i < asks; i++)
        n += ask(c) == 200;
    return n;
}

/* Another user of the REST realm for each n. */
static void be_user(struct client *c, unsigned n)
{
    char name[16];
    snprintf(name, sizeof(name), "user-%u", n);
    client_set_rest(c, name, 3600, "north");
    c->nonce_len = 0;
}

/* The nth that asks within a scope: everything but what the scope says is another's. */
static void of_user(struct client *c, unsigned n)
{
    be_user(c, 1);
    c->addr = addr_ipv4(93, (uint8_t)n, 1, 1, 5000);
}

static void of_realm(struct client *c, unsigned n)
{
    of_user(c, n);
    be_user(c, n);
}

static void of_address(struct client *c, unsigned n)
{
    be_user(c, n);
    c->addr = addr_ipv4(93, 1, 1, 1, (uint16_t)(5000 + 100 * n));
}

static void of_prefix(struct client *c, unsigned n)
{
    be_user(c, n);
    c->addr = addr_ipv4(93, 1, 1, (uint8_t)n, 5000);
}

static void of_address6(struct client *c, unsigned n)
{
    be_user(c, n);
    client_set_ipv6(c, 1);
    c->addr.port = (uint16_t)(5000 + 100 * n);
}

static void of_prefix6(struct client *c, unsigned n)
{
    be_user(c, n);
    client_set_ipv6(c, n);
    c->addr.ip[8] = (uint8_t)n;
}

static void of_network6(struct client *c, unsigned n)
{
    be_user(c, n);
    client_set_ipv6(c, n);
    c->addr.ip[6] = (uint8_t)n;
}

/* The nearest that is not within it. */
static void other_user(struct client *c)
{
    be_user(c, 2);
}

static void other_realm(struct client *c)
{
    c->realm_id = REALM_PLAIN;
    client_set_user(c, "alice", "wonderland");
}

static void other_address(struct client *c)
{
    c->addr.ip[c->addr.family == ADDR_IPV4 ? 3 : 15]++;
}

static void other_prefix(struct client *c)
{
    c->addr.ip[c->addr.family == ADDR_IPV4 ? 2 : 7]++;
}

static void other_network(struct client *c)
{
    c->addr.ip[5]++;
}

struct scope {
    size_t limit; /* in ratelimit_settings */
    int code;
    enum reason reason;
    const char *metric, *log;
    void (*inside)(struct client *c, unsigned n);
    void (*outside)(struct client *c); /* NULL: there is nobody */
};

#define LIMIT(name) offsetof(struct ratelimit_settings, name)

static const struct scope scopes[] = {
    {LIMIT(rates.allocations_per_user), 486, REASON_RATE_USER, "allocation_rate_user",
        "code=486 reason=rate_user", of_user, other_user},
    {LIMIT(allocations_per_address), 508, REASON_RATE_ADDRESS, "allocation_rate_address",
        "code=508 reason=rate_address", of_address, other_address},
    {LIMIT(allocations_per_address), 508, REASON_RATE_ADDRESS, "allocation_rate_address",
        "code=508 reason=rate_address", of_address6, other_address},
    {LIMIT(allocations_per_prefix), 508, REASON_RATE_PREFIX, "allocation_rate_prefix",
        "code=508 reason=rate_prefix", of_prefix, other_prefix},
    {LIMIT(allocations_per_prefix), 508, REASON_RATE_PREFIX, "allocation_rate_prefix",
        "code=508 reason=rate_prefix", of_prefix6, other_prefix},
    {LIMIT(allocations_per_network), 508, REASON_RATE_NETWORK, "allocation_rate_network",
        "code=508 reason=rate_network", of_network6, other_network},
    {LIMIT(rates.allocations_per_realm), 486, REASON_RATE_REALM, "allocation_rate_realm",
        "code=486 reason=rate_realm", of_realm, other_realm},
    {LIMIT(allocations_per_instance), 508, REASON_RATE_INSTANCE, "allocation_rate_instance",
        "code=508 reason=rate_instance", of_realm, NULL},
};

static struct rate *limit_of(struct fixture *f, const struct scope *s)
{
    return (struct rate *)((char *)&f->settings.limits + s->limit);
}

/* Signed, and nothing in it that an answer to another outcome has. */
static void assert_refused(struct fixture *f, const struct scope *s)
{
    struct response r;
    char line[1024] = "", file[] = "allocation-rates-XXXXXX";
    const int fd = mkstemp(file);
    assert_true(fd >= 0);
    unlink(file);
    const uint64_t before = world_refused(f->w, s->reason);
    assert_int_equal(client_challenge(&f->a), 401);
    assert_int_equal(log_init(fd, LOG_DEBUG, LOG_TEXT), 0);
    assert_int_equal(client_allocate(&f->a, &r), s->code);
    log_deinit();
    assert_true(r.integrity);
    assert_false(r.challenged || r.has_lifetime || r.has_token || r.has_address_error);
    assert_int_equal(r.relayed_count, 0);
    assert_int_equal(r.mapped.family, ADDR_NONE);
    assert_int_equal(world_refused(f->w, s->reason), before + 1);
    assert_string_equal(reason_limit_scope(s->reason), s->metric);
    assert_true(pread(fd, line, sizeof(line) - 1, 0) > 0);
    close(fd);
    assert_non_null(strstr(line, "request_refused"));
    assert_non_null(strstr(line, s->log));
}

static void saturate(struct fixture *f, const struct scope *s)
{
    for (unsigned n = 1; n <= BURST; n++) {
        s->inside(&f->a, n);
        assert_int_equal(client_allocate(&f->a, NULL), 200);
    }
    s->inside(&f->a, BURST + 1);
    assert_refused(f, s);
}

static void test_scopes_refuse_with_their_code_and_reason_and_spare_others(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(scopes) / sizeof(scopes[0]); i++) {
        const struct scope *s = &scopes[i];
        f->settings = world_settings_default();
        *limit_of(f, s) = three;
        fixture_restart(f);
        saturate(f, s);
        if (s->outside) {
            s->outside(&f->a);
            assert_int_equal(ask(&f->a), 200);
        }
        /* One comes back, for whoever asks next. */
        s->inside(&f->a, BURST + 2);
        assert_refused(f, s);
        world_advance(f->w, COMES_S);
        assert_int_equal(ask(&f->a), 200);
        s->inside(&f->a, BURST + 3);
        assert_refused(f, s);
        world_check(f->w);
    }
}

static void test_scopes_count_over_all_workers(void **state)
{
    struct fixture *f = *state;
    f->settings.workers = 3;
    f->settings.limits.allocations_per_instance = three;
    fixture_restart(f);
    unsigned n = 0;
    for (unsigned i = 0; i < 9; i++) {
        f->a.worker = i % 3;
        n += ask(&f->a) == 200;
    }
    assert_int_equal(n, BURST);
}

static void test_realms_may_have_rates_of_their_own(void **state)
{
    struct fixture *f = *state;
    const struct realm_rates wide = {.allocations_per_user = {.count = 5,
                                         .period_s = 60,
                                         .burst = 5}},
                             none = {0};
    f->settings.limits.rates.allocations_per_user = three;
    f->settings.realm_rates[REALM_STORED] = &wide;
    f->settings.realm_rates[REALM_REST] = &none;
    fixture_restart(f);
    assert_int_equal(given(&f->a, 10), BURST);
    f->a.realm_id = REALM_STORED;
    client_set_user(&f->a, "carol", "chorus");
    assert_int_equal(given(&f->a, 10), 5);
    be_user(&f->a, 1);
    assert_int_equal(given(&f->a, 10), 10);
}

/* Refused by one, it takes nothing from the others. */
static void test_levels_are_asked_before_any_is_charged(void **state)
{
    struct fixture *f = *state;
    f->settings.limits.rates.allocations_per_user = three;
    f->settings.limits.rates.allocations_per_realm =
        (struct rate){.count = 5, .period_s = 60, .burst = 5};
    fixture_restart(f);
    assert_int_equal(given(&f->a, 50), BURST);
    assert_int_equal(given(&f->b, 50), 5 - BURST);
    assert_int_equal(world_refused(f->w, REASON_RATE_USER), 47);
    assert_int_equal(world_refused(f->w, REASON_RATE_REALM), 48);
}

static void limit_user(struct fixture *f)
{
    f->settings.limits.rates.allocations_per_user = three;
    fixture_restart(f);
}

static void test_charged_is_neither_what_is_not_let_in_nor_what_is_malformed(void **state)
{
    struct fixture *f = *state;
    limit_user(f);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(client_challenge(&f->a), 401);
        client_set_user(&f->a, "alice", "wrong");
        assert_int_equal(client_allocate(&f->a, NULL), 401);
        client_set_user(&f->a, "alice", "wonderland");
        assert_int_equal(CLIENT_ASK(&f->a, STUN_ALLOCATE, NULL, ATTR_FAMILY4), 400);
        assert_int_equal(
            CLIENT_ASK(&f->a, STUN_ALLOCATE, NULL, {STUN_ATTR_REQUESTED_TRANSPORT, 4, "\x06\0\0"}),
            442);
        assert_int_equal(
            CLIENT_ASK(&f->a, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_FAMILY4, ATTR_BOTH), 400);
        assert_int_equal(CLIENT_ASK(&f->a, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_LIFETIME("\0\0\0\1"),
                             {0x7701, 0, ""}),
            420);
    }
    assert_int_equal(given(&f->a, 10), BURST);
}

/* An Allocate that is to be sent several times; `token`: 8 bytes of a reservation, or NULL. */
static void write_allocate(struct request *q, struct client *c, const uint8_t *token)
{
    assert_int_equal(client_challenge(c), 401);
    request_begin(q, c, STUN_REQUEST, STUN_ALLOCATE);
    request_transport(q, 17);
    if (token)
        stun_write_attr(&q->w, STUN_ATTR_RESERVATION_TOKEN, slice_of(token, 8));
    request_finish(q, c);
}

static void test_charged_is_no_repetition_and_no_second_of_the_5_tuple(void **state)
{
    struct fixture *f = *state;
    limit_user(f);
    struct request q;
    write_allocate(&q, &f->a, NULL);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(client_send(&f->a, &q, NULL), 200);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(client_allocate(&f->a, NULL), 437);
    assert_int_equal(given(&f->a, 10), BURST - 1);
}

/* "successful or not": a rate is of what is asked for. */
static void test_charged_is_what_a_quota_refuses_afterwards(void **state)
{
    struct fixture *f = *state;
    f->settings.limits.quota.allocations_per_user = 1;
    limit_user(f);
    assert_int_equal(given(&f->a, 10), 1);
    assert_int_equal(world_refused(f->w, REASON_QUOTA_USER), BURST - 1);
    assert_int_equal(world_refused(f->w, REASON_RATE_USER), 10 - BURST);
}

/* The first of a pair is allocated; who is to claim the second, on another worker. */
static struct client reserve(struct fixture *f, struct response *r)
{
    f->settings.workers = 2;
    limit_user(f);
    f->a.worker = 0;
    assert_int_equal(CLIENT_ASK(&f->a, STUN_ALLOCATE, r, ATTR_UDP, ATTR_EVEN_PAIR), 200);
    struct client second = f->a;
    second.worker = 1;
    return second;
}

/* The second port of a pair, claimed on another worker: it waits, its repetitions are dropped, and
 * it is charged once. */
static void test_charged_once_is_what_waits_for_a_reservation(void **state)
{
    struct fixture *f = *state;
    struct response r;
    struct request q;
    struct client second = reserve(f, &r);
    second.addr.port += 100;
    write_allocate(&q, &second, r.token);
    f->w->hold_mail = true;
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(client_send(&second, &q, NULL), 0);
    assert_int_equal(world_dropped(f->w, REASON_PARKED_DUPLICATE), 3);
    f->w->hold_mail = false;
    world_run(f->w);
    assert_int_equal(client_answer(&second, q.transaction, &r), 200);
    assert_int_equal(given(&f->a, 10), BURST - 2);
}

/* Too fast, it does not cost the reservation. */
static void test_refused_claim_keeps_its_reservation(void **state)
{
    struct fixture *f = *state;
    struct response r;
    struct client second = reserve(f, &r);
    uint8_t token[8];
    memcpy(token, r.token, sizeof(token));
    assert_int_equal(given(&f->a, 10), BURST - 1);
    second.addr.port += 100;
    second.nonce_len = 0;
    assert_int_equal(CLIENT_ASK(&second, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_TOKEN(token)), 486);
    world_advance(f->w, COMES_S);
    assert_int_equal(CLIENT_ASK(&second, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_TOKEN(token)), 200);
}

static void test_charged_once_is_what_waits_for_the_store(void **state)
{
    struct fixture *f = *state;
    struct response r;
    struct request q;
    limit_user(f);
    client_set_stored(&f->a);
    f->w->store.mode = WORLD_STORE_HELD;
    write_allocate(&q, &f->a, NULL);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(client_send(&f->a, &q, NULL), 0);
    while (world_store_answer(f->w)) {
    }
    world_run(f->w);
    assert_int_equal(client_answer(&f->a, q.transaction, &r), 200);
    f->w->store.mode = WORLD_STORE_PROMPT;
    assert_int_equal(given(&f->a, 10), BURST - 1);
}

/* Everything but an Allocate, from a relay whose table of rates is not there to be asked. */
static void live(struct fixture *f)
{
    const struct addr peer = world_peer(1, 5000), other = world_peer(2, 5000);
    struct rate_table *rates = f->w->shared.rates;
    f->w->shared.rates = NULL;
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(client_refresh(&f->a, 3600, NULL), 200);
        assert_int_equal(client_permit(&f->a, &peer), 200);
        assert_int_equal(client_bind(&f->a, 0x4000, &other), 200);
        assert_true(fixture_to_peer(&f->a, &peer, "out"));
        assert_true(fixture_channel_to_peer(&f->a, 0x4000, &other, "out"));
        assert_true(fixture_from_peer(&f->a, &peer, &f->a_relayed, "in"));
        assert_true(fixture_from_peer(&f->a, &other, &f->a_relayed, "in"));
        world_advance(f->w, 61);
    }
    assert_int_equal(client_refresh(&f->a, 3600, NULL), 438); /* its nonce has aged */
    assert_int_equal(client_refresh(&f->a, 0, NULL), 200);
    f->w->shared.rates = rates;
}

static void limit_everything(struct fixture *f)
{
    for (size_t i = 0; i < sizeof(scopes) / sizeof(scopes[0]); i++)
        *limit_of(f, &scopes[i]) = three;
    f->settings.limits.unauthenticated_per_address = three;
    f->settings.limits.quota =
        (struct quota_limits){.allocations_per_user = 4, .permissions_per_user = 4};
}

static void test_live_allocations_are_never_judged(void **state)
{
    struct fixture *f = *state;
    limit_everything(f);
    fixture_restart(f);
    f->a_relayed = fixture_allocate(&f->a);
    struct client greedy = f->a;
    assert_int_equal(given(&greedy, 10), BURST - 1);
    live(f);
}

static const uint8_t name_key[16] = "of all instances";

static void share(struct fixture *f, bool reachable)
{
    rate_table_share(f->w->shared.rates, name_key);
    rate_table_set_reachable(f->w->shared.rates, reachable);
    quota_share(f->w->shared.quotas, name_key);
    quota_set_reachable(f->w->shared.quotas, reachable);
}

static void test_live_allocations_go_on_without_redis(void **state)
{
    struct fixture *f = *state;
    limit_everything(f);
    f->settings.limits.deny_alone = true;
    fixture_restart(f);
    share(f, true);
    f->a_relayed = fixture_allocate(&f->a);
    rate_table_set_reachable(f->w->shared.rates, false);
    quota_set_reachable(f->w->shared.quotas, false);
    assert_int_equal(client_allocate(&f->b, NULL), 508);
    live(f);
}

static const struct scope unreachable = {0, 508, REASON_LIMITS_UNREACHABLE, "unreachable",
    "code=508 reason=limits_unreachable", NULL, NULL};

static void test_redis_away_denies_those_with_a_limit_where_configured(void **state)
{
    struct fixture *f = *state;
    const struct realm_rates none = {0};
    f->settings.limits.deny_alone = true;
    f->settings.limits.rates.allocations_per_user = three;
    f->settings.realm_rates[REALM_REST] = &none;
    fixture_restart(f);
    share(f, false);
    for (unsigned i = 0; i < 10; i++)
        assert_refused(f, &unreachable);
    assert_int_equal(world_allocations(f->w), 0);
    be_user(&f->b, 1);
    assert_int_equal(given(&f->b, 10), 10);
    /* Nothing was taken meanwhile. */
    rate_table_set_reachable(f->w->shared.rates, true);
    assert_int_equal(ask(&f->a), 200);
}

static void test_redis_away_leaves_each_instance_its_share(void **state)
{
    struct fixture *f = *state;
    f->settings.limits.rates.allocations_per_user =
        (struct rate){.count = 12, .period_s = 60, .burst = 12};
    fixture_restart(f);
    share(f, false);
    rate_table_set_fleet(f->w->shared.rates, 4);
    /* What may be unreported; then, when nobody has answered for 50 ms, up to a quarter: of those
     * that have waited for it the first. */
    assert_int_equal(given(&f->a, 20), 2);
    world_advance_ms(f->w, 60);
    assert_int_equal(world_allocations(f->w), 3);
    assert_int_equal(given(&f->a, 20), 0);
    world_advance(f->w, 60);
    assert_int_equal(given(&f->a, 20), 3);
}

static void test_control_is_woken_when_there_is_something_to_report(void **state)
{
    struct fixture *f = *state;
    f->settings.limits.rates.allocations_per_user =
        (struct rate){.count = 1000, .period_s = 1, .burst = 1000};
    fixture_restart(f);
    assert_int_equal(given(&f->a, 5), 5);
    assert_int_equal(f->w->woken, 0); /* nobody to tell */
    fixture_restart(f);
    share(f, true);
    assert_int_equal(given(&f->a, 5), 5);
    assert_int_equal(f->w->woken, 1); /* until control has come */
}

static void reload(struct fixture *f, uint32_t a_minute)
{
    f->settings.limits.rates.allocations_per_user =
        (struct rate){.count = a_minute, .period_s = 60, .burst = a_minute};
    world_reload(f->w, &f->settings);
}

static void test_reload_changes_rates_and_forgets_nothing(void **state)
{
    struct fixture *f = *state;
    limit_user(f);
    assert_int_equal(given(&f->a, 2), 2);
    /* Two are taken, of sixty now. */
    reload(f, 60);
    assert_int_equal(given(&f->a, 100), 58);
    /* All sixty are, of sixty that come back one every twenty seconds again. */
    reload(f, 3);
    assert_int_equal(ask(&f->a), 486);
    world_advance(f->w, 57 * COMES_S);
    assert_int_equal(ask(&f->a), 486);
    world_advance(f->w, COMES_S);
    assert_int_equal(ask(&f->a), 200);
    /* No limit at all. */
    reload(f, 0);
    assert_int_equal(given(&f->a, 20), 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_scopes_refuse_with_their_code_and_reason_and_spare_others),
        SCENARIO(test_scopes_count_over_all_workers),
        SCENARIO(test_realms_may_have_rates_of_their_own),
        SCENARIO(test_levels_are_asked_before_any_is_charged),
        SCENARIO(test_charged_is_neither_what_is_not_let_in_nor_what_is_malformed),
        SCENARIO(test_charged_is_no_repetition_and_no_second_of_the_5_tuple),
        SCENARIO(test_charged_is_what_a_quota_refuses_afterwards),
        SCENARIO(test_charged_once_is_what_waits_for_a_reservation),
        SCENARIO(test_refused_claim_keeps_its_reservation),
        SCENARIO(test_charged_once_is_what_waits_for_the_store),
        SCENARIO(test_live_allocations_are_never_judged),
        SCENARIO(test_live_allocations_go_on_without_redis),
        SCENARIO(test_redis_away_denies_those_with_a_limit_where_configured),
        SCENARIO(test_redis_away_leaves_each_instance_its_share),
        SCENARIO(test_control_is_woken_when_there_is_something_to_report),
        SCENARIO(test_reload_changes_rates_and_forgets_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
