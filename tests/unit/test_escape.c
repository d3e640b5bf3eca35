/* Names that stand in a text, and the names that are read out of one. */
#include "base/escape.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void assert_escaped(const char *name, const char *text)
{
    uint8_t out[64];
    const size_t len = escape_write(out, slice_of_string(name));
    assert_int_equal(len, strlen(text));
    assert_memory_equal(out, text, len);
}

static void test_escape_only_plain_bytes_stand_as_they_are(void **state)
{
    assert_escaped("alice-._~@:+Z09", "alice-._~@:+Z09");
    assert_escaped("a/b c%\n", "a%2Fb%20c%25%0A");
    assert_escaped("\x7fü!", "%7F%C3%BC%21");
    assert_escaped("", "");
}

static void test_escape_every_byte_comes_back(void **state)
{
    uint8_t all[256], text[ESCAPED_MAX(256)], back[ESCAPED_MAX(256)];
    for (unsigned i = 0; i < 256; i++)
        all[i] = (uint8_t)i;
    const size_t len = escape_write(text, slice_of(all, sizeof(all)));
    assert_int_equal(escape_read(back, slice_of(text, len)), 256);
    assert_memory_equal(back, all, 256);
    for (size_t i = 0; i < len; i++)
        assert_true(text[i] > ' ' && text[i] < 0x7f && text[i] != '/');
}

static void test_escape_other_spellings_are_no_names(void **state)
{
    static const char *const bad[] = {
        "%", "%2", "a%2f", "%41", "%zz", "a b", "a/b", "%%", "\n", "%2", "%-1", "% 1", "\xc3"};
    uint8_t back[16];
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(escape_read(back, slice_of_string(bad[i])), -EINVAL);
    assert_int_equal(escape_read(back, slice_of("\0", 1)), -EINVAL);
    assert_int_equal(escape_read(back, slice_of("%0\0", 3)), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escape_only_plain_bytes_stand_as_they_are),
        cmocka_unit_test(test_escape_every_byte_comes_back),
        cmocka_unit_test(test_escape_other_spellings_are_no_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
