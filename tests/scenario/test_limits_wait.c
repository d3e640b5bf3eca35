/*
 * Allocates that come faster than an instance may admit without hearing of others: they wait for
 * the answer to the first, and are let in one after the other, or are judged when nobody answers.
 * What waits is bounded, is charged once, and is forgotten with its flow.
 */
#include "tests/scenario/fixture.h"

#include "ratelimit/quota_reports.h"
#include "ratelimit/rate_reports.h"

#define CLIENTS    12
#define UNREPORTED 2u
#define CALLS      64
#define NEVER_US   UINT64_MAX

static const uint8_t name_key[16] = "of all instances";
static const struct rate usual = {.count = 5, .period_s = 1, .burst = 30};

struct call {
    uint64_t due_us;
    size_t count;
    rate_debited_fn *debited; /* NULL: a lease */
    quota_leased_fn *leased;
    void *ctx;
};

struct rig {
    struct fixture *f;
    struct rate_reports *rates;
    struct quota_reports *quotas;
    struct rate limit;
    struct call calls[CALLS];
    unsigned call_count;
    uint64_t takes_us; /* a call; NEVER_US: Redis hangs */
    uint64_t debited, room;
    bool deaf;                        /* workers are told of no answer */
    void (*meanwhile)(struct rig *r); /* after an answer, before workers hear of it */
    unsigned told;                    /* times that a worker was */
    struct client clients[CLIENTS];
    struct request asked[CLIENTS];
    int codes[CLIENTS]; /* 0: not answered yet */
};

static struct call *call_of(struct rig *r, size_t count, void *ctx)
{
    assert_true(r->call_count < CALLS);
    struct call *c = &r->calls[r->call_count++];
    *c = (struct call){.count = count, .ctx = ctx};
    c->due_us = r->takes_us == NEVER_US ? NEVER_US : r->f->w->now.mono_us + r->takes_us;
    return c;
}

static int debit(
    void *ctx, const struct rate_debit *items, size_t count, rate_debited_fn *done, void *done_ctx)
{
    struct rig *r = ctx;
    call_of(r, count, done_ctx)->debited = done;
    for (size_t i = 0; i < count; i++)
        r->debited += items[i].count;
    return 0;
}

static int lease(
    void *ctx, const struct quota_lease *items, size_t count, quota_leased_fn *done, void *done_ctx)
{
    call_of(ctx, count, done_ctx)->leased = done;
    return 0;
}

static struct rate configured(void *ctx, enum rate_scope scope, uint8_t realm)
{
    return ((struct rig *)ctx)->limit;
}

static void answer(struct rig *r, const struct call *c, bool answered)
{
    uint64_t deny[SHARE_BATCH_MAX] = {0};
    const uint32_t others[SHARE_BATCH_MAX] = {0};
    for (size_t i = 0; i < c->count; i++)
        deny[i] = r->debited >= r->room ? 10 * US_PER_S : 0;
    const uint64_t now = r->f->w->now.mono_us;
    if (c->debited)
        c->debited(c->ctx, answered, answered ? deny : NULL, now);
    else
        c->leased(c->ctx, answered, answered ? others : NULL, now);
}

/* As the daemon does: only those that have said so. */
static void tell(struct rig *r)
{
    struct world *w = r->f->w;
    if (r->meanwhile)
        r->meanwhile(r);
    if (r->deaf)
        return;
    const uint64_t awaited = atomic_exchange(&w->shared.limits_awaited, 0);
    for (unsigned i = 0; i < w->settings.workers; i++) {
        if (awaited >> i & 1) {
            relay_limits_answered(w->worker[i].relay, &w->now);
            r->told++;
        }
    }
    world_run(w);
}

static void collect(struct rig *r)
{
    struct response answered;
    for (unsigned i = 0; i < CLIENTS; i++) {
        if (r->asked[i].len > 0 && !r->codes[i])
            r->codes[i] = client_answer(&r->clients[i], r->asked[i].transaction, &answered);
    }
}

static unsigned with_code(const struct rig *r, int code)
{
    unsigned n = 0;
    for (unsigned i = 0; i < CLIENTS; i++)
        n += r->asked[i].len > 0 && r->codes[i] == code;
    return n;
}

/* Control's part of a millisecond. */
static void control(struct rig *r)
{
    const uint64_t now = r->f->w->now.mono_us;
    rate_reports_run(r->rates, now);
    quota_reports_run(r->quotas, now);
    for (unsigned i = 0; i < r->call_count; i++) {
        if (r->calls[i].due_us > now)
            continue;
        const struct call c = r->calls[i];
        r->calls[i--] = r->calls[--r->call_count];
        answer(r, &c, true);
        tell(r);
    }
}

/* Nobody is answered before one who came earlier. */
static void assert_in_order(const struct rig *r)
{
    bool waits = false;
    for (unsigned i = 0; i < CLIENTS && r->asked[i].len > 0; i++) {
        assert_false(waits && r->codes[i] == 200);
        waits = waits || r->codes[i] == 0;
    }
}

static void pass(struct rig *r, unsigned ms)
{
    control(r);
    for (unsigned i = 0; i < ms; i++) {
        world_advance_ms(r->f->w, 1);
        control(r);
        collect(r);
        assert_in_order(r);
    }
}

static struct rig *rig_new(struct fixture *f, const struct rate *limit)
{
    struct rig *r = calloc(1, sizeof(*r));
    f->settings.limits.rates.allocations_per_user = *limit;
    fixture_restart(f);
    struct relay_shared *shared = &f->w->shared;
    rate_table_share(shared->rates, name_key);
    rate_table_set_fleet(shared->rates, 2);
    quota_share(shared->quotas, name_key);
    quota_set_fleet(shared->quotas, 2);
    *r = (struct rig){.f = f, .limit = *limit, .takes_us = US_PER_MS, .room = UINT64_MAX};
    const struct share share = {.ctx = r, .debit = debit, .lease = lease};
    const struct rate_reports_deps deps = {
        .rates = shared->rates, .share = share, .rate_of = configured, .rate_of_ctx = r};
    r->rates = rate_reports_new(&deps);
    r->quotas = quota_reports_new(shared->quotas, &share);
    for (unsigned i = 0; i < CLIENTS; i++) {
        client_init(&r->clients[i], f->w, 1);
        r->clients[i].worker = 0;
        r->clients[i].addr.port = (uint16_t)(6000 + i);
        assert_int_equal(client_challenge(&r->clients[i]), 401);
    }
    return r;
}

static void rig_free(struct rig *r)
{
    for (unsigned i = 0; i < r->call_count; i++)
        answer(r, &r->calls[i], false);
    world_check(r->f->w);
    rate_reports_free(r->rates);
    quota_reports_free(r->quotas);
    free(r);
}

static void ask_one(struct rig *r, unsigned i)
{
    struct client *c = &r->clients[i];
    request_begin(&r->asked[i], c, STUN_REQUEST, STUN_ALLOCATE);
    request_transport(&r->asked[i], 17);
    request_finish(&r->asked[i], c);
    r->codes[i] = client_send(c, &r->asked[i], NULL);
}

/* All in the same moment, as a browser does. */
static void ask(struct rig *r, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        ask_one(r, i);
}

static uint32_t waiting(const struct rig *r)
{
    return parking_counts_total(r->f->w->shared.parking);
}

static uint64_t parked(const struct rig *r)
{
    return atomic_load(&r->f->w->worker[0].counters.gauge[GAUGE_REQUESTS_PARKED]);
}

static void test_burst_of_a_browser_is_let_in(void **state)
{
    struct fixture *f = *state;
    const unsigned bursts[] = {4, 8};
    for (size_t i = 0; i < 2; i++) {
        struct rig *r = rig_new(f, &usual);
        ask(r, bursts[i]);
        assert_int_equal(with_code(r, 200), UNREPORTED);
        assert_int_equal(waiting(r), bursts[i] - UNREPORTED);
        assert_int_equal(parked(r), bursts[i] - UNREPORTED);
        pass(r, 25);
        assert_int_equal(with_code(r, 200), bursts[i]);
        assert_int_equal(world_refused(f->w, REASON_RATE_USER), 0);
        assert_int_equal(world_refused(f->w, REASON_LIMITS_PENDING), 0);
        assert_int_equal(waiting(r) + parked(r), 0);
        assert_int_equal(world_allocations(f->w), bursts[i]);
        pass(r, 10);
        assert_int_equal(r->debited, bursts[i]);
        rig_free(r);
    }
}

/* 8 of a prefix may wait. The rest is refused as if it could not. */
static void test_more_than_may_wait_is_refused_by_the_limit(void **state)
{
    struct fixture *f = *state;
    struct rig *r = rig_new(f, &usual);
    ask(r, CLIENTS);
    assert_int_equal(with_code(r, 200), UNREPORTED);
    assert_int_equal(with_code(r, 0), PARKING_PREFIX);
    assert_int_equal(with_code(r, 486), CLIENTS - UNREPORTED - PARKING_PREFIX);
    assert_int_equal(world_refused(f->w, REASON_RATE_USER), CLIENTS - UNREPORTED - PARKING_PREFIX);
    assert_int_equal(world_refused(f->w, REASON_PARKING_FULL), 0);
    pass(r, 30);
    assert_int_equal(with_code(r, 200), UNREPORTED + PARKING_PREFIX);
    rig_free(r);
}

/* B / N is 3: two are let in by what may be unreported, one by the share. */
static void test_silent_redis_leaves_it_to_the_share(void **state)
{
    struct fixture *f = *state;
    const struct rate slow = {.count = 1, .period_s = 10, .burst = 6};
    struct rig *r = rig_new(f, &slow);
    r->takes_us = NEVER_US;
    ask(r, 8);
    pass(r, 50);
    assert_int_equal(with_code(r, 200), UNREPORTED);
    assert_int_equal(waiting(r), 6);
    pass(r, 100);
    assert_int_equal(with_code(r, 200), 3);
    assert_int_equal(with_code(r, 486), 5);
    assert_int_equal(waiting(r), 0);
    /* From now on it is known that it is silent, and nobody waits. */
    ask_one(r, 8);
    assert_int_equal(r->codes[8], 486);
    rig_free(r);
}

static void test_deny_refuses_those_that_wait(void **state)
{
    struct fixture *f = *state;
    struct rig *r = rig_new(f, &usual);
    r->room = 4;
    ask(r, 8);
    assert_int_equal(waiting(r), 6);
    pass(r, 12);
    assert_int_equal(with_code(r, 200), 4);
    assert_int_equal(with_code(r, 486), 4);
    assert_int_equal(world_refused(f->w, REASON_RATE_USER), 4);
    ask_one(r, 8);
    assert_int_equal(r->codes[8], 486);
    rig_free(r);
}

/* A word to the worker that is lost costs a tick after a silence's time. */
static void test_worker_that_is_not_told_tries_again(void **state)
{
    struct fixture *f = *state;
    struct rig *r = rig_new(f, &usual);
    r->deaf = true;
    ask(r, 4);
    pass(r, 50);
    assert_int_equal(with_code(r, 200), UNREPORTED);
    pass(r, 3);
    assert_int_equal(with_code(r, 200), 4);
    rig_free(r);
}

static void test_nobody_is_told_where_nobody_waits(void **state)
{
    struct fixture *f = *state;
    f->settings.workers = 3;
    struct rig *r = rig_new(f, &usual);
    ask(r, UNREPORTED);
    pass(r, 10);
    assert_int_equal(r->told, 0);
    for (unsigned i = 2; i < 5; i++)
        r->clients[i].worker = 1;
    for (unsigned i = 2; i < 5; i++)
        ask_one(r, i);
    assert_int_equal(waiting(r), 1);
    pass(r, 10);
    assert_int_equal(with_code(r, 200), 5);
    assert_in_range(r->told, 1, 2); /* it says so again as long as somebody may wait */
    rig_free(r);
}

static void test_answer_about_somebody_else_leaves_it_waiting_to_be_told(void **state)
{
    struct fixture *f = *state;
    struct rig *r = rig_new(f, &usual);
    ask(r, 4);
    tell(r);
    assert_int_equal(r->told, 1);
    assert_int_equal(atomic_load(&f->w->shared.limits_awaited), 1);
    assert_int_equal(waiting(r), 2);
    pass(r, 10);
    assert_int_equal(with_code(r, 200), 4);
    rig_free(r);
}

static void test_repetition_while_it_waits_is_silent_and_charged_once(void **state)
{
    struct fixture *f = *state;
    struct rig *r = rig_new(f, &usual);
    ask(r, 3);
    assert_int_equal(waiting(r), 1);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(client_send(&r->clients[2], &r->asked[2], NULL), 0);
    assert_int_equal(world_dropped(f->w, REASON_PARKED_DUPLICATE), 5);
    const uint64_t before = f->w->replies;
    pass(r, 12);
    assert_int_equal(f->w->replies, before + 1);
    assert_int_equal(with_code(r, 200), 3);
    assert_int_equal(r->debited, 3);
    rig_free(r);
}

/* Others take all that comes free. */
static void take_everything(struct rig *r)
{
    struct rate_table *t = r->f->w->shared.rates;
    const struct rate_key key = {.scope = RATE_ALLOCATION_USER,
        .realm = REALM_PLAIN,
        .id = rate_table_id(
            t, slice_of_string(world_realm_name(REALM_PLAIN)), slice_of_string("alice"))};
    const struct rate_ask ask = {.now_us = r->f->w->now.mono_us};
    bool report = false;
    while (rate_table_admit_shared(t, &key, &r->limit, &ask, &report) == RATE_ADMITTED)
        ;
}

static void test_wait_ends_with_the_deadline(void **state)
{
    struct fixture *f = *state;
    struct rig *r = rig_new(f, &usual);
    r->meanwhile = take_everything;
    ask(r, 4);
    pass(r, 1900);
    assert_int_equal(waiting(r), 2);
    assert_int_equal(with_code(r, 200), UNREPORTED);
    pass(r, 300);
    assert_int_equal(with_code(r, 486), 2);
    assert_int_equal(world_refused(f->w, REASON_RATE_USER), 2);
    assert_int_equal(waiting(r), 0);
    rig_free(r);
}

static void test_flow_that_closes_is_forgotten(void **state)
{
    struct fixture *f = *state;
    struct rig *r = rig_new(f, &usual);
    ask(r, 5);
    client_close(&r->clients[3]);
    assert_int_equal(world_refused(f->w, REASON_FLOW_GONE), 1);
    assert_int_equal(waiting(r), 2);
    r->asked[3].len = 0;
    pass(r, 2);
    ask_one(r, 3);
    r->asked[3].len = 0; /* it comes last now */
    pass(r, 20);
    assert_int_equal(with_code(r, 200), 4);
    assert_int_equal(world_allocations(f->w), 5);
    pass(r, 10);
    assert_int_equal(r->debited, 5);
    rig_free(r);
}

static void test_user_revoked_meanwhile_is_refused_and_not_charged(void **state)
{
    struct fixture *f = *state;
    struct rig *r = rig_new(f, &usual);
    ask(r, 4);
    world_revoke(f->w, REVOKE_USER, REALM_PLAIN, "alice");
    pass(r, 20);
    assert_int_equal(with_code(r, 401), 2);
    assert_int_equal(world_allocations(f->w), 0);
    assert_int_equal(waiting(r), 0);
    assert_int_equal(r->debited, 2);
    rig_free(r);
}

static void test_relay_that_ends_meanwhile_leaks_nothing(void **state)
{
    struct fixture *f = *state;
    struct rig *r = rig_new(f, &usual);
    ask(r, 8);
    assert_int_equal(waiting(r), 6);
    rig_free(r);
}

static void test_reload_without_the_limit_lets_in(void **state)
{
    struct fixture *f = *state;
    struct rig *r = rig_new(f, &usual);
    ask(r, 6);
    f->settings.limits.rates.allocations_per_user = (struct rate){0};
    world_reload(f->w, &f->settings);
    pass(r, 3);
    assert_int_equal(with_code(r, 200), 6);
    rig_free(r);
}

/* u of allocations at once is 4; the rate, asked before, is charged once. */
static void test_quota_waits_and_rates_are_charged_once(void **state)
{
    struct fixture *f = *state;
    const struct rate wide = {.count = 1000, .period_s = 1, .burst = 1000};
    f->settings.limits.quota.allocations_per_user = 20;
    struct rig *r = rig_new(f, &wide);
    ask(r, 10);
    assert_int_equal(with_code(r, 200), 4);
    assert_int_equal(waiting(r), 6);
    pass(r, 25);
    assert_int_equal(with_code(r, 200), 10);
    assert_int_equal(world_refused(f->w, REASON_QUOTA_USER), 0);
    pass(r, 10);
    assert_int_equal(r->debited, 10);
    rig_free(r);
}

static void test_full_quota_refuses_those_that_wait(void **state)
{
    struct fixture *f = *state;
    const struct rate wide = {.count = 1000, .period_s = 1, .burst = 1000};
    f->settings.limits.quota.allocations_per_user = 6;
    struct rig *r = rig_new(f, &wide);
    ask(r, 8);
    assert_int_equal(with_code(r, 200), 4);
    pass(r, 25);
    assert_int_equal(with_code(r, 200), 6);
    assert_int_equal(with_code(r, 486), 2);
    rig_free(r);
}

/* First for other instances, then for the worker that has the port. */
static void test_claim_waits_for_both_and_is_charged_once(void **state)
{
    struct fixture *f = *state;
    struct response made;
    f->settings.workers = 2;
    struct rig *r = rig_new(f, &usual);
    struct client *second = &r->clients[2];
    assert_int_equal(
        CLIENT_ASK(&r->clients[0], STUN_ALLOCATE, &made, ATTR_UDP, ATTR_EVEN_PAIR), 200);
    ask_one(r, 1);
    second->worker = 1;
    request_begin(&r->asked[2], second, STUN_REQUEST, STUN_ALLOCATE);
    request_transport(&r->asked[2], 17);
    stun_write_attr(&r->asked[2].w, STUN_ATTR_RESERVATION_TOKEN, slice_of(made.token, 8));
    request_finish(&r->asked[2], second);
    f->w->hold_mail = true;
    assert_int_equal(client_send(second, &r->asked[2], NULL), 0);
    assert_int_equal(waiting(r), 1);
    pass(r, 5);
    assert_int_equal(waiting(r), 0);
    assert_int_equal(f->w->worker[0].mail_count, 1);
    f->w->hold_mail = false;
    world_run(f->w);
    pass(r, 15);
    assert_int_equal(r->codes[2], 200);
    assert_int_equal(r->debited, 3);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_burst_of_a_browser_is_let_in),
        SCENARIO(test_more_than_may_wait_is_refused_by_the_limit),
        SCENARIO(test_silent_redis_leaves_it_to_the_share),
        SCENARIO(test_deny_refuses_those_that_wait),
        SCENARIO(test_worker_that_is_not_told_tries_again),
        SCENARIO(test_nobody_is_told_where_nobody_waits),
        SCENARIO(test_answer_about_somebody_else_leaves_it_waiting_to_be_told),
        SCENARIO(test_repetition_while_it_waits_is_silent_and_charged_once),
        SCENARIO(test_wait_ends_with_the_deadline),
        SCENARIO(test_flow_that_closes_is_forgotten),
        SCENARIO(test_user_revoked_meanwhile_is_refused_and_not_charged),
        SCENARIO(test_relay_that_ends_meanwhile_leaks_nothing),
        SCENARIO(test_reload_without_the_limit_lets_in),
        SCENARIO(test_quota_waits_and_rates_are_charged_once),
        SCENARIO(test_full_quota_refuses_those_that_wait),
        SCENARIO(test_claim_waits_for_both_and_is_charged_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
