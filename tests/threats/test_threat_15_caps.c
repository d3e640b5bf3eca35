/*
 * THREATS row 15: permissions and channels are capped for an allocation, a user and a prefix. At
 * each cap memory stands still, and a neighbour does not notice.
 */
#include "tests/scenario/fixture.h"

#include <malloc.h>

#define ATTEMPTS 5000u

size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static size_t in_use(void)
{
    if (__sanitizer_get_current_allocated_bytes)
        return __sanitizer_get_current_allocated_bytes();
    return mallinfo2().uordblks;
}

static struct addr nth_peer(unsigned n)
{
    return addr_ipv4(
        46, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n, (uint16_t)(1024 + n % 60000));
}

/* Asks for more permissions or channels until `total` were asked for. Returns how many were given.
 */
static unsigned fill(struct client *c, bool channels, unsigned from, unsigned total)
{
    unsigned given = 0;
    for (unsigned i = from; i < from + total; i++) {
        const struct addr peer = nth_peer(i + 1);
        const int code = channels ? client_bind(c, (uint16_t)(0x4000 + i % 4096), &peer)
                                  : client_permit(c, &peer);
        assert_true(code == 200 || code == 508 || code == 400);
        given += code == 200;
        world_clear(c->world);
    }
    return given;
}

static void neighbour_is_served(struct client *c, const struct addr *relayed)
{
    const struct addr peer = world_peer(77, 5000);
    assert_int_equal(client_bind(c, 0x4abc, &peer), 200);
    assert_true(fixture_channel_to_peer(c, 0x4abc, &peer, "out"));
    assert_true(fixture_from_peer(c, &peer, relayed, "in"));
}

/* Fills to the cap, then goes on: not a byte more may be in use. */
static void memory_stands_still(struct fixture *f, bool channels, unsigned cap)
{
    assert_int_equal(fill(&f->a, channels, 0, cap + 10), cap);
    const size_t before = in_use();
    assert_int_equal(fill(&f->a, channels, 10000, ATTEMPTS), 0);
    assert_true(in_use() <= before + 4096);
}

static void test_permissions_of_an_allocation_are_capped(void **state)
{
    struct fixture *f = *state;
    fixture_allocate(&f->a);
    f->b_relayed = fixture_allocate(&f->b);
    memory_stands_still(f, false, 256);
    assert_true(world_refused(f->w, REASON_PERMISSION_CAP) >= ATTEMPTS);
    neighbour_is_served(&f->b, &f->b_relayed);
}

static void test_channels_of_an_allocation_are_capped(void **state)
{
    struct fixture *f = *state;
    fixture_allocate(&f->a);
    f->b_relayed = fixture_allocate(&f->b);
    memory_stands_still(f, true, 64);
    assert_true(
        world_refused(f->w, REASON_CHANNEL_CAP) >= ATTEMPTS - 2 * 64); /* the rest: bound numbers */
    neighbour_is_served(&f->b, &f->b_relayed);
}

static void test_permissions_of_a_user_are_capped(void **state)
{
    struct fixture *f = *state;
    f->settings.limits.quota.permissions_per_user = 100;
    fixture_restart(f);
    struct client second;
    client_init(&second, f->w, 9);
    fixture_allocate(&f->a);
    fixture_allocate(&second);
    f->b_relayed = fixture_allocate(&f->b);
    memory_stands_still(f, false, 100);
    assert_int_equal(fill(&second, false, 0, 10), 0);
    neighbour_is_served(&f->b, &f->b_relayed);
}

static void test_channels_of_a_user_are_capped(void **state)
{
    struct fixture *f = *state;
    f->settings.limits.quota.channels_per_user = 20;
    fixture_restart(f);
    struct client second;
    client_init(&second, f->w, 9);
    fixture_allocate(&f->a);
    fixture_allocate(&second);
    f->b_relayed = fixture_allocate(&f->b);
    memory_stands_still(f, true, 20);
    assert_int_equal(fill(&second, true, 0, 10), 0);
    neighbour_is_served(&f->b, &f->b_relayed);
}

static void test_permissions_and_channels_of_a_prefix_are_capped(void **state)
{
    struct fixture *f = *state;
    f->settings.limits.quota.permissions_per_prefix = 90;
    f->settings.limits.quota.channels_per_prefix = 30;
    fixture_restart(f);
    fixture_allocate(&f->a);
    fixture_allocate(&f->b); /* another user of the same /24 */
    struct client far;
    client_init(&far, f->w, 9);
    client_set_user(&far, "dave", "diver");
    far.addr.ip[2]++;
    const struct addr relayed = fixture_allocate(&far);
    assert_int_equal(fill(&f->a, true, 0, 100), 30);
    assert_int_equal(fill(&f->b, true, 0, 100), 0);
    assert_int_equal(fill(&f->a, false, 1000, 100), 60);
    assert_int_equal(fill(&f->b, false, 1000, 100), 0);
    neighbour_is_served(&far, &relayed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_permissions_of_an_allocation_are_capped),
        SCENARIO(test_channels_of_an_allocation_are_capped),
        SCENARIO(test_permissions_of_a_user_are_capped),
        SCENARIO(test_channels_of_a_user_are_capped),
        SCENARIO(test_permissions_and_channels_of_a_prefix_are_capped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
