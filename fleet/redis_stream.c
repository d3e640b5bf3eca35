/*
 * Each step is a callback of libuv that starts the next: lookup, one connect for each address, the
 * TLS handshake, open. One deadline timer serves connect and handshake. Once it has failed or was
 * closed, no hook is called any more, and the memory goes when the last handle is closed. Called by
 * redis_link.c.
 */
#include "fleet/redis_stream.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/container.h"
#include "fleet/redis_buffer.h"
#include "fleet/redis_url.h"

#define READ_MAX  (64u * 1024)
#define PLAIN_MAX (16u * 1024) /* one record */

enum phase { BEGINNING, LOOKING_UP, CONNECTING, SHAKING_HANDS, OPEN, CLOSED };

struct redis_stream {
    enum phase phase;
    uv_loop_t *loop;
    uv_timer_t deadline;
    uv_prepare_t flush;
    unsigned handles; /* that are not closed yet: these two and the socket */
    struct {
        uv_getaddrinfo_t request;
        bool running;
        struct addrinfo *list; /* owned */
        const struct addrinfo *next;
    } lookup;
    struct {
        union {
            uv_handle_t handle;
            uv_stream_t stream;
            uv_tcp_t tcp;
            uv_pipe_t pipe;
        } u;
        bool open;
        uv_connect_t connect;
        uv_write_t write;
        bool writing;
        uint64_t handed; /* bytes given to libuv */
        int error;       /* of the last address */
    } socket;
    struct {
        char path[REDIS_PATH_MAX + 1];
        char host[REDIS_HOST_MAX + 1];
        uint16_t port;
        uint32_t connect_ms, handshake_ms;
        struct tls_connector *connector; /* a reference, or NULL */
    } target;
    struct redis_stream_hooks hooks;
    struct tls_stream *tls;
    struct redis_buffer plain, sealed, leaving; /* to be sealed or sent; to be sent; being sent */
    bool out_of_memory;                         /* while something was sealed */
    char read[READ_MAX];
};

static void connect_next(struct redis_stream *s);
static void on_deadline(uv_timer_t *timer);

static void free_when_closed(struct redis_stream *s)
{
    if (s->phase != CLOSED || s->handles > 0 || s->lookup.running)
        return;
    uv_freeaddrinfo(s->lookup.list);
    tls_stream_free(s->tls);
    tls_connector_release(s->target.connector);
    redis_buffer_deinit(&s->plain);
    redis_buffer_deinit(&s->sealed);
    redis_buffer_deinit(&s->leaving);
    secret_cleanse(s->read, sizeof(s->read));
    free(s);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct redis_stream *s = handle->data;
    s->handles--;
    free_when_closed(s);
}

static void on_socket_closed(uv_handle_t *handle)
{
    struct redis_stream *s = handle->data;
    s->handles--;
    if (s->phase == CONNECTING)
        connect_next(s);
    else
        free_when_closed(s);
}

static void close_socket(struct redis_stream *s)
{
    if (!s->socket.open)
        return;
    s->socket.open = false;
    uv_close(&s->socket.u.handle, on_socket_closed);
}

void redis_stream_close(struct redis_stream *s)
{
    if (!s)
        return;
    s->phase = CLOSED;
    s->hooks = (struct redis_stream_hooks){0};
    if (s->lookup.running)
        uv_cancel((uv_req_t *)&s->lookup.request); /* fails once a thread is at it */
    close_socket(s);
    uv_close((uv_handle_t *)&s->deadline, on_handle_closed);
    uv_close((uv_handle_t *)&s->flush, on_handle_closed);
}

/* The owner's `closed` hook closes the stream. */
static void fail(struct redis_stream *s, const char *cause)
{
    if (s->phase == CLOSED)
        return;
    s->phase = CLOSED;
    s->hooks.closed(s->hooks.ctx, cause);
}

static void seal(struct redis_stream *s)
{
    if (s->tls && s->phase == OPEN && s->plain.len > 0) {
        if (tls_stream_write(s->tls, slice_of(s->plain.data, s->plain.len)) < 0)
            s->out_of_memory = true;
        redis_buffer_clear(&s->plain);
    }
}

static void on_flush(uv_prepare_t *prepare);

static void on_written(uv_write_t *request, int status)
{
    struct redis_stream *s = container_of(request, struct redis_stream, socket.write);
    s->socket.writing = false;
    redis_buffer_clear(&s->leaving);
    if (status < 0)
        fail(s, uv_strerror(status));
    else if (s->phase != CLOSED)
        on_flush(&s->flush);
}

static void on_flush(uv_prepare_t *prepare)
{
    struct redis_stream *s = container_of(prepare, struct redis_stream, flush);
    uv_prepare_stop(prepare);
    if (s->socket.writing || (s->phase != OPEN && s->phase != SHAKING_HANDS))
        return;
    seal(s);
    if (s->out_of_memory) {
        fail(s, "out of memory");
        return;
    }
    struct redis_buffer *next = s->tls ? &s->sealed : &s->plain;
    if (next->len == 0)
        return;
    const struct redis_buffer empty = s->leaving;
    s->leaving = *next;
    *next = empty;
    const uv_buf_t buf = uv_buf_init((char *)s->leaving.data, (unsigned)s->leaving.len);
    const int r = uv_write(&s->socket.write, &s->socket.u.stream, &buf, 1, on_written);
    if (r < 0) {
        fail(s, uv_strerror(r));
        return;
    }
    s->socket.writing = true;
    s->socket.handed += s->leaving.len;
}

static void send_sealed(void *stream, struct slice ciphertext)
{
    struct redis_stream *s = stream;
    if (redis_buffer_append(&s->sealed, ciphertext) < 0)
        s->out_of_memory = true;
    if (s->phase != CLOSED)
        uv_prepare_start(&s->flush, on_flush);
}

static void become_open(struct redis_stream *s)
{
    uv_timer_stop(&s->deadline);
    s->phase = OPEN;
    s->hooks.opened(s->hooks.ctx);
}

/* Everything that was fed: the handshake first, then records. */
static void read_tls(struct redis_stream *s, struct slice ciphertext)
{
    uint8_t plain[PLAIN_MAX];
    size_t len = 0;
    enum tls_outcome outcome;
    tls_stream_feed(s->tls, ciphertext);
    while ((outcome = tls_stream_read(s->tls, plain, sizeof(plain), &len)) == TLS_DATA) {
        if (s->phase == SHAKING_HANDS)
            become_open(s);
        if (s->phase == OPEN)
            s->hooks.received(s->hooks.ctx, slice_of(plain, len));
        if (s->phase != OPEN)
            break;
    }
    secret_cleanse(plain, sizeof(plain));
    if (outcome == TLS_FAILED)
        fail(s, tls_stream_failure_text(s->tls));
    else if (outcome == TLS_CLOSED)
        fail(s, "the server has ended TLS");
    else if (s->phase == SHAKING_HANDS && tls_stream_established(s->tls))
        become_open(s);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct redis_stream *s = handle->data;
    *buf = uv_buf_init(s->read, sizeof(s->read));
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
    struct redis_stream *s = stream->data;
    if (s->phase == CLOSED || len == 0)
        return;
    if (len == UV_EOF)
        fail(s, "the server has closed the connection");
    else if (len < 0)
        fail(s, uv_strerror((int)len));
    else if (s->tls)
        read_tls(s, slice_of(buf->base, (size_t)len));
    else
        s->hooks.received(s->hooks.ctx, slice_of(buf->base, (size_t)len));
    if (len > 0)
        secret_cleanse(s->read, (size_t)len); /* keys of users were in it */
}

static void start_tls(struct redis_stream *s)
{
    s->tls = tls_connector_open(s->target.connector,
        &(struct tls_connection){.host = s->target.host, .send = send_sealed, .ctx = s});
    if (!s->tls) {
        fail(s, "out of memory");
        return;
    }
    uv_timer_start(&s->deadline, on_deadline, s->target.handshake_ms, 0);
    s->phase = SHAKING_HANDS;
    read_tls(s, slice_of(NULL, 0)); /* sends the ClientHello */
}

static void on_connected(uv_connect_t *request, int status)
{
    struct redis_stream *s = container_of(request, struct redis_stream, socket.connect);
    if (s->phase != CONNECTING || !s->socket.open)
        return; /* the deadline or the owner was first */
    if (status == 0)
        status = uv_read_start(&s->socket.u.stream, on_alloc, on_read);
    if (status < 0) {
        s->socket.error = status;
        close_socket(s);
        return;
    }
    if (s->target.connector)
        start_tls(s);
    else
        become_open(s);
}

static void opened_socket(struct redis_stream *s)
{
    s->socket.u.handle.data = s;
    s->socket.open = true;
    s->handles++;
    uv_timer_start(&s->deadline, on_deadline, s->target.connect_ms, 0);
}

static void connect_tcp(struct redis_stream *s, const struct sockaddr *sa)
{
    int r = uv_tcp_init(s->loop, &s->socket.u.tcp);
    if (r < 0) {
        fail(s, uv_strerror(r));
        return;
    }
    opened_socket(s);
    uv_tcp_nodelay(&s->socket.u.tcp, 1);
    r = uv_tcp_connect(&s->socket.connect, &s->socket.u.tcp, sa, on_connected);
    if (r < 0) {
        s->socket.error = r;
        close_socket(s);
    }
}

static void connect_unix(struct redis_stream *s)
{
    const int r = uv_pipe_init(s->loop, &s->socket.u.pipe, 0);
    if (r < 0) {
        fail(s, uv_strerror(r));
        return;
    }
    opened_socket(s);
    uv_pipe_connect(&s->socket.connect, &s->socket.u.pipe, s->target.path, on_connected);
}

/* After the last address, or one that is the only one: what was wrong with it. */
static void connect_next(struct redis_stream *s)
{
    const struct addrinfo *next = s->lookup.next;
    if (!next) {
        fail(s, s->socket.error < 0 ? uv_strerror(s->socket.error) : "the name has no address");
        return;
    }
    s->lookup.next = next->ai_next;
    connect_tcp(s, next->ai_addr);
}

static void on_looked_up(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
    struct redis_stream *s = container_of(request, struct redis_stream, lookup.request);
    s->lookup.running = false;
    s->lookup.list = list;
    if (s->phase == CLOSED) {
        free_when_closed(s);
        return;
    }
    if (status < 0) {
        fail(s, uv_strerror(status));
        return;
    }
    s->lookup.next = list;
    s->phase = CONNECTING;
    connect_next(s);
}

static void look_up(struct redis_stream *s)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    char port[8];
    snprintf(port, sizeof(port), "%u", (unsigned)s->target.port);
    s->phase = LOOKING_UP;
    const int r =
        uv_getaddrinfo(s->loop, &s->lookup.request, on_looked_up, s->target.host, port, &hints);
    s->lookup.running = r == 0;
    if (r < 0)
        fail(s, uv_strerror(r));
}

static void begin(struct redis_stream *s)
{
    struct addr addr;
    struct sockaddr_storage sa;
    if (s->target.path[0] != '\0') {
        s->phase = CONNECTING;
        connect_unix(s);
        return;
    }
    if (addr_parse_ip(&addr, s->target.host) < 0) {
        look_up(s);
        return;
    }
    addr.port = s->target.port;
    addr_to_sockaddr(&addr, &sa);
    s->phase = CONNECTING;
    connect_tcp(s, (const struct sockaddr *)&sa);
}

static void on_deadline(uv_timer_t *timer)
{
    struct redis_stream *s = timer->data;
    if (s->phase == BEGINNING) {
        begin(s);
    } else if (s->phase == CONNECTING) {
        s->socket.error = UV_ETIMEDOUT;
        close_socket(s);
    } else if (s->phase == SHAKING_HANDS) {
        fail(s, "no TLS handshake before the deadline");
    }
}

struct redis_stream *redis_stream_new(uv_loop_t *loop, const struct redis_stream_options *options)
{
    struct redis_stream *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->loop = loop;
    s->hooks = options->hooks;
    snprintf(s->target.path, sizeof(s->target.path), "%s", options->path);
    snprintf(s->target.host, sizeof(s->target.host), "%s", options->host);
    s->target.port = options->port;
    s->target.connect_ms = options->connect_ms;
    s->target.handshake_ms = options->handshake_ms;
    if (options->connector)
        s->target.connector = tls_connector_hold(options->connector);
    uv_timer_init(loop, &s->deadline);
    uv_prepare_init(loop, &s->flush);
    s->deadline.data = s->flush.data = s;
    s->handles = 2;
    uv_timer_start(&s->deadline, on_deadline, 0, 0);
    return s;
}

int redis_stream_write(struct redis_stream *s, struct slice bytes)
{
    const int result = redis_buffer_append(&s->plain, bytes);
    if (result == 0 && s->phase == OPEN)
        uv_prepare_start(&s->flush, on_flush);
    return result;
}

static size_t unsent(const struct redis_stream *s)
{
    return s->socket.writing ? uv_stream_get_write_queue_size(&s->socket.u.stream) : 0;
}

void redis_stream_flush(struct redis_stream *s)
{
    on_flush(&s->flush);
}

size_t redis_stream_queued(const struct redis_stream *s)
{
    return s->plain.len + s->sealed.len + unsent(s);
}

uint64_t redis_stream_taken(const struct redis_stream *s)
{
    return s->socket.handed - unsent(s);
}

struct addr redis_stream_peer(const struct redis_stream *s)
{
    struct sockaddr_storage sa;
    int len = sizeof(sa);
    struct addr addr = {0};
    if (s->target.path[0] == '\0' && s->socket.open &&
        uv_tcp_getpeername(&s->socket.u.tcp, (struct sockaddr *)&sa, &len) == 0)
        addr_from_sockaddr(&addr, (const struct sockaddr *)&sa);
    return addr;
}
