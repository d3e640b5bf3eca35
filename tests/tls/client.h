/*
 * A server-side tls_stream and an OpenSSL client in one process, joined by memory. What the client
 * writes is handed over in pieces of any size.
 */
#ifndef TESTS_TLS_CLIENT_H
#define TESTS_TLS_CLIENT_H

#include <openssl/ssl.h>

#include "tests/tls/certs.h"
#include "tls/stream.h"

struct test_pair {
    SSL *client;
    BIO *to_client, *from_client; /* owned by the client */
    struct tls_stream *server;
    enum tls_outcome outcome; /* the server's last */
    uint8_t plain[65536];     /* what the server read */
    size_t plain_len;
    size_t piece;      /* bytes fed at once; 0: all there are */
    uint64_t sent_len; /* bytes the server sent */
};

/* A client context that accepts any certificate; `versions` as TLS1_2_VERSION, both ends. */
SSL_CTX *test_client_ctx(int min_version, int max_version);

void test_pair_init(struct test_pair *p, SSL_CTX *client, const struct tls_stream_options *options);
void test_pair_deinit(struct test_pair *p);

/* Lets both sides go on until neither has anything to say. True: both have completed. */
bool test_pair_handshake(struct test_pair *p);
/* Hands everything the client has written to the server, and lets it read. */
void test_pair_pump(struct test_pair *p);
/* The client says `text`; true if the server has read exactly that. */
bool test_pair_say(struct test_pair *p, const char *text);
/* What the client reads next; empty if nothing. Static. */
const char *test_pair_hear(struct test_pair *p);

#endif
