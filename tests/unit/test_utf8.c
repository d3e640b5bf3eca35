/* Characters as Unicode's table 3-7 has them, and no others. */
#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void test_utf8_well_formed_characters_are_decoded(void **state)
{
    static const struct {
        const char *text;
        size_t len;
        uint32_t c;
    } rows[] = {{"a", 1, 'a'}, {"\x7f", 1, 0x7f}, {"\xc2\x80", 2, 0x80}, {"\xdf\xbf", 2, 0x7ff},
        {"\xe0\xa0\x80", 3, 0x800}, {"\xed\x9f\xbf", 3, 0xd7ff}, {"\xee\x80\x80", 3, 0xe000},
        {"\xef\xbf\xbf", 3, 0xffff}, {"\xf0\x90\x80\x80", 4, 0x10000},
        {"\xf4\x8f\xbf\xbf", 4, 0x10ffff}, {"\xc3\xa9xyz", 2, 0xe9}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint32_t c = 0;
        assert_int_equal(utf8_decode(slice_of_string(rows[i].text), &c), rows[i].len);
        assert_int_equal(c, rows[i].c);
    }
}

static void test_utf8_anything_else_is_no_character(void **state)
{
    static const char *const rows[] = {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2 ",
        "\xe0\x9f\xbf", "\xe1\x80", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xf8\x88\x80\x80\x80", "\xff"};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint32_t c = 7;
        assert_int_equal(utf8_decode(slice_of_string(rows[i]), &c), 0);
        assert_int_equal(c, 7);
    }
}

static void test_utf8_hidden_are_those_that_a_terminal_obeys_or_nobody_sees(void **state)
{
    static const uint32_t hidden[] = {
        0, 0x1b, '\n', 0x7f, 0x9b, 0xad, 0x200b, 0x202e, 0x2066, 0xfeff, 0xe0001};
    static const uint32_t shown[] = {' ', 'a', '~', 0xa0, 0xe9, 0x2026, 0x4e2d, 0x1f600};
    for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
        assert_true(utf8_is_hidden(hidden[i]));
    for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
        assert_false(utf8_is_hidden(shown[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8_well_formed_characters_are_decoded),
        cmocka_unit_test(test_utf8_anything_else_is_no_character),
        cmocka_unit_test(test_utf8_hidden_are_those_that_a_terminal_obeys_or_nobody_sees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
