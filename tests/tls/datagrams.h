/*
 * A DTLS client of OpenSSL and the server's half of tls/dtls.h in one process, joined by two queues
 * of datagrams that a test may drop from, repeat and turn round. OpenSSL's clock is the test's.
 */
#ifndef TESTS_TLS_DATAGRAMS_H
#define TESTS_TLS_DATAGRAMS_H

#include <openssl/ssl.h>

#include "tls/dtls.h"

#define TEST_QUEUE_MAX 64

struct test_datagram {
    uint8_t *data; /* owned, of exactly `len` */
    size_t len;
};

struct test_queue {
    struct test_datagram entry[TEST_QUEUE_MAX];
    size_t count;
    size_t pushed; /* since the beginning */
};

/* Each may be called with anything that was never pushed: nothing happens. */
void test_queue_push(struct test_queue *q, struct slice datagram);
struct test_datagram test_queue_take(struct test_queue *q, size_t n); /* now the caller's */
void test_queue_clear(struct test_queue *q);

struct test_dtls {
    SSL *client;
    struct test_queue to_client, to_server;
    struct dtls_listener *listener;
    struct tls_context *context;
    struct addr client_addr, local_addr;
    int64_t now_s;
    struct dtls_session *session;
    enum dtls_hello hello;    /* the last one's */
    enum tls_outcome outcome; /* the session's last */
    uint8_t plain[16384];     /* its last message */
    size_t plain_len;
    unsigned messages;
    size_t answered_len; /* the last datagram sent */
};

SSL_CTX *test_dtls_client_ctx(int version);
void test_dtls_init(struct test_dtls *t, SSL_CTX *client, struct tls_context *context);
void test_dtls_deinit(struct test_dtls *t);

/* Hands one datagram to the listener, or to the session there is, and reads all of it. */
void test_dtls_deliver(struct test_dtls *t, struct slice datagram);
/* Both sides go on until the queues are empty. */
void test_dtls_settle(struct test_dtls *t);
/* The same, with retransmissions when nothing moves. True: both have completed. */
bool test_dtls_handshake(struct test_dtls *t);
/* The client says `text`; true if the server read it as one message. */
bool test_dtls_say(struct test_dtls *t, struct slice text);
/* What the client reads next; its length, or 0. */
size_t test_dtls_hear(struct test_dtls *t, uint8_t *out, size_t cap);

/* OpenSSL's clock. */
void test_clock_advance(unsigned seconds);

#endif
