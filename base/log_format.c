/*
 * Turns an event into one line. Values are what clients sent: whatever could end a line, move a
 * terminal's cursor, reorder text or break JSON is escaped, so one event is one line in every
 * reader (THREATS row 12).
 *
 * Always: a piece (a key, an escape, a character, a number) is written whole or not at all, and the
 * room for the closing mark is kept back from the start. Called by log.c on the thread that logs:
 * no allocation, no lock.
 */
#include "base/log_format.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/utf8.h"

/* A quote, the mark of a cut line and the newline. */
#define CLOSING_TEXT "\" cut=true\n"
#define CLOSING_JSON "\",\"cut\":true}\n"

struct out {
    char *p, *end; /* end: before the room kept back; a closing quote may lie behind it */
    bool json, cut;
};

static void put(struct out *o, const char *bytes, size_t len)
{
    if (o->cut || o->end - o->p < (ptrdiff_t)len) {
        o->cut = true;
        return;
    }
    memcpy(o->p, bytes, len);
    o->p += len;
}

static void put_string(struct out *o, const char *s)
{
    put(o, s, strlen(s));
}

__attribute__((format(printf, 2, 3))) static void put_format(struct out *o, const char *format, ...)
{
    char piece[ADDR_TEXT_MAX + 16];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(piece, sizeof(piece), format, args);
    va_end(args);
    if (len > 0)
        put(o, piece, (size_t)len < sizeof(piece) ? (size_t)len : sizeof(piece) - 1);
}

/* Into the room kept back; the caller has counted it. */
static void put_closing(struct out *o, const char *s)
{
    size_t len = strlen(s);
    memcpy(o->p, s, len);
    o->p += len;
}

static void put_escaped_control(struct out *o, uint32_t c)
{
    if (c == '\n')
        put_string(o, "\\n");
    else if (c == '\r')
        put_string(o, "\\r");
    else if (c == '\t')
        put_string(o, "\\t");
    else if (c < 0x80 && !o->json)
        put_format(o, "\\x%02x", (unsigned)c);
    else if (c < 0x10000)
        put_format(o, "\\u%04x", (unsigned)c);
    else /* a surrogate pair, as JSON wants it */
        put_format(o, "\\u%04x\\u%04x", 0xd800u + (unsigned)((c - 0x10000) >> 10),
            0xdc00u + (unsigned)((c - 0x10000) & 0x3ff));
}

static void put_quoted_bytes(struct out *o, struct slice s)
{
    for (size_t i = 0, len; i < s.len && !o->cut; i += len) {
        uint32_t c;
        len = utf8_decode(slice_of(s.data + i, s.len - i), &c);
        if (len == 0) {
            len = 1;
            put_format(o, o->json ? "\\u%04x" : "\\x%02x", (unsigned)s.data[i]);
        } else if (c == '"' || c == '\\') {
            put_format(o, "\\%c", (int)c);
        } else if (utf8_is_hidden(c)) {
            put_escaped_control(o, c);
        } else {
            put(o, (const char *)s.data + i, len);
        }
    }
}

static bool is_plain(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.data[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alnum && (c == '\0' || !strchr("._:/@+[]-", c)))
            return false;
    }
    return s.len > 0;
}

static void put_string_value(struct out *o, struct slice s)
{
    if (!o->json && is_plain(s)) {
        for (size_t i = 0; i < s.len; i++)
            put(o, (const char *)s.data + i, 1);
        return;
    }
    put_string(o, "\"");
    if (o->cut)
        return;
    put_quoted_bytes(o, s);
    put_closing(o, "\"");
}

static void put_value(struct out *o, const struct log_field *f)
{
    char text[ADDR_TEXT_MAX];
    switch (f->kind) {
    case LOG_FIELD_STRING:
        put_string_value(o, slice_of_string(f->v.string));
        break;
    case LOG_FIELD_BYTES:
        put_string_value(o, f->v.bytes);
        break;
    case LOG_FIELD_U64:
        put_format(o, "%llu", (unsigned long long)f->v.u64);
        break;
    case LOG_FIELD_I64:
        put_format(o, "%lld", (long long)f->v.i64);
        break;
    case LOG_FIELD_HEX64:
        put_format(o, o->json ? "\"%016llx\"" : "%016llx", (unsigned long long)f->v.u64);
        break;
    case LOG_FIELD_ADDR:
        put_string_value(
            o, slice_of_string(f->v.addr ? addr_format(f->v.addr, text, sizeof(text)) : "none"));
        break;
    case LOG_FIELD_BOOL:
        put_string(o, f->v.boolean ? "true" : "false");
        break;
    }
}

/* The field, or nothing: only the value of a string may be cut. */
static void put_field(struct out *o, const struct log_field *f)
{
    char *start = o->p;
    put_string(o, o->json ? ",\"" : " ");
    put_string(o, f->key);
    put_string(o, o->json ? "\":" : "=");
    char *value = o->p;
    if (!o->cut)
        put_value(o, f);
    if (o->cut && o->p == value)
        o->p = start;
}

/* UTC, from days since 1970 (proleptic Gregorian). gmtime_r would take the C library's time zone
 * lock. */
static void put_time(struct out *o, int64_t wall_ms)
{
    uint64_t ms = wall_ms > 0 ? (uint64_t)wall_ms : 0;
    uint64_t days = ms / 86400000, in_day = ms % 86400000;
    /* Years begin in March here, so that the leap day is the last one; eras have 400 years. */
    uint64_t shifted = days + 719468, era = shifted / 146097, day = shifted % 146097;
    uint64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    uint64_t of_year = day - (365 * year + year / 4 - year / 100), month = (5 * of_year + 2) / 153;
    unsigned calendar_day = (unsigned)(of_year - (153 * month + 2) / 5) + 1;
    unsigned calendar_month = (unsigned)(month < 10 ? month + 3 : month - 9);
    unsigned calendar_year = (unsigned)(year + era * 400 + (calendar_month <= 2));
    put_format(o, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", calendar_year, calendar_month,
        calendar_day, (unsigned)(in_day / 3600000), (unsigned)(in_day / 60000 % 60),
        (unsigned)(in_day / 1000 % 60), (unsigned)(in_day % 1000));
}

static void put_head(struct out *o, const struct log_line *line)
{
    put_string(o, o->json ? "{\"ts\":\"" : "");
    put_time(o, line->wall_ms);
    put_string(o, o->json ? "\",\"level\":\"" : " ");
    put_string(o, log_level_name(line->level));
    put_string(o, o->json ? "\",\"event\":\"" : " ");
    put_string(o, line->event);
    put_string(o, o->json ? "\"" : "");
}

size_t log_format_line(char *out, size_t cap, const struct log_line *line)
{
    bool json = line->format == LOG_JSON;
    size_t kept = json ? sizeof(CLOSING_JSON) - 1 : sizeof(CLOSING_TEXT) - 1;
    struct out o = {.p = out, .end = out + cap - kept, .json = json};
    put_head(&o, line);
    for (size_t i = 0; i < line->count && !o.cut; i++)
        put_field(&o, &line->fields[i]);
    if (o.cut)
        put_closing(&o, json ? ",\"cut\":true}\n" : " cut=true\n");
    else
        put_closing(&o, json ? "}\n" : "\n");
    return (size_t)(o.p - out);
}
