/*
 * The mailbox under the thread that reads it and several that write: nothing lost, nothing twice,
 * nothing out of order, and a bound that holds.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "net/mailbox.h"

#define CAPACITY  128u
#define PRODUCERS 4u
#define EACH      20000u

struct inbox {
    uint64_t next[PRODUCERS]; /* expected of each producer */
    uint64_t count, wrong;
    struct mailbox_message last;
};

static void inbox_deliver(void *ctx, struct mailbox_message *message)
{
    struct inbox *in = ctx;
    if (message->from < PRODUCERS && message->kind == MAILBOX_RELAY) {
        in->wrong += message->u.relay.parked != in->next[message->from]++;
        in->wrong += message->u.relay.user_tag != ~message->u.relay.parked;
    }
    in->last = *message;
    in->count++;
}

struct fixture {
    uv_loop_t loop;
    struct inbox inbox;
    struct mailbox *mailbox;
};

static int fixture_setup(void **state)
{
    struct fixture *f = test_calloc(1, sizeof(*f));
    assert_int_equal(uv_loop_init(&f->loop), 0);
    assert_int_equal(mailbox_new(&f->mailbox, &f->loop, CAPACITY, inbox_deliver, &f->inbox), 0);
    *state = f;
    return 0;
}

static int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    mailbox_close(f->mailbox);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    test_free(f);
    return 0;
}

static struct mailbox_message relay_message_of(uint8_t from, uint64_t number)
{
    struct mailbox_message m = {.kind = MAILBOX_RELAY, .from = from};
    m.u.relay.parked = number;
    m.u.relay.user_tag = ~number;
    return m;
}

struct producer {
    struct mailbox *mailbox;
    uint8_t number;
    uint64_t refused;
};

static void *producer_run(void *arg)
{
    struct producer *p = arg;
    for (uint64_t i = 0; i < EACH;) {
        struct mailbox_message m = relay_message_of(p->number, i);
        int r = mailbox_post(p->mailbox, &m);
        if (r == 0) {
            i++;
        } else {
            p->refused += r != -EAGAIN ? EACH : 1;
            sched_yield();
        }
    }
    return NULL;
}

static void test_mailbox_four_producers_deliver_each_once_in_order(void **state)
{
    struct fixture *f = *state;
    struct producer producers[PRODUCERS];
    pthread_t threads[PRODUCERS];
    for (uint8_t i = 0; i < PRODUCERS; i++) {
        producers[i] = (struct producer){.mailbox = f->mailbox, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, producer_run, &producers[i]), 0);
    }
    while (f->inbox.count < PRODUCERS * EACH) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    for (unsigned i = 0; i < PRODUCERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(f->inbox.next[i], EACH);
    }
    assert_int_equal(f->inbox.wrong, 0);
    assert_int_equal(mailbox_drain(f->mailbox), 0);
}

static void test_mailbox_full_refuses_and_keeps_what_it_has(void **state)
{
    struct fixture *f = *state;
    struct mailbox_message m;
    for (unsigned i = 0; i < CAPACITY - MAILBOX_RESERVED; i++) {
        m = relay_message_of(0, i);
        assert_int_equal(mailbox_post(f->mailbox, &m), 0);
    }
    m = relay_message_of(0, 999);
    assert_int_equal(mailbox_post(f->mailbox, &m), -EAGAIN);
    assert_int_equal(mailbox_drain(f->mailbox), CAPACITY - MAILBOX_RESERVED);
    assert_int_equal(f->inbox.wrong, 0);
    m = relay_message_of(0, CAPACITY - MAILBOX_RESERVED);
    assert_int_equal(mailbox_post(f->mailbox, &m), 0);
    assert_int_equal(mailbox_drain(f->mailbox), 1);
    assert_int_equal(f->inbox.wrong, 0);
}

static void test_mailbox_full_of_relay_messages_takes_a_stop(void **state)
{
    struct fixture *f = *state;
    struct mailbox_message m = relay_message_of(0, 0), stop = {.kind = MAILBOX_STOP};
    for (uint64_t i = 0; mailbox_post(f->mailbox, &m) == 0; m = relay_message_of(0, ++i)) {
    }
    for (unsigned i = 0; i < MAILBOX_RESERVED; i++) {
        assert_int_equal(mailbox_post(f->mailbox, &stop), 0);
    }
    assert_int_equal(mailbox_post(f->mailbox, &stop), -EAGAIN);
    assert_int_equal(mailbox_drain(f->mailbox), CAPACITY);
    assert_int_equal(f->inbox.last.kind, MAILBOX_STOP);
}

/* Posts until it is refused. Returns how many were accepted. */
static unsigned fill(struct mailbox *mailbox, enum mailbox_kind kind)
{
    const struct mailbox_message m = {.kind = (uint8_t)kind};
    unsigned count = 0;
    while (mailbox_post(mailbox, &m) == 0) {
        count++;
    }
    return count;
}

/* Each flood finds its own bound, and what matters more still has room behind it. */
static void test_mailbox_floods_leave_room_by_what_matters(void **state)
{
    struct fixture *f = *state;
    const enum mailbox_kind bulk[] = {MAILBOX_RELAY, MAILBOX_ANSWER, MAILBOX_SECRETS,
        MAILBOX_SRTP_UNWANTED, MAILBOX_SRTP_DEPOSIT, MAILBOX_SESSIONS, MAILBOX_SESSIONS_READ};
    for (unsigned i = 0; i < sizeof(bulk) / sizeof(bulk[0]); i++) {
        assert_int_equal(fill(f->mailbox, MAILBOX_SRTP_WANTED), i ? 0 : CAPACITY / 2);
        assert_int_equal(fill(f->mailbox, MAILBOX_ASK), 0);
        assert_int_equal(fill(f->mailbox, bulk[i]), i ? 0 : CAPACITY / 2 - MAILBOX_RESERVED);
    }
    assert_int_equal(fill(f->mailbox, MAILBOX_REVOKE), MAILBOX_RESERVED - MAILBOX_RESERVED_STOP);
    assert_int_equal(fill(f->mailbox, MAILBOX_SNAPSHOT), MAILBOX_RESERVED_STOP);
    assert_int_equal(mailbox_drain(f->mailbox), CAPACITY);
}

/* Allocations ask whenever they begin: that must not stop what is asked of the store for good. */
static void test_mailbox_questions_of_both_kinds_share_half_of_it(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fill(f->mailbox, MAILBOX_ASK), CAPACITY / 2);
    assert_int_equal(fill(f->mailbox, MAILBOX_SRTP_WANTED), 0);
    assert_int_equal(fill(f->mailbox, MAILBOX_RELAY), CAPACITY / 2 - MAILBOX_RESERVED);
    assert_int_equal(mailbox_drain(f->mailbox), CAPACITY - MAILBOX_RESERVED);
}

/* The leak checker is the judge of the heap. */
static void test_mailbox_message_free_frees_what_a_message_owns(void **state)
{
    (void)state;
    struct mailbox_message m = {.kind = MAILBOX_ASK};
    m.u.question = calloc(1, sizeof(*m.u.question));
    mailbox_message_free(&m);
    m.kind = MAILBOX_ANSWER;
    m.u.answer = calloc(1, sizeof(*m.u.answer));
    mailbox_message_free(&m);
    m.kind = MAILBOX_SECRETS;
    m.u.secrets = calloc(1, sizeof(*m.u.secrets));
    m.u.secrets->count = 1;
    assert_int_equal(secret_set(&m.u.secrets->list[0], slice_of_string("north")), 0);
    mailbox_message_free(&m);
    m.kind = MAILBOX_REVOKE;
    m.u.revocation = calloc(1, sizeof(*m.u.revocation));
    mailbox_message_free(&m);
    m.kind = MAILBOX_SRTP_WANTED;
    m.u.wanted = calloc(1, sizeof(*m.u.wanted));
    mailbox_message_free(&m);
    m.kind = MAILBOX_SRTP_DEPOSIT;
    m.u.deposit = calloc(1, sizeof(*m.u.deposit));
    mailbox_message_free(&m);
    m.kind = MAILBOX_SESSIONS;
    m.u.page = calloc(1, sizeof(*m.u.page));
    mailbox_message_free(&m);
    m.kind = MAILBOX_SESSIONS_READ;
    m.u.page = calloc(1, sizeof(*m.u.page));
    mailbox_message_free(&m);
    m = relay_message_of(0, 7);
    mailbox_message_free(&m);
    assert_int_equal(m.u.relay.parked, 7);
}

static void test_mailbox_post_wakes_the_loop(void **state)
{
    struct fixture *f = *state;
    struct mailbox_message m = relay_message_of(0, 0);
    uv_run(&f->loop, UV_RUN_NOWAIT);
    assert_int_equal(f->inbox.count, 0);
    assert_int_equal(mailbox_post(f->mailbox, &m), 0);
    uv_run(&f->loop, UV_RUN_ONCE);
    assert_int_equal(f->inbox.count, 1);
}

static void test_mailbox_capacity_that_is_no_power_of_two_is_refused(void **state)
{
    struct fixture *f = *state;
    struct mailbox *m = NULL;
    assert_int_equal(mailbox_new(&m, &f->loop, 48, inbox_deliver, &f->inbox), -EINVAL);
    assert_int_equal(
        mailbox_new(&m, &f->loop, MAILBOX_RESERVED, inbox_deliver, &f->inbox), -EINVAL);
    assert_null(m);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_mailbox_four_producers_deliver_each_once_in_order),
        CASE(test_mailbox_full_refuses_and_keeps_what_it_has),
        CASE(test_mailbox_full_of_relay_messages_takes_a_stop),
        CASE(test_mailbox_floods_leave_room_by_what_matters),
        CASE(test_mailbox_questions_of_both_kinds_share_half_of_it),
        cmocka_unit_test(test_mailbox_message_free_frees_what_a_message_owns),
        CASE(test_mailbox_post_wakes_the_loop),
        CASE(test_mailbox_capacity_that_is_no_power_of_two_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
