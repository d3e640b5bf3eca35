/*
 * GET /api/v1/config: what runs, as YAML. Secrets are masked by their types (config/dump.c). Called
 * through the table of route.c.
 */
#include <stdlib.h>

#include "admin/answer.h"
#include "admin/json_answer.h"

/* Takes `json`: it is shown if an answer has room for it. */
static unsigned write_fitting(json_t *json, FILE *out)
{
    char *text = NULL;
    size_t len = 0;
    FILE *room = json ? open_memstream(&text, &len) : NULL;
    unsigned status = room && json_dumpf(json, room, JSON_COMPACT) == 0 ? 200 : 500;
    json_decref(json);
    if (room && fclose(room) != 0) {
        status = 500;
    }
    if (status == 200 && len >= ADMIN_ANSWER_MAX) {
        status = admin_json_refuse(out, 507,
            "the configuration is longer than an answer can be; turnpike --dump-config prints it");
    } else if (status == 200) {
        fprintf(out, "%s\n", text);
    }
    free(text);
    return status;
}

unsigned admin_get_config(const struct admin_request *request, FILE *out)
{
    const struct admin_ops *ops = request->ops;
    struct admin_status s;
    char *yaml = NULL;
    size_t len = 0;
    FILE *dump = open_memstream(&yaml, &len);
    const int r = dump ? ops->config(ops->ctx, dump) : -1;
    if ((dump && fclose(dump) != 0) || r < 0) {
        free(yaml);
        return 500;
    }
    ops->status(ops->ctx, &s);
    /* A path need not be UTF-8, JSON must. */
    json_t *file = s.config_file ? json_string(s.config_file) : NULL;
    json_t *json = json_pack("{s:o, s:I, s:s%}", "file", file ? file : json_null(), "version",
        (json_int_t)s.config_version, "yaml", yaml, len);
    free(yaml);
    return write_fitting(json, out);
}
