/*
 * DTLS 1.2 on UDP (RFC 7350, RFC 6347): a stateless cookie exchange, then one session a client,
 * datagrams in and datagrams out. Server side; no socket. One thread.
 */
#ifndef TLS_DTLS_H
#define TLS_DTLS_H

#include "base/addr.h"
#include "base/counters.h"
#include "tls/context.h"
#include "tls/stream.h"

/* One datagram to send to the client the call is about; bytes are valid during the call. */
typedef void dtls_send_fn(void *ctx, struct slice datagram);

/* Answers first ClientHellos; one a worker, reused for all clients. */
struct dtls_listener;
/* NULL: out of memory. */
struct dtls_listener *dtls_listener_new(void);
void dtls_listener_free(struct dtls_listener *l); /* NULL: nothing happens */

struct dtls_session;

/*
 * Asked before anything leaves or is kept: may this client be answered? `proven` false: a
 * HelloVerifyRequest is about to go to an address that has proven nothing; true: its cookie is
 * good, and a session is about to be made. False: nothing is sent.
 */
typedef bool dtls_admit_fn(void *ctx, bool proven);

struct dtls_hello_from {
    struct slice datagram;
    struct addr client, local;
    int64_t now_s;
    dtls_send_fn *send;
    dtls_admit_fn *admit; /* NULL: everyone may */
    void *ctx;            /* of both; for this call, and for the session until dtls_session_bind */
};

enum dtls_hello {
    DTLS_HELLO_ANSWERED, /* a HelloVerifyRequest was sent, at most as long as the ClientHello:
                            nothing is kept */
    DTLS_HELLO_DROPPED,  /* no ClientHello, or a malformed one: nothing sent */
    DTLS_HELLO_DECLINED, /* `admit` said no: nothing sent */
    DTLS_HELLO_REFUSED,  /* the cookie proves the client's address, but the handshake cannot be: an
                            alert was sent, nothing is kept: REASON_TLS_HANDSHAKE_FAILED */
    DTLS_HELLO_ACCEPTED  /* the cookie proves the client's address: *out is its session, and the
                            server's first flight has been sent */
};
/*
 * One datagram from an address without a session. The cookie is an HMAC over `client` (IP and
 * port), `local` and a time, so that it serves one address for a minute or two. *out is written
 * with DTLS_HELLO_ACCEPTED only (owned by the caller). `now_s`: seconds since the epoch.
 */
enum dtls_hello dtls_listener_hello(struct dtls_listener *l, struct tls_context *context,
    const struct dtls_hello_from *from, struct dtls_session **out);

/* From now on datagrams of this session go there. */
void dtls_session_bind(struct dtls_session *s, dtls_send_fn *send, void *ctx);
void dtls_session_free(struct dtls_session *s); /* sends nothing; NULL: nothing happens */

/*
 * One datagram of the session, then read: each TLS_DATA is one record, one message of the client.
 * What fails its tag, is replayed, malformed, or of the handshake and absurdly long, is dropped
 * inside and changes nothing; TLS_FAILED
 * comes only before the handshake is complete, or at a fatal alert that was authenticated. Call
 * read until it says TLS_MORE before the next feed; `cap` ≥ 16384, or messages come in parts.
 */
void dtls_session_feed(struct dtls_session *s, struct slice datagram);
enum tls_outcome dtls_session_read(struct dtls_session *s, uint8_t *out, size_t cap, size_t *len);
bool dtls_session_established(const struct dtls_session *s);
/* One message as one record in one datagram. 0; -EMSGSIZE over 16384 bytes; -ENOMEM, and nothing
 * was sent; -EPIPE before the handshake is complete, and after a failure or the end. */
int dtls_session_write(struct dtls_session *s, struct slice plain);
void dtls_session_close(struct dtls_session *s); /* sends close_notify */
/*
 * Retransmits a flight that is due. Returns the microseconds until it should be called again, or
 * UINT64_MAX. exception: OpenSSL reads its own clock here.
 */
uint64_t dtls_session_tick(struct dtls_session *s);
enum reason dtls_session_failure(const struct dtls_session *s);

#endif
