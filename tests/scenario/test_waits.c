/*
 * A request that has to wait twice: for its user's key in the store, and for a reserved port on
 * another worker, in either order. Whatever fails on the way costs no port, no quota, no place
 * among those who wait, and no answer twice.
 */
#include "tests/scenario/fixture.h"

/* The longest that a request may wait for one thing, and some more. */
#define PATIENCE_S 3

struct pair {
    struct response made;
    struct client second; /* of the same user, on the other worker, which does not know him */
    struct request claim;
};

static void make_pair(struct fixture *f, struct pair *p)
{
    f->settings.workers = 2;
    fixture_restart(f);
    client_set_stored(&f->a);
    f->a.worker = 0;
    assert_int_equal(CLIENT_ASK(&f->a, STUN_ALLOCATE, &p->made, ATTR_UDP, ATTR_EVEN_PAIR), 200);
    client_init(&p->second, f->w, 9);
    client_set_stored(&p->second);
    p->second.worker = 1;
    assert_int_equal(client_challenge(&p->second), 401);
    request_begin(&p->claim, &p->second, STUN_REQUEST, STUN_ALLOCATE);
    request_transport(&p->claim, 17);
    stun_write_attr(&p->claim.w, STUN_ATTR_RESERVATION_TOKEN, slice_of(p->made.token, 8));
    request_finish(&p->claim, &p->second);
}

static int answer_of(struct pair *p)
{
    struct response r;
    return client_answer(&p->second, p->claim.transaction, &r);
}

static uint32_t waiting(const struct world *w)
{
    return parking_counts_total(w->shared.parking);
}

/* The claim has been sent, and waits for the store. */
static void begin_with_store(struct fixture *f, struct pair *p)
{
    make_pair(f, p);
    f->w->store.mode = WORLD_STORE_HELD;
    f->w->hold_mail = true;
    assert_int_equal(client_send(&p->second, &p->claim, NULL), 0);
    assert_int_equal(waiting(f->w), 1);
    assert_int_equal(f->w->worker[0].mail_count, 0);
}

/* … and then for the other worker. */
static void go_on_to_claim(struct fixture *f, struct pair *p)
{
    begin_with_store(f, p);
    assert_true(world_store_answer(f->w));
    assert_int_equal(waiting(f->w), 0);
    assert_int_equal(f->w->worker[0].mail_count, 1);
}

/* The port has come, but the key is forgotten by then, and the store is asked. */
static void port_before_key(struct fixture *f, struct pair *p)
{
    go_on_to_claim(f, p);
    world_reload(f->w, &f->settings);
    assert_true(world_deliver_mail(f->w, 0));
    assert_true(world_deliver_mail(f->w, 1));
    assert_int_equal(waiting(f->w), 1);
    assert_int_equal(world_sockets_open(f->w), 2);
}

static void nothing_is_left_of_the_claim(struct fixture *f)
{
    f->w->hold_mail = false;
    world_run(f->w);
    assert_int_equal(waiting(f->w), 0);
    assert_int_equal(world_allocations(f->w), 1);
    assert_int_equal(world_sockets_open(f->w), 1);
    assert_int_equal(world_ports_claimed(f->w), 1);
    assert_int_equal(quota_allocations(f->w->shared.quotas), 1);
}

static void test_claim_of_a_stored_user_waits_for_both_and_gets_the_port(void **state)
{
    struct fixture *f = *state;
    struct pair p;
    struct response r;
    const uint64_t dropped = world_dropped(f->w, REASON_PARKED_DUPLICATE);
    begin_with_store(f, &p);
    assert_int_equal(client_send(&p.second, &p.claim, NULL), 0);
    assert_true(world_store_answer(f->w));
    assert_int_equal(client_send(&p.second, &p.claim, NULL), 0);
    assert_int_equal(world_dropped(f->w, REASON_PARKED_DUPLICATE), dropped + 2);
    const uint64_t before = f->w->replies;
    f->w->hold_mail = false;
    world_run(f->w);
    assert_int_equal(f->w->replies, before + 1);
    assert_int_equal(client_answer(&p.second, p.claim.transaction, &r), 200);
    assert_int_equal(r.relayed[0].port, p.made.relayed[0].port + 1);
    assert_int_equal(world_allocations(f->w), 2);
}

static void test_port_survives_a_second_question(void **state)
{
    struct fixture *f = *state;
    struct pair p;
    struct response r;
    port_before_key(f, &p);
    assert_int_equal(answer_of(&p), 0);
    assert_int_equal(client_send(&p.second, &p.claim, NULL), 0);
    assert_true(world_store_answer(f->w));
    world_run(f->w);
    assert_int_equal(client_answer(&p.second, p.claim.transaction, &r), 200);
    assert_int_equal(r.relayed[0].port, p.made.relayed[0].port + 1);
    assert_int_equal(world_dropped(f->w, REASON_PARKED_DUPLICATE), 1);
    assert_int_equal(world_metric(f->w, METRIC_RESERVATIONS_USED), 1);
}

static void test_port_of_a_user_who_is_gone_by_then_is_given_back(void **state)
{
    struct fixture *f = *state;
    struct pair p;
    port_before_key(f, &p);
    world_store_set_user(f->w, REALM_REDIS, WORLD_STORED_USER, NULL);
    assert_true(world_store_answer(f->w));
    world_run(f->w);
    assert_int_equal(answer_of(&p), 401);
    nothing_is_left_of_the_claim(f);
}

static void test_port_that_waits_for_a_store_in_vain_is_given_back(void **state)
{
    struct fixture *f = *state;
    struct pair p;
    port_before_key(f, &p);
    world_advance(f->w, PATIENCE_S);
    assert_int_equal(answer_of(&p), 500);
    nothing_is_left_of_the_claim(f);
}

static void test_port_whose_client_is_gone_is_given_back(void **state)
{
    struct fixture *f = *state;
    struct pair p;
    port_before_key(f, &p);
    client_close(&p.second);
    assert_int_equal(world_refused(f->w, REASON_FLOW_GONE), 1);
    nothing_is_left_of_the_claim(f);
}

static void test_relay_that_ends_between_two_waits_leaks_nothing(void **state)
{
    struct fixture *f = *state;
    struct pair p;
    port_before_key(f, &p);
    assert_int_equal(world_allocations(f->w), 1);
}

static void test_grant_that_comes_while_the_store_is_asked_leaks_nothing(void **state)
{
    /* The claim's deadline passes first, the re-run has to ask, and then the port comes. */
    struct fixture *f = *state;
    struct pair p;
    go_on_to_claim(f, &p);
    world_reload(f->w, &f->settings);
    assert_true(world_deliver_mail(f->w, 0));
    world_advance_ms(f->w, 2200);
    assert_int_equal(waiting(f->w), 1);
    assert_true(world_deliver_mail(f->w, 1));
    assert_int_equal(answer_of(&p), 0);
    assert_true(world_store_answer(f->w));
    world_run(f->w);
    assert_int_equal(answer_of(&p), 508);
    assert_int_equal(world_refused(f->w, REASON_PARKING_TIMEOUT), 1);
    nothing_is_left_of_the_claim(f);
}

static void test_claim_that_cannot_be_posted_after_a_wait_is_508(void **state)
{
    struct fixture *f = *state;
    struct pair p;
    f->settings.mailbox = 1;
    begin_with_store(f, &p);
    struct client filler;
    client_init(&filler, f->w, 11);
    filler.worker = 1;
    const uint8_t token[8] = {0, 2, 3, 4, 5, 6, 7, 8};
    assert_int_equal(CLIENT_ASK(&filler, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_TOKEN(token)), 0);
    assert_true(world_store_answer(f->w));
    world_flush(f->w);
    assert_int_equal(answer_of(&p), 508);
    assert_int_equal(world_refused(f->w, REASON_MAILBOX_FULL), 1);
    /* The reservation is still there. */
    f->w->hold_mail = false;
    world_run(f->w);
    assert_int_equal(
        CLIENT_ASK(&p.second, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_TOKEN(p.made.token)), 200);
}

static void test_claim_here_after_a_wait_for_the_store_gets_the_port(void **state)
{
    struct fixture *f = *state;
    struct pair p;
    make_pair(f, &p);
    p.second.worker = 0;
    world_reload(f->w, &f->settings);
    f->w->store.mode = WORLD_STORE_HELD;
    assert_int_equal(client_send(&p.second, &p.claim, NULL), 0);
    assert_true(world_store_answer(f->w));
    world_run(f->w);
    assert_int_equal(answer_of(&p), 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_claim_of_a_stored_user_waits_for_both_and_gets_the_port),
        SCENARIO(test_port_survives_a_second_question),
        SCENARIO(test_port_of_a_user_who_is_gone_by_then_is_given_back),
        SCENARIO(test_port_that_waits_for_a_store_in_vain_is_given_back),
        SCENARIO(test_port_whose_client_is_gone_is_given_back),
        SCENARIO(test_relay_that_ends_between_two_waits_leaks_nothing),
        SCENARIO(test_grant_that_comes_while_the_store_is_asked_leaks_nothing),
        SCENARIO(test_claim_that_cannot_be_posted_after_a_wait_is_508),
        SCENARIO(test_claim_here_after_a_wait_for_the_store_gets_the_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
