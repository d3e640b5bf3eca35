/* A build without libsrtp2 says so, and judges nothing. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "srtp/verifier.h"

static void test_verifier_none_makes_no_verifier(void **state)
{
    const struct srtp_keys keys = {.count = 1};
    const struct srtp_verifier_options options = {.window = 128, .streams = 1};
    struct srtp_verifier *v = NULL;
    assert_int_equal(srtp_verifier_init(), 0);
    assert_false(srtp_verifier_available());
    assert_int_equal(srtp_verifier_new(&v, &keys, &options), -ENOSYS);
    assert_null(v);
    srtp_verifier_free(v);
}

static void test_verifier_none_verifies_nothing(void **state)
{
    const uint8_t packet[12] = {0x80};
    assert_int_equal(
        srtp_verifier_judge(NULL, slice_of(packet, sizeof(packet)), false, 0), SRTP_UNVERIFIED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verifier_none_makes_no_verifier),
        cmocka_unit_test(test_verifier_none_verifies_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
