/*
 * POST /api/v1/kick: allocations end now, of an id, of a user, or of whoever may send to a peer.
 * Nothing keeps them from coming back: that is a revocation. Called through the table of route.c.
 */
#include <errno.h>

#include "admin/json_answer.h"
#include "admin/json_body.h"

static void on_done(void *ctx, int error, uint64_t kicked)
{
    if (error == 0) {
        admin_json_answer(ctx, json_pack("{s:I}", "kicked", (json_int_t)kicked));
    } else if (error == -ENOENT) {
        admin_json_answer_refused(ctx, 404, "no such realm");
    } else {
        admin_json_answer_refused(ctx, 503,
            "too many others kick, or a worker did not answer in time; some may have been ended");
    }
}

/* 0 with *out borrowed from `json`, or -EINVAL. */
static int read_kick(const json_t *json, struct admin_kick *out)
{
    static const char *const known[] = {"id", "user", "realm", "peer"};
    struct admin_kick what = {0};
    if (!admin_json_only(json, known, sizeof(known) / sizeof(known[0])) ||
        admin_json_id(json, "id", &what.id) < 0 ||
        admin_json_text(json, "user", ADMIN_USER_MAX, &what.user) < 0 ||
        admin_json_text(json, "realm", ADMIN_REALM_MAX, &what.realm) < 0 ||
        admin_json_address(json, "peer", &what.peer) < 0 ||
        (what.id != 0) + (what.user.len > 0) + (what.peer.family != ADDR_NONE) != 1 ||
        (what.realm.len > 0 && what.user.len == 0)) {
        return -EINVAL;
    }
    *out = what;
    return 0;
}

static unsigned ask(const struct admin_request *request, const json_t *json, FILE *out)
{
    struct admin_kick what;
    if (read_kick(json, &what) < 0) {
        return admin_json_refuse(out, 422,
            "one of id (16 hexadecimal digits, small letters), user and peer (an address, alone) "
            "is needed; with a user, realm may be there");
    }
    what.done = on_done;
    what.ctx = request->later;
    request->ops->kick(request->ops->ctx, &what);
    return ADMIN_LATER;
}

unsigned admin_post_kick(const struct admin_request *request, FILE *out)
{
    return admin_json_serve(request, out, ask);
}
