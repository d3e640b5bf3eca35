/* Holdings: limits one by one, nothing taken by a refusal, 10^6 random operations. THREATS rows
 * 13, 15. */
#include "ratelimit/quota.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static const uint8_t key[16] = "quota table key";
static const struct quota_limits unlimited = {0};

static struct addr client(unsigned prefix, unsigned host)
{
    return addr_ipv4(10, (uint8_t)(prefix >> 8), (uint8_t)prefix, (uint8_t)host, 1000);
}

static enum reason open_as(struct quota_table *t, struct quota_charge *c,
    const struct quota_limits *limits, uint32_t realm, const char *user, unsigned prefix)
{
    struct addr a = client(prefix, 1);
    bool report = false;
    const struct quota_asked asked = {
        .limits = limits, .realm = realm, .user = slice_of_string(user), .client = a};
    return quota_open(t, c, &asked, &report);
}

static void test_quota_open_user_limit_per_realm_and_name(void **state)
{
    struct quota_table *t = quota_new(100, key);
    const struct quota_limits limits = {.allocations_per_user = 2};
    struct quota_charge a[2], other, refused = {.user = 77};
    assert_int_equal(open_as(t, &a[0], &limits, 1, "alice", 1), REASON_NONE);
    assert_int_equal(open_as(t, &a[1], &limits, 1, "alice", 2), REASON_NONE);
    assert_int_equal(open_as(t, &refused, &limits, 1, "alice", 3), REASON_QUOTA_USER);
    assert_int_equal(refused.user, 77); /* not written */
    assert_false(refused.open);
    assert_int_equal(open_as(t, &other, &limits, 2, "alice", 1), REASON_NONE);
    quota_close(t, &other);
    assert_int_equal(open_as(t, &other, &limits, 1, "alicf", 1), REASON_NONE);
    quota_close(t, &other);
    quota_close(t, &a[0]);
    assert_int_equal(open_as(t, &a[0], &limits, 1, "alice", 1), REASON_NONE);
    assert_int_equal(quota_allocations(t), 2);
    quota_close(t, &a[0]);
    quota_close(t, &a[1]);
    assert_int_equal(quota_allocations(t), 0);
    quota_free(t);
}

static void test_quota_open_realm_and_total_limits_take_nothing(void **state)
{
    struct quota_table *t = quota_new(100, key);
    struct quota_limits limits = {
        .allocations_per_realm = 2, .allocations_total = 3, .allocations_per_user = 1};
    struct quota_charge c[3], d = {0};
    assert_int_equal(open_as(t, &c[0], &limits, 1, "a", 1), REASON_NONE);
    assert_int_equal(open_as(t, &c[1], &limits, 1, "b", 1), REASON_NONE);
    /* Refused by the realm: user "c" must not be left with anything, or its next try elsewhere
     * would be refused. */
    for (int i = 0; i < 10; i++)
        assert_int_equal(open_as(t, &d, &limits, 1, "c", 1), REASON_QUOTA_REALM);
    assert_int_equal(open_as(t, &c[2], &limits, 2, "c", 1), REASON_NONE);
    for (int i = 0; i < 10; i++)
        assert_int_equal(open_as(t, &d, &limits, 3, "e", 1), REASON_QUOTA_INSTANCE);
    assert_int_equal(quota_allocations(t), 3);
    quota_close(t, &c[0]);
    assert_int_equal(open_as(t, &d, &limits, 1, "c", 1), REASON_NONE);
    quota_close(t, &d);
    quota_close(t, &c[1]);
    quota_close(t, &c[2]);
    quota_free(t); /* asserts that no refusal left anything */
}

static void test_quota_open_table_cap_refused_as_allocation_cap(void **state)
{
    struct quota_table *t = quota_new(3, key);
    struct quota_charge c[3], d = {0};
    char user[8];
    for (int i = 0; i < 3; i++) {
        snprintf(user, sizeof(user), "u%d", i);
        assert_int_equal(
            open_as(t, &c[i], &unlimited, (uint32_t)i, user, (unsigned)i), REASON_NONE);
    }
    assert_int_equal(open_as(t, &d, &unlimited, 9, "u9", 9), REASON_ALLOCATION_CAP);
    for (int i = 0; i < 3; i++)
        quota_close(t, &c[i]);
    quota_free(t);
    t = quota_new(0, key);
    assert_int_equal(open_as(t, &d, &unlimited, 9, "u9", 9), REASON_ALLOCATION_CAP);
    quota_free(t);
    assert_null(quota_new(1 << 24, key));
    quota_free(NULL);
}

static void test_quota_open_all_distinct_at_cap_all_fit(void **state)
{
    enum { MANY = 20000 };
    struct quota_table *t = quota_new(MANY, key);
    struct quota_charge *c = calloc(MANY, sizeof(*c));
    char user[16];
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < MANY; i++) {
            snprintf(user, sizeof(user), "user%u-%u", i, round);
            assert_int_equal(open_as(t, &c[i], &unlimited, i, user, i), REASON_NONE);
        }
        assert_int_equal(quota_allocations(t), MANY);
        for (unsigned i = 0; i < MANY; i++)
            quota_close(t, &c[i]);
    }
    free(c);
    quota_free(t);
}

static void test_quota_take_limits_of_user_and_prefix(void **state)
{
    struct quota_table *t = quota_new(10, key);
    const struct quota_limits limits = {.permissions_per_user = 10,
        .permissions_per_prefix = 15,
        .channels_per_user = 4,
        .channels_per_prefix = 6};
    struct quota_charge a1, a2, b;
    assert_int_equal(open_as(t, &a1, &limits, 1, "alice", 1), REASON_NONE);
    assert_int_equal(open_as(t, &a2, &limits, 1, "alice", 2), REASON_NONE);
    assert_int_equal(open_as(t, &b, &limits, 1, "bob", 1), REASON_NONE);
    /* By user, over both of its allocations. */
    assert_int_equal(quota_take(t, &a1, &limits, QUOTA_PERMISSIONS, 6), REASON_NONE);
    assert_int_equal(quota_take(t, &a2, &limits, QUOTA_PERMISSIONS, 5), REASON_PERMISSION_CAP);
    assert_int_equal(quota_take(t, &a2, &limits, QUOTA_PERMISSIONS, 4), REASON_NONE);
    assert_int_equal(quota_take(t, &a2, &limits, QUOTA_PERMISSIONS, 1), REASON_PERMISSION_CAP);
    /* By prefix: 6 of alice's are in it. A refusal leaves bob with what he had. */
    for (int i = 0; i < 5; i++)
        assert_int_equal(quota_take(t, &b, &limits, QUOTA_PERMISSIONS, 10), REASON_PERMISSION_CAP);
    assert_int_equal(quota_take(t, &b, &limits, QUOTA_PERMISSIONS, 9), REASON_NONE);
    assert_int_equal(b.held[QUOTA_PERMISSIONS], 9);
    /* Channels are counted apart. */
    assert_int_equal(quota_take(t, &b, &limits, QUOTA_CHANNELS, 4), REASON_NONE);
    assert_int_equal(quota_take(t, &b, &limits, QUOTA_CHANNELS, 1), REASON_CHANNEL_CAP);
    assert_int_equal(quota_take(t, &a1, &limits, QUOTA_CHANNELS, 3), REASON_CHANNEL_CAP);
    assert_int_equal(quota_take(t, &a1, &limits, QUOTA_CHANNELS, 2), REASON_NONE);
    quota_give(t, &a1, QUOTA_PERMISSIONS, 6);
    assert_int_equal(quota_take(t, &a2, &limits, QUOTA_PERMISSIONS, 6), REASON_NONE);
    quota_close(t, &a1);
    quota_close(t, &a2);
    quota_close(t, &b);
    quota_free(t);
}

static void test_quota_take_prefix_is_24_or_64(void **state)
{
    struct quota_table *t = quota_new(10, key);
    const struct quota_limits limits = {.channels_per_prefix = 1};
    struct addr four[] = {
        addr_ipv4(192, 0, 2, 1, 1), addr_ipv4(192, 0, 2, 254, 9), addr_ipv4(192, 0, 3, 1, 1)};
    struct addr six[3] = {{.family = ADDR_IPV6, .ip = {0x20, 1}},
        {.family = ADDR_IPV6, .ip = {0x20, 1}}, {.family = ADDR_IPV6, .ip = {0x20, 1}}};
    six[1].ip[8] = 1; /* the same /64 */
    six[2].ip[7] = 1; /* the next */
    for (int family = 0; family < 2; family++) {
        struct quota_charge c[3];
        for (int i = 0; i < 3; i++) {
            const struct quota_asked asked = {.limits = &limits,
                .user = slice_of_string("u"),
                .client = family ? six[i] : four[i]};
            bool report = false;
            assert_int_equal(quota_open(t, &c[i], &asked, &report), REASON_NONE);
            assert_int_equal(quota_take(t, &c[i], &limits, QUOTA_CHANNELS, 1),
                i == 1 ? REASON_CHANNEL_CAP : REASON_NONE);
        }
        for (int i = 0; i < 3; i++)
            quota_close(t, &c[i]);
    }
    quota_free(t);
}

static void test_quota_take_near_two_to_32_refuses_not_wraps(void **state)
{
    struct quota_table *t = quota_new(10, key);
    struct quota_charge a, b;
    assert_int_equal(open_as(t, &a, &unlimited, 1, "alice", 1), REASON_NONE);
    assert_int_equal(open_as(t, &b, &unlimited, 1, "bob", 1), REASON_NONE);
    assert_int_equal(quota_take(t, &a, &unlimited, QUOTA_PERMISSIONS, UINT32_MAX - 2), REASON_NONE);
    assert_int_equal(quota_take(t, &a, &unlimited, QUOTA_PERMISSIONS, 3), REASON_PERMISSION_CAP);
    assert_int_equal(quota_take(t, &b, &unlimited, QUOTA_PERMISSIONS, 3), REASON_PERMISSION_CAP);
    assert_int_equal(
        quota_take(t, &b, &unlimited, QUOTA_PERMISSIONS, UINT32_MAX), REASON_PERMISSION_CAP);
    assert_int_equal(quota_take(t, &a, &unlimited, QUOTA_PERMISSIONS, 2), REASON_NONE);
    assert_int_equal(quota_take(t, &a, &unlimited, QUOTA_PERMISSIONS, 1), REASON_PERMISSION_CAP);
    assert_int_equal(quota_take(t, &a, &unlimited, QUOTA_PERMISSIONS, 0), REASON_NONE);
    quota_close(t, &a);
    quota_close(t, &b);
    quota_free(t);
}

static void test_quota_close_twice_or_never_opened_nothing(void **state)
{
    struct quota_table *t = quota_new(10, key);
    struct quota_charge a = {0}, b;
    quota_close(t, &a);
    assert_int_equal(open_as(t, &a, &unlimited, 1, "alice", 1), REASON_NONE);
    assert_int_equal(open_as(t, &b, &unlimited, 1, "alice", 1), REASON_NONE);
    quota_close(t, &a);
    assert_int_equal(a.user, QUOTA_CHARGE_NONE);
    quota_close(t, &a);
    assert_int_equal(quota_allocations(t), 1);
    quota_close(t, &b);
    quota_free(t);
}

/* Random operations of one or more threads over few users, realms and prefixes, so that entries
 * come and go all the time. */
enum { OPERATIONS = 1000000, HELD = 64, USERS = 6, REALMS = 2, PREFIXES = 4 };

struct worker {
    struct quota_table *t;
    struct quota_charge charge[HELD];
    unsigned user[HELD];
    uint64_t random;
    unsigned operations, opened, refused;
};

static const struct quota_limits tight = {.allocations_per_user = 12,
    .allocations_per_realm = 40,
    .allocations_total = 60,
    .permissions_per_user = 50,
    .permissions_per_prefix = 70,
    .channels_per_user = 20,
    .channels_per_prefix = 33};
static _Atomic int held_by[USERS * REALMS];
static _Atomic int over;

static uint32_t below(struct worker *w, uint32_t bound)
{
    w->random = w->random * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(w->random >> 33) % bound;
}

static void open_one(struct worker *w, unsigned i)
{
    char user[8];
    uint32_t realm = below(w, REALMS), name = below(w, USERS);
    snprintf(user, sizeof(user), "u%u", name);
    if (open_as(w->t, &w->charge[i], &tight, realm, user, below(w, PREFIXES)) != REASON_NONE) {
        w->refused++;
        return;
    }
    w->opened++;
    w->user[i] = realm * USERS + name;
    /* Counted here after it was granted, taken off before it is given back: never more than what
     * the table has granted. */
    if (atomic_fetch_add(&held_by[w->user[i]], 1) + 1 > (int)tight.allocations_per_user)
        atomic_fetch_add(&over, 1);
}

static void step(struct worker *w)
{
    unsigned i = below(w, HELD);
    struct quota_charge *c = &w->charge[i];
    enum quota_kind kind = below(w, QUOTA_KINDS);
    if (!c->open) {
        open_one(w, i);
        return;
    }
    switch (below(w, 4)) {
    case 0:
        atomic_fetch_sub(&held_by[w->user[i]], 1);
        quota_close(w->t, c);
        break;
    case 1:
        quota_give(w->t, c, kind, below(w, c->held[kind] + 1));
        break;
    default:
        w->refused += quota_take(w->t, c, &tight, kind, 1 + below(w, 8)) != REASON_NONE;
    }
}

static void *run(void *arg)
{
    struct worker *w = arg;
    for (unsigned i = 0; i < w->operations; i++)
        step(w);
    for (unsigned i = 0; i < HELD; i++) {
        if (w->charge[i].open)
            atomic_fetch_sub(&held_by[w->user[i]], 1);
        quota_close(w->t, &w->charge[i]);
    }
    return NULL;
}

static void run_random(unsigned threads)
{
    static struct worker workers[4];
    pthread_t thread[4];
    struct quota_table *t = quota_new(64, key);
    atomic_store(&over, 0);
    memset(workers, 0, sizeof(workers));
    for (unsigned i = 0; i < threads; i++) {
        workers[i].t = t;
        workers[i].random = 88172645463325252ull + i;
        workers[i].operations = OPERATIONS / threads;
        assert_int_equal(pthread_create(&thread[i], NULL, run, &workers[i]), 0);
    }
    unsigned opened = 0, refused = 0;
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(thread[i], NULL);
        opened += workers[i].opened;
        refused += workers[i].refused;
    }
    assert_int_equal(atomic_load(&over), 0);
    assert_true(opened > OPERATIONS / 50);  /* both happened, */
    assert_true(refused > OPERATIONS / 50); /* or this shows nothing */
    assert_int_equal(quota_allocations(t), 0);
    /* Everything that the limits allow is there again: nothing was lost, either. */
    struct quota_charge again[12];
    for (int i = 0; i < 12; i++)
        assert_int_equal(open_as(t, &again[i], &tight, 0, "u0", 0), REASON_NONE);
    assert_int_equal(quota_take(t, &again[0], &tight, QUOTA_PERMISSIONS, 50), REASON_NONE);
    assert_int_equal(quota_take(t, &again[0], &tight, QUOTA_CHANNELS, 20), REASON_NONE);
    for (int i = 0; i < 12; i++)
        quota_close(t, &again[i]);
    quota_free(t);
}

static void test_quota_random_operations_one_thread_conserved(void **state)
{
    run_random(1);
}

static void test_quota_random_operations_four_threads_conserved(void **state)
{
    run_random(4);
}

/* Two threads meet at a key that nobody holds, again and again: one of them gets the only
 * allocation. */
enum { MEETINGS = 300000 };
static _Atomic uint32_t arrived, granted, twice;

static void meet(uint32_t target)
{
    atomic_fetch_add(&arrived, 1);
    for (unsigned i = 1; atomic_load(&arrived) < target; i++)
        if (i % 4096 == 0)
            sched_yield();
}

static struct quota_table *contested;

/* One of the two comes a little later, by another step each time. */
static void *open_and_close(void *late)
{
    struct quota_table *t = contested;
    const struct quota_limits one = {.allocations_per_user = 1};
    for (uint32_t i = 0; i < MEETINGS; i++) {
        struct quota_charge c = {0};
        meet(4 * i + 2);
        for (volatile uint32_t wait = late ? i % 100 : 0; wait > 0; wait--)
            ;
        if (open_as(t, &c, &one, 1, "only", 1) == REASON_NONE)
            atomic_fetch_add(&granted, 1);
        meet(4 * i + 4);
        if (c.open) {
            uint32_t n = atomic_exchange(&granted, 0);
            atomic_fetch_add(&twice, n > 1);
            quota_close(t, &c);
        }
    }
    return NULL;
}

static void test_quota_free_key_two_threads_one_entry(void **state)
{
    contested = quota_new(8, key);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, open_and_close, contested), 0);
    open_and_close(NULL);
    pthread_join(thread, NULL);
    assert_int_equal(atomic_load(&twice), 0);
    quota_free(contested);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quota_open_user_limit_per_realm_and_name),
        cmocka_unit_test(test_quota_open_realm_and_total_limits_take_nothing),
        cmocka_unit_test(test_quota_open_table_cap_refused_as_allocation_cap),
        cmocka_unit_test(test_quota_open_all_distinct_at_cap_all_fit),
        cmocka_unit_test(test_quota_take_limits_of_user_and_prefix),
        cmocka_unit_test(test_quota_take_prefix_is_24_or_64),
        cmocka_unit_test(test_quota_take_near_two_to_32_refuses_not_wraps),
        cmocka_unit_test(test_quota_close_twice_or_never_opened_nothing),
        cmocka_unit_test(test_quota_random_operations_one_thread_conserved),
        cmocka_unit_test(test_quota_random_operations_four_threads_conserved),
        cmocka_unit_test(test_quota_free_key_two_threads_one_entry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
