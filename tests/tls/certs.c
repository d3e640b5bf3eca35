/* Made with OpenSSL's own functions: what a real authority would issue, and what none should. */
#include "tests/tls/certs.h"

#include <dirent.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition);                \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#define HOUR_S 3600
#define DAY_S  86400

static EVP_PKEY *make_key(enum test_key kind)
{
    switch (kind) {
    case TEST_KEY_P521:
        return EVP_EC_gen("P-521");
    case TEST_KEY_RSA_2048:
        return EVP_RSA_gen(2048);
    case TEST_KEY_RSA_1024:
        return EVP_RSA_gen(1024);
    case TEST_KEY_P256:
    default:
        return EVP_EC_gen("P-256");
    }
}

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509V3_set_ctx_nodb(&ctx);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    REQUIRE(extension && X509_add_ext(cert, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static void set_name(X509_NAME *name, const char *text)
{
    REQUIRE(X509_NAME_add_entry_by_txt(
                name, "CN", MBSTRING_UTF8, (const unsigned char *)text, -1, -1, 0) == 1);
}

struct test_identity test_identity_new(const struct test_certificate *form)
{
    struct test_identity made = {make_key(form->key), X509_new()};
    REQUIRE(made.key && made.cert);
    const struct test_identity *issuer = form->issuer ? form->issuer : &made;
    X509_set_version(made.cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(made.cert), form->serial ? form->serial : 1);
    X509_gmtime_adj(X509_getm_notBefore(made.cert), form->begins_s ? form->begins_s : -HOUR_S);
    X509_gmtime_adj(X509_getm_notAfter(made.cert), form->ends_s ? form->ends_s : DAY_S);
    set_name(X509_get_subject_name(made.cert), form->name);
    X509_set_issuer_name(made.cert, X509_get_subject_name(issuer->cert));
    X509_set_pubkey(made.cert, made.key);
    add_extension(made.cert, issuer->cert, NID_basic_constraints,
        form->authority ? "critical,CA:TRUE" : "critical,CA:FALSE");
    add_extension(made.cert, issuer->cert, NID_subject_key_identifier, "hash");
    if (form->authority)
        add_extension(made.cert, issuer->cert, NID_key_usage, "critical,keyCertSign,cRLSign");
    if (form->san)
        add_extension(made.cert, issuer->cert, NID_subject_alt_name, form->san);
    if (form->usage)
        add_extension(made.cert, issuer->cert, NID_ext_key_usage, form->usage);
    REQUIRE(X509_sign(made.cert, issuer->key, EVP_sha256()) > 0);
    return made;
}

void test_identity_free(struct test_identity *identity)
{
    EVP_PKEY_free(identity->key);
    X509_free(identity->cert);
    *identity = (struct test_identity){0};
}

static void set_list_times(X509_CRL *list, const struct test_list *form)
{
    ASN1_TIME *time = ASN1_TIME_new();
    REQUIRE(time);
    X509_gmtime_adj(time, form->begins_s ? form->begins_s : -HOUR_S);
    X509_CRL_set1_lastUpdate(list, time);
    X509_gmtime_adj(time, form->ends_s ? form->ends_s : DAY_S);
    if (!form->endless)
        X509_CRL_set1_nextUpdate(list, time);
    ASN1_TIME_free(time);
}

static void list_serial(X509_CRL *list, long serial)
{
    X509_REVOKED *revoked = X509_REVOKED_new();
    ASN1_INTEGER *number = ASN1_INTEGER_new();
    ASN1_TIME *time = ASN1_TIME_new();
    REQUIRE(revoked && number && time);
    ASN1_INTEGER_set(number, serial);
    X509_gmtime_adj(time, -HOUR_S);
    X509_REVOKED_set_serialNumber(revoked, number);
    X509_REVOKED_set_revocationDate(revoked, time);
    REQUIRE(X509_CRL_add0_revoked(list, revoked) == 1);
    ASN1_INTEGER_free(number);
    ASN1_TIME_free(time);
}

X509_CRL *test_list_new(const struct test_list *form)
{
    X509_CRL *list = X509_CRL_new();
    REQUIRE(list);
    X509_CRL_set_version(list, X509_CRL_VERSION_2);
    X509_CRL_set_issuer_name(list, X509_get_subject_name(form->issuer->cert));
    set_list_times(list, form);
    if (form->revoked)
        list_serial(list, form->revoked);
    X509_CRL_sort(list);
    REQUIRE(X509_CRL_sign(list, form->issuer->key, EVP_sha256()) > 0);
    return list;
}

void test_folder_new(char *path, size_t cap)
{
    const char *base = getenv("TMPDIR");
    REQUIRE(snprintf(path, cap, "%s/turnpike-tls-XXXXXX", base ? base : "/tmp") < (int)cap);
    REQUIRE(mkdtemp(path));
}

void test_folder_remove(const char *path)
{
    DIR *folder = opendir(path);
    REQUIRE(folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        unlinkat(dirfd(folder), entry->d_name, 0);
    closedir(folder);
    REQUIRE(rmdir(path) == 0);
}

static FILE *open_file(const char *folder, const char *file, const char **path)
{
    static char paths[8][256];
    static unsigned next;
    char *text = paths[next++ % 8];
    REQUIRE(snprintf(text, sizeof(paths[0]), "%s/%s", folder, file) < (int)sizeof(paths[0]));
    FILE *opened = fopen(text, "a");
    REQUIRE(opened);
    *path = text;
    return opened;
}

const char *test_write_cert(const char *folder, const char *file, X509 *cert)
{
    const char *path;
    FILE *opened = open_file(folder, file, &path);
    REQUIRE(PEM_write_X509(opened, cert) == 1 && fclose(opened) == 0);
    return path;
}

const char *test_write_key(const char *folder, const char *file, EVP_PKEY *key, const char *phrase)
{
    const char *path;
    FILE *opened = open_file(folder, file, &path);
    REQUIRE(PEM_write_PKCS8PrivateKey(opened, key, phrase ? EVP_aes_256_cbc() : NULL, phrase,
                phrase ? (int)strlen(phrase) : 0, NULL, NULL) == 1);
    REQUIRE(fclose(opened) == 0);
    return path;
}

const char *test_write_list(const char *folder, const char *file, X509_CRL *list)
{
    const char *path;
    FILE *opened = open_file(folder, file, &path);
    REQUIRE(PEM_write_X509_CRL(opened, list) == 1 && fclose(opened) == 0);
    return path;
}

const char *test_write_text(const char *folder, const char *file, const char *text)
{
    const char *path;
    FILE *opened = open_file(folder, file, &path);
    REQUIRE(fputs(text, opened) >= 0 && fclose(opened) == 0);
    return path;
}
