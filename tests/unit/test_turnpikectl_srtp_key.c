/*
 * turnpikectl srtp-key: what it asks, what it would have written into Redis, and that a key is
 * nowhere but in the request.
 */
#include "tests/unit/turnpikectl.h"

#include <openssl/evp.h>

#include "srtp/wrapped_key.h"

#define BASE64    "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj"
#define ATTRIBUTE "AES_CM_128_HMAC_SHA1_80 inline:" BASE64 "|2^20|1:4"
#define DONE      HEAD "{\"until\": 1795503600}\n"
#define BACK      HEAD "{\"until\": null}\n"
#define ID        "0123456789abcdef"
#define WRAP_KEY  "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

static const uint8_t wrap_key[33] = "0123456789abcdef0123456789abcdef";

static void assert_secret(const struct run *r)
{
    assert_null(strstr(r->command_line, "d0Rm"));
    assert_null(strstr(r->out, "d0Rm"));
    assert_null(strstr(r->errors, "d0Rm"));
}

static void test_turnpikectl_srtp_key_is_deposited(void **state)
{
    static const struct {
        const char *argv[16], *body;
    } rows[] = {
        {{"srtp-key", "--allocation", ID, "--direction", "to_peer"},
            "{\"allocation\":\"" ID "\",\"direction\":\"to_peer\",\"crypto\":\"" ATTRIBUTE
            "\",\"seconds\":3600}"},
        {{"srtp-key", "--user", "alice", "--realm", "r", "--ssrc", "7", "--direction", "to_client",
             "--roc", "0", "--ttl", "48h"},
            "{\"user\":\"alice\",\"realm\":\"r\",\"direction\":\"to_client\",\"ssrc\":7,\"roc\":0,"
            "\"crypto\":\"" ATTRIBUTE "\",\"seconds\":172800}"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct run r = {.input = ATTRIBUTE "\r\n", .answer = DONE};
        memcpy(r.argv, rows[i].argv, sizeof(r.argv));
        run(&r);
        assert_int_equal(r.code, 0);
        assert_memory_equal(r.request, "POST /api/v1/srtp-keys HTTP/1.1\r\n", 33);
        assert_string_equal(body_of(&r), rows[i].body);
        assert_string_equal(r.out, "deposited, until 2026-11-24T07:00:00Z\n");
        assert_secret(&r);
    }
    struct run json = {.input = ATTRIBUTE,
        .answer = DONE,
        .argv = {"srtp-key", "--json", "--allocation", ID, "--direction", "to_peer"}};
    run(&json);
    assert_int_equal(json.code, 0);
    assert_string_equal(json.out, "{\"until\": 1795503600}\n");
}

/* Without reading standard input, which may be a terminal. */
static void test_turnpikectl_srtp_key_is_taken_back(void **state)
{
    struct run r = {.answer = BACK,
        .argv = {"srtp-key", "--allocation", ID, "--ssrc", "4294967295", "--direction", "to_peer",
            "--take-back"}};
    run(&r);
    assert_int_equal(r.code, 0);
    assert_string_equal(body_of(&r), "{\"allocation\":\"" ID "\",\"direction\":\"to_peer\","
                                     "\"ssrc\":4294967295,\"seconds\":0}");
    assert_string_equal(r.out, "taken back\n");
}

static void test_turnpikectl_srtp_key_refused_and_unreachable(void **state)
{
    struct run refused = {.input = ATTRIBUTE,
        .answer = "HTTP/1.1 507 x\r\n\r\nas many keys are in force as may be\n",
        .argv = {"srtp-key", "--allocation", ID, "--direction", "to_peer"}};
    run(&refused);
    assert_int_equal(refused.code, 1);
    assert_non_null(strstr(refused.errors, "refused (507): as many"));
    struct run strange = refused;
    strange.answer = HEAD "{}";
    run(&strange);
    assert_int_equal(strange.code, 3);
    /* Before anybody is asked. */
    struct run bad = {.input = "AES_CM_128_HMAC_SHA1_80 inline:d0RmQQ==",
        .argv = {"srtp-key", "--allocation", ID, "--direction", "to_peer"}};
    run(&bad);
    assert_int_equal(bad.code, 1);
    assert_non_null(strstr(bad.errors, "length"));
    assert_secret(&bad);
}

static void test_turnpikectl_srtp_key_wrong_usage(void **state)
{
#define TO "--direction", "to_peer"
    static const char *const rows[][12] = {{"srtp-key"}, {"srtp-key", TO},
        {"srtp-key", "--allocation", ID}, {"srtp-key", "--allocation", ID, "--direction", "up"},
        {"srtp-key", "--allocation", "0123456789abcde", TO},
        {"srtp-key", "--allocation", "0123456789ABCDEF", TO},
        {"srtp-key", "--allocation", "0000000000000000", TO},
        {"srtp-key", "--allocation", ID, "--realm", "r", TO},
        {"srtp-key", "--allocation", ID, "--user", "alice", "--ssrc", "1", TO},
        {"srtp-key", "--user", "alice", TO}, {"srtp-key", "--user", "", "--ssrc", "1", TO},
        {"srtp-key", "--user", "\xff", "--ssrc", "1", TO},
        {"srtp-key", "--allocation", ID, TO, "--ssrc", "4294967296"},
        {"srtp-key", "--allocation", ID, TO, "--ssrc", "0x1"},
        {"srtp-key", "--allocation", ID, TO, "--roc", "-1"},
        {"srtp-key", "--allocation", ID, TO, "--ttl", "0s"},
        {"srtp-key", "--allocation", ID, TO, "--ttl", "49h"},
        {"srtp-key", "--allocation", ID, TO, "--take-back", "--ttl", "1h"},
        {"srtp-key", "--allocation", ID, TO, "--take-back", "--roc", "1"},
        {"srtp-key", "--allocation", ID, TO, "--wrap"},
        {"srtp-key", "--allocation", ID, TO, "--prefix", "p"},
        {"srtp-key", "--allocation", ID, TO, "--wrap-key-file", "/dev/null"},
        {"srtp-key", "--allocation", ID, TO, "--wrap", "--wrap-key-file", "/dev/null"},
        {"srtp-key", "--allocation", ID, TO, "--wrap", "--take-back", "--prefix", "a b"},
        {"srtp-key", "--allocation", ID, TO, "--wrap", "--take-back", "--prefix", ""},
        {"srtp-key", "--user", "alice", "--ssrc", "1", TO, "--wrap", "--take-back"},
        {"srtp-key", "--new-wrap-key", "--wrap"}, {"srtp-key", ATTRIBUTE}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct run r = {.input = ATTRIBUTE};
        memcpy(r.argv, rows[i], sizeof(rows[i]));
        run(&r);
        if (r.code != 2 || strlen(r.errors) == 0)
            fail_msg("row %zu: %d, '%s'", i, r.code, r.errors);
    }
    struct run empty = {.argv = {"srtp-key", "--allocation", ID, TO}};
    run(&empty);
    assert_int_equal(empty.code, 2);
}

/* Opens what is printed as the daemon would. */
static void assert_opens(const char *out, const char *place, const char *field, bool has_roc)
{
    const struct wrapped_for whose = {slice_of_string(place), slice_of_string(field)};
    const struct slice keys[2] = {{0}, slice_of(wrap_key, SRTP_WRAP_KEY_LEN)};
    char key[256], hset[1024], at[256], end[2][128], xadd[256], value[600];
    long long until;
    snprintf(key, sizeof(key), "turnpike/srtp/%s", place);
    assert_int_equal(sscanf(out, "HSET %255s %1023s %599s", at, hset, value), 3);
    assert_string_equal(at, key);
    assert_string_equal(hset, field);
    assert_int_equal(sscanf(value, "v1.%lld.", &until), 1);
    assert_in_range(until, time(NULL) + 59, time(NULL) + 60);
    struct crypto *crypto = crypto_new();
    struct srtp_deposit d;
    assert_non_null(crypto);
    assert_int_equal(wrapped_key_open(crypto, keys, &whose, slice_of_string(value), time(NULL), &d),
        WRAPPED_FAULT_NONE);
    crypto_free(crypto);
    assert_int_equal(d.keys.has_roc, has_roc);
    assert_memory_equal(d.keys.masters[0].key_and_salt, "wDfvg", 5);
    snprintf(end[0], sizeof(end[0]), "\nEXPIREAT %.80s %lld NX\n", key, until);
    snprintf(end[1], sizeof(end[1]), "\nEXPIREAT %.80s %lld GT\n", key, until);
    assert_non_null(strstr(out, end[0]));
    assert_non_null(strstr(out, end[1]));
    snprintf(
        xadd, sizeof(xadd), "\nXADD turnpike/srtp/deposits MAXLEN ~ 10000 * place %.80s\n", place);
    assert_non_null(strstr(out, xadd));
}

static void test_turnpikectl_srtp_key_wraps_for_redis(void **state)
{
    write_file(WRAP_KEY "\n", sizeof(WRAP_KEY));
    struct run user = {.input = ATTRIBUTE,
        .argv = {"srtp-key", "--wrap", "--wrap-key-file", file_path, "--user", "1:a/b", "--realm",
            "r", "--ssrc", "7", "--direction", "to_peer", "--ttl", "1min"}};
    run(&user);
    assert_int_equal(user.code, 0);
    assert_opens(user.out, "user/r/1:a%2Fb", "to_peer/7", false);
    assert_secret(&user);
    assert_null(strstr(user.out, "MDEy"));
    struct run id = {.input = ATTRIBUTE,
        .argv = {"srtp-key", "--wrap", "--wrap-key-file", file_path, "--allocation", ID, "--roc",
            "3", "--direction", "to_client", "--ttl", "60s"}};
    run(&id);
    assert_int_equal(id.code, 0);
    assert_opens(id.out, "allocation/" ID, "to_client", true);
    struct run other = {.argv = {"srtp-key", "--wrap", "--allocation", ID, "--take-back",
                            "--direction", "to_client", "--prefix", "x:y"}};
    run(&other);
    assert_int_equal(other.code, 0);
    assert_string_equal(other.out,
        "HDEL x:y/srtp/allocation/" ID " to_client\n"
        "XADD x:y/srtp/deposits MAXLEN ~ 10000 * place allocation/" ID "\n");
    struct run json = {.argv = {"srtp-key", "--json", "--wrap", "--allocation", ID, "--take-back",
                           "--direction", "to_client"}};
    run(&json);
    assert_string_equal(json.out,
        "{\"commands\":[\"HDEL turnpike/srtp/allocation/" ID " to_client\","
        "\"XADD turnpike/srtp/deposits MAXLEN ~ 10000 * place allocation/" ID "\"]}\n");
}

static void test_turnpikectl_srtp_key_wrap_key_is_32_bytes(void **state)
{
    static const char *const bad[] = {"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZQ==", "0123", "",
        "0123456789abcdef0123456789abcdef"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        write_file(bad[i], strlen(bad[i]));
        struct run r = {.input = ATTRIBUTE,
            .argv = {"srtp-key", "--wrap", "--wrap-key-file", file_path, "--allocation", ID,
                "--direction", "to_client"}};
        run(&r);
        assert_int_equal(r.code, 2);
        assert_string_equal(r.out, "");
    }
    struct run made = {.argv = {"srtp-key", "--new-wrap-key"}},
               again = {.argv = {"srtp-key", "--new-wrap-key", "--json"}};
    uint8_t bytes[48];
    run(&made);
    run(&again);
    assert_int_equal(made.code, 0);
    assert_int_equal(strlen(made.out), 45);
    assert_int_equal(EVP_DecodeBlock(bytes, (unsigned char *)made.out, 44), 33);
    assert_memory_equal(again.out, "{\"wrap_key\":\"", 13);
    assert_int_equal(strlen(again.out), 13 + 44 + 3);
    assert_memory_not_equal(again.out + 13, made.out, 44);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turnpikectl_srtp_key_is_deposited),
        cmocka_unit_test(test_turnpikectl_srtp_key_is_taken_back),
        cmocka_unit_test(test_turnpikectl_srtp_key_refused_and_unreachable),
        cmocka_unit_test(test_turnpikectl_srtp_key_wrong_usage),
        cmocka_unit_test(test_turnpikectl_srtp_key_wraps_for_redis),
        cmocka_unit_test(test_turnpikectl_srtp_key_wrap_key_is_32_bytes),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
