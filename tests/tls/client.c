/* The client's half is OpenSSL's own, so that the server is judged by somebody else. */
#include "tests/tls/client.h"

#include <assert.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

SSL_CTX *test_client_ctx(int min_version, int max_version)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    /* So that versions that nobody should speak can be spoken. */
    SSL_CTX_set_security_level(ctx, 0);
    SSL_CTX_set_min_proto_version(ctx, min_version);
    SSL_CTX_set_max_proto_version(ctx, max_version);
    SSL_CTX_set_cipher_list(ctx, "ALL:@SECLEVEL=0");
    return ctx;
}

static void to_client(void *pair, struct slice ciphertext)
{
    struct test_pair *p = pair;
    p->sent_len += ciphertext.len;
    BIO_write(p->to_client, ciphertext.data, (int)ciphertext.len);
}

void test_pair_init(struct test_pair *p, SSL_CTX *client, const struct tls_stream_options *options)
{
    *p = (struct test_pair){.outcome = TLS_MORE};
    p->client = SSL_new(client);
    p->to_client = BIO_new(BIO_s_mem());
    p->from_client = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(p->to_client, -1);
    SSL_set_bio(p->client, p->to_client, p->from_client);
    SSL_set_connect_state(p->client);
    struct tls_stream_options mine = *options;
    mine.send = to_client;
    mine.ctx = p;
    p->server = tls_stream_new(&mine);
}

void test_pair_deinit(struct test_pair *p)
{
    SSL_free(p->client);
    tls_stream_free(p->server);
    ERR_clear_error();
}

static void read_all(struct test_pair *p)
{
    for (;;) {
        size_t len = 0;
        p->outcome = tls_stream_read(
            p->server, p->plain + p->plain_len, sizeof(p->plain) - p->plain_len, &len);
        if (p->outcome != TLS_DATA)
            return;
        p->plain_len += len;
    }
}

void test_pair_pump(struct test_pair *p)
{
    char *data;
    const long len = BIO_get_mem_data(p->from_client, &data);
    /* In memory of exactly its size, so that a sanitizer sees any byte read too far. */
    const size_t piece = p->piece ? p->piece : (size_t)len;
    for (size_t at = 0; at < (size_t)len && p->outcome != TLS_FAILED; at += piece) {
        const size_t n = (size_t)len - at < piece ? (size_t)len - at : piece;
        uint8_t *exact = malloc(n);
        memcpy(exact, data + at, n);
        tls_stream_feed(p->server, slice_of(exact, n));
        read_all(p);
        free(exact);
    }
    (void)BIO_reset(p->from_client);
}

bool test_pair_handshake(struct test_pair *p)
{
    int done = 0;
    for (unsigned turn = 0; turn < 8; turn++) {
        ERR_clear_error();
        done = SSL_do_handshake(p->client);
        test_pair_pump(p);
    }
    /* TLS 1.3: tickets, and the refusal of a certificate, come after the client has finished. */
    char byte;
    ERR_clear_error();
    const int read = SSL_peek(p->client, &byte, 1);
    const int error = SSL_get_error(p->client, read);
    return done == 1 && error == SSL_ERROR_WANT_READ && tls_stream_established(p->server);
}

bool test_pair_say(struct test_pair *p, const char *text)
{
    p->plain_len = 0;
    ERR_clear_error();
    if (SSL_write(p->client, text, (int)strlen(text)) != (int)strlen(text))
        return false;
    test_pair_pump(p);
    return p->plain_len == strlen(text) && memcmp(p->plain, text, p->plain_len) == 0;
}

const char *test_pair_hear(struct test_pair *p)
{
    static char text[65536];
    ERR_clear_error();
    const int len = SSL_read(p->client, text, sizeof(text) - 1);
    text[len > 0 ? len : 0] = '\0';
    return text;
}
