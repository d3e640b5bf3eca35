/*
 * A token that is claimed on another worker than the one that made it: the request waits, the
 * socket travels, and whatever goes wrong on the way (full mailboxes, a late or no answer, a
 * failing adoption) costs no port, no quota and no answer twice.
 */
#include "tests/scenario/fixture.h"

#include <errno.h>

/* The longest that a request may wait, and some more. */
#define PATIENCE_S 40

struct pair {
    struct response made;
    struct client second; /* of the same user, on the other worker */
    struct request claim;
};

static void make_pair(struct fixture *f, struct pair *p)
{
    f->settings.workers = 2;
    fixture_restart(f);
    f->a.worker = 0;
    assert_int_equal(CLIENT_ASK(&f->a, STUN_ALLOCATE, &p->made, ATTR_UDP, ATTR_EVEN_PAIR), 200);
    client_init(&p->second, f->w, 9);
    p->second.worker = 1;
    assert_int_equal(client_challenge(&p->second), 401);
    request_begin(&p->claim, &p->second, STUN_REQUEST, STUN_ALLOCATE);
    request_transport(&p->claim, 17);
    stun_write_attr(&p->claim.w, STUN_ATTR_RESERVATION_TOKEN, slice_of(p->made.token, 8));
    request_finish(&p->claim, &p->second);
}

static void test_token_claimed_on_another_worker_moves_the_socket(void **state)
{
    struct fixture *f = *state;
    struct pair p;
    struct response r;
    const struct addr peer = world_peer(1, 5000);
    make_pair(f, &p);
    assert_int_equal(client_send(&p.second, &p.claim, &r), 200);
    assert_int_equal(r.relayed[0].port, p.made.relayed[0].port + 1);
    assert_true(r.integrity);
    assert_int_equal(world_allocations(f->w), 2);
    assert_int_equal(client_permit(&p.second, &peer), 200);
    assert_true(fixture_to_peer(&p.second, &peer, "out"));
    assert_true(fixture_from_peer(&p.second, &peer, &r.relayed[0], "in"));
    assert_int_equal(f->w->sent[f->w->sent_count - 1]->worker, 1);
}

static void test_token_of_another_user_on_another_worker_is_508(void **state)
{
    struct fixture *f = *state;
    struct pair p;
    make_pair(f, &p);
    f->b.worker = 1;
    assert_int_equal(
        CLIENT_ASK(&f->b, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_TOKEN(p.made.token)), 508);
    assert_int_equal(client_send(&p.second, &p.claim, NULL), 200);
}

static void test_token_invented_for_another_worker_is_508(void **state)
{
    struct fixture *f = *state;
    struct pair p;
    make_pair(f, &p);
    uint8_t token[8];
    for (unsigned worker = 0; worker < 256; worker++) {
        memcpy(token, p.made.token, 8);
        token[0] = (uint8_t)worker;
        token[7] ^= 1;
        assert_int_equal(
            CLIENT_ASK(&p.second, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_TOKEN(token)), 508);
    }
}

static void test_token_claim_retransmitted_while_it_waits_is_answered_once(void **state)
{
    struct fixture *f = *state;
    struct pair p;
    struct response r;
    make_pair(f, &p);
    f->w->hold_mail = true;
    assert_int_equal(client_send(&p.second, &p.claim, NULL), 0);
    assert_int_equal(client_send(&p.second, &p.claim, NULL), 0);
    assert_int_equal(client_send(&p.second, &p.claim, NULL), 0);
    assert_int_equal(world_dropped(f->w, REASON_PARKED_DUPLICATE), 2);
    f->w->hold_mail = false;
    const uint64_t before = f->w->replies;
    world_run(f->w);
    assert_int_equal(f->w->replies, before + 1);
    assert_int_equal(client_answer(&p.second, p.claim.transaction, &r), 200);
    /* And once more, now that it is done. */
    assert_int_equal(client_send(&p.second, &p.claim, &r), 200);
    assert_int_equal(world_allocations(f->w), 2);
}

static void test_token_claim_with_full_mailbox_is_508_at_once(void **state)
{
    struct fixture *f = *state;
    struct pair p;
    f->settings.mailbox = 1;
    make_pair(f, &p);
    f->w->hold_mail = true;
    struct client filler;
    client_init(&filler, f->w, 11);
    filler.worker = 1;
    /* Fills worker 0's mailbox with another claim. */
    uint8_t token[8];
    memcpy(token, p.made.token, 8);
    token[7] ^= 1;
    assert_int_equal(CLIENT_ASK(&filler, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_TOKEN(token)), 0);
    assert_int_equal(client_send(&p.second, &p.claim, NULL), 508);
    assert_int_equal(world_refused(f->w, REASON_MAILBOX_FULL), 1);
    f->w->hold_mail = false;
    world_run(f->w);
    /* The reservation is still there. */
    assert_int_equal(
        CLIENT_ASK(&p.second, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_TOKEN(p.made.token)), 200);
}

static void test_token_grant_with_full_mailbox_keeps_the_reservation(void **state)
{
    struct fixture *f = *state;
    struct pair p;
    f->settings.mailbox = 1;
    make_pair(f, &p);
    f->w->hold_mail = true;
    assert_int_equal(client_send(&p.second, &p.claim, NULL), 0);
    /* Worker 1's mailbox is filled by a claim that worker 0 makes of an invented token. */
    uint8_t token[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    f->b.worker = 0;
    assert_int_equal(CLIENT_ASK(&f->b, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_TOKEN(token)), 0);
    assert_true(world_deliver_mail(f->w, 0));
    assert_true(world_refused(f->w, REASON_MAILBOX_FULL) >= 1);
    assert_int_equal(world_reservations(f->w), 1);
    f->w->hold_mail = false;
    world_run(f->w);
    /* The asker is answered when its patience is over, and the token can be claimed until it
     * expires. */
    world_advance(f->w, 10);
    assert_int_equal(client_answer(&p.second, p.claim.transaction, &(struct response){0}), 508);
    assert_int_equal(
        CLIENT_ASK(&p.second, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_TOKEN(p.made.token)), 200);
}

static void test_token_that_can_neither_leave_nor_stay_leaks_nothing(void **state)
{
    /* The mailbox is full and the socket cannot be taken back: the reservation is over, the rest is
     * not. */
    struct fixture *f = *state;
    struct pair p;
    f->settings.mailbox = 1;
    make_pair(f, &p);
    f->w->hold_mail = true;
    assert_int_equal(client_send(&p.second, &p.claim, NULL), 0);
    const uint8_t token[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    f->b.worker = 0;
    assert_int_equal(CLIENT_ASK(&f->b, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_TOKEN(token)), 0);
    f->w->sockets.fail_adopt_in = 1;
    f->w->sockets.fail_adopt_with = -ENOMEM;
    assert_true(world_deliver_mail(f->w, 0));
    assert_int_equal(world_sockets_open(f->w), 1);
    assert_int_equal(world_ports_claimed(f->w), 1);
    f->w->hold_mail = false;
    world_run(f->w);
    world_advance(f->w, 10);
    assert_int_equal(client_answer(&p.second, p.claim.transaction, &(struct response){0}), 508);
    assert_int_equal(world_allocations(f->w), 1);
}

static void test_relay_that_ends_while_a_claim_waits_leaks_nothing(void **state)
{
    /* The tear-down delivers what is in the mailboxes; this claim's message has left them. */
    struct fixture *f = *state;
    struct pair p;
    make_pair(f, &p);
    f->w->hold_mail = true;
    assert_int_equal(client_send(&p.second, &p.claim, NULL), 0);
    f->w->worker[0].mail_count = 0;
    assert_int_equal(world_allocations(f->w), 1);
}

static void test_token_claim_that_nobody_answers_is_508_in_time(void **state)
{
    struct fixture *f = *state;
    struct pair p;
    struct response r;
    make_pair(f, &p);
    f->w->hold_mail = true;
    assert_int_equal(client_send(&p.second, &p.claim, NULL), 0);
    world_advance(f->w, PATIENCE_S);
    assert_int_equal(client_answer(&p.second, p.claim.transaction, &r), 508);
    assert_true(r.integrity);
    assert_int_equal(world_refused(f->w, REASON_PARKING_TIMEOUT), 1);
    assert_int_equal(world_allocations(f->w), 1);
}

static void test_token_granted_too_late_leaks_nothing(void **state)
{
    struct fixture *f = *state;
    struct pair p;
    make_pair(f, &p);
    f->w->hold_mail = true;
    assert_int_equal(client_send(&p.second, &p.claim, NULL), 0);
    assert_true(world_deliver_mail(f->w, 0)); /* the grant is under way … */
    assert_int_equal(world_sockets_open(f->w), 2);
    world_advance(f->w, PATIENCE_S); /* … for too long */
    f->w->hold_mail = false;
    world_run(f->w);
    assert_int_equal(world_sockets_open(f->w), 1);
    assert_int_equal(world_ports_claimed(f->w), 1);
    assert_int_equal(world_allocations(f->w), 1);
}

static void test_token_whose_adoption_fails_leaks_nothing(void **state)
{
    struct fixture *f = *state;
    struct pair p;
    make_pair(f, &p);
    f->w->sockets.fail_adopt_in = 1;
    f->w->sockets.fail_adopt_with = -ENOMEM;
    assert_int_equal(client_send(&p.second, &p.claim, NULL), 508);
    assert_int_equal(world_sockets_open(f->w), 1);
    assert_int_equal(world_ports_claimed(f->w), 1);
}

static void test_token_under_way_keeps_its_charge(void **state)
{
    struct fixture *f = *state;
    struct pair p;
    f->settings.limits.quota.allocations_per_user = 2;
    make_pair(f, &p);
    f->w->hold_mail = true;
    assert_int_equal(client_send(&p.second, &p.claim, NULL), 0);
    assert_true(world_deliver_mail(f->w, 0));
    /* The charge travels with the socket: nobody takes its place meanwhile. */
    struct client third;
    client_init(&third, f->w, 10);
    assert_int_equal(client_allocate(&third, NULL), 486);
    f->w->hold_mail = false;
    world_run(f->w);
    assert_int_equal(client_answer(&p.second, p.claim.transaction, &(struct response){0}), 200);
    assert_int_equal(world_allocations(f->w), 2);
    assert_int_equal(world_sockets_open(f->w), 2);
}

static void test_token_claim_whose_5tuple_got_an_allocation_meanwhile_is_answered(void **state)
{
    /* A second Allocate of the same 5-tuple succeeds while the first waits: the late grant may not
     * make two of them. */
    struct fixture *f = *state;
    struct pair p;
    make_pair(f, &p);
    f->w->hold_mail = true;
    assert_int_equal(client_send(&p.second, &p.claim, NULL), 0);
    fixture_allocate(&p.second);
    f->w->hold_mail = false;
    world_run(f->w);
    assert_int_equal(world_allocations(f->w), 2);
    assert_int_equal(client_answer(&p.second, p.claim.transaction, &(struct response){0}), 437);
    assert_int_equal(world_sockets_open(f->w), 2);
}

static void test_token_claim_after_reload_is_judged_by_the_new_snapshot(void **state)
{
    struct fixture *f = *state;
    struct pair p;
    make_pair(f, &p);
    f->w->hold_mail = true;
    assert_int_equal(client_send(&p.second, &p.claim, NULL), 0);
    f->settings.alice_password = "another";
    world_reload(f->w, &f->settings);
    f->w->hold_mail = false;
    world_run(f->w);
    assert_int_equal(world_allocations(f->w), 1);
    assert_int_equal(world_sockets_open(f->w), 1);
    assert_int_equal(world_ports_claimed(f->w), 1);
}

static void test_tokens_of_many_requests_wait_in_bounds(void **state)
{
    struct fixture *f = *state;
    struct pair p;
    f->settings.mailbox = 4096;
    make_pair(f, &p);
    f->w->hold_mail = true;
    uint8_t token[8];
    memcpy(token, p.made.token, 8);
    token[7] ^= 1;
    uint64_t waiting = 0;
    for (unsigned i = 0; i < 2000; i++) {
        p.second.addr.port = (uint16_t)(20000 + i);
        p.second.nonce_len = 0;
        const int code = CLIENT_ASK(&p.second, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_TOKEN(token));
        assert_true(code == 0 || code == 508);
        waiting += code == 0;
        world_clear(f->w);
    }
    assert_true(waiting >= 16 && waiting < 2000);
    assert_int_equal(world_refused(f->w, REASON_PARKING_FULL), 2000 - waiting);
    f->w->hold_mail = false;
    world_run(f->w);
    assert_int_equal(
        CLIENT_ASK(&p.second, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_TOKEN(p.made.token)), 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_token_claimed_on_another_worker_moves_the_socket),
        SCENARIO(test_token_of_another_user_on_another_worker_is_508),
        SCENARIO(test_token_invented_for_another_worker_is_508),
        SCENARIO(test_token_claim_retransmitted_while_it_waits_is_answered_once),
        SCENARIO(test_token_claim_with_full_mailbox_is_508_at_once),
        SCENARIO(test_token_grant_with_full_mailbox_keeps_the_reservation),
        SCENARIO(test_token_that_can_neither_leave_nor_stay_leaks_nothing),
        SCENARIO(test_relay_that_ends_while_a_claim_waits_leaks_nothing),
        SCENARIO(test_token_claim_that_nobody_answers_is_508_in_time),
        SCENARIO(test_token_granted_too_late_leaks_nothing),
        SCENARIO(test_token_whose_adoption_fails_leaks_nothing),
        SCENARIO(test_token_under_way_keeps_its_charge),
        SCENARIO(test_token_claim_whose_5tuple_got_an_allocation_meanwhile_is_answered),
        SCENARIO(test_token_claim_after_reload_is_judged_by_the_new_snapshot),
        SCENARIO(test_tokens_of_many_requests_wait_in_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
