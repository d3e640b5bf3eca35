/* A redis-server for all tests of a program, and a loop: what tests against a real one begin with.
 */
#ifndef TESTS_FLEET_REDIS_FIXTURE_H
#define TESTS_FLEET_REDIS_FIXTURE_H

#include "tests/fleet/linked.h"
#include "tests/fleet/servers.h"

static struct test_redis redis;
static struct linked l;

static inline int redis_set_up(void **state)
{
    test_redis_start(&redis, NULL);
    return 0;
}

static inline int redis_tear_down(void **state)
{
    test_redis_end(&redis);
    return 0;
}

#endif
