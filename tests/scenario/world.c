/*
 * The world's life: workers, clock, mailboxes, and the books that must balance at every check. What
 * always holds: a datagram's bytes are handed in as a copy of exactly their length, odd-aligned
 * every other time, and freed after the flush, so that the sanitizers see any read beyond, after,
 * or aligned by luck. Called by the scenario and threat tests and the fuzz target.
 */
#include "tests/scenario/world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define RUN_ROUNDS_MAX 10000

void world_fail(const char *what)
{
    fprintf(stderr, "world: %s\n", what);
    abort();
}

/* splitmix64 */
uint64_t world_random(struct world *w)
{
    uint64_t z = w->random_state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static int fill_random(void *ctx, void *out, size_t len)
{
    struct world *w = ctx;
    if (w->random_fails)
        return -EIO;
    for (uint8_t *p = out; len > 0; len--)
        *p++ = (uint8_t)(world_random(w) >> 24);
    return 0;
}

static int post(void *ctx, unsigned to, const struct relay_message *message)
{
    struct world_worker *from = ctx;
    struct world *w = from->world;
    if (to >= w->settings.workers || to == from->number)
        world_fail("a message to no other worker");
    struct world_worker *target = &w->worker[to];
    if (target->mail_count >= w->settings.mailbox)
        return -EAGAIN;
    target->mail[target->mail_count++] = *message;
    return 0;
}

static void wake(void *ctx)
{
    ((struct world *)ctx)->woken++;
}

static void worker_start(struct world *w, unsigned number)
{
    struct world_worker *k = &w->worker[number];
    k->world = w;
    k->number = number;
    k->crypto = crypto_new();
    k->mail = calloc(w->settings.mailbox, sizeof(k->mail[0]));
    outbox_init(&k->outbox, world_send_outbox, k);
    const struct relay_deps deps = {.worker = number,
        .worker_count = w->settings.workers,
        .shared = &w->shared,
        .sockets = fake_sockets_interface(k),
        .post = post,
        .post_ctx = k,
        .ask = w->settings.no_store ? NULL : world_store_ask,
        .ask_ctx = k,
        .want_keys = world_want_keys,
        .want_keys_ctx = k,
        .report = wake,
        .report_ctx = w,
        .usage = w->settings.usage[number],
        .outbox = &k->outbox,
        .counters = &k->counters,
        .crypto = k->crypto,
        .random = &w->random,
        .max_allocations = w->settings.max_allocations};
    if (!k->crypto || !k->mail)
        world_fail("out of memory");
    k->relay = relay_new(&deps, &w->snapshot, &w->now);
    if (!k->relay)
        world_fail("no relay");
}

struct world *world_new(const struct world_settings *settings)
{
    struct world *w = NULL;
    if (posix_memalign((void **)&w, 64, sizeof(*w)) != 0)
        world_fail("out of memory");
    memset(w, 0, sizeof(*w));
    w->settings = *settings;
    w->now = settings->start.mono_us
                 ? settings->start
                 : (struct instant){.mono_us = 1000 * US_PER_S, .wall_s = 1800000000};
    w->random = (struct random_source){.fill = fill_random, .ctx = w};
    w->random_state = settings->seed;
    w->hops_end = &w->hops;
    w->server_ipv4 = settings->server_ipv4;
    if (addr_parse(&w->server_ipv6, "[2001:db8:100::10]:3478") != 0)
        world_fail("an address of the tests does not parse");
    random_fill(&w->random, w->shared.hash_key, sizeof(w->shared.hash_key));
    uint8_t key[16];
    random_fill(&w->random, key, sizeof(key));
    w->shared.rates = rate_table_new(16384, key);
    w->shared.quotas = quota_new(settings->relay.max_allocations, key);
    w->shared.bandwidth = bandwidth_table_new(w->shared.quotas, WORLD_REALMS, key);
    w->shared.ports = port_maps_new();
    w->shared.parking = parking_counts_new(key);
    w->shared.guesses = settings->lockout ? guesses_new(w->shared.rates, key) : NULL;
    w->crypto = crypto_new();
    if (!w->shared.rates || !w->shared.quotas || !w->shared.bandwidth || !w->shared.ports ||
        !w->shared.parking || (settings->lockout && !w->shared.guesses) || !w->crypto)
        world_fail("out of memory");
    world_store_set_user(w, REALM_REDIS, WORLD_STORED_USER, WORLD_STORED_PASSWORD);
    fake_sockets_init(&w->sockets, w);
    world_build_snapshot(w);
    for (unsigned i = 0; i < settings->workers; i++)
        worker_start(w, i);
    return w;
}

static struct rate rate_of(const struct relay_snapshot *s, enum rate_scope scope, unsigned realm)
{
    switch (scope) {
    case RATE_ALLOCATION_ADDRESS:
        return s->limits.allocations_per_address;
    case RATE_ALLOCATION_PREFIX:
        return s->limits.allocations_per_prefix;
    case RATE_ALLOCATION_NETWORK:
        return s->limits.allocations_per_network;
    case RATE_ALLOCATION_USER:
        return s->rates[realm].allocations_per_user;
    case RATE_ALLOCATION_REALM:
        return s->rates[realm].allocations_per_realm;
    default:
        return s->limits.allocations_per_instance;
    }
}

/* As the daemon does: what is taken from a bucket stays taken under another rate. */
static void rescale(struct world *w, const struct relay_snapshot *before)
{
    struct rate_change changes[RATE_SCOPES * WORLD_REALMS];
    size_t count = 0;
    for (enum rate_scope scope = RATE_ALLOCATION_ADDRESS; scope <= RATE_ALLOCATION_INSTANCE;
         scope++) {
        for (unsigned realm = 0; realm < WORLD_REALMS; realm++) {
            const bool by_realm = scope == RATE_ALLOCATION_USER || scope == RATE_ALLOCATION_REALM;
            if (realm == 0 || by_realm)
                changes[count++] = (struct rate_change){scope, (uint8_t)realm,
                    rate_of(before, scope, realm), rate_of(&w->snapshot, scope, realm)};
        }
    }
    rate_table_rescale(w->shared.rates, changes, count, w->now.mono_us);
}

void world_reload(struct world *w, const struct world_settings *settings)
{
    struct auth *auth = w->auth;
    struct peer_policy *policy = w->policy;
    /* The old snapshot is kept until all have the new one; its memory is poisoned then, as it would
     * be freed. */
    struct relay_snapshot *old = malloc(sizeof(*old));
    if (!old)
        world_fail("out of memory");
    *old = w->snapshot;
    for (unsigned i = 0; i < w->settings.workers; i++)
        relay_set_snapshot(w->worker[i].relay, old);
    const unsigned workers = w->settings.workers;
    const uint32_t mailbox = w->settings.mailbox;
    w->settings = *settings;
    w->settings.workers = workers;
    w->settings.mailbox = mailbox;
    world_build_snapshot(w);
    rescale(w, old);
    for (unsigned i = 0; i < workers; i++)
        relay_set_snapshot(w->worker[i].relay, &w->snapshot);
    memset(old, 0xee, sizeof(*old));
    free(old);
    auth_free(auth);
    peer_policy_free(policy);
}

static void sum_counters(const struct world *w, struct counters_sum *sum)
{
    memset(sum, 0, sizeof(*sum));
    for (unsigned i = 0; i < w->settings.workers; i++)
        counters_sum_add(sum, &w->worker[i].counters);
}

static _Noreturn void fail_with_books(const struct counters_sum *sum)
{
    for (unsigned i = 0; i < METRIC_COUNT; i++)
        if (sum->metric[i] > 0)
            fprintf(stderr, "%s{%s} %llu\n", metric_name(i), metric_labels(i),
                (unsigned long long)sum->metric[i]);
    for (unsigned i = 0; i < REASON_COUNT; i++)
        if (sum->dropped[i] > 0)
            fprintf(
                stderr, "dropped %s %llu\n", reason_name(i), (unsigned long long)sum->dropped[i]);
    fprintf(stderr, "off by %lld\n", (long long)counters_sum_imbalance(sum));
    world_fail("received is not relayed + consumed + dropped");
}

void world_check(struct world *w)
{
    world_run(w);
    struct counters_sum sum;
    sum_counters(w, &sum);
    if (counters_sum_imbalance(&sum) != 0)
        fail_with_books(&sum);
    for (enum reason r = REASON_NONE; r < REASON_COUNT; r++) {
        if (sum.refused[r] > 0 && reason_only_drops(r))
            world_fail("a request was refused for a reason that the metrics do not show as one");
    }
    if (sum.metric[METRIC_RELAYED_TO_PEER] != w->media_to_peer ||
        sum.metric[METRIC_RELAYED_TO_CLIENT] != w->media_to_client)
        world_fail("something counts as relayed what was not sent");
    invariant_sockets(w);
    /* A reservation holds a charge like an allocation, so that tokens are no way around a quota. */
    if (quota_allocations(w->shared.quotas) != world_allocations(w) + world_reservations(w))
        world_fail("the quota table and the relays disagree about what is held");
    if (parking_counts_total(w->shared.parking) > 0 && w->store.mode == WORLD_STORE_PROMPT &&
        w->shared.limits_awaited == 0)
        world_fail("a request waits for a store that has answered");
}

static void worker_stop(struct world_worker *k)
{
    relay_free(k->relay, &k->world->now);
    outbox_flush(&k->outbox);
    for (size_t i = 0; i < k->borrowed_count; i++)
        free(k->borrowed[i]);
    free(k->borrowed);
    free(k->mail);
    crypto_free(k->crypto);
}

void world_free(struct world *w)
{
    if (!w)
        return;
    w->hold_mail = w->hold_outbox = false;
    world_check(w);
    world_store_lose(w);
    for (unsigned i = 0; i < w->settings.workers; i++)
        worker_stop(&w->worker[i]);
    if (world_sockets_open(w) != 0)
        world_fail("a relay socket is left over");
    if (world_ports_claimed(w) != 0)
        world_fail("a claimed port is left over");
    if (quota_allocations(w->shared.quotas) != 0)
        world_fail("a quota charge is left over");
    world_net_deinit(w);
    fake_sockets_deinit(&w->sockets);
    bandwidth_table_free(w->shared.bandwidth);
    quota_free(w->shared.quotas);
    parking_counts_free(w->shared.parking);
    guesses_free(w->shared.guesses);
    free(w->store.questions);
    free(w->wants.list);
    rate_table_free(w->shared.rates);
    peer_policy_free(w->policy);
    port_maps_free(w->shared.ports);
    auth_free(w->auth);
    crypto_free(w->crypto);
    free(w->grants);
    free(w);
}

static void tick(struct world *w)
{
    for (unsigned i = 0; i < w->settings.workers; i++)
        relay_tick(w->worker[i].relay, &w->now);
    world_run(w);
}

static void step(struct world *w, uint64_t us)
{
    const uint64_t before = w->now.mono_us / US_PER_S;
    w->now.mono_us += us;
    w->now.wall_s += (int64_t)(w->now.mono_us / US_PER_S - before);
    w->now.wall_us = (uint32_t)(w->now.mono_us % US_PER_S);
    tick(w);
}

void world_advance_ms(struct world *w, uint64_t ms)
{
    while (ms > 0) {
        const uint64_t by = ms > 1000 ? 1000 : ms > 100 ? 100 : ms;
        step(w, by * US_PER_MS);
        ms -= by;
    }
}

void world_advance(struct world *w, uint64_t seconds)
{
    world_advance_ms(w, seconds * 1000);
}

void world_jump(struct world *w, uint64_t seconds)
{
    step(w, seconds * US_PER_S);
}

bool world_deliver_mail(struct world *w, unsigned worker)
{
    struct world_worker *k = &w->worker[worker];
    if (k->mail_count == 0)
        return false;
    struct relay_message m = k->mail[0];
    k->mail_count--;
    memmove(&k->mail[0], &k->mail[1], k->mail_count * sizeof(k->mail[0]));
    relay_message(k->relay, &m, &w->now);
    return true;
}

void world_flush(struct world *w)
{
    for (unsigned i = 0; i < w->settings.workers; i++) {
        struct world_worker *k = &w->worker[i];
        outbox_flush(&k->outbox);
        for (size_t j = 0; j < k->borrowed_count; j++)
            free(k->borrowed[j]);
        k->borrowed_count = 0;
    }
}

void world_run(struct world *w)
{
    bool busy = true;
    for (unsigned round = 0; busy; round++) {
        if (round > RUN_ROUNDS_MAX)
            world_fail("datagrams go round and round");
        busy = false;
        if (!w->hold_outbox)
            world_flush(w);
        while (world_deliver_hop(w))
            busy = true;
        for (unsigned i = 0; !w->hold_mail && i < w->settings.workers; i++)
            while (world_deliver_mail(w, i))
                busy = true;
        while (w->store.mode == WORLD_STORE_PROMPT && world_store_answer(w))
            busy = true;
    }
}

uint64_t world_metric(const struct world *w, enum metric m)
{
    struct counters_sum sum;
    sum_counters(w, &sum);
    return sum.metric[m];
}

uint64_t world_dropped(const struct world *w, enum reason r)
{
    struct counters_sum sum;
    sum_counters(w, &sum);
    return sum.dropped[r];
}

uint64_t world_refused(const struct world *w, enum reason r)
{
    struct counters_sum sum;
    sum_counters(w, &sum);
    return sum.refused[r];
}

uint32_t world_allocations(const struct world *w)
{
    uint32_t n = 0;
    for (unsigned i = 0; i < w->settings.workers; i++)
        n += relay_allocations(w->worker[i].relay);
    return n;
}

uint32_t world_reservations(const struct world *w)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < w->sockets.used; i++) {
        const struct fake_socket *s = &w->sockets.slots[i];
        n += s->open && s->owner == HANDLE_NONE;
    }
    return n;
}

uint32_t world_ports_claimed(const struct world *w)
{
    uint32_t n = 0;
    for (size_t i = 0; i < w->snapshot.relayed_count; i++)
        n += port_map_claimed(w->snapshot.relayed[i].ports);
    return n;
}

uint32_t world_sockets_open(const struct world *w)
{
    return (uint32_t)(w->sockets.opened - w->sockets.closed);
}
