/* Connections that we open, against OpenSSL's own server: whom they believe, and what they show. */
#include "tls/connector.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>

#include "tests/tls/certs.h"

#define REVOKED       66
#define MIDDLE_SERIAL 11

static char folder[200];
static struct test_identity authority, middle, other, good, client;

/* One connection: the server is OpenSSL's, joined by memory. */
static struct {
    SSL *server;
    BIO *to_server, *from_server;
    struct tls_stream *stream;
    enum tls_outcome outcome;
    char plain[256];
    size_t plain_len;
} pair;

static int setup(void **state)
{
    test_folder_new(folder, sizeof(folder));
    authority = test_identity_new(
        &(struct test_certificate){.name = "Servers", .authority = true, .serial = 10});
    middle = test_identity_new(&(struct test_certificate){
        .issuer = &authority, .name = "Middle", .authority = true, .serial = MIDDLE_SERIAL});
    other = test_identity_new(
        &(struct test_certificate){.name = "Stranger", .authority = true, .serial = 12});
    good = test_identity_new(&(struct test_certificate){.issuer = &middle,
        .name = "redis.example",
        .san = "DNS:redis.example,DNS:*.wild.example,IP:192.0.2.1,IP:2001:db8::1",
        .usage = "serverAuth",
        .serial = 2});
    client = test_identity_new(&(struct test_certificate){
        .issuer = &authority, .name = "turnpike", .usage = "clientAuth", .serial = 3});
    test_write_cert(folder, "ca.pem", authority.cert);
    test_write_cert(folder, "client.pem", client.cert);
    test_write_key(folder, "client.key", client.key, NULL);
    return 0;
}

static int teardown(void **state)
{
    struct test_identity *all[] = {&authority, &middle, &other, &good, &client};
    for (size_t i = 0; i < 5; i++)
        test_identity_free(all[i]);
    test_folder_remove(folder);
    return 0;
}

/* A path in the folder: static for eight calls. */
static char *in_folder(const char *file)
{
    static char paths[8][256];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof(paths[0]), "%s/%s", folder, file);
    return path;
}

static struct tls_connector *make(const struct tls_connector_settings *settings)
{
    char error[512] = "";
    struct tls_connector *made = NULL;
    const struct tls_connector_report report = {"redis.tls", error, sizeof(error)};
    if (tls_connector_new(&made, settings, &report) < 0)
        fail_msg("%s", error);
    return made;
}

static struct tls_connector *make_plain(void)
{
    return make(&(struct tls_connector_settings){.ca = in_folder("ca.pem")});
}

static void to_server(void *ctx, struct slice ciphertext)
{
    BIO_write(pair.to_server, ciphertext.data, (int)ciphertext.len);
}

static SSL_CTX *server_ctx(const struct test_identity *identity, int version)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_security_level(ctx, 0);
    SSL_CTX_set_min_proto_version(ctx, version);
    SSL_CTX_set_max_proto_version(ctx, version);
    SSL_CTX_set_cipher_list(ctx, "ALL:@SECLEVEL=0");
    SSL_CTX_use_certificate(ctx, identity->cert);
    SSL_CTX_use_PrivateKey(ctx, identity->key);
    SSL_CTX_add1_chain_cert(ctx, middle.cert);
    return ctx;
}

static void begin(struct tls_connector *connector, const char *host, SSL_CTX *ctx)
{
    memset(&pair, 0, sizeof(pair));
    pair.server = SSL_new(ctx);
    pair.to_server = BIO_new(BIO_s_mem());
    pair.from_server = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(pair.to_server, -1);
    SSL_set_bio(pair.server, pair.to_server, pair.from_server);
    SSL_set_accept_state(pair.server);
    SSL_CTX_free(ctx);
    pair.stream =
        tls_connector_open(connector, &(struct tls_connection){.host = host, .send = to_server});
    assert_non_null(pair.stream);
}

static void end(void)
{
    SSL_free(pair.server);
    tls_stream_free(pair.stream);
    ERR_clear_error();
}

static void read_all(void)
{
    size_t len = 0;
    while ((pair.outcome = tls_stream_read(pair.stream, (uint8_t *)pair.plain + pair.plain_len,
                sizeof(pair.plain) - pair.plain_len, &len)) == TLS_DATA)
        pair.plain_len += len;
}

static void pump(void)
{
    char *data;
    const long len = BIO_get_mem_data(pair.from_server, &data);
    uint8_t *exact = malloc(len > 0 ? (size_t)len : 1);
    if (len > 0)
        memcpy(exact, data, (size_t)len);
    tls_stream_feed(pair.stream, slice_of(exact, (size_t)len));
    read_all();
    free(exact);
    (void)BIO_reset(pair.from_server);
}

/* True: both have completed. */
static bool handshake(void)
{
    int done = 0;
    for (unsigned turn = 0; turn < 8 && pair.outcome != TLS_FAILED; turn++) {
        pump();
        ERR_clear_error();
        done = SSL_do_handshake(pair.server);
    }
    pump();
    return done == 1 && tls_stream_established(pair.stream) && pair.outcome == TLS_MORE;
}

/* Connects as `host`; NULL: completed, else what the stream says. Static. */
static const char *connect_to(
    struct tls_connector *connector, const char *host, const struct test_identity *identity)
{
    static char refusal[200];
    begin(connector, host, server_ctx(identity, TLS1_3_VERSION));
    const bool complete = handshake();
    assert_int_equal(complete, pair.outcome != TLS_FAILED);
    if (!complete)
        assert_int_equal(tls_stream_failure(pair.stream), REASON_TLS_HANDSHAKE_FAILED);
    snprintf(refusal, sizeof(refusal), "%s", tls_stream_failure_text(pair.stream));
    end();
    return complete ? NULL : refusal;
}

static void assert_refused(const char *refusal, const char *expected)
{
    if (!refusal || !strstr(refusal, expected))
        fail_msg("%s, not %s", refusal ? refusal : "let in", expected);
}

static void test_tls_connector_new_versions_carry_data_both_ways(void **state)
{
    struct tls_connector *connector = make_plain();
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        begin(connector, "redis.example", server_ctx(&good, version));
        assert_int_equal(tls_stream_write(pair.stream, slice_of_string("early")), -EPIPE);
        assert_true(handshake());
        assert_string_equal(
            SSL_get_servername(pair.server, TLSEXT_NAMETYPE_host_name), "redis.example");
        char heard[64];
        assert_int_equal(tls_stream_write(pair.stream, slice_of_string("PING\r\n")), 0);
        assert_int_equal(SSL_read(pair.server, heard, sizeof(heard)), 6);
        assert_memory_equal(heard, "PING\r\n", 6);
        assert_int_equal(SSL_write(pair.server, "+PONG\r\n", 7), 7);
        pump();
        assert_int_equal(pair.plain_len, 7);
        assert_memory_equal(pair.plain, "+PONG\r\n", 7);
        SSL_shutdown(pair.server);
        pump();
        assert_int_equal(pair.outcome, TLS_CLOSED);
        end();
    }
    tls_connector_release(connector);
}

static void test_tls_connector_old_versions_are_refused(void **state)
{
    struct tls_connector *connector = make_plain();
    begin(connector, "redis.example", server_ctx(&good, TLS1_1_VERSION));
    assert_false(handshake());
    end();
    tls_connector_release(connector);
}

static void test_tls_connector_names_and_addresses_are_checked(void **state)
{
    static const struct {
        const char *host;
        bool good;
    } row[] = {{"redis.example", true}, {"a.wild.example", true}, {"192.0.2.1", true},
        {"2001:db8::1", true}, {"REDIS.example", true}, {"other.example", false},
        {"wild.example", false}, {"a.b.wild.example", false}, {"192.0.2.2", false},
        {"2001:db8::2", false}, {"edis.example", false}};
    struct tls_connector *connector = make_plain();
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        const char *refusal = connect_to(connector, row[i].host, &good);
        if (row[i].good && refusal)
            fail_msg("%s: %s", row[i].host, refusal);
        if (!row[i].good)
            assert_refused(refusal, "wrong name");
    }
    assert_null(tls_connector_open(
        connector, &(struct tls_connection){.host = ".wild.example", .send = to_server}));
    assert_null(
        tls_connector_open(connector, &(struct tls_connection){.host = "", .send = to_server}));
    tls_connector_release(connector);
}

static void test_tls_connector_common_name_does_not_count(void **state)
{
    struct tls_connector *connector = make_plain();
    struct test_identity bare = test_identity_new(&(struct test_certificate){
        .issuer = &authority, .name = "redis.example", .usage = "serverAuth", .serial = 7});
    assert_refused(connect_to(connector, "redis.example", &bare), "wrong name");
    test_identity_free(&bare);
    tls_connector_release(connector);
}

static void test_tls_connector_configured_name_replaces_the_host(void **state)
{
    char name[] = "redis.example";
    struct tls_connector *connector =
        make(&(struct tls_connector_settings){.ca = in_folder("ca.pem"), .server_name = name});
    assert_null(connect_to(connector, "198.51.100.7", &good));
    tls_connector_release(connector);
}

static void test_tls_connector_certificates_that_do_not_fit_are_refused(void **state)
{
    const struct {
        const char *expected;
        struct test_certificate form;
    } row[] = {
        {"expired", {.issuer = &middle, .usage = "serverAuth", .begins_s = -7200, .ends_s = -60}},
        {"not yet valid", {.issuer = &middle, .usage = "serverAuth", .begins_s = 600}},
        {"wrong extended key usage", {.issuer = &middle, .usage = "clientAuth"}},
        {"wrong extended key usage", {.issuer = &middle}},
        {"wrong extended key usage", {.issuer = &middle, .usage = "anyExtendedKeyUsage"}},
        {"unknown authority", {.issuer = &other, .usage = "serverAuth"}},
        {"unknown authority", {.usage = "serverAuth"}},
        {"too weak", {.issuer = &middle, .usage = "serverAuth", .key = TEST_KEY_RSA_1024}},
    };
    struct tls_connector *connector = make_plain();
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        struct test_certificate form = row[i].form;
        form.name = "redis.example";
        form.san = "DNS:redis.example";
        form.serial = 20;
        struct test_identity bad = test_identity_new(&form);
        assert_refused(connect_to(connector, "redis.example", &bad), row[i].expected);
        test_identity_free(&bad);
    }
    tls_connector_release(connector);
}

static void write_list(const char *file, const struct test_list *form)
{
    X509_CRL *list = test_list_new(form);
    test_write_list(folder, file, list);
    X509_CRL_free(list);
}

static void test_tls_connector_lists_are_required_fresh_and_obeyed(void **state)
{
    const struct {
        const char *file, *expected;
        struct test_list lists[2];
    } row[] = {
        {"fresh.pem", NULL, {{.issuer = &authority, .revoked = REVOKED}, {.issuer = &middle}}},
        {"revoked.pem", "revoked", {{.issuer = &authority}, {.issuer = &middle, .revoked = 2}}},
        {"middle.pem", "revoked",
            {{.issuer = &authority, .revoked = MIDDLE_SERIAL}, {.issuer = &middle}}},
        {"missing.pem", "missing CRL", {{.issuer = &other}, {.issuer = &other}}},
        {"no_middle.pem", "missing CRL", {{.issuer = &authority}, {.issuer = &other}}},
        {"stale.pem", "stale CRL", {{.issuer = &authority}, {.issuer = &middle, .ends_s = -60}}},
        {"early.pem", "stale CRL", {{.issuer = &authority, .begins_s = 600}, {.issuer = &middle}}},
    };
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        write_list(row[i].file, &row[i].lists[0]);
        write_list(row[i].file, &row[i].lists[1]);
        struct tls_connector *connector = make(&(struct tls_connector_settings){
            .ca = in_folder("ca.pem"), .crl = in_folder(row[i].file)});
        const char *refusal = connect_to(connector, "redis.example", &good);
        if (row[i].expected)
            assert_refused(refusal, row[i].expected);
        else
            assert_null(refusal);
        tls_connector_release(connector);
    }
}

static int ask(int ok, X509_STORE_CTX *store_ctx)
{
    return 1;
}

static void test_tls_connector_client_certificate_is_shown_where_asked(void **state)
{
    for (int configured = 0; configured < 2; configured++) {
        struct tls_connector *connector =
            make(&(struct tls_connector_settings){.ca = in_folder("ca.pem"),
                .cert = configured ? in_folder("client.pem") : NULL,
                .key = configured ? in_folder("client.key") : NULL});
        SSL_CTX *ctx = server_ctx(&good, TLS1_3_VERSION);
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, ask);
        begin(connector, "redis.example", ctx);
        assert_int_equal(handshake(), configured);
        if (configured)
            assert_int_equal(X509_cmp(SSL_get0_peer_certificate(pair.server), client.cert), 0);
        else
            assert_string_equal(
                tls_stream_failure_text(pair.stream), "tlsv13 alert certificate required");
        end();
        tls_connector_release(connector);
    }
}

static void test_tls_connector_sessions_are_not_resumed(void **state)
{
    struct tls_connector *connector = make_plain();
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        SSL_CTX *ctx = server_ctx(&good, version);
        for (int turn = 0; turn < 2; turn++) {
            SSL_CTX_up_ref(ctx);
            begin(connector, "redis.example", ctx);
            assert_true(handshake());
            assert_false(tls_stream_resumed(pair.stream));
            end();
        }
        SSL_CTX_free(ctx);
    }
    tls_connector_release(connector);
}

static void test_tls_connector_bad_files_are_named(void **state)
{
    test_write_text(folder, "text.pem", "nothing");
    test_write_cert(folder, "leaf.pem", good.cert);
    test_write_key(folder, "other.key", other.key, NULL);
    write_list("endless.pem", &(struct test_list){.issuer = &authority, .endless = true});
    char *ca = strdup(in_folder("ca.pem")), *cert = strdup(in_folder("client.pem"));
    char dot[] = ".example";
    const struct {
        struct tls_connector_settings settings;
        int result;
        const char *begins, *ends;
    } row[] = {
        {{.ca = in_folder("none.pem")}, -ENOENT, "redis.tls.ca /", "No such file or directory"},
        {{.ca = in_folder("leaf.pem")}, -EINVAL, "redis.tls.ca /",
            "holds no self-signed authority"},
        {{.ca = ca, .crl = in_folder("text.pem")}, -EINVAL, "redis.tls.crl /", ""},
        {{.ca = ca, .crl = in_folder("endless.pem")}, -EINVAL, "redis.tls.crl /",
            "does not say when it ends"},
        {{.ca = ca, .cert = cert}, -EINVAL, "redis.tls.key: is missing", ""},
        {{.ca = ca, .key = cert}, -EINVAL, "redis.tls.cert: is missing", ""},
        {{.ca = ca, .cert = cert, .key = in_folder("other.key")}, -EINVAL, "redis.tls.key /",
            "client.pem"},
        {{.ca = ca, .server_name = dot}, -EINVAL, "redis.tls.server_name: is no whole name", ""},
    };
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        char error[512] = "";
        struct tls_connector *made = NULL;
        const struct tls_connector_report report = {"redis.tls", error, sizeof(error)};
        assert_int_equal(tls_connector_new(&made, &row[i].settings, &report), row[i].result);
        assert_null(made);
        if (strncmp(error, row[i].begins, strlen(row[i].begins)) != 0 ||
            !strstr(error, row[i].ends))
            fail_msg("%s, not %s ... %s", error, row[i].begins, row[i].ends);
    }
    free(ca);
    free(cert);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tls_connector_new_versions_carry_data_both_ways),
        cmocka_unit_test(test_tls_connector_old_versions_are_refused),
        cmocka_unit_test(test_tls_connector_names_and_addresses_are_checked),
        cmocka_unit_test(test_tls_connector_common_name_does_not_count),
        cmocka_unit_test(test_tls_connector_configured_name_replaces_the_host),
        cmocka_unit_test(test_tls_connector_certificates_that_do_not_fit_are_refused),
        cmocka_unit_test(test_tls_connector_lists_are_required_fresh_and_obeyed),
        cmocka_unit_test(test_tls_connector_client_certificate_is_shown_where_asked),
        cmocka_unit_test(test_tls_connector_sessions_are_not_resumed),
        cmocka_unit_test(test_tls_connector_bad_files_are_named),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
