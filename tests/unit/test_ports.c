/* The maps of relayed ports: bounds, pairs, release, live bits, the 1:1 NAT lookup, and four
 * threads at once. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/port_fixture.h"

static int fill_fails(void *ctx, void *out, size_t len)
{
    return -EIO;
}

/* Every draw is the same: all probes hit one unit. (Not zero, which a draw without bias rejects.)
 */
static int fill_same(void *ctx, void *out, size_t len)
{
    memset(out, 0xff, len);
    return 0;
}

static const struct random_source random_broken = {fill_fails, NULL};
static const struct random_source random_same = {fill_same, NULL};

static void test_claim_whole_range_gives_each_port_once(void **state)
{
    struct port_fixture *f = *state;
    static uint8_t seen[65536];
    uint16_t port = 7;

    memset(seen, 0, sizeof seen);
    for (unsigned i = 0; i <= 65535 - 49152; i++) {
        assert_int_equal(port_map_claim(f->map, 49152, 65535, random_system(), &port), 0);
        assert_true(port >= 49152 && seen[port]++ == 0);
    }
    assert_int_equal(port_map_claimed(f->map), 16384);
    port = 7;
    assert_int_equal(port_map_claim(f->map, 49152, 65535, random_system(), &port), -EADDRNOTAVAIL);
    assert_int_equal(port, 7);
    port_map_release(f->map, 50001);
    assert_int_equal(port_map_claim(f->map, 49152, 65535, random_system(), &port), 0);
    assert_int_equal(port, 50001);
    for (unsigned i = 49152; i <= 65535; i++)
        port_map_release(f->map, (uint16_t)i);
    assert_int_equal(port_map_claimed(f->map), 0);
}

static void test_claim_unlucky_draws_find_the_free_port(void **state)
{
    struct port_fixture *f = *state;
    uint16_t port;

    for (unsigned count = 1; count <= 131; count++) {
        assert_int_equal(port_map_claim(f->map, 1000, 1130, &random_same, &port), 0);
        assert_true(port >= 1000 && port <= 1130);
        assert_int_equal(port_map_claimed(f->map), count);
    }
    assert_int_equal(port_map_claim(f->map, 1000, 1130, &random_same, &port), -EADDRNOTAVAIL);
    for (unsigned i = 1000; i <= 1130; i++)
        port_map_release(f->map, (uint16_t)i);
}

static void test_claim_small_ranges_stay_inside(void **state)
{
    struct port_fixture *f = *state;
    uint16_t port;

    assert_int_equal(port_map_claim(f->map, 65535, 65535, random_system(), &port), 0);
    assert_int_equal(port, 65535);
    assert_int_equal(port_map_claim(f->map, 65535, 65535, random_system(), &port), -EADDRNOTAVAIL);
    assert_int_equal(port_map_claim(f->map, 0, 0, random_system(), &port), -EADDRNOTAVAIL);
    assert_int_equal(port_map_claim(f->map, 0, 1, random_system(), &port), 0);
    assert_int_equal(port, 1);
    assert_int_equal(port_map_claim(f->map, 0, 1, random_system(), &port), -EADDRNOTAVAIL);
    assert_int_equal(port_map_claim(f->map, 9, 8, random_system(), &port), -EADDRNOTAVAIL);
    port_map_release(f->map, 65535);
    port_map_release(f->map, 1);
}

static void test_claim_even_gives_even_ports_only(void **state)
{
    struct port_fixture *f = *state;
    uint16_t port;
    unsigned count = 0;

    while (port_map_claim_even(f->map, 1001, 1201, random_system(), &port) == 0) {
        assert_true(port % 2 == 0 && port >= 1002 && port <= 1200);
        count++;
    }
    assert_int_equal(count, 100);
    for (unsigned i = 1002; i <= 1200; i += 2)
        port_map_release(f->map, (uint16_t)i);
    assert_int_equal(port_map_claim_even(f->map, 7, 7, random_system(), &port), -EADDRNOTAVAIL);
    assert_int_equal(port_map_claim_even(f->map, 0, 1, random_system(), &port), -EADDRNOTAVAIL);
}

static void test_claim_pair_gives_both_or_neither(void **state)
{
    struct port_fixture *f = *state;
    uint16_t port, odd;

    /* 1001 to 1008: pairs at 1002, 1004 and 1006; 1008 would need 1009. */
    assert_int_equal(port_map_claim(f->map, 1005, 1005, random_system(), &odd), 0);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(port_map_claim_pair(f->map, 1001, 1008, random_system(), &port), 0);
        assert_true(port == 1002 || port == 1006);
    }
    assert_int_equal(port_map_claimed(f->map), 5);
    assert_int_equal(
        port_map_claim_pair(f->map, 1001, 1008, random_system(), &port), -EADDRNOTAVAIL);
    assert_int_equal(port_map_claimed(f->map), 5);
    port_map_release(f->map, 1003); /* half of a pair is no pair */
    assert_int_equal(
        port_map_claim_pair(f->map, 1001, 1008, random_system(), &port), -EADDRNOTAVAIL);
    static const uint16_t rest[] = {1002, 1005, 1006, 1007};
    for (unsigned i = 0; i < 4; i++)
        port_map_release(f->map, rest[i]);
}

static void test_claim_pair_edges_of_the_port_space(void **state)
{
    struct port_fixture *f = *state;
    uint16_t port;

    assert_int_equal(port_map_claim_pair(f->map, 65534, 65535, random_system(), &port), 0);
    assert_int_equal(port, 65534);
    port_map_release(f->map, 65534);
    port_map_release(f->map, 65535);
    assert_int_equal(port_map_claim_pair(f->map, 0, 0, random_system(), &port), -EADDRNOTAVAIL);
    assert_int_equal(port_map_claim_pair(f->map, 0, 2, random_system(), &port), -EADDRNOTAVAIL);
    assert_int_equal(port_map_claim_pair(f->map, 0, 3, random_system(), &port), 0);
    assert_int_equal(port, 2);
    port_map_release(f->map, 2);
    port_map_release(f->map, 3);
}

static void test_claim_without_randomness_fails(void **state)
{
    struct port_fixture *f = *state;
    uint16_t port = 7;

    assert_int_equal(port_map_claim(f->map, 1, 65535, &random_broken, &port), -EIO);
    assert_int_equal(port_map_claim_even(f->map, 1, 65535, &random_broken, &port), -EIO);
    assert_int_equal(port_map_claim_pair(f->map, 1, 65535, &random_broken, &port), -EIO);
    assert_int_equal(port, 7);
    assert_int_equal(port_map_claimed(f->map), 0);
}

static void test_live_follows_set_and_ends_with_release(void **state)
{
    struct port_fixture *f = *state;
    uint16_t even;

    assert_int_equal(port_map_claim_pair(f->map, 5000, 5001, random_system(), &even), 0);
    assert_false(port_map_is_live(f->map, even));
    port_map_set_live(f->map, even, true);
    assert_true(port_map_is_live(f->map, even));
    assert_false(port_map_is_live(f->map, (uint16_t)(even + 1)));
    port_map_set_live(f->map, even, false);
    assert_false(port_map_is_live(f->map, even));
    port_map_set_live(f->map, (uint16_t)(even + 1), true);
    port_map_release(f->map, (uint16_t)(even + 1));
    assert_false(port_map_is_live(f->map, (uint16_t)(even + 1)));
    port_map_release(f->map, even);
}

static void test_find_knows_both_faces_of_an_address(void **state)
{
    struct port_fixture *f = *state;
    struct addr local = addr_ipv4(10, 0, 0, 5, 99), public = addr_ipv4(198, 51, 100, 5, 98), six;
    struct port_map *map = port_maps_add(f->maps, &local, &public);

    assert_non_null(map);
    assert_ptr_equal(port_maps_find(f->maps, &local), map);
    assert_ptr_equal(port_maps_find(f->maps, &public), map);
    assert_int_equal(port_map_local(map)->port, 0);
    assert_true(addr_equal_ip(port_map_local(map), &local));
    assert_true(addr_equal_ip(port_map_public(map), &public));
    assert_ptr_equal(port_maps_add(f->maps, &local, &public), map);
    assert_null(port_maps_add(f->maps, &local, &local));
    assert_null(port_maps_add(f->maps, &public, &public));
    assert_null(port_maps_add(f->maps, &public, &local));
    assert_int_equal(addr_parse_ip(&six, "a00:5::"), 0); /* the same first four bytes */
    assert_null(port_maps_find(f->maps, &six));
    assert_null(port_maps_add(f->maps, &six, &(struct addr){.family = ADDR_IPV4}));
    local.ip[3] = 6;
    assert_null(port_maps_find(f->maps, &local));
}

static void test_add_thirty_third_address_is_refused(void **state)
{
    struct port_fixture *f = *state;
    struct addr local = addr_ipv4(10, 0, 0, 0, 0), public = addr_ipv4(198, 51, 100, 0, 0);

    for (unsigned i = 1; i < 32; i++) {
        local.ip[3] = public.ip[3] = (uint8_t)i;
        assert_non_null(port_maps_add(f->maps, &local, &public));
    }
    assert_ptr_not_equal(port_maps_find(f->maps, &public), f->map);
    local.ip[3] = public.ip[3] = 33;
    assert_null(port_maps_add(f->maps, &local, &public));
    assert_null(port_maps_find(f->maps, &local));
}

/* Four threads: each owner bit may be held by one thread only, in a range so small that they always
 * collide. */
enum { THREADS = 4, ROUNDS = 20000, HELD = 24, FIRST = 20000, LAST = 20127 };

static _Atomic uint32_t owners[65536], taken_twice;

static void take(uint16_t port)
{
    if (owners[port]++ != 0)
        taken_twice++;
}

static void give(struct port_map *map, uint16_t port)
{
    owners[port]--;
    port_map_release(map, port);
}

static void *hammer(void *arg)
{
    struct port_map *map = arg;
    uint16_t held[HELD + 1], port;
    unsigned count = 0;

    for (unsigned round = 0; round < ROUNDS; round++) {
        if (count >= HELD - 2) {
            while (count > 3)
                give(map, held[--count]);
        }
        if (round % 3 == 0 && port_map_claim_pair(map, FIRST, LAST, random_system(), &port) == 0) {
            take(port);
            take((uint16_t)(port + 1));
            held[count++] = port;
            held[count++] = (uint16_t)(port + 1);
        } else if (round % 3 == 1 &&
                   port_map_claim(map, FIRST, LAST, random_system(), &port) == 0) {
            take(port);
            port_map_set_live(map, port, true);
            held[count++] = port;
        } else if (port_map_claim_even(map, FIRST, LAST, random_system(), &port) == 0) {
            take(port);
            held[count++] = port;
        }
    }
    while (count > 0)
        give(map, held[--count]);
    return NULL;
}

static void test_claim_four_threads_conserve_ports(void **state)
{
    struct port_fixture *f = *state;
    pthread_t threads[THREADS];

    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, f->map), 0);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(taken_twice, 0);
    assert_int_equal(port_map_claimed(f->map), 0);
    for (unsigned port = FIRST; port <= LAST; port++) {
        assert_int_equal(owners[port], 0);
        assert_false(port_map_is_live(f->map, (uint16_t)port));
    }
}

#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, port_fixture_set_up, port_fixture_tear_down)

static void test_port_maps_conflict_says_what_add_would_refuse(void **state)
{
    struct port_maps *m = port_maps_new();
    const struct addr local = addr_ipv4(10, 0, 0, 1, 0), public = addr_ipv4(192, 0, 2, 1, 0);
    const struct addr other = addr_ipv4(192, 0, 2, 2, 0), six = {.family = ADDR_IPV6, .ip = {0x20}};
    assert_non_null(m);
    assert_false(port_maps_conflict(m, &local, &public));
    assert_non_null(port_maps_add(m, &local, &public));
    unsigned room = port_maps_room(m);
    assert_false(port_maps_conflict(m, &local, &public)); /* the pair itself */
    assert_true(port_maps_conflict(m, &local, &other));
    assert_true(port_maps_conflict(m, &other, &public));
    assert_true(port_maps_conflict(m, &public, &local));
    assert_true(port_maps_conflict(m, &other, &six));
    assert_false(port_maps_conflict(m, &other, &other));
    assert_null(port_maps_find(m, &other)); /* asking adds nothing */
    assert_int_equal(port_maps_room(m), room);
    port_maps_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_claim_whole_range_gives_each_port_once),
        TEST(test_claim_unlucky_draws_find_the_free_port),
        TEST(test_claim_small_ranges_stay_inside),
        TEST(test_claim_even_gives_even_ports_only),
        TEST(test_claim_pair_gives_both_or_neither),
        TEST(test_claim_pair_edges_of_the_port_space),
        TEST(test_claim_without_randomness_fails),
        TEST(test_live_follows_set_and_ends_with_release),
        TEST(test_find_knows_both_faces_of_an_address),
        TEST(test_add_thirty_third_address_is_refused),
        TEST(test_claim_four_threads_conserve_ports),
        cmocka_unit_test(test_port_maps_conflict_says_what_add_would_refuse),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
