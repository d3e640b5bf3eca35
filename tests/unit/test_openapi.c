/*
 * The document of the API against the table of resources: every row is in it with what it needs,
 * nothing else is, and the examples of requests are taken by the handlers.
 */
#include "tests/unit/admin_server.h"

#include <jansson.h>

#include "admin/answer.h"
#include "admin/json_body.h"

static json_t *document;

static const char *method_name(enum admin_method method)
{
    return method == ADMIN_POST ? "post" : "get";
}

static json_t *operation_of(const struct admin_route *row)
{
    const json_t *path = json_object_get(json_object_get(document, "paths"), row->path);
    return json_object_get(path, method_name(row->method));
}

static int read_document(void **state)
{
    struct admin_request request = {0};
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    admin_json_init();
    if (warm_up(state) != 0 || !out || admin_get_openapi(&request, out) != 200 || fclose(out) != 0)
        return -1;
    json_error_t error;
    document = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
    if (!document)
        print_error("line %d: %s\n", error.line, error.text);
    free(text);
    return document && len < ADMIN_ANSWER_MAX ? 0 : -1;
}

static int free_document(void **state)
{
    json_decref(document);
    return 0;
}

static void test_openapi_has_every_row_and_nothing_else(void **state)
{
    const json_t *paths = json_object_get(document, "paths");
    const char *path, *method;
    json_t *item, *operation;
    size_t operations = 0;
    assert_string_equal(json_string_value(json_object_get(document, "openapi")), "3.1.0");
    for (size_t i = 0; i < admin_route_count; i++)
        if (!operation_of(&admin_routes[i]))
            fail_msg("admin/openapi.json has no %s of %s", method_name(admin_routes[i].method),
                admin_routes[i].path);
    json_object_foreach((json_t *)(uintptr_t)paths, path, item)
    {
        json_object_foreach(item, method, operation)
        {
            operations++;
            bool found = false;
            for (size_t i = 0; i < admin_route_count; i++)
                found |= strcmp(admin_routes[i].path, path) == 0 &&
                         strcmp(method_name(admin_routes[i].method), method) == 0;
            if (!found)
                fail_msg("no row for %s of %s", method, path);
        }
    }
    assert_int_equal(operations, admin_route_count);
}

static void test_openapi_says_what_each_row_needs_and_may_answer(void **state)
{
    for (size_t i = 0; i < admin_route_count; i++) {
        const struct admin_route *row = &admin_routes[i];
        const json_t *operation = operation_of(row);
        const json_t *responses = json_object_get(operation, "responses");
        /* An empty list is "no security"; where there is none, that of the document counts. */
        const json_t *security = json_object_get(operation, "security");
        assert_true(row->needs_token ? !security : security && json_array_size(security) == 0);
        assert_true(row->takes_body == !!json_object_get(operation, "requestBody"));
        const json_t *content = json_object_get(json_object_get(responses, "200"), "content");
        const char *type = json_object_iter_key(json_object_iter((json_t *)(uintptr_t)content));
        assert_non_null(type);
        assert_memory_equal(row->type, type, strlen(type));
        static const char *const of_token[] = {"401", "403"}, *const of_body[] = {
                                                                  "400", "415", "422"};
        for (size_t k = 0; k < 2; k++)
            assert_true(row->needs_token == !!json_object_get(responses, of_token[k]));
        for (size_t k = 0; k < 3; k++)
            assert_true(row->takes_body == !!json_object_get(responses, of_body[k]));
        if (row->answers_later && !json_object_get(responses, "503"))
            fail_msg("%s may not come in time, and has no 503", row->path);
    }
    assert_true(json_array_size(json_object_get(document, "security")) > 0);
}

/* Of JSON pointers within the document, as "$ref" has them. */
static json_t *resolve(const char *pointer)
{
    json_t *at = document;
    char text[128], *rest = text;
    snprintf(text, sizeof(text), "%s", pointer);
    assert_string_equal(strsep(&rest, "/"), "#");
    while (rest)
        at = json_object_get(at, strsep(&rest, "/"));
    return at;
}

static void assert_resolved(json_t *json)
{
    const char *key;
    json_t *value;
    size_t i;
    if (json_is_object(json)) {
        json_object_foreach(json, key, value)
        {
            if (strcmp(key, "$ref") == 0 && !resolve(json_string_value(value)))
                fail_msg("%s leads nowhere", json_string_value(value));
            assert_resolved(value);
        }
    } else if (json_is_array(json)) {
        json_array_foreach(json, i, value)
        {
            assert_resolved(value);
        }
    }
}

static void test_openapi_references_lead_somewhere(void **state)
{
    assert_resolved(document);
}

/* Asked for in this program by fakes; what they do is another test's. */
static void fake_sessions(void *ctx, const struct admin_sessions *what)
{
    what->found(what->ctx, -ENOENT, NULL, 0);
}

static void fake_kick(void *ctx, const struct admin_kick *what)
{
    what->done(what->ctx, 0, 1);
}

static int fake_credential(
    void *ctx, const struct admin_credential *what, struct admin_credential_made *out)
{
    return -ENOENT;
}

static void fake_ask_log_level(void *ctx, enum log_level level, uint32_t seconds)
{
}

static void fake_log_level(void *ctx, struct admin_log_level *out)
{
    *out = (struct admin_log_level){0};
}

static void fake_reload(void *ctx, const struct admin_reload *what)
{
    static const struct admin_reloaded done;
    what->done(what->ctx, &done);
}

static int fake_drain(void *ctx, const struct admin_drain_asked *what)
{
    static const struct drain_alternates none;
    what->done(what->ctx, &(const struct admin_drain){.alternates = &none});
    return 0;
}

static void test_openapi_examples_are_taken(void **state)
{
    static const char *const asked_here[] = {"/api/v1/revocations", "/api/v1/explain",
        "/api/v1/limits", "/api/v1/sessions", "/api/v1/kick", "/api/v1/srtp-keys",
        "/api/v1/credentials", "/api/v1/log-level", "/api/v1/reload", "/api/v1/drain"};
    struct fixture *f = *state;
    f->ops.sessions = fake_sessions;
    f->ops.kick = fake_kick;
    f->ops.credential = fake_credential;
    f->ops.log_level = fake_log_level;
    f->ops.reload = fake_reload;
    f->ops.drain = fake_drain;
    f->ops.ask_log_level = fake_ask_log_level;
    for (size_t i = 0; i < sizeof(asked_here) / sizeof(asked_here[0]); i++) {
        const struct admin_route row = {.method = ADMIN_POST, .path = asked_here[i]};
        const json_t *body = json_object_get(operation_of(&row), "requestBody");
        const json_t *content =
            json_object_get(json_object_get(body, "content"), "application/json");
        const char *name;
        json_t *example;
        size_t examples = 0;
        json_object_foreach(json_object_get(content, "examples"), name, example)
        {
            char text[2048];
            const size_t len =
                json_dumpb(json_object_get(example, "value"), text, sizeof(text), JSON_COMPACT);
            assert_in_range(len, 2, sizeof(text) - 1);
            text[len] = '\0';
            const char *answer = post_json(f, row.path, text);
            /* 404: there is no such realm in this test. */
            if (strncmp(answer, "HTTP/1.1 200 ", 13) != 0 &&
                strncmp(answer, "HTTP/1.1 404 ", 13) != 0)
                fail_msg("%s, example %s: %.300s", row.path, name, answer);
            examples++;
        }
        assert_true(examples > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_openapi_has_every_row_and_nothing_else),
        cmocka_unit_test(test_openapi_says_what_each_row_needs_and_may_answer),
        cmocka_unit_test(test_openapi_references_lead_somewhere),
        SERVER(test_openapi_examples_are_taken),
    };
    return cmocka_run_group_tests(tests, read_document, free_document);
}
