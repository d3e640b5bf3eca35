/*
 * Text to value and back. Whatever a value_print_* writes, the parser beside it reads as the same
 * value: the dump of a configuration is a configuration. Called by the types of the schema.
 */
#include "config/values.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

struct unit {
    const char *name;
    uint32_t factor;
};

/* Largest first: printing takes the first that divides. */
static const struct unit duration_units[] = {{"d", 86400}, {"h", 3600}, {"min", 60}, {"s", 1}};
static const struct unit millisecond_units[] = {
    {"d", 86400000}, {"h", 3600000}, {"min", 60000}, {"s", 1000}, {"ms", 1}};
static const struct unit size_units[] = {
    {"GiB", 1u << 30}, {"MiB", 1u << 20}, {"KiB", 1u << 10}, {"", 1}};
static const struct unit rate_units[] = {{"/h", 3600}, {"/min", 60}, {"/s", 1}};
/* Bits are what lines are sold by; 125 bytes are a thousand. */
static const struct unit bandwidth_units[] = {{"gbit", 125000000}, {"mbit", 125000}, {"kbit", 125}};

/* Reads digits and moves *text behind them. */
static bool take_number(const char **text, uint64_t *out)
{
    const char *p = *text;
    uint64_t value = 0;

    if (*p < '0' || *p > '9' || (p[0] == '0' && p[1] >= '0' && p[1] <= '9'))
        return false;
    for (; *p >= '0' && *p <= '9'; p++) {
        if (value > (UINT64_MAX - 9) / 10)
            return false;
        value = value * 10 + (uint64_t)(*p - '0');
    }
    *text = p;
    *out = value;
    return true;
}

static bool take_unit(const char *text, const struct unit *units, size_t count, uint32_t *factor)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(text, units[i].name) == 0) {
            *factor = units[i].factor;
            return true;
        }
    }
    return false;
}

static bool scaled(const char *text, const struct unit *units, size_t count, uint64_t *out)
{
    uint64_t value;
    uint32_t factor;

    if (!take_number(&text, &value) || !take_unit(text, units, count, &factor) ||
        value > UINT64_MAX / factor)
        return false;
    *out = value * factor;
    return true;
}

bool value_number(const char *text, uint64_t *out)
{
    uint64_t value;

    if (!take_number(&text, &value) || *text != '\0')
        return false;
    *out = value;
    return true;
}

bool value_duration(const char *text, uint64_t *seconds)
{
    return scaled(
        text, duration_units, sizeof(duration_units) / sizeof(duration_units[0]), seconds);
}

bool value_milliseconds(const char *text, uint64_t *ms)
{
    return scaled(
        text, millisecond_units, sizeof(millisecond_units) / sizeof(millisecond_units[0]), ms);
}

bool value_size(const char *text, uint64_t *bytes)
{
    return scaled(text, size_units, sizeof(size_units) / sizeof(size_units[0]), bytes);
}

static bool no_limit(const char *text)
{
    return strcmp(text, "0") == 0 || strcmp(text, "unlimited") == 0;
}

/* A number of 1 to UINT32_MAX - 1 and moves *text behind it; the largest one is kept free for
 * "not set". */
static bool take_count(const char **text, uint32_t *out)
{
    const char *p = *text;
    uint64_t value;

    if (!take_number(&p, &value) || value == 0 || value >= UINT32_MAX)
        return false;
    *text = p;
    *out = (uint32_t)value;
    return true;
}

/* The unit of a rate and moves *text behind it. */
static bool take_period(const char **text, uint32_t *period)
{
    for (size_t i = 0; i < sizeof(rate_units) / sizeof(rate_units[0]); i++) {
        size_t len = strlen(rate_units[i].name);

        if (strncmp(*text, rate_units[i].name, len) == 0 &&
            ((*text)[len] == '\0' || (*text)[len] == ' ')) {
            *text += len;
            *period = rate_units[i].factor;
            return true;
        }
    }
    return false;
}

bool value_rate(const char *text, struct rate *out)
{
    static const char burst_word[] = " burst ";
    struct rate rate;

    if (no_limit(text)) {
        *out = (struct rate){0, 1, 0};
        return true;
    }
    if (!take_count(&text, &rate.count) || !take_period(&text, &rate.period_s))
        return false;
    rate.burst = rate.count;
    if (*text != '\0') {
        if (strncmp(text, burst_word, sizeof(burst_word) - 1) != 0)
            return false;
        text += sizeof(burst_word) - 1;
        if (!take_count(&text, &rate.burst) || *text != '\0')
            return false;
    }
    *out = rate;
    return true;
}

bool value_bandwidth(const char *text, uint64_t *bytes_per_s)
{
    if (no_limit(text)) {
        *bytes_per_s = 0;
        return true;
    }
    return *text != '0' && scaled(text, bandwidth_units,
                               sizeof(bandwidth_units) / sizeof(bandwidth_units[0]), bytes_per_s);
}

bool value_ports(const char *text, struct port_range *out)
{
    uint64_t min, max;

    if (!take_number(&text, &min))
        return false;
    max = min;
    if (*text == '-') {
        text++;
        if (!take_number(&text, &max))
            return false;
    }
    if (*text != '\0' || min < 1 || max > UINT16_MAX || min > max)
        return false;
    *out = (struct port_range){(uint16_t)min, (uint16_t)max};
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool value_hex(const char *text, uint8_t *out, size_t len)
{
    if (strlen(text) != 2 * len)
        return false;
    for (size_t i = 0; i < 2 * len; i++)
        if (hex_digit(text[i]) < 0)
            return false;
    for (size_t i = 0; i < len; i++)
        out[i] =
            (uint8_t)((unsigned)hex_digit(text[2 * i]) << 4 | (unsigned)hex_digit(text[2 * i + 1]));
    return true;
}

/* `len` digits at `text`, or -1. */
static int fixed_digits(const char *text, size_t len)
{
    int value = 0;

    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        value = value * 10 + (text[i] - '0');
    }
    return value;
}

bool value_instant(const char *text, int64_t *out)
{
    static const char form[] = "dddd-dd-ddTdd:dd:ddZ";
    struct tm tm = {0}, back = {0};
    time_t seconds;

    if (strlen(text) != sizeof(form) - 1)
        return false;
    for (size_t i = 0; form[i] != '\0'; i++)
        if (form[i] == 'd' ? fixed_digits(text + i, 1) < 0 : text[i] != form[i])
            return false;
    tm.tm_year = fixed_digits(text, 4) - 1900;
    tm.tm_mon = fixed_digits(text + 5, 2) - 1;
    tm.tm_mday = fixed_digits(text + 8, 2);
    tm.tm_hour = fixed_digits(text + 11, 2);
    tm.tm_min = fixed_digits(text + 14, 2);
    tm.tm_sec = fixed_digits(text + 17, 2);
    back = tm;
    seconds = timegm(&back);
    /* What timegm had to put right was no date. */
    if (seconds <= 0 || back.tm_mon != tm.tm_mon || back.tm_mday != tm.tm_mday ||
        back.tm_hour != tm.tm_hour || back.tm_min != tm.tm_min || back.tm_sec != tm.tm_sec)
        return false;
    *out = seconds;
    return true;
}

static void print_scaled(FILE *out, const struct unit *units, uint32_t value)
{
    const struct unit *u = units;

    while (u->factor > 1 && (value == 0 || value % u->factor != 0))
        u++;
    fprintf(out, "%u%s", value / u->factor, u->name);
}

void value_print_duration(FILE *out, uint32_t seconds)
{
    print_scaled(out, duration_units + 1, seconds); /* hours are what people say: 48h, not 2d */
}

void value_print_milliseconds(FILE *out, uint32_t ms)
{
    print_scaled(out, millisecond_units + 1, ms);
}

void value_print_size(FILE *out, uint32_t bytes)
{
    print_scaled(out, size_units, bytes);
}

void value_print_rate(FILE *out, const struct rate *rate)
{
    if (rate->count == 0)
        fputs("unlimited", out);
    else
        fprintf(out, "%u/%s", rate->count,
            rate->period_s == 1    ? "s"
            : rate->period_s == 60 ? "min"
                                   : "h");
    if (rate->burst != rate->count)
        fprintf(out, " burst %u", rate->burst);
}

void value_print_bandwidth(FILE *out, uint64_t bytes_per_s)
{
    const struct unit *u = bandwidth_units;

    if (bytes_per_s == 0) {
        fputs("unlimited", out);
        return;
    }
    while (u->factor > 125 && bytes_per_s % u->factor != 0)
        u++;
    fprintf(out, "%" PRIu64 "%s", bytes_per_s / u->factor, u->name);
}

void value_print_ports(FILE *out, struct port_range ports)
{
    if (ports.min == ports.max)
        fprintf(out, "%u", ports.min);
    else
        fprintf(out, "%u-%u", ports.min, ports.max);
}

void value_print_instant(FILE *out, int64_t seconds)
{
    time_t t = (time_t)seconds;
    struct tm tm;

    if (gmtime_r(&t, &tm))
        fprintf(out, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
            tm.tm_hour, tm.tm_min, tm.tm_sec);
}

/* Bytes of the UTF-8 character at `p`, and its code point; 1 byte at a time where it is not UTF-8.
 */
static size_t utf8_at(const unsigned char *p, uint32_t *code)
{
    size_t len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc0 ? 2 : 1;

    *code = len == 1 ? p[0] : p[0] & (0xffu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            *code = p[0];
            return 1;
        }
        *code = *code << 6 | (p[i] & 0x3fu);
    }
    return len;
}

/* Control characters, YAML's extra line breaks, the byte order mark and what its reader refuses. */
static bool needs_escape(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code <= 0xa0) || code == 0x2028 || code == 0x2029 ||
           code == 0xfeff || code == 0xfffe || code == 0xffff;
}

void value_print_text(FILE *out, const char *text)
{
    const unsigned char *p = (const unsigned char *)text;

    fputc('"', out);
    while (*p != '\0') {
        uint32_t code;
        size_t len = utf8_at(p, &code);

        if (code == '"' || code == '\\')
            fprintf(out, "\\%c", (int)code);
        else if (needs_escape(code))
            fprintf(out, "\\u%04x", code);
        else
            fwrite(p, 1, len, out);
        p += len;
    }
    fputc('"', out);
}
