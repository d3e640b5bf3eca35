/*
 * From the outbox to a connection: one write a flush, and a bounded queue for what the socket does
 * not take.
 *
 * Always: a message is taken whole or not at all, since half of one would break the stream; media
 * that does not fit is dropped and counted, a reply that does not fit ends the connection. Entries
 * count when they are accepted, by the socket or by the queue. Nothing is closed here, only marked.
 * Called by sender.c within a flush, and by the loop when a socket takes bytes again.
 */
#include <errno.h>

#include "net/connection.h"

/* What the engine of TLS adds to a record: header, tag, type and padding. */
#define RECORD_OVERHEAD 64
/*
 * What may stand in a queue beyond its limit: the rest of a message that the socket took in part,
 * and what TLS says on its own (alerts, key updates), which a client could draw without end.
 */
#define QUEUE_SLACK (STREAM_FRAME_MAX + CONNECTION_RECORD)

/* Of a connection without an allocation, which draws replies only: more than a handful wait for who
 * reads none. */
#define STRANGER_QUEUE 16384

/* True where the queue takes `len` bytes more, `slack` beyond its limit. */
static bool queue_fits(const struct connection *c, size_t len, size_t slack)
{
    const struct io_handlers *h = &c->set->io->handlers;
    size_t limit = c->set->snapshot->streams.write_queue;
    return write_queue_fits(&c->queue, STRANGER_QUEUE + slack, len) ||
           (write_queue_fits(&c->queue, limit + slack, len) && h->flow_in_use(h->ctx, &c->flow));
}

static void queue_bytes(struct connection *c, const struct iovec *parts, unsigned count)
{
    if (write_queue_add(&c->queue, parts, count) < 0) {
        connection_end(c, REASON_CONNECTION_MEMORY);
        return;
    }
    connection_poll(c, UV_READABLE | UV_WRITABLE);
}

/* One sendmsg. Bytes taken, 0 where the socket is full; -1: it has ended. */
static ssize_t send_parts(struct connection *c, struct iovec *parts, unsigned count)
{
    const struct msghdr m = {.msg_iov = parts, .msg_iovlen = count};
    counters_add(c->set->io->counters, METRIC_SEND_CALLS, 1);
    ssize_t n = sendmsg(c->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0) {
        return n;
    }
    if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS || errno == ENOMEM) {
        return 0;
    }
    connection_end(c, REASON_CONNECTION_RESET);
    return -1;
}

void connection_send(struct connection *c, struct slice bytes)
{
    struct iovec part = {(void *)(uintptr_t)bytes.data, bytes.len};
    ssize_t taken = c->queue.len == 0 ? send_parts(c, &part, 1) : 0;
    /* The last words of one that ends leave at once or never. */
    if (taken < 0 || c->ending || (size_t)taken == bytes.len) {
        return;
    }
    part.iov_base = (uint8_t *)part.iov_base + taken;
    part.iov_len -= (size_t)taken;
    if (!queue_fits(c, part.iov_len, QUEUE_SLACK)) {
        connection_end(c, REASON_REPLY_QUEUE_FULL);
        return;
    }
    queue_bytes(c, &part, 1);
}

void connection_drain(struct connection *c)
{
    struct slice front = write_queue_front(&c->queue);
    if (c->ending) {
        return;
    }
    if (front.len > 0) {
        struct iovec part = {(void *)(uintptr_t)front.data, front.len};
        ssize_t taken = send_parts(c, &part, 1);
        if (taken < 0) {
            return;
        }
        write_queue_take(&c->queue, (size_t)taken);
    }
    if (c->queue.len == 0) {
        connection_poll(c, UV_READABLE);
    }
}

/* The message of an entry as parts; returns its length. */
static size_t message_parts(const struct outbox_entry *e, struct iovec parts[CONNECTION_PARTS])
{
    static const uint8_t zeros[3];
    struct slice head = e->header_len ? slice_of(e->header, e->header_len) : e->head;
    parts[0] = (struct iovec){(void *)(uintptr_t)head.data, head.len};
    parts[1] = (struct iovec){(void *)(uintptr_t)e->body.data, e->body.len};
    parts[2] = (struct iovec){(void *)(uintptr_t)zeros, e->padding};
    return head.len + e->body.len + e->padding;
}

static void refuse_entry(struct connection *c, const struct outbox_entry *e)
{
    io_failed(c->set->io, e, REASON_WRITE_QUEUE_FULL);
    if (!e->media) {
        connection_end(c, REASON_REPLY_QUEUE_FULL);
    }
}

/* A message behind what is queued. */
static void queue_entry(struct connection *c, const struct outbox_entry *e)
{
    struct iovec parts[CONNECTION_PARTS];
    size_t len = message_parts(e, parts);
    if (c->ending) {
        io_failed(c->set->io, e, REASON_CONNECTION_GONE);
    } else if (!queue_fits(c, len, 0)) {
        refuse_entry(c, e);
    } else {
        queue_bytes(c, parts, CONNECTION_PARTS);
        io_sent(c->set->io, e, len);
    }
}

static const struct outbox_entry *next_of(
    const struct connection *c, const struct outbox_entry *entries, unsigned *i)
{
    const struct outbox_entry *e = *i == OUTBOX_ENTRIES ? NULL : &entries[*i];
    if (e) {
        *i = *i == c->flush.last ? OUTBOX_ENTRIES : c->set->next_entry[*i];
    }
    return e;
}

/* The socket took `taken` bytes of this connection's entries, from the first on. */
static void settle(struct connection *c, const struct outbox_entry *entries, size_t taken)
{
    unsigned i = c->flush.first;
    for (const struct outbox_entry *e; (e = next_of(c, entries, &i));) {
        struct iovec parts[CONNECTION_PARTS];
        size_t len = message_parts(e, parts);
        if (taken == 0) {
            queue_entry(c, e);
            continue;
        }
        size_t part = taken < len ? taken : len;
        taken -= part;
        io_sent(c->set->io, e, len);
        if (part < len) {
            for (unsigned k = 0; k < CONNECTION_PARTS; k++) {
                size_t gone = part < parts[k].iov_len ? part : parts[k].iov_len;
                parts[k].iov_base = (uint8_t *)parts[k].iov_base + gone;
                parts[k].iov_len -= gone;
                part -= gone;
            }
            queue_bytes(c, parts, CONNECTION_PARTS);
        }
    }
}

static void flush_plain(struct connection *c, const struct outbox_entry *entries)
{
    unsigned count = 0, i = c->flush.first;
    ssize_t taken = 0;
    if (c->queue.len == 0 && !c->ending) {
        while (i != OUTBOX_ENTRIES) {
            delay_handed(&c->set->io->delay, c->set->io->counters, i, i + 1);
            (void)message_parts(next_of(c, entries, &i), &c->set->parts[count]);
            count += CONNECTION_PARTS;
        }
        taken = send_parts(c, c->set->parts, count);
    }
    settle(c, entries, taken > 0 ? (size_t)taken : 0);
}

static void seal(struct connection *c, size_t *used)
{
    if (*used > 0 && !c->ending && tls_stream_write(c->tls, slice_of(c->set->record, *used)) < 0) {
        connection_end(c, REASON_TLS_FAILED);
    }
    *used = 0;
}

/* Copies a message behind the `used` bytes of the record, sealing each that is full. */
static void fill_record(
    struct connection *c, const struct iovec parts[CONNECTION_PARTS], size_t *used)
{
    for (unsigned k = 0; k < CONNECTION_PARTS; k++) {
        const uint8_t *from = parts[k].iov_base;
        for (size_t left = parts[k].iov_len; left > 0;) {
            size_t room = CONNECTION_RECORD - *used, n = left < room ? left : room;
            memcpy(c->set->record + *used, from, n);
            *used += n;
            from += n;
            left -= n;
            if (*used == CONNECTION_RECORD) {
                seal(c, used);
            }
        }
    }
}

static bool record_fits(const struct connection *c, size_t plain)
{
    size_t sealed = plain + (plain / CONNECTION_RECORD + 1) * RECORD_OVERHEAD;
    return queue_fits(c, sealed, 0);
}

/* What is sealed must leave, so that all that fits the queue is sealed together, once. */
static void flush_tls(struct connection *c, const struct outbox_entry *entries)
{
    size_t used = 0;
    unsigned i = c->flush.first, n = i;
    for (const struct outbox_entry *e; (e = next_of(c, entries, &i)); n = i) {
        struct iovec parts[CONNECTION_PARTS];
        size_t len = message_parts(e, parts);
        if (!record_fits(c, used + len)) {
            seal(c, &used); /* the socket may take it, and leave the queue empty */
        }
        if (c->ending || !tls_stream_established(c->tls)) {
            io_failed(c->set->io, e, REASON_CONNECTION_GONE);
        } else if (!record_fits(c, used + len)) {
            refuse_entry(c, e);
        } else {
            io_sent(c->set->io, e, len);
            delay_handed(&c->set->io->delay, c->set->io->counters, n, n + 1);
            fill_record(c, parts, &used);
        }
    }
    seal(c, &used);
}

void connections_put(struct connections *set, const struct outbox_entry *entries, unsigned index)
{
    struct connection *c = slab_get(set->slab, entries[index].flow.connection);
    if (!c || c->ending) {
        io_failed(set->io, &entries[index], REASON_CONNECTION_GONE);
        return;
    }
    if (c->flush.listed) {
        set->next_entry[c->flush.last] = index;
    } else {
        c->flush.listed = true;
        c->flush.first = index;
        c->flush.next = set->flushing;
        set->flushing = c;
    }
    c->flush.last = index;
}

void connections_write(struct connections *set, const struct outbox_entry *entries)
{
    while (set->flushing) {
        struct connection *c = set->flushing;
        set->flushing = c->flush.next;
        c->flush.listed = false;
        if (c->tls) {
            flush_tls(c, entries);
        } else {
            flush_plain(c, entries);
        }
    }
}
