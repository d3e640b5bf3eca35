/*
 * RFC 6347 section 4.2.1 without OpenSSL: a ClientHello from an address that has proven nothing is
 * parsed where it lies and answered from a stack buffer, with one HMAC and no memory. The cookie
 * binds the client's address and port and the local ones. The answer is always shorter than the
 * shortest ClientHello that is answered. Called by dtls.c.
 */
#include "tls/cookie.h"

#include <errno.h>

#include "base/cursor.h"
#include "base/secret.h"

#define PERIOD_S             60
#define MAC_LEN              (DTLS_COOKIE_LEN - 1)
#define RECORD_HANDSHAKE     22
#define RECORD_HEADER_LEN    13
#define HANDSHAKE_HEADER_LEN 12
#define CLIENT_HELLO         1
#define HELLO_VERIFY_REQUEST 3
#define RANDOM_LEN           32
#define SESSION_ID_MAX       32
#define DTLS_MAJOR           0xfe
#define DTLS_1_0             0xfeff
#define CLIENT_HELLO_MIN     41 /* version, random, and each vector as short as it may be */

static uint32_t read_u24(struct cursor *c)
{
    const uint32_t high = cursor_u8(c);
    return high << 16 | cursor_u16(c);
}

/* The record's header: its body is the rest of the datagram. */
static bool parse_record(struct dtls_client_hello *hello, struct cursor *c)
{
    const uint8_t type = cursor_u8(c);
    const uint16_t version = cursor_u16(c);
    hello->sequence = cursor_u64(c);
    const uint16_t len = cursor_u16(c);
    return !c->failed && type == RECORD_HANDSHAKE && version >> 8 == DTLS_MAJOR &&
           hello->sequence >> 48 == 0 && len == cursor_left(c);
}

/* One ClientHello in one piece: putting pieces together would be state. */
static bool parse_handshake(struct cursor *c)
{
    const uint8_t type = cursor_u8(c);
    const uint32_t len = read_u24(c);
    cursor_skip(c, 2); /* message_seq: OpenSSL looks at it */
    const uint32_t offset = read_u24(c), fragment_len = read_u24(c);
    return !c->failed && type == CLIENT_HELLO && offset == 0 && fragment_len == len &&
           len == cursor_left(c) && len >= CLIENT_HELLO_MIN;
}

bool dtls_client_hello_parse(struct dtls_client_hello *out, struct slice datagram)
{
    struct cursor c;
    struct dtls_client_hello hello = {0};
    cursor_init(&c, datagram);
    if (datagram.len > DTLS_HELLO_MAX || !parse_record(&hello, &c) || !parse_handshake(&c))
        return false;
    const uint16_t version = cursor_u16(&c);
    cursor_skip(&c, RANDOM_LEN);
    const uint8_t session_id_len = cursor_u8(&c);
    cursor_skip(&c, session_id_len);
    const uint8_t cookie_len = cursor_u8(&c);
    hello.cookie = cursor_bytes(&c, cookie_len);
    if (c.failed || version >> 8 != DTLS_MAJOR || session_id_len > SESSION_ID_MAX)
        return false;
    *out = hello;
    return true;
}

static void write_addr(struct writer *w, const struct addr *addr)
{
    writer_u8(w, addr->family);
    writer_bytes(w, addr->ip, sizeof(addr->ip));
    writer_u16(w, addr->port);
}

/*
 * RFC 6347 section 4.2.1: "Cookie = HMAC(Secret, Client-IP, Client-Parameters)". The parameters are
 * the ports, the local address and the period; the rest of the hello may change without harm. The
 * IPv6 zone is left out: it names an interface of this instance, not the client.
 */
static int mac(
    uint8_t out[MAC_LEN], struct crypto *crypto, const struct dtls_cookie_input *in, int64_t period)
{
    uint8_t text[8 + 2 * (1 + 16 + 2)], full[CRYPTO_SHA256_LEN];
    struct writer w;
    writer_init(&w, text, sizeof(text));
    writer_u64(&w, (uint64_t)period);
    write_addr(&w, in->client);
    write_addr(&w, in->local);
    const struct slice part = slice_of(text, writer_len(&w));
    if (crypto_hmac(crypto, CRYPTO_SHA256, in->key, &part, 1, full) < 0)
        return -EIO;
    memcpy(out, full, MAC_LEN);
    return 0;
}

/* The period's low byte stands in front, so that one HMAC judges a cookie. */
int dtls_cookie_make(
    uint8_t out[DTLS_COOKIE_LEN], struct crypto *crypto, const struct dtls_cookie_input *in)
{
    const int64_t period = in->now_s / PERIOD_S;
    if (mac(out + 1, crypto, in, period) < 0)
        return -EIO;
    out[0] = (uint8_t)period;
    return 0;
}

bool dtls_cookie_verify(
    struct slice cookie, struct crypto *crypto, const struct dtls_cookie_input *in)
{
    if (cookie.len != DTLS_COOKIE_LEN)
        return false;
    const int64_t now = in->now_s / PERIOD_S;
    int64_t period = now - 1;
    while (period <= now + 1 && cookie.data[0] != (uint8_t)period)
        period++;
    uint8_t wanted[MAC_LEN];
    if (period > now + 1 || mac(wanted, crypto, in, period) < 0)
        return false;
    return secret_equal(slice_of(wanted, MAC_LEN), slice_of(cookie.data + 1, MAC_LEN));
}

static void write_u24(struct writer *w, uint32_t v)
{
    writer_u8(w, (uint8_t)(v >> 16));
    writer_u16(w, (uint16_t)v);
}

/*
 * RFC 6347 section 4.2.1: "the server MUST use the record sequence number in the ClientHello as the
 * record sequence number in the HelloVerifyRequest", so that answers need not be counted; and "DTLS
 * 1.2 server implementations SHOULD use DTLS version 1.0 regardless of the version of TLS that is
 * expected to be negotiated".
 */
void dtls_hello_verify_write(uint8_t out[DTLS_HELLO_VERIFY_LEN],
    const struct dtls_client_hello *hello, const uint8_t cookie[DTLS_COOKIE_LEN])
{
    const uint16_t body_len = 3 + DTLS_COOKIE_LEN;
    struct writer w;
    writer_init(&w, out, DTLS_HELLO_VERIFY_LEN);
    writer_u8(&w, RECORD_HANDSHAKE);
    writer_u16(&w, DTLS_1_0);
    writer_u64(&w, hello->sequence);
    writer_u16(&w, HANDSHAKE_HEADER_LEN + body_len);
    writer_u8(&w, HELLO_VERIFY_REQUEST);
    write_u24(&w, body_len);
    writer_u16(&w, 0);
    write_u24(&w, 0);
    write_u24(&w, body_len);
    writer_u16(&w, DTLS_1_0);
    writer_u8(&w, DTLS_COOKIE_LEN);
    writer_bytes(&w, cookie, DTLS_COOKIE_LEN);
}
