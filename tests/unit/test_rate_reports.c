/* Reports of rates over a fake share: batches, one flight a key, answers and failures; nothing that
 * was admitted is lost on the way. */
#include "ratelimit/rate_reports.h"

#include "base/clock.h"
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define NOW     (1000 * US_PER_S)
#define EVERY   RATE_REPORT_EVERY_US
#define CALLS   4096
#define NOTHING UINT64_MAX

static const uint8_t own_key[16] = "of this process", name_key[16] = "of all of them!";
static const struct rate quick = {100, 1, 100}; /* u is 3 */

struct call {
    struct rate_debit items[SHARE_BATCH_MAX];
    size_t count;
    rate_debited_fn *done; /* NULL: answered */
    void *done_ctx;
};

static struct {
    struct rate_table *rates;
    struct rate_reports *reports;
    struct rate limit; /* of scopes of a user */
    int refuses;       /* what debit returns */
    size_t count;
    struct call calls[CALLS];
    bool report;
} fake;

static int fake_debit(
    void *ctx, const struct rate_debit *items, size_t count, rate_debited_fn *done, void *done_ctx)
{
    assert_ptr_equal(ctx, &fake);
    assert_in_range(count, 1, SHARE_BATCH_MAX);
    if (fake.refuses)
        return fake.refuses;
    assert_true(fake.count < CALLS);
    struct call *c = &fake.calls[fake.count++];
    *c = (struct call){.count = count, .done = done, .done_ctx = done_ctx};
    memcpy(c->items, items, count * sizeof(*items));
    for (size_t i = 0; i < count; i++)
        assert_int_equal(share_shard(items[i].name), share_shard(items[0].name));
    return 0;
}

static struct rate fake_rate_of(void *ctx, enum rate_scope scope, uint8_t realm)
{
    assert_ptr_equal(ctx, &fake);
    return scope == RATE_ALLOCATION_USER && realm == 3 ? fake.limit : (struct rate){0};
}

static int set_up(void **state)
{
    (void)state;
    memset(&fake, 0, sizeof(fake));
    fake.limit = quick;
    fake.rates = rate_table_new(1 << 17, own_key);
    rate_table_share(fake.rates, name_key);
    const struct rate_reports_deps deps = {.rates = fake.rates,
        .share = {.ctx = &fake, .debit = fake_debit},
        .rate_of = fake_rate_of,
        .rate_of_ctx = &fake};
    fake.reports = rate_reports_new(&deps);
    return fake.reports ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    rate_reports_free(fake.reports);
    rate_reports_free(NULL);
    rate_table_free(fake.rates);
    return 0;
}

static struct rate_key key_of(uint64_t n)
{
    return (struct rate_key){
        .scope = RATE_ALLOCATION_USER, .id = 0x9e3779b97f4a7c15ull * (n + 1), .realm = 3};
}

static enum rate_verdict admit(uint64_t n, uint64_t now)
{
    const struct rate_key key = key_of(n);
    const struct rate_ask ask = {.now_us = now};
    return rate_table_admit_shared(fake.rates, &key, &fake.limit, &ask, &fake.report);
}

static unsigned admit_all(uint64_t n, uint64_t now)
{
    unsigned count = 0;
    while (count < 100000 && admit(n, now) == RATE_ADMITTED)
        count++;
    return count;
}

static struct rate_state state_of(uint64_t n, uint64_t now)
{
    struct rate_state s;
    const struct rate_key key = key_of(n);
    rate_table_inspect(fake.rates, &key, now, &s);
    return s;
}

static uint64_t run(uint64_t now)
{
    return rate_reports_run(fake.reports, now);
}

/* deny_us for all items of the call; UINT64_MAX: no answer. */
static void answer(struct call *c, uint64_t deny_us, uint64_t now)
{
    uint64_t all[SHARE_BATCH_MAX];
    for (size_t i = 0; i < c->count; i++)
        all[i] = deny_us;
    rate_debited_fn *done = c->done;
    assert_non_null(done);
    c->done = NULL;
    done(c->done_ctx, deny_us != NOTHING, deny_us != NOTHING ? all : NULL, now);
}

static struct call *last(void)
{
    assert_true(fake.count > 0);
    return &fake.calls[fake.count - 1];
}

static void test_rate_reports_first_at_once_then_every_5_ms(void **state)
{
    assert_int_equal(run(NOW), NOTHING);
    assert_int_equal(admit(1, NOW), RATE_ADMITTED);
    assert_true(fake.report);
    assert_int_equal(run(NOW), NOW + EVERY);
    assert_int_equal(fake.count, 1);
    assert_int_equal(last()->items[0].count, 1);
    /* Answered before the next is due. */
    answer(last(), 0, NOW + 1000);
    assert_int_equal(run(NOW + 1000), NOTHING);
    fake.report = false;
    assert_int_equal(admit_all(1, NOW + 1000), 3);
    assert_true(fake.report);
    assert_int_equal(run(NOW + 1000), NOW + EVERY);
    assert_int_equal(run(NOW + EVERY - 1), NOW + EVERY);
    assert_int_equal(fake.count, 1);
    assert_int_equal(run(NOW + EVERY), NOW + 2 * EVERY);
    assert_int_equal(fake.count, 2);
    assert_int_equal(last()->items[0].count, 3);
    const struct rate_reports_stats stats = rate_reports_stats(fake.reports);
    assert_int_equal(stats.reports, 2);
    assert_int_equal(stats.items, 2);
    answer(last(), 0, NOW + 2 * EVERY);
    assert_int_equal(run(NOW + 3 * EVERY), NOTHING);
}

static void test_rate_reports_one_flight_a_key(void **state)
{
    assert_int_equal(admit(1, NOW), RATE_ADMITTED);
    run(NOW);
    assert_int_equal(admit_all(1, NOW), 2);
    for (uint64_t now = NOW; now < NOW + 40000; now += 1000)
        assert_true(run(now) <= now + EVERY);
    assert_int_equal(fake.count, 1);
    answer(last(), 0, NOW + 40000);
    run(NOW + 40000);
    assert_int_equal(fake.count, 2);
    assert_int_equal(last()->items[0].count, 2);
    answer(last(), 0, NOW + 50000);
    assert_int_equal(state_of(1, NOW + 50000).unreported, 0);
}

static void test_rate_reports_say_the_bucket(void **state)
{
    const struct rate_key key = key_of(1);
    rate_table_set_fleet(fake.rates, 5);
    admit(1, NOW);
    run(NOW);
    const struct rate_debit *d = &last()->items[0];
    assert_int_equal(d->name, rate_table_name(fake.rates, &key));
    assert_int_equal(d->cost_us, 10000);
    assert_int_equal(d->tau_us, 100 * 10000);
    assert_int_equal(d->cap_us, (5 * 3 + 100) * 10000);
    answer(last(), 0, NOW);
    fake.limit = (struct rate){1, 3600, RATE_SHARED_MAX};
    rate_table_set_fleet(fake.rates, UINT32_MAX);
    admit(2, NOW);
    run(NOW + EVERY);
    d = &last()->items[0];
    assert_int_equal(d->cost_us, 3600 * US_PER_S);
    assert_int_equal(d->tau_us, 3600 * US_PER_S * RATE_SHARED_MAX);
    assert_int_equal(d->cap_us, (1ull << 53) - 1);
}

static void test_rate_reports_answer_denies(void **state)
{
    assert_int_equal(admit_all(1, NOW), 3);
    run(NOW);
    answer(last(), 8000, NOW + 2000);
    assert_int_equal(rate_reports_stats(fake.reports).denied, 1);
    assert_int_equal(state_of(1, NOW + 2000).deny_us, 8000);
    assert_int_equal(admit(1, NOW + 9999), RATE_OVER);
    assert_int_equal(admit_all(1, NOW + 10000), 3);
    run(NOW + 10000);
    answer(last(), 0, NOW + 10000);
    assert_int_equal(rate_reports_stats(fake.reports).denied, 1);
    assert_int_equal(admit_all(1, NOW + 10000), 3);
}

/* A bucket owes what it remembers and one admission; who answers more is not the script. */
static void test_rate_reports_no_answer_denies_for_longer_than_a_debt(void **state)
{
    assert_int_equal(admit_all(1, NOW), 3);
    run(NOW);
    const uint64_t most = (3 + 100 + 1) * (US_PER_S / 100), then = NOW + 2000 + most;
    assert_int_equal(last()->items[0].cap_us + last()->items[0].cost_us, most);
    answer(last(), NOTHING - 1, NOW + 2000);
    assert_int_equal(state_of(1, NOW + 2000).deny_us, most);
    assert_int_equal(admit_all(1, then), 3);
    run(then);
    answer(last(), most, then); /* what is owed is believed */
    assert_int_equal(state_of(1, then).deny_us, most);
}

/* What was owed goes with it, and both come back. */
static void test_rate_reports_failure_reports_again(void **state)
{
    fake.limit = (struct rate){1, 1, 10}; /* u is 2 */
    assert_int_equal(admit_all(1, NOW), 2);
    run(NOW);
    const uint64_t later = NOW + 60000, latest = NOW + 3 * US_PER_S;
    assert_int_equal(admit_all(1, later), 8);
    run(later);
    assert_int_equal(fake.count, 1);
    answer(last(), NOTHING, later);
    assert_int_equal(run(later), later + EVERY);
    assert_int_equal(fake.count, 2);
    assert_int_equal(last()->items[0].count, 10);
    assert_int_equal(state_of(1, later).owed, 0);
    assert_int_equal(state_of(1, later).unreported, 2);
    assert_int_equal(admit_all(1, latest), 3); /* silent still; told is a burst */
    answer(last(), NOTHING, latest);
    assert_int_equal(state_of(1, latest).owed, 10);
    run(latest);
    assert_int_equal(fake.count, 2); /* the second failure in a row waits */
    run(latest + 50000);
    assert_int_equal(last()->items[0].count, 12);
    answer(last(), 5000, latest + 50000);
    assert_int_equal(rate_reports_stats(fake.reports).failed, 2);
    assert_int_equal(state_of(1, latest).unreported, 0);
    assert_int_equal(state_of(1, latest).owed, 0);
    assert_int_equal(run(latest + EVERY), NOTHING);
}

static void test_rate_reports_unreachable_waits_50_ms(void **state)
{
    fake.refuses = -11;
    for (uint64_t n = 0; n < 1000; n++)
        assert_int_equal(admit(n, NOW), RATE_ADMITTED);
    assert_int_equal(run(NOW), NOW + 50000);
    assert_int_equal(run(NOW + 49999), NOW + 50000);
    assert_int_equal(run(NOW + 50000), NOW + 100000);
    assert_int_equal(rate_reports_stats(fake.reports).reports, 0);
    fake.refuses = 0;
    run(NOW + 99999);
    assert_int_equal(fake.count, 0);
    run(NOW + 100000);
    assert_int_equal(fake.count, 1); /* does it answer? */
    answer(last(), 0, NOW + 101000);
    run(NOW + 101000);
    run(NOW + 105000);
    unsigned sum = 0;
    for (size_t i = 0; i < fake.count; i++)
        for (size_t j = 0; j < fake.calls[i].count; j++)
            sum += fake.calls[i].items[j].count;
    assert_int_equal(sum, 1000);
}

/* 3 000 keys are as many items, each once; of one shard never more than 64 a call. */
static void test_rate_reports_many_keys_in_few_calls(void **state)
{
    size_t items = 0, by_shard[SHARE_SHARDS] = {0}, calls = 0;
    for (uint64_t n = 0; n < 3000; n++)
        assert_int_equal(admit(n, NOW), RATE_ADMITTED);
    run(NOW);
    for (size_t i = 0; i < fake.count; i++) {
        items += fake.calls[i].count;
        by_shard[share_shard(fake.calls[i].items[0].name)] += fake.calls[i].count;
    }
    for (unsigned i = 0; i < SHARE_SHARDS; i++)
        calls += (by_shard[i] + SHARE_BATCH_MAX - 1) / SHARE_BATCH_MAX;
    assert_int_equal(items, 3000);
    assert_int_equal(fake.count, calls);
    /* In any order. */
    for (size_t i = fake.count; i-- > 0;)
        answer(&fake.calls[i], 0, NOW + 1000);
    for (uint64_t n = 0; n < 3000; n++)
        assert_int_equal(state_of(n, NOW).unreported, 0);
    assert_int_equal(run(NOW + EVERY), NOTHING);
}

/* A second of an endless stream: calls by time, not by admissions. */
static void test_rate_reports_calls_are_bounded_by_time(void **state)
{
    fake.limit = (struct rate){RATE_SHARED_MAX, 1, RATE_SHARED_MAX};
    for (uint64_t now = NOW; now < NOW + US_PER_S; now += 100) {
        for (uint64_t n = 0; n < 10; n++)
            assert_int_equal(admit(1, now), RATE_ADMITTED);
        run(now);
        if (fake.count > 0 && last()->done)
            answer(last(), 0, now);
    }
    assert_in_range(fake.count, 190, 201);
}

static void test_rate_reports_reachable_again_waits_no_longer(void **state)
{
    rate_table_set_reachable(fake.rates, false);
    fake.refuses = -11;
    assert_int_equal(admit(1, NOW), RATE_ADMITTED);
    assert_int_equal(run(NOW), NOW + 50000);
    fake.refuses = 0;
    rate_table_set_reachable(fake.rates, true);
    run(NOW + EVERY);
    assert_int_equal(fake.count, 1);
    answer(last(), 0, NOW + EVERY);
}

/* Redis refuses all: it is asked now and then, and not for all keys at once. */
static void test_rate_reports_refused_by_redis_are_few(void **state)
{
    for (uint64_t n = 0; n < 20000; n++)
        assert_int_equal(admit(n, NOW), RATE_ADMITTED);
    uint64_t made = 0;
    for (uint64_t now = NOW; now < NOW + 10 * US_PER_S; now += 1000) {
        run(now);
        made += fake.count;
        for (size_t i = 0; i < fake.count; i++)
            answer(&fake.calls[i], NOTHING, now);
        fake.count = 0;
    }
    assert_in_range(made, 100, 16 * 20 * 10 + 400);
}

/* However much there is to say, the link is for others too. */
static void test_rate_reports_leave_room_in_the_link(void **state)
{
    size_t items = 0;
    for (uint64_t n = 0; n < 40000; n++)
        assert_int_equal(admit(n, NOW), RATE_ADMITTED);
    uint64_t now = NOW;
    for (unsigned i = 0; i < 100; i++, now += 1000) {
        run(now);
        assert_true(fake.count <= 64);
        for (size_t k = 0; k < fake.count; k++) {
            items += fake.calls[k].count;
            answer(&fake.calls[k], 0, now);
        }
        fake.count = 0;
    }
    assert_in_range(items, 37000, 40000); /* some share a bucket */
}

/* Redis is away: who was here once does not keep a place until it is back. */
static void test_rate_reports_outage_keeps_nobody(void **state)
{
    const unsigned entries = 1 << 16;
    uint64_t now = NOW, n = 0;
    fake.refuses = -11;
    for (unsigned i = 0; i < 60000; i++, now += 1000) { /* a minute, 4 000 a second */
        for (unsigned k = 0; k < 4; k++)
            admit(n++, now);
        run(now);
    }
    assert_true(n > 3 * entries);
    unsigned found = 0;
    for (uint64_t k = 0; k < n; k++)
        found += state_of(k, now).unreported > 0 || state_of(k, now).owed > 0;
    assert_true(found < entries / 2);
}

/* Whoever wants no decision without Redis is refused, so that nobody has anything to report: Redis
 * is asked all the same. */
static void test_rate_reports_alone_asks_whether_it_is_over(void **state)
{
    const struct rate_key key = key_of(2);
    struct rate_ask ask = {.now_us = NOW, .deny_alone = true};
    bool report = false;
    assert_int_equal(admit(1, NOW), RATE_ADMITTED);
    for (; ask.now_us < NOW + 10 * US_PER_S; ask.now_us += 1000) {
        run(ask.now_us);
        if (fake.count > 0 && last()->done)
            answer(last(), NOTHING, ask.now_us);
    }
    assert_in_range(fake.count, 100, 220);
    assert_int_equal(state_of(1, ask.now_us).unreported, 0);
    assert_int_equal(
        rate_table_admit_shared(fake.rates, &key, &fake.limit, &ask, &report), RATE_ALONE);
    assert_int_equal(last()->items[0].count, 0);
    const uint64_t due = run(ask.now_us);
    assert_in_range(due, ask.now_us, ask.now_us + 50000);
    run(due);
    answer(last(), 0, due);
    run(due);
    ask.now_us = due;
    assert_int_equal(
        rate_table_admit_shared(fake.rates, &key, &fake.limit, &ask, &report), RATE_ADMITTED);
}

static void test_rate_reports_limit_that_is_gone_is_forgiven(void **state)
{
    assert_int_equal(admit_all(1, NOW), 3);
    assert_int_equal(admit_all(2, NOW), 3);
    run(NOW);
    assert_int_equal(admit_all(3, NOW), 3);
    for (size_t i = 0; i < fake.count; i++)
        answer(&fake.calls[i], i == 0 ? NOTHING : 3600 * US_PER_S, NOW);
    const size_t calls = fake.count;
    fake.limit.count = 0;
    run(NOW + EVERY);
    assert_int_equal(fake.count, calls);
    fake.limit = quick;
    assert_int_equal(state_of(3, NOW).unreported, 0);
    assert_int_equal(admit_all(3, NOW), 3);
}

static void test_rate_reports_end_with_flights_under_way(void **state)
{
    for (uint64_t n = 0; n < 100; n++)
        admit(n, NOW);
    run(NOW);
    assert_true(fake.count > 1);
    answer(&fake.calls[1], 0, NOW); /* and the others with tear_down */
}

static uint64_t random_state;

static uint32_t dice(uint32_t sides)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 33) % sides;
}

/* Some of what is under way is answered, some is not; Redis cannot be reached at times. How much
 * was debited. */
static uint64_t weather(uint64_t now)
{
    uint64_t debited = 0;
    fake.refuses = dice(10) == 0 ? -11 : 0;
    for (size_t i = 0; i < fake.count; i++) {
        struct call *c = &fake.calls[i];
        const uint32_t roll = dice(8);
        if (!c->done || roll > 2)
            continue;
        for (size_t j = 0; j < c->count && roll > 0; j++)
            debited += c->items[j].count;
        answer(c, roll == 0 ? NOTHING : roll == 1 ? 0 : dice(20000), now);
    }
    size_t kept = 0;
    for (size_t i = 0; i < fake.count; i++)
        if (fake.calls[i].done)
            fake.calls[kept++] = fake.calls[i];
    fake.count = kept;
    return debited;
}

static uint64_t calm(uint64_t now)
{
    uint64_t debited = 0;
    fake.refuses = 0;
    for (unsigned i = 0; i < 100; i++) {
        now += 60000;
        run(now);
        for (size_t j = 0; j < fake.count; j++) {
            if (!fake.calls[j].done)
                continue;
            for (size_t k = 0; k < fake.calls[j].count; k++)
                debited += fake.calls[j].items[k].count;
            answer(&fake.calls[j], 0, now);
        }
        fake.count = 0;
    }
    assert_int_equal(run(now + EVERY), NOTHING);
    return debited;
}

static void test_rate_reports_what_is_admitted_is_debited(void **state)
{
    /* A burst that nobody owes twice. */
    fake.limit = (struct rate){200, 1, RATE_SHARED_MAX};
    for (random_state = 1; random_state < 20; random_state++) {
        const uint64_t seed = random_state;
        uint64_t admitted = 0, debited = 0, now = seed * NOW;
        for (int i = 0; i < 20000; i++) {
            now += dice(2000);
            const uint64_t n = dice(40);
            admitted += admit(n, now) == RATE_ADMITTED;
            assert_true(state_of(n, now).unreported <= 5);
            if (dice(4) == 0)
                run(now);
            if (dice(20) == 0)
                debited += weather(now);
        }
        debited += calm(now);
        assert_true(admitted > 1000);
        assert_int_equal(debited, admitted);
        random_state = seed;
    }
}

/* Workers at a few keys, and the reports with answers of all kinds. */
enum { WORKERS = 3, ROUNDS = 3000, KEYS = 5 };
static _Atomic uint64_t common_now, admitted_in_all;
static _Atomic bool over, woken;

static void *hammer(void *arg)
{
    for (uint64_t i = (uintptr_t)arg; !atomic_load(&over); i++) {
        const struct rate_key key = key_of(i % KEYS);
        const struct rate_ask ask = {.now_us = atomic_load(&common_now)};
        bool report = false;
        if (rate_table_admit_shared(fake.rates, &key, &fake.limit, &ask, &report) == RATE_ADMITTED)
            atomic_fetch_add(&admitted_in_all, 1);
        if (report)
            atomic_store(&woken, true);
    }
    return NULL;
}

static void test_rate_reports_threads_lose_no_count(void **state)
{
    pthread_t threads[WORKERS];
    uint64_t debited = 0, due = 0;
    unsigned wakes = 0;
    fake.limit = (struct rate){200, 1, RATE_SHARED_MAX};
    random_state = 99;
    atomic_store(&over, false);
    atomic_store(&admitted_in_all, 0);
    atomic_store(&common_now, NOW);
    for (uintptr_t i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, (void *)i), 0);
    /* More where other processes leave the workers little time. */
    for (int i = 0; i < ROUNDS || (wakes <= 10 && i < 100 * ROUNDS); i++) {
        const uint64_t now = atomic_fetch_add(&common_now, dice(3000));
        /* Only when it is due, or somebody says that there is something. */
        const bool told = atomic_exchange(&woken, false);
        wakes += told;
        if (told || now >= due)
            due = run(now);
        if (dice(3) == 0)
            debited += weather(now);
        for (uint64_t n = 0; n < KEYS; n++)
            assert_true(state_of(n, now).unreported <= 5);
        if (i % 8 == 0)
            sched_yield();
    }
    atomic_store(&over, true);
    for (int i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
    debited += calm(atomic_load(&common_now));
    assert_int_equal(debited, atomic_load(&admitted_in_all));
    assert_true(wakes > 10);
}

#define REPORTS(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        REPORTS(test_rate_reports_first_at_once_then_every_5_ms),
        REPORTS(test_rate_reports_one_flight_a_key),
        REPORTS(test_rate_reports_say_the_bucket),
        REPORTS(test_rate_reports_answer_denies),
        REPORTS(test_rate_reports_no_answer_denies_for_longer_than_a_debt),
        REPORTS(test_rate_reports_failure_reports_again),
        REPORTS(test_rate_reports_unreachable_waits_50_ms),
        REPORTS(test_rate_reports_many_keys_in_few_calls),
        REPORTS(test_rate_reports_calls_are_bounded_by_time),
        REPORTS(test_rate_reports_reachable_again_waits_no_longer),
        REPORTS(test_rate_reports_refused_by_redis_are_few),
        REPORTS(test_rate_reports_leave_room_in_the_link),
        REPORTS(test_rate_reports_outage_keeps_nobody),
        REPORTS(test_rate_reports_alone_asks_whether_it_is_over),
        REPORTS(test_rate_reports_limit_that_is_gone_is_forgiven),
        REPORTS(test_rate_reports_end_with_flights_under_way),
        REPORTS(test_rate_reports_what_is_admitted_is_debited),
        REPORTS(test_rate_reports_threads_lose_no_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
