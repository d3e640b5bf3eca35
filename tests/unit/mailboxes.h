/* Mailboxes that stand for workers: what is posted to one is kept until the test looks. */
#ifndef TESTS_UNIT_MAILBOXES_H
#define TESTS_UNIT_MAILBOXES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/secret.h"
#include "net/worker.h"

#define MAILBOXES_WORKERS  2
#define MAILBOXES_CAPACITY 128u
#define MAILBOXES_KEPT     8192

struct mailboxes_one {
    struct mailbox *mailbox;
    struct mailbox_message kept[MAILBOXES_KEPT];
    size_t count;
};

struct mailboxes {
    uv_loop_t loop;
    struct mailboxes_one worker[MAILBOXES_WORKERS];
    struct worker_list workers;
    struct counters counters;
};

/* In place of net/worker.c: a worker is its mailbox. */
struct mailbox *worker_mailbox(struct worker *w)
{
    return ((struct mailboxes_one *)(void *)w)->mailbox;
}

static inline void mailboxes_deliver(void *ctx, struct mailbox_message *message)
{
    struct mailboxes_one *w = ctx;
    assert_true(w->count < MAILBOXES_KEPT);
    w->kept[w->count++] = *message;
}

static inline void mailboxes_init(struct mailboxes *m)
{
    assert_int_equal(uv_loop_init(&m->loop), 0);
    m->workers.count = MAILBOXES_WORKERS;
    for (unsigned i = 0; i < MAILBOXES_WORKERS; i++) {
        struct mailboxes_one *w = &m->worker[i];
        assert_int_equal(
            mailbox_new(&w->mailbox, &m->loop, MAILBOXES_CAPACITY, mailboxes_deliver, w), 0);
        m->workers.items[i] = (struct worker *)(void *)w;
    }
}

/* Fills a worker's mailbox with what other workers send, so that nothing of `kind` fits in. */
static inline void mailboxes_fill(struct mailboxes *m, unsigned worker, enum mailbox_kind kind)
{
    const struct mailbox_message filler = {.kind = (uint8_t)kind};
    while (mailbox_post(m->worker[worker].mailbox, &filler) == 0) {
    }
}

/* Delivers what lies in all of them, and runs what is due. */
static inline void mailboxes_run(struct mailboxes *m)
{
    uv_run(&m->loop, UV_RUN_NOWAIT);
}

/* Frees what was delivered. */
static inline void mailboxes_clear(struct mailboxes *m)
{
    for (unsigned i = 0; i < MAILBOXES_WORKERS; i++) {
        for (size_t k = 0; k < m->worker[i].count; k++) {
            mailbox_message_free(&m->worker[i].kept[k]);
        }
        m->worker[i].count = 0;
    }
}

static inline void mailboxes_deinit(struct mailboxes *m)
{
    for (unsigned i = 0; i < MAILBOXES_WORKERS; i++) {
        while (mailbox_drain(m->worker[i].mailbox) > 0) {
        }
        mailbox_close(m->worker[i].mailbox);
    }
    mailboxes_clear(m);
    while (uv_run(&m->loop, UV_RUN_DEFAULT) != 0) {
    }
    assert_int_equal(uv_loop_close(&m->loop), 0);
}

#endif
