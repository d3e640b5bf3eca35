/*
 * From a connection's socket to packets: one recv a wake-up, the messages in it, and the deadlines
 * of all that has begun.
 *
 * Always: a slice handed to relay/ lies in the receive ring and stays until the outbox has been
 * flushed; what has not come whole is copied aside, and put together in the ring when the rest is
 * there. relay/ may flush within a call, and a flush may mark any connection as ended: each step
 * looks. Called by the worker's loop and by connections.c.
 */
#include "net/connection.h"

#include <errno.h>

/* Behind the header, of whoever has no allocation: names of full length and a token stay below it.
 */
#define STRANGER_FRAME 4096

const struct net_listener *connection_listener(const struct connection *c)
{
    return &c->set->snapshot->listeners[c->flow.listener];
}

/* When it ends if nothing comes, and why. */
static uint64_t connection_deadline(const struct connection *c, enum reason *why)
{
    const struct stream_settings *s = &c->set->snapshot->streams;
    uint64_t deadline;
    switch ((enum connection_state)c->state) {
    case CONNECTION_PROXY:
        *why = REASON_PROXY_TIMEOUT;
        return c->times.state_us + s->handshake_timeout_ms * US_PER_MS;
    case CONNECTION_CHOOSE:
    case CONNECTION_HANDSHAKE:
        *why = REASON_HANDSHAKE_TIMEOUT;
        return c->times.state_us + s->handshake_timeout_ms * US_PER_MS;
    case CONNECTION_FIRST:
        *why = REASON_FIRST_MESSAGE_TIMEOUT;
        deadline = c->times.state_us + s->first_message_timeout_ms * US_PER_MS;
        break;
    default:
        *why = REASON_CONNECTION_IDLE;
        deadline = c->times.message_us + s->idle_timeout_ms * US_PER_MS;
        break;
    }
    uint64_t begun = c->partial.len > 0 ? c->partial.since_us : c->times.record_us;
    if (c->times.record_us && c->times.record_us < begun) {
        begun = c->times.record_us;
    }
    uint64_t frame = begun + s->frame_timeout_ms * US_PER_MS;
    if (begun && frame < deadline) {
        *why = REASON_FRAME_TIMEOUT;
        return frame;
    }
    return deadline;
}

void connection_arm(struct connection *c)
{
    enum reason why;
    struct wheel_timer *timer = &c->times.timer;
    if (c->ending) {
        return;
    }
    uint64_t deadline = connection_deadline(c, &why);
    if (!timer->prev || deadline < timer->deadline_us) {
        wheel_arm(c->set->wheel, timer, deadline);
    }
}

/* Deadlines only move away while messages come, so the timer is left where it is and looks here
 * what has become of them. */
static void connection_on_deadline(struct wheel_timer *timer, void *ctx)
{
    struct connection *c = container_of(timer, struct connection, times.timer);
    const struct io_handlers *h = &c->set->io->handlers;
    uint64_t now = c->set->now.mono_us;
    enum reason why;
    uint64_t deadline = connection_deadline(c, &why);
    if (c->ending) {
        return;
    }
    if (now >= deadline && why == REASON_CONNECTION_IDLE && h->flow_in_use(h->ctx, &c->flow)) {
        c->times.message_us = now;
        deadline = connection_deadline(c, &why);
    }
    if (now >= deadline) {
        connection_end(c, why);
        return;
    }
    wheel_arm(c->set->wheel, timer, deadline);
}

static void connection_on_event(uv_poll_t *poll, int status, int events)
{
    struct connection *c = poll->data;
    if (status < 0) {
        connection_end(c, REASON_CONNECTION_RESET);
        return;
    }
    if (events & UV_WRITABLE) {
        connection_drain(c);
    }
    if (events & UV_READABLE) {
        connection_receive(c);
    }
}

void connection_poll(struct connection *c, int events)
{
    if (c->ending || c->events == events) {
        return;
    }
    c->events = (uint8_t)events;
    (void)uv_poll_start(&c->poll, events, connection_on_event);
}

void connection_start(struct connection *c)
{
    c->times.timer.fire = connection_on_deadline;
    c->times.state_us = io_now(c->set->io)->mono_us;
    connection_arm(c);
    connection_poll(c, UV_READABLE);
}

static void connection_deliver(struct connection *c, struct slice message)
{
    struct io *io = c->set->io;
    const struct instant *now = io_now(io);
    counters_add(io->counters, METRIC_RECEIVED_CLIENT, 1);
    counters_add(io->counters, METRIC_BYTES_RECEIVED_CLIENT, message.len);
    c->times.message_us = now->mono_us;
    if (c->state == CONNECTION_FIRST) {
        c->state = CONNECTION_OPEN;
        counters_gauge(io->counters, GAUGE_CONNECTIONS_HALF_OPEN, -1);
    }
    /* exception: DSCP to peers is the alternate of RFC 8656 section 15, "Best Effort": the system
     * does not say with each message what the connection carries, and behind a proxy it is the
     * proxy's. ECN: "set the outgoing value to Not-ECT". */
    const struct net_listener *listener = connection_listener(c);
    struct packet packet = {
        .bytes = message, .flow = c->flow, .realm = listener->realm, .realms = listener->realms};
    const struct io_handlers *h = &io->handlers;
    h->from_client(h->ctx, &packet, now);
    /* Twenty bytes that anybody can send prove nothing: only an allocation does. */
    if (c->charge.half_open && h->flow_in_use(h->ctx, &c->flow)) {
        connection_counts_proven(c->set->options.counts, &c->charge);
    }
}

/* The length that stands at the same place in STUN and in ChannelData; 0: it has not come. */
static unsigned announced(struct slice stream)
{
    return stream.len < 4 ? 0 : (unsigned)stream.data[2] << 8 | stream.data[3];
}

/* What stands in front of the stream. Bad: the connection has ended. */
static enum stream_frame_kind connection_look(
    struct connection *c, struct slice stream, struct stream_frame *frame)
{
    if (c->state == CONNECTION_FIRST && !connection_first_bytes(c, stream)) {
        return c->ending ? STREAM_FRAME_BAD : STREAM_FRAME_MORE;
    }
    enum stream_frame_kind kind = stream_frame_next(frame, stream);
    if (kind == STREAM_FRAME_BAD) {
        connection_bad_bytes(c, stream);
    } else if (kind == STREAM_FRAME_MORE && c->charge.half_open &&
               announced(stream) > STRANGER_FRAME) {
        connection_end(c, REASON_FRAME_TOO_LONG);
        return STREAM_FRAME_BAD;
    }
    return kind;
}

/* Delivers every whole message of bytes that lie in the ring, and puts the rest aside. */
static void connection_frames(struct connection *c, struct slice stream)
{
    struct stream_frame frame;
    while (stream.len > 0 && !c->ending) {
        enum stream_frame_kind kind = connection_look(c, stream, &frame);
        if (kind == STREAM_FRAME_BAD) {
            return;
        }
        if (kind == STREAM_FRAME_MORE) {
            (void)connection_partial_add(c, stream);
            return;
        }
        connection_deliver(c, frame.message);
        stream.data += frame.len;
        stream.len -= frame.len;
    }
}

/* The front that was put aside may be whole now: then all of it goes on in the ring. */
void connection_assemble(struct connection *c)
{
    struct stream_frame frame;
    struct slice stream = slice_of(c->partial.data, c->partial.len);
    if (connection_look(c, stream, &frame) != STREAM_FRAME_MESSAGE) {
        return;
    }
    uint8_t *room = io_room(c->set->io, stream.len);
    if (c->ending) {
        return;
    }
    memcpy(room, stream.data, stream.len);
    io_keep(c->set->io, stream.len);
    connection_partial_clear(c);
    connection_frames(c, slice_of(room, stream.len));
}

void connection_plain(struct connection *c, struct slice bytes, bool in_ring)
{
    if (c->partial.len == 0 && in_ring) {
        io_keep(c->set->io, bytes.len);
        connection_frames(c, bytes);
    } else if (connection_partial_add(c, bytes)) {
        connection_assemble(c);
    }
}

/* One recv. Returns how many bytes came; 0: none, and it may have ended. */
static size_t connection_recv(struct connection *c, uint8_t *room)
{
    ssize_t n = recv(c->fd, room, CONNECTION_RECEIVE, MSG_DONTWAIT);
    counters_add(c->set->io->counters, METRIC_RECEIVE_CALLS, 1);
    if (n == 0) {
        connection_end(c, REASON_CLOSED_BY_CLIENT);
        return 0;
    }
    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            connection_end(c, REASON_CONNECTION_RESET);
        }
        return 0;
    }
    return (size_t)n;
}

void connection_receive(struct connection *c)
{
    bool plain = c->state >= CONNECTION_FIRST && !c->tls;
    uint8_t *room = plain ? io_room(c->set->io, CONNECTION_RECEIVE) : c->set->input;
    if (c->ending) {
        return;
    }
    size_t len = connection_recv(c, room);
    if (len == 0) {
        return;
    }
    if (plain) {
        connection_plain(c, slice_of(room, len), true);
    } else {
        connection_input(c, slice_of(room, len));
    }
    connection_arm(c);
}
