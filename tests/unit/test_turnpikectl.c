/*
 * turnpikectl as a process, with this test as the daemon behind its socket: what it sends, what it
 * prints, how it ends, and that no secret stands where others can read it. THREATS row 25.
 */
#include "tests/unit/turnpikectl.h"

#include <openssl/evp.h>

#include "auth/oauth.h"

#define ACCEPTED                                                                                   \
    HEAD "{\"accepted\":true,\"reason\":\"none\",\"source\":\"static\",\"credential\":\"\","       \
         "\"expires_at\":0,\"text\":\"a static user; the password is right\"}\n"
#define REFUSED                                                                                    \
    HEAD "{\"accepted\":false,\"reason\":\"credential_expired\",\"source\":\"rest\","              \
         "\"credential\":\"old\",\"expires_at\":1700000000,\"text\":\"expired 42 s ago\"}\n"

static void test_turnpikectl_explain_password_from_input_accepted(void **state)
{
    struct run r = {.input = "canary\n",
        .answer = ACCEPTED,
        .argv = {"explain", "--realm", "example.org", "--user", "alice", "--password-stdin"}};
    run(&r);
    assert_int_equal(r.code, 0);
    assert_memory_equal(r.request, "POST /api/v1/explain HTTP/1.1\r\n", 31);
    assert_non_null(strstr(r.request, "\r\nContent-Type: application/json\r\n"));
    assert_string_equal(
        body_of(&r), "{\"realm\":\"example.org\",\"user\":\"alice\",\"password\":\"canary\"}");
    assert_non_null(strstr(r.out, "accepted: a static user; the password is right\n"));
    assert_non_null(strstr(r.command_line, "--password-stdin"));
    assert_null(strstr(r.command_line, "canary"));
    assert_null(strstr(r.out, "canary"));
    assert_string_equal(r.errors, "");
}

static void test_turnpikectl_explain_password_from_file_refused(void **state)
{
    write_file("canary\r\n", 8);
    struct run r = {
        .answer = REFUSED, .argv = {"explain", "--user", "1:alice", "--password-file", file_path}};
    run(&r);
    assert_int_equal(r.code, 1);
    assert_string_equal(body_of(&r), "{\"user\":\"1:alice\",\"password\":\"canary\"}");
    assert_string_equal(r.out, "refused: expired 42 s ago\nreason:       credential_expired\n"
                               "source:       rest\ncredential:   old\n"
                               "expires:      2023-11-14T22:13:20Z\n");
    assert_null(strstr(r.command_line, "canary"));
}

static void test_turnpikectl_explain_token_and_name_alone(void **state)
{
    write_file("Y2FuYXJ5", 8);
    struct run token = {.answer = REFUSED,
        .argv = {"explain", "--user", "k1", "--token-file", file_path, "--json"}};
    run(&token);
    assert_int_equal(token.code, 1);
    assert_string_equal(body_of(&token), "{\"user\":\"k1\",\"token\":\"Y2FuYXJ5\"}");
    assert_string_equal(token.out, strstr(REFUSED, "{"));
    struct run name = {.answer = ACCEPTED, .argv = {"explain", "--user", "a\"b\n"}};
    run(&name);
    assert_int_equal(name.code, 0);
    assert_string_equal(body_of(&name), "{\"user\":\"a\\\"b\\n\"}");
}

/* The detail of a problem is the line that people see; what is none is shown as it is. */
static void test_turnpikectl_says_the_detail_of_a_problem(void **state)
{
    static const struct {
        const char *answer, *errors;
    } rows[] = {
        {"HTTP/1.1 404 Not Found\r\ncontent-type: application/problem+json\r\n\r\n"
         "{\n\"type\":\"about:blank\",\n\"detail\":\"no such realm\"\n}\n",
            "turnpikectl: refused (404): no such realm\n"},
        {"HTTP/1.1 500 x\r\nContent-Type: application/problem+json\r\n\r\n{\"detail\":1}\n",
            "turnpikectl: refused (500): {\"detail\":1}\n"},
        {"HTTP/1.1 500 x\r\nContent-Type: application/problem+json\r\n\r\n{\"deta\n",
            "turnpikectl: refused (500): {\"deta\n"},
        {"HTTP/1.1 500 x\r\nContent-Type: text/plain\r\n\r\n{\"detail\":\"x\"}\n",
            "turnpikectl: refused (500): {\"detail\":\"x\"}\n"},
        {"HTTP/1.1 500 x\r\nContent-Type: text/plain\r\n\r\nx\x1b[2J\xc2\x9b\n",
            "turnpikectl: refused (500): x\\x1b[2J\\u{9b}\n"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct run r = {.answer = rows[i].answer, .argv = {"status"}};
        run(&r);
        assert_int_equal(r.code, 1);
        assert_string_equal(r.errors, rows[i].errors);
        assert_string_equal(r.out, "");
    }
}

static void test_turnpikectl_explain_wrong_use_is_2(void **state)
{
    static const char *const rows[][8] = {{"explain"}, {"explain", "--realm", "r"},
        {"explain", "--password-stdin"}, {"explain", "--token-file", "f"},
        {"explain", "--user", ""}, {"explain", "--user", "a", "--password", "p"},
        {"explain", "--user", "a", "--password-stdin", "--password-file", "f"},
        {"explain", "--user", "a", "--token-file", "f", "--password-stdin"},
        {"explain", "--user", "a", "more"}, {"explain", "--user"}, {"explain", "--user", "\xff"},
        {"explain", "--user", "a", "--password-file", "/nowhere/f"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct run r = {.input = "p"};
        memcpy(r.argv, rows[i], sizeof(rows[i]));
        run(&r);
        if (r.code != 2)
            print_error("row %zu: %d %s\n", i, r.code, r.errors);
        assert_int_equal(r.code, 2);
        assert_string_equal(r.out, "");
        assert_true(strlen(r.errors) > 0);
    }
}

static void test_turnpikectl_explain_unfit_secrets_are_2(void **state)
{
    static char longest[4097];
    memset(longest, 'x', sizeof(longest));
    const struct {
        const char *text;
        size_t len;
        const char *why;
    } rows[] = {{"", 0, "empty"}, {"\n", 1, "empty"}, {"canary\xff", 7, "UTF-8"},
        {longest, sizeof(longest), "more than 4096"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        write_file(rows[i].text, rows[i].len);
        struct run r = {.argv = {"explain", "--user", "a", "--password-file", file_path}};
        run(&r);
        assert_int_equal(r.code, 2);
        assert_non_null(strstr(r.errors, rows[i].why));
        assert_null(strstr(r.errors, "canary"));
    }
    write_file(longest, 4096);
    struct run r = {
        .answer = ACCEPTED, .argv = {"explain", "--user", "a", "--password-file", file_path}};
    run(&r);
    assert_int_equal(r.code, 0);
}

static void test_turnpikectl_revoke_says_what_and_for_how_long(void **state)
{
    static const struct {
        const char *argv[8], *body, *out;
    } rows[] = {
        {{"revoke", "--user", "alice"}, "{\"kind\":\"user\",\"id\":\"alice\",\"seconds\":172800}",
            "revoked\n"},
        {{"revoke", "--token", "0123456789abcdef", "--realm", "r", "--for", "90s"},
            "{\"kind\":\"token\",\"id\":\"0123456789abcdef\",\"realm\":\"r\",\"seconds\":90}",
            "revoked\n"},
        {{"revoke", "--secret", "old", "--for", "30d"},
            "{\"kind\":\"secret\",\"id\":\"old\",\"seconds\":2592000}", "revoked\n"},
        {{"revoke", "--undo", "--user", "alice"},
            "{\"kind\":\"user\",\"id\":\"alice\",\"seconds\":0}", "taken back\n"},
        {{"revoke", "--user", "alice", "--json"},
            "{\"kind\":\"user\",\"id\":\"alice\",\"seconds\":172800}", "{\"revoked\":true}\n"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct run r = {.answer = HEAD "{\"revoked\":true}\n"};
        memcpy(r.argv, rows[i].argv, sizeof(rows[i].argv));
        run(&r);
        assert_int_equal(r.code, 0);
        assert_memory_equal(r.request, "POST /api/v1/revocations HTTP/1.1\r\n", 35);
        assert_string_equal(body_of(&r), rows[i].body);
        assert_string_equal(r.out, rows[i].out);
    }
}

#define UNKNOWN "turnpikectl: no secret or key of the realm has this id; "

static void test_turnpikectl_revoke_notes_an_id_that_nobody_has(void **state)
{
    static const struct {
        const char *answer, *more, *out, *errors;
    } rows[] = {
        {HEAD "{\"revoked\":true,\"known\":false}\n", NULL, "revoked\n",
            UNKNOWN "revoked all the same\n"},
        {HEAD "{\"revoked\":true,\"known\":false}\n", "--undo", "taken back\n",
            UNKNOWN "taken back all the same\n"},
        {HEAD "{\"revoked\":true,\"known\":false}\n", "--json",
            "{\"revoked\":true,\"known\":false}\n", UNKNOWN "revoked all the same\n"},
        {HEAD "{\"revoked\":true,\"known\":true}\n", NULL, "revoked\n", ""},
        {HEAD "{\"revoked\":true,\"known\":null}\n", NULL, "revoked\n", ""},
        {HEAD "{\"revoked\":true}\n", NULL, "revoked\n", ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct run r = {
            .answer = rows[i].answer, .argv = {"revoke", "--secret", "odl", rows[i].more}};
        run(&r);
        assert_int_equal(r.code, 0);
        assert_string_equal(r.out, rows[i].out);
        assert_string_equal(r.errors, rows[i].errors);
    }
}

static void test_turnpikectl_revoke_wrong_use_is_2(void **state)
{
    static const char *const rows[][8] = {{"revoke"}, {"revoke", "alice"},
        {"revoke", "--user", "a", "--token", "b"}, {"revoke", "--realm", "r"},
        {"revoke", "--user", "a", "--for", "0s"}, {"revoke", "--user", "a", "--for", "soon"},
        {"revoke", "--user", "a", "--for", "99999999d"},
        {"revoke", "--user", "a", "--undo", "--for", "1h"}, {"revoke", "--user", "\xff"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_wrong_usage(rows[i], sizeof(rows[i]));
}

static void test_turnpikectl_status_has_redis_where_there_is_one(void **state)
{
    static const struct {
        const char *answer, *line;
    } rows[] = {{HEAD "{\"redis\":\"up\"}\n", "\nredis:        up\n"},
        {HEAD "{\"redis\":\"down\"}\n", "\nredis:        down\n"},
        {HEAD "{\"redis\":null}\n", NULL}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct run r = {.answer = rows[i].answer, .argv = {"status"}};
        run(&r);
        assert_int_equal(r.code, 0);
        assert_memory_equal(r.request, "GET /api/v1/status HTTP/1.1\r\n", 29);
        assert_non_null(strstr(r.out, rows[i].line ? rows[i].line : "uptime:"));
        assert_int_equal(strstr(r.out, "redis") != NULL, rows[i].line != NULL);
    }
}

#define KEY256 "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI="
#define KEY128 "MTIzNDU2Nzg5MDEyMzQ1Ng=="

/* The word behind `name` in what was printed. */
static void find_word(const char *text, const char *name, char out[200])
{
    const char *at = strstr(text, name);
    assert_non_null(at);
    assert_int_equal(sscanf(at + strlen(name), "%199s", out), 1);
}

static struct oauth_claims open_printed(const char *word, const char *key, uint8_t len, char id[17])
{
    struct crypto *crypto = crypto_new();
    struct store_oauth_key long_term = {
        .key_len = len, .algorithm = len == 16 ? AUTH_OAUTH_A128GCM : AUTH_OAUTH_A256GCM};
    memcpy(long_term.key, key, len);
    const struct oauth_seal seal = {crypto, &long_term, slice_of_string("turn.example.org")};
    uint8_t bytes[200];
    struct oauth_claims claims;
    assert_int_equal(strlen(word), 88);
    assert_int_equal(EVP_DecodeBlock(bytes, (const unsigned char *)word, 88), 66);
    assert_int_equal(oauth_token_open(&seal, slice_of(bytes, 64), &claims), 0);
    assert_int_equal(oauth_token_id(crypto, slice_of(bytes, 64), id), 0);
    crypto_free(crypto);
    return claims;
}

static void assert_mac_key(const struct oauth_claims *claims, const char *word)
{
    char text[32];
    EVP_EncodeBlock((unsigned char *)text, claims->mac_key.bytes, claims->mac_key.len);
    assert_string_equal(word, text);
}

static void test_turnpikectl_token_is_one_that_its_key_opens(void **state)
{
    char token[200], mac_key[200], kid[200], id[200], expected[17];
    write_file(KEY256 "\n", 45);
    struct run r = {.argv = {"token", "--kid", "north", "--key-file", file_path, "--server-name",
                        "turn.example.org"}};
    const time_t before = time(NULL);
    run(&r);
    assert_int_equal(r.code, 0);
    assert_string_equal(r.errors, "");
    find_word(r.out, "token:", token);
    find_word(r.out, "mac_key:", mac_key);
    find_word(r.out, "kid:", kid);
    find_word(r.out, "\nid:", id);
    const struct oauth_claims claims =
        open_printed(token, "12345678901234567890123456789012", 32, expected);
    assert_int_equal(claims.lifetime_s, 3600);
    assert_true((time_t)(claims.timestamp >> 16) >= before);
    assert_true((time_t)(claims.timestamp >> 16) <= time(NULL));
    assert_mac_key(&claims, mac_key);
    assert_string_equal(kid, "north");
    assert_string_equal(id, expected);
    assert_non_null(strstr(r.out, "\nexpires:      20"));
    assert_null(strstr(r.out, KEY256));
}

static void test_turnpikectl_token_as_json_is_what_the_rfc_shows(void **state)
{
    char id[17], *end;
    write_file(KEY128, 24);
    struct run r = {
        .argv = {"token", "--json", "--kid", "a\"b", "--key-file", file_path, "--server-name",
            "turn.example.org", "--algorithm", "A128GCM", "--lifetime", "90s"}};
    run(&r);
    assert_int_equal(r.code, 0);
    assert_memory_equal(r.out, "{\"access_token\":\"", 17);
    end = strchr(r.out + 17, '"');
    assert_non_null(end);
    *end = '\0';
    const struct oauth_claims claims = open_printed(r.out + 17, "1234567890123456", 16, id);
    assert_int_equal(claims.lifetime_s, 90);
    assert_non_null(
        strstr(end + 1, ",\"token_type\":\"pop\",\"expires_in\":90,\"kid\":\"a\\\"b\","));
    assert_non_null(strstr(end + 1, id));
    char *key = strstr(end + 1, "\"key\":\"") + 7;
    key[28] = '\0';
    assert_mac_key(&claims, key);
}

static void test_turnpikectl_token_wrong_use_is_2(void **state)
{
#define KEY    "--key-file", file_path
#define SERVER "--server-name", "s"
    const struct {
        const char *argv[12], *why;
    } rows[] = {{{"token"}, "needs"}, {{"token", "--kid", "k", KEY}, "needs"},
        {{"token", KEY, SERVER}, "needs"}, {{"token", "--kid", "k", SERVER}, "needs"},
        {{"token", "--kid", "", KEY, SERVER}, "a kid has"},
        {{"token", "--kid", "k", KEY, "--server-name", ""}, "a server name has"},
        {{"token", "--kid", "k", KEY, SERVER, "--algorithm", "A192GCM"}, "--algorithm"},
        {{"token", "--kid", "k", KEY, SERVER, "--algorithm", "A128GCM"}, "base64 of 16"},
        {{"token", "--kid", "k", KEY, SERVER, "--lifetime", "0s"}, "--lifetime"},
        {{"token", "--kid", "k", KEY, SERVER, "--lifetime", "99999999d"}, "--lifetime"},
        {{"token", "--kid", "k", KEY, SERVER, "--mac-key", "m"}, "--mac-key"},
        {{"token", "--kid", "k", KEY, SERVER, "more"}, "no argument"},
        {{"token", "--kid", "k", "--key-file", "/nowhere/f", SERVER}, "/nowhere/f"},
        {{"token", "--json", "--kid", "\xff", KEY, SERVER}, "UTF-8"}};
    write_file(KEY256, 44);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct run r = {0};
        memcpy(r.argv, rows[i].argv, sizeof(rows[i].argv));
        run(&r);
        if (r.code != 2 || !strstr(r.errors, rows[i].why))
            print_error("row %zu: %d %s\n", i, r.code, r.errors);
        assert_int_equal(r.code, 2);
        assert_string_equal(r.out, "");
        assert_non_null(strstr(r.errors, rows[i].why));
    }
}

static void test_turnpikectl_token_unfit_keys_are_2_and_not_shown(void **state)
{
    static const char *const keys[] = {KEY128, ("x" KEY256),
        "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz",
        "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMT==",
        "!!!zNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=", "12345678901234567890123456789012"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        write_file(keys[i], strlen(keys[i]));
        struct run r = {.argv = {"token", "--kid", "k", KEY, SERVER}};
        run(&r);
        assert_int_equal(r.code, 2);
        assert_string_equal(r.out, "");
        assert_non_null(strstr(r.errors, "not the base64 of 32 bytes"));
        assert_null(strstr(r.errors, keys[i]));
    }
}

static void test_turnpikectl_refusal_of_the_daemon_is_1(void **state)
{
    struct run r = {.answer = "HTTP/1.1 404 Not Found\r\n\r\nno such realm\nmore\n",
        .argv = {"revoke", "--user", "a", "--realm", "r"}};
    run(&r);
    assert_int_equal(r.code, 1);
    assert_string_equal(r.errors, "turnpikectl: refused (404): no such realm\n");
    assert_string_equal(r.out, "");
}

static void test_turnpikectl_strange_answers_are_3(void **state)
{
    static const char *const answers[] = {"", "SSH-2.0-x\r\n\r\n", HEAD "{}", HEAD "not json"};
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        struct run r = {.answer = answers[i], .argv = {"explain", "--user", "a"}};
        run(&r);
        assert_int_equal(r.code, 3);
        assert_non_null(strstr(r.errors, "not turnpike"));
    }
    struct run r = {.argv = {"--socket", "/nowhere", "explain", "--user", "a"}};
    run(&r);
    assert_int_equal(r.code, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turnpikectl_explain_password_from_input_accepted),
        cmocka_unit_test(test_turnpikectl_explain_password_from_file_refused),
        cmocka_unit_test(test_turnpikectl_explain_token_and_name_alone),
        cmocka_unit_test(test_turnpikectl_says_the_detail_of_a_problem),
        cmocka_unit_test(test_turnpikectl_explain_wrong_use_is_2),
        cmocka_unit_test(test_turnpikectl_explain_unfit_secrets_are_2),
        cmocka_unit_test(test_turnpikectl_revoke_says_what_and_for_how_long),
        cmocka_unit_test(test_turnpikectl_revoke_notes_an_id_that_nobody_has),
        cmocka_unit_test(test_turnpikectl_revoke_wrong_use_is_2),
        cmocka_unit_test(test_turnpikectl_status_has_redis_where_there_is_one),
        cmocka_unit_test(test_turnpikectl_token_is_one_that_its_key_opens),
        cmocka_unit_test(test_turnpikectl_token_as_json_is_what_the_rfc_shows),
        cmocka_unit_test(test_turnpikectl_token_wrong_use_is_2),
        cmocka_unit_test(test_turnpikectl_token_unfit_keys_are_2_and_not_shown),
        cmocka_unit_test(test_turnpikectl_refusal_of_the_daemon_is_1),
        cmocka_unit_test(test_turnpikectl_strange_answers_are_3),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
