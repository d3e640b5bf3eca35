/*
 * POST /api/v1/limits: what limits there are for somebody, and how they stand, here and in Redis.
 * The answer repeats nothing of the question. Called through the table of route.c.
 */
#include "admin/json_answer.h"
#include "admin/json_body.h"

static json_t *rate_limit(const struct rate *limit)
{
    return json_pack("{s:I, s:I, s:I}", "count", (json_int_t)limit->count, "period_s",
        (json_int_t)limit->period_s, "burst", (json_int_t)limit->burst);
}

/* Rounded up: what is denied for less than a millisecond is denied. */
static json_int_t milliseconds(uint64_t us)
{
    return (json_int_t)((us + US_PER_MS - 1) / US_PER_MS);
}

/* null: not shared, or Redis has not said. */
static json_t *rate_of_fleet(const struct admin_rate *r)
{
    return !r->found ? json_null()
                     : json_pack("{s:I, s:I}", "left", (json_int_t)r->fleet.left, "denied_ms",
                           milliseconds(r->fleet.denied_us));
}

static json_t *rate_json(const struct admin_rate *r)
{
    json_t *here = json_pack("{s:I, s:I, s:I, s:I, s:b}", "left", (json_int_t)r->here.left,
        "unreported", (json_int_t)r->here.unreported, "owed", (json_int_t)r->here.owed, "denied_ms",
        milliseconds(r->here.denied_us), "silent", r->here.silent);
    return json_pack("{s:s, s:o, s:b, s:o, s:o}", "scope", r->scope, "limit", rate_limit(&r->limit),
        "shared", r->shared, "here", here, "fleet", rate_of_fleet(r));
}

/* 0, no limit, is null. */
static json_t *number_or_null(uint64_t n)
{
    return n ? json_integer((json_int_t)n) : json_null();
}

static json_t *quota_json(const struct admin_quota *q)
{
    return json_pack("{s:s, s:o, s:b, s:I, s:I, s:I, s:b}", "scope", q->scope, "limit",
        number_or_null(q->limit), "shared", q->shared, "here", (json_int_t)q->here, "elsewhere",
        (json_int_t)q->elsewhere, "unreported", (json_int_t)q->unreported, "silent", q->silent);
}

static json_t *bandwidth_json(const struct admin_bandwidth *b)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:I}", "allocation", number_or_null(b->allocation),
        "user", number_or_null(b->user), "realm", number_or_null(b->realm), "instance",
        number_or_null(b->instance), "burst_ms", (json_int_t)b->burst_ms);
}

static json_t *found_json(const struct admin_limits_found *f)
{
    static const char *const sharing[] = {[ADMIN_LIMITS_OWN] = "own",
        [ADMIN_LIMITS_SHARED] = "shared",
        [ADMIN_LIMITS_ALONE] = "alone"};
    json_t *rates = json_array(), *quotas = json_array();
    for (size_t i = 0; i < f->rate_count; i++) {
        json_array_append_new(rates, rate_json(&f->rates[i]));
    }
    for (size_t i = 0; i < f->quota_count; i++) {
        json_array_append_new(quotas, quota_json(&f->quotas[i]));
    }
    return json_pack("{s:s, s:s, s:I, s:s?, s:o, s:o, s:o}", "sharing", sharing[f->sharing],
        "on_failure", f->deny_alone ? "deny" : "local", "instances", (json_int_t)f->instances,
        "redis", f->redis, "rates", rates, "quotas", quotas, "bandwidth",
        bandwidth_json(&f->bandwidth));
}

static void on_found(void *ctx, const struct admin_limits_found *found)
{
    if (found) {
        admin_json_answer(ctx, found_json(found));
    } else {
        admin_json_answer_refused(ctx, 404, "no such realm");
    }
}

static unsigned ask(const struct admin_request *request, const json_t *json, FILE *out)
{
    static const char *const known[] = {"user", "realm", "address"};
    struct admin_limits what = {
        .scoped = json_object_size(json) > 0, .found = on_found, .ctx = request->later};
    if (!admin_json_only(json, known, sizeof(known) / sizeof(known[0])) ||
        admin_json_text(json, "user", ADMIN_USER_MAX, &what.user) < 0 ||
        admin_json_text(json, "realm", ADMIN_REALM_MAX, &what.realm) < 0 ||
        admin_json_address(json, "address", &what.address) < 0) {
        return admin_json_refuse(
            out, 422, "user, realm and address may be there; an address is IPv4 or IPv6, alone");
    }
    request->ops->limits(request->ops->ctx, &what);
    return ADMIN_LATER;
}

unsigned admin_post_limits(const struct admin_request *request, FILE *out)
{
    return admin_json_serve(request, out, ask);
}
