/* gettimeofday is defined here: the linker gives it to libssl too, whose timers are then ours. */
#include "tests/tls/datagrams.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <sys/time.h>

static struct timeval fake_time = {.tv_sec = 1000000};

int gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
    *tv = fake_time;
    return 0;
}

void test_clock_advance(unsigned seconds)
{
    fake_time.tv_sec += seconds;
}

void test_queue_push(struct test_queue *q, struct slice datagram)
{
    q->pushed++;
    if (q->count == TEST_QUEUE_MAX)
        return;
    struct test_datagram *entry = &q->entry[q->count++];
    entry->data = malloc(datagram.len ? datagram.len : 1);
    entry->len = datagram.len;
    if (datagram.len > 0)
        memcpy(entry->data, datagram.data, datagram.len);
}

struct test_datagram test_queue_take(struct test_queue *q, size_t n)
{
    if (n >= q->count)
        return (struct test_datagram){0};
    const struct test_datagram taken = q->entry[n];
    q->count--;
    memmove(&q->entry[n], &q->entry[n + 1], (q->count - n) * sizeof(q->entry[0]));
    return taken;
}

void test_queue_clear(struct test_queue *q)
{
    while (q->count > 0)
        free(test_queue_take(q, 0).data);
}

static int client_read(BIO *bio, char *out, int cap)
{
    struct test_dtls *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (t->to_client.count == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    const struct test_datagram d = test_queue_take(&t->to_client, 0);
    const int len = d.len < (size_t)cap ? (int)d.len : cap;
    memcpy(out, d.data, (size_t)len);
    free(d.data);
    return len;
}

static int client_write(BIO *bio, const char *data, int len)
{
    struct test_dtls *t = BIO_get_data(bio);
    test_queue_push(&t->to_server, slice_of(data, (size_t)len));
    return len;
}

static long client_ctrl(BIO *bio, int command, long number, void *pointer)
{
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO_METHOD *client_method(void)
{
    static BIO_METHOD *method;
    if (method)
        return method;
    method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "test datagrams");
    BIO_meth_set_read(method, client_read);
    BIO_meth_set_write(method, client_write);
    BIO_meth_set_ctrl(method, client_ctrl);
    return method;
}

SSL_CTX *test_dtls_client_ctx(int version)
{
    SSL_CTX *ctx = SSL_CTX_new(DTLS_client_method());
    SSL_CTX_set_security_level(ctx, 0);
    SSL_CTX_set_min_proto_version(ctx, version);
    SSL_CTX_set_max_proto_version(ctx, version);
    SSL_CTX_set_options(ctx, SSL_OP_NO_QUERY_MTU);
    return ctx;
}

void test_dtls_init(struct test_dtls *t, SSL_CTX *client, struct tls_context *context)
{
    *t = (struct test_dtls){.context = context,
        .client_addr = addr_ipv4(192, 0, 2, 7, 40000),
        .local_addr = addr_ipv4(198, 51, 100, 1, 5349),
        .now_s = 1700000000,
        .outcome = TLS_MORE};
    t->client = SSL_new(client);
    BIO *bio = BIO_new(client_method());
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(t->client, bio, bio);
    SSL_set_mtu(t->client, 1200);
    SSL_set_connect_state(t->client);
    t->listener = dtls_listener_new();
}

void test_dtls_deinit(struct test_dtls *t)
{
    SSL_free(t->client);
    dtls_session_free(t->session);
    dtls_listener_free(t->listener);
    test_queue_clear(&t->to_client);
    test_queue_clear(&t->to_server);
    ERR_clear_error();
}

static void to_client(void *test, struct slice datagram)
{
    struct test_dtls *t = test;
    t->answered_len = datagram.len;
    test_queue_push(&t->to_client, datagram);
}

static void read_all(struct test_dtls *t)
{
    for (;;) {
        size_t len = 0;
        t->outcome = dtls_session_read(t->session, t->plain, sizeof(t->plain), &len);
        if (t->outcome != TLS_DATA)
            return;
        t->plain_len = len;
        t->messages++;
    }
}

void test_dtls_deliver(struct test_dtls *t, struct slice datagram)
{
    if (t->session) {
        dtls_session_feed(t->session, datagram);
        read_all(t);
        return;
    }
    const struct dtls_hello_from from = {.datagram = datagram,
        .client = t->client_addr,
        .local = t->local_addr,
        .now_s = t->now_s,
        .send = to_client,
        .ctx = t};
    t->hello = dtls_listener_hello(t->listener, t->context, &from, &t->session);
    if (t->session)
        dtls_session_bind(t->session, to_client, t);
}

/* A handshake that goes on, or what the client is sent later; nothing that was said is read. */
static void step_client(struct test_dtls *t)
{
    ERR_clear_error();
    if (!SSL_is_init_finished(t->client)) {
        SSL_do_handshake(t->client);
        return;
    }
    uint8_t byte;
    SSL_peek(t->client, &byte, 1);
}

void test_dtls_settle(struct test_dtls *t)
{
    step_client(t);
    for (unsigned turn = 0; turn < 200 && (t->to_server.count || t->to_client.count); turn++) {
        if (t->to_server.count > 0) {
            const struct test_datagram d = test_queue_take(&t->to_server, 0);
            test_dtls_deliver(t, slice_of(d.data, d.len));
            free(d.data);
            continue;
        }
        step_client(t);
    }
}

static bool complete(const struct test_dtls *t)
{
    return SSL_is_init_finished(t->client) && t->session && dtls_session_established(t->session);
}

bool test_dtls_handshake(struct test_dtls *t)
{
    test_dtls_settle(t);
    for (unsigned turn = 0; turn < 6 && !complete(t); turn++) {
        test_clock_advance(70);
        ERR_clear_error();
        DTLSv1_handle_timeout(t->client);
        if (t->session)
            dtls_session_tick(t->session);
        test_dtls_settle(t);
    }
    return complete(t);
}

bool test_dtls_say(struct test_dtls *t, struct slice text)
{
    const unsigned before = t->messages;
    ERR_clear_error();
    if (SSL_write(t->client, text.data, (int)text.len) != (int)text.len)
        return false;
    test_dtls_settle(t);
    return t->messages == before + 1 && t->plain_len == text.len &&
           memcmp(t->plain, text.data, text.len) == 0;
}

size_t test_dtls_hear(struct test_dtls *t, uint8_t *out, size_t cap)
{
    ERR_clear_error();
    const int len = SSL_read(t->client, out, (int)cap);
    return len > 0 ? (size_t)len : 0;
}
