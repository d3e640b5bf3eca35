/* /api/v1/status: the daemon at a glance, as JSON. Called through the table of route.c. */
#include "admin/json_answer.h"

static const char *state_name(enum admin_state state)
{
    static const char *const names[] = {[ADMIN_STARTING] = "starting",
        [ADMIN_RUNNING] = "running",
        [ADMIN_DRAINING] = "draining",
        [ADMIN_STOPPING] = "stopping"};
    return names[state];
}

/* NULL where memory runs out, as all that makes JSON here: jansson then fails on what takes it. */
static json_t *addr_text(const struct addr *addr, bool with_port)
{
    char text[ADDR_TEXT_MAX];
    return json_string(with_port ? addr_format(addr, text, sizeof(text))
                                 : addr_format_ip(addr, text, sizeof(text)));
}

static json_t *listeners(const struct admin_ops *ops)
{
    json_t *list = json_array();
    struct admin_listener l;
    for (size_t i = 0; list && ops->listener(ops->ctx, i, &l); i++) {
        json_t *item = json_pack("{s:s, s:o, s:b, s:b, s:b}", "proto", l.proto, "address",
            addr_text(&l.addr, true), "configured", l.configured, "proxied", l.proxied,
            "client_certificate", l.client_certificate);
        if (json_array_append_new(list, item) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *relayed(const struct admin_ops *ops)
{
    json_t *list = json_array();
    struct admin_relayed r;
    for (size_t i = 0; list && ops->relayed(ops->ctx, i, &r); i++) {
        json_t *item = json_pack("{s:o, s:o}", "public", addr_text(&r.public, false), "local",
            addr_text(&r.local, false));
        if (json_array_append_new(list, item) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *allocations(const struct admin_ops *ops)
{
    struct counters_sum sum;
    uint64_t active = 0;
    ops->counters(ops->ctx, &sum);
    for (int i = GAUGE_ALLOCATIONS_UDP_IPV4; i <= GAUGE_ALLOCATIONS_DTLS_DUAL; i++) {
        active += sum.gauge[i];
    }
    return json_pack("{s:I, s:I}", "active", (json_int_t)active, "created",
        (json_int_t)sum.metric[METRIC_ALLOCATIONS_CREATED]);
}

static json_t *config(const struct admin_status *s)
{
    /* A path need not be UTF-8, JSON must. */
    json_t *file = s->config_file ? json_string(s->config_file) : NULL;
    return json_pack("{s:o, s:I, s:b}", "file", file ? file : json_null(), "version",
        (json_int_t)s->config_version, "reloading", s->reloading);
}

static json_t *sandbox(const struct admin_status *s)
{
    return json_pack("{s:s, s:b, s:i}", "user", s->sandbox.user, "seccomp", s->sandbox.seccomp,
        "landlock", s->sandbox.landlock);
}

unsigned admin_get_status(const struct admin_request *request, FILE *out)
{
    const struct admin_ops *ops = request->ops;
    struct admin_status s;
    ops->status(ops->ctx, &s);
    json_t *json = json_pack("{s:s, s:s, s:b, s:I, s:{s:i, s:i}, s:o, s:s?, s:o, s:o, s:o, s:o}",
        "version", s.version, "state", state_name(s.state), "ready", s.state == ADMIN_RUNNING,
        "uptime_seconds", (json_int_t)s.uptime_s, "workers", "count", (int)s.workers, "polling",
        (int)s.polling, "config", config(&s), "redis", s.redis, "allocations", allocations(ops),
        "listeners", listeners(ops), "relayed", relayed(ops), "sandbox", sandbox(&s));
    return admin_json_write(json, out);
}
