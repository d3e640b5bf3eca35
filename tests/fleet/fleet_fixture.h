/* What tests of fleets begin with: a redis-server for all of them, emptied before each, and a loop.
 */
#ifndef TESTS_FLEET_FLEET_FIXTURE_H
#define TESTS_FLEET_FLEET_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tests/fleet/fleets.h"
#include "tests/fleet/redis_fixture.h"

static inline int redis_reset(void **state)
{
    l = (struct linked){.random = &linked_hurry};
    return test_redis_says(&redis, "FLUSHALL", "+OK") ? 0 : -1;
}

/* Connected to what listens on this port. */
static inline void fleet_begin_at(struct test_fleet *f, uint16_t port)
{
    char url[64];
    snprintf(url, sizeof(url), "redis://127.0.0.1:%u", (unsigned)port);
    test_fleet_begin(f, &l, url);
    assert_true(test_fleet_up(f, &l, 1));
}

static inline void fleet_begin(struct test_fleet *f)
{
    fleet_begin_at(f, redis.port);
}

static inline int64_t in_an_hour(void)
{
    return clock_now().wall_s + 3600;
}

/* The n-th revocation that the fleet was told. */
static inline void assert_revoked(
    const struct test_fleet *f, size_t n, const char *user, int64_t until)
{
    const struct revocation *v = &f->revoked[n];
    assert_int_equal(v->kind, REVOKE_USER);
    assert_int_equal(v->id_len, strlen(user));
    assert_memory_equal(v->id, user, v->id_len);
    assert_int_equal(v->until, until);
}

/* Ends the first, the second if it was begun, and the loop. */
static inline void fleets_end(struct test_fleet *first, struct test_fleet *second)
{
    test_fleet_end(first);
    if (second && second->fleet)
        test_fleet_end(second);
    linked_end(&l);
}

#endif
