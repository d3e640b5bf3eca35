/*
 * One buffer that grows by doubling and slides its content to the front when that makes room.
 *
 * Always: bytes leave in the order in which they came; an empty queue holds no memory. Called by
 * connection_out.c.
 */
#include "net/write_queue.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define FIRST_CAPACITY 2048

/* Room for `more` bytes behind what is there. */
static int write_queue_reserve(struct write_queue *q, size_t more)
{
    if (more <= q->cap - q->start - q->len) {
        return 0;
    }
    size_t cap = q->cap ? q->cap : FIRST_CAPACITY;
    /* Sliding costs what it moves: it must free as much, or the queue grows instead. */
    while (cap - q->len < more || (cap == q->cap && q->start < q->len)) {
        cap *= 2;
    }
    uint8_t *data = cap == q->cap ? q->data : malloc(cap);
    if (!data) {
        return -ENOMEM;
    }
    if (q->len > 0) {
        memmove(data, q->data + q->start, q->len);
    }
    if (data != q->data) {
        free(q->data);
    }
    q->data = data;
    q->cap = cap;
    q->start = 0;
    return 0;
}

int write_queue_add(struct write_queue *q, const struct iovec *parts, unsigned count)
{
    size_t len = 0;
    for (unsigned i = 0; i < count; i++) {
        len += parts[i].iov_len;
    }
    if (len == 0) {
        return 0;
    }
    int r = write_queue_reserve(q, len);
    if (r < 0) {
        return r;
    }
    for (unsigned i = 0; i < count; i++) {
        if (parts[i].iov_len > 0) {
            memcpy(q->data + q->start + q->len, parts[i].iov_base, parts[i].iov_len);
            q->len += parts[i].iov_len;
        }
    }
    return 0;
}

struct slice write_queue_front(const struct write_queue *q)
{
    return q->len ? slice_of(q->data + q->start, q->len) : (struct slice){0};
}

void write_queue_take(struct write_queue *q, size_t len)
{
    assert(len <= q->len);
    q->start += len;
    q->len -= len;
    if (q->len == 0) {
        write_queue_clear(q);
    }
}

void write_queue_clear(struct write_queue *q)
{
    free(q->data);
    *q = (struct write_queue){0};
}
