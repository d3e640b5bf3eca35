/* A usage record as a line of JSON: whole, on one line and UTF-8, whatever is in its names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <jansson.h>

#include "auth/identity.h"
#include "base/transport.h"
#include "daemon/usage_line.h"

static char line[USAGE_LINE_MAX + 1];

static const char *write_line(const char *realm, const struct usage_record *r)
{
    memset(line, 'x', sizeof(line));
    const size_t len = usage_line_write(line, 0x1122334455667788, realm, r);
    assert_true(len > 0 && len <= USAGE_LINE_MAX);
    line[len] = '\0';
    assert_ptr_equal(strchr(line, '\n'), line + len - 1);
    return line;
}

static struct usage_record an_end(void)
{
    return (struct usage_record){.kind = USAGE_END,
        .reason = END_KICKED,
        .transport = TRANSPORT_TLS,
        .source = AUTH_SOURCE_REST,
        .relayed_count = 2,
        .user_len = 16,
        .user = "1800000000:alice",
        .sequence = 3,
        .allocation = 0x00000003a46b61f2,
        .started_ms = 1800000000123,
        .at_ms = 1800000065456,
        .age_ms = 65333,
        .credential = "a",
        .client = addr_ipv4(192, 0, 2, 7, 43278),
        .relayed = {addr_ipv4(203, 0, 113, 1, 49152), addr_ipv4(203, 0, 113, 1, 49154)},
        .total = {10, 1000, 20, 2000, 1, 2},
        .delta = {4, 400, 5, 500, 0, 1}};
}

static void test_usage_line_of_an_end_has_everything(void **state)
{
    const struct usage_record r = an_end();
    assert_string_equal(write_line("example.org", &r),
        "{\"v\":1,\"id\":\"1122334455667788-00000003a46b61f2-3\",\"type\":\"end\","
        "\"time\":\"2027-01-15T08:01:05.456Z\",\"instance\":\"1122334455667788\","
        "\"allocation\":\"00000003a46b61f2\",\"sequence\":3,\"realm\":\"example.org\","
        "\"user\":\"1800000000:alice\",\"account\":\"alice\",\"source\":\"rest\","
        "\"credential\":\"a\",\"transport\":\"tls\",\"client\":\"192.0.2.7:43278\","
        "\"relayed\":[\"203.0.113.1:49152\",\"203.0.113.1:49154\"],"
        "\"started\":\"2027-01-15T08:00:00.123Z\",\"ended\":\"2027-01-15T08:01:05.456Z\","
        "\"seconds\":65.333,\"reason\":\"kicked\","
        "\"total\":{\"to_peer\":{\"packets\":10,\"bytes\":1000,\"dropped\":1},"
        "\"to_client\":{\"packets\":20,\"bytes\":2000,\"dropped\":2}},"
        "\"delta\":{\"to_peer\":{\"packets\":4,\"bytes\":400,\"dropped\":0},"
        "\"to_client\":{\"packets\":5,\"bytes\":500,\"dropped\":1}}}\n");
}

static void test_usage_line_of_one_that_lives_has_no_end(void **state)
{
    struct usage_record r = an_end();
    r.kind = USAGE_LIVE;
    r.credential[0] = '\0';
    write_line("example.org", &r);
    assert_non_null(strstr(line, "\"type\":\"live\""));
    assert_non_null(strstr(line, "\"ended\":null,\"seconds\":65.333,\"reason\":null"));
    assert_non_null(strstr(line, "\"credential\":null"));
}

static void test_usage_line_of_lost_ones_names_no_allocation(void **state)
{
    const struct usage_record r = {.kind = USAGE_LOST,
        .sequence = 2,
        .allocation = 1,
        .lost = 17,
        .at_ms = 1800000000000,
        .total = {1, 2, 3, 4, 5, 6},
        .delta = {1, 2, 3, 4, 5, 6}};
    write_line("example.org", &r);
    assert_non_null(strstr(line, "\"id\":\"1122334455667788-lost1-2\",\"type\":\"lost\""));
    assert_non_null(strstr(line, "\"sequence\":2,\"realm\":\"example.org\",\"allocations\":17,"));
    assert_null(strstr(line, "\"user\""));
}

/* As jansson reads it: one text, as the bytes stand in Latin-1 where they are no UTF-8. */
static void test_usage_line_names_of_any_bytes_stay_on_their_line(void **state)
{
    static const char nasty[] = "a\"\\\n\r\x01\x7f\xe2\x80\xa8\xff\xc3\xa9";
    static const char read[] = "a\"\\\n\r\x01\x7f\xe2\x80\xa8\xc3\xbf\xc3\xa9";
    struct usage_record r = an_end();
    r.source = AUTH_SOURCE_STATIC;
    r.user_len = sizeof(nasty) - 1;
    memcpy(r.user, nasty, sizeof(nasty) - 1);
    json_t *json = json_loads(write_line("r\"e", &r), 0, NULL);
    assert_non_null(json);
    assert_string_equal(json_string_value(json_object_get(json, "user")), read);
    assert_string_equal(json_string_value(json_object_get(json, "account")), read);
    assert_string_equal(json_string_value(json_object_get(json, "realm")), "r\"e");
    json_decref(json);
}

static void test_usage_line_longest_names_fit(void **state)
{
    char realm[128];
    struct usage_record r = an_end();
    memset(realm, 1, 127);
    realm[127] = '\0';
    memset(r.user, 0xff, sizeof(r.user));
    r.user_len = USAGE_USER_MAX;
    memset(r.credential, '"', sizeof(r.credential) - 1);
    assert_int_equal(addr_parse(&r.client, "[2001:db8:1111:2222:3333:4444:5555:6666]:65535"), 0);
    r.relayed[0] = r.relayed[1] = r.client;
    memset(&r.total, 0x7f, sizeof(r.total));
    memset(&r.delta, 0x7f, sizeof(r.delta));
    r.allocation = r.age_ms = UINT64_MAX;
    r.sequence = UINT32_MAX;
    json_t *json = json_loads(write_line(realm, &r), 0, NULL);
    assert_non_null(json);
    assert_int_equal(json_object_size(json), 21);
    assert_int_equal(json_string_length(json_object_get(json, "user")), 2 * USAGE_USER_MAX);
    json_decref(json);
    assert_true(strlen(line) < USAGE_LINE_MAX);
    print_message("%zu bytes\n", strlen(line));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_usage_line_of_an_end_has_everything),
        cmocka_unit_test(test_usage_line_of_one_that_lives_has_no_end),
        cmocka_unit_test(test_usage_line_of_lost_ones_names_no_allocation),
        cmocka_unit_test(test_usage_line_names_of_any_bytes_stay_on_their_line),
        cmocka_unit_test(test_usage_line_longest_names_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
