/* The stateless half of DTLS: first ClientHellos, cookies, HelloVerifyRequest. Internal to tls/. */
#ifndef TLS_COOKIE_H
#define TLS_COOKIE_H

#include "base/addr.h"
#include "base/crypto.h"

#define DTLS_COOKIE_LEN       17
#define DTLS_HELLO_MAX        2048 /* bytes of a ClientHello's datagram */
#define DTLS_HELLO_VERIFY_LEN (13 + 12 + 3 + DTLS_COOKIE_LEN)

/* What is looked at before an address is proven; borrowed from the datagram. */
struct dtls_client_hello {
    uint64_t sequence;   /* epoch and sequence number of the record; the epoch is 0 */
    struct slice cookie; /* empty in the first one */
};

/* True if the datagram is one record with one whole ClientHello, and nothing else. */
bool dtls_client_hello_parse(struct dtls_client_hello *out, struct slice datagram);

struct dtls_cookie_input {
    struct slice key; /* 32 bytes */
    const struct addr *client, *local;
    int64_t now_s; /* seconds since the epoch */
};
/* 0 or -EIO. */
int dtls_cookie_make(
    uint8_t out[DTLS_COOKIE_LEN], struct crypto *crypto, const struct dtls_cookie_input *in);
/* True if it was made with that key for these addresses, in this period of 60 s, the one before, or
 * the one after (another instance's clock). */
bool dtls_cookie_verify(
    struct slice cookie, struct crypto *crypto, const struct dtls_cookie_input *in);

/* The answer to `hello` that carries the cookie. */
void dtls_hello_verify_write(uint8_t out[DTLS_HELLO_VERIFY_LEN],
    const struct dtls_client_hello *hello, const uint8_t cookie[DTLS_COOKIE_LEN]);

#endif
