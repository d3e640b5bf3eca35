/* What has been revoked reaches every worker once, however full its mailbox is. */
#include "tests/unit/mailboxes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/revoker.h"

#define NOW 1700000000

struct fixture {
    struct mailboxes m;
    struct revoker *revoker;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    mailboxes_init(&f->m);
    f->revoker = revoker_new(&f->m.loop, &f->m.workers, &f->m.counters);
    assert_non_null(f->revoker);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    revoker_free(f->revoker);
    mailboxes_deinit(&f->m);
    free(f);
    return 0;
}

static struct revocation revocation_of(const char *id, int64_t until)
{
    struct revocation v = {
        .kind = REVOKE_USER, .realm = 3, .until = until, .id_len = (uint16_t)strlen(id)};
    memcpy(v.id, id, v.id_len);
    return v;
}

static int put(struct fixture *f, const char *id, int64_t until)
{
    const struct revocation v = revocation_of(id, until);
    return revoker_put(f->revoker, &v, NOW);
}

static void check_kept(const struct mailboxes_one *w, size_t n, const char *id, int64_t until)
{
    assert_true(n < w->count);
    assert_int_equal(w->kept[n].kind, MAILBOX_REVOKE);
    const struct revocation *v = w->kept[n].u.revocation;
    assert_int_equal(v->kind, REVOKE_USER);
    assert_int_equal(v->realm, 3);
    assert_int_equal(v->until, until);
    assert_int_equal(v->id_len, strlen(id));
    assert_memory_equal(v->id, id, v->id_len);
}

static uint64_t in_force(const struct fixture *f)
{
    return f->m.counters.gauge[GAUGE_REVOCATIONS];
}

static void test_revoker_each_worker_hears_of_each_once(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(put(f, "ann", NOW + 60), 1);
    assert_int_equal(put(f, "bob", NOW + 61), 1);
    assert_int_equal(put(f, "ann", NOW + 60), 0);
    mailboxes_run(&f->m);
    for (unsigned i = 0; i < MAILBOXES_WORKERS; i++) {
        assert_int_equal(f->m.worker[i].count, 2);
        check_kept(&f->m.worker[i], 0, "ann", NOW + 60);
        check_kept(&f->m.worker[i], 1, "bob", NOW + 61);
    }
    assert_int_equal(in_force(f), 2);
    assert_int_equal(f->m.counters.metric[METRIC_REVOCATIONS], 2);
}

static void test_revoker_same_name_of_another_kind_or_realm_is_another(void **state)
{
    struct fixture *f = *state;
    struct revocation v = revocation_of("ann", NOW + 60);
    assert_int_equal(revoker_put(f->revoker, &v, NOW), 1);
    v.realm = 4;
    assert_int_equal(revoker_put(f->revoker, &v, NOW), 1);
    v.kind = REVOKE_SECRET;
    assert_int_equal(revoker_put(f->revoker, &v, NOW), 1);
    assert_int_equal(in_force(f), 3);
}

static void test_revoker_prolongs_and_takes_back(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(put(f, "ann", NOW + 60), 1);
    assert_int_equal(put(f, "ann", NOW + 90), 1);
    assert_int_equal(in_force(f), 1);
    assert_int_equal(put(f, "ann", 0), 1);
    assert_int_equal(in_force(f), 0);
    assert_int_equal(put(f, "ann", 0), 0); /* nothing is left to take back */
    mailboxes_run(&f->m);
    assert_int_equal(f->m.worker[0].count, 3);
    check_kept(&f->m.worker[0], 1, "ann", NOW + 90);
    check_kept(&f->m.worker[0], 2, "ann", 0);
}

static void test_revoker_ends_by_itself(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(put(f, "ann", NOW + 60), 1);
    revoker_tick(f->revoker, NOW + 59);
    assert_int_equal(in_force(f), 1);
    revoker_tick(f->revoker, NOW + 60);
    assert_int_equal(in_force(f), 0);
}

/* Only the worker that has no room waits. */
static void test_revoker_full_mailbox_is_tried_again(void **state)
{
    struct fixture *f = *state;
    mailboxes_fill(&f->m, 0, MAILBOX_SNAPSHOT);
    assert_int_equal(put(f, "ann", NOW + 60), 1);
    assert_int_equal(mailbox_drain(f->m.worker[1].mailbox), 1);
    check_kept(&f->m.worker[1], 0, "ann", NOW + 60);
    assert_int_equal(mailbox_drain(f->m.worker[0].mailbox), MAILBOXES_CAPACITY);
    assert_int_equal(put(f, "bob", NOW + 60), 1);
    for (unsigned i = 0; i < 3000 && f->m.worker[0].count < MAILBOXES_CAPACITY + 2; i++) {
        mailboxes_run(&f->m);
        usleep(1000);
    }
    check_kept(&f->m.worker[0], MAILBOXES_CAPACITY, "ann", NOW + 60);
    check_kept(&f->m.worker[0], MAILBOXES_CAPACITY + 1, "bob", NOW + 60);
    assert_int_equal(f->m.worker[1].count, 2);
}

/* Traffic between workers, and answers of the store, hold up no revocation. */
static void test_revoker_flood_between_workers_holds_nothing_up(void **state)
{
    struct fixture *f = *state;
    mailboxes_fill(&f->m, 0, MAILBOX_RELAY);
    assert_int_equal(put(f, "ann", NOW + 60), 1);
    mailbox_drain(f->m.worker[0].mailbox);
    check_kept(&f->m.worker[0], MAILBOXES_CAPACITY - MAILBOX_RESERVED, "ann", NOW + 60);
}

static void test_revoker_thousands_arrive_in_order(void **state)
{
    struct fixture *f = *state;
    char id[32];
    for (unsigned i = 0; i < 3000; i++) {
        snprintf(id, sizeof(id), "user-%u", i);
        assert_int_equal(put(f, id, NOW + 60), 1);
    }
    for (unsigned i = 0; i < 3000 && f->m.worker[0].count < 3000; i++) {
        mailboxes_run(&f->m);
        usleep(1000);
    }
    for (unsigned i = 0; i < 3000; i++) {
        snprintf(id, sizeof(id), "user-%u", i);
        check_kept(&f->m.worker[0], i, id, NOW + 60);
        check_kept(&f->m.worker[1], i, id, NOW + 60);
    }
    assert_int_equal(f->m.worker[0].count, 3000);
}

static void test_revoker_over_the_most_is_refused(void **state)
{
    struct fixture *f = *state;
    char id[32];
    f->m.workers.count = 0;
    for (unsigned i = 0; i < REVOCATIONS_MAX; i++) {
        snprintf(id, sizeof(id), "%u", i);
        assert_int_equal(put(f, id, NOW + 60 + i % 2), 1);
    }
    assert_int_equal(put(f, "one more", NOW + 60), -ENOSPC);
    assert_int_equal(put(f, "7", NOW + 99), 1);
    revoker_tick(f->revoker, NOW + 60);
    assert_int_equal(in_force(f), REVOCATIONS_MAX / 2);
    assert_int_equal(put(f, "one more", NOW + 60), 1);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_revoker_each_worker_hears_of_each_once),
        CASE(test_revoker_same_name_of_another_kind_or_realm_is_another),
        CASE(test_revoker_prolongs_and_takes_back),
        CASE(test_revoker_ends_by_itself),
        CASE(test_revoker_full_mailbox_is_tried_again),
        CASE(test_revoker_flood_between_workers_holds_nothing_up),
        CASE(test_revoker_thousands_arrive_in_order),
        CASE(test_revoker_over_the_most_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
