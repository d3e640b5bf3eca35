/* Bindings as text: each has one spelling, and no other spelling is read. */
#include "srtp/key_place.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct slice text(const char *s)
{
    return slice_of_string(s);
}

static struct srtp_binding of_user(const char *user, uint32_t ssrc)
{
    struct srtp_binding b = {.has_ssrc = true, .ssrc = ssrc, .user_len = (uint16_t)strlen(user)};
    memcpy(b.user, user, b.user_len);
    return b;
}

static int write_and_read(const struct srtp_binding *b, const char *realm, struct key_place *p)
{
    struct srtp_binding back;
    struct key_realm named;
    if (key_place_write(p, b, text(realm)) < 0)
        return -EINVAL;
    assert_int_equal(p->place_len, strlen(p->place));
    assert_int_equal(p->field_len, strlen(p->field));
    assert_int_equal(key_place_read(&back, &named, key_place_slice(p), key_field_slice(p)), 0);
    assert_true(srtp_binding_equal(&back, b));
    const struct slice name = slice_of(named.name, named.len);
    assert_true(slice_equal(name, b->allocation ? (struct slice){0} : text(realm)));
    return 0;
}

static void test_key_place_bindings_come_back(void **state)
{
    struct srtp_binding b = {.allocation = 0x0123456789abcdef};
    struct key_place p;
    assert_int_equal(write_and_read(&b, "", &p), 0);
    assert_string_equal(p.place, "allocation/0123456789abcdef");
    assert_string_equal(p.field, "to_peer");
    b.direction = SRTP_TO_CLIENT;
    b.has_ssrc = true;
    b.ssrc = UINT32_MAX;
    assert_int_equal(write_and_read(&b, "", &p), 0);
    assert_string_equal(p.field, "to_client/4294967295");
    b = of_user("1795500000:alice", 0);
    assert_int_equal(write_and_read(&b, "example.org", &p), 0);
    assert_string_equal(p.place, "user/example.org/1795500000:alice");
    assert_string_equal(p.field, "to_peer/0");
}

static void test_key_place_names_cannot_shift_what_parts_them(void **state)
{
    struct srtp_binding b = of_user("b/c d", 7);
    struct key_place p, q;
    assert_int_equal(write_and_read(&b, "a", &p), 0);
    assert_string_equal(p.place, "user/a/b%2Fc%20d");
    b = of_user("c d", 7);
    assert_int_equal(write_and_read(&b, "a/b", &q), 0);
    assert_string_equal(q.place, "user/a%2Fb/c%20d");
}

static void test_key_place_longest_names_fit(void **state)
{
    char realm[KEY_PLACE_REALM_MAX + 2] = {0};
    struct srtp_binding b = of_user("a", 1);
    struct key_place p = {.place_len = 7};
    /* "user/", and '/' between. */
    memset(realm, 'r', KEY_PLACE_REALM_MAX + 1);
    assert_int_equal(write_and_read(&b, realm, &p), -EINVAL);
    realm[KEY_PLACE_REALM_MAX] = '\0';
    assert_int_equal(write_and_read(&b, realm, &p), 0);
    assert_int_equal(p.place_len, 5 + KEY_PLACE_REALM_MAX + 1 + 1);
    realm[200] = '\0';
    memset(b.user, 'u', SRTP_USER_MAX);
    b.user_len = SRTP_USER_MAX;
    assert_int_equal(write_and_read(&b, realm, &p), 0);
    assert_int_equal(p.place_len, 5 + 200 + 1 + SRTP_USER_MAX);
    /* What is escaped takes its room. */
    memset(b.user, ' ', SRTP_USER_MAX);
    p.place_len = 7;
    assert_int_equal(write_and_read(&b, realm, &p), -EINVAL);
    assert_int_equal(p.place_len, 7);
    b.user_len = (KEY_PLACE_MAX - 5 - 200 - 1) / 3;
    assert_int_equal(write_and_read(&b, realm, &p), 0);
    b.user_len++;
    assert_int_equal(write_and_read(&b, realm, &p), -EINVAL);
    /* Nor is a longer place read. */
    char place[KEY_PLACE_MAX + 2];
    struct srtp_binding back;
    struct key_realm named;
    memset(place, 'u', sizeof(place));
    memcpy(place, "user/", 5);
    memset(place + 5, 'r', 400);
    place[405] = '/';
    assert_int_equal(
        key_place_read(&back, &named, slice_of(place, KEY_PLACE_MAX), text("to_peer/1")), 0);
    assert_int_equal(
        key_place_read(&back, &named, slice_of(place, KEY_PLACE_MAX + 1), text("to_peer/1")),
        -EINVAL);
}

static void test_key_place_what_binds_nothing_is_refused(void **state)
{
    struct srtp_binding b = of_user("alice", 1);
    struct key_place p;
    assert_int_equal(key_place_write(&p, &b, text("")), -EINVAL);
    b.has_ssrc = false;
    assert_int_equal(key_place_write(&p, &b, text("r")), -EINVAL);
    b.has_ssrc = true;
    b.direction = SRTP_DIRECTIONS;
    assert_int_equal(key_place_write(&p, &b, text("r")), -EINVAL);
    b = of_user("", 1);
    assert_int_equal(key_place_write(&p, &b, text("r")), -EINVAL);
    assert_int_equal(key_place_of_allocation(&p, 0), -EINVAL);
}

static void test_key_place_other_spellings_are_none(void **state)
{
    static const struct {
        const char *place, *field;
    } bad[] = {
        {"", "to_peer"},
        {"allocation/", "to_peer"},
        {"allocation/0000000000000000", "to_peer"},
        {"allocation/0123456789ABCDEF", "to_peer"},
        {"allocation/123456789abcdef", "to_peer"},
        {"allocation/00123456789abcdef", "to_peer"},
        {"Allocation/0123456789abcdef", "to_peer"},
        {"user/r/alice", "to_peer"},
        {"user/r/", "to_peer/1"},
        {"user//alice", "to_peer/1"},
        {"user/alice", "to_peer/1"},
        {"user/", "to_peer/1"},
        {"user/r/a/b", "to_peer/1"},
        {"user/r/a b", "to_peer/1"},
        {"user/r/%61lice", "to_peer/1"},
        {"allocation/0123456789abcdef", ""},
        {"allocation/0123456789abcdef", "to_peers"},
        {"allocation/0123456789abcdef", "to_peer/"},
        {"allocation/0123456789abcdef", "to_peer/01"},
        {"allocation/0123456789abcdef", "to_peer/+1"},
        {"allocation/0123456789abcdef", "to_peer/4294967296"},
        {"allocation/0123456789abcdef", "to_peer/99999999999"},
        {"allocation/0123456789abcdef", "to_peer/1 "},
        {"allocation/0123456789abcdef", "TO_PEER"},
        {"allocation/0123456789abcdef", "peer"},
    };
    const struct srtp_binding untouched = {.allocation = 7};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct srtp_binding b = untouched;
        struct key_realm realm = {.len = 3};
        if (key_place_read(&b, &realm, text(bad[i].place), text(bad[i].field)) != -EINVAL)
            fail_msg("'%s' '%s' is read", bad[i].place, bad[i].field);
        assert_int_equal(b.allocation, 7);
        assert_int_equal(realm.len, 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_place_bindings_come_back),
        cmocka_unit_test(test_key_place_names_cannot_shift_what_parts_them),
        cmocka_unit_test(test_key_place_longest_names_fit),
        cmocka_unit_test(test_key_place_what_binds_nothing_is_refused),
        cmocka_unit_test(test_key_place_other_spellings_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
