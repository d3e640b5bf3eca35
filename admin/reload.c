/*
 * POST /api/v1/reload: the configuration is read again, and the answer says what became of it when
 * every worker has taken it; the body is an empty object. Called through the table of route.c.
 */
#include "admin/json_answer.h"
#include "admin/json_body.h"

/* Those that wait for a restart, or those that do not. NULL: out of memory. */
static json_t *changes(const struct admin_reloaded *told, bool needs_restart)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < told->change_count; i++) {
        if (told->changes[i].needs_restart == needs_restart &&
            json_array_append_new(list, json_string(told->changes[i].what)) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static void on_done(void *ctx, const struct admin_reloaded *told)
{
    if (told->error) {
        admin_json_answer_refused(ctx, told->busy ? 503 : 422, told->error);
        return;
    }
    admin_json_answer(
        ctx, json_pack("{s:b, s:I, s:o, s:o, s:I}", "reloaded", true, "version",
                 (json_int_t)told->version, "changed", changes(told, false), "needs_restart",
                 changes(told, true), "listeners_kept", (json_int_t)told->listeners_kept));
}

static unsigned ask(const struct admin_request *request, const json_t *json, FILE *out)
{
    const struct admin_reload what = {on_done, request->later};
    if (json_object_size(json) > 0) {
        return admin_json_refuse(out, 422, "nothing is asked beside the reload: the body is {}");
    }
    request->ops->reload(request->ops->ctx, &what);
    return ADMIN_LATER;
}

unsigned admin_post_reload(const struct admin_request *request, FILE *out)
{
    return admin_json_serve(request, out, ask);
}
