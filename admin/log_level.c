/*
 * /api/v1/log-level: what the log shows, and for a while something else, without a reload. Called
 * through the table of route.c.
 */
#include <errno.h>

#include "admin/json_answer.h"
#include "admin/json_body.h"

#define DEFAULT_S 600u
#define LONGEST_S 86400u

static unsigned answer(const struct admin_ops *ops, FILE *out)
{
    struct admin_log_level now;
    ops->log_level(ops->ctx, &now);
    return admin_json_write(json_pack("{s:s, s:s, s:o}", "level", log_level_name(now.level),
                                "configured", log_level_name(now.configured), "seconds",
                                now.seconds ? json_integer(now.seconds) : json_null()),
        out);
}

unsigned admin_get_log_level(const struct admin_request *request, FILE *out)
{
    return answer(request->ops, out);
}

/* 0, or -EINVAL. */
static int read_level(struct slice name, enum log_level *out)
{
    for (enum log_level level = LOG_ERROR; level <= LOG_DEBUG; level++) {
        if (slice_equal(name, slice_of_string(log_level_name(level)))) {
            *out = level;
            return 0;
        }
    }
    return -EINVAL;
}

static unsigned ask(const struct admin_request *request, const json_t *json, FILE *out)
{
    static const char *const known[] = {"level", "seconds"};
    const struct admin_ops *ops = request->ops;
    enum log_level level = LOG_INFO;
    uint64_t seconds = DEFAULT_S;
    struct slice name;
    if (!admin_json_only(json, known, sizeof(known) / sizeof(known[0])) ||
        admin_json_text(json, "level", 8, &name) < 0 ||
        admin_json_number(json, "seconds", LONGEST_S, &seconds) < 0 ||
        (seconds > 0 ? read_level(name, &level) < 0 : json_object_get(json, "level") != NULL)) {
        return admin_json_refuse(out, 422,
            "level (error, warn, info or debug) with seconds (1 to 86400, without it 600), or "
            "seconds 0 alone to take it back");
    }
    ops->ask_log_level(ops->ctx, level, (uint32_t)seconds);
    return answer(ops, out);
}

unsigned admin_post_log_level(const struct admin_request *request, FILE *out)
{
    return admin_json_serve(request, out, ask);
}
