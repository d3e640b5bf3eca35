/*
 * Types of keys that say how much there may be in a time: rates of events and bandwidths. 0 means
 * no limit. Each `set` writes its field whole or not at all. Called through the schema.
 */
#include "config/schema.h"
#include "config/values.h"

#include <stddef.h>
#include <string.h>

/* A burst that does not come back within a day is a mistake, and would be owed for as long after
 * Redis has lost its data. */
#define BURST_RETURNS_S 86400u

static void *field_of(void *base, const struct schema_key *key)
{
    return (char *)base + key->offset;
}

static const void *const_field_of(const void *base, const struct schema_key *key)
{
    return (const char *)base + key->offset;
}

static bool returns_in_time(const struct rate *rate)
{
    return (uint64_t)rate->burst * rate->period_s <= (uint64_t)BURST_RETURNS_S * rate->count;
}

static int set_rate(void *base, const struct schema_key *key, const struct document_node *value,
    struct fault *fault)
{
    struct rate rate;

    if (value->kind != DOCUMENT_SCALAR || !value_rate(value->text, &rate))
        return schema_bad_value(key, value, fault);
    if (rate.count > key->max || rate.burst > key->max)
        return fault_set(fault, value->line,
            "'%s' must have at most %u as count and as burst%s, not %s", key->path,
            (unsigned)key->max,
            key->max == RATE_SHARED_MAX ? ", which is what instances can share" : "",
            fault_escape(value->text).text);
    if (rate.count > 0 && !returns_in_time(&rate))
        return fault_set(fault, value->line,
            "'%s' has a burst that would take longer than a day to come back: %s", key->path,
            fault_escape(value->text).text);
    *(struct rate *)field_of(base, key) = rate;
    return 0;
}

static void print_rate(const void *base, const struct schema_key *key, FILE *out)
{
    value_print_rate(out, const_field_of(base, key));
}

const struct schema_type type_rate = {.name = "rate",
    .form = "a rate such as 100/s, 600/min, 10/h or 100/s burst 300, or unlimited",
    .set = set_rate,
    .print = print_rate};

static int set_bandwidth(void *base, const struct schema_key *key,
    const struct document_node *value, struct fault *fault)
{
    uint64_t bytes;

    if (value->kind != DOCUMENT_SCALAR || !value_bandwidth(value->text, &bytes))
        return schema_bad_value(key, value, fault);
    if (bytes != 0 && (bytes < key->min || bytes > key->max))
        return fault_set(fault, value->line, "'%s' must be between 8kbit and 1000gbit, not %s",
            key->path, fault_escape(value->text).text);
    *(uint64_t *)field_of(base, key) = bytes;
    return 0;
}

static void print_bandwidth(const void *base, const struct schema_key *key, FILE *out)
{
    value_print_bandwidth(out, *(const uint64_t *)const_field_of(base, key));
}

const struct schema_type type_bandwidth = {.name = "bandwidth",
    .form = "bits a second such as 500kbit, 8mbit or 1gbit, or unlimited",
    .set = set_bandwidth,
    .print = print_bandwidth};
