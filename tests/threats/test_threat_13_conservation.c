/*
 * THREATS row 13: what is taken is given back exactly once, whatever order things happen in; and
 * counters that pass 2^32 keep their books balanced. A million random operations: most on ports and
 * quotas themselves, the rest on whole relays.
 */
#include "tests/scenario/fixture.h"

#include <errno.h>

#define OPERATIONS 1000000u
#define STEPS      60000u
#define CLIENTS    24u
#define CHARGES    64u

struct held {
    struct quota_charge charge;
    uint16_t port;
    bool pair;
};

static void take(struct world *w, struct held *h, struct quota_table *quotas, struct port_map *map)
{
    static const char *const users[] = {"alice", "bob", "dave", "carol"};
    const uint64_t dice = world_random(w);
    const struct quota_limits limits = {
        .allocations_per_user = 12, .permissions_per_user = 40, .channels_per_prefix = 9};
    const struct addr client = world_client_addr((unsigned)(dice >> 8) & 255, 4000);
    const struct quota_asked asked = {.limits = &limits,
        .realm = (uint32_t)(dice >> 16) % 3,
        .user = slice_of_string(users[dice % 4]),
        .client = client};
    bool report = false;
    if (quota_open(quotas, &h->charge, &asked, &report))
        return;
    h->pair = dice >> 32 & 1;
    const int rc = h->pair ? port_map_claim_pair(map, 50000, 50099, &w->random, &h->port)
                           : port_map_claim(map, 50000, 50099, &w->random, &h->port);
    if (rc != 0)
        h->port = 0;
}

static void use(struct world *w, struct held *h, struct quota_table *quotas)
{
    const uint64_t dice = world_random(w);
    const struct quota_limits limits = {.permissions_per_user = 40, .channels_per_prefix = 9};
    const enum quota_kind kind = dice % QUOTA_KINDS;
    const uint32_t n = 1 + (uint32_t)(dice >> 8) % 5;
    if (dice >> 16 & 1)
        quota_take(quotas, &h->charge, &limits, kind, n);
    else if (h->charge.held[kind] >= n)
        quota_give(quotas, &h->charge, kind, n);
}

static void give(struct held *h, struct quota_table *quotas, struct port_map *map)
{
    quota_close(quotas, &h->charge);
    quota_close(quotas, &h->charge); /* not open any more: nothing happens */
    if (h->port)
        port_map_release(map, h->port);
    if (h->port && h->pair)
        port_map_release(map, (uint16_t)(h->port + 1));
    *h = (struct held){.port = 0};
}

static void test_a_million_random_operations_conserve_ports_and_quotas(void **state)
{
    struct fixture *f = *state;
    struct quota_table *quotas = f->w->shared.quotas;
    struct port_map *map = f->w->snapshot.relayed[0].ports;
    struct held held[CHARGES] = {{.port = 0}};
    for (unsigned i = 0; i < OPERATIONS; i++) {
        struct held *h = &held[world_random(f->w) % CHARGES];
        if (!h->charge.open)
            take(f->w, h, quotas, map);
        else if (i % 4 == 0)
            give(h, quotas, map);
        else
            use(f->w, h, quotas);
        if (i % 1000 != 0)
            continue;
        uint32_t open = 0, ports = 0;
        for (unsigned j = 0; j < CHARGES; j++) {
            open += held[j].charge.open;
            ports += held[j].port ? 1 + held[j].pair : 0;
        }
        assert_int_equal(quota_allocations(quotas), open);
        assert_int_equal(port_map_claimed(map), ports);
    }
    for (unsigned j = 0; j < CHARGES; j++)
        if (held[j].charge.open)
            give(&held[j], quotas, map);
    assert_int_equal(quota_allocations(quotas), 0);
    assert_int_equal(port_map_claimed(map), 0);
}

struct crowd {
    struct client c[CLIENTS];
    struct addr relayed[CLIENTS];
    uint8_t token[8];
};

static void allocate(struct world *w, struct crowd *k, unsigned i, uint64_t dice)
{
    struct response r;
    const struct raw_attr plain[] = {ATTR_UDP}, dual[] = {ATTR_UDP, ATTR_BOTH},
                          pair[] = {ATTR_UDP, ATTR_EVEN_PAIR},
                          token[] = {ATTR_UDP, ATTR_TOKEN(k->token)};
    const struct raw_attr *const wishes[] = {plain, dual, pair, token};
    if (dice >> 40 & 3)
        w->sockets.fail_open_in = 0;
    else
        w->sockets.fail_open_in = 1 + (dice >> 42 & 1), w->sockets.fail_open_with = -EMFILE;
    if (client_ask(&k->c[i], STUN_ALLOCATE, wishes[dice >> 8 & 3], (dice >> 8 & 3) ? 2 : 1, &r) !=
        200)
        return;
    k->relayed[i] = r.relayed[0];
    if (r.has_token)
        memcpy(k->token, r.token, 8);
}

static void step(struct world *w, struct crowd *k)
{
    const uint64_t dice = world_random(w);
    const unsigned i = (unsigned)(dice >> 16) % CLIENTS;
    struct client *c = &k->c[i];
    const struct addr peer = dice >> 24 & 1 ? world_peer((unsigned)(dice >> 32) % 12, 5000)
                                            : k->relayed[(i + 1) % CLIENTS];
    const bool known = peer.family != ADDR_NONE;
    switch (dice % 8) {
    case 0:
        allocate(w, k, i, dice);
        break;
    case 1:
        client_refresh(c, dice >> 48 & 1 ? 0 : 600, NULL);
        break;
    case 2:
        if (known)
            client_permit(c, &peer);
        break;
    case 3:
        if (known)
            client_bind(c, (uint16_t)(0x4000 + (dice >> 50) % 12), &peer);
        break;
    case 4:
        client_channel_data(c, (uint16_t)(0x4000 + (dice >> 50) % 12), "media", 5);
        break;
    case 5:
        if (known)
            client_indicate(c, &peer, "media", 5);
        break;
    case 6:
        if (known && k->relayed[i].family != ADDR_NONE)
            world_from_peer(w, &peer, &k->relayed[i], slice_of_string("media"), 0);
        break;
    default:
        world_advance_ms(w, dice >> 56 ? 100 : 30000);
    }
}

static void test_random_scenarios_conserve_ports_and_quotas(void **state)
{
    struct fixture *f = *state;
    f->settings.workers = 3;
    f->settings.relay.port_min = 50000;
    f->settings.relay.port_max = 50011; /* scarce */
    f->settings.relay.permissions_per_allocation = 6;
    f->settings.relay.channels_per_allocation = 4;
    f->settings.limits.quota = (struct quota_limits){
        .allocations_per_user = 10, .permissions_per_user = 20, .channels_per_user = 15};
    fixture_restart(f);
    struct crowd k = {.token = {0}};
    for (unsigned i = 0; i < CLIENTS; i++) {
        client_init(&k.c[i], f->w, i + 1);
        if (i % 2)
            client_set_user(&k.c[i], "bob", "builder");
    }
    for (unsigned i = 0; i < STEPS; i++) {
        step(f->w, &k);
        if (i % 64 == 0)
            world_check(f->w);
        world_clear(f->w);
    }
    assert_true(f->w->media_to_peer > 100 && f->w->media_to_client > 100);
    assert_true(world_refused(f->w, REASON_QUOTA_USER) > 0 &&
                world_refused(f->w, REASON_PORTS_EXHAUSTED) > 0);
    /* 4000 s later nothing lives any more. */
    f->w->sockets.fail_open_in = 0;
    world_jump(f->w, 4000);
    assert_int_equal(world_allocations(f->w), 0);
    assert_int_equal(world_ports_claimed(f->w), 0);
    assert_int_equal(quota_allocations(f->w->shared.quotas), 0);
}

static void test_a_family_that_ends_gives_its_charges_back(void **state)
{
    struct fixture *f = *state;
    f->settings.limits.quota =
        (struct quota_limits){.permissions_per_user = 5, .channels_per_user = 3};
    fixture_restart(f);
    assert_int_equal(CLIENT_ASK(&f->a, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_BOTH), 200);
    for (unsigned i = 0; i < 5; i++) {
        const struct addr peer = world_peer6(i + 1, 5000);
        assert_int_equal(
            i < 3 ? client_bind(&f->a, (uint16_t)(0x4000 + i), &peer) : client_permit(&f->a, &peer),
            200);
    }
    const struct addr more = world_peer(9, 5000);
    assert_int_equal(client_permit(&f->a, &more), 508);
    assert_int_equal(
        CLIENT_ASK(&f->a, STUN_REFRESH, NULL, ATTR_LIFETIME("\0\0\0"), ATTR_FAMILY6), 200);
    for (unsigned i = 0; i < 5; i++) {
        const struct addr peer = world_peer(i + 1, 5000);
        assert_int_equal(
            i < 3 ? client_bind(&f->a, (uint16_t)(0x4000 + i), &peer) : client_permit(&f->a, &peer),
            200);
    }
    assert_int_equal(client_permit(&f->a, &more), 508);
}

static void test_counters_pass_32_bits_and_stay_balanced(void **state)
{
    struct fixture *f = *state;
    const uint64_t start = (1ull << 32) - 10;
    const struct addr peer = world_peer(1, 5000);
    struct counters *c = &f->w->worker[0].counters;
    f->a_relayed = fixture_allocate(&f->a);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    counters_add(c, METRIC_RECEIVED_CLIENT, start);
    counters_add(c, METRIC_RECEIVED_PEER, start);
    counters_add(c, METRIC_RELAYED_TO_PEER, start);
    counters_add(c, METRIC_RELAYED_TO_CLIENT, start);
    f->w->media_to_peer += start;
    f->w->media_to_client += start;
    for (unsigned i = 0; i < 20; i++) {
        assert_true(fixture_to_peer(&f->a, &peer, "out"));
        assert_true(fixture_from_peer(&f->a, &peer, &f->a_relayed, "in"));
        world_check(f->w);
    }
    assert_true(world_metric(f->w, METRIC_RELAYED_TO_PEER) == start + 20);
    assert_true(world_metric(f->w, METRIC_RELAYED_TO_CLIENT) == start + 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_a_million_random_operations_conserve_ports_and_quotas),
        SCENARIO(test_random_scenarios_conserve_ports_and_quotas),
        SCENARIO(test_a_family_that_ends_gives_its_charges_back),
        SCENARIO(test_counters_pass_32_bits_and_stay_balanced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
