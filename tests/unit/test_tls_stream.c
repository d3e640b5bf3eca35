/* TLS connections against OpenSSL's client: versions, names, protocols, resumption, endings. */
#include "tls/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "tests/tls/client.h"
#include "tests/tls/server.h"

static struct test_server server;
static struct tls_context *context;
static struct test_pair pair;

static int setup(void **state)
{
    test_server_init(&server);
    context = test_server_context(&server, TEST_SECRET);
    return 0;
}

static int teardown(void **state)
{
    tls_context_release(context);
    test_server_deinit(&server);
    return 0;
}

static struct tls_stream_options options(void)
{
    return (struct tls_stream_options){.context = context};
}

/* A connection of a client of that version; its SSL is left for settings. */
static void begin(int version)
{
    const struct tls_stream_options o = options();
    SSL_CTX *ctx = test_client_ctx(version, version);
    test_pair_init(&pair, ctx, &o);
    SSL_CTX_free(ctx);
    assert_non_null(pair.server);
}

static void test_tls_stream_old_versions_are_refused(void **state)
{
    static const int version[] = {TLS1_VERSION, TLS1_1_VERSION};
    for (size_t i = 0; i < 2; i++) {
        begin(version[i]);
        assert_false(test_pair_handshake(&pair));
        assert_int_equal(pair.outcome, TLS_FAILED);
        assert_int_equal(tls_stream_failure(pair.server), REASON_TLS_HANDSHAKE_FAILED);
        assert_string_equal(tls_stream_failure_text(pair.server), "unsupported protocol");
        assert_true(pair.sent_len > 0); /* the alert */
        test_pair_deinit(&pair);
    }
}

static void test_tls_stream_new_versions_carry_data_both_ways(void **state)
{
    static const struct {
        int version;
        const char *name;
        int group; /* in TLS 1.3 a share that came is better than another round trip for P-256 */
    } row[] = {
        {TLS1_2_VERSION, "TLSv1.2", NID_X9_62_prime256v1}, {TLS1_3_VERSION, "TLSv1.3", NID_X25519}};
    for (size_t i = 0; i < 2; i++) {
        begin(row[i].version);
        assert_false(tls_stream_established(pair.server));
        assert_int_equal(tls_stream_write(pair.server, slice_of_string("early")), -EPIPE);
        assert_true(test_pair_handshake(&pair));
        assert_string_equal(tls_stream_version(pair.server), row[i].name);
        assert_false(tls_stream_resumed(pair.server));
        assert_int_equal(SSL_get_negotiated_group(pair.client), row[i].group);
        assert_true(test_pair_say(&pair, "from the client"));
        assert_int_equal(tls_stream_write(pair.server, slice_of_string("from the server")), 0);
        assert_string_equal(test_pair_hear(&pair), "from the server");
        assert_int_equal(tls_stream_failure(pair.server), REASON_NONE);
        test_pair_deinit(&pair);
    }
}

static void test_tls_stream_min_version_refuses_what_is_below(void **state)
{
    server.settings.min_version = TLS_VERSION_1_3;
    struct tls_context *strict = test_server_context(&server, TEST_SECRET);
    server.settings.min_version = TLS_VERSION_1_2;
    const struct tls_stream_options o = {.context = strict};
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        SSL_CTX *ctx = test_client_ctx(version, version);
        test_pair_init(&pair, ctx, &o);
        assert_int_equal(test_pair_handshake(&pair), version == TLS1_3_VERSION);
        test_pair_deinit(&pair);
        SSL_CTX_free(ctx);
    }
    tls_context_release(strict);
}

static void test_tls_stream_weak_ciphers_and_groups_are_refused(void **state)
{
    static const char *const refused[] = {"AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA",
        "ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES128-CCM", "DHE-RSA-AES128-GCM-SHA256"};
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        begin(TLS1_2_VERSION);
        char list[64];
        snprintf(list, sizeof(list), "%s:@SECLEVEL=0", refused[i]);
        assert_int_equal(SSL_set_cipher_list(pair.client, list), 1);
        const char *name = i == 0 || i == 4 ? "other.example" : "turn.example"; /* RSA, P-256 */
        SSL_set_tlsext_host_name(pair.client, name);
        assert_false(test_pair_handshake(&pair));
        assert_string_equal(tls_stream_failure_text(pair.server), "no shared cipher");
        test_pair_deinit(&pair);
    }
    begin(TLS1_3_VERSION);
    assert_int_equal(SSL_set1_groups_list(pair.client, "X448:P-521"), 1);
    assert_false(test_pair_handshake(&pair));
    test_pair_deinit(&pair);
}

static void test_tls_stream_cipher_is_the_servers_choice_but_for_chacha(void **state)
{
    begin(TLS1_2_VERSION);
    SSL_set_cipher_list(pair.client, "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256");
    assert_true(test_pair_handshake(&pair));
    assert_string_equal(SSL_get_cipher_name(pair.client), "ECDHE-ECDSA-AES128-GCM-SHA256");
    test_pair_deinit(&pair);
    begin(TLS1_3_VERSION);
    SSL_set_ciphersuites(pair.client, "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256");
    assert_true(test_pair_handshake(&pair));
    assert_string_equal(SSL_get_cipher_name(pair.client), "TLS_CHACHA20_POLY1305_SHA256");
    test_pair_deinit(&pair);
}

static void test_tls_stream_sni_chooses_the_certificate(void **state)
{
    static const struct {
        const char *name;
        bool second;
    } row[] = {{"turn.example", false}, {"a.wild.example", false}, {"TURN.example", false},
        {"other.example", true}, {"exact.wild.example", true}, {"unknown.example", false},
        {"a.b.wild.example", false}, {".example", false}, {NULL, false}};
    for (size_t i = 0; i < 2 * sizeof(row) / sizeof(row[0]); i++) {
        const char *name = row[i / 2].name;
        begin(i % 2 ? TLS1_3_VERSION : TLS1_2_VERSION);
        if (name)
            assert_int_equal(SSL_set_tlsext_host_name(pair.client, name), 1);
        assert_true(test_pair_handshake(&pair));
        const X509 *wanted = row[i / 2].second ? server.second.cert : server.first.cert;
        assert_int_equal(X509_cmp(SSL_get0_peer_certificate(pair.client), wanted), 0);
        test_pair_deinit(&pair);
    }
}

static void test_tls_stream_alpn_is_chosen_where_offered(void **state)
{
    static const struct {
        const char *offer, *chosen;
    } row[] = {{"\x09stun.turn", "stun.turn"}, {"\x12stun.nat-discovery", "stun.nat-discovery"},
        {"\x08http/1.1\x12stun.nat-discovery\x09stun.turn", "stun.turn"}, {"\x08http/1.1", ""},
        {NULL, ""}};
    for (size_t i = 0; i < 2 * sizeof(row) / sizeof(row[0]); i++) {
        begin(i % 2 ? TLS1_3_VERSION : TLS1_2_VERSION);
        const char *offer = row[i / 2].offer;
        if (offer)
            SSL_set_alpn_protos(pair.client, (const unsigned char *)offer, (unsigned)strlen(offer));
        assert_true(test_pair_handshake(&pair));
        const unsigned char *chosen;
        unsigned len;
        SSL_get0_alpn_selected(pair.client, &chosen, &len);
        assert_int_equal(len, strlen(row[i / 2].chosen));
        assert_true(len == 0 || memcmp(chosen, row[i / 2].chosen, len) == 0);
        test_pair_deinit(&pair);
    }
}

/* One full handshake with `first`, one with its session on `second`; true if it was resumed. */
static bool resumes(
    int version, const struct tls_stream_options *first, const struct tls_stream_options *second)
{
    SSL_CTX *ctx = test_client_ctx(version, version);
    test_pair_init(&pair, ctx, first);
    assert_true(test_pair_handshake(&pair));
    assert_true(test_pair_say(&pair, "x")); /* and read the ticket of TLS 1.3 */
    SSL_SESSION *session = SSL_get1_session(pair.client);
    assert_int_equal(SSL_SESSION_get_max_early_data(session), 0);
    SSL_shutdown(pair.client); /* else OpenSSL takes the session as bad */
    test_pair_deinit(&pair);
    test_pair_init(&pair, ctx, second);
    assert_int_equal(SSL_set_session(pair.client, session), 1);
    SSL_SESSION_free(session);
    const bool complete = test_pair_handshake(&pair);
    const bool resumed = complete && SSL_session_reused(pair.client) == 1;
    if (complete)
        assert_int_equal(tls_stream_resumed(pair.server), resumed);
    test_pair_deinit(&pair);
    SSL_CTX_free(ctx);
    return resumed;
}

static void test_tls_stream_session_resumes_in_any_instance_with_the_secret(void **state)
{
    struct tls_context *replaced = test_server_context(&server, TEST_SECRET);
    struct tls_context *foreign = test_server_context(&server, "another secret of 32 bytes .....");
    const struct tls_stream_options here = options(), there = {.context = replaced},
                                    elsewhere = {.context = foreign};
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        assert_true(resumes(version, &here, &here));
        assert_true(resumes(version, &here, &there));
        assert_false(resumes(version, &here, &elsewhere));
    }
    tls_context_release(replaced);
    tls_context_release(foreign);
}

/* "Clients SHOULD NOT reuse a ticket for multiple connections" (RFC 8446 appendix C.4). */
static void test_tls_stream_resumed_tls_1_3_gets_a_fresh_ticket(void **state)
{
    const struct tls_stream_options here = options();
    SSL_CTX *ctx = test_client_ctx(TLS1_3_VERSION, TLS1_3_VERSION);
    SSL_SESSION *session = NULL;
    for (int i = 0; i < 4; i++) {
        test_pair_init(&pair, ctx, &here);
        if (session)
            assert_int_equal(SSL_set_session(pair.client, session), 1);
        assert_true(test_pair_handshake(&pair));
        assert_true(test_pair_say(&pair, "x"));
        assert_int_equal(SSL_session_reused(pair.client), i > 0);
        SSL_SESSION *next = SSL_get1_session(pair.client);
        const unsigned char *ticket[2] = {NULL, NULL};
        size_t len[2] = {0, 0};
        SSL_SESSION_get0_ticket(next, &ticket[1], &len[1]);
        assert_true(len[1] > 0);
        if (session) {
            SSL_SESSION_get0_ticket(session, &ticket[0], &len[0]);
            assert_true(len[0] != len[1] || memcmp(ticket[0], ticket[1], len[0]) != 0);
            SSL_SESSION_free(session);
        }
        session = next;
        SSL_shutdown(pair.client);
        test_pair_deinit(&pair);
    }
    SSL_SESSION_free(session);
    SSL_CTX_free(ctx);
}

static void test_tls_stream_renegotiation_is_refused_and_ends_nothing(void **state)
{
    begin(TLS1_2_VERSION);
    assert_true(test_pair_handshake(&pair));
    const uint64_t before = pair.sent_len;
    assert_int_equal(SSL_renegotiate(pair.client), 1);
    SSL_do_handshake(pair.client);
    test_pair_pump(&pair);
    assert_true(pair.sent_len > before && pair.sent_len < before + 64); /* one warning */
    assert_int_equal(pair.outcome, TLS_MORE);
    assert_int_equal(tls_stream_write(pair.server, slice_of_string("still here")), 0);
    test_pair_deinit(&pair);
}

static void test_tls_stream_one_byte_at_a_time_is_the_same(void **state)
{
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        begin(version);
        pair.piece = 1;
        assert_true(test_pair_handshake(&pair));
        assert_true(test_pair_say(&pair, "byte by byte"));
        test_pair_deinit(&pair);
    }
}

static void test_tls_stream_long_messages_pass_and_are_read_in_parts(void **state)
{
    static char text[60000];
    memset(text, 'x', sizeof(text) - 1);
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        begin(version);
        pair.piece = 1000;
        assert_true(test_pair_handshake(&pair));
        assert_true(test_pair_say(&pair, text));
        assert_int_equal(tls_stream_write(pair.server, slice_of(text, sizeof(text) - 1)), 0);
        size_t heard = 0;
        for (size_t n; (n = strlen(test_pair_hear(&pair))) > 0;)
            heard += n;
        assert_int_equal(heard, sizeof(text) - 1);
        test_pair_deinit(&pair);
    }
}

static void test_tls_stream_close_notify_goes_both_ways(void **state)
{
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        begin(version);
        assert_true(test_pair_handshake(&pair));
        SSL_shutdown(pair.client);
        test_pair_pump(&pair);
        assert_int_equal(pair.outcome, TLS_CLOSED);
        assert_int_equal(tls_stream_failure(pair.server), REASON_NONE);
        tls_stream_close(pair.server);
        assert_int_equal(SSL_shutdown(pair.client), 1);
        assert_int_equal(tls_stream_write(pair.server, slice_of_string("late")), -EPIPE);
        test_pair_deinit(&pair);
    }
    begin(TLS1_3_VERSION);
    tls_stream_close(pair.server); /* nothing to close: nothing is sent */
    assert_int_equal(pair.sent_len, 0);
    test_pair_deinit(&pair);
}

static void test_tls_stream_broken_bytes_fail_for_good(void **state)
{
    static const uint8_t http[] = "GET / HTTP/1.1\r\nHost: turn.example\r\n\r\n";
    static const uint8_t record[] = {
        23, 3, 3, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20};
    uint8_t out[16];
    size_t len = 77;
    begin(TLS1_3_VERSION);
    tls_stream_feed(pair.server, slice_of(http, sizeof(http) - 1));
    assert_int_equal(tls_stream_read(pair.server, out, sizeof(out), &len), TLS_FAILED);
    assert_int_equal(tls_stream_failure(pair.server), REASON_TLS_HANDSHAKE_FAILED);
    test_pair_deinit(&pair);
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        begin(version);
        assert_true(test_pair_handshake(&pair));
        tls_stream_feed(pair.server, slice_of(record, sizeof(record)));
        assert_int_equal(tls_stream_read(pair.server, out, sizeof(out), &len), TLS_FAILED);
        assert_int_equal(tls_stream_failure(pair.server), REASON_TLS_FAILED);
        assert_int_equal(tls_stream_read(pair.server, out, sizeof(out), &len), TLS_FAILED);
        assert_int_equal(tls_stream_write(pair.server, slice_of_string("x")), -EPIPE);
        assert_int_equal(len, 77);
        test_pair_deinit(&pair);
    }
}

/* OpenSSL would take a ClientHello of 128 kB, and keep what has come of it. */
static void test_tls_stream_endless_hello_fails_early(void **state)
{
    static uint8_t record[5 + 1024] = {22, 3, 1, 4, 0, 1, 1, 0xff, 0, 3, 3};
    enum tls_outcome outcome = TLS_MORE;
    unsigned records = 0;
    uint8_t out[16];
    size_t len;
    begin(TLS1_3_VERSION);
    for (; outcome == TLS_MORE && records < 128; records++) {
        tls_stream_feed(pair.server, slice_of(record, sizeof(record)));
        outcome = tls_stream_read(pair.server, out, sizeof(out), &len);
        memset(record + 5, 0, 6);
    }
    assert_int_equal(outcome, TLS_FAILED);
    assert_true(records > 32 && records <= 41);
    assert_string_equal(tls_stream_failure_text(pair.server), "handshake too long");
    test_pair_deinit(&pair);
}

static void test_tls_stream_outlives_its_replaced_context(void **state)
{
    struct tls_context *old = test_server_context(&server, TEST_SECRET);
    const struct tls_stream_options o = {.context = old};
    SSL_CTX *ctx = test_client_ctx(TLS1_3_VERSION, TLS1_3_VERSION);
    test_pair_init(&pair, ctx, &o);
    tls_context_release(old);
    assert_true(test_pair_handshake(&pair));
    assert_true(test_pair_say(&pair, "after the reload"));
    test_pair_deinit(&pair);
    SSL_CTX_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tls_stream_old_versions_are_refused),
        cmocka_unit_test(test_tls_stream_new_versions_carry_data_both_ways),
        cmocka_unit_test(test_tls_stream_min_version_refuses_what_is_below),
        cmocka_unit_test(test_tls_stream_weak_ciphers_and_groups_are_refused),
        cmocka_unit_test(test_tls_stream_cipher_is_the_servers_choice_but_for_chacha),
        cmocka_unit_test(test_tls_stream_sni_chooses_the_certificate),
        cmocka_unit_test(test_tls_stream_alpn_is_chosen_where_offered),
        cmocka_unit_test(test_tls_stream_session_resumes_in_any_instance_with_the_secret),
        cmocka_unit_test(test_tls_stream_resumed_tls_1_3_gets_a_fresh_ticket),
        cmocka_unit_test(test_tls_stream_renegotiation_is_refused_and_ends_nothing),
        cmocka_unit_test(test_tls_stream_one_byte_at_a_time_is_the_same),
        cmocka_unit_test(test_tls_stream_long_messages_pass_and_are_read_in_parts),
        cmocka_unit_test(test_tls_stream_close_notify_goes_both_ways),
        cmocka_unit_test(test_tls_stream_broken_bytes_fail_for_good),
        cmocka_unit_test(test_tls_stream_endless_hello_fails_early),
        cmocka_unit_test(test_tls_stream_outlives_its_replaced_context),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
