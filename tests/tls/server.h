/* Settings, files and contexts of a server for one test. */
#ifndef TESTS_TLS_SERVER_H
#define TESTS_TLS_SERVER_H

#include "tests/tls/certs.h"
#include "tls/context.h"

#define TEST_SECRET "a secret of thirty-two bytes ..."

/*
 * An authority, and files of a server in a folder: "first" for turn.example and *.wild.example
 * (P-256), "second" for other.example and exact.wild.example (RSA). `settings` names both and no
 * clients; tests change it.
 */
struct test_server {
    char folder[200];
    struct test_identity authority, first, second;
    struct tls_certificate_settings certificates[2];
    struct tls_settings settings;
};
void test_server_init(struct test_server *s);
void test_server_deinit(struct test_server *s);

/* Aborts with the error's line where it cannot be made. */
struct tls_context *test_server_context(const struct test_server *s, const char *secret);

#endif
