/* A certificate, a server's context and a client's: what tests of DTLS begin with. */
#ifndef TESTS_TLS_DTLS_SERVER_H
#define TESTS_TLS_DTLS_SERVER_H

#include "tests/tls/datagrams.h"
#include "tests/tls/server.h"

static struct test_server server;
static struct tls_context *context;
static SSL_CTX *client_ctx;

static inline int dtls_server_set_up(void **state)
{
    test_server_init(&server);
    context = test_server_context(&server, TEST_SECRET);
    client_ctx = test_dtls_client_ctx(DTLS1_2_VERSION);
    return 0;
}

static inline int dtls_server_tear_down(void **state)
{
    SSL_CTX_free(client_ctx);
    tls_context_release(context);
    test_server_deinit(&server);
    return 0;
}

#endif
