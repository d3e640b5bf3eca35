/*
 * An epoll set that nobody waits in: it is asked, as often as the row reads, which connections have
 * something. Edge-triggered, so that asking costs nothing for those that were read dry.
 *
 * A reader may restart the connection that it is being handed messages of; it is closed when the
 * reader has returned.
 *
 * Called by endpoint.c, from one thread.
 */
#include "bench/connections.h"

#include "bench/link.h"
#include "bench/reassembly.h"
#include "bench/tls_client.h"
#include "bench/usage.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define WAITING_MAX 1280 /* the longest message that may wait for its connection */
#define EVENTS      256
#define PLAIN_BYTES 65536
#define TICK_NS     50000000u

enum connection_state {
    CONNECTION_NONE,
    CONNECTION_CONNECTING,
    CONNECTION_HANDSHAKE,
    CONNECTION_OPEN,
    CONNECTION_ENDED /* by the server, after it stood */
};

struct connection {
    struct link link;
    enum connection_state state;
    bool receiving; /* its messages are being handed over */
    bool restart;   /* to be closed as soon as they have been */
    struct tls_session *tls;
    struct tls_ticket *ticket; /* of the connection before this one */
    struct reassembly in;
    struct in_addr from;
    size_t waiting_len;
    uint8_t waiting[WAITING_MAX];
};

struct connections {
    struct connections_settings settings;
    struct tls_client *tls; /* NULL: TCP */
    int epoll;
    unsigned unfinished; /* connections in CONNECTION_HANDSHAKE */
    uint64_t next_tick_ns;
    struct connections_stats stats;
    struct link_output output;
    uint8_t plain[PLAIN_BYTES];
    struct connection list[];
};

struct connections *connections_new(const struct connections_settings *settings)
{
    size_t bytes = sizeof(struct connections) + settings->count * sizeof(struct connection);
    struct connections *c = calloc(1, bytes);
    bool secure = settings->transport != TRANSPORT_TCP;

    if (c == NULL) {
        return NULL;
    }
    c->settings = *settings;
    c->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (secure) {
        c->tls = tls_client_new(settings->transport == TRANSPORT_TLS);
    }
    for (unsigned i = 0; i < settings->count; i++) {
        c->list[i].link = (struct link){.fd = -1, .output = &c->output};
    }
    if (c->epoll < 0 || (secure && c->tls == NULL)) {
        perror("turnpike-bench: connections");
        connections_free(c);
        return NULL;
    }
    return c;
}

/* Whatever its state, without a word to the server. */
static void drop(struct connections *c, struct connection *n, enum connection_state state)
{
    if (n->state == CONNECTION_HANDSHAKE) {
        c->unfinished--;
    }
    tls_session_free(n->tls);
    n->tls = NULL;
    link_close(&n->link);
    reassembly_deinit(&n->in);
    n->state = state;
}

void connections_free(struct connections *c)
{
    if (c == NULL) {
        return;
    }
    for (unsigned i = 0; i < c->settings.count; i++) {
        drop(c, &c->list[i], CONNECTION_NONE);
        tls_ticket_free(c->list[i].ticket);
    }
    if (c->epoll >= 0) {
        close(c->epoll);
    }
    tls_client_free(c->tls);
    free(c);
}

struct connections_stats connections_stats(const struct connections *c)
{
    return c->stats;
}

/* It was not up to us. Before it stood, the next message may try again. */
static void fail(struct connections *c, struct connection *n, const char *why)
{
    bool stood = n->state == CONNECTION_OPEN;

    if (c->stats.failed + c->stats.ended == 0) {
        fprintf(stderr, "turnpike-bench: a connection %s: %s\n",
            stood ? "was ended" : "was not made", why);
    }
    if (stood) {
        c->stats.ended++;
    } else {
        c->stats.failed++;
    }
    drop(c, n, stood ? CONNECTION_ENDED : CONNECTION_NONE);
}

static void send_open(struct connection *n, struct slice message)
{
    if (n->tls != NULL) {
        tls_session_write(n->tls, message);
    } else {
        link_send(&n->link, message);
    }
}

static void opened(struct connections *c, struct connection *n)
{
    n->state = CONNECTION_OPEN;
    c->stats.established++;
    c->stats.resumed += n->tls != NULL && tls_session_resumed(n->tls);
    if (n->waiting_len > 0) {
        send_open(n, slice_of(n->waiting, n->waiting_len));
        n->waiting_len = 0;
    }
}

static void go_on_with_handshake(struct connections *c, struct connection *n)
{
    switch (tls_session_handshake(n->tls)) {
    case TLS_STEP_DONE:
        c->unfinished--;
        opened(c, n);
        break;
    case TLS_STEP_MORE:
        break;
    case TLS_STEP_ENDED:
        fail(c, n, tls_session_failure());
        break;
    }
}

/* The link is connected. */
static void begin(struct connections *c, struct connection *n)
{
    if (c->tls == NULL) {
        opened(c, n);
        return;
    }
    n->tls = tls_session_new(c->tls, &n->link, n->ticket);
    if (n->tls == NULL) {
        fail(c, n, "out of memory");
        return;
    }
    n->state = CONNECTION_HANDSHAKE;
    c->unfinished++;
    go_on_with_handshake(c, n);
}

static void connect_now(struct connections *c, struct connection *n)
{
    bool stream = transport_is_stream(c->settings.transport);
    /* A UDP socket would also tell about each datagram that has left, on the server's core. */
    uint32_t room = stream ? EPOLLOUT : 0;
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET | room, .data.ptr = n};
    int rc = link_open(&n->link, stream, n->from, &c->settings.server);

    n->state = CONNECTION_CONNECTING;
    if (rc == 0 && epoll_ctl(c->epoll, EPOLL_CTL_ADD, n->link.fd, &event) < 0) {
        rc = -errno;
    }
    if (rc < 0) {
        fail(c, n, strerror(-rc));
    } else if (!stream) {
        begin(c, n);
    }
}

void connections_send(
    struct connections *c, unsigned index, struct in_addr from, struct slice message)
{
    struct connection *n = &c->list[index];

    if (n->state == CONNECTION_OPEN && !n->restart) {
        send_open(n, message);
        return;
    }
    if ((n->state == CONNECTION_ENDED && !n->restart) || message.len > sizeof(n->waiting)) {
        c->stats.dropped++;
        return;
    }
    memcpy(n->waiting, message.data, message.len);
    n->waiting_len = message.len;
    n->from = from;
    if (n->state == CONNECTION_NONE && !n->restart) {
        connect_now(c, n);
    }
}

void connections_flush(struct connections *c)
{
    link_flush(&c->output);
}

static void close_in_order(struct connections *c, struct connection *n)
{
    if (n->tls != NULL && n->state == CONNECTION_OPEN) {
        if (c->settings.resume) {
            tls_ticket_free(n->ticket);
            n->ticket = tls_session_take_ticket(n->tls);
        }
        tls_session_close(n->tls);
    }
    drop(c, n, CONNECTION_NONE);
}

void connections_restart(struct connections *c, unsigned index)
{
    struct connection *n = &c->list[index];

    n->waiting_len = 0;
    if (n->receiving) {
        n->restart = true;
    } else {
        close_in_order(c, n);
    }
}

static void receive_records(
    struct connections *c, struct connection *n, const struct endpoint_reader *reader)
{
    enum tls_step step = TLS_STEP_DONE;
    size_t len;
    int rc = 0;

    while (rc == 0 && !n->restart &&
           (step = tls_session_read(n->tls, c->plain, sizeof(c->plain), &len)) == TLS_STEP_DONE) {
        struct slice plain = slice_of(c->plain, len);
        if (n->link.stream) {
            rc = reassembly_feed(&n->in, plain, n->link.arrived_ns, reader);
        } else {
            reader->datagram(reader->ctx, plain, n->link.arrived_ns);
        }
    }
    if (rc < 0 || step == TLS_STEP_ENDED) {
        fail(c, n, rc < 0 ? strerror(-rc) : tls_session_failure());
    }
}

static void receive_plain(
    struct connections *c, struct connection *n, const struct endpoint_reader *reader)
{
    ssize_t len;
    int rc = 0;

    while (rc == 0 && !n->restart &&
           (len = link_receive(&n->link, c->plain, sizeof(c->plain))) != -EAGAIN) {
        rc = len > 0 ? reassembly_feed(
                           &n->in, slice_of(c->plain, (size_t)len), n->link.arrived_ns, reader)
                     : (len < 0 ? (int)len : -ECONNRESET);
    }
    if (rc < 0) {
        fail(c, n, strerror(-rc));
    }
}

static void handle(struct connections *c, struct connection *n, uint32_t events,
    const struct endpoint_reader *reader)
{
    n->link.drained = false;
    n->link.ending = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    if (n->state == CONNECTION_CONNECTING) {
        int rc = link_connected(&n->link);
        if (rc < 0) {
            fail(c, n, strerror(-rc));
        } else {
            begin(c, n);
        }
    } else if (n->state == CONNECTION_HANDSHAKE) {
        go_on_with_handshake(c, n);
    }
    if (n->state == CONNECTION_OPEN) {
        n->receiving = true;
        if (n->tls != NULL) {
            receive_records(c, n, reader);
        } else {
            receive_plain(c, n, reader);
        }
        n->receiving = false;
    }
    if (n->restart) {
        n->restart = false;
        close_in_order(c, n);
        if (n->waiting_len > 0) {
            connect_now(c, n);
        }
    }
}

/* Flights of DTLS handshakes that were lost. */
static void tick(struct connections *c)
{
    uint64_t now = monotonic_ns();

    if (c->unfinished == 0 || c->settings.transport != TRANSPORT_DTLS || now < c->next_tick_ns) {
        return;
    }
    c->next_tick_ns = now + TICK_NS;
    for (unsigned i = 0; i < c->settings.count; i++) {
        if (c->list[i].state == CONNECTION_HANDSHAKE) {
            tls_session_tick(c->list[i].tls);
        }
    }
}

void connections_receive(struct connections *c, const struct endpoint_reader *reader)
{
    struct epoll_event events[EVENTS];
    int count;

    do {
        count = epoll_wait(c->epoll, events, EVENTS, 0);
        for (int i = 0; i < count; i++) {
            handle(c, events[i].data.ptr, events[i].events, reader);
        }
    } while (count == EVENTS);
    link_flush(&c->output);
    tick(c);
}
