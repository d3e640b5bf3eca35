/*
 * One TLS connection as a machine that turns bytes into bytes: what came from the socket goes in,
 * plain text comes out, and the other way round. No socket, no queue of its own. One thread. Made
 * here on the server's side, by tls/connector.h on the client's. No renegotiation. Read and write
 * buffers are given back while the connection is idle.
 */
#ifndef TLS_STREAM_H
#define TLS_STREAM_H

#include "base/counters.h"
#include "tls/context.h"

struct tls_stream;

/* Ciphertext to send, called from within read, write and close; bytes are valid during the
 * call. */
typedef void tls_stream_send_fn(void *ctx, struct slice ciphertext);

struct tls_stream_options {
    struct tls_context *context; /* a reference is taken */
    bool client_certificate;     /* required; only where tls_context_knows_clients */
    bool client_asked;           /* likewise: asked for. Who shows none comes in all the same, who
                                    shows one that is not good does not */
    bool secrets;                /* plain text is wiped in OpenSSL's buffers once it is read */
    tls_stream_send_fn *send;
    void *ctx;
};

/* NULL: out of memory. */
struct tls_stream *tls_stream_new(const struct tls_stream_options *options);
void tls_stream_free(struct tls_stream *s); /* sends nothing; NULL: nothing happens */

/*
 * Ciphertext as it arrived, any length, borrowed until everything has been read out of it: call
 * tls_stream_read until it says TLS_MORE before the next feed.
 */
void tls_stream_feed(struct tls_stream *s, struct slice ciphertext);

enum tls_outcome {
    TLS_DATA,   /* *len bytes of plain text were written */
    TLS_MORE,   /* everything fed is used up */
    TLS_CLOSED, /* the peer has ended the connection in order */
    TLS_FAILED  /* fatal; an alert may have been sent; see tls_stream_failure */
};
/* Goes on with the handshake, then reads plain text: at most `cap` (≥ 1) bytes into `out`. */
enum tls_outcome tls_stream_read(struct tls_stream *s, uint8_t *out, size_t cap, size_t *len);
bool tls_stream_established(const struct tls_stream *s); /* the handshake is complete */
/* The handshake is complete, and the client has shown a certificate that passed every check. */
bool tls_stream_certified(const struct tls_stream *s);
/* After TLS_MORE: the front of a record has come, and not the rest; some 17 kB are held for it. */
bool tls_stream_in_record(const struct tls_stream *s);
/* Seals plain text and hands it to `send` before it returns. Only when established. 0, or -EPIPE.
 */
int tls_stream_write(struct tls_stream *s, struct slice plain);
/* Sends close_notify where the handshake is complete. */
void tls_stream_close(struct tls_stream *s);

/* Why it failed: REASON_TLS_HANDSHAKE_FAILED, REASON_TLS_NO_CLIENT_CERTIFICATE,
 * REASON_TLS_CLIENT_CERTIFICATE_REFUSED (then the text says which check), REASON_TLS_FAILED. */
enum reason tls_stream_failure(const struct tls_stream *s);
/* One line for the log at debug level; static, nothing of the peer's; "" where nothing failed. */
const char *tls_stream_failure_text(const struct tls_stream *s);
/* For logs and tests: "TLSv1.3", and whether the session was resumed. */
const char *tls_stream_version(const struct tls_stream *s);
bool tls_stream_resumed(const struct tls_stream *s);

#endif
