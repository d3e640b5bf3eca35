/* Connections are kept until the end, so that handles outlive their callbacks. */
#include "tests/fleet/fake_redis.h"

#include <stdlib.h>
#include <string.h>

#include "tests/fleet/servers.h"

#define CONNECTIONS_MAX 1024

struct client {
    uv_tcp_t tcp;
    struct fake_redis *fake;
    bool greeted;
};

struct fake_redis {
    uv_loop_t *loop;
    uv_tcp_t listener;
    uint16_t port;
    unsigned handles, count;
    uint64_t heard;
    struct slice greeting, answer;
    struct client *clients[CONNECTIONS_MAX];
};

static void on_closed(uv_handle_t *handle)
{
    struct fake_redis *f = handle->data;
    if (--f->handles > 0)
        return;
    for (unsigned i = 0; i < f->count; i++)
        free(f->clients[i]);
    free(f);
}

static void close_handle(uv_handle_t *handle)
{
    if (!uv_is_closing(handle))
        uv_close(handle, on_closed);
}

static void on_written(uv_write_t *write, int status)
{
    free(write);
}

static void say(struct client *c, struct slice bytes)
{
    if (bytes.len == 0 || uv_is_closing((uv_handle_t *)&c->tcp))
        return;
    uv_write_t *write = malloc(sizeof(*write) + bytes.len);
    memcpy(write + 1, bytes.data, bytes.len);
    const uv_buf_t buf = uv_buf_init((char *)(write + 1), (unsigned)bytes.len);
    if (uv_write(write, (uv_stream_t *)&c->tcp, &buf, 1, on_written) < 0)
        free(write);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    static char data[65536];
    *buf = uv_buf_init(data, sizeof(data));
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
    struct client *c = (struct client *)stream;
    if (len < 0) {
        close_handle((uv_handle_t *)stream);
        return;
    }
    c->fake->heard += (uint64_t)len;
    say(c, c->greeted ? c->fake->answer : c->fake->greeting);
    c->greeted = true;
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct fake_redis *f = listener->data;
    if (status < 0 || f->count == CONNECTIONS_MAX)
        abort();
    struct client *c = calloc(1, sizeof(*c));
    f->clients[f->count++] = c;
    f->handles++;
    c->fake = f;
    uv_tcp_init(f->loop, &c->tcp);
    c->tcp.data = f;
    uv_accept(listener, (uv_stream_t *)&c->tcp);
    uv_tcp_nodelay(&c->tcp, 1); /* replies of two turns shall not wait for each other */
    uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
}

struct fake_redis *fake_redis_new(uv_loop_t *loop)
{
    struct fake_redis *f = calloc(1, sizeof(*f));
    struct sockaddr_in sa;
    f->loop = loop;
    f->port = test_free_port();
    f->handles = 1;
    f->greeting = slice_of_string(FAKE_GREETING);
    uv_ip4_addr("127.0.0.1", f->port, &sa);
    uv_tcp_init(loop, &f->listener);
    f->listener.data = f;
    if (uv_tcp_bind(&f->listener, (struct sockaddr *)&sa, 0) < 0 ||
        uv_listen((uv_stream_t *)&f->listener, 64, on_connection) < 0)
        abort();
    return f;
}

void fake_redis_free(struct fake_redis *f)
{
    fake_redis_hang_up(f);
    close_handle((uv_handle_t *)&f->listener);
}

uint16_t fake_redis_port(const struct fake_redis *f)
{
    return f->port;
}

void fake_redis_greet(struct fake_redis *f, struct slice greeting)
{
    f->greeting = greeting;
}

void fake_redis_answer(struct fake_redis *f, struct slice answer)
{
    f->answer = answer;
}

void fake_redis_say(struct fake_redis *f, struct slice bytes)
{
    if (f->count > 0 && f->clients[f->count - 1]->greeted)
        say(f->clients[f->count - 1], bytes);
}

void fake_redis_hang_up(struct fake_redis *f)
{
    for (unsigned i = 0; i < f->count; i++)
        close_handle((uv_handle_t *)&f->clients[i]->tcp);
}

unsigned fake_redis_connections(const struct fake_redis *f)
{
    return f->count;
}

uint64_t fake_redis_heard(const struct fake_redis *f)
{
    return f->heard;
}
