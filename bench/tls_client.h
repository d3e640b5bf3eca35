/*
 * The client's side of TLS 1.3 and DTLS 1.2 over a link, by OpenSSL. One cipher and one curve, so
 * that every server does the same arithmetic. No certificate is verified: the generator measures
 * servers that were started for it, with a certificate made a moment ago.
 */
#ifndef BENCH_TLS_CLIENT_H
#define BENCH_TLS_CLIENT_H

#include "bench/link.h"

struct tls_client;  /* what all connections share */
struct tls_session; /* one connection */

/* For TLS (`stream`) or DTLS. NULL after one line on stderr. */
struct tls_client *tls_client_new(bool stream);
void tls_client_free(struct tls_client *t);

/* Over a link that is connected. With a `ticket` (borrowed, may be NULL) it asks to resume. NULL:
 * out of memory. `link` is borrowed and must outlive it. */
struct tls_ticket;
struct tls_session *tls_session_new(
    struct tls_client *t, struct link *link, const struct tls_ticket *ticket);
void tls_session_free(struct tls_session *s);

enum tls_step { TLS_STEP_DONE, TLS_STEP_MORE, TLS_STEP_ENDED };
/* Goes on with the handshake; DONE when it is complete on this side. */
enum tls_step tls_session_handshake(struct tls_session *s);
/* DONE: *len bytes of plain text are in `out`; of DTLS, one record. */
enum tls_step tls_session_read(struct tls_session *s, uint8_t *out, size_t cap, size_t *len);
/* One record. Only when the handshake is complete. */
void tls_session_write(struct tls_session *s, struct slice plain);
/* Sends close_notify. */
void tls_session_close(struct tls_session *s);
/* DTLS: sends a flight again whose time has come. */
void tls_session_tick(struct tls_session *s);

bool tls_session_resumed(const struct tls_session *s);
/* Takes the newest ticket out of the session, NULL when the server has sent none; owned by the
 * caller. */
struct tls_ticket *tls_session_take_ticket(struct tls_session *s);
void tls_ticket_free(struct tls_ticket *ticket);
/* Why a step said ENDED, for people; static. */
const char *tls_session_failure(void);

#endif
