/* One queue of chunks by the time they are due; a pair of sockets for each connection. */
#include "tests/fleet/slow_proxy.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tests/fleet/servers.h"

#define PAIRS_MAX 16

struct chunk {
    struct chunk *next;
    uint64_t due_us;
    uv_tcp_t *to;
    uv_write_t write;
    size_t len;
    char data[];
};

struct pair {
    struct slow_proxy *proxy;
    uv_tcp_t side[2]; /* the client, the server */
    uv_connect_t connect;
};

struct slow_proxy {
    uv_loop_t *loop;
    uv_tcp_t listener;
    uv_timer_t timer;
    uint16_t port, upstream;
    unsigned delay_ms, handles;
    struct chunk *first, **last;
    struct pair *pairs[PAIRS_MAX];
    unsigned pair_count;
};

static void on_closed(uv_handle_t *handle)
{
    struct slow_proxy *p = handle->data;
    if (--p->handles > 0)
        return;
    for (struct chunk *next; p->first; p->first = next) {
        next = p->first->next;
        free(p->first);
    }
    for (unsigned i = 0; i < p->pair_count; i++)
        free(p->pairs[i]);
    free(p);
}

static void close_handle(uv_handle_t *handle)
{
    if (!uv_is_closing(handle))
        uv_close(handle, on_closed);
}

static struct pair *pair_of(struct slow_proxy *p, const uv_tcp_t *side)
{
    for (unsigned i = 0; i < p->pair_count; i++) {
        if (side == &p->pairs[i]->side[0] || side == &p->pairs[i]->side[1])
            return p->pairs[i];
    }
    abort();
}

static void on_written(uv_write_t *write, int status)
{
    free(write->data);
}

static void on_timer(uv_timer_t *timer)
{
    struct slow_proxy *p = timer->data;
    while (p->first && p->first->due_us <= clock_now().mono_us) {
        struct chunk *c = p->first;
        const uv_buf_t buf = uv_buf_init(c->data, (unsigned)c->len);
        p->first = c->next;
        p->last = p->first ? p->last : &p->first;
        c->write.data = c;
        if (uv_is_closing((uv_handle_t *)c->to) ||
            uv_write(&c->write, (uv_stream_t *)c->to, &buf, 1, on_written) < 0)
            free(c);
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    static char data[65536];
    *buf = uv_buf_init(data, sizeof(data));
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
    struct slow_proxy *p = stream->data;
    struct pair *pair = pair_of(p, (uv_tcp_t *)stream);
    if (len < 0) {
        close_handle((uv_handle_t *)&pair->side[0]);
        close_handle((uv_handle_t *)&pair->side[1]);
        return;
    }
    struct chunk *c = calloc(1, sizeof(*c) + (size_t)len);
    c->due_us = clock_now().mono_us + p->delay_ms * US_PER_MS;
    c->to = &pair->side[(uv_tcp_t *)stream == &pair->side[0]];
    c->len = (size_t)len;
    memcpy(c->data, buf->base, c->len);
    *p->last = c;
    p->last = &c->next;
}

static void on_connected(uv_connect_t *connect, int status)
{
    struct pair *pair = connect->data;
    if (status < 0) {
        close_handle((uv_handle_t *)&pair->side[0]);
        close_handle((uv_handle_t *)&pair->side[1]);
        return;
    }
    uv_read_start((uv_stream_t *)&pair->side[0], on_alloc, on_read);
    uv_read_start((uv_stream_t *)&pair->side[1], on_alloc, on_read);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct slow_proxy *p = listener->data;
    if (status < 0 || p->pair_count == PAIRS_MAX)
        abort();
    struct pair *pair = calloc(1, sizeof(*pair));
    p->pairs[p->pair_count++] = pair;
    pair->proxy = p;
    for (unsigned i = 0; i < 2; i++) {
        uv_tcp_init(p->loop, &pair->side[i]);
        pair->side[i].data = p;
        p->handles++;
    }
    uv_accept(listener, (uv_stream_t *)&pair->side[0]);
    struct sockaddr_in to;
    uv_ip4_addr("127.0.0.1", p->upstream, &to);
    pair->connect.data = pair;
    uv_tcp_connect(&pair->connect, &pair->side[1], (struct sockaddr *)&to, on_connected);
}

struct slow_proxy *slow_proxy_new(uv_loop_t *loop, uint16_t upstream)
{
    struct slow_proxy *p = calloc(1, sizeof(*p));
    struct sockaddr_in sa;
    p->loop = loop;
    p->upstream = upstream;
    p->port = test_free_port();
    p->last = &p->first;
    p->handles = 2;
    uv_ip4_addr("127.0.0.1", p->port, &sa);
    uv_tcp_init(loop, &p->listener);
    uv_timer_init(loop, &p->timer);
    p->listener.data = p->timer.data = p;
    if (uv_tcp_bind(&p->listener, (struct sockaddr *)&sa, 0) < 0 ||
        uv_listen((uv_stream_t *)&p->listener, 16, on_connection) < 0)
        abort();
    uv_timer_start(&p->timer, on_timer, 1, 1);
    return p;
}

void slow_proxy_free(struct slow_proxy *p)
{
    close_handle((uv_handle_t *)&p->listener);
    close_handle((uv_handle_t *)&p->timer);
    for (unsigned i = 0; i < p->pair_count; i++) {
        close_handle((uv_handle_t *)&p->pairs[i]->side[0]);
        close_handle((uv_handle_t *)&p->pairs[i]->side[1]);
    }
}

uint16_t slow_proxy_port(const struct slow_proxy *p)
{
    return p->port;
}

void slow_proxy_delay(struct slow_proxy *p, unsigned ms)
{
    p->delay_ms = ms;
}
