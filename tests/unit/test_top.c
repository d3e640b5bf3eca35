/* What turnpikectl top makes of two samples: rates by allocation, the busiest first, in lines that
 * fit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "cli/top.h"

static void add(struct top_sample *sample, const char *text)
{
    json_t *page = json_loads(text, 0, NULL);
    assert_non_null(page);
    assert_int_equal(top_sample_add(sample, page), 0);
    json_decref(page);
}

#define SESSION(id, user, peer, client)                                                            \
    "{\"id\":\"" id "\",\"user\":\"" user "\",\"transport\":\"udp\",\"client\":\"192.0.2.1:9\","   \
    "\"to_peer\":{\"packets\":" peer "0,\"bytes\":" peer "000},"                                   \
    "\"to_client\":{\"packets\":" client "0,\"bytes\":" client "000}}"

static void make(struct top_sample *out)
{
    struct top_sample before = {.at_us = 1000000};
    *out = (struct top_sample){.at_us = 3000000};
    add(&before, "[" SESSION("000000000000000a", "ann", "1", "1") "," SESSION(
                     "000000000000000b", "bob", "2", "3") "]");
    add(&before, "[" SESSION("000000000000000c", "gone", "9", "9") "]");
    add(out, "[" SESSION("000000000000000a", "ann", "1", "1") "]");
    add(out, "[" SESSION("000000000000000b", "b\\u001b[2J", "4", "7") "," SESSION(
                 "000000000000000d", "new", "50", "50") "]");
    top_sample_compare(out, &before);
    top_sample_deinit(&before);
}

static void test_top_rates_are_of_the_time_between_samples(void **state)
{
    struct top_sample s;
    make(&s);
    assert_int_equal(s.count, 3);
    assert_string_equal(s.list[0].id, "000000000000000b");
    assert_true(s.list[0].to_peer_bits == 8000 && s.list[0].to_client_bits == 16000);
    assert_true(s.list[0].packets == 30);
    assert_string_equal(s.list[1].id, "000000000000000a"); /* equal rates: by id */
    assert_true(s.list[1].to_peer_bits == 0 && s.list[2].to_client_bits == 0);
    assert_true(s.to_peer_bits == 8000 && s.to_client_bits == 16000 && s.packets == 30);
    top_sample_deinit(&s);
}

static void test_top_lines_fit_and_hold_nothing_that_terminals_obey(void **state)
{
    struct top_sample s;
    char *text = NULL;
    size_t len;
    make(&s);
    FILE *out = open_memstream(&text, &len);
    top_print(out, &s, 3, 45, "\n");
    fclose(out);
    assert_string_equal(text, "3 allocations   to peers 8.0k bit/s   to clie\n"
                              "ID                USER                  VIA  \n"
                              "000000000000000b  b\\x1b[2J              udp  \n");
    free(text);
    out = open_memstream(&text, &len);
    top_print(out, &s, SIZE_MAX, 80, "\n");
    fclose(out);
    assert_non_null(strstr(text, "VIA     TO PEER  TO CLIENT    PACKETS\n"));
    assert_non_null(strstr(text, "udp        8.0k      16.0k         30\n"));
    free(text);
    out = open_memstream(&text, &len);
    top_print(out, &s, SIZE_MAX, 0, "\n");
    fclose(out);
    assert_non_null(strstr(text, "192.0.2.1:9                 8.0k      16.0k         30\n"));
    assert_null(strchr(text, '\x1b'));
    free(text);
    top_sample_deinit(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_top_rates_are_of_the_time_between_samples),
        cmocka_unit_test(test_top_lines_fit_and_hold_nothing_that_terminals_obey),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
