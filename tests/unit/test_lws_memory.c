/*
 * libwebsockets while malloc gives it nothing: what it takes comes out of the reserve, and the loop
 * comes to its end afterwards, whichever of its allocations it was.
 */
#include <sys/resource.h>

#include "admin/lws_memory.h"
#include "daemon/loop_end.h"
#include "tests/unit/admin_server.h"

static struct {
    long skip;  /* allocations that go through first */
    long most;  /* fail then */
    long calls; /* since it was armed */
} memory;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
    const long n = memory.calls++;
    return n >= memory.skip && n - memory.skip < memory.most ? NULL : __real_malloc(size);
}

static void arm(long skip, long most)
{
    memory.skip = skip;
    memory.most = most;
    memory.calls = 0;
}

static void *take(size_t size)
{
    return lws_memory_take(NULL, size, "test");
}

static void give_back(void *ptr)
{
    assert_null(lws_memory_take(ptr, 0, "test"));
}

static void test_lws_memory_comes_from_the_reserve_where_there_is_none(void **state)
{
    arm(0, 2);
    uint8_t *a = take(100), *b = take(1), *c = take(100);
    assert_true(a && b && c);
    assert_false(lws_memory_is_whole());
    assert_int_equal((uintptr_t)b % _Alignof(max_align_t), 0);
    assert_true(b >= a + 100);
    memset(a, 1, 100);
    memset(c, 2, 100);
    give_back(c);
    give_back(a);
    assert_false(lws_memory_is_whole());
    give_back(b);
    assert_true(lws_memory_is_whole());
}

static void test_lws_memory_reserve_ends_and_begins_anew(void **state)
{
    arm(0, 100);
    void *most = take(LWS_MEMORY_RESERVE);
    assert_non_null(most);
    assert_null(take(1));
    assert_null(lws_memory_take(most, 10, "grow"));
    give_back(most);
    assert_true(lws_memory_is_whole());
    assert_null(take(LWS_MEMORY_RESERVE + 1));
    assert_null(take(SIZE_MAX));
    void *again = take(LWS_MEMORY_RESERVE);
    assert_ptr_equal(again, most);
    give_back(again);
    arm(0, 0);
}

/* Returns whether the server could be made, and lets it go again. */
static int make_and_end(struct fixture *f)
{
    char left[LOOP_END_LEFT_MAX];
    struct admin_server *s = NULL;
    uv_loop_t loop;
    assert_int_equal(uv_loop_init(&loop), 0);
    const int r = admin_server_new(&s, &loop, &f->ops, &f->access);
    if (s) {
        admin_server_close(s);
        if (!loop_end_run(&loop, 10000, left))
            fail_msg("left in the loop: %s", left);
        admin_server_free(s);
    }
    assert_int_equal(uv_loop_close(&loop), 0);
    assert_true(lws_memory_is_whole());
    return r;
}

static void test_lws_context_that_finds_no_memory_is_refused_and_gone(void **state)
{
    struct fixture *f = *state;
    arm(0, 0);
    assert_int_equal(make_and_end(f), 0);
    const long calls = memory.calls;
    assert_true(calls > 5);
    for (long n = 0; n < calls; n++) {
        arm(n, 1);
        const int r = make_and_end(f);
        if (r != 0)
            assert_int_equal(r, -ENOMEM);
        arm(n, 1000);
        assert_true(make_and_end(f) <= 0);
    }
    arm(0, 0);
}

static void test_lws_context_without_files_is_refused(void **state)
{
    struct fixture *f = *state;
    struct rlimit before, none;
    struct admin_server *s = NULL;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    for (rlim_t room = 0; room < 3; room++) {
        const int next = dup(0);
        close(next);
        none = (struct rlimit){(rlim_t)next + room, before.rlim_max};
        setrlimit(RLIMIT_NOFILE, &none);
        const int r = admin_server_new(&s, &f->loop, &f->ops, &f->access);
        setrlimit(RLIMIT_NOFILE, &before);
        assert_int_equal(r, -EMFILE);
        assert_null(s);
    }
}

/* tear_down sees that nothing is left of it. */
static void test_lws_connection_that_finds_no_memory_is_served_or_closed(void **state)
{
    struct fixture *f = *state;
    static const char request[] = "GET /live HTTP/1.1\r\n\r\n";
    arm(0, 0);
    assert_starts(ask(f, true, request), "HTTP/1.1 200 ");
    const long calls = memory.calls;
    assert_true(calls > 2);
    for (long n = 0; n < 2 * calls; n++) {
        arm(n / 2, n % 2 ? 1000 : 1);
        const int fd = join(f, true, true, 0);
        if (send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) < 0)
            close(fd);
        else
            hear(f, fd);
        arm(0, 0);
        run(f);
        assert_true(lws_memory_is_whole());
        assert_starts(ask(f, true, request), "HTTP/1.1 200 ");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lws_memory_comes_from_the_reserve_where_there_is_none),
        cmocka_unit_test(test_lws_memory_reserve_ends_and_begins_anew),
        SERVER(test_lws_context_that_finds_no_memory_is_refused_and_gone),
        SERVER(test_lws_context_without_files_is_refused),
        SERVER(test_lws_connection_that_finds_no_memory_is_served_or_closed),
    };
    return cmocka_run_group_tests(tests, warm_up, NULL);
}
