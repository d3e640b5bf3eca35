/*
 * Bytes that a connection's socket did not take yet: a queue of whole messages, bounded by its
 * caller. No memory while it is empty. One thread.
 */
#ifndef NET_WRITE_QUEUE_H
#define NET_WRITE_QUEUE_H

#include <stdbool.h>
#include <sys/uio.h>

#include "base/slice.h"

/* Zero-initialised: empty. */
struct write_queue {
    uint8_t *data; /* owned; NULL while empty */
    size_t start, len, cap;
};

/* True where `len` bytes more stay within `limit`. An empty queue takes any one message. */
static inline bool write_queue_fits(const struct write_queue *q, size_t limit, size_t len)
{
    return q->len == 0 || (len <= limit && q->len <= limit - len);
}

/* Appends all parts behind what is there. 0, or -ENOMEM: nothing was appended. */
int write_queue_add(struct write_queue *q, const struct iovec *parts, unsigned count);
/* What stands in front, up to all of it; valid until the next call. */
struct slice write_queue_front(const struct write_queue *q);
/* Takes `len` ≤ q->len bytes off the front. */
void write_queue_take(struct write_queue *q, size_t len);
/* Forgets everything. */
void write_queue_clear(struct write_queue *q);

#endif
