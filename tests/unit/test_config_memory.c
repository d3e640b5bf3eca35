/*
 * The configuration when memory fails: each allocation of our own in turn, once, while it is read,
 * kept, placed and compared. It is good or it says so, and nothing is left behind, which the
 * sanitizer sees. Linked with --wrap.
 */
#include "tests/unit/config_good.h"
#include "tests/unit/failing_memory.h"

void *__real_reallocarray(void *old, size_t count, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);

void *__wrap_reallocarray(void *old, size_t count, size_t size)
{
    return fails() ? NULL : __real_reallocarray(old, count, size);
}

/* With the n-th allocation failing. */
static void begin(unsigned n)
{
    allocations = 0;
    failing = n;
}

/* True: there were fewer allocations than that, none has failed. */
static bool end(void)
{
    const bool whole = allocations < failing;
    failing = 0;
    return whole;
}

static void test_memory_config_parse_is_whole_or_says_so(void **state)
{
    bool whole = false;
    unsigned n;
    for (n = 1; !whole; n++) {
        struct config c = {0};
        struct config_error error = {""};
        begin(n);
        const int rc = config_parse(&c, "good.yaml", slice_of(good, sizeof(good) - 1), &error);
        whole = end();
        assert_int_equal(rc, whole ? 0 : -ENOMEM);
        if (!whole)
            assert_string_equal(error.text, "good.yaml: out of memory");
        config_deinit(&c);
    }
    assert_true(n > 300); /* the file, the defaults, every list */
}

static void test_memory_config_init_is_whole_or_says_so(void **state)
{
    bool whole = false;
    for (unsigned n = 1; !whole; n++) {
        struct config c = {0};
        begin(n);
        const int rc = config_init(&c);
        whole = end();
        assert_int_equal(rc, whole ? 0 : -ENOMEM);
        config_deinit(&c);
    }
}

static const char other[] =
    "realm: other\nrealms: [{ name: z, users: [{ name: a, password: b }] }]\n"
    "auth: { users: [{ name: a, password: b }] }\n";

/* `next` stays a configuration that can be dumped, whatever fails. */
static void test_memory_config_keep_and_place_leave_next_whole(void **state)
{
    struct config running = {0};
    bool whole = false;
    load(&running, good);
    for (unsigned n = 1; !whole; n++) {
        struct config next = {0};
        struct config_error error = {""};
        load(&next, other);
        begin(n);
        int rc = config_keep(&next, &running);
        if (rc == 0)
            rc = config_place_realms(&next, &running, &error);
        whole = end();
        assert_int_equal(rc, whole ? 0 : -ENOMEM);
        char *dump = config_text(&next);
        assert_non_null(dump);
        free(dump);
        config_deinit(&next);
    }
    config_deinit(&running);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_config_parse_is_whole_or_says_so),
        cmocka_unit_test(test_memory_config_init_is_whole_or_says_so),
        cmocka_unit_test(test_memory_config_keep_and_place_leave_next_whole),
    };
    return cmocka_run_group_tests_name("config_memory", tests, open_scratch, close_scratch);
}
