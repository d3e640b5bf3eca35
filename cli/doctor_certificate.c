/*
 * What doctor knows of the certificates: whether they can be used, until when, and whether a client
 * would believe them, by the authorities of this machine. Called by doctor.c.
 */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/doctor.h"

struct pair {
    X509 *leaf;
    STACK_OF(X509) * chain;
    EVP_PKEY *key;
};

/* Nobody is asked for a pass phrase. */
static int no_phrase(char *buffer, int size, int writing, void *data)
{
    return 0;
}

static const char *read_chain(struct pair *p, const char *path)
{
    FILE *f = fopen(path, "r");
    if (!f) {
        return strerror(errno);
    }
    p->chain = sk_X509_new_null();
    p->leaf = PEM_read_X509(f, NULL, no_phrase, NULL);
    for (X509 *next; p->leaf && (next = PEM_read_X509(f, NULL, no_phrase, NULL));) {
        sk_X509_push(p->chain, next);
    }
    fclose(f);
    ERR_clear_error();
    return p->leaf ? NULL : "no certificate in PEM stands there";
}

static const char *read_key(struct pair *p, const char *path)
{
    FILE *f = fopen(path, "r");
    if (!f) {
        return errno == EACCES ? NULL : "its key cannot be opened";
    }
    p->key = PEM_read_PrivateKey(f, NULL, no_phrase, NULL);
    fclose(f);
    const bool fits = p->key && X509_check_private_key(p->leaf, p->key) == 1;
    ERR_clear_error();
    return !p->key ? "its key is no key in PEM without a pass phrase"
           : !fits ? "its key belongs to another certificate"
                   : NULL;
}

static int64_t seconds_of(const ASN1_TIME *time)
{
    struct tm tm;
    return ASN1_TIME_to_tm(time, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

/* Why a client would not believe it, or "". */
static const char *distrust(const struct pair *p, const char *ca)
{
    const char *why = "it could not be verified";
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    if (store && ctx && X509_STORE_set_default_paths(store) == 1 &&
        (!ca || X509_STORE_load_file(store, ca) == 1) &&
        X509_STORE_CTX_init(ctx, store, p->leaf, p->chain) == 1) {
        X509_STORE_CTX_set_purpose(ctx, X509_PURPOSE_SSL_SERVER);
        why = X509_verify_cert(ctx) == 1
                  ? ""
                  : X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx));
    }
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    ERR_clear_error();
    return why;
}

static void read_pair(struct doctor_certificate *out, const struct tls_certificate_settings *files,
    const char *ca, const char *name)
{
    struct pair p = {0};
    snprintf(out->file, sizeof(out->file), "%s", files->cert);
    const char *fault = read_chain(&p, files->cert);
    if (!fault) {
        fault = read_key(&p, files->key);
    }
    if (p.leaf) {
        out->begins = seconds_of(X509_get0_notBefore(p.leaf));
        out->ends = seconds_of(X509_get0_notAfter(p.leaf));
        out->named = name && (X509_check_host(p.leaf, name, 0, 0, NULL) == 1 ||
                                 X509_check_ip_asc(p.leaf, name, 0) == 1);
        snprintf(out->untrusted, sizeof(out->untrusted), "%s", distrust(&p, ca));
    }
    snprintf(out->fault, sizeof(out->fault), "%s", fault ? fault : "");
    EVP_PKEY_free(p.key);
    sk_X509_pop_free(p.chain, X509_free);
    X509_free(p.leaf);
}

void doctor_read_certificates(struct doctor_facts *f, const char *ca)
{
    for (size_t i = 0; f->config && i < f->config->tls.certificate_count; i++) {
        if (f->certificate_count == DOCTOR_CERTIFICATES_MAX) {
            return;
        }
        read_pair(
            &f->certificates[f->certificate_count++], &f->config->tls.certificates[i], ca, f->name);
    }
}
