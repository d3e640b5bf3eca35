/*
 * THREATS row 23: who gets in over TLS. A token or a client certificate of the operators'
 * authority; nobody with a certificate that is revoked, expired, for another use or another name,
 * or whose authority has no fresh list; nobody who speaks an old version, or no TLS.
 */
#include "tests/unit/admin_tls.h"

#define STATUS        "GET /api/v1/status HTTP/1.1\r\n"
#define HOST          "Host: 198.51.100.1:9641\r\n"
#define BEARER(token) "Authorization: Bearer " token "\r\n"
#define BOTH(each)                                                                                 \
    for (int each = TLS1_2_VERSION; each <= TLS1_3_VERSION; each += TLS1_3_VERSION - TLS1_2_VERSION)

static struct test_identity client_of(const struct test_certificate *form)
{
    struct test_certificate good = {
        .issuer = &clients_authority, .name = "ops", .usage = "clientAuth", .serial = 100};
    good.issuer = form->issuer ? form->issuer : good.issuer;
    good.usage = form->usage ? form->usage[0] ? form->usage : NULL : good.usage;
    good.san = form->san;
    good.serial = form->serial ? form->serial : good.serial;
    good.begins_s = form->begins_s;
    good.ends_s = form->ends_s;
    return test_identity_new(&good);
}

static void threat_23_tls_token_needs_to_be_right_and_the_host_ours(void **state)
{
    static const struct {
        const char *request, *start;
    } rows[] = {
        {STATUS HOST "\r\n", "HTTP/1.1 401 "},
        {STATUS HOST BEARER("0123456789abcdeF") "\r\n", "HTTP/1.1 401 "},
        {STATUS HOST BEARER(TOKEN) "\r\n", "HTTP/1.1 200 "},
        {STATUS "Host: turn.example\r\n" BEARER(TOKEN) "\r\n", "HTTP/1.1 403 "},
        {STATUS "Host: attacker.example\r\n" BEARER(TOKEN) "\r\n", "HTTP/1.1 403 "},
        {STATUS BEARER(TOKEN) "\r\n", "HTTP/1.1 403 "},
        {"GET /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 200 "},
    };
    BOTH(version)
    {
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
            assert_starts(ask_tls(*state, version, NULL, rows[i].request), rows[i].start);
        assert_true(opened.secure && !opened.certified && !opened.local);
    }
}

static void threat_23_tls_good_certificate_stands_for_the_token(void **state)
{
    struct test_identity ops = client_of(&(struct test_certificate){0});
    BOTH(version)
    {
        assert_starts(ask_tls(*state, version, &ops, STATUS HOST "\r\n"), "HTTP/1.1 200 ");
        assert_true(opened.certified);
        assert_starts(ask_tls(*state, version, &ops, STATUS "Host: attacker.example\r\n\r\n"),
            "HTTP/1.1 403 ");
    }
    test_identity_free(&ops);
}

/* Even where the token would be right: who shows a bad certificate is not who he should be. */
static void threat_23_tls_bad_certificates_do_not_get_in(void **state)
{
    const struct test_certificate rows[] = {{.serial = REVOKED}, {.usage = "serverAuth"},
        {.usage = ""}, {.usage = "anyExtendedKeyUsage"}, {.begins_s = -7200, .ends_s = -3600},
        {.begins_s = 3600, .ends_s = 7200}, {.issuer = &stranger}};
    struct fixture *f = *state;
    unsigned refused = 0;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct test_identity bad = client_of(&rows[i]);
        BOTH(version)
        {
            const char *answer = ask_tls(f, version, &bad, STATUS HOST BEARER(TOKEN) "\r\n");
            if (answer[0])
                fail_msg("row %zu is let in: %.20s", i, answer);
            assert_int_equal(counted(f, METRIC_ADMIN_CLOSED_CERTIFICATE), ++refused);
        }
        test_identity_free(&bad);
    }
    assert_int_equal(opens, 0);
}

/* A list that has ended, that has not begun, or that another authority has made. */
static void threat_23_tls_without_a_fresh_list_nobody_gets_in_by_certificate(void **state)
{
    struct fixture *f = *state;
    struct admin_settings s = settings;
    struct test_identity ops = client_of(&(struct test_certificate){0});
    char *lists[] = {write_list_of(&clients_authority, "stale", -7200, -60),
        write_list_of(&clients_authority, "early", 600, 7200),
        write_list_of(&stranger, "other", 0, 0)};
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        s.tls.client_crl = lists[i];
        use_settings(f, &s);
        BOTH(version)
        assert_string_equal(ask_tls(f, version, &ops, STATUS HOST "\r\n"), "");
        /* The token is not the certificate's business. */
        assert_starts(
            ask_tls(f, TLS1_3_VERSION, NULL, STATUS HOST BEARER(TOKEN) "\r\n"), "HTTP/1.1 200 ");
    }
    /* Read again, as at a reload. */
    use_settings(f, &settings);
    assert_starts(ask_tls(f, TLS1_3_VERSION, &ops, STATUS HOST "\r\n"), "HTTP/1.1 200 ");
    test_identity_free(&ops);
}

static void threat_23_tls_names_of_clients_are_looked_at(void **state)
{
    static char name[] = "ops.example";
    char *names[] = {name};
    struct admin_settings s = settings;
    struct test_identity named = client_of(&(struct test_certificate){.san = "DNS:ops.example"}),
                         other = client_of(&(struct test_certificate){.san = "DNS:dev.example"});
    s.tls.client_names = names;
    s.tls.client_name_count = 1;
    use_settings(*state, &s);
    BOTH(version)
    {
        assert_starts(ask_tls(*state, version, &named, STATUS HOST "\r\n"), "HTTP/1.1 200 ");
        assert_string_equal(ask_tls(*state, version, &other, STATUS HOST "\r\n"), "");
    }
    test_identity_free(&named);
    test_identity_free(&other);
}

static void threat_23_tls_required_certificate_is_required_for_everything(void **state)
{
    struct fixture *f = *state;
    struct admin_settings s = settings;
    struct test_identity ops = client_of(&(struct test_certificate){0});
    s.tls.client_required = true;
    use_settings(f, &s);
    BOTH(version)
    {
        assert_string_equal(ask_tls(f, version, NULL, STATUS HOST BEARER(TOKEN) "\r\n"), "");
        assert_string_equal(ask_tls(f, version, NULL, "GET /live HTTP/1.1\r\n\r\n"), "");
        assert_starts(ask_tls(f, version, &ops, "GET /live HTTP/1.1\r\n\r\n"), "HTTP/1.1 200 ");
    }
    assert_int_equal(counted(f, METRIC_ADMIN_CLOSED_CERTIFICATE), 4);
    test_identity_free(&ops);
}

/* A ticket would let somebody in on a certificate that is looked at no more. */
static void threat_23_tls_no_session_is_resumed_where_certificates_count(void **state)
{
    struct fixture *f = *state;
    struct test_identity ops = client_of(&(struct test_certificate){0});
    BOTH(version)
    {
        bool orderly;
        struct tls_client first = dial(f, version, &ops);
        assert_true(shake_hands(f, &first));
        assert_true(SSL_write(first.ssl, STATUS HOST "\r\n", (int)strlen(STATUS HOST "\r\n")) > 0);
        assert_starts(hear_tls(f, &first, &orderly), "HTTP/1.1 200 ");
        struct tls_client again = dial(f, version, NULL);
        SSL_set_session(again.ssl, SSL_get0_session(first.ssl));
        assert_true(shake_hands(f, &again));
        run(f);
        assert_false(SSL_session_reused(again.ssl) || opened.certified);
        hang_up(&first);
        hang_up(&again);
    }
    test_identity_free(&ops);
}

static void threat_23_tls_old_versions_and_no_tls_at_all_refused(void **state)
{
    static const char *const plain[] = {"GET /metrics HTTP/1.1\r\n\r\n", "\x16\x03\x01\xff\xff",
        "\x80\x2e\x01\x03\x01", "\x15\x03\x03", "\xff\xff\xff\xff\xff\xff"};
    struct fixture *f = *state;
    unsigned refused = 0;
    for (int version = TLS1_VERSION; version <= TLS1_1_VERSION; version++) {
        assert_string_equal(ask_tls(f, version, NULL, "GET /live HTTP/1.1\r\n\r\n"), "");
        assert_int_equal(counted(f, METRIC_ADMIN_CLOSED_HANDSHAKE), ++refused);
    }
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
        struct tls_client c = dial_raw(f, 1, 0);
        char answer[256] = "";
        assert_true(send(c.fd, plain[i], strlen(plain[i]), MSG_NOSIGNAL) > 0);
        run(f);
        ssize_t n = read(c.fd, answer, sizeof(answer) - 1);
        /* At most an alert. */
        assert_true(n <= 7);
        hang_up(&c);
        run(f);
    }
    assert_int_equal(opens, 0);
    assert_starts(ask_tls(f, TLS1_2_VERSION, NULL, "GET /live HTTP/1.1\r\n\r\n"), "HTTP/1.1 200 ");
}

static void threat_23_tls_renegotiation_is_refused(void **state)
{
    struct fixture *f = *state;
    struct tls_client c = dial(f, TLS1_2_VERSION, NULL);
    assert_true(shake_hands(f, &c));
    assert_int_equal(SSL_renegotiate(c.ssl), 1);
    bool again = shake_hands(f, &c);
    assert_false(
        again && SSL_get_verify_result(c.ssl) == X509_V_OK && SSL_renegotiate_pending(c.ssl));
    for (int i = 0; i < 5; i++)
        run(f);
    hang_up(&c);
    assert_starts(ask_tls(f, TLS1_2_VERSION, NULL, "GET /live HTTP/1.1\r\n\r\n"), "HTTP/1.1 200 ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OVER_TLS(threat_23_tls_token_needs_to_be_right_and_the_host_ours),
        OVER_TLS(threat_23_tls_good_certificate_stands_for_the_token),
        OVER_TLS(threat_23_tls_bad_certificates_do_not_get_in),
        OVER_TLS(threat_23_tls_without_a_fresh_list_nobody_gets_in_by_certificate),
        OVER_TLS(threat_23_tls_names_of_clients_are_looked_at),
        OVER_TLS(threat_23_tls_required_certificate_is_required_for_everything),
        OVER_TLS(threat_23_tls_no_session_is_resumed_where_certificates_count),
        OVER_TLS(threat_23_tls_old_versions_and_no_tls_at_all_refused),
        OVER_TLS(threat_23_tls_renegotiation_is_refused),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
