/* Base64: what encoders write is read, and nothing else. */
#include "base/base64.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <openssl/evp.h>

static int decode(const char *text, uint8_t *out, size_t cap)
{
    return base64_decode(out, cap, slice_of_string(text));
}

static void test_base64_vectors_of_the_rfc(void **state)
{
    static const char *const rows[][2] = {{"", ""}, {"Zg==", "f"}, {"Zm8=", "fo"}, {"Zm9v", "foo"},
        {"Zm9vYg==", "foob"}, {"Zm9vYmE=", "fooba"}, {"Zm9vYmFy", "foobar"}};
    uint8_t out[8];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(decode(rows[i][0], out, sizeof(out)), strlen(rows[i][1]));
        assert_memory_equal(out, rows[i][1], strlen(rows[i][1]));
    }
}

static void test_base64_every_byte_comes_back(void **state)
{
    uint8_t bytes[256], out[256];
    char text[352];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 167 + 11);
    for (int len = 0; len <= (int)sizeof(bytes); len++) {
        EVP_EncodeBlock((unsigned char *)text, bytes, len);
        assert_int_equal(decode(text, out, (size_t)len), len);
        assert_memory_equal(out, bytes, (size_t)len);
        if (len > 0)
            assert_int_equal(decode(text, out, (size_t)len - 1), -EINVAL);
    }
}

static void test_base64_nothing_else_is_read(void **state)
{
    static const char *const bad[] = {"Z", "Zg",
        "Zg=", "Zg===", "====", "=Zg=", "Zg==Zg==", "Z=g=", "Zh==", "Zm9=", "Zm9vYm",
        " Zg==", "Zg==\n", "Zm9v\r\n==", "Zm-v", "Zm_v", "Zm\xc3v", "Z==="};
    uint8_t out[16];
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (decode(bad[i], out, sizeof(out)) != -EINVAL)
            fail_msg("'%s' is read", bad[i]);
    assert_int_equal(base64_decode(out, sizeof(out), slice_of("Zm9\0", 4)), -EINVAL);
}

static void test_base64_bare_has_no_padding(void **state)
{
    uint8_t out[8];
    assert_int_equal(base64_decode_bare(out, sizeof(out), slice_of("Zm9vYg", 6)), 4);
    assert_memory_equal(out, "foob", 4);
    assert_int_equal(base64_decode_bare(out, sizeof(out), slice_of("Zm9vYg==", 8)), -EINVAL);
    assert_int_equal(base64_decode_bare(out, sizeof(out), slice_of("Zm9vYh", 6)), -EINVAL);
    assert_int_equal(base64_decode_bare(out, sizeof(out), slice_of("Zm9vA", 5)), -EINVAL);
    assert_int_equal(base64_decode_bare(out, 3, slice_of("Zm9vYg", 6)), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base64_vectors_of_the_rfc),
        cmocka_unit_test(test_base64_every_byte_comes_back),
        cmocka_unit_test(test_base64_nothing_else_is_read),
        cmocka_unit_test(test_base64_bare_has_no_padding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
