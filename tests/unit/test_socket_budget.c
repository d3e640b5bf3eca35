/* net/socket_budget: what limits it, and that nothing is lost between threads. */
#include "net/socket_budget.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <cmocka.h>

static void test_socket_budget_size_leaves_a_reserve_of_files(void **state)
{
    assert_int_equal(socket_budget_size(1024, 0, 28), 900);
    assert_int_equal(socket_budget_size(96, 0, 0), 0);
    assert_int_equal(socket_budget_size(10, 0, 0), 0);
}

static void test_socket_budget_size_is_held_by_epoll_watches(void **state)
{
    assert_int_equal(socket_budget_size(1000000, 1000, 4), 800);
    assert_int_equal(socket_budget_size(500, 1000000, 4), 400);
    assert_int_equal(socket_budget_size(UINT64_MAX, UINT64_MAX, 0) > 1000000000, 1);
}

static void test_socket_budget_of_this_process_admits_some(void **state)
{
    struct socket_budget b;
    socket_budget_init(&b, 10);
    assert_true(socket_budget_take(&b));
    socket_budget_give(&b);
}

static void *take_all(void *arg)
{
    size_t taken = 0;
    for (unsigned i = 0; i < 100000; i++) {
        taken += socket_budget_take(arg);
    }
    return (void *)taken;
}

static void test_socket_budget_under_four_threads_gives_out_no_more_than_it_has(void **state)
{
    struct socket_budget b;
    atomic_init(&b.left, 1000);
    pthread_t threads[4];
    size_t sum = 0;
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, take_all, &b), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        void *taken;
        assert_int_equal(pthread_join(threads[i], &taken), 0);
        sum += (size_t)taken;
    }
    assert_int_equal(sum, 1000);
    assert_int_equal(atomic_load(&b.left), 0);
    assert_false(socket_budget_take(&b));
    socket_budget_give(&b);
    assert_true(socket_budget_take(&b));
}

/* Whoever connects has proven nothing: what is left must do for relay sockets. */
static void test_socket_budget_leaves_half_to_relay_sockets(void **state)
{
    struct socket_budget b;
    socket_budget_init(&b, 10);
    int64_t size = atomic_load(&b.left), taken = 0;
    atomic_store(&b.left, 8);
    atomic_store(&b.connections, atomic_load(&b.connections) - size / 2 + 4);
    while (socket_budget_take_connection(&b)) {
        taken++;
    }
    assert_int_equal(taken, 4);
    for (unsigned i = 0; i < 4; i++) {
        assert_true(socket_budget_take(&b));
    }
    assert_false(socket_budget_take(&b));
    /* What relay sockets hold beyond their half, connections lack. */
    socket_budget_give_connection(&b);
    assert_true(socket_budget_take(&b));
    assert_false(socket_budget_take_connection(&b));
    socket_budget_give(&b);
    assert_true(socket_budget_take_connection(&b));
    assert_int_equal(atomic_load(&b.left), 0);
    assert_int_equal(atomic_load(&b.connections), 0);
}

/* More than is left can be reserved: then nothing is given out until as much has come back. */
static void test_socket_budget_reserve_keeps_files_from_who_comes_later(void **state)
{
    struct socket_budget b;
    atomic_init(&b.left, 10);
    atomic_init(&b.connections, 5);
    assert_true(socket_budget_take(&b) && socket_budget_take_connection(&b));
    socket_budget_reserve(&b, 10);
    assert_int_equal(atomic_load(&b.left), -2);
    assert_int_equal(atomic_load(&b.connections), -1);
    assert_false(socket_budget_take(&b) || socket_budget_take_connection(&b));
    socket_budget_give(&b);
    socket_budget_give_connection(&b);
    assert_false(socket_budget_take(&b) || socket_budget_take_connection(&b));
    socket_budget_give(&b);
    assert_true(socket_budget_take(&b));
    assert_false(socket_budget_take_connection(&b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_socket_budget_size_leaves_a_reserve_of_files),
        cmocka_unit_test(test_socket_budget_size_is_held_by_epoll_watches),
        cmocka_unit_test(test_socket_budget_of_this_process_admits_some),
        cmocka_unit_test(test_socket_budget_under_four_threads_gives_out_no_more_than_it_has),
        cmocka_unit_test(test_socket_budget_leaves_half_to_relay_sockets),
        cmocka_unit_test(test_socket_budget_reserve_keeps_files_from_who_comes_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
