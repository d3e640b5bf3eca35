/* Certificates, keys and revocation lists made for one run of a test; nothing of it is kept. */
#ifndef TESTS_TLS_CERTS_H
#define TESTS_TLS_CERTS_H

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>

enum test_key { TEST_KEY_P256, TEST_KEY_P521, TEST_KEY_RSA_2048, TEST_KEY_RSA_1024 };

/* A certificate with its key: an authority, a server or a client. */
struct test_identity {
    EVP_PKEY *key;
    X509 *cert;
};

struct test_certificate {
    const struct test_identity *issuer; /* NULL: self-signed */
    const char *name;                   /* the subject's common name */
    const char *san;                    /* "DNS:a.example,DNS:*.b.example"; NULL: none */
    const char *usage;                  /* "clientAuth"; NULL: no extended key usage */
    bool authority;
    enum test_key key;
    long serial;
    long begins_s, ends_s; /* from now; ends_s 0: a day; begins_s 0: an hour ago */
};

/* Abort where OpenSSL fails. */
struct test_identity test_identity_new(const struct test_certificate *form);
void test_identity_free(struct test_identity *identity);

struct test_list {
    const struct test_identity *issuer;
    long revoked;          /* a serial; 0: none */
    long begins_s, ends_s; /* as above */
    bool endless;          /* no nextUpdate */
};
X509_CRL *test_list_new(const struct test_list *form);

/* A new folder for files, and its end with all that is in it. */
void test_folder_new(char *path, size_t cap);
void test_folder_remove(const char *path);

/* Each writes a PEM file (appending where it exists) and returns its path: static for eight calls.
 */
const char *test_write_cert(const char *folder, const char *file, X509 *cert);
const char *test_write_key(const char *folder, const char *file, EVP_PKEY *key, const char *phrase);
const char *test_write_list(const char *folder, const char *file, X509_CRL *list);
const char *test_write_text(const char *folder, const char *file, const char *text);

#endif
