/* What the texts of the configuration mean: numbers, durations, sizes, rates, ports. Pure; strict;
 * no locale. */
#ifndef CONFIG_VALUES_H
#define CONFIG_VALUES_H

#include "ratelimit/ratelimit_settings.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* A rate or a burst over it is no limit. */
#define RATE_COUNT_MAX 10000000u

struct port_range {
    uint16_t min, max; /* inclusive */
};

/* All: true and *out written, or false and *out untouched. Nothing may be left over. */
bool value_number(const char *text, uint64_t *out); /* decimal digits, no sign, no leading zero */
bool value_duration(const char *text, uint64_t *seconds); /* "90s", "10min", "48h", "2d" */
bool value_milliseconds(const char *text, uint64_t *ms);  /* the same, and "500ms" */
bool value_size(const char *text, uint64_t *bytes);       /* "65536", "512KiB", "4MiB", "1GiB" */
/* "100/s", "600/min", "10/h", each with " burst 300" behind it if wanted; "0", "unlimited" */
bool value_rate(const char *text, struct rate *out);
/* "500kbit", "8mbit", "1gbit" a second; "0", "unlimited" */
bool value_bandwidth(const char *text, uint64_t *bytes_per_s);
bool value_ports(
    const char *text, struct port_range *out); /* "3478", "3478-3481"; 1–65535, first ≤ last */
bool value_hex(const char *text, uint8_t *out, size_t len); /* exactly 2 × len hexadecimal digits */
/* "2027-01-31T08:00:00Z" as seconds since 1970; RFC 3339 in UTC, whole seconds, 1970 to 9999. */
bool value_instant(const char *text, int64_t *out);

void value_print_duration(FILE *out, uint32_t seconds);
void value_print_milliseconds(FILE *out, uint32_t ms);
void value_print_size(FILE *out, uint32_t bytes);
void value_print_rate(FILE *out, const struct rate *rate);
void value_print_bandwidth(FILE *out, uint64_t bytes_per_s); /* one that value_bandwidth reads */
void value_print_ports(FILE *out, struct port_range ports);
void value_print_instant(FILE *out, int64_t seconds); /* one that value_instant reads */
/* As a double-quoted YAML string, everything that YAML would fold or refuse escaped. `text` is
 * UTF-8. */
void value_print_text(FILE *out, const char *text);

#endif
