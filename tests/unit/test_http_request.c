/* Requests by a connection's first bytes. Each look is at a copy of exactly the bytes that have
 * come, so that a sanitizer sees one too many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "wire/http_request.h"

static enum http_outcome look_at(const void *bytes, size_t len)
{
    uint8_t *copy = malloc(len == 0 ? 1 : len);
    assert_non_null(copy);
    memcpy(copy, bytes, len);
    const enum http_outcome outcome = http_request_look(slice_of(copy, len));
    free(copy);
    return outcome;
}

/* MORE for every part of it, `outcome` for all of it and for all with something behind. */
static void assert_from(const char *bytes, size_t len, enum http_outcome outcome)
{
    char longer[2 * HTTP_REQUEST_MAX];
    for (size_t part = 0; part < len; part++)
        assert_int_equal(look_at(bytes, part), HTTP_MORE);
    memcpy(longer, bytes, len);
    for (size_t behind = 0; behind < 5; behind++) {
        assert_int_equal(look_at(longer, len + behind), outcome);
        longer[len + behind] = behind % 2 == 0 ? '\0' : 'G';
    }
}

static void test_http_request_split_at_every_byte_is_whole_with_its_last(void **state)
{
    static const char *const requests[] = {
        "GET / HTTP/1.1\r\nHost: 192.0.2.1\r\nUser-Agent: probe\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "HEAD /health?x=1 HTTP/1.1\r\nHost:\ta\r\n\r\n",
        "OPTIONS * HTTP/1.0\r\n\r\n",
        "GET http://example.org/ HTTP/1.9\r\nX: \xc3\xa9 \xff\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
        assert_from(requests[i], strlen(requests[i]), HTTP_WHOLE);
}

static void test_http_request_nothing_asks_for_more(void **state)
{
    assert_int_equal(http_request_look(slice_of(NULL, 0)), HTTP_MORE);
}

static void test_http_request_first_byte_tells_from_all_else(void **state)
{
    for (unsigned first = 0; first <= 255; first++) {
        const uint8_t byte = (uint8_t)first;
        const bool may = byte == 'G' || byte == 'H' || byte == 'O';
        assert_int_equal(look_at(&byte, 1), may ? HTTP_MORE : HTTP_ABSENT);
    }
}

static void test_http_request_other_methods_are_absent(void **state)
{
    static const char *const others[] = {"get / HTTP/1.1\r\n\r\n", "GETS / HTTP/1.1\r\n\r\n",
        "GET\t/ HTTP/1.1\r\n\r\n", "GET\r\n", "HEADER", "OPTION ", "POST / HTTP/1.1\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", " GET / HTTP/1.1\r\n\r\n",
        "\r\nGET / HTTP/1.1\r\n\r\n"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_int_equal(look_at(others[i], strlen(others[i])), HTTP_ABSENT);
    const uint8_t channel_data[] = {0x47, 0x45, 0, 2, 'T', ' '};
    assert_int_equal(look_at(channel_data, sizeof(channel_data)), HTTP_ABSENT);
}

static void test_http_request_other_request_lines_are_bad_at_their_end(void **state)
{
    static const char *const lines[] = {"GET /\r\n", "GET  HTTP/1.1\r\n", "GET / HTTP/2.0\r\n",
        "GET / HTTP/1.1 \r\n", "GET / HTTP/1.\r\n", "GET / HTTP/1.x\r\n", "GET / HTTP/1.10\r\n",
        "GET  / HTTP/1.1\r\n", "GET /  HTTP/1.1\r\n", "GET /a b HTTP/1.1\r\n", "GET / http/1.1\r\n",
        "GET \xc3\xa9 HTTP/1.1\r\n", "GET /\tHTTP/1.1\r\n", "GET \r\n", "HEAD / XTTP/1.1\r\n"};
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        assert_from(lines[i], strlen(lines[i]), HTTP_BAD);
}

static void test_http_request_control_characters_are_bad_at_once(void **state)
{
    char request[] = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
    const size_t places[] = {5, 20};
    for (size_t i = 0; i < 2; i++) {
        const char before = request[places[i]];
        for (unsigned byte = 0; byte < 256; byte++) {
            const bool control = (byte < 0x20 && byte != '\t' && byte != '\r') || byte == 0x7f;
            request[places[i]] = (char)byte;
            assert_int_equal(look_at(request, places[i] + 1), control ? HTTP_BAD : HTTP_MORE);
        }
        request[places[i]] = before;
    }
}

static void test_http_request_half_a_line_end_is_bad(void **state)
{
    static const char *const heads[] = {"GET / HTTP/1.1\n", "GET / HTTP/1.1\rH",
        "GET / HTTP/1.1\r\r", "GET / HTTP/1.1\r\nA: b\n", "GET / HTTP/1.1\r\n\n",
        "GET / HTTP/1.1\r\nA: b\r\n\rX"};
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
        assert_from(heads[i], strlen(heads[i]), HTTP_BAD);
}

static void test_http_request_longest_head_is_whole_and_one_more_byte_is_bad(void **state)
{
    static char request[HTTP_REQUEST_MAX + 8];
    const int begin = snprintf(request, sizeof(request), "GET / HTTP/1.1\r\nCookie: ");
    memset(request + begin, 'x', sizeof(request) - (size_t)begin);
    memcpy(request + HTTP_REQUEST_MAX - 4, "\r\n\r\n", 4);
    assert_from(request, HTTP_REQUEST_MAX, HTTP_WHOLE);
    memcpy(request + HTTP_REQUEST_MAX - 4, "x\r\n\r\n", 5);
    assert_int_equal(look_at(request, HTTP_REQUEST_MAX - 1), HTTP_MORE);
    assert_int_equal(look_at(request, HTTP_REQUEST_MAX), HTTP_BAD);
    assert_int_equal(look_at(request, HTTP_REQUEST_MAX + 1), HTTP_BAD);
}

/* The body's length as the head announces it. */
static void assert_answer(struct slice answer, bool with_body)
{
    char text[512];
    assert_true(answer.len < sizeof(text));
    memcpy(text, answer.data, answer.len);
    text[answer.len] = '\0';
    assert_ptr_equal(strstr(text, "HTTP/1.1 200 OK\r\n"), text);
    assert_non_null(strstr(text, "\r\nConnection: close\r\n"));
    const char *body = strstr(text, "\r\n\r\n"), *length = strstr(text, "\r\nContent-Length: ");
    assert_non_null(body);
    assert_non_null(length);
    const unsigned long announced = strtoul(length + 18, NULL, 10);
    assert_true(announced > 0);
    assert_int_equal(strlen(body + 4), with_body ? announced : 0);
}

static void test_http_request_answer_has_a_body_but_for_head(void **state)
{
    assert_answer(http_request_answer(slice_of_string("GET / HTTP/1.0\r\n\r\n")), true);
    assert_answer(http_request_answer(slice_of_string("OPTIONS * HTTP/1.0\r\n\r\n")), true);
    assert_answer(http_request_answer(slice_of_string("HEAD / HTTP/1.0\r\n\r\n")), false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http_request_split_at_every_byte_is_whole_with_its_last),
        cmocka_unit_test(test_http_request_nothing_asks_for_more),
        cmocka_unit_test(test_http_request_first_byte_tells_from_all_else),
        cmocka_unit_test(test_http_request_other_methods_are_absent),
        cmocka_unit_test(test_http_request_other_request_lines_are_bad_at_their_end),
        cmocka_unit_test(test_http_request_control_characters_are_bad_at_once),
        cmocka_unit_test(test_http_request_half_a_line_end_is_bad),
        cmocka_unit_test(test_http_request_longest_head_is_whole_and_one_more_byte_is_bad),
        cmocka_unit_test(test_http_request_answer_has_a_body_but_for_head),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
