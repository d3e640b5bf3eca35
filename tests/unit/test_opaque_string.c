/* OpaqueString: the table of RFC 8265 section 4.2.4, and what the class does not admit. */
#include "auth/opaque_string.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static void gives(const char *text, const char *expected)
{
    struct secret out = {0};
    const char *why = NULL;
    int rc = opaque_string(&out, slice_of_string(text), &why);
    if (rc != 0)
        print_error("\"%s\": %s\n", text, why);
    assert_int_equal(rc, 0);
    assert_int_equal(out.len, strlen(expected));
    assert_memory_equal(out.data, expected, out.len);
    assert_int_equal(out.data[out.len], 0);
    assert_true(opaque_string_admits(slice_of_string(text)));
    secret_wipe(&out);
}

static void refuses(struct slice text)
{
    struct secret out = {0};
    const char *why = NULL;
    int rc = opaque_string(&out, text, &why);
    if (rc == 0)
        print_error("accepted: \"%.*s\"\n", (int)text.len, (const char *)text.data);
    assert_int_equal(rc, -EINVAL);
    assert_non_null(why);
    assert_null(out.data);
    assert_false(opaque_string_admits(text));
    secret_wipe(&out);
}

static void test_opaque_string_admits_up_to_its_length(void **state)
{
    static uint8_t text[OPAQUE_STRING_ADMITS_MAX + 1];
    memset(text, 'x', sizeof(text));
    for (int i = 0; i < 2; i++) {
        assert_true(opaque_string_admits(slice_of(text, OPAQUE_STRING_ADMITS_MAX)));
        assert_false(opaque_string_admits(slice_of(text, OPAQUE_STRING_ADMITS_MAX + 1)));
        memcpy(text, "\xc3\xa5", 2); /* and not on the short way */
    }
    memcpy(text + OPAQUE_STRING_ADMITS_MAX - 1, "\xc3\xa5", 2);
    assert_false(opaque_string_admits(slice_of(text, OPAQUE_STRING_ADMITS_MAX)));
}

static void test_opaque_string_allowed_text_unchanged(void **state)
{
    /* RFC 8265 section 4.2.4, table 3. */
    gives("correct horse battery staple", "correct horse battery staple");
    gives("Correct Horse Battery Staple", "Correct Horse Battery Staple");
    gives("\xcf\x80\xc3\x9f\xc3\xa5", "\xcf\x80\xc3\x9f\xc3\xa5");
    gives("Jack of \xe2\x99\xa6s", "Jack of \xe2\x99\xa6s");
    gives("1735689600:al\"ice~!", "1735689600:al\"ice~!");
    /* Width and case are not mapped. */
    gives("\xef\xbc\xa1\xef\xbd\xb1", "\xef\xbc\xa1\xef\xbd\xb1");
}

static void test_opaque_string_other_spaces_become_ascii(void **state)
{
    gives("foo\xe1\x9a\x80"
          "bar",
        "foo bar"); /* OGHAM SPACE MARK, the RFC's example */
    gives("\xc2\xa0\xe3\x80\x80\xe2\x80\x83", "   ");
}

static void test_opaque_string_decomposed_is_composed(void **state)
{
    gives("a\xcc\x8a\x6e\xcc\x83", "\xc3\xa5\xc3\xb1");
    /* NFC, not NFKC: a ligature stays. Hangul syllables are fine. */
    gives("\xef\xac\x81", "\xef\xac\x81");
    gives("\xed\x95\x9c", "\xed\x95\x9c");
}

static void test_opaque_string_rfc8489_b1_name_and_password(void **state)
{
    /* RFC 8489 appendix B.1 maps the password as SASLprep did (RFC 5769); OpaqueString neither
     * drops U+00AD nor folds U+2168: the first is refused as RFC 8264 section 9.13 wants it, what
     * the vector ends with passes. */
    gives("TheMatrIX", "TheMatrIX");
    gives("\xe3\x83\x9e\xe3\x83\x88\xe3\x83\xaa\xe3\x83\x83\xe3\x82\xaf\xe3\x82\xb9",
        "\xe3\x83\x9e\xe3\x83\x88\xe3\x83\xaa\xe3\x83\x83\xe3\x82\xaf\xe3\x82\xb9");
    refuses(slice_of_string("TheM\xc2\xad"
                            "atrIX"));
}

static void test_opaque_string_empty_refused(void **state)
{
    refuses(slice_of("", 0));
    refuses((struct slice){0});
}

static void test_opaque_string_not_admitted_refused(void **state)
{
    static const char *const bad[] = {
        "my cat is a \x09"
        "by",                        /* RFC 8265 table 4: a control character */
        "a\x7f", "a\nb", "\xc2\x85", /* DEL, LF, C1 */
        "a\xe2\x80\x8b"
        "b", /* ZERO WIDTH SPACE */
        "a\xe2\x80\x8d"
        "b", /* ZERO WIDTH JOINER */
        "\xef\xbb\xbf"
        "a", /* BOM */
        "a\xe2\x80\xae"
        "b", /* RIGHT-TO-LEFT OVERRIDE */
        "a\xe2\x80\xa8"
        "b",                /* LINE SEPARATOR */
        "\xee\x80\x80",     /* private use */
        "\xef\xbf\xbe",     /* noncharacter */
        "\xf3\xa0\x80\xa1", /* TAG EXCLAMATION MARK */
        "\xef\xb8\x8f",     /* VARIATION SELECTOR-16 */
        "\xcd\xb8",         /* U+0378, unassigned */
        "\xe1\x84\x80",     /* HANGUL CHOSEONG KIYEOK */
        "\xd9\x80",         /* ARABIC TATWEEL */
        "a\xc2\xb7"
        "a", /* MIDDLE DOT, not between two l */
        "\xcd\xb5"
        "a",         /* GREEK KERAIA before Latin */
        "a\xd7\xb3", /* GERESH behind Latin */
        "a\xe3\x83\xbb"
        "b",                /* KATAKANA MIDDLE DOT among Latin */
        "\xd9\xa1\xdb\xb1", /* Arabic digits of both kinds */
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        refuses(slice_of_string(bad[i]));
    refuses(slice_of("a\0b", 3));
}

static void test_opaque_string_allowed_in_context_accepted(void **state)
{
    gives("l\xc2\xb7l", "l\xc2\xb7l");
    gives("\xcd\xb5\xce\xb1", "\xcd\xb5\xce\xb1");
    gives("\xd7\x90\xd7\xb3", "\xd7\x90\xd7\xb3");
    gives("\xe3\x82\xa2\xe3\x83\xbb\xe3\x82\xa4", "\xe3\x82\xa2\xe3\x83\xbb\xe3\x82\xa4");
    gives("\xd9\xa1\xd9\xa2", "\xd9\xa1\xd9\xa2");
}

static void test_opaque_string_bad_utf8_refused(void **state)
{
    static const char *const bad[] = {"\x80", "a\xc3", "\xc0\xaf", "\xed\xa0\x80",
        "\xf4\x90\x80\x80", "\xff", "\xe0\x80\x80", "\xf0\x80\x80\xaf"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        refuses(slice_of_string(bad[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opaque_string_allowed_text_unchanged),
        cmocka_unit_test(test_opaque_string_other_spaces_become_ascii),
        cmocka_unit_test(test_opaque_string_decomposed_is_composed),
        cmocka_unit_test(test_opaque_string_rfc8489_b1_name_and_password),
        cmocka_unit_test(test_opaque_string_empty_refused),
        cmocka_unit_test(test_opaque_string_not_admitted_refused),
        cmocka_unit_test(test_opaque_string_allowed_in_context_accepted),
        cmocka_unit_test(test_opaque_string_bad_utf8_refused),
        cmocka_unit_test(test_opaque_string_admits_up_to_its_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
