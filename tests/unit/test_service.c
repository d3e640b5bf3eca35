/* States of a service in the order in which it has them, and a watchdog that a worker's hanging
 * silences. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "daemon/service.h"

#define WORKERS 3

struct fixture {
    int manager;
    uv_loop_t loop;
    struct service service;
    uint32_t beats[WORKERS];
    bool hangs[WORKERS];
};

static uint32_t beats(const void *ctx, unsigned n)
{
    const struct fixture *f = ctx;
    return f->beats[n];
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    char name[64];
    *state = f;
    if (!f) {
        return -1;
    }
    int len = snprintf(name, sizeof(name), "@turnpike-service-%d", (int)getpid());
    memcpy(sa.sun_path, name, (size_t)len);
    sa.sun_path[0] = '\0';
    f->manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const socklen_t sa_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)len);
    setenv("NOTIFY_SOCKET", name, 1);
    setenv("WATCHDOG_USEC", "1000000", 1);
    unsetenv("WATCHDOG_PID");
    return bind(f->manager, (struct sockaddr *)&sa, sa_len) == 0 && uv_loop_init(&f->loop) == 0
               ? 0
               : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    service_close(&f->service);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    close(f->manager);
    free(f);
    return 0;
}

static const char *heard(struct fixture *f)
{
    static char text[2048];
    ssize_t len = recv(f->manager, text, sizeof(text) - 1, 0);
    text[len > 0 ? len : 0] = '\0';
    return text;
}

static void test_service_says_its_states_in_order(void **state)
{
    struct fixture *f = *state;
    service_init(&f->service);
    service_reloading(&f->service, 5);
    service_reloaded(&f->service, "too early");
    service_tick(&f->service, "too early");
    assert_string_equal(heard(f), "");
    service_ready(&f->service, "runs");
    assert_string_equal(heard(f), "READY=1\nSTATUS=runs");
    service_reloaded(&f->service, "nothing was reloaded");
    assert_string_equal(heard(f), "");
    service_reloading(&f->service, 123456789);
    assert_string_equal(
        heard(f), "RELOADING=1\nMONOTONIC_USEC=123456789\nSTATUS=Reading the configuration again");
    service_reloaded(&f->service, "runs on");
    assert_string_equal(heard(f), "READY=1\nSTATUS=runs on");
    service_stopping(&f->service);
    assert_string_equal(heard(f), "STOPPING=1\nSTATUS=Stopping");
    service_stopping(&f->service);
    service_ready(&f->service, "too late");
    service_reloading(&f->service, 5);
    service_reloaded(&f->service, "too late");
    for (int i = 0; i < 10; i++) {
        service_tick(&f->service, "too late");
    }
    assert_string_equal(heard(f), "");
}

static void test_service_stop_that_waits_is_extended(void **state)
{
    struct fixture *f = *state;
    service_init(&f->service);
    service_extend(&f->service);
    assert_string_equal(heard(f), "EXTEND_TIMEOUT_USEC=15000000\n");
    service_stopping(&f->service);
    assert_string_equal(heard(f), "STOPPING=1\nSTATUS=Stopping");
    service_extend(&f->service);
    assert_string_equal(heard(f), "");
}

static void test_service_status_is_said_when_it_changes(void **state)
{
    struct fixture *f = *state;
    unsigned said = 0;
    service_init(&f->service);
    service_ready(&f->service, "0 allocations");
    assert_string_equal(heard(f), "READY=1\nSTATUS=0 allocations");
    for (int i = 0; i < 50; i++) {
        service_tick(&f->service, i < 25 ? "0 allocations" : "1 allocations");
        const char *text = heard(f);
        said += text[0] != '\0';
        assert_true(text[0] == '\0' || strcmp(text, "STATUS=1 allocations") == 0);
    }
    assert_int_equal(said, 1);
}

/* Runs the loop until its timer has fired once more. Returns whether a sign of life came. */
static bool watched(struct fixture *f)
{
    for (unsigned i = 0; i < WORKERS; i++) {
        f->beats[i] += !f->hangs[i];
    }
    f->service.watchdog.data = &f->service;
    uv_timer_start(&f->service.watchdog, f->service.watchdog.timer_cb, 0, 0);
    uv_run(&f->loop, UV_RUN_ONCE);
    return strcmp(heard(f), "WATCHDOG=1\n") == 0;
}

static void test_service_sign_of_life_needs_every_worker(void **state)
{
    struct fixture *f = *state;
    service_init(&f->service);
    assert_int_equal(service_watch(&f->service, &f->loop, WORKERS, beats, f), 0);
    assert_true(f->service.watching);
    assert_true(uv_timer_get_repeat(&f->service.watchdog) == 500);
    assert_true(watched(f));
    for (unsigned i = 0; i < WORKERS; i++) {
        f->hangs[i] = true;
        assert_false(watched(f));
        assert_false(watched(f));
        f->hangs[i] = false;
        assert_true(watched(f));
    }
}

static void test_service_without_watchdog_has_no_timer(void **state)
{
    struct fixture *f = *state;
    unsetenv("WATCHDOG_USEC");
    service_init(&f->service);
    assert_int_equal(service_watch(&f->service, &f->loop, WORKERS, beats, f), 0);
    assert_false(f->service.watching);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_service_says_its_states_in_order),
        CASE(test_service_stop_that_waits_is_extended),
        CASE(test_service_status_is_said_when_it_changes),
        CASE(test_service_sign_of_life_needs_every_worker),
        CASE(test_service_without_watchdog_has_no_timer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
