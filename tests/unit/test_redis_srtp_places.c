/* Places and fields as text: one text for each, and no other that would be taken for it. */
#include "fleet/redis_srtp_places.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static void assert_place(const struct redis_srtp_place *place, const char *text)
{
    assert_int_equal(place->len, strlen(text));
    assert_memory_equal(place->text, text, place->len);
    assert_true(redis_srtp_is_place(redis_srtp_place_slice(place)));
}

static void test_redis_srtp_places_made_are_places(void **state)
{
    struct redis_srtp_place place;
    redis_srtp_place_allocation(&place, 0x0123456789abcdef);
    assert_place(&place, "allocation/0123456789abcdef");
    redis_srtp_place_allocation(&place, 1);
    assert_place(&place, "allocation/0000000000000001");
    const struct slice realm = slice_of_string("example.org");
    assert_int_equal(redis_srtp_place_user(&place, realm, slice_of_string("1700000000:ann@x")), 0);
    assert_place(&place, "user/example.org/1700000000:ann@x");
    assert_int_equal(redis_srtp_place_user(&place, realm, slice_of("a/b\0 %", 6)), 0);
    assert_place(&place, "user/example.org/a%2Fb%00%20%25");
}

static void test_redis_srtp_places_names_that_do_not_fit_have_none(void **state)
{
    uint8_t name[509];
    struct redis_srtp_place place = {.len = 77};
    const struct slice realm = slice_of_string("r"), empty = slice_of(NULL, 0);
    memset(name, 'x', sizeof(name));
    assert_int_equal(redis_srtp_place_user(&place, realm, slice_of(name, 508)), 0);
    assert_int_equal(place.len, 5 + 2 + 508);
    place.len = 77;
    assert_int_equal(redis_srtp_place_user(&place, realm, slice_of(name, 509)), -EINVAL);
    assert_int_equal(redis_srtp_place_user(&place, realm, empty), -EINVAL);
    assert_int_equal(redis_srtp_place_user(&place, empty, realm), -EINVAL);
    memset(name, '/', sizeof(name)); /* three characters each */
    assert_int_equal(redis_srtp_place_user(&place, realm, slice_of(name, 258)), -EINVAL);
    assert_int_equal(place.len, 77);
    assert_int_equal(redis_srtp_place_user(&place, realm, slice_of(name, 257)), 0);
    assert_true(place.len <= REDIS_SRTP_PLACE_MAX);
}

static void test_redis_srtp_places_others_are_none(void **state)
{
    static const char *const none[] = {"", "allocation", "allocation/",
        "allocation/0123456789abcde", "allocation/0123456789abcdef0", "allocation/0123456789ABCDEF",
        "allocation/0000000000000000", "allocation/ 123456789abcdef", "Allocation/0123456789abcdef",
        "user", "user/", "user/r", "user/r/", "user//u", "user/r/u/", "user/r/a/b", "user/r/a b",
        "user/r/%2f", "user/r/%61", "user/r/%", "user/r/%2", "users/r/u", " user/r/u",
        "user/r/u\n"};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        if (redis_srtp_is_place(slice_of_string(none[i])))
            fail_msg("'%s' is taken for a place", none[i]);
    }
    char text[REDIS_SRTP_PLACE_MAX + 2] = "user/";
    memset(text + 5, 'r', 300);
    text[305] = '/';
    memset(text + 306, 'u', REDIS_SRTP_PLACE_MAX + 1 - 306);
    assert_true(redis_srtp_is_place(slice_of(text, REDIS_SRTP_PLACE_MAX)));
    assert_false(redis_srtp_is_place(slice_of(text, REDIS_SRTP_PLACE_MAX + 1)));
}

static void assert_field(const char *text, uint8_t direction, bool has_ssrc, uint32_t ssrc)
{
    struct srtp_binding b = {.ssrc = 77, .direction = 9, .allocation = 5};
    assert_int_equal(redis_srtp_field(&b, slice_of_string(text)), 0);
    assert_int_equal(b.direction, direction);
    assert_int_equal(b.has_ssrc, has_ssrc);
    assert_int_equal(b.ssrc, ssrc);
    assert_int_equal(b.allocation, 5);
}

static void test_redis_srtp_field_says_direction_and_ssrc(void **state)
{
    assert_field("to_peer", SRTP_TO_PEER, false, 0);
    assert_field("to_client", SRTP_TO_CLIENT, false, 0);
    assert_field("to_peer/0", SRTP_TO_PEER, true, 0);
    assert_field("to_client/4294967295", SRTP_TO_CLIENT, true, UINT32_MAX);
}

static void test_redis_srtp_field_others_are_refused(void **state)
{
    static const char *const none[] = {"", "to_", "to_peers", "to_peer/", "to_peer/01",
        "to_peer/-1", "to_peer/0x1", "to_client/4294967296", "to_client/99999999999", "to_peer/1 ",
        "TO_PEER", "to_peer/1/2", "to_peer to_client"};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        struct srtp_binding b = {.ssrc = 77};
        if (redis_srtp_field(&b, slice_of_string(none[i])) != -EINVAL || b.ssrc != 77)
            fail_msg("'%s' is taken for a field", none[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_redis_srtp_places_made_are_places),
        cmocka_unit_test(test_redis_srtp_places_names_that_do_not_fit_have_none),
        cmocka_unit_test(test_redis_srtp_places_others_are_none),
        cmocka_unit_test(test_redis_srtp_field_says_direction_and_ssrc),
        cmocka_unit_test(test_redis_srtp_field_others_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
