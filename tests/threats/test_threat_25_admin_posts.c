/*
 * THREATS row 25: a question about a credential carries a password and a token. None of it stays:
 * not in what our code frees, not in a log at debug level, not in an answer.
 */
#include <malloc.h>

#include "base/log.h"
#include "tests/unit/admin_server.h"

#define CANARY "canary-of-a-password"
/* base64 of "canary-of-a-token" */
#define TOKEN_TEXT  "Y2FuYXJ5LW9mLWEtdG9rZW4="
#define TOKEN_BYTES "canary-of-a-token"

static const char *const canaries[] = {CANARY, TOKEN_TEXT, TOKEN_BYTES};

static unsigned frees, dirty;

static bool has_canary(const char *bytes, size_t len)
{
    for (size_t i = 0; i < sizeof(canaries) / sizeof(canaries[0]); i++)
        if (memmem(bytes, len, canaries[i], strlen(canaries[i])))
            return true;
    return false;
}

void __real_free(void *p);
void __wrap_free(void *p);

/* Of our own objects only: libraries do not pass through --wrap. */
void __wrap_free(void *p)
{
    frees++;
    dirty += p && has_canary(p, malloc_usable_size(p));
    __real_free(p);
}

static void threat_25_questions_leave_no_secret_behind(void **state)
{
    static const char *const bodies[] = {
        "{\"user\":\"a\",\"password\":\"" CANARY "\"}",
        "{\"user\":\"a\",\"token\":\"" TOKEN_TEXT "\"}",
        "{\"user\":\"a\",\"password\":\"" CANARY "\",\"no\":1}",
        "{\"user\":\"a\",\"password\":\"" CANARY "\"",
        "{\"" CANARY "\":{\"" TOKEN_TEXT "\":[\"" CANARY "\"]}}",
        CANARY,
    };
    struct fixture *f = *state;
    char file[] = "threat-25-XXXXXX", text[1 << 16];
    int fd = mkstemp(file);
    assert_true(fd >= 0);
    unlink(file);
    assert_int_equal(log_init(fd, LOG_DEBUG, LOG_TEXT), 0);
    log_event(LOG_DEBUG, "begun", log_str("where", "here"));
    frees = dirty = 0;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        const char *answer = post_json(f, "/api/v1/explain", bodies[i]);
        assert_starts(answer, "HTTP/1.1 ");
        assert_false(has_canary(answer, strlen(answer)));
        answer = post_json(f, "/api/v1/revocations", bodies[i]);
        assert_starts(answer, "HTTP/1.1 4");
        assert_false(has_canary(answer, strlen(answer)));
    }
    /* Half a body, whose connection ends. */
    int half = join(f, true, true, 0);
    say(half, "POST /api/v1/explain HTTP/1.1\r\nContent-Type: application/json\r\n"
              "Content-Length: 100\r\n\r\n" CANARY);
    run(f);
    close(half);
    run(f);
    log_deinit();
    assert_int_equal(f->explains, 2);
    assert_true(frees > 20);
    assert_int_equal(dirty, 0);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    ssize_t len = read(fd, text, sizeof(text));
    assert_true(len > 0);
    assert_non_null(memmem(text, (size_t)len, "begun", 5));
    assert_false(has_canary(text, (size_t)len));
    close(fd);
}

/* The test sees what it looks for. */
static void threat_25_a_secret_that_is_freed_is_seen(void **state)
{
    frees = dirty = 0;
    char *volatile text = strdup("a " CANARY " b");
    assert_non_null(text);
    free(text);
    assert_int_equal(dirty, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threat_25_a_secret_that_is_freed_is_seen),
        SERVER(threat_25_questions_leave_no_secret_behind),
    };
    return cmocka_run_group_tests(tests, warm_up, NULL);
}
