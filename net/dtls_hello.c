/*
 * ClientHellos: from nobody to a proven address to a session.
 *
 * Always: a source is judged before anything is computed for it; what it has not proven costs its
 * answer budget, and leaves nothing behind. A ClientHello ends nothing: on a 5-tuple that has a
 * session it draws a HelloVerifyRequest, or with a good cookie a pending session, as anywhere else.
 * Called by dtls_in.c.
 */
#include <string.h>

#include "net/dtls_client.h"

#define HANDSHAKE    22
#define CLIENT_HELLO 1
/* RFC 6347 sections 4.1 and 4.2.2: behind the headers of record and handshake message stand the
 * version and the random. */
#define MESSAGE_TYPE_AT DTLS_RECORD_HEADER
#define RANDOM_AT       (DTLS_RECORD_HEADER + 12 + 2)

bool dtls_hello_is(struct slice datagram)
{
    return datagram.len >= RANDOM_AT + DTLS_RANDOM_LEN && datagram.data[0] == HANDSHAKE &&
           datagram.data[3] == 0 && datagram.data[4] == 0 &&
           datagram.data[MESSAGE_TYPE_AT] == CLIENT_HELLO;
}

/* One ClientHello as it is worked on. */
struct hello {
    struct dtls_sessions *set;
    const struct udp_listener *l;
    const struct packet *p;
    struct dtls_client *client; /* made for it, linked nowhere yet */
    enum reason declined;
};

static void hello_send(void *ctx, struct slice datagram)
{
    const struct hello *h = ctx;
    dtls_out_datagram(h->set, h->l, &h->p->flow, datagram);
}

static bool hello_admit(void *ctx, bool proven)
{
    struct hello *h = ctx;
    const struct io_handlers *handlers = &h->set->io->handlers;
    if (proven) {
        /* One cookie serves for a minute or two, and many ClientHellos: each costs a signature. */
        if (!handlers->charge_handshake(handlers->ctx, &h->p->flow.remote, io_now(h->set->io))) {
            h->declined = REASON_HANDSHAKE_BUDGET;
            return false;
        }
        h->client = dtls_client_new(h->set, h->l, &h->p->flow, &h->declined);
        return h->client != NULL;
    }
    bool may = handlers->charge_answer(handlers->ctx, &h->p->flow.remote, io_now(h->set->io));
    h->declined = may ? REASON_NONE : REASON_ANSWER_BUDGET;
    return may;
}

static void hello_declined(const struct hello *h)
{
    struct counters *counters = h->set->io->counters;
    if (h->declined == REASON_ANSWER_BUDGET) {
        counters_drop(counters, REASON_ANSWER_BUDGET);
        return;
    }
    counters_add(counters, METRIC_CONSUMED, 1);
    counters_add(counters, METRIC_CONNECTIONS_DTLS, 1);
    counters_close(counters, h->declined);
    dtls_client_log_closed(&h->p->flow, h->declined);
}

static void hello_accepted(struct hello *h, struct dtls_session *tls)
{
    struct dtls_client *c = h->client;
    c->tls = tls; /* c was made before: NOLINT(clang-analyzer-core.NullDereference) */
    memcpy(c->random, h->p->bytes.data + RANDOM_AT, DTLS_RANDOM_LEN);
    dtls_session_bind(tls, dtls_out_send, c);
    dtls_client_begin(c);
}

static void hello_settle(struct hello *h, enum dtls_hello result, struct dtls_session *tls)
{
    struct counters *counters = h->set->io->counters;
    if (h->client && result != DTLS_HELLO_ACCEPTED) {
        dtls_client_discard(h->client);
    }
    switch (result) {
    case DTLS_HELLO_DROPPED:
        counters_drop(counters, REASON_DTLS_HELLO_MALFORMED);
        return;
    case DTLS_HELLO_DECLINED:
        hello_declined(h);
        return;
    case DTLS_HELLO_ANSWERED:
        counters_add(counters, METRIC_DTLS_COOKIES, 1);
        break;
    case DTLS_HELLO_REFUSED:
        counters_add(counters, METRIC_CONNECTIONS_DTLS, 1);
        counters_close(counters, REASON_TLS_HANDSHAKE_FAILED);
        dtls_client_log_closed(&h->p->flow, REASON_TLS_HANDSHAKE_FAILED);
        break;
    case DTLS_HELLO_ACCEPTED:
        hello_accepted(h, tls);
        break;
    }
    counters_add(counters, METRIC_CONSUMED, 1);
}

/*
 * "When responding to a HelloVerifyRequest, the client MUST use the same parameter values
 * (version, random, session_id, cipher_suites, compression_method) as it did in the original
 * ClientHello." (RFC 6347 section 4.2.1) So a random that is known is a repetition, or a late copy:
 * the flight that it asks for is repeated by the timer.
 */
static bool is_repetition(const struct dtls_client *c, const uint8_t *random)
{
    return c && memcmp(c->random, random, DTLS_RANDOM_LEN) == 0;
}

void dtls_hello_receive(struct dtls_sessions *set, const struct udp_listener *l,
    const struct packet *p, struct dtls_client *c)
{
    struct hello h = {.set = set, .l = l, .p = p};
    const struct io_handlers *handlers = &set->io->handlers;
    const uint8_t *random = p->bytes.data + RANDOM_AT;
    if (is_repetition(c, random) || (c && is_repetition(c->place.pending, random))) {
        counters_add(set->io->counters, METRIC_CONSUMED, 1);
        return;
    }
    enum reason refused = handlers->judge_source(handlers->ctx, &p->flow);
    if (refused) {
        counters_drop(set->io->counters, refused);
        return;
    }
    const struct dtls_hello_from from = {
        .datagram = p->bytes,
        .client = p->flow.remote,
        .local = p->flow.local,
        .now_s = io_now(set->io)->wall_s,
        .send = hello_send,
        .admit = hello_admit,
        .ctx = &h,
    };
    struct dtls_session *tls = NULL;
    set->out.tos = 0;
    enum dtls_hello result = dtls_listener_hello(set->listener, set->snapshot->tls, &from, &tls);
    hello_settle(&h, result, tls);
}
