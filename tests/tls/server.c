/* What every test of tls/ starts from. */
#include "tests/tls/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct tls_certificate_settings write_files(
    const char *folder, const char *name, const struct test_identity *identity)
{
    char file[64];
    struct tls_certificate_settings files;
    snprintf(file, sizeof(file), "%s.pem", name);
    files.cert = strdup(test_write_cert(folder, file, identity->cert));
    snprintf(file, sizeof(file), "%s.key", name);
    files.key = strdup(test_write_key(folder, file, identity->key, NULL));
    return files;
}

void test_server_init(struct test_server *s)
{
    *s = (struct test_server){0};
    test_folder_new(s->folder, sizeof(s->folder));
    s->authority = test_identity_new(
        &(struct test_certificate){.name = "Authority", .authority = true, .serial = 1});
    s->first = test_identity_new(&(struct test_certificate){.issuer = &s->authority,
        .name = "first",
        .san = "DNS:turn.example,DNS:*.wild.example,IP:192.0.2.1",
        .usage = "serverAuth",
        .serial = 0xfeed});
    s->second = test_identity_new(&(struct test_certificate){.issuer = &s->authority,
        .name = "second",
        .san = "DNS:other.example,DNS:exact.wild.example",
        .usage = "serverAuth",
        .key = TEST_KEY_RSA_2048,
        .ends_s = 3600,
        .serial = 3});
    s->certificates[0] = write_files(s->folder, "first", &s->first);
    s->certificates[1] = write_files(s->folder, "second", &s->second);
    s->settings = (struct tls_settings){.certificates = s->certificates,
        .certificate_count = 2,
        .min_version = TLS_VERSION_1_2,
        .client_crl_check = true};
}

void test_server_deinit(struct test_server *s)
{
    for (size_t i = 0; i < 2; i++) {
        free(s->certificates[i].cert);
        free(s->certificates[i].key);
    }
    test_identity_free(&s->first);
    test_identity_free(&s->second);
    test_identity_free(&s->authority);
    test_folder_remove(s->folder);
}

struct tls_context *test_server_context(const struct test_server *s, const char *secret)
{
    char error[256];
    struct tls_context *made = NULL;
    if (tls_context_new(&made, &s->settings, slice_of_string(secret), error, sizeof(error)) == 0)
        return made;
    fprintf(stderr, "no context: %s\n", error);
    abort();
}
