/*
 * Reads what the server shows: a certificate, the chain behind it and its key. Whatever is wrong
 * with a file is found here, at the start or at a reload, and not by the first client. Called by
 * context.c.
 */
#include "tls/certificate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/secret.h"

#define NAMES_MAX 512

int64_t tls_time_of(const ASN1_TIME *time)
{
    struct tm tm;
    if (!time || ASN1_TIME_to_tm(time, &tm) != 1)
        return INT64_MIN;
    return (int64_t)timegm(&tm);
}

/* True when the last attempt to read found no further block, rather than a broken one. */
static bool at_end_of_pem(void)
{
    const unsigned long e = ERR_peek_last_error();
    return ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE;
}

static int read_chain(struct tls_certificate *c, BIO *bio, const struct tls_report *report)
{
    c->leaf = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    if (!c->leaf)
        return tls_report_error(report, -EINVAL, "tls.cert %s: %s", c->file,
            at_end_of_pem() ? "holds no PEM certificate" : "holds a broken certificate");
    c->chain = sk_X509_new_null();
    for (;;) {
        ERR_clear_error();
        X509 *next = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        if (!next && !at_end_of_pem())
            return tls_report_error(
                report, -EINVAL, "tls.cert %s: holds a broken certificate", c->file);
        if (!next)
            return 0;
        if (!c->chain || sk_X509_push(c->chain, next) == 0) {
            X509_free(next);
            return tls_report_error(report, -ENOMEM, "tls.cert %s: out of memory", c->file);
        }
    }
}

/* Nobody is there to be asked for a passphrase. */
static int passphrase(char *buf, int size, int rwflag, void *asked)
{
    *(bool *)asked = true;
    return -1;
}

static int read_key(struct tls_certificate *c, const char *path, const struct tls_report *report)
{
    int result = 0;
    FILE *file = tls_report_open(report, "tls.key", path, &result);
    if (!file)
        return result;
    bool asked = false;
    /* stdio would free its own buffer, the key's text in it, as it is. */
    char buffer[4096];
    setvbuf(file, buffer, _IOFBF, sizeof(buffer));
    c->key = PEM_read_PrivateKey(file, NULL, passphrase, &asked);
    fclose(file);
    secret_cleanse(buffer, sizeof(buffer));
    if (asked)
        return tls_report_error(report, -EINVAL, "tls.key %s: is encrypted", path);
    if (!c->key)
        return tls_report_error(
            report, -EINVAL, "tls.key %s: holds no readable PEM private key", path);
    if (X509_check_private_key(c->leaf, c->key) != 1)
        return tls_report_error(
            report, -EINVAL, "tls.key %s: does not match the certificate %s", path, c->file);
    return 0;
}

/* TLS 1.2 serves an elliptic key only on a curve that is among the groups (context.c). */
static bool curve_is_served(EVP_PKEY *key)
{
    char curve[32];
    if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC)
        return true;
    if (EVP_PKEY_get_group_name(key, curve, sizeof(curve), NULL) != 1)
        return false;
    return strcmp(curve, "prime256v1") == 0 || strcmp(curve, "secp384r1") == 0;
}

/* What a handshake would find out, on a context that is thrown away. */
static int check_strength(const struct tls_certificate *c, const struct tls_report *report)
{
    if (!curve_is_served(c->key))
        return tls_report_error(
            report, -EINVAL, "tls.cert %s: the key's curve is neither P-256 nor P-384", c->file);
    SSL_CTX *scratch = SSL_CTX_new(TLS_server_method());
    if (!scratch)
        return tls_report_error(report, -ENOMEM, "tls.cert %s: out of memory", c->file);
    SSL_CTX_set_security_level(scratch, 2);
    ERR_clear_error();
    int result = 0;
    if (SSL_CTX_use_cert_and_key(scratch, c->leaf, c->key, c->chain, 1) != 1) {
        const char *cause = ERR_reason_error_string(ERR_peek_error());
        result = tls_report_error(report, -EINVAL, "tls.cert %s: not strong enough: %s", c->file,
            cause ? cause : "refused by OpenSSL");
    }
    SSL_CTX_free(scratch);
    return result;
}

/* OpenSSL reads extensions once: where that failed, for want of memory too, every handshake with
 * the certificate would fail. */
static int check_extensions(const struct tls_certificate *c, const struct tls_report *report)
{
    const int chain = sk_X509_num(c->chain);
    for (int i = -1; i < chain; i++) {
        X509 *one = i < 0 ? c->leaf : sk_X509_value(c->chain, i);
        if (X509_get_extension_flags(one) & EXFLAG_INVALID)
            return tls_report_error(
                report, -EINVAL, "tls.cert %s: its extensions cannot be read", c->file);
    }
    return 0;
}

/* Appends a name, separated by ", ", with what is not printable as '?'. */
static void append_name(char *names, const uint8_t *name, int len)
{
    size_t used = strlen(names);
    if (len <= 0 || used + 2 + (size_t)len >= NAMES_MAX)
        return;
    if (used > 0) {
        names[used++] = ',';
        names[used++] = ' ';
    }
    for (int i = 0; i < len; i++)
        names[used++] = name[i] > 0x20 && name[i] < 0x7f ? (char)name[i] : '?';
    names[used] = '\0';
}

static void append_general_name(char *names, const GENERAL_NAME *general)
{
    int type;
    const ASN1_STRING *value = GENERAL_NAME_get0_value(general, &type);
    if (type == GEN_DNS) {
        append_name(names, ASN1_STRING_get0_data(value), ASN1_STRING_length(value));
    } else if (type == GEN_IPADD) {
        char text[INET6_ADDRSTRLEN];
        const int len = ASN1_STRING_length(value);
        if ((len == 4 || len == 16) && inet_ntop(len == 4 ? AF_INET : AF_INET6,
                                           ASN1_STRING_get0_data(value), text, sizeof(text)))
            append_name(names, (const uint8_t *)text, (int)strlen(text));
    }
}

static void describe_names(char names[NAMES_MAX], X509 *leaf)
{
    names[0] = '\0';
    GENERAL_NAMES *all = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(all); i++)
        append_general_name(names, sk_GENERAL_NAME_value(all, i));
    GENERAL_NAMES_free(all);
    char subject[NAMES_MAX / 2];
    if (names[0] == '\0' &&
        X509_NAME_oneline(X509_get_subject_name(leaf), subject, sizeof(subject)))
        append_name(names, (const uint8_t *)subject, (int)strlen(subject));
}

static char *describe_serial(X509 *leaf)
{
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(leaf), NULL);
    char *hex = number ? BN_bn2hex(number) : NULL;
    char *copy = hex ? strdup(hex) : NULL;
    OPENSSL_free(hex);
    BN_free(number);
    return copy;
}

static int describe(struct tls_certificate *c, const struct tls_report *report)
{
    char names[NAMES_MAX];
    describe_names(names, c->leaf);
    c->names = strdup(names);
    c->serial = describe_serial(c->leaf);
    c->expires_at = tls_time_of(X509_get0_notAfter(c->leaf));
    if (!c->names || !c->serial)
        return tls_report_error(report, -ENOMEM, "tls.cert %s: out of memory", c->file);
    if (c->expires_at == INT64_MIN)
        return tls_report_error(report, -EINVAL, "tls.cert %s: its end cannot be read", c->file);
    return 0;
}

static int read_files(struct tls_certificate *c, const struct tls_certificate_settings *settings,
    const struct tls_report *report)
{
    int result = 0;
    FILE *file = tls_report_open(report, "tls.cert", settings->cert, &result);
    if (!file)
        return result;
    BIO *bio = BIO_new_fp(file, BIO_CLOSE);
    if (!bio) {
        fclose(file);
        return tls_report_error(report, -ENOMEM, "tls.cert %s: out of memory", settings->cert);
    }
    result = read_chain(c, bio, report);
    BIO_free(bio);
    return result < 0 ? result : read_key(c, settings->key, report);
}

int tls_certificate_read(struct tls_certificate *out,
    const struct tls_certificate_settings *settings, const struct tls_report *report)
{
    struct tls_certificate c = {.file = strdup(settings->cert)};
    if (!c.file)
        return tls_report_error(report, -ENOMEM, "tls.cert %s: out of memory", settings->cert);
    ERR_clear_error();
    int result = read_files(&c, settings, report);
    if (result == 0)
        result = check_strength(&c, report);
    if (result == 0)
        result = check_extensions(&c, report);
    if (result == 0)
        result = describe(&c, report);
    ERR_clear_error();
    if (result < 0) {
        tls_certificate_deinit(&c);
        return result;
    }
    *out = c;
    return 0;
}

void tls_certificate_deinit(struct tls_certificate *c)
{
    X509_free(c->leaf);
    sk_X509_pop_free(c->chain, X509_free);
    EVP_PKEY_free(c->key);
    free(c->file);
    free(c->names);
    free(c->serial);
}

bool tls_certificate_covers(const struct tls_certificate *c, const char *name, bool wildcards)
{
    const unsigned flags = X509_CHECK_FLAG_NEVER_CHECK_SUBJECT |
                           X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                           (wildcards ? 0 : X509_CHECK_FLAG_NO_WILDCARDS);
    /* OpenSSL takes a name that begins with a dot for "any name below". */
    return name[0] != '.' && X509_check_host(c->leaf, name, strlen(name), flags, NULL) == 1;
}
