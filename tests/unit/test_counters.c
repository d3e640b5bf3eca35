/* base/counters: the names that operators see, sums over threads and the balance of datagrams. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <string.h>
#include <cmocka.h>

#include "base/counters.h"

static bool is_name(const char *s)
{
    return s && s[0] != '\0' && strspn(s, "abcdefghijklmnopqrstuvwxyz_") == strlen(s);
}

static void test_counters_reason_names_are_unique_words(void **state)
{
    for (int i = 0; i < REASON_COUNT; i++) {
        const char *name = reason_name((enum reason)i);
        if (!is_name(name))
            fail_msg("reason %d has the name \"%s\"", i, name ? name : "(null)");
        assert_true(strlen(reason_help((enum reason)i)) > 0);
        for (int k = 0; k < i; k++)
            assert_string_not_equal(name, reason_name((enum reason)k));
    }
    assert_string_equal(reason_name(REASON_NO_PERMISSION), "no_permission");
    assert_string_equal(reason_name(REASON_NONE), "none");
}

static void test_counters_metric_series_are_unique_words(void **state)
{
    for (int i = 0; i < METRIC_COUNT; i++) {
        const char *name = metric_name((enum metric)i), *labels = metric_labels((enum metric)i);
        if (!is_name(name) || strncmp(name, "turnpike_", 9) != 0)
            fail_msg("metric %d has the name \"%s\"", i, name ? name : "(null)");
        assert_non_null(labels);
        assert_true(strlen(metric_help((enum metric)i)) > 0);
        for (int k = 0; k < i; k++) {
            assert_true(strcmp(name, metric_name((enum metric)k)) != 0 ||
                        strcmp(labels, metric_labels((enum metric)k)) != 0);
        }
    }
    assert_string_equal(metric_labels(METRIC_RECEIVED_PEER), "leg=\"peer\",direction=\"in\"");
}

static void test_counters_end_counts_by_reason_and_by_result(void **state)
{
    for (int i = 0; i < END_COUNT; i++) {
        static struct counters c;
        struct counters_sum sum = {0};
        const char *name = end_reason_name((enum end_reason)i);
        memset(&c, 0, sizeof(c));
        assert_true(is_name(name));
        for (int k = 0; k < i; k++)
            assert_string_not_equal(name, end_reason_name((enum end_reason)k));
        counters_end(&c, (enum end_reason)i);
        counters_sum_add(&sum, &c);
        assert_int_equal(sum.metric[METRIC_END_EXPIRED + i], 1);
        assert_non_null(strstr(metric_labels((enum metric)(METRIC_END_EXPIRED + i)), name));
        assert_int_equal(sum.metric[METRIC_ALLOCATIONS_CREATED], 0);
        assert_int_equal(
            sum.metric[METRIC_ALLOCATIONS_DELETED] + sum.metric[METRIC_ALLOCATIONS_EXPIRED] +
                sum.metric[METRIC_ALLOCATIONS_ENDED] + sum.metric[METRIC_ALLOCATIONS_REVOKED],
            1);
    }
}

static void test_counters_sum_adds_all_threads(void **state)
{
    static struct counters a, b;
    static struct counters_sum sum;
    counters_add(&a, METRIC_RECEIVED_CLIENT, 3);
    counters_add(&b, METRIC_RECEIVED_CLIENT, 4);
    counters_add(&b, METRIC_LOG_LOST, 1ull << 40);
    counters_drop(&a, REASON_MAILBOX_FULL);
    counters_drop(&b, REASON_MAILBOX_FULL);
    counters_refuse(&b, REASON_QUOTA_USER);
    counters_close(&a, REASON_HTTP_PROBE);
    counters_close(&b, REASON_HTTP_PROBE);
    counters_sum_add(&sum, &a);
    counters_sum_add(&sum, &b);
    assert_int_equal(sum.closed[REASON_HTTP_PROBE], 2);
    assert_int_equal(sum.metric[METRIC_RECEIVED_CLIENT], 7);
    assert_true(sum.metric[METRIC_LOG_LOST] == 1ull << 40);
    assert_int_equal(sum.dropped[REASON_MAILBOX_FULL], 2);
    assert_int_equal(sum.refused[REASON_MAILBOX_FULL], 0);
    assert_int_equal(sum.refused[REASON_QUOTA_USER], 1);
    assert_int_equal(sum.dropped[REASON_QUOTA_USER], 0);
}

static void test_counters_imbalance_is_what_is_unaccounted(void **state)
{
    struct counters_sum sum = {0};
    assert_int_equal(counters_sum_imbalance(&sum), 0);
    sum.metric[METRIC_RECEIVED_CLIENT] = 10;
    sum.metric[METRIC_RECEIVED_PEER] = 20;
    assert_int_equal(counters_sum_imbalance(&sum), 30);
    sum.metric[METRIC_RELAYED_TO_PEER] = 6;
    sum.metric[METRIC_RELAYED_TO_CLIENT] = 18;
    sum.metric[METRIC_CONSUMED] = 3;
    sum.dropped[0] = 1;
    sum.dropped[REASON_COUNT - 1] = 1;
    assert_int_equal(counters_sum_imbalance(&sum), 1);
    sum.dropped[REASON_NO_PERMISSION] = 2;
    assert_int_equal(counters_sum_imbalance(&sum), -1);
    sum.metric[METRIC_ICMP_RECEIVED] = 9;
    assert_int_equal(counters_sum_imbalance(&sum), 8);
    sum.metric[METRIC_ICMP_RELAYED] = 9;
    assert_int_equal(counters_sum_imbalance(&sum), -1);
    /* Refused requests are consumed ones: not counted twice. */
    sum.refused[REASON_QUOTA_USER] = 5;
    assert_int_equal(counters_sum_imbalance(&sum), -1);
}

static void test_counters_gauge_series_are_unique_words(void **state)
{
    for (int i = 0; i < GAUGE_COUNT; i++) {
        assert_true(is_name(gauge_name((enum gauge)i)));
        assert_true(strlen(gauge_help((enum gauge)i)) > 0);
        for (int k = 0; k < i; k++)
            assert_true(strcmp(gauge_name((enum gauge)i), gauge_name((enum gauge)k)) != 0 ||
                        strcmp(gauge_labels((enum gauge)i), gauge_labels((enum gauge)k)) != 0);
    }
    assert_string_equal(
        gauge_labels(GAUGE_ALLOCATIONS_DTLS_DUAL), "transport=\"dtls\",family=\"dual\"");
}

static void test_counters_gauge_set_replaces_its_value(void **state)
{
    static struct counters c;
    struct counters_sum sum = {0};
    counters_gauge_set(&c, GAUGE_TLS_CERT_EXPIRY, 4102444800);
    counters_gauge_set(&c, GAUGE_TLS_CERT_EXPIRY, 4102444801);
    counters_sum_add(&sum, &c);
    assert_int_equal(sum.gauge[GAUGE_TLS_CERT_EXPIRY], 4102444801);
}

/* An allocation that moves to another thread ends in another array than it began in. */
static void test_counters_gauge_ended_in_another_thread_sums_to_zero(void **state)
{
    static struct counters a, b;
    struct counters_sum sum = {0};
    counters_gauge(&a, GAUGE_ALLOCATIONS_UDP_IPV4, 1);
    counters_gauge(&a, GAUGE_ALLOCATIONS_UDP_IPV4, 1);
    counters_gauge(&b, GAUGE_ALLOCATIONS_UDP_IPV4, -1);
    counters_sum_add(&sum, &a);
    counters_sum_add(&sum, &b);
    assert_int_equal(sum.gauge[GAUGE_ALLOCATIONS_UDP_IPV4], 1);
    counters_gauge(&b, GAUGE_ALLOCATIONS_UDP_IPV4, -1);
    sum = (struct counters_sum){0};
    counters_sum_add(&sum, &a);
    counters_sum_add(&sum, &b);
    assert_int_equal(sum.gauge[GAUGE_ALLOCATIONS_UDP_IPV4], 0);
}

static void test_counters_request_codes_have_their_own_series(void **state)
{
    static struct counters c;
    struct counters_sum sum = {0};
    assert_int_equal(request_code_of(REQUEST_METHOD_BINDING, 0), REQUEST_CODE_SUCCESS);
    assert_int_equal(request_code_of(REQUEST_METHOD_REFRESH, 438), REQUEST_CODE_438);
    assert_string_equal(
        request_code_label(request_code_of(REQUEST_METHOD_CHANNEL_BIND, 508)), "508");
    assert_int_equal(request_code_of(REQUEST_METHOD_ALLOCATE, 499), REQUEST_CODE_OTHER);
    assert_int_equal(request_code_of(REQUEST_METHOD_ALLOCATE, UINT_MAX), REQUEST_CODE_OTHER);
    assert_int_equal(request_code_of(REQUEST_METHOD_ALLOCATE, 486), REQUEST_CODE_486);
    assert_int_equal(request_code_of(REQUEST_METHOD_REFRESH, 486), REQUEST_CODE_OTHER);
    assert_int_equal(request_code_of(REQUEST_METHOD_BINDING, 437), REQUEST_CODE_OTHER);
    assert_string_equal(request_method_label(REQUEST_METHOD_CHANNEL_BIND), "channel_bind");
    counters_request(&c, REQUEST_METHOD_REFRESH, REQUEST_CODE_437);
    counters_sum_add(&sum, &c);
    counters_sum_add(&sum, &c);
    assert_int_equal(sum.request[REQUEST_METHOD_REFRESH][REQUEST_CODE_437], 2);
    assert_int_equal(sum.request[REQUEST_METHOD_REFRESH][REQUEST_CODE_438], 0);
}

static void test_counters_reason_groups_are_told_apart(void **state)
{
    assert_true(reason_is_auth_failure(REASON_WRONG_PASSWORD));
    assert_true(reason_is_auth_failure(REASON_WRONG_USER));
    assert_true(reason_is_auth_failure(REASON_STALE_NONCE));
    assert_false(reason_is_auth_failure(REASON_NO_INTEGRITY)); /* every client's first challenge */
    assert_string_equal(reason_limit_scope(REASON_QUOTA_REALM), "realm");
    assert_null(reason_limit_scope(REASON_WRONG_PASSWORD));
    assert_true(reason_is_closing(REASON_CONNECTION_IDLE));
    assert_false(reason_is_closing(REASON_WRITE_QUEUE_FULL));
    for (int i = 0; i < REASON_COUNT; i++) {
        for (int k = 0; k < i && reason_limit_scope((enum reason)i); k++) {
            const char *scope = reason_limit_scope((enum reason)k);
            assert_true(!scope || strcmp(scope, reason_limit_scope((enum reason)i)) != 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counters_reason_names_are_unique_words),
        cmocka_unit_test(test_counters_metric_series_are_unique_words),
        cmocka_unit_test(test_counters_end_counts_by_reason_and_by_result),
        cmocka_unit_test(test_counters_sum_adds_all_threads),
        cmocka_unit_test(test_counters_imbalance_is_what_is_unaccounted),
        cmocka_unit_test(test_counters_gauge_series_are_unique_words),
        cmocka_unit_test(test_counters_gauge_set_replaces_its_value),
        cmocka_unit_test(test_counters_gauge_ended_in_another_thread_sums_to_zero),
        cmocka_unit_test(test_counters_request_codes_have_their_own_series),
        cmocka_unit_test(test_counters_reason_groups_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
