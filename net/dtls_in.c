/*
 * From a listener's datagrams to packets of DTLS sessions.
 *
 * Always: plain text is never taken for a session's, nor a session's for plain text: the transport
 * is part of the 5-tuple, and where a session stands nothing else is heard. What cannot be
 * authenticated changes nothing in an established session. A message lies in memory that stays as
 * it is until the outbox has been flushed. Called by udp_listener.c for each datagram.
 */
#include "net/dtls_client.h"
#include "wire/demux.h"

#define APPLICATION_DATA 23
/* What a record may be at most, with the overhead that RFC 6347 section 4.1.2 allows; OpenSSL reads
 * no more of a datagram. */
#define DATAGRAM_MAX (DTLS_RECORD_HEADER + DTLS_MESSAGE_MAX + 2048)
/* A client needs four for its handshake, some of them again; each may make OpenSSL keep a buffer of
 * 17 KB, for records that came before their turn. */
#define HANDSHAKE_DATAGRAMS 32

/* What became of one datagram. */
enum fed { FED_NOTHING, FED_MOVED, FED_MESSAGES };

/* Room for a message. A flush within relay's calls may have freed all. */
static uint8_t *plain_room(struct dtls_sessions *set)
{
    struct outbox *outbox = set->io->outbox;
    if (DTLS_PLAIN - set->plain_used < DTLS_MESSAGE_MAX) {
        outbox_flush(outbox);
    }
    if (outbox->count == 0) {
        set->plain_used = 0;
    }
    return set->plain + set->plain_used;
}

static void deliver(struct dtls_client *c, const struct packet *p, struct slice message)
{
    struct dtls_sessions *set = c->set;
    struct io *io = set->io;
    const struct instant *now = io_now(io);
    set->plain_used += (message.len + 63) & ~(size_t)63;
    c->times.message_us = now->mono_us;
    if (!c->spoken) {
        c->spoken = true;
        counters_gauge(io->counters, GAUGE_CONNECTIONS_HALF_OPEN, -1);
    }
    const struct packet packet = {
        .bytes = message, .flow = c->flow, .realm = p->realm, .realms = p->realms, .tos = p->tos};
    const struct io_handlers *h = &io->handlers;
    h->from_client(h->ctx, &packet, now);
    /* As with streams, only an allocation proves a client. */
    if (c->charge.half_open && h->flow_in_use(h->ctx, &c->flow)) {
        connection_counts_proven(set->options.counts, &c->charge);
    }
}

/* Reads all records of the datagram that was fed. Returns how many messages there were. */
static unsigned read_all(struct dtls_client *c, const struct packet *p, enum tls_outcome *outcome)
{
    unsigned count = 0;
    for (; !c->ending; count++) {
        size_t len;
        uint8_t *room = plain_room(c->set);
        if (c->ending) {
            break; /* by the flush */
        }
        *outcome = dtls_session_read(c->tls, room, DTLS_MESSAGE_MAX, &len);
        if (!c->established && dtls_session_established(c->tls)) {
            dtls_client_establish(c);
        }
        if (*outcome != TLS_DATA) {
            break;
        }
        deliver(c, p, slice_of(room, len));
    }
    return count;
}

/* One record carries one message, and each is counted like a datagram of its own. */
static enum fed feed(struct dtls_client *c, const struct packet *p)
{
    const bool was = c->established;
    const uint64_t sent = c->sent;
    enum tls_outcome outcome = TLS_MORE;
    if (!was && c->handshake_datagrams++ >= HANDSHAKE_DATAGRAMS) {
        c->handshake_datagrams = HANDSHAKE_DATAGRAMS;
        return FED_NOTHING;
    }
    c->set->out.tos = 0;
    dtls_session_feed(c->tls, p->bytes);
    unsigned messages = read_all(c, p, &outcome);
    if (outcome == TLS_CLOSED) {
        /* What was asked before the end is answered, as over TLS (RFC 7350 section 3). */
        outbox_flush(c->set->io->outbox);
        dtls_client_end(c, REASON_CLOSED_BY_CLIENT);
    } else if (outcome == TLS_FAILED) {
        dtls_client_end(c, dtls_session_failure(c->tls));
    }
    dtls_client_arm(c);
    if (messages > 0) {
        counters_add(c->set->io->counters, METRIC_RECEIVED_CLIENT, messages - 1);
        return FED_MESSAGES;
    }
    /* A client that has lost the last flight repeats its own, and is answered. */
    return !was || c->ending || c->sent != sent ? FED_MOVED : FED_NOTHING;
}

static unsigned epoch_of(struct slice datagram)
{
    return (unsigned)datagram.data[3] << 8 | datagram.data[4];
}

/*
 * Where a handshake is pending beside a session: what is not encrypted can only be the handshake's;
 * messages are the session's until the handshake is complete; of the rest only the tag tells.
 */
static enum fed feed_both(struct dtls_client *c, const struct packet *p)
{
    struct dtls_client *pending = c->place.pending;
    if (!pending) {
        return feed(c, p);
    }
    if (epoch_of(p->bytes) == 0) {
        return feed(pending, p);
    }
    enum fed result = feed(c, p);
    if (result == FED_NOTHING && p->bytes.data[0] != APPLICATION_DATA) {
        result = feed(pending, p);
    }
    return result;
}

static void take_record(struct dtls_client *c, const struct packet *p)
{
    struct counters *counters = c->set->io->counters;
    enum fed result = FED_NOTHING;
    if (p->bytes.len >= DTLS_RECORD_HEADER && p->bytes.len <= DATAGRAM_MAX) {
        result = feed_both(c, p);
    }
    if (result == FED_MOVED) {
        counters_add(counters, METRIC_CONSUMED, 1);
    } else if (result == FED_NOTHING) {
        counters_drop(counters, REASON_DTLS_RECORD_BAD);
    }
}

/* Something that is no DTLS record. */
static bool take_plain(
    struct dtls_sessions *set, const struct udp_listener *l, const struct dtls_client *c)
{
    if (c && c->established) {
        counters_drop(set->io->counters, REASON_PLAIN_ON_DTLS_FLOW);
        return true;
    }
    if (l->dtls_only) {
        counters_drop(set->io->counters, REASON_NOT_DTLS);
        return true;
    }
    return false;
}

bool dtls_sessions_take(
    struct dtls_sessions *set, const struct udp_listener *l, const struct packet *p)
{
    const bool record = demux(p->bytes) == DEMUX_DTLS;
    if (!record && set->established == 0 && !l->dtls_only) {
        return false;
    }
    struct dtls_client *c = dtls_client_find(set, &p->flow);
    if (!record) {
        return take_plain(set, l, c);
    }
    if (set->snapshot->tls && dtls_hello_is(p->bytes)) {
        dtls_hello_receive(set, l, p, c);
    } else if (c) {
        take_record(c, p);
    } else if (set->snapshot->tls || l->dtls_only) {
        counters_drop(set->io->counters, REASON_DTLS_NO_SESSION);
    } else {
        return false;
    }
    return true;
}
