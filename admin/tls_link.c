/*
 * One TLS connection, from its first byte to its last.
 *
 * Always: the server gets nothing of it before the handshake is complete, and learns then whether a
 * client certificate was good; what waits to be sent is bounded, because nothing is read from the
 * server while something does; and what a client may send is bounded, because one request is all
 * that is served. Once `drop` has been called nothing of the link is touched: functions that may do
 * so say false then. Called by tls_front.c and by the loop.
 */
#include "admin/tls_link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "tls/stream.h"

#define CHUNK (8 * 1024)
/* Chunks of one wake-up: others wait. */
#define CHUNKS_AT_ONCE 4
/* Plain text of a request: the headers that the server reads, a body, and some room. What is over
 * it is thrown away, as the server throws away what it does not read. */
#define REQUEST_MAX (20 * 1024)
/* Bytes from the network over a connection's life: its handshake, its request, and a body that is
 * refused while it still comes. */
#define HEARD_MAX (256 * 1024)
/* A chunk of the server's, sealed, and what TLS adds on its own. */
#define UNSENT_MAX (64 * 1024)

struct admin_tls_link {
    struct admin_tls_link_on on;
    struct admin_peer peer;
    enum admin_tls_state state;
    uint64_t since_us, accepted_us;
    struct tls_stream *tls;
    struct {
        uv_poll_t poll;
        int fd;          /* -1: closed */
        int events;      /* polled for */
    } net, plain;        /* the client's end; the server's, from ADMIN_TLS_OPEN on */
    unsigned handles;    /* of libuv that are not closed yet */
    size_t heard, taken; /* bytes from the client; of them, plain text for the server */
    bool client_done;    /* it has said that it sends no more */
    bool answering;      /* something has come from the server */
    struct {
        uint8_t *data;
        size_t len, sent, cap;
        bool lost; /* more than may wait */
    } unsent;
};

static void count(struct admin_tls_link *l, enum metric metric)
{
    counters_add(l->on.front->own, metric, 1);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct admin_tls_link *l = handle->data;
    if (--l->handles == 0) {
        free(l);
    }
}

static void close_end(uv_poll_t *poll, int *fd)
{
    if (*fd < 0) {
        return;
    }
    uv_poll_stop(poll);
    close(*fd);
    *fd = -1;
    uv_close((uv_handle_t *)poll, on_handle_closed);
}

void admin_tls_link_drop(struct admin_tls_link *l)
{
    tls_stream_free(l->tls);
    l->tls = NULL;
    free(l->unsent.data);
    l->unsent.data = NULL;
    l->on.gone(l->on.ctx, l);
    close_end(&l->plain.poll, &l->plain.fd);
    close_end(&l->net.poll, &l->net.fd);
}

static void on_sealed(void *ctx, struct slice bytes)
{
    struct admin_tls_link *l = ctx;
    size_t need = l->unsent.len + bytes.len;
    if (need > UNSENT_MAX) {
        l->unsent.lost = true;
        return;
    }
    if (need > l->unsent.cap) {
        uint8_t *grown = realloc(l->unsent.data, need);
        if (!grown) {
            l->unsent.lost = true;
            return;
        }
        l->unsent.data = grown;
        l->unsent.cap = need;
    }
    memcpy(l->unsent.data + l->unsent.len, bytes.data, bytes.len);
    l->unsent.len = need;
}

/* Sends what it can; false: dropped. */
static bool flush(struct admin_tls_link *l)
{
    while (!l->unsent.lost && l->unsent.sent < l->unsent.len) {
        ssize_t n = send(l->net.fd, l->unsent.data + l->unsent.sent, l->unsent.len - l->unsent.sent,
            MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            return true;
        }
        if (n < 0 && errno != EINTR) {
            l->unsent.lost = true;
        }
        l->unsent.sent += n > 0 ? (size_t)n : 0;
    }
    if (l->unsent.lost) {
        admin_tls_link_drop(l);
        return false;
    }
    l->unsent.len = l->unsent.sent = 0;
    if (l->state == ADMIN_TLS_ENDING) {
        shutdown(l->net.fd, SHUT_WR);
        l->state = ADMIN_TLS_LINGERING;
        l->since_us = clock_now().mono_us;
    }
    return true;
}

/* Nothing more goes to the client than what waits; false: dropped. */
static bool end(struct admin_tls_link *l)
{
    close_end(&l->plain.poll, &l->plain.fd);
    tls_stream_close(l->tls);
    l->state = ADMIN_TLS_ENDING;
    l->since_us = clock_now().mono_us;
    return flush(l);
}

static void on_plain(uv_poll_t *poll, int status, int events);
static void on_net(uv_poll_t *poll, int status, int events);

static void poll_for(uv_poll_t *poll, int *now, int events, uv_poll_cb on_event)
{
    if (*now != events) {
        *now = events;
        (void)(events ? uv_poll_start(poll, events, on_event) : uv_poll_stop(poll));
    }
}

/* Behind its close_notify there is nothing but the end of the connection, which is waited for. */
static bool listens(const struct admin_tls_link *l)
{
    return !l->client_done || l->state == ADMIN_TLS_LINGERING;
}

static void watch(struct admin_tls_link *l)
{
    const bool waits = l->unsent.len > 0;
    poll_for(&l->net.poll, &l->net.events,
        (listens(l) ? UV_READABLE : 0) | (waits ? UV_WRITABLE : 0), on_net);
    if (l->plain.fd >= 0) {
        poll_for(&l->plain.poll, &l->plain.events, waits ? 0 : UV_READABLE, on_plain);
    }
}

/* The handshake is complete; false: no pair of sockets could be had. */
static bool open_plain(struct admin_tls_link *l)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0) {
        return false;
    }
    if (uv_poll_init(l->on.front->loop, &l->plain.poll, pair[0]) < 0) {
        close(pair[0]);
        close(pair[1]);
        return false;
    }
    l->plain.fd = pair[0];
    l->plain.poll.data = l;
    l->handles++;
    l->state = ADMIN_TLS_OPEN;
    l->since_us = clock_now().mono_us;
    l->peer.secure = true;
    l->peer.certified = tls_stream_certified(l->tls);
    l->on.front->open(l->on.front->ctx, pair[1], &l->peer, l->accepted_us);
    return true;
}

/* Plain text for the server, whose end may be closed already. */
static void hand_on(struct admin_tls_link *l, const uint8_t *data, size_t len)
{
    if (len > REQUEST_MAX - l->taken) {
        len = REQUEST_MAX - l->taken;
    }
    if (l->plain.fd < 0 || len == 0) {
        return;
    }
    l->taken += len;
    /* The socket's buffer takes more than a request may have; if it does not, nobody will read it
     * whole, and the server's deadline ends it. */
    (void)!send(l->plain.fd, data, len, MSG_NOSIGNAL);
}

static void note_failure(struct admin_tls_link *l)
{
    const enum reason reason = tls_stream_failure(l->tls);
    log_event(LOG_DEBUG, "admin_tls_failed", log_str("text", tls_stream_failure_text(l->tls)));
    if (l->state != ADMIN_TLS_SHAKING) {
        return;
    }
    count(l, reason == REASON_TLS_CLIENT_CERTIFICATE_REFUSED ||
                     reason == REASON_TLS_NO_CLIENT_CERTIFICATE
                 ? METRIC_ADMIN_CLOSED_CERTIFICATE
                 : METRIC_ADMIN_CLOSED_HANDSHAKE);
}

/* Everything that can be made of one chunk; false: dropped. */
static bool unseal(struct admin_tls_link *l, struct slice sealed)
{
    uint8_t plain[CHUNK];
    tls_stream_feed(l->tls, sealed);
    for (;;) {
        size_t len = 0;
        enum tls_outcome outcome = tls_stream_read(l->tls, plain, sizeof(plain), &len);
        if (l->state == ADMIN_TLS_SHAKING && tls_stream_established(l->tls) && !open_plain(l)) {
            secret_cleanse(plain, len);
            admin_tls_link_drop(l);
            return false;
        }
        switch (outcome) {
        case TLS_DATA:
            hand_on(l, plain, len);
            secret_cleanse(plain, len);
            break;
        case TLS_MORE:
            return flush(l);
        case TLS_CLOSED:
            l->client_done = true;
            if (l->plain.fd < 0) {
                admin_tls_link_drop(l);
                return false;
            }
            shutdown(l->plain.fd, SHUT_WR);
            return flush(l);
        case TLS_FAILED:
            note_failure(l);
            return end(l);
        }
    }
}

/* False: dropped. */
static bool hear(struct admin_tls_link *l)
{
    uint8_t chunk[CHUNK];
    for (int i = 0; i < CHUNKS_AT_ONCE && listens(l); i++) {
        ssize_t n = read(l->net.fd, chunk, sizeof(chunk));
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return true;
        }
        l->heard += n > 0 ? (size_t)n : 0;
        if (n <= 0 || l->heard > HEARD_MAX) {
            if (l->state == ADMIN_TLS_SHAKING) {
                count(l, METRIC_ADMIN_CLOSED_BROKEN);
            }
            admin_tls_link_drop(l);
            return false;
        }
        if (l->state <= ADMIN_TLS_OPEN && !unseal(l, slice_of(chunk, (size_t)n))) {
            return false;
        }
    }
    return true;
}

static void on_net(uv_poll_t *poll, int status, int events)
{
    struct admin_tls_link *l = poll->data;
    if (status < 0) {
        admin_tls_link_drop(l);
        return;
    }
    if ((events & UV_WRITABLE) && !flush(l)) {
        return;
    }
    if ((events & UV_READABLE) && !hear(l)) {
        return;
    }
    watch(l);
}

/* From the server: a part of its answer, or the end. */
static void on_plain(uv_poll_t *poll, int status, int events)
{
    struct admin_tls_link *l = poll->data;
    uint8_t chunk[2 * CHUNK];
    bool lives;
    if (status < 0) {
        /* A server that left input unread makes an error of its end, behind all that it wrote.
         * libuv has stopped to poll then. */
        l->plain.events = 0;
    }
    ssize_t n = read(l->plain.fd, chunk, sizeof(chunk));
    if (n < 0 && status >= 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n > 0) {
        if (!l->answering) {
            l->answering = true;
            l->since_us = clock_now().mono_us;
        }
        lives = tls_stream_write(l->tls, slice_of(chunk, (size_t)n)) == 0 ? flush(l) : end(l);
        secret_cleanse(chunk, (size_t)n);
    } else {
        lives = end(l);
    }
    if (lives) {
        watch(l);
    }
}

struct admin_tls_link *admin_tls_link_new(const struct admin_tls_link_on *on, int fd,
    const struct admin_peer *peer, const struct admin_tls_terms *terms, uint64_t now_us)
{
    struct admin_tls_link *l = calloc(1, sizeof(*l));
    if (!l) {
        close(fd);
        return NULL;
    }
    *l = (struct admin_tls_link){
        .on = *on, .peer = *peer, .since_us = now_us, .accepted_us = now_us};
    l->net.fd = fd;
    l->plain.fd = -1;
    const struct tls_stream_options options = {.context = terms->context,
        .client_certificate = terms->clients_known && terms->clients_required,
        .client_asked = terms->clients_known,
        .secrets = true,
        .send = on_sealed,
        .ctx = l};
    l->tls = tls_stream_new(&options);
    if (!l->tls || uv_poll_init(on->front->loop, &l->net.poll, fd) < 0) {
        tls_stream_free(l->tls);
        free(l);
        close(fd);
        return NULL;
    }
    l->net.poll.data = l;
    l->handles = 1;
    watch(l);
    return l;
}

enum admin_tls_state admin_tls_link_state(const struct admin_tls_link *l)
{
    return l->state;
}

const struct admin_peer *admin_tls_link_peer(const struct admin_tls_link *l)
{
    return &l->peer;
}

uint64_t admin_tls_link_since(const struct admin_tls_link *l)
{
    return l->since_us;
}

bool admin_tls_link_answering(const struct admin_tls_link *l)
{
    return l->answering;
}
