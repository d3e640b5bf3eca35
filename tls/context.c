/*
 * One SSL_CTX for TLS and one for DTLS, with the same certificates, tickets and policy. Nothing in
 * them changes once they are made. Built by control, used by the workers, freed by whoever lets go
 * last: a session that outlives a reload keeps its own.
 *
 * exception: RFC 8489 section 6.2.3 (TLS) and RFC 7350 section 3 (DTLS) want
 * TLS_DHE_RSA_WITH_AES_128_GCM_SHA256 as well. Every client of today has ECDHE; finite-field groups
 * cost the server much more and the attacker nothing.
 */
#include "tls/context.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "tls/context_internal.h"
#include "tls/rehearsal.h"
#include "tls/stream_internal.h"

/* AEAD and forward secrecy only; 128 bits first, because a relay's core is better spent on media.
 */
#define CIPHERS_1_2                                                                                \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"                                   \
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"                                   \
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define CIPHERS_1_3 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
/* P-256 is preferred; in TLS 1.3 OpenSSL takes the first share that the client sent, whichever of
 * these it is, rather than to ask for another one with a round trip. */
#define GROUPS            "P-256:X25519:P-384"
#define SECURITY_LEVEL    2
#define CERTIFICATES_MAX  (16 * 1024) /* bytes of a client's chain */
#define VERIFY_DEPTH      8
#define TICKETS_1_3       1
#define TICKET_SECRET_MIN 16
/* RFC 7443 section 1: what a client may offer; nothing is required of it. */
#define PROTOCOLS "\x09stun.turn\x12stun.nat-discovery"

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
    const unsigned char *offered, unsigned offered_len, void *arg)
{
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, out_len, (const unsigned char *)PROTOCOLS,
            sizeof(PROTOCOLS) - 1, offered, offered_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* An exact name goes before a wildcard, then the order of the settings. NULL: none covers it. */
static const struct tls_certificate *find_certificate(const struct tls_context *c, const char *name)
{
    for (int wildcards = 0; wildcards < 2; wildcards++) {
        for (size_t i = 0; i < c->certificate_count; i++) {
            if (tls_certificate_covers(&c->certificates[i], name, wildcards))
                return &c->certificates[i];
        }
    }
    return NULL;
}

/* RFC 6066 section 3 lets a server go on with another name; then the first certificate is shown. */
static int choose_certificate(SSL *ssl, int *alert, void *context)
{
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    const struct tls_certificate *found = name ? find_certificate(context, name) : NULL;
    if (!found)
        return SSL_TLSEXT_ERR_NOACK;
    SSL_certs_clear(ssl); /* else a key of another kind could be preferred to this one */
    if (SSL_use_cert_and_key(ssl, found->leaf, found->key, found->chain, 1) == 1)
        return SSL_TLSEXT_ERR_OK;
    *alert = SSL_AD_INTERNAL_ERROR;
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* exception: the time is read here. OpenSSL calls this from within a handshake, and judges the
 * session's age by its own clock anyway. */
static int handle_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
    EVP_MAC_CTX *mac, int seal)
{
    const struct tls_context *c = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    const struct tls_ticket_keys *keys = SSL_is_dtls(ssl) ? &c->dtls_tickets : &c->tls_tickets;
    const struct tls_ticket ticket = {name, iv, cipher, mac};
    const int64_t now_s = clock_now().wall_s;
    if (seal)
        return tls_ticket_seal(keys, &ticket, now_s);
    const int opened = tls_ticket_open(keys, &ticket, now_s);
    /* "Clients SHOULD NOT reuse a ticket for multiple connections" (RFC 8446 appendix C.4): one
     * that obeys has none left unless it is given another. */
    return opened == 1 && SSL_version(ssl) == TLS1_3_VERSION ? 2 : opened;
}

static bool set_policy(SSL_CTX *ctx, const char *session_context)
{
    SSL_CTX_set_security_level(ctx, SECURITY_LEVEL);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_timeout(ctx, TLS_TICKET_LIFETIME_S);
    SSL_CTX_set_max_cert_list(ctx, CERTIFICATES_MAX);
    SSL_CTX_set_verify_depth(ctx, VERIFY_DEPTH);
    return SSL_CTX_set_cipher_list(ctx, CIPHERS_1_2) == 1 &&
           SSL_CTX_set_ciphersuites(ctx, CIPHERS_1_3) == 1 &&
           SSL_CTX_set1_groups_list(ctx, GROUPS) == 1 &&
           SSL_CTX_set_num_tickets(ctx, TICKETS_1_3) == 1 &&
           SSL_CTX_set_max_early_data(ctx, 0) == 1 &&
           SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, handle_ticket) == 1 &&
           SSL_CTX_set_session_id_context(
               ctx, (const unsigned char *)session_context, (unsigned)strlen(session_context)) == 1;
}

/* What both kinds have in common. NULL: OpenSSL refused. */
static SSL_CTX *make_ctx(
    struct tls_context *c, const SSL_METHOD *method, const char *session_context)
{
    SSL_CTX *ctx = SSL_CTX_new(method);
    if (!ctx)
        return NULL;
    const struct tls_certificate *first = &c->certificates[0];
    SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
    SSL_CTX_set_tlsext_servername_callback(ctx, choose_certificate);
    SSL_CTX_set_tlsext_servername_arg(ctx, c);
    if (SSL_CTX_set_app_data(ctx, c) == 1 && set_policy(ctx, session_context) &&
        SSL_CTX_use_cert_and_key(ctx, first->leaf, first->key, first->chain, 1) == 1 &&
        (!c->clients || tls_clients_apply(c->clients, ctx) == 0))
        return ctx;
    SSL_CTX_free(ctx);
    return NULL;
}

static bool make_tls(struct tls_context *c, uint8_t min_version)
{
    c->tls = make_ctx(c, TLS_server_method(), "turnpike tls");
    c->stream_bio = tls_stream_bio_new();
    return c->tls && c->stream_bio &&
           SSL_CTX_set_min_proto_version(
               c->tls, min_version == TLS_VERSION_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION) == 1;
}

static bool make_dtls(struct tls_context *c)
{
    c->dtls = make_ctx(c, DTLS_server_method(), "turnpike dtls");
    c->datagram_bio = tls_datagram_bio_new();
    if (c->dtls)
        SSL_CTX_set_cookie_verify_cb(c->dtls, tls_datagram_cookie_verify);
    return c->dtls && c->datagram_bio &&
           SSL_CTX_set_min_proto_version(c->dtls, DTLS1_2_VERSION) == 1 &&
           SSL_CTX_set_max_proto_version(c->dtls, DTLS1_2_VERSION) == 1;
}

static int derive_keys(struct tls_context *c, struct slice secret, const struct tls_report *report)
{
    if (secret.len < TICKET_SECRET_MIN)
        return tls_report_error(report, -EINVAL, "tls: the secret of session tickets is too short");
    if (tls_ticket_keys_init(&c->tls_tickets, secret, "tls") < 0 ||
        tls_ticket_keys_init(&c->dtls_tickets, secret, "dtls") < 0 ||
        crypto_hkdf(secret, "turnpike dtls cookie", c->cookie_key, sizeof(c->cookie_key)) < 0)
        return tls_report_error(report, -ENOMEM, "tls: deriving keys failed");
    return 0;
}

static int read_certificates(
    struct tls_context *c, const struct tls_settings *settings, const struct tls_report *report)
{
    if (settings->certificate_count == 0)
        return tls_report_error(report, -EINVAL, "tls: no certificate is configured");
    c->certificates = calloc(settings->certificate_count, sizeof(c->certificates[0]));
    if (!c->certificates)
        return tls_report_error(report, -ENOMEM, "tls: out of memory");
    int result = 0;
    for (size_t i = 0; result == 0 && i < settings->certificate_count; i++) {
        result = tls_certificate_read(&c->certificates[i], &settings->certificates[i], report);
        if (result == 0)
            c->certificate_count++;
    }
    return result;
}

static int rehearse(struct tls_context *c, const struct tls_report *report)
{
    for (size_t i = 0; i < c->certificate_count; i++) {
        if (!tls_rehearse(c->tls, &c->certificates[i])) {
            const char *cause = ERR_reason_error_string(ERR_peek_error());
            ERR_clear_error();
            return tls_report_error(report, -EINVAL,
                "tls.cert %s: no client can complete a handshake with it: %s",
                c->certificates[i].file, cause ? cause : "out of memory");
        }
    }
    return 0;
}

static int fill(struct tls_context *c, const struct tls_settings *settings, struct slice secret,
    const struct tls_report *report)
{
    int result = derive_keys(c, secret, report);
    if (result == 0)
        result = read_certificates(c, settings, report);
    if (result == 0 && settings->client_ca)
        result = tls_clients_new(&c->clients, settings, report);
    if (result < 0)
        return result;
    ERR_clear_error();
    if (make_tls(c, settings->min_version) && make_dtls(c))
        return rehearse(c, report);
    const char *cause = ERR_reason_error_string(ERR_peek_error());
    ERR_clear_error();
    return tls_report_error(
        report, -ENOMEM, "tls: OpenSSL failed: %s", cause ? cause : "out of memory");
}

int tls_context_new(struct tls_context **out, const struct tls_settings *settings,
    struct slice ticket_secret, char *error, size_t error_cap)
{
    const struct tls_report report = {error, error_cap};
    struct tls_context *c = calloc(1, sizeof(*c));
    if (!c)
        return tls_report_error(&report, -ENOMEM, "tls: out of memory");
    atomic_init(&c->references, 1);
    const int result = fill(c, settings, ticket_secret, &report);
    if (result < 0) {
        tls_context_release(c);
        return result;
    }
    *out = c;
    return 0;
}

struct tls_context *tls_context_hold(struct tls_context *c)
{
    atomic_fetch_add_explicit(&c->references, 1, memory_order_relaxed);
    return c;
}

void tls_context_release(struct tls_context *c)
{
    if (!c || atomic_fetch_sub_explicit(&c->references, 1, memory_order_acq_rel) > 1)
        return;
    SSL_CTX_free(c->tls);
    SSL_CTX_free(c->dtls);
    BIO_meth_free(c->stream_bio);
    BIO_meth_free(c->datagram_bio);
    for (size_t i = 0; i < c->certificate_count; i++)
        tls_certificate_deinit(&c->certificates[i]);
    free(c->certificates);
    tls_clients_free(c->clients);
    tls_ticket_keys_deinit(&c->tls_tickets);
    tls_ticket_keys_deinit(&c->dtls_tickets);
    secret_cleanse(c->cookie_key, sizeof(c->cookie_key));
    free(c);
}

int64_t tls_context_expires_at(const struct tls_context *c)
{
    int64_t first = INT64_MAX;
    for (size_t i = 0; i < c->certificate_count; i++) {
        if (c->certificates[i].expires_at < first)
            first = c->certificates[i].expires_at;
    }
    return first;
}

bool tls_context_certificate(
    const struct tls_context *c, size_t n, struct tls_certificate_info *out)
{
    if (n >= c->certificate_count)
        return false;
    const struct tls_certificate *found = &c->certificates[n];
    *out =
        (struct tls_certificate_info){found->file, found->names, found->serial, found->expires_at};
    return true;
}

bool tls_context_knows_clients(const struct tls_context *c)
{
    return c->clients != NULL;
}
