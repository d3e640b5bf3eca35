/*
 * Client certificates pass only if the chain ends at a configured self-signed authority, each
 * authority has a fresh revocation list that does not name the certificate below it, the leaf says
 * clientAuth in its extended key usage, and, where names are configured, one of its DNS names is
 * one of them. All of it is judged at every authentication: there is no resumption for such
 * connections (stream.c). Called by context.c, and by OpenSSL on workers.
 */
#include "tls/clients.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "tls/authorities.h"

struct tls_clients {
    X509_STORE *store;
    STACK_OF(X509_NAME) * authorities; /* what CertificateRequest names */
    char **names;
    size_t name_count;
};

static int copy_names(
    struct tls_clients *c, const struct tls_settings *settings, const struct tls_report *report)
{
    c->names = calloc(settings->client_name_count + 1, sizeof(c->names[0]));
    for (size_t i = 0; c->names && i < settings->client_name_count; i++) {
        /* OpenSSL takes no name, or one that begins with a dot, for many. */
        if (settings->client_names[i][0] == '\0' || settings->client_names[i][0] == '.')
            return tls_report_error(report, -EINVAL,
                "tls.client_names \"%s\": is no whole DNS name", settings->client_names[i]);
        c->names[i] = strdup(settings->client_names[i]);
        if (!c->names[i])
            return tls_report_error(report, -ENOMEM, "tls.client_names: out of memory");
        c->name_count++;
    }
    return c->names ? 0 : tls_report_error(report, -ENOMEM, "tls.client_names: out of memory");
}

static int fill(
    struct tls_clients *c, const struct tls_settings *settings, const struct tls_report *report)
{
    c->store = X509_STORE_new();
    c->authorities = sk_X509_NAME_new_null();
    if (!c->store || !c->authorities)
        return tls_report_error(report, -ENOMEM, "tls.client_ca: out of memory");
    struct tls_authorities known = {c->store, c->authorities};
    int result = tls_authorities_read(&known, "tls.client_ca", settings->client_ca, report);
    if (result == 0 && settings->client_crl_check) {
        tls_authorities_require_lists(&known);
        result = tls_authorities_read_lists(&known, "tls.client_crl", settings->client_crl, report);
    }
    return result < 0 ? result : copy_names(c, settings, report);
}

int tls_clients_new(
    struct tls_clients **out, const struct tls_settings *settings, const struct tls_report *report)
{
    if (settings->client_crl_check && !settings->client_crl)
        return tls_report_error(report, -EINVAL,
            "tls.client_ca %s: tls.client_crl is missing, and client_crl_check is on",
            settings->client_ca);
    struct tls_clients *c = calloc(1, sizeof(*c));
    if (!c)
        return tls_report_error(report, -ENOMEM, "tls.client_ca: out of memory");
    const int result = fill(c, settings, report);
    ERR_clear_error();
    if (result < 0) {
        tls_clients_free(c);
        return result;
    }
    *out = c;
    return 0;
}

void tls_clients_free(struct tls_clients *c)
{
    if (!c)
        return;
    X509_STORE_free(c->store);
    sk_X509_NAME_pop_free(c->authorities, X509_NAME_free);
    for (size_t i = 0; i < c->name_count; i++)
        free(c->names[i]);
    free(c->names);
    free(c);
}

static bool carries_a_name(const struct tls_clients *c, X509 *leaf)
{
    const unsigned flags =
        X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS;
    for (size_t i = 0; i < c->name_count; i++) {
        if (X509_check_host(leaf, c->names[i], strlen(c->names[i]), flags, NULL) == 1)
            return true;
    }
    return c->name_count == 0;
}

/*
 * The chain first, then what OpenSSL leaves open: a certificate without extended key usage passes
 * its purpose check, and one for any usage too. Here clientAuth must stand there by its name.
 */
static int verify(X509_STORE_CTX *store_ctx, void *clients)
{
    if (X509_verify_cert(store_ctx) != 1)
        return 0;
    X509 *leaf = X509_STORE_CTX_get0_cert(store_ctx);
    const uint32_t usage = X509_get_extended_key_usage(leaf);
    if (usage == UINT32_MAX || !(usage & XKU_SSL_CLIENT)) {
        X509_STORE_CTX_set_error(store_ctx, X509_V_ERR_INVALID_PURPOSE);
        return 0;
    }
    if (!carries_a_name(clients, leaf)) {
        X509_STORE_CTX_set_error(store_ctx, X509_V_ERR_HOSTNAME_MISMATCH);
        return 0;
    }
    return 1;
}

int tls_clients_apply(struct tls_clients *c, SSL_CTX *ssl_ctx)
{
    STACK_OF(X509_NAME) *authorities = SSL_dup_CA_list(c->authorities);
    if (!authorities)
        return -ENOMEM;
    SSL_CTX_set_client_CA_list(ssl_ctx, authorities);
    SSL_CTX_set1_cert_store(ssl_ctx, c->store);
    SSL_CTX_set_cert_verify_callback(ssl_ctx, verify, c);
    return 0;
}

const char *tls_clients_refusal(long verify_result)
{
    switch (verify_result) {
    case X509_V_ERR_CERT_REVOKED:
        return "revoked";
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return "expired";
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return "not yet valid";
    case X509_V_ERR_HOSTNAME_MISMATCH:
        return "wrong name: none of its names is in client_names";
    case X509_V_ERR_INVALID_PURPOSE:
        return "wrong extended key usage: not for client authentication";
    case X509_V_ERR_UNABLE_TO_GET_CRL:
        return "missing CRL: an authority of its chain has no list in client_crl";
    case X509_V_ERR_CRL_HAS_EXPIRED:
        return "stale CRL: the list of an authority of its chain has ended";
    case X509_V_ERR_CRL_NOT_YET_VALID:
        return "stale CRL: the list of an authority of its chain is not yet valid";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        return "unknown authority";
    default:
        return X509_verify_cert_error_string(verify_result);
    }
}
