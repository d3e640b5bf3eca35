/* Revocations: whom they cover, until when, and how many are kept. THREATS row 18. */
#include "auth/revocation.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define NOW 1800000000ll

static const uint8_t key[16] = "sixteen bytes..";
static struct revocations *set;

static int setup(void **state)
{
    set = revocations_new(key);
    return set ? 0 : -1;
}

static int teardown(void **state)
{
    revocations_free(set);
    return 0;
}

static struct revocation of(enum revocation_kind kind, const char *id)
{
    struct revocation v = {.kind = (uint8_t)kind, .realm = 2, .until = NOW + 3600};
    v.id_len = (uint16_t)strlen(id);
    memcpy(v.id, id, strlen(id));
    return v;
}

static struct identity identity(enum auth_source source, const char *user, const char *credential)
{
    struct identity id = {.realm = 2, .source = source, .user = slice_of_string(user)};
    snprintf(id.credential, sizeof(id.credential), "%s", credential);
    return id;
}

/* Both ways of asking say the same. */
static void expect_covered(const struct revocation *v, const struct identity *id, bool covered)
{
    struct revocations *only = revocations_new(key);
    assert_non_null(only);
    assert_int_equal(revocations_put(only, v, NOW), 0);
    assert_int_equal(revocations_cover(only, id, NOW), covered);
    assert_int_equal(revocation_covers(v, id), covered);
    revocations_free(only);
}

static void test_revocation_covers_by_kind(void **state)
{
    const struct identity some[] = {identity(AUTH_SOURCE_STATIC, "alice", ""),
        identity(AUTH_SOURCE_STORE, "alice", ""),
        identity(AUTH_SOURCE_REST, "1800003600:alice", "new"),
        identity(AUTH_SOURCE_REST, "1800003600", "old"),
        identity(AUTH_SOURCE_OAUTH, "north", "0123456789abcdef")};
    static const struct {
        enum revocation_kind kind;
        const char *id;
        bool covered[5];
    } row[] = {{REVOKE_USER, "alice", {true, true, true, false, false}},
        {REVOKE_USER, "1800003600:alice", {false, false, true, false, false}},
        {REVOKE_USER, "1800003600", {false, false, false, true, false}},
        {REVOKE_USER, "alic", {false, false, false, false, false}},
        {REVOKE_USER, "", {false, false, false, false, false}},
        {REVOKE_USER, "new", {false, false, false, false, false}},
        {REVOKE_TOKEN, "0123456789abcdef", {false, false, false, false, true}},
        {REVOKE_TOKEN, "new", {false, false, false, false, false}},
        {REVOKE_TOKEN, "", {false, false, false, false, false}},
        {REVOKE_SECRET, "new", {false, false, true, false, false}},
        {REVOKE_SECRET, "old", {false, false, false, true, false}},
        {REVOKE_SECRET, "north", {false, false, false, false, true}},
        {REVOKE_SECRET, "0123456789abcdef", {false, false, false, false, false}},
        {REVOKE_SECRET, "alice", {false, false, false, false, false}},
        {REVOKE_SECRET, "", {false, false, false, false, false}},
        {(enum revocation_kind)0, "alice", {false, false, false, false, false}}};
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        struct revocation v = of(row[i].kind, row[i].id);
        for (size_t j = 0; j < 5; j++) {
            v.realm = 2;
            expect_covered(&v, &some[j], row[i].covered[j]);
            v.realm = 3;
            expect_covered(&v, &some[j], false);
        }
    }
}

static void test_revocations_end_are_prolonged_and_taken_back(void **state)
{
    const struct identity alice = identity(AUTH_SOURCE_STATIC, "alice", "");
    struct revocation v = of(REVOKE_USER, "alice");
    assert_false(revocations_cover(set, &alice, NOW));
    assert_int_equal(revocations_put(set, &v, NOW), 0);
    assert_true(revocations_cover(set, &alice, NOW));
    assert_true(revocations_cover(set, &alice, NOW + 3599));
    assert_false(revocations_cover(set, &alice, NOW + 3600));
    assert_int_equal(revocations_count(set), 1);
    v.until = NOW + 7200;
    assert_int_equal(revocations_put(set, &v, NOW), 0);
    assert_int_equal(revocations_count(set), 1);
    assert_true(revocations_cover(set, &alice, NOW + 7199));
    v.until = NOW;
    assert_int_equal(revocations_put(set, &v, NOW), 0);
    assert_false(revocations_cover(set, &alice, NOW));
    assert_int_equal(revocations_count(set), 0);
    /* Taking back what was not there is nothing, and what was taken back can come again. */
    struct revocation other = of(REVOKE_USER, "bob");
    other.until = 0;
    assert_int_equal(revocations_put(set, &other, NOW), 0);
    assert_int_equal(revocations_count(set), 0);
    v.until = NOW + 1;
    assert_int_equal(revocations_put(set, &v, NOW), 0);
    assert_true(revocations_cover(set, &alice, NOW));
    assert_int_equal(revocations_count(set), 1);
}

static struct revocation numbered(unsigned i)
{
    char id[32];
    snprintf(id, sizeof(id), "user%u", i);
    return of(REVOKE_USER, id);
}

static bool numbered_is_covered(unsigned i, int64_t now_s)
{
    char id[32];
    snprintf(id, sizeof(id), "user%u", i);
    const struct identity user = identity(AUTH_SOURCE_STATIC, id, "");
    return revocations_cover(set, &user, now_s);
}

static void test_revocations_as_many_as_may_be_and_no_more(void **state)
{
    struct revocation v;
    for (unsigned i = 0; i < REVOCATIONS_MAX; i++) {
        v = numbered(i);
        v.until = i % 2 == 0 ? NOW + 60 : NOW + 3600;
        assert_int_equal(revocations_put(set, &v, NOW), 0);
    }
    assert_int_equal(revocations_count(set), REVOCATIONS_MAX);
    v = numbered(REVOCATIONS_MAX);
    assert_int_equal(revocations_put(set, &v, NOW), -ENOSPC);
    assert_false(numbered_is_covered(REVOCATIONS_MAX, NOW));
    for (unsigned i = 0; i < REVOCATIONS_MAX; i++)
        assert_true(numbered_is_covered(i, NOW));
    assert_false(numbered_is_covered(REVOCATIONS_MAX + 1, NOW));
    /* One that is there can still be prolonged, and what has ended makes room. */
    v = numbered(1);
    v.until = NOW + 7200;
    assert_int_equal(revocations_put(set, &v, NOW), 0);
    for (unsigned i = 0; i < REVOCATIONS_MAX / 2; i++) {
        v = numbered(REVOCATIONS_MAX + i);
        assert_int_equal(revocations_put(set, &v, NOW + 60), 0);
    }
    assert_int_equal(revocations_count(set), REVOCATIONS_MAX);
    v = numbered(2 * REVOCATIONS_MAX);
    assert_int_equal(revocations_put(set, &v, NOW + 60), -ENOSPC);
    assert_true(numbered_is_covered(1, NOW + 7199));
    for (unsigned i = 0; i < REVOCATIONS_MAX; i++)
        assert_int_equal(numbered_is_covered(i, NOW + 60), i % 2 == 1);
    revocations_free(NULL);
}

static void test_revocation_id_of_any_bytes_and_length(void **state)
{
    struct revocation v = {.kind = REVOKE_USER, .realm = 2, .until = NOW + 1};
    v.id_len = REVOCATION_ID_MAX;
    for (unsigned i = 0; i < REVOCATION_ID_MAX; i++)
        v.id[i] = (uint8_t)(i * 7);
    struct identity id = {.realm = 2, .source = AUTH_SOURCE_STATIC};
    id.user = slice_of(v.id, REVOCATION_ID_MAX);
    expect_covered(&v, &id, true);
    id.user.len--;
    expect_covered(&v, &id, false);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(revocation_covers_by_kind),
        TEST(revocations_end_are_prolonged_and_taken_back),
        TEST(revocations_as_many_as_may_be_and_no_more),
        TEST(revocation_id_of_any_bytes_and_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
