/*
 * What /metrics shows and SIGUSR1 prints. The lists in base/ say which series there are; here is
 * only their form. Called by metrics.c and by daemon/counters_dump.c.
 */
#include "admin/metrics_text.h"

#include <string.h>

enum family {
#define FAMILY(id, name, type, help) FAMILY_##id,
#include "base/families.def"
#undef FAMILY
    FAMILY_COUNT
};

static const struct {
    const char *name, *type, *help;
} families[FAMILY_COUNT] = {
#define FAMILY(id, name, type, help) [FAMILY_##id] = {name, #type, help},
#include "base/families.def"
#undef FAMILY
};

static void write_series(FILE *out, const char *name, const char *labels, uint64_t value)
{
    bool bare = labels[0] == '\0';
    fprintf(out, "%s%s%s%s %llu\n", name, bare ? "" : "{", labels, bare ? "" : "}",
        (unsigned long long)value);
}

static void write_labelled(
    FILE *out, enum family f, const char *label, const char *text, uint64_t value)
{
    fprintf(out, "%s{%s=\"%s\"} %llu\n", families[f].name, label, text, (unsigned long long)value);
}

/* Buckets are cumulative on the page; _count is the last of them, read once, so they agree. */
static void write_histogram(FILE *out, enum histogram_id id, const struct histogram_sum *h)
{
    unsigned long long seen = 0;
    for (unsigned n = 0; n <= HISTOGRAM_BOUNDS; n++) {
        seen += h->bucket[n];
        fprintf(out, "%s_bucket{le=\"%s\"} %llu\n", histogram_name(id),
            n < HISTOGRAM_BOUNDS ? histogram_bound(id, n) : "+Inf", seen);
    }
    fprintf(out, "%s_sum %llu.%06llu\n%s_count %llu\n", histogram_name(id),
        (unsigned long long)h->sum_us / 1000000, (unsigned long long)h->sum_us % 1000000,
        histogram_name(id), seen);
}

/* What of metrics.def, gauges.def and histograms.def carries the family's name. */
static void write_listed(const struct metrics_text *m, FILE *out, enum family f)
{
    for (int i = 0; i < METRIC_COUNT; i++) {
        if (strcmp(metric_name(i), families[f].name) == 0) {
            write_series(out, metric_name(i), metric_labels(i), m->sum->metric[i]);
        }
    }
    for (int i = 0; i < GAUGE_COUNT; i++) {
        if (strcmp(gauge_name(i), families[f].name) == 0) {
            /* Between reading one worker and the next an allocation may seem to end twice. */
            int64_t value = (int64_t)m->sum->gauge[i];
            write_series(out, gauge_name(i), gauge_labels(i), value > 0 ? (uint64_t)value : 0);
        }
    }
    for (int i = 0; i < HISTOGRAM_COUNT; i++) {
        if (strcmp(histogram_name(i), families[f].name) == 0) {
            write_histogram(out, i, &m->sum->histogram[i]);
        }
    }
}

static void write_by_reason(FILE *out, enum family f, const uint64_t values[REASON_COUNT])
{
    for (int i = REASON_NONE + 1; i < REASON_COUNT; i++) {
        const bool never = f == FAMILY_REQUESTS_REFUSED && reason_only_drops(i);
        if (!never && reason_is_closing(i) == (f == FAMILY_CONNECTIONS_CLOSED)) {
            write_labelled(out, f, "reason", reason_name(i), values[i]);
        }
    }
}

static void write_requests(FILE *out, const struct counters_sum *sum)
{
    for (int m = 0; m < REQUEST_METHOD_COUNT; m++) {
        for (int c = 0; c < REQUEST_CODE_COUNT; c++) {
            if (!request_code_is_told(m, c)) {
                continue;
            }
            fprintf(out, "%s{method=\"%s\",code=\"%s\"} %llu\n", families[FAMILY_REQUESTS].name,
                request_method_label(m), request_code_label(c),
                (unsigned long long)sum->request[m][c]);
        }
    }
}

static void write_auth_failures(FILE *out, const struct counters_sum *sum)
{
    for (int i = 0; i < REASON_COUNT; i++) {
        if (reason_is_auth_failure(i)) {
            write_labelled(out, FAMILY_AUTH_FAILURES, "reason", reason_name(i), sum->refused[i]);
        }
    }
}

static void write_ratelimit_hits(FILE *out, const struct counters_sum *sum)
{
    for (int i = 0; i < REASON_COUNT; i++) {
        if (reason_limit_scope(i)) {
            write_labelled(out, FAMILY_RATELIMIT_HITS, "scope", reason_limit_scope(i),
                sum->refused[i] + sum->dropped[i]);
        }
    }
}

static void write_guard_dropped(FILE *out, const struct counters_sum *sum)
{
    for (int i = 0; i < REASON_COUNT; i++) {
        if (reason_is_guard(i)) {
            write_labelled(out, FAMILY_GUARD_DROPPED, "reason", reason_name(i), sum->dropped[i]);
        }
    }
}

static void write_microseconds(FILE *out, enum family f, uint64_t us)
{
    fprintf(out, "%s %llu.%06llu\n", families[f].name, (unsigned long long)us / 1000000,
        (unsigned long long)us % 1000000);
}

static void write_family(const struct metrics_text *m, FILE *out, enum family f)
{
    switch (f) {
    case FAMILY_PACKETS_DROPPED:
        write_by_reason(out, f, m->sum->dropped);
        break;
    case FAMILY_REQUESTS_REFUSED:
        write_by_reason(out, f, m->sum->refused);
        break;
    case FAMILY_CONNECTIONS_CLOSED:
        write_by_reason(out, f, m->sum->closed);
        break;
    case FAMILY_REQUESTS:
        write_requests(out, m->sum);
        break;
    case FAMILY_AUTH_FAILURES:
        write_auth_failures(out, m->sum);
        break;
    case FAMILY_RATELIMIT_HITS:
        write_ratelimit_hits(out, m->sum);
        break;
    case FAMILY_GUARD_DROPPED:
        write_guard_dropped(out, m->sum);
        break;
    case FAMILY_REDIS_RTT:
        write_microseconds(out, f, m->sum->gauge[GAUGE_REDIS_RTT]);
        break;
    case FAMILY_BUILD_INFO:
        write_labelled(out, f, "version", m->version, 1);
        break;
    default:
        write_listed(m, out, f);
        break;
    }
}

void metrics_text_write(const struct metrics_text *m, FILE *out)
{
    for (int f = 0; f < FAMILY_COUNT; f++) {
        if (m->comments) {
            fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", families[f].name, families[f].help,
                families[f].name, families[f].type);
        }
        write_family(m, out, (enum family)f);
    }
}
