/*
 * daemon/limiter with tables, reports and a fleet that the test plays: when reports run, what comes
 * back of their calls, what is told to the tables and to operators, and that nothing is left when
 * it ends in the middle of a call.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/limiter.h"
#include "ratelimit/quota_reports.h"
#include "ratelimit/rate_reports.h"

#define CALLS 8

struct fixture {
    uv_loop_t loop;
    struct counters counters;
    struct config config;
    struct limiter *limiter;
    /* What the tables were told. */
    uint8_t rate_key[16], quota_key[16];
    unsigned rates_shared, quotas_shared;
    uint32_t rate_fleet, quota_fleet;
    bool rate_reachable, quota_reachable;
    struct rate_change rescaled[8];
    unsigned rescales, passes;
    uint32_t quota_limits[4]; /* of a user, by realm */
    /* The reports. */
    struct rate_reports_deps rates;
    struct share quotas;
    unsigned runs, agains, freed, told;
    uint64_t due_in; /* of the next run; 0: nothing is due */
    struct {
        bool answered;
        uint64_t value;
    } heard[CALLS];
    unsigned heard_count;
    /* The fleet. */
    struct {
        rate_debited_fn *debited;
        quota_leased_fn *leased;
        void *ctx;
    } calls[CALLS];
    unsigned call_count, looks;
    bool hurries;
    int call_returns;
};

static struct fixture *f;

/* In place of ratelimit/. */
void rate_table_share(struct rate_table *t, const uint8_t name_key[16])
{
    memcpy(f->rate_key, name_key, 16);
    f->rates_shared++;
}

void rate_table_set_fleet(struct rate_table *t, uint32_t instances)
{
    f->rate_fleet = instances;
}

void rate_table_set_reachable(struct rate_table *t, bool reachable)
{
    f->rate_reachable = reachable;
}

bool rate_table_hurries(const struct rate_table *t)
{
    return f->hurries;
}

void rate_table_rescale(
    struct rate_table *t, const struct rate_change *changes, size_t count, uint64_t now_us)
{
    assert_in_range(count, 0, 8);
    f->passes++;
    f->rescales = (unsigned)count;
    memcpy(f->rescaled, changes, count * sizeof(*changes));
}

void quota_share(struct quota_table *t, const uint8_t name_key[16])
{
    memcpy(f->quota_key, name_key, 16);
    f->quotas_shared++;
}

void quota_set_fleet(struct quota_table *t, uint32_t instances)
{
    f->quota_fleet = instances;
}

void quota_set_reachable(struct quota_table *t, bool reachable)
{
    f->quota_reachable = reachable;
}

void quota_set_limits(struct quota_table *t, uint32_t realm, const struct quota_limits *limits)
{
    assert_true(realm < 4);
    f->quota_limits[realm] = limits->allocations_per_user;
}

struct rate_reports *rate_reports_new(const struct rate_reports_deps *deps)
{
    f->rates = *deps;
    return (struct rate_reports *)(void *)f;
}

void rate_reports_free(struct rate_reports *r)
{
    f->freed += r != NULL;
}

uint64_t rate_reports_run(struct rate_reports *r, uint64_t now_us)
{
    f->runs++;
    return f->due_in ? now_us + f->due_in : UINT64_MAX;
}

struct quota_reports *quota_reports_new(struct quota_table *quotas, const struct share *share)
{
    f->quotas = *share;
    return (struct quota_reports *)(void *)f;
}

void quota_reports_free(struct quota_reports *r)
{
    f->freed += r != NULL;
}

uint64_t quota_reports_run(struct quota_reports *r, uint64_t now_us)
{
    return UINT64_MAX;
}

void quota_reports_again(struct quota_reports *r)
{
    f->agains++;
}

/* In place of fleet/. */
static int debit(
    void *ctx, const struct rate_debit *items, size_t count, rate_debited_fn *done, void *done_ctx)
{
    assert_ptr_equal(ctx, f);
    if (f->call_returns == 0) {
        f->calls[f->call_count].debited = done;
        f->calls[f->call_count++].ctx = done_ctx;
    }
    return f->call_returns;
}

static int lease(
    void *ctx, const struct quota_lease *items, size_t count, quota_leased_fn *done, void *done_ctx)
{
    if (f->call_returns == 0) {
        f->calls[f->call_count].leased = done;
        f->calls[f->call_count++].ctx = done_ctx;
    }
    return f->call_returns;
}

static int look(
    void *ctx, const struct rate_debit *items, size_t count, rate_found_fn *done, void *done_ctx)
{
    f->looks++;
    return 0;
}

static void answer(unsigned n, bool answered, uint64_t value)
{
    const uint64_t deny[2] = {value, 0};
    const uint32_t others[2] = {(uint32_t)value, 0};
    if (f->calls[n].debited)
        f->calls[n].debited(f->calls[n].ctx, answered, answered ? deny : NULL, 7);
    else
        f->calls[n].leased(f->calls[n].ctx, answered, answered ? others : NULL, 7);
}

/* What reports hear. */
static void debited(void *ctx, bool answered, const uint64_t *deny_us, uint64_t now_us)
{
    assert_ptr_equal(ctx, f->heard);
    assert_int_equal(now_us, 7);
    f->heard[f->heard_count].answered = answered;
    f->heard[f->heard_count++].value = deny_us ? deny_us[0] : UINT64_MAX;
}

static void leased(void *ctx, bool answered, const uint32_t *others, uint64_t now_us)
{
    assert_int_equal(now_us, 7);
    f->heard[f->heard_count].answered = answered;
    f->heard[f->heard_count++].value = others ? others[0] : UINT64_MAX;
}

static int report_rates(void)
{
    const struct rate_debit items[2] = {{.name = 1}, {.name = 17}};
    return f->rates.share.debit(f->rates.share.ctx, items, 2, debited, f->heard);
}

static int report_quotas(void)
{
    const struct quota_lease items[1] = {{.name = 1}};
    return f->quotas.lease(f->quotas.ctx, items, 1, leased, f->heard);
}

/* In place of workers: the reports have had it before. */
static void answered(void *ctx)
{
    assert_ptr_equal(ctx, f);
    assert_true(f->heard_count > 0 && f->heard[f->heard_count - 1].answered);
    f->told++;
}

static void make(const char *url, bool limits, uint32_t fleet_size, const char *nonce_secret)
{
    const struct limiter_deps deps = {
        .loop = &f->loop, .counters = &f->counters, .answered = answered, .answered_ctx = f};
    f->config.redis.url = (char *)(uintptr_t)url;
    f->config.redis.limits = limits;
    f->config.redis.fleet_size = fleet_size;
    f->config.auth.nonce_secret =
        (struct secret){(uint8_t *)(uintptr_t)nonce_secret, strlen(nonce_secret)};
    assert_int_equal(limiter_new(&f->limiter, &deps, &f->config), 0);
}

static void start(void)
{
    const struct share share = {.ctx = f, .debit = debit, .lease = lease, .look = look};
    make("redis://127.0.0.1", true, 3, "sixteen bytes and");
    limiter_start(f->limiter, &share);
    limiter_link(f->limiter, true);
    limiter_instances(f->limiter, 2);
    uv_run(&f->loop, UV_RUN_NOWAIT);
}

static void stop(void)
{
    limiter_stop(f->limiter);
    for (unsigned i = f->heard_count; i < f->call_count; i++)
        answer(i, false, 0);
    limiter_end(f->limiter);
    while (uv_run(&f->loop, UV_RUN_DEFAULT) != 0) {
    }
    limiter_free(f->limiter);
    f->limiter = NULL;
}

static int setup(void **state)
{
    if (posix_memalign((void **)&f, 64, sizeof(*f)) != 0)
        return -1;
    memset(f, 0, sizeof(*f));
    return uv_loop_init(&f->loop);
}

static int teardown(void **state)
{
    if (f->limiter)
        stop();
    int r = uv_loop_close(&f->loop);
    free(f);
    return r;
}

/* Until the reports have run once more. */
static void run_once_more(void)
{
    const unsigned before = f->runs;
    for (int i = 0; i < 10000 && f->runs == before; i++) {
        uv_run(&f->loop, UV_RUN_NOWAIT);
        usleep(100);
    }
    uv_run(&f->loop, UV_RUN_NOWAIT);
    assert_int_equal(f->runs, before + 1);
}

static uint64_t counted(enum metric m)
{
    return atomic_load(&f->counters.metric[m]);
}

static uint64_t gauge(enum gauge g)
{
    return atomic_load(&f->counters.gauge[g]);
}

static void test_limiter_without_sharing_leaves_the_tables_alone(void **state)
{
    static const struct {
        const char *url;
        bool limits;
    } rows[] = {{NULL, true}, {"redis://127.0.0.1", false}};
    for (size_t i = 0; i < 2; i++) {
        const struct share share = {.ctx = f, .debit = debit, .lease = lease, .look = look};
        make(rows[i].url, rows[i].limits, 3, "");
        assert_null(limiter_report(f->limiter));
        limiter_start(f->limiter, &share);
        limiter_link(f->limiter, true);
        limiter_tick(f->limiter);
        limiter_reloaded(f->limiter, &f->config);
        limiter_forgotten(f->limiter);
        assert_int_equal(limiter_mode(f->limiter), LIMITER_OWN);
        assert_int_equal(limiter_look(f->limiter, NULL, 0, NULL, NULL), -EAGAIN);
        assert_int_equal(f->rates_shared + f->quotas_shared + f->runs + f->agains + f->looks, 0);
        assert_int_equal(gauge(GAUGE_LIMIT_INSTANCES), 1);
        assert_int_equal(gauge(GAUGE_LIMITS_SHARED), 0);
        stop();
    }
}

static void test_limiter_names_follow_the_configured_secret(void **state)
{
    uint8_t keys[4][16];
    static const char *const secrets[] = {"", "sixteen bytes and", "sixteen bytes and", ""};
    for (size_t i = 0; i < 4; i++) {
        make("redis://127.0.0.1", true, 1, secrets[i]);
        assert_memory_equal(f->rate_key, f->quota_key, 16);
        memcpy(keys[i], f->rate_key, 16);
        stop();
    }
    assert_memory_equal(keys[0], keys[3], 16);
    assert_memory_equal(keys[1], keys[2], 16);
    assert_memory_not_equal(keys[0], keys[1], 16);
}

static void test_limiter_born_in_an_outage_counts_fleet_size(void **state)
{
    make("redis://127.0.0.1", true, 3, "");
    assert_int_equal(f->rate_fleet, 3);
    assert_int_equal(f->quota_fleet, 3);
    assert_false(f->rate_reachable || f->quota_reachable);
    assert_int_equal(gauge(GAUGE_LIMIT_INSTANCES), 3);
    assert_int_equal(limiter_mode(f->limiter), LIMITER_ALONE);
}

static void test_limiter_what_the_fleet_says_reaches_both_tables(void **state)
{
    start();
    assert_true(f->rate_reachable && f->quota_reachable);
    assert_int_equal(f->rate_fleet, 2);
    assert_int_equal(f->quota_fleet, 2);
    assert_int_equal(gauge(GAUGE_LIMIT_INSTANCES), 2);
    assert_int_equal(limiter_mode(f->limiter), LIMITER_SHARED);
    limiter_link(f->limiter, false);
    assert_false(f->rate_reachable || f->quota_reachable);
    assert_int_equal(limiter_mode(f->limiter), LIMITER_ALONE);
    const unsigned before = f->agains;
    limiter_forgotten(f->limiter);
    assert_int_equal(f->agains, before + 1);
    limiter_instances(f->limiter, 0);
    assert_int_equal(f->rate_fleet, 1);
}

static void test_limiter_worker_wakes_the_reports(void **state)
{
    start();
    const unsigned before = f->runs;
    uv_run(&f->loop, UV_RUN_NOWAIT);
    assert_int_equal(f->runs, before);
    limiter_report(f->limiter)(f->limiter);
    limiter_report(f->limiter)(f->limiter);
    run_once_more();
}

/* However often workers wake it: what they have leaves together. */
static void test_limiter_runs_are_apart(void **state)
{
    static const struct {
        bool hurries;
        uint64_t apart_us;
    } rows[] = {{false, RATE_REPORT_WITHIN_US}, {true, RATE_REPORT_EVERY_US}};
    start();
    for (size_t i = 0; i < 2; i++) {
        f->hurries = rows[i].hurries;
        limiter_tick(f->limiter);
        const unsigned before = f->runs;
        const uint64_t began = clock_now().mono_us;
        while (f->runs == before && clock_now().mono_us - began < 5 * US_PER_S) {
            limiter_report(f->limiter)(f->limiter);
            uv_run(&f->loop, UV_RUN_NOWAIT);
            usleep(100);
        }
        assert_int_equal(f->runs, before + 1);
        assert_true(clock_now().mono_us - began >= rows[i].apart_us - US_PER_MS);
    }
}

static void test_limiter_reports_run_when_they_are_due(void **state)
{
    start();
    f->due_in = 5 * US_PER_MS;
    limiter_tick(f->limiter);
    const uint64_t began = clock_now().mono_us;
    run_once_more();
    assert_true(clock_now().mono_us - began >= 4 * US_PER_MS);
    f->due_in = 0;
    limiter_tick(f->limiter);
    const unsigned now = f->runs;
    usleep(10000);
    uv_run(&f->loop, UV_RUN_NOWAIT);
    assert_int_equal(f->runs, now);
}

static void test_limiter_answers_are_passed_on_counted_and_run_again(void **state)
{
    start();
    assert_int_equal(report_rates(), 0);
    assert_int_equal(report_quotas(), 0);
    answer(0, true, 123);
    answer(1, true, 4);
    assert_int_equal(f->heard_count, 2);
    assert_true(f->heard[0].answered && f->heard[0].value == 123);
    assert_true(f->heard[1].answered && f->heard[1].value == 4);
    assert_int_equal(f->told, 2);
    run_once_more();
    assert_int_equal(counted(METRIC_LIMIT_RATES_ANSWERED), 1);
    assert_int_equal(counted(METRIC_LIMIT_QUOTAS_ANSWERED), 1);
    assert_int_equal(counted(METRIC_LIMIT_RATE_KEYS), 2);
    assert_int_equal(counted(METRIC_LIMIT_QUOTA_KEYS), 1);
    assert_int_equal(counted(METRIC_LIMIT_DENIED), 1);
    assert_int_equal(counted(METRIC_LIMIT_RATES_FAILED) + counted(METRIC_LIMIT_QUOTAS_FAILED), 0);
}

static void test_limiter_is_alone_until_a_report_is_answered_again(void **state)
{
    start();
    assert_int_equal(report_rates(), 0);
    assert_int_equal(report_quotas(), 0);
    answer(0, false, 0);
    assert_int_equal(f->heard[0].value, UINT64_MAX);
    assert_int_equal(f->told, 0);
    assert_int_equal(limiter_mode(f->limiter), LIMITER_ALONE);
    limiter_measure(f->limiter);
    assert_int_equal(gauge(GAUGE_LIMITS_SHARED), 0);
    assert_int_equal(counted(METRIC_LIMIT_RATES_FAILED), 1);
    answer(1, true, 0);
    assert_int_equal(limiter_mode(f->limiter), LIMITER_SHARED);
    limiter_measure(f->limiter);
    assert_int_equal(gauge(GAUGE_LIMITS_SHARED), 1);
    /* Silence is told by the oldest of those that wait. */
    assert_int_equal(report_quotas(), 0);
    usleep(RATE_SILENCE_US + 10000);
    assert_int_equal(report_rates(), 0);
    assert_int_equal(limiter_mode(f->limiter), LIMITER_ALONE);
    answer(2, true, 0);
    assert_int_equal(limiter_mode(f->limiter), LIMITER_SHARED);
    answer(3, true, 0);
}

static void test_limiter_call_that_is_not_taken_is_not_answered(void **state)
{
    start();
    f->call_returns = -EAGAIN;
    assert_int_equal(report_rates(), -EAGAIN);
    assert_int_equal(report_quotas(), -EAGAIN);
    assert_int_equal(counted(METRIC_LIMIT_RATE_KEYS) + counted(METRIC_LIMIT_QUOTA_KEYS), 0);
    assert_int_equal(limiter_mode(f->limiter), LIMITER_SHARED);
    assert_int_equal(limiter_look(f->limiter, NULL, 0, NULL, NULL), 0);
    assert_int_equal(f->looks, 1);
}

static void test_limiter_ends_in_the_middle_of_calls(void **state)
{
    start();
    assert_int_equal(report_rates(), 0);
    assert_int_equal(report_quotas(), 0);
    assert_int_equal(report_rates(), 0);
    const unsigned before = f->runs;
    limiter_stop(f->limiter);
    assert_int_equal(f->runs, before + 1);
    assert_int_equal(report_rates(), -EAGAIN);
    assert_int_equal(limiter_look(f->limiter, NULL, 0, NULL, NULL), -EAGAIN);
    answer(1, false, 0);
    answer(0, false, 0);
    answer(2, true, 0);
    limiter_end(f->limiter);
    assert_int_equal(f->freed, 2);
    limiter_report(f->limiter)(f->limiter); /* of what worker_settle delivers */
    limiter_tick(f->limiter);
    limiter_end(f->limiter);
    while (uv_run(&f->loop, UV_RUN_DEFAULT) != 0) {
    }
    assert_int_equal(f->runs, before + 1);
    limiter_free(f->limiter);
    f->limiter = NULL;
}

static void test_limiter_reload_rescales_what_has_changed(void **state)
{
    start();
    f->config.realm_rates[2].allocations_per_user = (struct rate){100, 1, 100};
    f->config.limits.guesses_per_prefix = (struct rate){300, 60, 300};
    f->config.limits.guesses_per_network = (struct rate){3000, 60, 3000};
    f->config.limits.rates.allocations_per_realm = (struct rate){5, 1, 5};
    f->config.auth.realm_count = 3;
    f->config.limits.quota.allocations_per_user = 10;
    f->config.realm_quotas[2].allocations_per_user = 12;
    limiter_reloaded(f->limiter, &f->config);
    assert_int_equal(f->quota_limits[0], 10);
    assert_int_equal(f->quota_limits[2], 12);
    assert_int_equal(f->passes, 1);
    assert_int_equal(f->rescales, 4);
    assert_int_equal(f->agains, 0); /* nothing was lost */
    const struct rate rate = f->rates.rate_of(f->rates.rate_of_ctx, RATE_ALLOCATION_USER, 2);
    assert_int_equal(rate.count, 100);
    assert_int_equal(f->rates.rate_of(f->rates.rate_of_ctx, RATE_ALLOCATION_REALM, 0).count, 5);
    limiter_reloaded(f->limiter, &f->config);
    assert_int_equal(f->rescales, 0);
    f->config.realm_rates[2].allocations_per_user.burst = 7;
    limiter_reloaded(f->limiter, &f->config);
    assert_int_equal(f->rescales, 1);
    assert_int_equal(f->rescaled[0].scope, RATE_ALLOCATION_USER);
    assert_int_equal(f->rescaled[0].realm, 2);
    assert_int_equal(f->rescaled[0].before.burst, 100);
    assert_int_equal(f->rescaled[0].after.burst, 7);
}

static void test_limiter_log_tells_of_changes_once(void **state)
{
    char text[2048] = "";
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(log_init(fds[1], LOG_INFO, LOG_TEXT), 0);
    start();
    f->config.limits.deny_alone = true;
    limiter_reloaded(f->limiter, &f->config);
    for (int i = 0; i < 3; i++)
        limiter_tick(f->limiter);
    usleep(3100000); /* a link that is down is no news while it first connects */
    limiter_link(f->limiter, false);
    for (int i = 0; i < 3; i++)
        limiter_tick(f->limiter);
    limiter_link(f->limiter, true);
    limiter_tick(f->limiter);
    log_deinit();
    close(fds[1]);
    assert_true(read(fds[0], text, sizeof(text) - 1) > 0);
    close(fds[0]);
    const char *first = strstr(text, " limits_shared instances=2\n");
    assert_non_null(first);
    const char *alone = strstr(first, " limits_alone instances=2 why=\"the link to Redis is down\" "
                                      "until_then=\"allocations are refused\"\n");
    assert_non_null(alone);
    assert_non_null(strstr(alone, " limits_shared instances=2\n"));
    unsigned lines = 0;
    for (const char *p = text; *p; p++)
        lines += *p == '\n';
    assert_int_equal(lines, 3);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_limiter_without_sharing_leaves_the_tables_alone),
        CASE(test_limiter_names_follow_the_configured_secret),
        CASE(test_limiter_born_in_an_outage_counts_fleet_size),
        CASE(test_limiter_what_the_fleet_says_reaches_both_tables),
        CASE(test_limiter_worker_wakes_the_reports),
        CASE(test_limiter_reports_run_when_they_are_due),
        CASE(test_limiter_runs_are_apart),
        CASE(test_limiter_answers_are_passed_on_counted_and_run_again),
        CASE(test_limiter_is_alone_until_a_report_is_answered_again),
        CASE(test_limiter_call_that_is_not_taken_is_not_answered),
        CASE(test_limiter_ends_in_the_middle_of_calls),
        CASE(test_limiter_reload_rescales_what_has_changed),
        CASE(test_limiter_log_tells_of_changes_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
