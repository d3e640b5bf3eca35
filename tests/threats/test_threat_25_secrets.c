/*
 * THREATS row 25: secrets stay out of what is printed. Canaries stand wherever a secret can be
 * configured or used; dump, difference, errors and the log of a session at debug level are searched
 * for them, as text and as the keys made from them.
 */
#include "base/log.h"
#include "config/config.h"
#include "tests/scenario/fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define TEXT_MAX (1u << 20)

static const char config_text[] = "auth:\n"
                                  "  users:\n"
                                  "    - { name: a, password: canary-password }\n"
                                  "    - { name: b, key: ca0a41ca0a41ca0a41ca0a41ca0a41ca }\n"
                                  "  secrets: [{ id: one, secret: canary-secret }]\n"
                                  "  nonce_secret: canary-nonce-secret\n";
static const char *const canaries[] = {"canary", "ca0a41", "CA0A41"};

static void assert_clean(const char *text)
{
    for (size_t i = 0; i < sizeof(canaries) / sizeof(canaries[0]); i++) {
        if (strstr(text, canaries[i])) {
            fail_msg("%s stands in: %s", canaries[i], text);
        }
    }
}

static void load(struct config *c, const char *text)
{
    struct config_error error;
    *c = (struct config){0};
    if (config_parse(c, "canary.yaml", slice_of_string(text), &error) != 0) {
        fail_msg("%s", error.text);
    }
}

static void test_dump_hides_every_secret(void **state)
{
    struct config c;
    char *text;
    size_t len;
    load(&c, config_text);
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    assert_int_equal(config_dump(&c, out), 0);
    fclose(out);
    assert_clean(text);
    assert_non_null(strstr(text, "***"));
    free(text);
    config_deinit(&c);
}

static void test_difference_hides_every_secret(void **state)
{
    struct config c, other;
    char *text;
    size_t len;
    load(&c, config_text);
    load(&other, "auth: { users: [{ name: z, password: z }] }\n");
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    config_diff(&c, &other, out);
    config_diff(&other, &c, out);
    fclose(out);
    assert_clean(text);
    assert_non_null(strstr(text, "auth.users"));
    free(text);
    config_deinit(&other);
    config_deinit(&c);
}

/* The file broken at every byte: whatever the error says, it does not quote a secret. */
static void test_errors_hide_every_secret(void **state)
{
    unsigned errors = 0;
    for (size_t cut = 0; cut < sizeof(config_text) - 1; cut++) {
        static const char *const broken[] = {"", "!", "&", "'", "]", "\n\t", ": :", "\x01"};
        for (size_t k = 0; k < sizeof(broken) / sizeof(broken[0]); k++) {
            char text[sizeof(config_text) + 8];
            struct config c = {0};
            struct config_error error;
            snprintf(text, sizeof(text), "%.*s%s%s", (int)cut, config_text, broken[k],
                k % 2 ? config_text + cut : "");
            if (config_parse(&c, "x.yaml", slice_of_string(text), &error) != 0) {
                assert_clean(error.text);
                errors++;
            } else {
                config_deinit(&c);
            }
        }
    }
    assert_true(errors > 500);
}

static size_t read_log(int fd, char *text)
{
    size_t len = 0;
    for (ssize_t n; (n = read(fd, text + len, TEXT_MAX - 1 - len)) > 0;) {
        len += (size_t)n;
    }
    text[len] = '\0';
    return len;
}

static void append_hex(char *out, const uint8_t *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * len] = '\0';
}

static void test_log_of_a_session_at_debug_shows_no_secret(void **state)
{
    struct fixture *f = *state;
    char file[] = "threat-25-XXXXXX", hex[2 * AUTH_KEY_MAX + 1] = "";
    uint8_t key[AUTH_KEY_MAX];
    char *text = malloc(TEXT_MAX);
    int fd = mkstemp(file);
    assert_true(fd >= 0);
    assert_non_null(text);
    unlink(file);
    assert_int_equal(log_init(fd, LOG_DEBUG, LOG_TEXT), 0);
    const struct addr peer = world_peer(1, 4000);
    fixture_allocate(&f->a);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    client_set_user(&f->b, "bob", "wrong-guess");
    assert_int_equal(client_allocate(&f->b, NULL), 401);
    append_hex(hex, key, client_key(&f->a, key));
    log_event(LOG_ERROR, "configured", log_secret("password"));
    assert_int_equal(client_refresh(&f->a, 0, NULL), 200);
    log_deinit();
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    read_log(fd, text);
    assert_non_null(strstr(text, "allocation_ended"));
    assert_non_null(strstr(text, "request_refused"));
    assert_non_null(strstr(text, "password=\"***\""));
    assert_null(strstr(text, "wonderland"));
    assert_null(strstr(text, "wrong-guess"));
    assert_null(strstr(text, hex));
    close(fd);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dump_hides_every_secret),
        cmocka_unit_test(test_difference_hides_every_secret),
        cmocka_unit_test(test_errors_hide_every_secret),
        SCENARIO(test_log_of_a_session_at_debug_shows_no_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
