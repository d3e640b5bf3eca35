/*
 * turnpike_client_rtt_seconds: the time from a challenge to the Allocate request that answers it,
 * and everything that is no answer to that challenge.
 */
#include "tests/scenario/fixture.h"

static struct histogram_sum observed(const struct world *w)
{
    struct histogram_sum sum = {0};
    for (unsigned i = 0; i < w->settings.workers; i++)
        histogram_sum_add(&sum, &w->worker[i].counters.histogram[HISTOGRAM_CLIENT_RTT]);
    return sum;
}

static uint64_t count(const struct world *w)
{
    const struct histogram_sum sum = observed(w);
    uint64_t n = 0;
    for (unsigned i = 0; i <= HISTOGRAM_BOUNDS; i++)
        n += sum.bucket[i];
    return n;
}

/* One observation more, of so many milliseconds, in the bucket with this bound. */
static void assert_observed(
    const struct world *w, const struct histogram_sum *before, uint64_t ms, const char *bound)
{
    const struct histogram_sum sum = observed(w);
    assert_int_equal(sum.sum_us - before->sum_us, ms * US_PER_MS);
    for (unsigned i = 0; i <= HISTOGRAM_BOUNDS; i++) {
        const char *le = i < HISTOGRAM_BOUNDS ? histogram_bound(HISTOGRAM_CLIENT_RTT, i) : "+Inf";
        assert_int_equal(sum.bucket[i] - before->bucket[i], strcmp(le, bound) == 0);
    }
}

static void test_round_trip_is_observed_in_its_bucket(void **state)
{
    static const struct {
        uint64_t ms;
        const char *bound;
    } row[] = {{0, "0.002"}, {1, "0.002"}, {2, "0.002"}, {3, "0.005"}, {73, "0.1"}, {240, "0.3"},
        {999, "1"}, {4321, "5"}, {10000, "+Inf"}};
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        const struct histogram_sum before = observed(f->w);
        struct client c;
        client_init(&c, f->w, 10 + (unsigned)i);
        assert_int_equal(client_challenge(&c), 401);
        world_advance_ms(f->w, row[i].ms);
        assert_int_equal(client_allocate(&c, NULL), 200);
        assert_observed(f->w, &before, row[i].ms, row[i].bound);
        world_advance_ms(f->w, 13);
    }
}

static void test_round_trip_too_late_is_not_observed(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(client_challenge(&f->a), 401);
    world_advance_ms(f->w, 10001);
    assert_int_equal(client_allocate(&f->a, NULL), 200);
    assert_int_equal(count(f->w), 0);
}

static void test_round_trip_stale_challenge_counts_from_the_next_one(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(client_challenge(&f->a), 401);
    world_advance(f->w, 700);
    assert_int_equal(client_allocate(&f->a, NULL), 438);
    assert_int_equal(count(f->w), 0);
    const struct histogram_sum before = observed(f->w);
    world_advance_ms(f->w, 30);
    assert_int_equal(client_allocate(&f->a, NULL), 200);
    assert_observed(f->w, &before, 30, "0.05");
}

static void test_round_trip_under_a_clock_set_back_is_not_observed(void **state)
{
    struct fixture *f = *state;
    world_advance_ms(f->w, 500);
    assert_int_equal(client_challenge(&f->a), 401);
    f->w->now.wall_s -= 2;
    assert_int_equal(client_allocate(&f->a, NULL), 200);
    assert_int_equal(count(f->w), 0);
}

/* An instance whose clock is ahead of ours by a second: its nonces are good, and say nothing. */
static void test_round_trip_of_another_instances_challenge_is_not_observed(void **state)
{
    struct fixture *f = *state;
    struct world_settings settings = world_settings_default();
    settings.seed = 99;
    struct world *other = world_new(&settings);
    struct client c;
    other->now.wall_s += 1;
    client_init(&c, other, 1);
    assert_int_equal(client_challenge(&f->a), 401);
    memcpy(c.realm, f->a.realm, c.realm_len = f->a.realm_len);
    memcpy(c.nonce, f->a.nonce, c.nonce_len = f->a.nonce_len);
    assert_int_equal(client_allocate(&c, NULL), 200);
    assert_int_equal(count(other), 0);
    world_free(other);
    assert_int_equal(client_allocate(&f->a, NULL), 200);
    assert_int_equal(count(f->w), 1);
}

static void test_round_trip_of_another_workers_challenge_is_observed(void **state)
{
    struct fixture *f = *state;
    f->settings.workers = 2;
    fixture_restart(f);
    assert_int_equal(client_challenge(&f->a), 401);
    f->a.worker = !f->a.worker;
    assert_int_equal(client_allocate(&f->a, NULL), 200);
    assert_int_equal(count(f->w), 1);
}

static void test_round_trip_of_a_used_challenge_is_not_observed_again(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(client_challenge(&f->a), 401);
    assert_int_equal(client_allocate(&f->a, NULL), 200);
    world_advance_ms(f->w, 400);
    assert_int_equal(client_refresh(&f->a, 0, NULL), 200);
    assert_int_equal(client_allocate(&f->a, NULL), 200);
    assert_int_equal(count(f->w), 1);
}

/* The client waits for its own reasons, not for the network, before it tries again. */
static void test_round_trip_of_a_second_attempt_is_not_observed(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(client_challenge(&f->a), 401);
    assert_int_equal(CLIENT_ASK(&f->a, STUN_ALLOCATE, NULL, ATTR_UDP, {0x7fff, 0, NULL}), 420);
    world_advance_ms(f->w, 400);
    assert_int_equal(client_allocate(&f->a, NULL), 200);
    assert_int_equal(count(f->w), 0);
}

static void test_round_trip_of_a_retransmission_is_observed_once(void **state)
{
    struct fixture *f = *state;
    struct request q;
    struct response r;
    assert_int_equal(client_challenge(&f->a), 401);
    request_begin(&q, &f->a, STUN_REQUEST, STUN_ALLOCATE);
    request_transport(&q, 17);
    request_finish(&q, &f->a);
    assert_int_equal(client_send(&f->a, &q, &r), 200);
    /* So many others that ours is no longer remembered. */
    for (unsigned i = 0; i < 3000; i++) {
        struct client c;
        client_init(&c, f->w, 9);
        c.addr.port = (uint16_t)(2000 + i);
        assert_int_equal(client_allocate(&c, NULL), 200);
        assert_int_equal(client_refresh(&c, 0, NULL), 200);
        world_clear(f->w);
    }
    assert_int_equal(count(f->w), 3001);
    assert_int_equal(client_send(&f->a, &q, &r), 200);
    assert_int_equal(count(f->w), 3001);
}

static void test_round_trip_of_refused_credentials_is_not_observed(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(client_challenge(&f->a), 401);
    const struct client asked = f->a;
    client_set_user(&f->a, "alice", "wrong");
    assert_int_equal(client_allocate(&f->a, NULL), 401);
    assert_int_equal(count(f->w), 0);
    /* Anybody behind the same address can fail: that uses nothing up. */
    f->a = asked;
    assert_int_equal(client_allocate(&f->a, NULL), 200);
    assert_int_equal(count(f->w), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_round_trip_is_observed_in_its_bucket),
        SCENARIO(test_round_trip_too_late_is_not_observed),
        SCENARIO(test_round_trip_stale_challenge_counts_from_the_next_one),
        SCENARIO(test_round_trip_under_a_clock_set_back_is_not_observed),
        SCENARIO(test_round_trip_of_another_instances_challenge_is_not_observed),
        SCENARIO(test_round_trip_of_another_workers_challenge_is_observed),
        SCENARIO(test_round_trip_of_a_used_challenge_is_not_observed_again),
        SCENARIO(test_round_trip_of_a_second_attempt_is_not_observed),
        SCENARIO(test_round_trip_of_a_retransmission_is_observed_once),
        SCENARIO(test_round_trip_of_refused_credentials_is_not_observed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
