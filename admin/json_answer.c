/*
 * Answers in JSON, and refusals in text. What a body was made of is wiped by json_body.c. Called by
 * the resources that take a body.
 */
#include "admin/json_answer.h"

#include "admin/json_body.h"

static unsigned write_as(json_t *json, size_t flags, FILE *out)
{
    int r = json ? json_dumpf(json, out, flags) : -1;
    json_decref(json);
    fputc('\n', out);
    return r < 0 ? 500 : 200;
}

unsigned admin_json_write(json_t *json, FILE *out)
{
    return write_as(json, JSON_INDENT(2), out);
}

unsigned admin_json_refuse(FILE *out, unsigned status, const char *why)
{
    fprintf(out, "%s\n", why);
    return status;
}

struct reply {
    json_t *json; /* taken */
    size_t flags; /* of json_dumpf */
    unsigned refused;
    const char *why; /* NULL: not refused */
};

static void answer(struct admin_later *l, const struct reply *reply)
{
    char *text = NULL;
    size_t len = 0;
    unsigned status = 500;
    FILE *out = open_memstream(&text, &len);
    if (out) {
        status = reply->why ? admin_json_refuse(out, reply->refused, reply->why)
                            : write_as(reply->json, reply->flags, out);
    } else {
        json_decref(reply->json);
    }
    if (out && fclose(out) != 0) {
        status = 500;
    }
    admin_later_answer(l, status, text, len);
}

void admin_json_answer(struct admin_later *l, json_t *json)
{
    const struct reply reply = {.json = json, .flags = JSON_INDENT(2)};
    answer(l, &reply);
}

void admin_json_answer_compact(struct admin_later *l, json_t *json)
{
    const struct reply reply = {.json = json, .flags = JSON_COMPACT};
    answer(l, &reply);
}

void admin_json_answer_refused(struct admin_later *l, unsigned status, const char *why)
{
    const struct reply reply = {.refused = status, .why = why};
    answer(l, &reply);
}

unsigned admin_json_serve(const struct admin_request *request, FILE *out, admin_json_fn *serve)
{
    json_t *json = admin_json_parse(request->body);
    unsigned status = json_is_object(json)
                          ? serve(request, json, out)
                          : admin_json_refuse(out, 400, "the body is no object of JSON");
    json_decref(json);
    return status;
}
