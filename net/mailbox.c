/*
 * The ring between threads: senders claim a slot by moving `tail`, fill it in, and publish it by
 * its sequence number; the one reader moves `head` after it has copied the message out.
 *
 * Always: head ≤ tail ≤ head + capacity, so a slot is written only after its last message has been
 * copied out. A sender that is held up between claim and publication delays delivery, never loses
 * it: it wakes the loop after it has published. Called by every worker and by control.
 */
#include "net/mailbox.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct cell {
    _Atomic uint32_t published; /* position + 1 of the message that lies here */
    struct mailbox_message message;
};

struct mailbox {
    uv_async_t wake;
    mailbox_deliver_fn *deliver;
    void *ctx;
    uint32_t capacity;
    _Alignas(64) _Atomic uint32_t head; /* next to read; written by the reader only */
    _Alignas(64) _Atomic uint32_t tail; /* next to claim */
    struct cell cells[];
};

void mailbox_message_free(struct mailbox_message *message)
{
    switch (message->kind) {
    case MAILBOX_ASK:
        free(message->u.question);
        break;
    case MAILBOX_ANSWER:
        secret_cleanse(message->u.answer, sizeof(*message->u.answer));
        free(message->u.answer);
        break;
    case MAILBOX_SECRETS:
        store_secrets_free(message->u.secrets);
        break;
    case MAILBOX_REVOKE:
        free(message->u.revocation);
        break;
    case MAILBOX_SRTP_WANTED:
        free(message->u.wanted);
        break;
    case MAILBOX_SRTP_DEPOSIT:
        srtp_deposit_free(message->u.deposit);
        break;
    case MAILBOX_SESSIONS:
    case MAILBOX_SESSIONS_READ:
        free(message->u.page);
        break;
    case MAILBOX_KICK:
    case MAILBOX_KICKED:
        free(message->u.kick);
        break;
    default:
        break;
    }
}

static void mailbox_on_wake(uv_async_t *wake)
{
    mailbox_drain(wake->data);
}

static void mailbox_on_closed(uv_handle_t *wake)
{
    free(wake->data);
}

int mailbox_new(struct mailbox **out, uv_loop_t *loop, uint32_t capacity,
    mailbox_deliver_fn *deliver, void *ctx)
{
    if (capacity <= MAILBOX_RESERVED || (capacity & (capacity - 1)) != 0) {
        return -EINVAL;
    }
    size_t size = (sizeof(struct mailbox) + capacity * sizeof(struct cell) + 63) & ~(size_t)63;
    struct mailbox *m = aligned_alloc(64, size);
    if (!m) {
        return -ENOMEM;
    }
    memset(m, 0, size);
    m->deliver = deliver;
    m->ctx = ctx;
    m->capacity = capacity;
    m->wake.data = m;
    int r = uv_async_init(loop, &m->wake, mailbox_on_wake);
    if (r < 0) {
        free(m);
        return r;
    }
    *out = m;
    return 0;
}

/* Claims a position, or returns false: `limit` messages lie in the ring. */
static bool mailbox_claim(struct mailbox *m, uint32_t limit, uint32_t *position)
{
    uint32_t head = atomic_load_explicit(&m->head, memory_order_acquire);
    uint32_t tail = atomic_load_explicit(&m->tail, memory_order_relaxed);
    for (;;) {
        /* `head` was read first, so tail − head never is less than what truly lies in the ring. */
        if (tail - head >= limit) {
            uint32_t again = atomic_load_explicit(&m->head, memory_order_acquire);
            if (again == head) {
                return false;
            }
            head = again;
            tail = atomic_load_explicit(&m->tail, memory_order_relaxed);
            continue;
        }
        if (atomic_compare_exchange_weak_explicit(
                &m->tail, &tail, tail + 1, memory_order_relaxed, memory_order_relaxed)) {
            *position = tail;
            return true;
        }
    }
}

/* How many messages may lie in the ring before this kind is refused. */
static uint32_t mailbox_limit(const struct mailbox *m, uint8_t kind)
{
    switch (kind) {
    case MAILBOX_ASK:
    case MAILBOX_SRTP_WANTED:
        return m->capacity / 2;
    case MAILBOX_RELAY:
    case MAILBOX_ANSWER:
    case MAILBOX_SECRETS:
    case MAILBOX_LIMITS:
    case MAILBOX_SRTP_UNWANTED:
    case MAILBOX_SRTP_DEPOSIT:
    case MAILBOX_SESSIONS:
    case MAILBOX_SESSIONS_READ:
    case MAILBOX_KICK:
    case MAILBOX_KICKED:
        return m->capacity - MAILBOX_RESERVED;
    case MAILBOX_REVOKE:
        return m->capacity - MAILBOX_RESERVED_STOP;
    default:
        return m->capacity;
    }
}

int mailbox_post(struct mailbox *m, const struct mailbox_message *message)
{
    uint32_t position;
    if (!mailbox_claim(m, mailbox_limit(m, message->kind), &position)) {
        return -EAGAIN;
    }
    struct cell *cell = &m->cells[position & (m->capacity - 1)];
    cell->message = *message;
    atomic_store_explicit(&cell->published, position + 1, memory_order_release);
    uv_async_send(&m->wake);
    return 0;
}

uint32_t mailbox_drain(struct mailbox *m)
{
    uint32_t count = 0;
    while (count < m->capacity) {
        uint32_t head = atomic_load_explicit(&m->head, memory_order_relaxed);
        struct cell *cell = &m->cells[head & (m->capacity - 1)];
        if (atomic_load_explicit(&cell->published, memory_order_acquire) != head + 1) {
            return count;
        }
        struct mailbox_message message = cell->message;
        atomic_store_explicit(&m->head, head + 1, memory_order_release);
        m->deliver(m->ctx, &message);
        count++;
    }
    /* What came in meanwhile has its turn after the sockets have had theirs. */
    uv_async_send(&m->wake);
    return count;
}

void mailbox_close(struct mailbox *m)
{
    if (m) {
        uv_close((uv_handle_t *)&m->wake, mailbox_on_closed);
    }
}
