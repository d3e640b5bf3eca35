/*
 * A connection inside TLS: ciphertext goes into the engine as it comes, plain text comes out into
 * the receive ring, and what the engine says goes to the socket.
 *
 * Always: what was fed is read out to its end before the next recv, unless the connection ends.
 * Called by connection_first.c and by connection.c.
 */
#include <stdlib.h>

#include "base/log.h"
#include "net/connection.h"

static void send_ciphertext(void *ctx, struct slice ciphertext)
{
    connection_send(ctx, ciphertext);
}

void connection_tls_start(struct connection *c)
{
    const struct io_handlers *h = &c->set->io->handlers;
    struct tls_context *context = c->set->snapshot->tls;
    if (!h->charge_handshake(h->ctx, &c->flow.remote, io_now(c->set->io))) {
        connection_end(c, REASON_HANDSHAKE_BUDGET);
        return;
    }
    if (!context) {
        connection_end(c, REASON_TLS_HANDSHAKE_FAILED);
        return;
    }
    const struct tls_stream_options options = {
        .context = context,
        .client_certificate = connection_listener(c)->client_certificate,
        .send = send_ciphertext,
        .ctx = c,
    };
    c->tls = tls_stream_new(&options);
    if (!c->tls) {
        connection_end(c, REASON_CONNECTION_MEMORY);
        return;
    }
    c->state = CONNECTION_HANDSHAKE;
    /* Plain text that does not come whole needs the place. */
    struct connection_partial first = c->partial;
    c->partial = (struct connection_partial){0};
    connection_tls_input(c, slice_of(first.data, first.len));
    free(first.data);
}

static void look_at_handshake(struct connection *c)
{
    if (c->state == CONNECTION_HANDSHAKE && tls_stream_established(c->tls)) {
        c->state = CONNECTION_FIRST;
        c->times.state_us = io_now(c->set->io)->mono_us;
        log_event(LOG_DEBUG, "tls_established", log_addr("client", &c->flow.remote),
            log_str("version", tls_stream_version(c->tls)),
            log_bool("resumed", tls_stream_resumed(c->tls)));
    }
}

static void tls_failed(struct connection *c)
{
    log_event(LOG_DEBUG, "tls_failed", log_addr("client", &c->flow.remote),
        log_str("why", tls_stream_failure_text(c->tls)));
    connection_end(c, tls_stream_failure(c->tls));
}

/* A record that stays unfinished is a partial frame like any other. One that ended here has made
 * way for the next. */
static void look_at_record(struct connection *c, bool ended)
{
    if (!tls_stream_in_record(c->tls)) {
        c->times.record_us = 0;
    } else if (ended || c->times.record_us == 0) {
        c->times.record_us = io_now(c->set->io)->mono_us;
    }
}

void connection_tls_input(struct connection *c, struct slice ciphertext)
{
    bool data = false;
    tls_stream_feed(c->tls, ciphertext);
    while (!c->ending) {
        size_t len = 0;
        /* A flush may run here; it may write, which reads nothing. */
        uint8_t *room = io_room(c->set->io, CONNECTION_RECEIVE);
        enum tls_outcome outcome = tls_stream_read(c->tls, room, CONNECTION_RECEIVE, &len);
        look_at_handshake(c);
        switch (outcome) {
        case TLS_DATA:
            data = true;
            connection_plain(c, slice_of(room, len), true);
            break;
        case TLS_MORE:
            look_at_record(c, data);
            return;
        case TLS_CLOSED:
            /* "The server SHOULD NOT close a connection if a request was received over that
             * connection for which a response was not sent." (RFC 8489 section 6.2.2) */
            io_flush(c->set->io);
            connection_end(c, REASON_CLOSED_BY_CLIENT);
            return;
        case TLS_FAILED:
            tls_failed(c);
            return;
        }
    }
}
