/*
 * THREATS row 13 over a fleet: three instances of two workers each share quotas through leases. A
 * quarter of a million operations at random, or a million (thorough.h): clients allocate, refresh,
 * let expire, and claim on another worker what one has reserved; instances are killed and start
 * again. After each operation nobody holds more than the bound and less than its clients know of;
 * whenever the instances have had time to tell, the leases are what is held; in the end nothing is
 * left anywhere. Clocks and counters begin just below 2^32 of their unit, so that they pass it.
 */
#include "ratelimit/quota_reports.h"
#include "tests/scenario/fixture.h"
#include "tests/thorough.h"
#include "tests/unit/fake_leases.h"

#include <stdio.h>

#define OPERATIONS  240000u
#define ALL         1000000u
#define INSTANCES   3u
#define CLIENTS     12u /* of an instance */
#define USERS       3u
#define USER_LIMIT  9u
#define REALM_LIMIT 24u
#define U           4u /* of both limits */
#define LIFETIME_S  20u
#define LEASE_US    (30 * US_PER_S) /* of one that was killed */
#define EVERY       24u             /* operations, the clock moves */
#define KILL_EVERY  20000u
#define CHECK_EVERY 25000u
#define WRAP        (1ull << 32)

static const uint8_t name_key[16] = "name key";
static const char *const users[USERS][2] = {
    {"alice", "wonderland"}, {"bob", "builder"}, {"dave", "diver"}};

struct caller {
    struct client c;
    unsigned user;
    uint64_t until_us; /* of its allocation; 0: none */
    uint8_t token[8];
    bool has_token;
};

struct instance {
    struct world *w;
    struct quota_reports *r;
    struct fake_member member;
    struct caller of[CLIENTS];
};

struct scene {
    struct fake_fleet leases;
    struct instance of[INSTANCES];
    uint64_t now_us, random;
    struct {
        uint64_t at_us; /* 0: not killed, or over */
    } grave[FAKE_INSTANCES];
    unsigned granted, refused, moved, killed, expired;
};

static uint32_t below(struct scene *s, uint32_t bound)
{
    uint64_t z = s->random += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return (uint32_t)((z ^ z >> 31) >> 16) % bound;
}

/* An instance's clock is near 2^32 microseconds, milliseconds, or seconds since 1970. */
static struct instant start_of(unsigned i, uint64_t passed_us)
{
    struct instant start = {.mono_us = 1000 * US_PER_S, .wall_s = 1800000000};
    if (i == 0)
        start.mono_us = WRAP - 60 * US_PER_S;
    if (i == 1)
        start.mono_us = (WRAP - 60000) * US_PER_MS;
    if (i == 2)
        start.wall_s = (int64_t)WRAP - 60;
    start.mono_us += passed_us;
    start.wall_s += (int64_t)(start.mono_us / US_PER_S - (start.mono_us - passed_us) / US_PER_S);
    start.wall_us = (uint32_t)(start.mono_us % US_PER_S);
    return start;
}

static struct world *world_of(unsigned i, uint64_t passed_us)
{
    struct world_settings settings = world_settings_default();
    settings.workers = 2;
    settings.seed = i + 1;
    settings.start = start_of(i, passed_us);
    settings.first_generation = UINT32_MAX - 5;
    settings.max_allocations = 64;
    settings.relay.max_allocations = 128;
    settings.relay.port_min = 50000;
    settings.relay.port_max = 50017; /* scarce */
    settings.relay.default_lifetime_s = LIFETIME_S;
    settings.relay.max_lifetime_s = 2 * LIFETIME_S;
    settings.limits.quota = (struct quota_limits){.allocations_per_user = USER_LIMIT,
        .allocations_per_realm = REALM_LIMIT,
        .permissions_per_user = 20};
    struct world *w = world_new(&settings);
    struct counters *c = &w->worker[0].counters;
    const uint64_t start = WRAP - 100;
    counters_add(c, METRIC_RECEIVED_CLIENT, start);
    counters_add(c, METRIC_RELAYED_TO_PEER, start);
    counters_add(c, METRIC_ALLOCATIONS_CREATED, start);
    counters_add(c, METRIC_ALLOCATIONS_ENDED, start);
    w->media_to_peer += start;
    return w;
}

/* Under an identity that no lease is left of. */
static unsigned free_identity(const struct scene *s)
{
    for (unsigned i = 0; i < FAKE_INSTANCES; i++) {
        bool used = s->grave[i].at_us > 0;
        for (unsigned j = 0; j < INSTANCES; j++)
            used |= s->of[j].w && s->of[j].member.instance == i;
        if (!used)
            return i;
    }
    world_fail("more instances are dying than the test has room for");
}

static void start(struct scene *s, unsigned i)
{
    struct instance *in = &s->of[i];
    const unsigned identity = free_identity(s);
    in->w = world_of(i, s->now_us);
    quota_share(in->w->shared.quotas, name_key);
    quota_set_fleet(in->w->shared.quotas, INSTANCES);
    s->leases.dead[identity] = false;
    in->member = (struct fake_member){.fleet = &s->leases,
        .instance = identity,
        .now_us = s->now_us,
        .ahead_us = in->w->now.mono_us - s->now_us};
    const struct share share = fake_share(&in->member);
    in->r = quota_reports_new(in->w->shared.quotas, &share);
    for (unsigned j = 0; j < CLIENTS; j++) {
        struct caller *k = &in->of[j];
        *k = (struct caller){.user = j % USERS};
        client_init(&k->c, in->w, j + 1);
        client_set_user(&k->c, users[k->user][0], users[k->user][1]);
    }
}

/* Nobody is told anything. What the process had goes with it; that it is all there, world_free
 * demands. */
static void kill_one(struct scene *s, unsigned i)
{
    struct instance *in = &s->of[i];
    for (unsigned j = 0; j < FAKE_CALLS; j++)
        if (s->leases.calls[j].instance == in->member.instance)
            s->leases.calls[j].done = NULL;
    s->grave[in->member.instance].at_us = s->now_us;
    quota_reports_free(in->r);
    world_free(in->w);
    in->w = NULL;
    s->killed++;
}

/* Leases of the dead end. */
static void bury(struct scene *s)
{
    for (unsigned i = 0; i < FAKE_INSTANCES; i++) {
        if (s->grave[i].at_us == 0 || s->now_us < s->grave[i].at_us + LEASE_US)
            continue;
        s->grave[i].at_us = 0;
        s->leases.dead[i] = true;
        for (unsigned j = 0; j < FAKE_NAMES; j++)
            s->leases.leases[j].held[i] = 0;
    }
}

static void tell(struct scene *s)
{
    fake_run(&s->leases, s->now_us);
    bury(s);
    for (unsigned i = 0; i < INSTANCES; i++) {
        struct fake_member *m = &s->of[i].member;
        m->now_us = s->now_us;
        m->there_us = 100 + below(s, 2000);
        m->back_us = 100 + below(s, 2000);
        quota_reports_run(s->of[i].r, s->of[i].w->now.mono_us);
    }
}

static void pass(struct scene *s, uint64_t ms)
{
    s->now_us += ms * US_PER_MS;
    for (unsigned i = 0; i < INSTANCES; i++)
        world_advance_ms(s->of[i].w, ms);
    tell(s);
}

static struct quota_state state_of(const struct instance *in, const char *user)
{
    struct quota_state out;
    quota_inspect(
        in->w->shared.quotas, REALM_PLAIN, slice_of_string(user), in->w->now.mono_us, &out);
    return out;
}

/* What is held of a user, or of the realm, by what clients know; reservations and what may have
 * expired a moment ago come on top. */
static void check_quotas(struct scene *s, unsigned user)
{
    uint32_t of_user = 0, of_realm = 0;
    for (unsigned i = 0; i < INSTANCES; i++) {
        const struct instance *in = &s->of[i];
        const struct quota_state state = state_of(in, users[user][0]);
        uint32_t known = 0;
        for (unsigned j = 0; j < CLIENTS; j++)
            known += in->of[j].user == user && in->of[j].until_us > s->now_us;
        of_user += state.held;
        of_realm += quota_allocations(in->w->shared.quotas);
        if (known > state.held)
            fail_msg("%u of user %u are charged, its clients have %u", state.held, user, known);
        if (state_of(in, "").held != quota_allocations(in->w->shared.quotas))
            fail_msg("the realm is charged %u", state_of(in, "").held);
    }
    if (of_user > USER_LIMIT + (INSTANCES - 1) * U || of_realm > REALM_LIMIT + (INSTANCES - 1) * U)
        fail_msg("%u of a user and %u of the realm are held", of_user, of_realm);
}

static void note_answer(struct scene *s, struct caller *k, const struct response *r, bool had_token)
{
    s->refused += r->code == 486;
    if (r->code != 200)
        return;
    s->granted++;
    s->moved += had_token;
    k->until_us = s->now_us + r->lifetime * US_PER_S;
    k->has_token = r->has_token;
    memcpy(k->token, r->token, sizeof(k->token));
}

/* Once more where the nonce was too old. */
static int ask(struct caller *k, uint16_t method, const struct raw_attr *attrs, size_t count,
    struct response *out)
{
    const int code = client_ask(&k->c, method, attrs, count, out);
    return code == 438 ? client_ask(&k->c, method, attrs, count, out) : code;
}

static void allocate(struct scene *s, struct instance *in, struct caller *k)
{
    struct response r;
    struct caller *giver = &in->of[below(s, CLIENTS)];
    struct fake_sockets *sockets = &in->w->sockets;
    const bool claims = giver->has_token && giver->user == k->user && giver != k;
    sockets->fail_open_in = below(s, 16) == 0;
    sockets->fail_open_with = -EMFILE;
    const struct raw_attr plain[] = {ATTR_UDP}, pair[] = {ATTR_UDP, ATTR_EVEN_PAIR},
                          token[] = {ATTR_UDP, ATTR_TOKEN(giver->token)};
    if (claims)
        giver->has_token = false;
    const bool reserves = !claims && below(s, 3) == 0;
    ask(k, STUN_ALLOCATE, claims ? token : reserves ? pair : plain, claims || reserves ? 2 : 1, &r);
    note_answer(s, k, &r, claims);
}

static void refresh(struct scene *s, struct caller *k)
{
    const uint32_t lifetime = below(s, 3) ? LIFETIME_S : 0;
    struct response r;
    const uint8_t value[4] = {0, 0, 0, (uint8_t)lifetime};
    const struct raw_attr attrs[] = {ATTR_LIFETIME(value)};
    const int code = ask(k, STUN_REFRESH, attrs, 1, &r);
    if (code == 200)
        k->until_us = lifetime ? s->now_us + r.lifetime * US_PER_S : 0;
    else if (k->until_us > s->now_us)
        fail_msg("an allocation that lives was refreshed with %d", code);
}

static void operate(struct scene *s)
{
    struct instance *in = &s->of[below(s, INSTANCES)];
    struct caller *k = &in->of[below(s, CLIENTS)];
    if (k->until_us != 0 && k->until_us <= s->now_us) {
        s->expired++;
        k->until_us = 0;
    }
    if (k->until_us == 0) {
        allocate(s, in, k);
    } else if (below(s, 4) == 0) {
        const struct addr peer = world_peer(below(s, 12), 5000);
        const int code = client_permit(&k->c, &peer);
        if (code == 438)
            client_permit(&k->c, &peer);
    } else {
        refresh(s, k);
    }
    world_clear(in->w);
    check_quotas(s, k->user);
}

/* So long that nothing is on its way at the beginning, nor in the end: it would be silence. */
static void wait_long(struct scene *s, uint64_t ms)
{
    for (unsigned i = 0; i < 6; i++)
        pass(s, 10);
    pass(s, ms);
    for (unsigned i = 0; i < 6; i++)
        pass(s, 10);
}

/* Everybody has told what it holds, of users and of the realm, and nothing else. */
static void check_books(struct scene *s)
{
    wait_long(s, 1000);
    for (unsigned i = 0; i < INSTANCES; i++) {
        const struct instance *in = &s->of[i];
        uint32_t told = 0;
        for (unsigned j = 0; j < FAKE_NAMES; j++)
            told += s->leases.leases[j].held[in->member.instance];
        assert_int_equal(told, 2 * quota_allocations(in->w->shared.quotas));
        world_check(in->w);
    }
}

static void test_a_million_operations_over_three_instances_leave_nothing(void **state)
{
    static struct scene s;
    s = (struct scene){.now_us = 1, .random = 13};
    for (unsigned i = 0; i < INSTANCES; i++)
        start(&s, i);
    const unsigned operations = thorough(OPERATIONS, ALL);
    for (unsigned n = 1; n <= operations; n++) {
        operate(&s);
        if (n % EVERY == 0)
            pass(&s, 1 + below(&s, 10));
        if (n % 500 == 0)
            wait_long(&s, 1000 * below(&s, 2 * LIFETIME_S));
        if (n % CHECK_EVERY == 0)
            check_books(&s);
        if (n % KILL_EVERY == KILL_EVERY / 2) {
            const unsigned i = below(&s, INSTANCES);
            kill_one(&s, i);
            start(&s, i);
        }
    }
    print_message("%u granted, %u refused, %u moved, %u expired, %u killed\n", s.granted, s.refused,
        s.moved, s.expired, s.killed);
    assert_true(s.granted > operations / 100 && s.refused > operations / 100);
    assert_true(s.moved > operations / 1000 && s.expired > operations / 1000);
    assert_true(s.killed >= operations / KILL_EVERY);
    wait_long(&s, 100000);
    wait_long(&s, 100000);
    assert_int_equal(fake_held(&s.leases), 0);
    for (unsigned i = 0; i < INSTANCES; i++) {
        struct instance *in = &s.of[i];
        assert_int_equal(world_allocations(in->w), 0);
        assert_int_equal(world_reservations(in->w), 0);
        assert_int_equal(world_ports_claimed(in->w), 0);
        assert_int_equal(quota_allocations(in->w->shared.quotas), 0);
        assert_true(world_metric(in->w, METRIC_ALLOCATIONS_CREATED) ==
                    world_metric(in->w, METRIC_ALLOCATIONS_ENDED) +
                        world_metric(in->w, METRIC_ALLOCATIONS_DELETED) +
                        world_metric(in->w, METRIC_ALLOCATIONS_EXPIRED));
        assert_true(world_metric(in->w, METRIC_RECEIVED_CLIENT) > WRAP);
        for (unsigned j = 0; j < USERS; j++)
            assert_int_equal(state_of(in, users[j][0]).held, 0);
        assert_int_equal(state_of(in, "").held, 0);
        assert_int_equal(quota_reports_stats(in->r).leases, 0);
        quota_reports_free(in->r);
        world_free(in->w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_million_operations_over_three_instances_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
