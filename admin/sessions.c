/*
 * POST /api/v1/sessions: who has allocations, and how media is doing on them, a page at a time.
 * Names are what clients sent, any bytes; JSON is UTF-8. Called through the table of route.c.
 */
#include <errno.h>
#include <stdlib.h>

#include "admin/json_answer.h"
#include "admin/json_body.h"
#include "base/transport.h"
#include "base/utf8.h"
#include "srtp/srtp_settings.h"

static json_t *number(uint64_t n)
{
    return json_integer(n < INT64_MAX ? (json_int_t)n : INT64_MAX);
}

/* Bytes that are no UTF-8 stand as the characters of their numbers, as in the log. */
static json_t *text_of(struct slice bytes)
{
    char text[2 * SESSIONS_USER_MAX + 4];
    size_t len = 0;
    for (size_t i = 0, n; i < bytes.len && len + 4 <= sizeof(text); i += n) {
        uint32_t c;
        n = utf8_decode(slice_of(bytes.data + i, bytes.len - i), &c);
        if (n > 0) {
            memcpy(text + len, bytes.data + i, n);
            len += n;
        } else {
            n = 1;
            text[len++] = (char)(0xc0 | bytes.data[i] >> 6);
            text[len++] = (char)(0x80 | (bytes.data[i] & 0x3f));
        }
    }
    return json_stringn(text, len);
}

static json_t *id_of(uint64_t id)
{
    return json_sprintf("%016llx", (unsigned long long)id);
}

static json_t *addr_text(const struct addr *addr)
{
    char text[ADDR_TEXT_MAX];
    return json_string(addr_format(addr, text, sizeof(text)));
}

/* Not known before its clock rate is: null. */
static json_t *jitter_us(const struct srtp_stream *s)
{
    return s->clock_rate ? number(s->jitter * US_PER_S / s->clock_rate) : json_null();
}

static json_t *stream_json(const struct srtp_stream *s, uint64_t now_us)
{
    const uint64_t silent_us = now_us > s->last_us ? now_us - s->last_us : 0;
    return json_pack("{s:s, s:I, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
        "direction", s->direction == SRTP_TO_PEER ? "to_peer" : "to_client", "ssrc",
        (json_int_t)s->ssrc, "payload_type", (int)s->payload_type, "packets", number(s->packets),
        "bytes", number(s->bytes), "rtcp_packets", number(s->rtcp_packets), "expected",
        number(s->expected), "lost", number(srtp_stream_lost(s)), "late", number(s->late),
        "duplicates", number(s->duplicates), "resets", number(s->resets), "dropped",
        number(s->dropped), "clock_rate", s->clock_rate ? number(s->clock_rate) : json_null(),
        "jitter_us", jitter_us(s), "seen_ms", number(silent_us / US_PER_MS));
}

static json_t *streams_json(const struct session_page *page, const struct session_info *s)
{
    json_t *list = json_array();
    for (uint32_t i = 0; list && i < s->streams_kept; i++) {
        const struct srtp_stream *stream = &page->stream[s->first_stream + i];
        if (json_array_append_new(list, stream_json(stream, page->now_us)) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *relayed_json(const struct session_info *s)
{
    json_t *list = json_array();
    for (unsigned i = 0; list && i < s->relayed_count; i++) {
        if (json_array_append_new(list, addr_text(&s->relayed[i])) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *traffic_json(uint64_t packets, uint64_t bytes)
{
    return json_pack("{s:o, s:o}", "packets", number(packets), "bytes", number(bytes));
}

static const char *guard_name(uint8_t level)
{
    static const char *const names[] = {[SRTP_GUARD_OFF] = "off",
        [SRTP_GUARD_OBSERVE] = "observe",
        [SRTP_GUARD_CLASSIFY] = "classify",
        [SRTP_GUARD_VERIFY] = "verify",
        [SRTP_GUARD_VERIFY_REQUIRED] = "verify_required"};
    return level < sizeof(names) / sizeof(names[0]) ? names[level] : "?";
}

static json_t *session_json(
    const struct admin_ops *ops, const struct session_page *page, const struct session_info *s)
{
    json_t *json = json_pack("{s:o, s:o, s:o, s:s, s:o, s:o, s:I, s:I, s:o, s:o, s:I, s:I, s:s, "
                             "s:i, s:I, s:I}",
        "id", id_of(s->id), "realm", text_of(ops->realm_name(ops->ctx, s->realm)), "user",
        text_of(slice_of(s->user, s->user_len)), "transport", transport_name(s->transport),
        "client", addr_text(&s->client), "relayed", relayed_json(s), "age_s", (json_int_t)s->age_s,
        "expires_s", (json_int_t)s->expires_s, "to_peer",
        traffic_json(s->packets_to_peer, s->bytes_to_peer), "to_client",
        traffic_json(s->packets_to_client, s->bytes_to_client), "permissions",
        (json_int_t)s->permissions, "channels", (json_int_t)s->channels, "guard",
        guard_name(s->guard), "keys", (int)s->keys, "streams", (json_int_t)s->stream_count,
        "untracked", (json_int_t)s->untracked);
    if (page->media && json_object_set_new(json, "media", streams_json(page, s)) < 0) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static json_t *page_json(
    const struct admin_ops *ops, const struct session_page *page, uint64_t next_cursor)
{
    json_t *sessions = json_array();
    for (unsigned i = 0; sessions && i < page->count; i++) {
        if (json_array_append_new(sessions, session_json(ops, page, &page->sessions[i])) < 0) {
            json_decref(sessions);
            sessions = NULL;
        }
    }
    return json_pack("{s:o, s:o}", "sessions", sessions, "next",
        next_cursor ? number(next_cursor) : json_null());
}

/* Of a question that has been handed on. */
struct listing {
    const struct admin_ops *ops;
    struct admin_later *later;
};

static void on_found(void *ctx, int error, const struct session_page *page, uint64_t next_cursor)
{
    struct listing *l = ctx;
    if (page) {
        admin_json_answer_compact(l->later, page_json(l->ops, page, next_cursor));
    } else if (error == -ENOENT) {
        admin_json_answer_refused(l->later, 404, "no such realm");
    } else if (error == -EINVAL) {
        admin_json_answer_refused(l->later, 422, "the cursor is none that an answer has named");
    } else {
        admin_json_answer_refused(
            l->later, 503, "too many others ask, or a worker did not answer in time");
    }
    free(l);
}

/* An address, or a prefix of addresses. 0 with *out untouched where the key is missing, or -EINVAL.
 */
static int read_peer(const json_t *json, struct admin_sessions *out)
{
    struct slice text;
    struct prefix peer;
    if (!json_object_get(json, "peer")) {
        return 0;
    }
    if (admin_json_text(json, "peer", ADDR_TEXT_MAX, &text) < 0) {
        return -EINVAL;
    }
    const char *name = (const char *)text.data; /* JSON's texts end with a NUL, and have no other */
    if (addr_parse_ip(&peer.ip, name) == 0) {
        peer.bits = (uint8_t)(8 * addr_ip_len(&peer.ip));
    } else if (prefix_parse(&peer, name) < 0) {
        return -EINVAL;
    }
    out->by_peer = true;
    out->peer = peer;
    return 0;
}

static int read_ages(const json_t *json, struct admin_sessions *out)
{
    uint64_t older = 0, younger = 0;
    if (admin_json_number(json, "older_s", UINT32_MAX, &older) < 0 ||
        admin_json_number(json, "younger_s", UINT32_MAX, &younger) < 0 ||
        (json_object_get(json, "younger_s") && younger == 0)) {
        return -EINVAL;
    }
    out->older_s = (uint32_t)older;
    out->younger_s = (uint32_t)younger;
    return 0;
}

/* 0 with *out borrowed from `json`, or -EINVAL. */
static int read_question(const json_t *json, struct admin_sessions *out)
{
    static const char *const known[] = {
        "cursor", "max", "media", "id", "user", "realm", "peer", "older_s", "younger_s"};
    const json_t *media = json_object_get(json, "media");
    struct admin_sessions what = {.media = json_is_true(media)};
    uint64_t max = SESSIONS_PAGE_MAX;
    if (!admin_json_only(json, known, sizeof(known) / sizeof(known[0])) ||
        admin_json_number(json, "cursor", INT64_MAX, &what.cursor) < 0 ||
        admin_json_number(json, "max", SESSIONS_PAGE_MAX, &max) < 0 || max == 0 ||
        (media && !json_is_boolean(media)) || admin_json_id(json, "id", &what.id) < 0 ||
        admin_json_text(json, "user", ADMIN_USER_MAX, &what.user) < 0 ||
        admin_json_text(json, "realm", ADMIN_REALM_MAX, &what.realm) < 0 ||
        read_peer(json, &what) < 0 || read_ages(json, &what) < 0) {
        return -EINVAL;
    }
    what.max = (uint16_t)max;
    *out = what;
    return 0;
}

static unsigned ask(const struct admin_request *request, const json_t *json, FILE *out)
{
    struct admin_sessions what;
    if (read_question(json, &what) < 0) {
        return admin_json_refuse(out, 422,
            "cursor, max (to 100), media, id (16 hexadecimal digits, small letters), user, realm, "
            "peer (an address or a prefix), older_s and younger_s may be there");
    }
    struct listing *l = malloc(sizeof(*l));
    if (!l) {
        return 500;
    }
    *l = (struct listing){request->ops, request->later};
    what.found = on_found;
    what.ctx = l;
    request->ops->sessions(request->ops->ctx, &what);
    return ADMIN_LATER;
}

unsigned admin_post_sessions(const struct admin_request *request, FILE *out)
{
    return admin_json_serve(request, out, ask);
}
