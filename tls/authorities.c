/*
 * Whose certificates are believed, and which of them are revoked: read on the control thread, when
 * a context is made. Called by clients.c for those who come, by connector.c for those we go to.
 */
#include "tls/authorities.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdbool.h>

/* All blocks of a PEM file. NULL: reported, and *code is set. */
static STACK_OF(X509_INFO) *
    read_blocks(const char *key, const char *path, const struct tls_report *report, int *code)
{
    FILE *file = tls_report_open(report, key, path, code);
    if (!file)
        return NULL;
    ERR_clear_error();
    STACK_OF(X509_INFO) *blocks = PEM_X509_INFO_read(file, NULL, NULL, NULL);
    fclose(file);
    if (!blocks)
        *code = tls_report_error(report, -EINVAL, "%s %s: is no readable PEM file", key, path);
    return blocks;
}

static bool add_authority(struct tls_authorities *out, X509 *authority)
{
    if (X509_STORE_add_cert(out->store, authority) != 1)
        return false;
    if (!out->names)
        return true;
    X509_NAME *name = X509_NAME_dup(X509_get_subject_name(authority));
    if (name && sk_X509_NAME_push(out->names, name) > 0)
        return true;
    X509_NAME_free(name);
    return false;
}

int tls_authorities_read(
    struct tls_authorities *out, const char *key, const char *path, const struct tls_report *report)
{
    int result = 0;
    STACK_OF(X509_INFO) *blocks = read_blocks(key, path, report, &result);
    if (!blocks)
        return result;
    bool rooted = false;
    for (int i = 0; result == 0 && i < sk_X509_INFO_num(blocks); i++) {
        X509 *authority = sk_X509_INFO_value(blocks, i)->x509;
        if (authority && !add_authority(out, authority))
            result = tls_report_error(report, -ENOMEM, "%s %s: out of memory", key, path);
        rooted = rooted || (authority && X509_self_signed(authority, 0) == 1);
    }
    sk_X509_INFO_pop_free(blocks, X509_INFO_free);
    /* Chains are followed to their root: without one nobody would ever pass. */
    if (result == 0 && !rooted)
        result =
            tls_report_error(report, -EINVAL, "%s %s: holds no self-signed authority", key, path);
    return result;
}

int tls_authorities_read_lists(
    struct tls_authorities *out, const char *key, const char *path, const struct tls_report *report)
{
    int result = 0, count = 0;
    STACK_OF(X509_INFO) *blocks = read_blocks(key, path, report, &result);
    if (!blocks)
        return result;
    for (int i = 0; result == 0 && i < sk_X509_INFO_num(blocks); i++) {
        X509_CRL *list = sk_X509_INFO_value(blocks, i)->crl;
        if (!list)
            continue;
        count++;
        /* OpenSSL takes a list without nextUpdate as fresh for ever. RFC 5280 section 5.1.2.5:
         * "This profile requires inclusion of nextUpdate in all CRLs issued by conforming CRL
         * issuers." */
        if (!X509_CRL_get0_nextUpdate(list))
            result = tls_report_error(
                report, -EINVAL, "%s %s: holds a list that does not say when it ends", key, path);
        else if (X509_STORE_add_crl(out->store, list) != 1)
            result = tls_report_error(report, -ENOMEM, "%s %s: out of memory", key, path);
    }
    sk_X509_INFO_pop_free(blocks, X509_INFO_free);
    if (result == 0 && count == 0)
        result = tls_report_error(report, -EINVAL, "%s %s: holds no revocation list", key, path);
    return result;
}

void tls_authorities_require_lists(struct tls_authorities *a)
{
    X509_STORE_set_flags(a->store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
}
