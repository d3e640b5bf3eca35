/* admin/metrics_text: the exposition format, that every list is exported, and its document. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "admin/metrics_text.h"

#define SERIES_MAX 500

static char *text_of(const struct counters_sum *sum, bool comments, size_t *len)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, len);
    assert_non_null(out);
    struct metrics_text m = {.sum = sum, .version = "1.2.3", .comments = comments};
    metrics_text_write(&m, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

static bool has_line(const char *text, const char *line)
{
    size_t len = strlen(line);
    for (const char *p = text; (p = strstr(p, line)); p += len) {
        if ((p == text || p[-1] == '\n') && p[len] == '\n')
            return true;
    }
    return false;
}

/* The value of a series, which must be there exactly once. */
static unsigned long long value_of(const char *text, const char *series)
{
    const char *found = NULL;
    size_t len = strlen(series);
    for (const char *p = text; (p = strstr(p, series)); p += len) {
        if ((p == text || p[-1] == '\n') && p[len] == ' ') {
            assert_null(found);
            found = p;
        }
    }
    if (!found) {
        fail_msg("no series %s", series);
        return 0;
    }
    return strtoull(found + len, NULL, 10);
}

static size_t count_lines(const char *text)
{
    size_t lines = 0;
    for (; *text != '\0'; text++)
        lines += *text == '\n';
    return lines;
}

/* Every value another one, so that a mistaken series shows. */
static void fill(struct counters_sum *sum)
{
    uint64_t n = 1000;
    for (int i = 0; i < METRIC_COUNT; i++)
        sum->metric[i] = n++;
    for (int i = 0; i < REASON_COUNT; i++) {
        sum->dropped[i] = n++;
        sum->refused[i] = n++;
        sum->closed[i] = n++;
    }
    for (int i = 0; i < GAUGE_COUNT; i++)
        sum->gauge[i] = n++;
    for (int m = 0; m < REQUEST_METHOD_COUNT; m++) {
        for (int c = 0; c < REQUEST_CODE_COUNT; c++)
            sum->request[m][c] = n++;
    }
    for (int h = 0; h < HISTOGRAM_COUNT; h++) {
        for (int b = 0; b <= HISTOGRAM_BOUNDS; b++)
            sum->histogram[h].bucket[b] = n++;
        sum->histogram[h].sum_us = n++;
    }
}

static void test_metrics_text_every_counter_and_gauge_is_a_series(void **state)
{
    struct counters_sum sum = {0};
    size_t len;
    char name[256];
    fill(&sum);
    char *text = text_of(&sum, false, &len);
    for (int i = 0; i < METRIC_COUNT; i++) {
        bool bare = metric_labels(i)[0] == '\0';
        snprintf(name, sizeof(name), "%s%s%s%s", metric_name(i), bare ? "" : "{", metric_labels(i),
            bare ? "" : "}");
        assert_int_equal(value_of(text, name), sum.metric[i]);
    }
    for (int i = 0; i < GAUGE_COUNT; i++) {
        bool bare = gauge_labels(i)[0] == '\0';
        snprintf(name, sizeof(name), "%s%s%s%s", gauge_name(i), bare ? "" : "{", gauge_labels(i),
            bare ? "" : "}");
        assert_int_equal(value_of(text, name), i == GAUGE_REDIS_RTT ? 0 : sum.gauge[i]);
    }
    for (int i = REASON_NONE + 1; i < REASON_COUNT; i++) {
        if (reason_is_closing(i)) {
            snprintf(name, sizeof(name), "turnpike_connections_closed_total{reason=\"%s\"}",
                reason_name(i));
            assert_int_equal(value_of(text, name), sum.closed[i]);
            continue;
        }
        snprintf(
            name, sizeof(name), "turnpike_packets_dropped_total{reason=\"%s\"}", reason_name(i));
        assert_int_equal(value_of(text, name), sum.dropped[i]);
        snprintf(
            name, sizeof(name), "turnpike_requests_refused_total{reason=\"%s\"}", reason_name(i));
        if (reason_only_drops(i))
            assert_null(strstr(text, name));
        else
            assert_int_equal(value_of(text, name), sum.refused[i]);
    }
    assert_int_equal(value_of(text, "turnpike_requests_total{method=\"refresh\",code=\"437\"}"),
        sum.request[REQUEST_METHOD_REFRESH][REQUEST_CODE_437]);
    assert_int_equal(value_of(text, "turnpike_requests_total{method=\"allocate\",code=\"486\"}"),
        sum.request[REQUEST_METHOD_ALLOCATE][REQUEST_CODE_486]);
    assert_null(strstr(text, "{method=\"refresh\",code=\"486\"}"));
    assert_null(strstr(text, "{method=\"binding\",code=\"437\"}"));
    assert_int_equal(value_of(text, "turnpike_build_info{version=\"1.2.3\"}"), 1);
    free(text);
}

static void test_metrics_text_histograms_are_cumulative_seconds(void **state)
{
    struct counters_sum sum = {0};
    size_t len;
    char name[256];
    fill(&sum);
    sum.histogram[0].sum_us = 12000034;
    char *text = text_of(&sum, false, &len);
    snprintf(name, sizeof(name), "%s_sum 12.000034", histogram_name(0));
    assert_true(has_line(text, name));
    for (int i = 0; i < HISTOGRAM_COUNT; i++) {
        uint64_t seen = 0;
        for (int b = 0; b < HISTOGRAM_BOUNDS; b++) {
            seen += sum.histogram[i].bucket[b];
            snprintf(name, sizeof(name), "%s_bucket{le=\"%s\"}", histogram_name(i),
                histogram_bound(i, (unsigned)b));
            assert_int_equal(value_of(text, name), seen);
        }
        seen += sum.histogram[i].bucket[HISTOGRAM_BOUNDS];
        snprintf(name, sizeof(name), "%s_bucket{le=\"+Inf\"}", histogram_name(i));
        assert_int_equal(value_of(text, name), seen);
        snprintf(name, sizeof(name), "%s_count", histogram_name(i));
        assert_int_equal(value_of(text, name), seen);
    }
    free(text);
}

static void test_metrics_text_derived_series_take_from_the_reasons(void **state)
{
    struct counters_sum sum = {0};
    size_t len;
    sum.refused[REASON_WRONG_PASSWORD] = 7;
    sum.refused[REASON_NO_INTEGRITY] = 9;
    sum.refused[REASON_QUOTA_USER] = 3;
    sum.dropped[REASON_ANSWER_BUDGET] = 5;
    char *text = text_of(&sum, false, &len);
    assert_true(has_line(text, "turnpike_auth_failures_total{reason=\"wrong_password\"} 7"));
    assert_null(strstr(text, "turnpike_auth_failures_total{reason=\"no_integrity\"}"));
    assert_true(has_line(text, "turnpike_ratelimit_hits_total{scope=\"user\"} 3"));
    assert_true(has_line(text, "turnpike_ratelimit_hits_total{scope=\"unproven_source\"} 5"));
    assert_true(has_line(text, "turnpike_ratelimit_hits_total{scope=\"realm\"} 0"));
    free(text);
}

static void test_metrics_text_round_trip_to_redis_is_in_seconds(void **state)
{
    struct counters_sum sum = {0};
    size_t len;
    sum.gauge[GAUGE_REDIS_RTT] = 2000345;
    char *text = text_of(&sum, false, &len);
    assert_true(has_line(text, "turnpike_redis_rtt_seconds 2.000345"));
    free(text);
}

/* Between two reads a gauge may seem to have gone below zero: Prometheus would see 2^64 - 1. */
static void test_metrics_text_gauge_below_zero_is_shown_as_zero(void **state)
{
    struct counters_sum sum = {0};
    size_t len;
    sum.gauge[GAUGE_ALLOCATIONS_UDP_IPV4] = UINT64_MAX;
    char *text = text_of(&sum, false, &len);
    assert_true(has_line(text, "turnpike_allocations_active{transport=\"udp\",family=\"ipv4\"} 0"));
    free(text);
}

/* Without what a histogram's series have behind the name of their family. */
static void strip_suffix(char *name)
{
    static const char *const suffixes[] = {"_bucket", "_sum", "_count"};
    for (int i = 0; i < HISTOGRAM_COUNT; i++) {
        const size_t len = strlen(histogram_name(i));
        for (int s = 0; s < 3 && strncmp(name, histogram_name(i), len) == 0; s++) {
            if (strcmp(name + len, suffixes[s]) == 0)
                name[len] = '\0';
        }
    }
}

static const char *type_of(const char *name)
{
    for (int i = 0; i < HISTOGRAM_COUNT; i++) {
        if (strcmp(name, histogram_name(i)) == 0)
            return " histogram";
    }
    const bool total = strlen(name) > 6 && !strcmp(name + strlen(name) - 6, "_total");
    return total ? " counter" : " gauge";
}

/* One HELP and TYPE a family, in front of all of its series, which stand together. */
static void test_metrics_text_families_stand_together_under_their_help(void **state)
{
    struct counters_sum sum = {0};
    size_t len, families = 0;
    char *text = text_of(&sum, true, &len), *rest = text, current[128] = "";
    bool empty = false;
    for (char *line = strsep(&rest, "\n"); line && *line; line = strsep(&rest, "\n")) {
        char name[128] = "";
        if (strncmp(line, "# HELP ", 7) == 0) {
            assert_false(empty);
            empty = true;
            families++;
            assert_int_equal(sscanf(line + 7, "%127s", current), 1);
            assert_true(strlen(line) > 7 + strlen(current) + 10);
        } else if (strncmp(line, "# TYPE ", 7) == 0) {
            assert_int_equal(sscanf(line + 7, "%127s", name), 1);
            assert_string_equal(name, current);
            assert_string_equal(line + 7 + strlen(name), type_of(name));
        } else {
            assert_int_equal(sscanf(line, "%127[a-z_]", name), 1);
            strip_suffix(name);
            assert_string_equal(name, current);
            empty = false;
        }
    }
    assert_false(empty);
    assert_true(families > 15);
    free(text);
}

static void test_metrics_text_is_as_long_whatever_happened(void **state)
{
    struct counters_sum zero = {0}, sum = {0};
    size_t len, most;
    fill(&sum);
    char *quiet = text_of(&zero, false, &len), *busy = text_of(&sum, false, &most);
    assert_int_equal(count_lines(quiet), count_lines(busy));
    assert_true(count_lines(quiet) <= SERIES_MAX);
    memset(&sum, 0x7f, sizeof(sum));
    char *fullest = text_of(&sum, true, &most);
    assert_true(most <= METRICS_TEXT_MAX);
    free(quiet);
    free(busy);
    free(fullest);
}

static char *document(void)
{
    const char *root = getenv("TURNPIKE_SOURCE_ROOT");
    char path[4096];
    char *text = calloc(1, 1u << 18);
    assert_true(root && text);
    snprintf(path, sizeof(path), "%s/docs/metrics.md", root);
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("%s is not there", path);
    assert_true(fread(text, 1, (1u << 18) - 1, file) > 0);
    fclose(file);
    return text;
}

static void assert_documented(const char *text, const char *word)
{
    char quoted[160];
    snprintf(quoted, sizeof(quoted), "`%s`", word);
    if (!strstr(text, quoted))
        fail_msg("docs/metrics.md does not name %s", quoted);
}

/* All families, and all reasons with their meaning; and no family that does not exist. */
static void test_metrics_document_describes_what_is_exported(void **state)
{
    struct counters_sum sum = {0};
    size_t len;
    char *text = document(), *made = text_of(&sum, true, &len), *rest = made;
    for (char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n")) {
        char name[128];
        if (sscanf(line, "# HELP %127s", name) == 1)
            assert_documented(text, name);
    }
    for (int i = REASON_NONE + 1; i < REASON_COUNT; i++) {
        assert_documented(text, reason_name(i));
        if (!strstr(text, reason_help(i)))
            fail_msg("docs/metrics.md does not say: %s", reason_help(i));
    }
    free(made);
    made = text_of(&sum, true, &len);
    for (const char *p = text; (p = strstr(p, "turnpike_")); p++) {
        char name[128] = "", help[160];
        assert_int_equal(sscanf(p, "%127[a-z_]", name), 1);
        strip_suffix(name);
        snprintf(help, sizeof(help), "# HELP %s ", name);
        if (!strstr(made, help))
            fail_msg("docs/metrics.md names %s, which is not exported", name);
    }
    free(text);
    free(made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metrics_text_every_counter_and_gauge_is_a_series),
        cmocka_unit_test(test_metrics_text_histograms_are_cumulative_seconds),
        cmocka_unit_test(test_metrics_text_derived_series_take_from_the_reasons),
        cmocka_unit_test(test_metrics_text_round_trip_to_redis_is_in_seconds),
        cmocka_unit_test(test_metrics_text_gauge_below_zero_is_shown_as_zero),
        cmocka_unit_test(test_metrics_text_families_stand_together_under_their_help),
        cmocka_unit_test(test_metrics_text_is_as_long_whatever_happened),
        cmocka_unit_test(test_metrics_document_describes_what_is_exported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
