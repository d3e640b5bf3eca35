/*
 * /api/v1/drain: how far the drain is, and, with POST, its beginning, its change and its end. The
 * answer to a POST comes when no worker lets anybody in any more, or all do again. Called through
 * the table of route.c.
 */
#include <errno.h>
#include <string.h>

#include "admin/json_answer.h"
#include "admin/json_body.h"
#include "config/listeners.h"
#include "config/names.h"

/* max_allocation_age's ceiling: nothing lives longer. */
#define DEADLINE_MAX_S 172800

static json_t *servers(const struct drain_alternates *all)
{
    json_t *list = json_array();
    char text[ADDR_TEXT_MAX];
    for (size_t i = 0; list && i < all->count; i++) {
        const struct addr *server = &all->servers[i];
        const char *name = server->port ? addr_format(server, text, sizeof(text))
                                        : addr_format_ip(server, text, sizeof(text));
        if (json_array_append_new(list, json_string(name)) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *state(const struct admin_drain *d)
{
    const char *domain = d->alternates->domain[0] ? d->alternates->domain : NULL;
    return json_pack("{s:b, s:I, s:I, s:I, s:I, s:b, s:o, s:s?}", "draining", d->on, "seconds",
        (json_int_t)d->since_s, "deadline_s", (json_int_t)d->left_s, "allocations",
        (json_int_t)d->allocations, "at_first", (json_int_t)d->at_first, "stop", d->stop,
        "alternate", servers(d->alternates), "alternate_domain", domain);
}

unsigned admin_get_drain(const struct admin_request *request, FILE *out)
{
    struct admin_drain now;
    request->ops->drain_state(request->ops->ctx, &now);
    return admin_json_write(state(&now), out);
}

static void on_done(void *ctx, const struct admin_drain *now)
{
    admin_json_answer(ctx, state(now));
}

static bool read_server(const json_t *json, struct addr *out)
{
    const char *text = json_string_value(json);
    struct addr server;
    if (!text ||
        (addr_parse_ip(&server, text) < 0 && (addr_parse(&server, text) < 0 || server.port == 0))) {
        return false;
    }
    if (addr_is_unspecified(&server) || listeners_unusable(&server)) {
        return false;
    }
    *out = server;
    return true;
}

static bool read_domain(const json_t *json, char out[DRAIN_DOMAIN_MAX + 1])
{
    struct slice domain;
    if (admin_json_text(json, "alternate_domain", DRAIN_DOMAIN_MAX, &domain) < 0) {
        return false;
    }
    if (domain.len > 0) {
        memcpy(out, domain.data, domain.len);
    }
    out[domain.len] = '\0';
    return domain.len == 0 || (strlen(out) == domain.len && names_is_dns_name(out));
}

static bool read_alternates(const json_t *json, struct drain_alternates *out)
{
    const json_t *list = json_object_get(json, "alternate");
    if (!json_is_array(list) || json_array_size(list) > DRAIN_ALTERNATES_MAX) {
        return false;
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (!read_server(json_array_get(list, i), &out->servers[i])) {
            return false;
        }
        out->count = i + 1;
    }
    return read_domain(json, out->domain);
}

/* Boolean, where it is there. */
static bool read_flag(const json_t *json, const char *key, bool *has, bool *out)
{
    const json_t *value = json_object_get(json, key);
    *has = value != NULL;
    *out = json_is_true(value);
    return !value || json_is_boolean(value);
}

/* 0 with *out, whose alternates are those of `room`, or -EINVAL. */
static int read_drain(
    const json_t *json, struct admin_drain_asked *out, struct drain_alternates *room)
{
    static const char *const known[] = {
        "deadline_s", "alternate", "alternate_domain", "stop", "off"};
    uint64_t deadline = 0;
    bool has_off;
    *out = (struct admin_drain_asked){.has_deadline = json_object_get(json, "deadline_s") != NULL,
        .has_alternates = json_object_get(json, "alternate") != NULL};
    if (!admin_json_only(json, known, sizeof(known) / sizeof(known[0])) ||
        admin_json_number(json, "deadline_s", DEADLINE_MAX_S, &deadline) < 0 ||
        !read_flag(json, "stop", &out->has_stop, &out->stop) ||
        !read_flag(json, "off", &has_off, &out->off) || (out->off && json_object_size(json) > 1) ||
        (!out->has_alternates && json_object_get(json, "alternate_domain"))) {
        return -EINVAL;
    }
    out->deadline_s = (uint32_t)deadline;
    *room = (struct drain_alternates){0};
    out->alternates = room;
    return out->has_alternates && !read_alternates(json, room) ? -EINVAL : 0;
}

static unsigned ask(const struct admin_request *request, const json_t *json, FILE *out)
{
    struct drain_alternates room;
    struct admin_drain_asked what;
    if (read_drain(json, &what, &room) < 0) {
        return admin_json_refuse(out, 422,
            "deadline_s (0 to 172800), stop, alternate (a list of addresses, each with a port if "
            "wanted) and alternate_domain may be there; or off alone");
    }
    what.done = on_done;
    what.ctx = request->later;
    if (request->ops->drain(request->ops->ctx, &what) < 0) {
        return admin_json_refuse(out, 503, "the daemon stops");
    }
    return ADMIN_LATER;
}

unsigned admin_post_drain(const struct admin_request *request, FILE *out)
{
    return admin_json_serve(request, out, ask);
}
