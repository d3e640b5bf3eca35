/*
 * Users whose keys lie in the store: their requests wait until it has answered, in bounds, and are
 * answered once, whatever becomes of the store, the client, the configuration or the relay
 * meanwhile. Whoever can be verified without the store does not notice.
 */
#include "tests/scenario/fixture.h"

#include <stdio.h>

/* The longest that a request may wait, and some more. */
#define PATIENCE_S 3

/* erin, from a prefix of her own for each n, challenged. */
static void stored_nth(struct client *c, struct world *w, unsigned n)
{
    client_init(c, w, n % 256);
    c->addr.ip[2] = (uint8_t)n;
    c->addr.ip[1] = (uint8_t)(2 + n / 256);
    client_set_stored(c);
    assert_int_equal(client_challenge(c), 401);
}

static void begin_allocate(struct request *q, struct client *c)
{
    request_begin(q, c, STUN_REQUEST, STUN_ALLOCATE);
    request_transport(q, 17);
    request_finish(q, c);
}

static uint32_t waiting(const struct world *w)
{
    return parking_counts_total(w->shared.parking);
}

/* Sends an Allocate that is to wait. */
static void send_to_wait(struct client *c, struct request *q)
{
    const uint32_t before = waiting(c->world);
    begin_allocate(q, c);
    assert_int_equal(client_send(c, q, NULL), 0);
    assert_int_equal(waiting(c->world), before + 1);
}

static int answer_of(struct client *c, const struct request *q)
{
    struct response r;
    return client_answer(c, q->transaction, &r);
}

static void answer_all(struct world *w)
{
    while (world_store_answer(w)) {
    }
    world_run(w);
}

static void test_stored_user_is_let_in_when_the_store_has_answered(void **state)
{
    struct fixture *f = *state;
    struct request q;
    struct response r;
    f->w->store.mode = WORLD_STORE_HELD;
    stored_nth(&f->a, f->w, 1);
    send_to_wait(&f->a, &q);
    assert_int_equal(world_allocations(f->w), 0);
    answer_all(f->w);
    assert_int_equal(client_answer(&f->a, q.transaction, &r), 200);
    assert_true(r.integrity);
    assert_int_equal(waiting(f->w), 0);
    assert_int_equal(f->w->store.asked, 1);
    const struct addr peer = world_peer(1, 5000);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    assert_true(fixture_to_peer(&f->a, &peer, "out"));
}

static void test_stored_user_is_asked_for_again_when_the_answer_has_aged(void **state)
{
    struct fixture *f = *state;
    client_set_stored(&f->a);
    client_set_stored(&f->b);
    fixture_allocate(&f->a);
    fixture_allocate(&f->b);
    assert_int_equal(f->w->store.asked, 1);
    world_advance(f->w, 61);
    f->b.addr.port++;
    f->b.nonce_len = 0;
    fixture_allocate(&f->b);
    assert_int_equal(f->w->store.asked, 2);
}

static void test_stored_user_who_is_gone_is_refused_when_the_answer_has_aged(void **state)
{
    struct fixture *f = *state;
    client_set_stored(&f->a);
    client_set_stored(&f->b);
    fixture_allocate(&f->a);
    world_store_set_user(f->w, REALM_REDIS, WORLD_STORED_USER, NULL);
    world_advance(f->w, 61);
    assert_int_equal(client_allocate(&f->b, NULL), 401);
    assert_int_equal(world_refused(f->w, REASON_UNKNOWN_USER), 1);
    /* What lives goes on, with the key that it has. */
    assert_int_equal(client_refresh(&f->a, 600, NULL), 200);
}

static void test_name_that_the_store_does_not_know_is_asked_for_once_in_5_s(void **state)
{
    struct fixture *f = *state;
    client_set_stored(&f->a);
    client_set_user(&f->a, "nobody", "nothing");
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(client_allocate(&f->a, NULL), 401);
    assert_int_equal(f->w->store.asked, 1);
    assert_int_equal(world_refused(f->w, REASON_UNKNOWN_USER), 5);
    /* And once it does know it, soon. */
    world_store_set_user(f->w, REALM_REDIS, "nobody", "nothing");
    world_advance(f->w, 6);
    fixture_allocate(&f->a);
}

static void test_wrong_password_of_a_stored_user_is_asked_for_once(void **state)
{
    struct fixture *f = *state;
    client_set_stored(&f->a);
    client_set_user(&f->a, WORLD_STORED_USER, "wrong");
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(client_allocate(&f->a, NULL), 401);
    assert_int_equal(f->w->store.asked, 1);
    assert_int_equal(world_refused(f->w, REASON_WRONG_PASSWORD), 5);
}

static void test_requests_for_one_name_wait_for_one_question(void **state)
{
    struct fixture *f = *state;
    struct client c[20];
    struct request q[20];
    f->w->store.mode = WORLD_STORE_HELD;
    for (unsigned i = 0; i < 20; i++) {
        stored_nth(&c[i], f->w, i);
        send_to_wait(&c[i], &q[i]);
    }
    assert_int_equal(f->w->store.asked, 1);
    const uint64_t before = f->w->replies;
    assert_true(world_store_answer(f->w));
    world_run(f->w);
    assert_int_equal(f->w->replies, before + 20);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(answer_of(&c[i], &q[i]), 200);
    assert_int_equal(world_allocations(f->w), 20);
}

static void test_requests_for_other_names_wait_for_their_own(void **state)
{
    struct fixture *f = *state;
    struct client erin, grace;
    struct request q[2];
    world_store_set_user(f->w, REALM_REDIS, "grace", "hopper");
    f->w->store.mode = WORLD_STORE_HELD;
    stored_nth(&erin, f->w, 1);
    stored_nth(&grace, f->w, 2);
    client_set_user(&grace, "grace", "hopper");
    send_to_wait(&erin, &q[0]);
    send_to_wait(&grace, &q[1]);
    assert_int_equal(f->w->store.asked, 2);
    assert_true(world_store_answer(f->w));
    world_run(f->w);
    assert_int_equal(answer_of(&erin, &q[0]), 200);
    assert_int_equal(answer_of(&grace, &q[1]), 0);
    assert_int_equal(waiting(f->w), 1);
    answer_all(f->w);
    assert_int_equal(answer_of(&grace, &q[1]), 200);
}

static void test_each_worker_asks_for_itself(void **state)
{
    struct fixture *f = *state;
    struct client c[2];
    struct request q[2];
    f->settings.workers = 2;
    fixture_restart(f);
    f->w->store.mode = WORLD_STORE_HELD;
    for (unsigned i = 0; i < 2; i++) {
        stored_nth(&c[i], f->w, i);
        send_to_wait(&c[i], &q[i]);
    }
    assert_int_equal(f->w->store.asked, 2);
    answer_all(f->w);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(answer_of(&c[i], &q[i]), 200);
}

static void test_request_retransmitted_while_it_waits_is_answered_once(void **state)
{
    struct fixture *f = *state;
    struct request q;
    f->w->store.mode = WORLD_STORE_HELD;
    stored_nth(&f->a, f->w, 1);
    send_to_wait(&f->a, &q);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(client_send(&f->a, &q, NULL), 0);
    assert_int_equal(world_dropped(f->w, REASON_PARKED_DUPLICATE), 3);
    assert_int_equal(waiting(f->w), 1);
    const uint64_t before = f->w->replies, received = world_metric(f->w, METRIC_REQUESTS_ALLOCATE);
    answer_all(f->w);
    assert_int_equal(f->w->replies, before + 1);
    assert_int_equal(world_metric(f->w, METRIC_REQUESTS_ALLOCATE), received);
    assert_int_equal(answer_of(&f->a, &q), 200);
    /* And once more, now that it is done. */
    assert_int_equal(client_send(&f->a, &q, NULL), 200);
    assert_int_equal(world_allocations(f->w), 1);
}

static void test_store_that_does_not_answer_is_500_in_two_seconds(void **state)
{
    struct fixture *f = *state;
    struct request q;
    struct response r;
    f->w->store.mode = WORLD_STORE_HELD;
    stored_nth(&f->a, f->w, 1);
    send_to_wait(&f->a, &q);
    world_advance_ms(f->w, 1900);
    assert_int_equal(answer_of(&f->a, &q), 0);
    world_advance_ms(f->w, 300);
    assert_int_equal(client_answer(&f->a, q.transaction, &r), 500);
    assert_false(r.integrity || r.challenged);
    assert_int_equal(world_refused(f->w, REASON_STORE_UNREACHABLE), 1);
    assert_int_equal(waiting(f->w), 0);
    /* What comes then is learned all the same. */
    answer_all(f->w);
    assert_int_equal(world_allocations(f->w), 0);
    fixture_allocate(&f->a);
    assert_int_equal(f->w->store.asked, 1);
}

static void test_store_that_says_it_cannot_is_500_at_once(void **state)
{
    struct fixture *f = *state;
    f->w->store.unreachable = true;
    client_set_stored(&f->a);
    assert_int_equal(client_allocate(&f->a, NULL), 500);
    assert_int_equal(world_refused(f->w, REASON_STORE_UNREACHABLE), 1);
    assert_int_equal(f->w->store.asked, 1);
}

static void test_store_that_takes_no_question_is_500_at_once(void **state)
{
    struct fixture *f = *state;
    f->w->store.mode = WORLD_STORE_FULL;
    client_set_stored(&f->a);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(client_allocate(&f->a, NULL), 500);
    assert_int_equal(world_refused(f->w, REASON_STORE_UNREACHABLE), 3);
    assert_int_equal(waiting(f->w), 0);
}

static void test_questions_that_were_not_taken_leave_nothing(void **state)
{
    struct fixture *f = *state;
    struct client c;
    f->w->store.mode = WORLD_STORE_FULL;
    for (unsigned i = 0; i < PARKING_TOTAL + 100; i++) {
        char name[16];
        stored_nth(&c, f->w, i);
        snprintf(name, sizeof(name), "nobody%u", i);
        client_set_user(&c, name, "nothing");
        assert_int_equal(client_allocate(&c, NULL), 500);
    }
    f->w->store.mode = WORLD_STORE_HELD;
    stored_nth(&c, f->w, PARKING_TOTAL + 100);
    struct request q;
    send_to_wait(&c, &q);
    answer_all(f->w);
    assert_int_equal(answer_of(&c, &q), 200);
}

static void test_no_store_is_500_at_once(void **state)
{
    struct fixture *f = *state;
    f->settings.no_store = true;
    fixture_restart(f);
    client_set_stored(&f->a);
    assert_int_equal(client_allocate(&f->a, NULL), 500);
    assert_int_equal(world_refused(f->w, REASON_STORE_UNREACHABLE), 1);
}

static void test_known_key_does_for_a_while_when_the_store_cannot_be_reached(void **state)
{
    struct fixture *f = *state;
    client_set_stored(&f->a);
    client_set_stored(&f->b);
    fixture_allocate(&f->a);
    world_advance(f->w, 300);
    f->w->store.unreachable = true;
    fixture_allocate(&f->b);
    world_advance(f->w, 400);
    f->b.addr.port++;
    f->b.nonce_len = 0;
    assert_int_equal(client_allocate(&f->b, NULL), 500);
}

static void test_known_key_does_as_well_when_nothing_can_be_asked(void **state)
{
    struct fixture *f = *state;
    client_set_stored(&f->a);
    client_set_stored(&f->b);
    fixture_allocate(&f->a);
    world_advance(f->w, 300);
    f->w->store.mode = WORLD_STORE_FULL;
    fixture_allocate(&f->b);
    assert_int_equal(client_challenge(&f->a), 401);
    client_set_user(&f->a, "nobody", "nothing");
    assert_int_equal(client_allocate(&f->a, NULL), 500);
}

/* What waits does not age meanwhile. */
static void test_nonce_that_ends_while_its_request_waits_is_good(void **state)
{
    struct fixture *f = *state;
    struct request q;
    f->w->store.mode = WORLD_STORE_HELD;
    stored_nth(&f->a, f->w, 1);
    world_advance(f->w, 599);
    send_to_wait(&f->a, &q);
    world_advance_ms(f->w, 1500);
    answer_all(f->w);
    assert_int_equal(answer_of(&f->a, &q), 200);
    assert_int_equal(client_refresh(&f->a, 600, NULL), 438);
}

static void test_question_that_was_lost_is_asked_again(void **state)
{
    struct fixture *f = *state;
    struct client c[3];
    struct request q[3];
    f->w->store.mode = WORLD_STORE_HELD;
    for (unsigned i = 0; i < 3; i++)
        stored_nth(&c[i], f->w, i);
    send_to_wait(&c[0], &q[0]);
    world_store_lose(f->w);
    world_advance_ms(f->w, 1500);
    send_to_wait(&c[1], &q[1]);
    assert_int_equal(f->w->store.asked, 1);
    world_advance_ms(f->w, 1000); /* somebody waits all the time */
    assert_int_equal(answer_of(&c[0], &q[0]), 500);
    send_to_wait(&c[2], &q[2]);
    assert_int_equal(f->w->store.asked, 2);
    answer_all(f->w);
    assert_int_equal(answer_of(&c[1], &q[1]), 200);
    assert_int_equal(answer_of(&c[2], &q[2]), 200);
}

static void test_prefix_has_eight_that_wait(void **state)
{
    struct fixture *f = *state;
    struct client c[10], neighbour;
    struct request q[10], other;
    f->w->store.mode = WORLD_STORE_HELD;
    for (unsigned i = 0; i < 10; i++) {
        stored_nth(&c[i], f->w, 1);
        c[i].addr.port = (uint16_t)(40000 + i);
        assert_int_equal(client_challenge(&c[i]), 401);
    }
    for (unsigned i = 0; i < PARKING_PREFIX; i++)
        send_to_wait(&c[i], &q[i]);
    for (unsigned i = PARKING_PREFIX; i < 10; i++)
        assert_int_equal(client_allocate(&c[i], NULL), 508);
    assert_int_equal(world_refused(f->w, REASON_PARKING_FULL), 10 - PARKING_PREFIX);
    /* Nothing is kept of them: sent again they are answered again. */
    begin_allocate(&other, &c[9]);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(client_send(&c[9], &other, NULL), 508);
    assert_int_equal(world_dropped(f->w, REASON_PARKED_DUPLICATE), 0);
    stored_nth(&neighbour, f->w, 2);
    send_to_wait(&neighbour, &other);
    answer_all(f->w);
    for (unsigned i = 0; i < PARKING_PREFIX; i++)
        assert_int_equal(answer_of(&c[i], &q[i]), 200);
    assert_int_equal(answer_of(&neighbour, &other), 200);
}

/* Who keeps the places of his prefix taken gains nothing by it: a key that has aged is no good. */
static void test_full_prefix_prolongs_no_key(void **state)
{
    struct fixture *f = *state;
    struct client c[PARKING_PREFIX + 1];
    struct request q;
    for (unsigned i = 0; i <= PARKING_PREFIX; i++) {
        stored_nth(&c[i], f->w, 1);
        c[i].addr.port = (uint16_t)(40000 + i);
        assert_int_equal(client_challenge(&c[i]), 401);
    }
    fixture_allocate(&c[0]);
    assert_int_equal(client_refresh(&c[0], 0, NULL), 200);
    world_store_set_user(f->w, REALM_REDIS, WORLD_STORED_USER, NULL);
    world_advance(f->w, 61);
    f->w->store.mode = WORLD_STORE_HELD;
    for (unsigned i = 1; i <= PARKING_PREFIX; i++) {
        client_set_user(&c[i], "nobody", "nothing");
        send_to_wait(&c[i], &q);
    }
    assert_int_equal(client_allocate(&c[0], NULL), 508);
    assert_int_equal(world_allocations(f->w), 0);
}

static void test_thousand_wait_over_all_workers_and_no_more(void **state)
{
    struct fixture *f = *state;
    f->settings.workers = 3;
    f->settings.relay.max_allocations = 2000;
    fixture_restart(f);
    f->w->store.mode = WORLD_STORE_HELD;
    struct client c;
    struct request q;
    for (unsigned i = 0; i < PARKING_TOTAL; i++) {
        stored_nth(&c, f->w, i);
        send_to_wait(&c, &q);
        world_clear(f->w);
    }
    stored_nth(&c, f->w, PARKING_TOTAL);
    assert_int_equal(client_allocate(&c, NULL), 508);
    assert_int_equal(f->w->store.asked, 3);
    answer_all(f->w);
    assert_int_equal(waiting(f->w), 0);
    assert_int_equal(world_allocations(f->w), PARKING_TOTAL);
    assert_int_equal(client_allocate(&c, NULL), 200);
}

static void test_thousand_names_wait_and_are_all_given_back(void **state)
{
    struct fixture *f = *state;
    f->w->store.mode = WORLD_STORE_HELD;
    struct client c;
    struct request q;
    for (unsigned i = 0; i < PARKING_TOTAL; i++) {
        stored_nth(&c, f->w, i);
        snprintf(c.user, sizeof(c.user), "name-%u", i);
        send_to_wait(&c, &q);
        world_clear(f->w);
    }
    const struct counters *counters = &f->w->worker[0].counters;
    assert_int_equal(f->w->store.asked, PARKING_TOTAL);
    assert_int_equal(counters->gauge[GAUGE_REQUESTS_PARKED], PARKING_TOTAL);
    world_advance(f->w, PATIENCE_S);
    assert_int_equal(waiting(f->w), 0);
    assert_int_equal(counters->gauge[GAUGE_REQUESTS_PARKED], 0);
    assert_int_equal(world_refused(f->w, REASON_STORE_UNREACHABLE), PARKING_TOTAL);
    world_store_lose(f->w);
    f->w->store.mode = WORLD_STORE_PROMPT;
    client_set_user(&c, WORLD_STORED_USER, WORLD_STORED_PASSWORD);
    fixture_allocate(&c);
}

static void test_connection_that_closes_takes_its_waiting_requests_along(void **state)
{
    struct fixture *f = *state;
    struct request q[3];
    f->w->store.mode = WORLD_STORE_HELD;
    client_set_stored(&f->a);
    f->a.transport = TRANSPORT_TCP;
    f->a.connection = 77;
    assert_int_equal(client_challenge(&f->a), 401);
    for (unsigned i = 0; i < 3; i++)
        send_to_wait(&f->a, &q[i]);
    struct client other = f->a;
    other.connection = 78;
    other.addr.port++;
    assert_int_equal(client_challenge(&other), 401);
    send_to_wait(&other, &q[0]);
    client_close(&f->a);
    assert_int_equal(world_refused(f->w, REASON_FLOW_GONE), 3);
    assert_int_equal(waiting(f->w), 1);
    const uint64_t before = f->w->replies, received = world_metric(f->w, METRIC_REQUESTS_ALLOCATE);
    answer_all(f->w);
    assert_int_equal(f->w->replies, before + 1);
    assert_int_equal(world_metric(f->w, METRIC_REQUESTS_ALLOCATE), received);
    assert_int_equal(answer_of(&other, &q[0]), 200);
    assert_int_equal(world_allocations(f->w), 1);
}

static void test_relay_that_ends_while_requests_wait_leaks_nothing(void **state)
{
    /* The tear-down ends the relays with these still there. */
    struct fixture *f = *state;
    struct client c;
    struct request q;
    f->w->store.mode = WORLD_STORE_HELD;
    for (unsigned i = 0; i < 5; i++) {
        stored_nth(&c, f->w, i);
        snprintf(c.user, sizeof(c.user), "name-%u", i / 2);
        send_to_wait(&c, &q);
    }
    assert_int_equal(waiting(f->w), 5);
}

static void test_users_of_the_file_do_not_wait_for_the_store(void **state)
{
    struct fixture *f = *state;
    struct client c;
    struct request q;
    f->w->store.mode = WORLD_STORE_HELD;
    for (unsigned i = 0; i < 50; i++) {
        stored_nth(&c, f->w, i);
        send_to_wait(&c, &q);
    }
    fixture_allocate(&f->a);
    fixture_allocate(&f->b);
    struct client rest;
    client_init(&rest, f->w, 9);
    client_set_rest(&rest, "alice", 3600, "north");
    fixture_allocate(&rest);
}

static void test_live_allocation_of_a_stored_user_does_not_wait(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    client_set_stored(&f->a);
    fixture_allocate(&f->a);
    world_advance(f->w, 400);
    f->w->store.mode = WORLD_STORE_HELD;
    assert_int_equal(client_refresh(&f->a, 600, NULL), 200);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    assert_int_equal(f->w->store.asked, 1);
}

static void test_reload_while_a_request_waits_is_what_it_is_judged_by(void **state)
{
    struct fixture *f = *state;
    struct request q;
    f->w->store.mode = WORLD_STORE_HELD;
    stored_nth(&f->a, f->w, 1);
    send_to_wait(&f->a, &q);
    f->settings.relay.port_min = f->settings.relay.port_max = 50000;
    f->settings.relay.address_count = 1;
    world_reload(f->w, &f->settings);
    answer_all(f->w);
    struct response r;
    assert_int_equal(client_answer(&f->a, q.transaction, &r), 200);
    assert_int_equal(r.relayed[0].port, 50000);
}

static void test_reload_forgets_what_the_store_has_said(void **state)
{
    struct fixture *f = *state;
    client_set_stored(&f->a);
    client_set_stored(&f->b);
    fixture_allocate(&f->a);
    world_reload(f->w, &f->settings);
    world_store_set_user(f->w, REALM_REDIS, WORLD_STORED_USER, NULL);
    assert_int_equal(client_allocate(&f->b, NULL), 401);
    assert_int_equal(f->w->store.asked, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_stored_user_is_let_in_when_the_store_has_answered),
        SCENARIO(test_stored_user_is_asked_for_again_when_the_answer_has_aged),
        SCENARIO(test_stored_user_who_is_gone_is_refused_when_the_answer_has_aged),
        SCENARIO(test_name_that_the_store_does_not_know_is_asked_for_once_in_5_s),
        SCENARIO(test_wrong_password_of_a_stored_user_is_asked_for_once),
        SCENARIO(test_requests_for_one_name_wait_for_one_question),
        SCENARIO(test_requests_for_other_names_wait_for_their_own),
        SCENARIO(test_each_worker_asks_for_itself),
        SCENARIO(test_request_retransmitted_while_it_waits_is_answered_once),
        SCENARIO(test_store_that_does_not_answer_is_500_in_two_seconds),
        SCENARIO(test_store_that_says_it_cannot_is_500_at_once),
        SCENARIO(test_store_that_takes_no_question_is_500_at_once),
        SCENARIO(test_questions_that_were_not_taken_leave_nothing),
        SCENARIO(test_no_store_is_500_at_once),
        SCENARIO(test_known_key_does_for_a_while_when_the_store_cannot_be_reached),
        SCENARIO(test_known_key_does_as_well_when_nothing_can_be_asked),
        SCENARIO(test_nonce_that_ends_while_its_request_waits_is_good),
        SCENARIO(test_question_that_was_lost_is_asked_again),
        SCENARIO(test_prefix_has_eight_that_wait),
        SCENARIO(test_full_prefix_prolongs_no_key),
        SCENARIO(test_thousand_wait_over_all_workers_and_no_more),
        SCENARIO(test_thousand_names_wait_and_are_all_given_back),
        SCENARIO(test_connection_that_closes_takes_its_waiting_requests_along),
        SCENARIO(test_relay_that_ends_while_requests_wait_leaks_nothing),
        SCENARIO(test_users_of_the_file_do_not_wait_for_the_store),
        SCENARIO(test_live_allocation_of_a_stored_user_does_not_wait),
        SCENARIO(test_reload_while_a_request_waits_is_what_it_is_judged_by),
        SCENARIO(test_reload_forgets_what_the_store_has_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
