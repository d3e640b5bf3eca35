/*
 * Usage records as text.
 *
 * Always: a line is one line of valid UTF-8 whatever bytes a client has sent for a name; a byte
 * that is no UTF-8 stands as the character of its number, as in the log. The room suffices for the
 * longest names. Called by usage_writer.c.
 */
#include "daemon/usage_line.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "auth/identity.h"
#include "base/clock.h"
#include "base/transport.h"
#include "base/utf8.h"

struct out {
    char *p, *end;
};

static void put(struct out *o, const char *bytes, size_t len)
{
    if ((size_t)(o->end - o->p) >= len) {
        memcpy(o->p, bytes, len);
        o->p += len;
    }
}

__attribute__((format(printf, 2, 3))) static void put_format(struct out *o, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int len = vsnprintf(o->p, (size_t)(o->end - o->p), format, args);
    va_end(args);
    if (len > 0 && len < o->end - o->p) {
        o->p += len;
    }
}

static void put_text(struct out *o, struct slice s)
{
    put(o, "\"", 1);
    for (size_t i = 0, len; i < s.len; i += len) {
        uint32_t c = s.data[i];
        len = utf8_decode(slice_of(s.data + i, s.len - i), &c);
        if (len == 0) {
            len = 1;
            put_format(o, "\\u%04x", (unsigned)s.data[i]);
        } else if (c == '"' || c == '\\') {
            put_format(o, "\\%c", (int)c);
        } else if (c < 0x10000 && utf8_is_hidden(c)) {
            put_format(o, "\\u%04x", (unsigned)c);
        } else {
            put(o, (const char *)s.data + i, len);
        }
    }
    put(o, "\"", 1);
}

static void put_time(struct out *o, const char *key, int64_t ms)
{
    char text[CLOCK_UTC_MAX];
    const int64_t seconds = ms >= 0 ? ms / 1000 : 0;
    clock_utc_text(seconds, text);
    text[strcspn(text, "Z")] = '\0';
    put_format(o, ",\"%s\":\"%s.%03dZ\"", key, text, (int)(ms >= 0 ? ms % 1000 : 0));
}

static void put_traffic(struct out *o, const char *key, const struct usage_traffic *t)
{
    static const char leg[] =
        "{\"packets\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"dropped\":%" PRIu64 "}";
    put_format(o, ",\"%s\":{\"to_peer\":", key);
    put_format(o, leg, t->packets_to_peer, t->bytes_to_peer, t->dropped_to_peer);
    put_format(o, ",\"to_client\":");
    put_format(o, leg, t->packets_to_client, t->bytes_to_client, t->dropped_to_client);
    put(o, "}", 1);
}

static const char *source_name(uint8_t source)
{
    static const char *const names[] = {[AUTH_SOURCE_NONE] = "none",
        [AUTH_SOURCE_STATIC] = "static",
        [AUTH_SOURCE_REST] = "rest",
        [AUTH_SOURCE_OAUTH] = "oauth",
        [AUTH_SOURCE_STORE] = "store"};
    return source < sizeof(names) / sizeof(names[0]) ? names[source] : "none";
}

static void put_owner(struct out *o, const struct usage_record *r)
{
    struct identity id = {
        .source = (enum auth_source)r->source, .user = slice_of(r->user, r->user_len)};
    memcpy(id.credential, r->credential, sizeof(id.credential));
    put_format(o, ",\"user\":");
    put_text(o, id.user);
    put_format(o, ",\"account\":");
    put_text(o, identity_account(&id));
    put_format(o, ",\"source\":\"%s\",\"credential\":", source_name(r->source));
    if (id.credential[0]) {
        put_text(o, slice_of_string(id.credential));
    } else {
        put_format(o, "null");
    }
}

static void put_addresses(struct out *o, const struct usage_record *r)
{
    char text[ADDR_TEXT_MAX];
    put_format(o, ",\"transport\":\"%s\",\"client\":\"%s\",\"relayed\":[",
        transport_name(r->transport), addr_format(&r->client, text, sizeof(text)));
    for (unsigned i = 0; i < r->relayed_count; i++) {
        put_format(
            o, "%s\"%s\"", i > 0 ? "," : "", addr_format(&r->relayed[i], text, sizeof(text)));
    }
    put(o, "]", 1);
}

static void put_life(struct out *o, const struct usage_record *r)
{
    put_time(o, "started", r->started_ms);
    if (r->kind == USAGE_END) {
        put_time(o, "ended", r->at_ms);
    } else {
        put_format(o, ",\"ended\":null");
    }
    put_format(o, ",\"seconds\":%" PRIu64 ".%03u", r->age_ms / 1000, (unsigned)(r->age_ms % 1000));
    if (r->kind == USAGE_END) {
        put_format(o, ",\"reason\":\"%s\"", end_reason_name((enum end_reason)r->reason));
    } else {
        put_format(o, ",\"reason\":null");
    }
}

const char *usage_line_id(char out[USAGE_ID_MAX], uint64_t instance, const struct usage_record *r)
{
    if (r->kind == USAGE_LOST) {
        snprintf(out, USAGE_ID_MAX, "%016" PRIx64 "-lost%" PRIu64 "-%" PRIu32, instance,
            r->allocation, r->sequence);
    } else {
        snprintf(out, USAGE_ID_MAX, "%016" PRIx64 "-%016" PRIx64 "-%" PRIu32, instance,
            r->allocation, r->sequence);
    }
    return out;
}

size_t usage_line_write(
    char *out, uint64_t instance, const char *realm, const struct usage_record *r)
{
    static const char *const types[] = {
        [USAGE_LIVE] = "live", [USAGE_END] = "end", [USAGE_LOST] = "lost"};
    struct out o = {out, out + USAGE_LINE_MAX};
    char id[USAGE_ID_MAX];
    put_format(&o, "{\"v\":1,\"id\":\"%s\",\"type\":\"%s\"", usage_line_id(id, instance, r),
        types[r->kind]);
    put_time(&o, "time", r->at_ms);
    put_format(&o, ",\"instance\":\"%016" PRIx64 "\"", instance);
    if (r->kind != USAGE_LOST) {
        put_format(&o, ",\"allocation\":\"%016" PRIx64 "\"", r->allocation);
    }
    put_format(&o, ",\"sequence\":%" PRIu32 ",\"realm\":", r->sequence);
    put_text(&o, slice_of_string(realm));
    if (r->kind == USAGE_LOST) {
        put_format(&o, ",\"allocations\":%" PRIu64, r->lost);
    } else {
        put_owner(&o, r);
        put_addresses(&o, r);
        put_life(&o, r);
    }
    put_traffic(&o, "total", &r->total);
    put_traffic(&o, "delta", &r->delta);
    put(&o, "}\n", 2);
    return (size_t)(o.p - out);
}
