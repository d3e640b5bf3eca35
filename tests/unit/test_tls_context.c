/* Files of certificates, keys, authorities and lists: what is wrong stops the start by its name. */
#include "tls/context.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/tls/server.h"
#include "tls/context_internal.h"

static struct test_server server;
static struct tls_settings settings;
static struct tls_certificate_settings certificate;
static char error[300];

static int setup(void **state)
{
    test_server_init(&server);
    return 0;
}

static int teardown(void **state)
{
    test_server_deinit(&server);
    return 0;
}

static int begin(void **state)
{
    settings = server.settings;
    certificate = server.certificates[0];
    settings.certificates = &certificate;
    settings.certificate_count = 1;
    return 0;
}

/* No context, one line that begins with `key` and `path` and says `cause`. */
static void assert_refused(int result, const char *key, const char *path, const char *cause)
{
    char line[300];
    struct tls_context *made = (struct tls_context *)(uintptr_t)1;
    snprintf(line, sizeof(line), "%s %s: %s", key, path, cause);
    error[0] = '\0';
    assert_int_equal(
        tls_context_new(&made, &settings, slice_of_string(TEST_SECRET), error, sizeof(error)),
        result);
    assert_string_equal(error, line);
    assert_ptr_equal(made, (struct tls_context *)(uintptr_t)1);
    struct tls_context *good = test_server_context(&server, TEST_SECRET);
    tls_context_release(good); /* nothing of the failure is left */
}

static char *missing(void)
{
    static char path[256];
    snprintf(path, sizeof(path), "%s/missing.pem", server.folder);
    return path;
}

static void test_tls_context_unreadable_files_are_named(void **state)
{
    certificate.cert = missing();
    assert_refused(-ENOENT, "tls.cert", missing(), "No such file or directory");
    certificate = server.certificates[0];
    certificate.key = missing();
    assert_refused(-ENOENT, "tls.key", missing(), "No such file or directory");
    certificate.key = server.folder;
    assert_refused(-EISDIR, "tls.key", server.folder, "Is a directory");
    certificate = server.certificates[0];
    certificate.cert = server.folder;
    assert_refused(-EISDIR, "tls.cert", server.folder, "Is a directory");
}

/* Nobody writes to it: a reader that waits would wait for good. */
static void test_tls_context_pipe_is_refused_at_once(void **state)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/pipe.pem", server.folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    certificate.cert = path;
    assert_refused(-EINVAL, "tls.cert", path, "not a regular file");
    certificate = server.certificates[0];
    certificate.key = path;
    assert_refused(-EINVAL, "tls.key", path, "not a regular file");
    unlink(path);
}

static void test_tls_context_broken_files_are_named(void **state)
{
    char *text = strdup(test_write_text(server.folder, "text.pem", "not a certificate\n"));
    char *empty = strdup(test_write_text(server.folder, "empty.pem", ""));
    char *broken = strdup(test_write_text(server.folder, "broken.pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"));
    char *bad_key = strdup(test_write_text(server.folder, "broken.key",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"));
    certificate.cert = text;
    assert_refused(-EINVAL, "tls.cert", text, "holds no PEM certificate");
    certificate.cert = empty;
    assert_refused(-EINVAL, "tls.cert", empty, "holds no PEM certificate");
    certificate.cert = broken;
    assert_refused(-EINVAL, "tls.cert", broken, "holds a broken certificate");
    test_write_cert(server.folder, "half.pem", server.first.cert);
    char *half = strdup(test_write_text(server.folder, "half.pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"));
    certificate.cert = half;
    assert_refused(-EINVAL, "tls.cert", half, "holds a broken certificate");
    certificate.cert = server.certificates[0].cert;
    certificate.key = text;
    assert_refused(-EINVAL, "tls.key", text, "holds no readable PEM private key");
    certificate.key = bad_key;
    assert_refused(-EINVAL, "tls.key", bad_key, "holds no readable PEM private key");
    free(text);
    free(empty);
    free(broken);
    free(bad_key);
    free(half);
}

static void test_tls_context_key_of_another_certificate_is_named(void **state)
{
    char cause[300];
    snprintf(cause, sizeof(cause), "does not match the certificate %s", certificate.cert);
    certificate.key = server.certificates[1].key;
    assert_refused(-EINVAL, "tls.key", certificate.key, cause);
    struct test_identity same_kind = test_identity_new(&(struct test_certificate){.name = "x"});
    char *key = strdup(test_write_key(server.folder, "other.key", same_kind.key, NULL));
    certificate.key = key;
    assert_refused(-EINVAL, "tls.key", key, cause);
    test_identity_free(&same_kind);
    free(key);
}

static void test_tls_context_encrypted_key_asks_nobody(void **state)
{
    char *key = strdup(test_write_key(server.folder, "locked.key", server.first.key, "phrase"));
    certificate.key = key;
    assert_refused(-EINVAL, "tls.key", key, "is encrypted");
    free(key);
}

static void refuse_key(enum test_key kind, const char *name, const char *cause)
{
    char file[32];
    struct test_identity weak =
        test_identity_new(&(struct test_certificate){.name = name, .key = kind});
    snprintf(file, sizeof(file), "%s.pem", name);
    char *cert = strdup(test_write_cert(server.folder, file, weak.cert));
    snprintf(file, sizeof(file), "%s.key", name);
    char *key = strdup(test_write_key(server.folder, file, weak.key, NULL));
    certificate = (struct tls_certificate_settings){cert, key};
    assert_refused(-EINVAL, "tls.cert", cert, cause);
    test_identity_free(&weak);
    free(cert);
    free(key);
}

static void test_tls_context_key_that_cannot_serve_is_named(void **state)
{
    refuse_key(TEST_KEY_RSA_1024, "rsa1024", "not strong enough: ee key too small");
    refuse_key(TEST_KEY_P521, "p521", "the key's curve is neither P-256 nor P-384");
}

static void test_tls_context_second_certificate_is_checked_too(void **state)
{
    struct tls_certificate_settings both[2] = {server.certificates[0], server.certificates[1]};
    both[1].key = missing();
    settings.certificates = both;
    settings.certificate_count = 2;
    assert_refused(-ENOENT, "tls.key", missing(), "No such file or directory");
}

static void test_tls_context_without_certificate_or_secret_is_refused(void **state)
{
    struct tls_context *made = NULL;
    settings.certificate_count = 0;
    assert_int_equal(
        tls_context_new(&made, &settings, slice_of_string(TEST_SECRET), error, sizeof(error)),
        -EINVAL);
    assert_string_equal(error, "tls: no certificate is configured");
    settings.certificate_count = 1;
    assert_int_equal(
        tls_context_new(&made, &settings, slice_of(TEST_SECRET, 15), error, sizeof(error)),
        -EINVAL);
    assert_string_equal(error, "tls: the secret of session tickets is too short");
    assert_null(made);
}

static void test_tls_context_bad_authorities_are_named(void **state)
{
    settings.client_crl_check = false;
    settings.client_ca = missing();
    assert_refused(-ENOENT, "tls.client_ca", missing(), "No such file or directory");
    char *none = strdup(test_write_text(server.folder, "none.pem", "nothing\n"));
    char *leaf = strdup(test_write_cert(server.folder, "leaf.pem", server.first.cert));
    settings.client_ca = none;
    assert_refused(-EINVAL, "tls.client_ca", none, "holds no self-signed authority");
    settings.client_ca = leaf;
    assert_refused(-EINVAL, "tls.client_ca", leaf, "holds no self-signed authority");
    free(none);
    free(leaf);
}

static void test_tls_context_bad_lists_are_named(void **state)
{
    char *ca = strdup(test_write_cert(server.folder, "ca.pem", server.authority.cert));
    X509_CRL *list =
        test_list_new(&(struct test_list){.issuer = &server.authority, .endless = true});
    char *endless = strdup(test_write_list(server.folder, "endless.pem", list));
    X509_CRL_free(list);
    settings.client_ca = ca;
    assert_refused(
        -EINVAL, "tls.client_ca", ca, "tls.client_crl is missing, and client_crl_check is on");
    settings.client_crl = missing();
    assert_refused(-ENOENT, "tls.client_crl", missing(), "No such file or directory");
    settings.client_crl = ca;
    assert_refused(-EINVAL, "tls.client_crl", ca, "holds no revocation list");
    settings.client_crl = endless;
    assert_refused(
        -EINVAL, "tls.client_crl", endless, "holds a list that does not say when it ends");
    free(ca);
    free(endless);
}

static void test_tls_context_bad_client_names_are_named(void **state)
{
    char *ca = strdup(test_write_cert(server.folder, "ca2.pem", server.authority.cert));
    char dotted[] = ".example", empty[] = "";
    char *list[1] = {dotted};
    settings.client_ca = ca;
    settings.client_crl_check = false;
    settings.client_names = list;
    settings.client_name_count = 1;
    assert_refused(-EINVAL, "tls.client_names", "\".example\"", "is no whole DNS name");
    list[0] = empty;
    assert_refused(-EINVAL, "tls.client_names", "\"\"", "is no whole DNS name");
    free(ca);
}

/* An idle connection keeps no record buffers of 16 KB each way. */
static void test_tls_context_connections_release_their_buffers(void **state)
{
    struct tls_context *c = test_server_context(&server, TEST_SECRET);
    assert_true(SSL_CTX_get_mode(c->tls) & SSL_MODE_RELEASE_BUFFERS);
    assert_true(SSL_CTX_get_options(c->tls) & SSL_OP_NO_COMPRESSION);
    assert_true(SSL_CTX_get_options(c->dtls) & SSL_OP_NO_COMPRESSION);
    tls_context_release(c);
}

static void test_tls_context_says_what_it_shows(void **state)
{
    struct tls_context *c = test_server_context(&server, TEST_SECRET);
    struct tls_certificate_info info = {0};
    assert_true(tls_context_certificate(c, 0, &info));
    assert_string_equal(info.file, server.certificates[0].cert);
    assert_string_equal(info.names, "turn.example, *.wild.example, 192.0.2.1");
    assert_string_equal(info.serial, "FEED");
    const int64_t in = info.expires_at - (int64_t)time(NULL);
    assert_true(in > 86000 && in <= 86400);
    assert_true(tls_context_certificate(c, 1, &info));
    assert_int_equal(tls_context_expires_at(c), info.expires_at); /* the second ends first */
    assert_false(tls_context_certificate(c, 2, &info));
    assert_false(tls_context_knows_clients(c));
    tls_context_release(c);
    tls_context_release(NULL);
}

static void test_tls_context_names_of_a_certificate_are_printable(void **state)
{
    struct test_identity odd = test_identity_new(&(struct test_certificate){
        .name = "a\nb\x1b[1m", .usage = "serverAuth", .begins_s = -7200, .ends_s = -60});
    char *cert = strdup(test_write_cert(server.folder, "odd.pem", odd.cert));
    char *key = strdup(test_write_key(server.folder, "odd.key", odd.key, NULL));
    certificate = (struct tls_certificate_settings){cert, key};
    struct tls_context *c = NULL;
    struct tls_certificate_info info = {0};
    assert_int_equal(
        tls_context_new(&c, &settings, slice_of_string(TEST_SECRET), error, sizeof(error)), 0);
    assert_true(tls_context_certificate(c, 0, &info));
    for (const char *p = info.names; *p; p++)
        assert_true(*p >= ' ' && *p < 0x7f);
    assert_true(info.expires_at < (int64_t)time(NULL)); /* ended already: no error */
    tls_context_release(c);
    test_identity_free(&odd);
    free(cert);
    free(key);
}

#define CASE(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_tls_context_unreadable_files_are_named),
        CASE(test_tls_context_pipe_is_refused_at_once),
        CASE(test_tls_context_broken_files_are_named),
        CASE(test_tls_context_key_of_another_certificate_is_named),
        CASE(test_tls_context_encrypted_key_asks_nobody),
        CASE(test_tls_context_key_that_cannot_serve_is_named),
        CASE(test_tls_context_second_certificate_is_checked_too),
        CASE(test_tls_context_without_certificate_or_secret_is_refused),
        CASE(test_tls_context_bad_authorities_are_named),
        CASE(test_tls_context_bad_lists_are_named),
        CASE(test_tls_context_bad_client_names_are_named),
        CASE(test_tls_context_connections_release_their_buffers),
        CASE(test_tls_context_says_what_it_shows),
        CASE(test_tls_context_names_of_a_certificate_are_printable),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
