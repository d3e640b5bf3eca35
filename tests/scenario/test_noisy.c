/*
 * Somebody asks for allocations without end: a user, an address, a prefix, a network, a realm. Each
 * saturates its own limit alone; of all others at least 99.9 % get theirs, at once. Limits of every
 * scope are in force together, and every twentieth of the others is the nearest that there can be:
 * at the noisy user's address, beside the noisy address in its prefix, …
 */
#include "tests/scenario/fixture.h"

#include <stdio.h>

#define TICKS   1000u /* of 10 ms, each with one honest client */
#define NEAR    20u   /* every so many of them */
#define SECONDS 10u

static const struct ratelimit_settings limits = {
    .rates = {.allocations_per_user = {.count = 2, .period_s = 1, .burst = 5},
        .allocations_per_realm = {.count = 300, .period_s = 1, .burst = 600}},
    .allocations_per_address = {.count = 10, .period_s = 1, .burst = 30},
    .allocations_per_prefix = {.count = 40, .period_s = 1, .burst = 100},
    .allocations_per_network = {.count = 160, .period_s = 1, .burst = 400},
};

static struct addr anywhere(unsigned n, bool v6)
{
    struct addr a = addr_ipv4(91, (uint8_t)(n >> 8), (uint8_t)n, 1, 5000);
    if (v6) {
        a = world_client_addr6(1, 5000);
        a.ip[4] = (uint8_t)(n >> 8);
        a.ip[5] = (uint8_t)n;
    }
    a.port = (uint16_t)(5000 + n % 50000);
    return a;
}

static struct addr at_home(unsigned n, bool v6)
{
    struct addr a = addr_ipv4(93, 1, 1, 1, 0);
    if (v6)
        a = world_client_addr6(1, 0);
    a.port = (uint16_t)(1024 + n % 60000);
    return a;
}

/* The nth address of each kind of noise. */
static struct addr from_many(unsigned n, bool v6)
{
    return n % 20 == 0 ? at_home(n, v6) : anywhere(n, v6);
}

static struct addr from_prefix(unsigned n, bool v6)
{
    struct addr a = at_home(n, v6);
    a.ip[v6 ? 9 : 3] = (uint8_t)n;
    return a;
}

static struct addr from_network(unsigned n, bool v6)
{
    struct addr a = at_home(n, v6);
    a.ip[6] = (uint8_t)(n >> 8);
    a.ip[7] = (uint8_t)n;
    return a;
}

struct noise {
    const char *name;
    enum reason reason;
    const struct rate *limit;
    unsigned a_tick; /* asks */
    bool one_user, v6;
    struct addr (*from)(unsigned n, bool v6);
    int away; /* byte of the address in which the nearest other differs; -1: in none */
};

static const struct noise noises[] = {
    {"user", REASON_RATE_USER, &limits.rates.allocations_per_user, 1, true, false, from_many, -1},
    {"address", REASON_RATE_ADDRESS, &limits.allocations_per_address, 2, false, false, at_home, 3},
    {"IPv6 address", REASON_RATE_ADDRESS, &limits.allocations_per_address, 2, false, true, at_home,
        15},
    {"/24", REASON_RATE_PREFIX, &limits.allocations_per_prefix, 4, false, false, from_prefix, 2},
    {"/64", REASON_RATE_PREFIX, &limits.allocations_per_prefix, 4, false, true, from_prefix, 7},
    {"/48", REASON_RATE_NETWORK, &limits.allocations_per_network, 8, false, true, from_network, 5},
    {"realm", REASON_RATE_REALM, &limits.rates.allocations_per_realm, 8, false, false, anywhere,
        -1},
};

static void become(struct client *c, struct world *w, const struct addr *from)
{
    client_init(c, w, from->port % 2);
    if (from->family != ADDR_IPV4)
        client_set_ipv6(c, 1);
    c->addr = *from;
}

/* Asks, and lets go what it gets. */
static bool ask(struct client *c)
{
    const bool given = client_allocate(c, NULL) == 200;
    if (given)
        assert_int_equal(client_refresh(c, 0, NULL), 200);
    world_clear(c->world);
    return given;
}

static bool noisy_ask(struct world *w, const struct noise *noise, unsigned n)
{
    struct client c;
    char name[16] = "noisy";
    const struct addr from = noise->from(n, noise->v6);
    if (!noise->one_user)
        snprintf(name, sizeof(name), "noisy-%u", n);
    become(&c, w, &from);
    client_set_rest(&c, name, 3600, "north");
    return ask(&c);
}

static struct addr honest_address(const struct noise *noise, unsigned n)
{
    struct addr a = anywhere(30000 + n, noise->v6);
    if (n % NEAR == 0) {
        a = at_home(n, noise->v6);
        if (noise->away >= 0)
            a.ip[noise->away] ^= 0x80;
    }
    return a;
}

/* Of another realm where a realm makes the noise. */
static bool honest_ask(struct world *w, const struct noise *noise, unsigned n)
{
    struct client c;
    char name[16];
    const struct addr from = honest_address(noise, n);
    snprintf(name, sizeof(name), "honest-%u", n);
    become(&c, w, &from);
    if (noise->reason == REASON_RATE_REALM)
        client_set_token(&c, WORLD_KID, 600);
    else
        client_set_rest(&c, name, 3600, "north");
    return ask(&c);
}

static void make(struct fixture *f, const struct noise *noise)
{
    unsigned asked = 0, admitted = 0, served = 0;
    f->settings.limits = limits;
    f->settings.workers = 2;
    fixture_restart(f);
    for (unsigned i = 0; i < TICKS; i++) {
        for (unsigned k = 0; k < noise->a_tick; k++)
            admitted += noisy_ask(f->w, noise, asked++);
        served += honest_ask(f->w, noise, i);
        world_advance_ms(f->w, 1000 * SECONDS / TICKS);
    }
    const unsigned bound = noise->limit->burst + SECONDS * noise->limit->count;
    printf("noisy %-12s asked %5u, was given %4u of at most %4u; others: %u of %u (%.2f %%)\n",
        noise->name, asked, admitted, bound, served, TICKS, 100.0 * served / TICKS);
    assert_in_range(admitted, bound * 9 / 10, bound);
    assert_true(served * 1000 >= TICKS * 999);
    /* It is this limit that held it back, not another. */
    assert_int_equal(world_refused(f->w, noise->reason), asked - admitted + (TICKS - served));
}

static void test_noise_is_held_back_by_its_own_limit_and_others_do_not_notice(void **state)
{
    for (size_t i = 0; i < sizeof(noises) / sizeof(noises[0]); i++)
        make(*state, &noises[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_noise_is_held_back_by_its_own_limit_and_others_do_not_notice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
