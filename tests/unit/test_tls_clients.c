/* Client certificates: every check, both versions, and no way round them by resumption. */
#include "tls/clients.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include <stdlib.h>

#include "tests/tls/client.h"
#include "tests/tls/server.h"

#define REVOKED       66
#define MIDDLE_SERIAL 11

static struct test_server server;
static struct test_pair pair;
static struct test_identity authority, middle, other;
static char names[2][16] = {"alice.example", "bob.example"};
static char *name_list[2] = {names[0], names[1]};

/* Lists by what is wrong with them. */
enum list {
    FRESH,
    MISSING,
    STALE,
    EARLY,
    NO_MIDDLE,
    NO_ROOT,
    MIDDLE_REVOKED,
    UNCHECKED,
    LIST_COUNT
};
static struct tls_context *contexts[LIST_COUNT];

static struct test_list list_of(const struct test_identity *issuer, enum list kind)
{
    struct test_list form = {.issuer = issuer, .revoked = REVOKED};
    if (kind == STALE)
        form.ends_s = -60;
    if (kind == EARLY)
        form.begins_s = 600;
    return form;
}

static const char *write_list(const struct test_list *form, const char *file)
{
    X509_CRL *list = test_list_new(form);
    const char *path = test_write_list(server.folder, file, list);
    X509_CRL_free(list);
    return path;
}

static struct tls_context *make_context(enum list kind, const char *authorities)
{
    char file[32];
    snprintf(file, sizeof(file), "crl-%d.pem", kind);
    /* MISSING: a list, but of an authority that has issued nothing. */
    const bool stranger = kind == MISSING || kind == NO_ROOT;
    struct test_list form = list_of(stranger ? &other : &authority, kind);
    if (kind == MIDDLE_REVOKED)
        form.revoked = MIDDLE_SERIAL;
    const char *path = write_list(&form, file);
    if (kind != NO_MIDDLE && kind != MISSING) {
        form = list_of(&middle, kind);
        path = write_list(&form, file);
    }
    char *ca = strdup(authorities), *crl = strdup(path);
    server.settings.client_ca = ca;
    server.settings.client_crl = crl;
    server.settings.client_crl_check = kind != UNCHECKED;
    server.settings.client_names = name_list;
    server.settings.client_name_count = 2;
    struct tls_context *made = test_server_context(&server, TEST_SECRET);
    free(ca);
    free(crl);
    return made;
}

static int setup(void **state)
{
    test_server_init(&server);
    authority = test_identity_new(
        &(struct test_certificate){.name = "Clients", .authority = true, .serial = 10});
    middle = test_identity_new(&(struct test_certificate){
        .issuer = &authority, .name = "Middle", .authority = true, .serial = MIDDLE_SERIAL});
    other = test_identity_new(
        &(struct test_certificate){.name = "Stranger", .authority = true, .serial = 12});
    char *path = strdup(test_write_cert(server.folder, "clients.pem", authority.cert));
    for (int kind = 0; kind < LIST_COUNT; kind++)
        contexts[kind] = make_context((enum list)kind, path);
    free(path);
    return 0;
}

static int teardown(void **state)
{
    for (int kind = 0; kind < LIST_COUNT; kind++)
        tls_context_release(contexts[kind]);
    test_identity_free(&authority);
    test_identity_free(&middle);
    test_identity_free(&other);
    test_server_deinit(&server);
    return 0;
}

/* A connection of a client with that identity (NULL: none); true if it was let in. */
static bool connect_as(
    struct tls_context *context, int version, const struct test_identity *identity)
{
    const struct tls_stream_options o = {.context = context, .client_certificate = true};
    SSL_CTX *ctx = test_client_ctx(version, version);
    test_pair_init(&pair, ctx, &o);
    SSL_CTX_free(ctx);
    if (identity) {
        SSL_use_certificate(pair.client, identity->cert);
        SSL_use_PrivateKey(pair.client, identity->key);
        SSL_add1_chain_cert(pair.client, middle.cert);
    }
    const bool complete = test_pair_handshake(&pair);
    assert_int_equal(complete, pair.outcome != TLS_FAILED);
    return complete;
}

/* What differs from a good certificate: alice.example, clientAuth, below `middle`. */
struct row {
    const char *title;
    enum list list;
    const char *refusal; /* what its text begins with; NULL: let in */
    const char *san;     /* "": none */
    const char *usage;   /* "": none */
    long serial, begins_s, ends_s;
    const struct test_identity *issuer; /* &nobody: self-signed */
};
static const struct test_identity nobody;

static const char *either(const char *given, const char *good)
{
    return !given ? good : given[0] == '\0' ? NULL : given;
}

static struct test_identity identity_of(const struct row *row)
{
    return test_identity_new(
        &(struct test_certificate){.issuer = !row->issuer             ? &middle
                                             : row->issuer == &nobody ? NULL
                                                                      : row->issuer,
            .name = "alice.example",
            .san = either(row->san, "DNS:alice.example"),
            .usage = either(row->usage, "clientAuth"),
            .serial = row->serial ? row->serial : 20,
            .begins_s = row->begins_s,
            .ends_s = row->ends_s});
}

static void assert_row(const struct row *row)
{
    struct test_identity identity = identity_of(row);
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        const bool in = connect_as(contexts[row->list], version, &identity);
        const char *text = tls_stream_failure_text(pair.server);
        if (in != !row->refusal)
            fail_msg("%s: %s", row->title, in ? "was let in" : text);
        if (row->refusal && strncmp(text, row->refusal, strlen(row->refusal)) != 0)
            fail_msg("%s: %s", row->title, text);
        assert_int_equal(tls_stream_failure(pair.server),
            in ? REASON_NONE : REASON_TLS_CLIENT_CERTIFICATE_REFUSED);
        test_pair_deinit(&pair);
    }
    test_identity_free(&identity);
}

static void test_tls_clients_every_check_refuses_and_says_so(void **state)
{
    static const char *const usage = "wrong extended key usage", *const name = "wrong name";
    const struct row rows[] = {
        {.title = "valid"},
        {.title = "second name", .san = "DNS:x.example,DNS:bob.example"},
        {.title = "both usages", .usage = "serverAuth,clientAuth"},
        {.title = "unchecked", .list = UNCHECKED},
        {.title = "revoked unchecked", .list = UNCHECKED, .serial = REVOKED},
        {.title = "name unchecked", .list = UNCHECKED, .refusal = name, .san = "DNS:c.example"},
        {.title = "revoked", .refusal = "revoked", .serial = REVOKED},
        {.title = "expired", .refusal = "expired", .begins_s = -7200, .ends_s = -60},
        {.title = "not yet valid", .refusal = "not yet valid", .begins_s = 600},
        {.title = "wrong name", .refusal = name, .san = "DNS:carol.example"},
        {.title = "common name only", .refusal = name, .san = ""},
        {.title = "longer name", .refusal = name, .san = "DNS:alice.example.org"},
        {.title = "server", .refusal = usage, .usage = "serverAuth"},
        {.title = "no usage", .refusal = usage, .usage = ""},
        {.title = "any usage", .refusal = usage, .usage = "anyExtendedKeyUsage"},
        {.title = "missing lists", .list = MISSING, .refusal = "missing CRL"},
        {.title = "root's list missing", .list = NO_ROOT, .refusal = "missing CRL"},
        {.title = "authority revoked", .list = MIDDLE_REVOKED, .refusal = "revoked"},
        {.title = "one list missing", .list = NO_MIDDLE, .refusal = "missing CRL"},
        {.title = "stale lists", .list = STALE, .refusal = "stale CRL"},
        {.title = "early lists", .list = EARLY, .refusal = "stale CRL"},
        {.title = "self-signed", .refusal = "unknown authority", .issuer = &nobody},
        {.title = "other authority", .refusal = "unknown authority", .issuer = &other},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_row(&rows[i]);
}

static void test_tls_clients_none_shown_is_refused(void **state)
{
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        assert_false(connect_as(contexts[FRESH], version, NULL));
        assert_int_equal(tls_stream_failure(pair.server), REASON_TLS_NO_CLIENT_CERTIFICATE);
        test_pair_deinit(&pair);
    }
}

/* Authorities are what lets clients in: required without any, nobody comes in. */
static void test_tls_clients_unknown_to_the_context_are_all_refused(void **state)
{
    struct test_identity identity = identity_of(&(struct row){.title = "valid"});
    server.settings.client_ca = NULL;
    struct tls_context *plain = test_server_context(&server, TEST_SECRET);
    assert_false(tls_context_knows_clients(plain));
    assert_true(tls_context_knows_clients(contexts[FRESH]));
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        assert_false(connect_as(plain, version, &identity));
        test_pair_deinit(&pair);
    }
    tls_context_release(plain);
    test_identity_free(&identity);
}

static SSL_SESSION *session_of(const struct tls_stream_options *o, SSL_CTX *ctx)
{
    test_pair_init(&pair, ctx, o);
    assert_true(test_pair_handshake(&pair));
    assert_true(test_pair_say(&pair, "x"));
    SSL_SESSION *session = SSL_get1_session(pair.client);
    SSL_shutdown(pair.client);
    test_pair_deinit(&pair);
    return session;
}

/*
 * A session that was made with or without a certificate opens no connection that requires one, so
 * that each is judged by the lists of the day; and one that was made with it is not resumed
 * elsewhere either.
 */
static void test_tls_clients_no_session_replaces_a_certificate(void **state)
{
    struct test_identity identity = identity_of(&(struct row){.title = "valid"});
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        for (unsigned with = 0; with < 2; with++) {
            const struct tls_stream_options first = {
                .context = contexts[FRESH], .client_certificate = with == 1};
            const struct tls_stream_options strict = {
                .context = contexts[FRESH], .client_certificate = true};
            SSL_CTX *ctx = test_client_ctx(version, version);
            SSL_CTX_use_certificate(ctx, identity.cert);
            SSL_CTX_use_PrivateKey(ctx, identity.key);
            SSL_CTX_add1_chain_cert(ctx, middle.cert);
            SSL_SESSION *session = session_of(&first, ctx);
            if (with)
                assert_false(SSL_SESSION_has_ticket(session));
            SSL_CTX_free(ctx);
            ctx = test_client_ctx(version, version); /* has no certificate any more */
            test_pair_init(&pair, ctx, &strict);
            SSL_set_session(pair.client, session);
            assert_false(test_pair_handshake(&pair));
            assert_int_equal(tls_stream_failure(pair.server), REASON_TLS_NO_CLIENT_CERTIFICATE);
            assert_false(tls_stream_resumed(pair.server));
            test_pair_deinit(&pair);
            SSL_SESSION_free(session);
            SSL_CTX_free(ctx);
        }
    }
    test_identity_free(&identity);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tls_clients_every_check_refuses_and_says_so),
        cmocka_unit_test(test_tls_clients_none_shown_is_refused),
        cmocka_unit_test(test_tls_clients_unknown_to_the_context_are_all_refused),
        cmocka_unit_test(test_tls_clients_no_session_replaces_a_certificate),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
