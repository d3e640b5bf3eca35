/*
 * What a connection may say before its first message: a PROXY header where the listener wants one,
 * the choice between TLS, plain TURN and an HTTP probe on a TLS listener, and an HTTP probe instead
 * of the first message.
 *
 * Always: nothing of it reaches relay/. Called by connection.c.
 */
#include "net/connection.h"

#include "wire/http_request.h"
#include "wire/proxy_protocol.h"

/* Bytes that tell a PROXY header from all else that may come. */
#define PROXY_PREFIX         5
#define TLS_HANDSHAKE_RECORD 22 /* RFC 8446 section 5.1 */
#define TLS_RECORD_HEADER    5
#define TLS_RECORD_MAX       16384

/* The first bits of STUN (RFC 8489 section 5): "the most significant 2 bits of every STUN message
 * MUST be zeroes". A ChannelData message cannot be the first: nothing is bound yet. */
static bool may_be_stun(struct slice stream)
{
    return (stream.data[0] & 0xc0) == 0;
}

static bool is_proxy_header(struct slice stream)
{
    struct proxy_header header;
    return stream.len >= PROXY_PREFIX && proxy_header_parse(&header, stream) != PROXY_ABSENT;
}

static void answer_http(struct connection *c, struct slice request)
{
    struct slice answer = http_request_answer(request);
    if (c->tls) {
        (void)tls_stream_write(c->tls, answer);
    } else {
        connection_send(c, answer);
    }
    connection_end(c, REASON_HTTP_PROBE);
}

/* True: no HTTP. Else more must come, or it has ended. */
static bool is_no_http(struct connection *c, struct slice stream)
{
    switch (http_request_look(stream)) {
    case HTTP_ABSENT:
        return true;
    case HTTP_WHOLE:
        answer_http(c, stream);
        return false;
    case HTTP_BAD:
        connection_end(c, REASON_HTTP_MALFORMED);
        return false;
    case HTTP_MORE:
        break;
    }
    return false;
}

bool connection_first_bytes(struct connection *c, struct slice stream)
{
    if (!is_no_http(c, stream)) {
        return false;
    }
    if (!may_be_stun(stream)) {
        connection_bad_bytes(c, stream);
        return false;
    }
    return true;
}

void connection_bad_bytes(struct connection *c, struct slice stream)
{
    bool proxy = c->state == CONNECTION_FIRST && is_proxy_header(stream);
    connection_end(c, proxy ? REASON_PROXY_UNEXPECTED : REASON_FRAME_MALFORMED);
}

/* A TLS listener serves it plain from here on. */
static void become_plain(struct connection *c)
{
    struct counters *counters = c->set->io->counters;
    counters_gauge(counters, GAUGE_CONNECTIONS_TLS, -1);
    counters_gauge(counters, GAUGE_CONNECTIONS_TCP, 1);
    c->flow.transport = TRANSPORT_TCP;
    c->state = CONNECTION_FIRST;
    c->times.state_us = io_now(c->set->io)->mono_us;
}

/* A TLS state takes some 46 kB, which one byte must not cost: it is made for a whole record. */
static void choose_tls(struct connection *c, struct slice stream)
{
    if (stream.len < TLS_RECORD_HEADER) {
        return;
    }
    size_t len = (size_t)stream.data[3] << 8 | stream.data[4];
    if (len > TLS_RECORD_MAX) {
        connection_end(c, REASON_TLS_HANDSHAKE_FAILED);
    } else if (stream.len - TLS_RECORD_HEADER >= len) {
        connection_tls_start(c);
    }
}

static void choose(struct connection *c)
{
    struct slice stream = slice_of(c->partial.data, c->partial.len);
    if (stream.data[0] == TLS_HANDSHAKE_RECORD) {
        choose_tls(c, stream);
    } else if (!is_no_http(c, stream)) {
        return;
    } else if (is_proxy_header(stream)) {
        connection_end(c, REASON_PROXY_UNEXPECTED);
    } else if (!may_be_stun(stream)) {
        connection_end(c, REASON_NOT_TLS);
    } else if (!connection_listener(c)->accept_plain) {
        connection_end(c, REASON_PLAIN_ON_TLS_PORT);
    } else {
        become_plain(c);
    }
}

static struct connection_limits limits_of(const struct connection *c)
{
    const struct stream_settings *s = &c->set->snapshot->streams;
    return (struct connection_limits){
        .total = s->max_connections,
        .per_prefix = s->connections_per_prefix,
        .half_open_per_prefix = s->half_open_per_prefix,
    };
}

/* The client is known, so it is counted in its prefix, and what it says next is looked at. */
static void end_of_proxy(struct connection *c, const struct proxy_header *header)
{
    if (header->has_client) {
        c->flow.remote = header->source;
        c->flow.local = header->destination;
    }
    const struct connection_limits limits = limits_of(c);
    enum reason refused =
        connection_counts_place(c->set->options.counts, &c->charge, &limits, &c->flow.remote);
    if (refused) {
        connection_end(c, refused);
        return;
    }
    connection_partial_take(c, header->len);
    c->state = c->flow.transport == TRANSPORT_TLS ? CONNECTION_CHOOSE : CONNECTION_FIRST;
    c->times.state_us = io_now(c->set->io)->mono_us;
}

static void take_proxy(struct connection *c)
{
    struct proxy_header header;
    switch (proxy_header_parse(&header, slice_of(c->partial.data, c->partial.len))) {
    case PROXY_HEADER:
        end_of_proxy(c, &header);
        break;
    case PROXY_ABSENT:
        connection_end(c, REASON_PROXY_MISSING);
        break;
    case PROXY_BAD:
        connection_end(c, REASON_PROXY_MALFORMED);
        break;
    case PROXY_MORE:
        break;
    }
}

void connection_input(struct connection *c, struct slice bytes)
{
    if (c->tls) {
        connection_tls_input(c, bytes);
        return;
    }
    if (!connection_partial_add(c, bytes)) {
        return;
    }
    if (c->state == CONNECTION_PROXY) {
        take_proxy(c);
    }
    if (c->state == CONNECTION_CHOOSE && c->partial.len > 0 && !c->ending) {
        choose(c);
    }
    if (c->state == CONNECTION_FIRST && c->partial.len > 0 && !c->ending && !c->tls) {
        connection_assemble(c);
    }
}
