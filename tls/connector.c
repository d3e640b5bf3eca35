/*
 * The client's half of TLS: one SSL_CTX that believes nobody unless every check passes. Called by
 * fleet/ on the control thread.
 */
#include "tls/connector.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "tls/authorities.h"
#include "tls/certificate.h"
#include "tls/stream_internal.h"

/* AEAD and forward secrecy only, as our own listeners. */
#define CIPHERS_1_2    "ECDHE+AESGCM:ECDHE+CHACHA20"
#define SECURITY_LEVEL 2
#define VERIFY_DEPTH   8

struct tls_connector {
    atomic_uint references;
    SSL_CTX *ssl_ctx;
    BIO_METHOD *bio;
    char *server_name; /* NULL: the host */
};

/* OpenSSL's purpose check passes a certificate without extended key usage, and one for any usage.
 * Here serverAuth must stand there by its name. */
static int verify(X509_STORE_CTX *store_ctx, void *arg)
{
    if (X509_verify_cert(store_ctx) != 1)
        return 0;
    const uint32_t usage = X509_get_extended_key_usage(X509_STORE_CTX_get0_cert(store_ctx));
    if (usage != UINT32_MAX && (usage & XKU_SSL_SERVER))
        return 1;
    X509_STORE_CTX_set_error(store_ctx, X509_V_ERR_INVALID_PURPOSE);
    return 0;
}

static bool set_policy(SSL_CTX *ctx)
{
    SSL_CTX_set_security_level(ctx, SECURITY_LEVEL);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_verify_depth(ctx, VERIFY_DEPTH);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(ctx, verify, NULL);
    return SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_cipher_list(ctx, CIPHERS_1_2) == 1;
}

static int read_authorities(struct tls_connector *c, const struct tls_connector_settings *settings,
    const struct tls_report *report)
{
    struct tls_authorities known = {SSL_CTX_get_cert_store(c->ssl_ctx), NULL};
    int result = 0;
    if (settings->ca)
        result = tls_authorities_read(&known, "tls.ca", settings->ca, report);
    else if (SSL_CTX_set_default_verify_paths(c->ssl_ctx) != 1)
        result = tls_report_error(report, -EINVAL, "tls.ca: the system has no authorities");
    if (result < 0 || !settings->crl)
        return result;
    tls_authorities_require_lists(&known);
    return tls_authorities_read_lists(&known, "tls.crl", settings->crl, report);
}

static int read_certificate(struct tls_connector *c, const struct tls_connector_settings *settings,
    const struct tls_report *report)
{
    if (!settings->cert && !settings->key)
        return 0;
    if (!settings->cert || !settings->key)
        return tls_report_error(
            report, -EINVAL, "tls.%s: is missing", settings->cert ? "key" : "cert");
    const struct tls_certificate_settings files = {settings->cert, settings->key};
    struct tls_certificate certificate;
    int result = tls_certificate_read(&certificate, &files, report);
    if (result < 0)
        return result;
    if (SSL_CTX_use_cert_and_key(
            c->ssl_ctx, certificate.leaf, certificate.key, certificate.chain, 1) != 1)
        result = tls_report_error(report, -EINVAL, "tls.cert %s: OpenSSL refused", settings->cert);
    tls_certificate_deinit(&certificate);
    return result;
}

static int fill(struct tls_connector *c, const struct tls_connector_settings *settings,
    const struct tls_report *report)
{
    c->ssl_ctx = SSL_CTX_new(TLS_client_method());
    c->bio = tls_stream_bio_new();
    if (settings->server_name)
        c->server_name = strdup(settings->server_name);
    if (!c->ssl_ctx || !c->bio || !set_policy(c->ssl_ctx) ||
        (settings->server_name && !c->server_name))
        return tls_report_error(report, -ENOMEM, "tls: out of memory");
    /* OpenSSL takes no name, or one that begins with a dot, for many. */
    if (c->server_name && (c->server_name[0] == '\0' || c->server_name[0] == '.'))
        return tls_report_error(report, -EINVAL, "tls.server_name: is no whole name");
    const int result = read_authorities(c, settings, report);
    return result < 0 ? result : read_certificate(c, settings, report);
}

/* The readers of tls/ say "tls.key file: cause". */
static void rename_section(const struct tls_connector_report *report, const char *line)
{
    const size_t own = strlen("tls");
    snprintf(report->error, report->error_cap, "%s%s", report->section, line + own);
}

int tls_connector_new(struct tls_connector **out, const struct tls_connector_settings *settings,
    const struct tls_connector_report *report)
{
    char line[512] = "tls: out of memory";
    const struct tls_report own = {line, sizeof(line)};
    struct tls_connector *c = calloc(1, sizeof(*c));
    int result = -ENOMEM;
    if (c) {
        atomic_init(&c->references, 1);
        ERR_clear_error();
        result = fill(c, settings, &own);
        ERR_clear_error();
    }
    if (result < 0) {
        tls_connector_release(c);
        rename_section(report, line);
        return result;
    }
    *out = c;
    return 0;
}

struct tls_connector *tls_connector_hold(struct tls_connector *c)
{
    atomic_fetch_add_explicit(&c->references, 1, memory_order_relaxed);
    return c;
}

void tls_connector_release(struct tls_connector *c)
{
    if (!c || atomic_fetch_sub_explicit(&c->references, 1, memory_order_acq_rel) > 1)
        return;
    SSL_CTX_free(c->ssl_ctx);
    BIO_meth_free(c->bio);
    free(c->server_name);
    free(c);
}

static void release(void *connector)
{
    tls_connector_release(connector);
}

static bool is_ip(const char *host)
{
    uint8_t ip[16];
    return inet_pton(AF_INET, host, ip) == 1 || inet_pton(AF_INET6, host, ip) == 1;
}

static bool expect(SSL *ssl, const char *name)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    if (is_ip(name))
        return X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1;
    X509_VERIFY_PARAM_set_hostflags(
        param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return name[0] != '\0' && name[0] != '.' &&
           X509_VERIFY_PARAM_set1_host(param, name, strlen(name)) == 1;
}

struct tls_stream *tls_connector_open(
    struct tls_connector *c, const struct tls_connection *connection)
{
    const char *name = c->server_name ? c->server_name : connection->host;
    struct tls_stream *s = tls_stream_make(&(struct tls_stream_parts){.ssl_ctx = c->ssl_ctx,
        .bio = c->bio,
        .send = connection->send,
        .ctx = connection->ctx,
        .owner = tls_connector_hold(c),
        .release = release});
    if (!s)
        return NULL;
    SSL *ssl = tls_stream_ssl(s);
    SSL_set_connect_state(ssl);
    /* RFC 6066 section 3: "Literal IPv4 and IPv6 addresses are not permitted in "HostName"." */
    const bool sni = is_ip(name) || SSL_set_tlsext_host_name(ssl, name) == 1;
    if (expect(ssl, name) && sni)
        return s;
    ERR_clear_error();
    tls_stream_free(s);
    return NULL;
}

const char *tls_connector_refusal(long verify_result)
{
    switch (verify_result) {
    case X509_V_ERR_CERT_REVOKED:
        return "the server's certificate is revoked";
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return "the server's certificate has expired";
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return "the server's certificate is not yet valid";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return "wrong name: the server's certificate is for another host";
    case X509_V_ERR_INVALID_PURPOSE:
        return "wrong extended key usage: the certificate is not for server authentication";
    case X509_V_ERR_UNABLE_TO_GET_CRL:
        return "missing CRL: an authority of the server's chain has no list in crl";
    case X509_V_ERR_CRL_HAS_EXPIRED:
        return "stale CRL: the list of an authority of the server's chain has ended";
    case X509_V_ERR_CRL_NOT_YET_VALID:
        return "stale CRL: the list of an authority of the server's chain is not yet valid";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        return "the server's certificate comes from an unknown authority";
    default:
        return X509_verify_cert_error_string(verify_result);
    }
}
