/*
 * The media guard in its place on both paths, with its levels by realm, listener and reload; and
 * keys of media that find the allocations that they are for, and nobody else's.
 */
#include "tests/scenario/fixture.h"
#include "tests/unit/fake_verifier.h"

#define CHANNEL 0x4000
#define SSRC    0x11223344u
#define JUNK    "SSH-2.0-OpenSSH_9.2"

enum way { CHANNEL_OUT, SEND_INDICATION, CHANNEL_IN, DATA_INDICATION, WAYS };

static const uint8_t off = SRTP_GUARD_OFF, classify = SRTP_GUARD_CLASSIFY,
                     required = SRTP_GUARD_VERIFY_REQUIRED;

/* A client with an allocation, a peer behind a channel and one without. */
struct call {
    struct client *client;
    struct addr relayed, bound, other;
};

static struct call begin_call(struct client *c)
{
    struct call call = {.client = c,
        .relayed = fixture_allocate(c),
        .bound = world_peer(1, 5000),
        .other = world_peer(1, 5001)};
    assert_int_equal(client_bind(c, CHANNEL, &call.bound), 200);
    return call;
}

static struct slice rtp(uint16_t sequence)
{
    static uint8_t bytes[40] = {0x80, 96, 0, 0, 0, 0, 0, 1, 0x11, 0x22, 0x33, 0x44};
    bytes[2] = (uint8_t)(sequence >> 8);
    bytes[3] = (uint8_t)sequence;
    return slice_of(bytes, sizeof(bytes));
}

static uint64_t relayed(const struct world *w)
{
    return world_metric(w, METRIC_RELAYED_TO_PEER) + world_metric(w, METRIC_RELAYED_TO_CLIENT);
}

/* True if it was relayed, to the last bit. */
static bool pass(const struct call *call, enum way way, struct slice data)
{
    struct world *w = call->client->world;
    const uint64_t before = relayed(w);
    struct received got;
    bool same = true;
    if (way == CHANNEL_OUT)
        client_channel_data(call->client, CHANNEL, data.data, data.len);
    else if (way == SEND_INDICATION)
        client_indicate(call->client, &call->other, data.data, data.len);
    else
        world_from_peer(
            w, way == CHANNEL_IN ? &call->bound : &call->other, &call->relayed, data, 0);
    world_run(w);
    const bool passed = relayed(w) == before + 1;
    if (passed && way >= CHANNEL_IN) {
        same = client_receive(call->client, &got) && slice_equal(got.data, data);
    } else if (passed) {
        const struct sent *s = world_take_to_peer(w);
        same = s && slice_equal(slice_of(s->bytes, s->len), data);
    }
    assert_true(same);
    world_clear(w);
    return passed;
}

static struct slice junk(void)
{
    return slice_of_string(JUNK);
}

static void set_guard(struct fixture *f, uint8_t level)
{
    f->settings.guard = level;
    world_reload(f->w, &f->settings);
}

static void test_guard_observes_by_default_and_drops_nothing(void **state)
{
    struct fixture *f = *state;
    const struct call call = begin_call(&f->a);
    for (enum way way = 0; way < WAYS; way++) {
        assert_true(pass(&call, way, rtp(way)));
        assert_true(pass(&call, way, junk()));
    }
    assert_int_equal(world_metric(f->w, METRIC_MEDIA_RTP), WAYS);
    assert_int_equal(world_metric(f->w, METRIC_MEDIA_OTHER), WAYS);
}

static void test_guard_classify_drops_on_every_way_and_counts_once(void **state)
{
    struct fixture *f = *state;
    set_guard(f, SRTP_GUARD_CLASSIFY);
    const struct call call = begin_call(&f->a);
    for (enum way way = 0; way < WAYS; way++) {
        assert_false(pass(&call, way, junk()));
        assert_int_equal(world_dropped(f->w, REASON_GUARD_NOT_MEDIA), way + 1);
        assert_true(pass(&call, way, rtp(way)));
        world_check(f->w);
    }
    assert_int_equal(world_metric(f->w, METRIC_MEDIA_OTHER), WAYS);
    assert_int_equal(world_metric(f->w, METRIC_RELAYED_TO_PEER), 2);
    assert_int_equal(world_metric(f->w, METRIC_RELAYED_TO_CLIENT), 2);
}

/* What nobody may send is no media of anybody. */
static void test_guard_stands_behind_the_permission(void **state)
{
    struct fixture *f = *state;
    set_guard(f, SRTP_GUARD_CLASSIFY);
    const struct call call = begin_call(&f->a);
    const struct addr stranger = world_peer(9, 5000);
    client_indicate(&f->a, &stranger, JUNK, strlen(JUNK));
    world_from_peer(f->w, &stranger, &call.relayed, junk(), 0);
    assert_int_equal(world_dropped(f->w, REASON_NO_PERMISSION), 2);
    assert_int_equal(world_metric(f->w, METRIC_MEDIA_OTHER), 0);
}

static void test_guard_stands_before_the_bandwidth(void **state)
{
    struct fixture *f = *state;
    static const uint8_t big[4000] = {0xff};
    f->settings.guard = SRTP_GUARD_CLASSIFY;
    f->settings.limits.rates.bandwidth_per_allocation = 1000;
    f->settings.limits.bandwidth_burst_ms = 500;
    fixture_restart(f);
    const struct call call = begin_call(&f->a);
    for (unsigned i = 0; i < 100; i++)
        for (enum way way = 0; way < WAYS; way++)
            assert_false(pass(&call, way, slice_of(big, sizeof(big))));
    for (enum way way = 0; way < WAYS; way++)
        assert_true(pass(&call, way, rtp(way)));
    assert_int_equal(world_dropped(f->w, REASON_BANDWIDTH_ALLOCATION), 0);
    assert_int_equal(world_dropped(f->w, REASON_GUARD_NOT_MEDIA), 400);
}

static void test_guard_off_looks_at_nothing(void **state)
{
    struct fixture *f = *state;
    set_guard(f, SRTP_GUARD_OFF);
    const struct call call = begin_call(&f->a);
    for (enum way way = 0; way < WAYS; way++)
        assert_true(pass(&call, way, way % 2 ? rtp(way) : junk()));
    assert_int_equal(world_metric(f->w, METRIC_MEDIA_RTP), 0);
    assert_int_equal(world_metric(f->w, METRIC_MEDIA_OTHER), 0);
}

static void test_guard_reload_changes_live_allocations(void **state)
{
    struct fixture *f = *state;
    const struct call call = begin_call(&f->a);
    for (enum way way = 0; way < WAYS; way++) {
        assert_true(pass(&call, way, junk()));
        set_guard(f, SRTP_GUARD_VERIFY_REQUIRED);
        assert_false(pass(&call, way, junk()));
        assert_false(pass(&call, way, rtp(way)));
        set_guard(f, SRTP_GUARD_VERIFY);
        assert_true(pass(&call, way, rtp(way)));
        assert_false(pass(&call, way, junk()));
        set_guard(f, SRTP_GUARD_OFF);
        assert_true(pass(&call, way, junk()));
    }
    assert_int_equal(world_dropped(f->w, REASON_SRTP_UNVERIFIED), WAYS);
    assert_int_equal(world_metric(f->w, METRIC_SRTP_UNVERIFIED), 2 * WAYS);
}

static void test_guard_level_of_a_realm_and_of_a_listener(void **state)
{
    struct fixture *f = *state;
    struct client rest, first, second;
    f->settings.realm_guards[REALM_REST] = &classify;
    f->settings.listener_guards[1] = &off;
    fixture_restart(f);
    client_init(&rest, f->w, 3);
    client_set_rest(&rest, "ann", 3600, "north");
    first = rest;
    first.addr.port = 41001;
    second = rest;
    second.addr.port = 41002;
    second.listener = 1;
    const struct call plain = begin_call(&f->a), strict = begin_call(&first),
                      loose = begin_call(&second);
    for (enum way way = 0; way < WAYS; way++) {
        assert_true(pass(&plain, way, junk()));
        assert_false(pass(&strict, way, junk()));
        assert_true(pass(&loose, way, junk()));
    }
    /* The other way round. */
    f->settings.realm_guards[REALM_REST] = NULL;
    f->settings.listener_guards[1] = &required;
    world_reload(f->w, &f->settings);
    for (enum way way = 0; way < WAYS; way++) {
        assert_true(pass(&strict, way, junk()));
        assert_false(pass(&loose, way, rtp(way)));
    }
    assert_int_equal(world_dropped(f->w, REASON_SRTP_UNVERIFIED), WAYS);
}

static const struct srtp_wanted *last_want(const struct world *w)
{
    return w->wants.count ? &w->wants.list[w->wants.count - 1] : NULL;
}

static void test_guard_ids_say_worker_and_slot_and_are_not_guessed(void **state)
{
    struct fixture *f = *state;
    uint32_t low[50];
    f->settings.workers = 3;
    f->settings.guard = SRTP_GUARD_VERIFY;
    fixture_restart(f);
    for (unsigned i = 0; i < 50; i++) {
        struct client c;
        client_init(&c, f->w, 10 + i);
        fixture_allocate(&c);
        const uint64_t id = last_want(f->w)->allocation;
        assert_int_equal(handle_worker(id), c.worker);
        assert_true(handle_slot(id) < 50);
        low[i] = (uint32_t)id;
        for (unsigned k = 0; k < i; k++)
            assert_int_not_equal(low[k], low[i]);
    }
}

static void test_guard_keys_are_asked_for_where_media_is_verified(void **state)
{
    struct fixture *f = *state;
    struct client rest;
    fixture_allocate(&f->a);
    assert_null(last_want(f->w));
    f->settings.realm_guards[REALM_REST] = &required;
    fixture_restart(f);
    client_init(&rest, f->w, 3);
    client_set_rest(&rest, "ann", 3600, "north");
    fixture_allocate(&f->a);
    fixture_allocate(&rest);
    assert_int_equal(f->w->wants.count, 1);
    const struct srtp_wanted *wanted = last_want(f->w);
    assert_int_equal(wanted->realm, REALM_REST);
    assert_int_equal(wanted->user_len, strlen(rest.user));
    assert_memory_equal(wanted->user, rest.user, wanted->user_len);
    assert_int_equal(wanted->account_len, 3);
    assert_memory_equal(wanted->account, "ann", 3);
    const struct srtp_deposit d = {.until = f->w->now.wall_s + 60,
        .binding = {.allocation = wanted->allocation},
        .keys = {.count = 1}};
    assert_int_equal(relay_srtp_deposit(f->w->worker[0].relay, &d, &f->w->now), 1);
}

static void test_guard_account_that_is_the_name_is_not_said_twice(void **state)
{
    struct fixture *f = *state;
    set_guard(f, SRTP_GUARD_VERIFY);
    fixture_allocate(&f->a);
    assert_int_equal(last_want(f->w)->account_len, 0);
    assert_int_equal(last_want(f->w)->user_len, 5);
}

/* Calls that are under way when verification begins have keys too. */
static void test_guard_keys_are_asked_for_when_a_reload_begins_to_verify(void **state)
{
    struct fixture *f = *state;
    struct client rest;
    client_init(&rest, f->w, 3);
    client_set_rest(&rest, "ann", 3600, "north");
    fixture_allocate(&f->a);
    fixture_allocate(&f->b);
    fixture_allocate(&rest);
    f->settings.realm_guards[REALM_REST] = &off;
    f->w->wants.full = true;
    set_guard(f, SRTP_GUARD_VERIFY);
    world_advance_ms(f->w, 200);
    assert_int_equal(f->w->wants.count, 0);
    f->w->wants.full = false;
    world_advance_ms(f->w, 200);
    assert_int_equal(f->w->wants.count, 2);
    /* Each is asked for once. */
    set_guard(f, SRTP_GUARD_VERIFY_REQUIRED);
    world_advance_ms(f->w, 500);
    assert_int_equal(f->w->wants.count, 2);
}

static void test_guard_keys_are_asked_for_again_when_nobody_could_be_asked(void **state)
{
    struct fixture *f = *state;
    set_guard(f, SRTP_GUARD_VERIFY);
    world_advance_ms(f->w, 200);
    f->w->wants.full = true;
    fixture_allocate(&f->a);
    world_advance_ms(f->w, 500);
    assert_int_equal(f->w->wants.count, 0);
    f->w->wants.full = false;
    world_advance_ms(f->w, 200);
    assert_int_equal(f->w->wants.count, 1);
}

/* Whoever keeps control busy does not have others forgotten that begin meanwhile. */
static void test_guard_keys_are_asked_for_behind_one_that_waits(void **state)
{
    struct fixture *f = *state;
    struct client late;
    client_init(&late, f->w, 3);
    set_guard(f, SRTP_GUARD_VERIFY);
    world_advance_ms(f->w, 200);
    fixture_allocate(&f->a);
    assert_int_equal(handle_slot(last_want(f->w)->allocation), 0);
    f->w->wants.full = true;
    fixture_allocate(&f->b);
    world_advance_ms(f->w, 500);
    assert_int_equal(client_refresh(&f->a, 0, NULL), 200);
    fixture_allocate(&late); /* where `a` was */
    world_advance_ms(f->w, 500);
    assert_int_equal(f->w->wants.count, 1);
    f->w->wants.full = false;
    world_advance_ms(f->w, 500);
    assert_int_equal(f->w->wants.count, 3);
    assert_int_equal(handle_slot(last_want(f->w)->allocation), 0);
}

static unsigned deposit_id(struct fixture *f, unsigned worker, uint64_t id, uint8_t direction)
{
    struct srtp_deposit d = {.until = f->w->now.wall_s + 60,
        .binding = {.allocation = id, .direction = direction},
        .keys = {.suite = SRTP_AEAD_128_GCM, .count = 1}};
    d.keys.masters[0].key_and_salt[0] = direction == SRTP_TO_PEER ? 1 : 2;
    return relay_srtp_deposit(f->w->worker[worker].relay, &d, &f->w->now);
}

static void test_guard_deposit_by_id_is_for_that_allocation_alone(void **state)
{
    struct fixture *f = *state;
    fakes_reset();
    set_guard(f, SRTP_GUARD_VERIFY);
    const struct call mine = begin_call(&f->a);
    const uint64_t id = last_want(f->w)->allocation;
    const struct call other = begin_call(&f->b);
    assert_int_equal(deposit_id(f, 0, id, SRTP_TO_PEER), 1);
    assert_int_equal(world_metric(f->w, METRIC_SRTP_KEYS_DEPOSITED), 1);
    fake_verdicts[1] = SRTP_FAILED;
    assert_false(pass(&mine, CHANNEL_OUT, rtp(1)));
    assert_false(pass(&mine, SEND_INDICATION, rtp(1)));
    assert_true(pass(&mine, CHANNEL_IN, rtp(1)));
    assert_true(pass(&other, CHANNEL_OUT, rtp(1)));
    assert_int_equal(world_dropped(f->w, REASON_SRTP_FAILED), 2);
    assert_int_equal(deposit_id(f, 0, id, SRTP_TO_CLIENT), 1);
    assert_true(pass(&mine, DATA_INDICATION, rtp(2)));
    assert_int_equal(world_metric(f->w, METRIC_SRTP_VERIFIED), 1);
    /* Nobody's. */
    assert_int_equal(deposit_id(f, 0, id ^ 1, SRTP_TO_PEER), 0);
    assert_int_equal(deposit_id(f, 0, id ^ 1ull << 32, SRTP_TO_PEER), 0);
    assert_int_equal(deposit_id(f, 0, id ^ 1ull << 56, SRTP_TO_PEER), 0);
    assert_int_equal(deposit_id(f, 0, id | 0xffffffull << 32, SRTP_TO_PEER), 0);
    /* The next in its slot is somebody else. */
    assert_int_equal(client_refresh(&f->a, 0, NULL), 200);
    assert_int_equal(fakes_live, 0);
    fixture_allocate(&f->a);
    assert_int_equal(handle_slot(last_want(f->w)->allocation), handle_slot(id));
    assert_int_equal(deposit_id(f, 0, id, SRTP_TO_PEER), 0);
    assert_int_equal(world_metric(f->w, METRIC_SRTP_KEYS_DEPOSITED), 2);
}

static void test_guard_refused_keys_are_counted(void **state)
{
    struct fixture *f = *state;
    fakes_reset();
    set_guard(f, SRTP_GUARD_VERIFY);
    fixture_allocate(&f->a);
    const uint64_t id = last_want(f->w)->allocation;
    fake_refuses = -EINVAL;
    assert_int_equal(deposit_id(f, 0, id, SRTP_TO_PEER), 0);
    assert_int_equal(world_metric(f->w, METRIC_SRTP_KEYS_REFUSED), 1);
    assert_int_equal(world_metric(f->w, METRIC_SRTP_KEYS_DEPOSITED), 0);
}

/* Keys that have ended are wiped within a second or so, however many allocations have some, and
 * the others stay. */
static void test_guard_keys_that_end_are_wiped(void **state)
{
    struct fixture *f = *state;
    enum { CLIENTS = 100 };
    static struct client clients[CLIENTS];
    fakes_reset();
    set_guard(f, SRTP_GUARD_VERIFY);
    for (unsigned i = 0; i < CLIENTS; i++) {
        client_init(&clients[i], f->w, 10 + i);
        fixture_allocate(&clients[i]);
        struct srtp_deposit d = {.until = f->w->now.wall_s + (i % 2 ? 10 : 3600),
            .binding = {.allocation = last_want(f->w)->allocation},
            .keys = {.count = 1}};
        assert_int_equal(relay_srtp_deposit(f->w->worker[0].relay, &d, &f->w->now), 1);
    }
    assert_int_equal(fakes_live, CLIENTS);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(client_refresh(&clients[i], 0, NULL), 200);
    for (unsigned ms = 0; ms < 9000; ms += 100)
        world_advance_ms(f->w, 100);
    assert_int_equal(fakes_live, CLIENTS - 10);
    for (unsigned ms = 0; ms < 3000; ms += 100)
        world_advance_ms(f->w, 100);
    assert_int_equal(fakes_live, CLIENTS / 2 - 5);
    for (unsigned i = 10; i < CLIENTS; i += 2)
        assert_int_equal(client_refresh(&clients[i], 0, NULL), 200);
    assert_int_equal(fakes_live, 0);
    fixture_restart(f);
    assert_int_equal(fakes_live, 0);
}

/* The books of the test: who has an allocation, under which names. */
struct member {
    struct client client;
    bool live;
    uint32_t realm;
    const char *account;
};

static unsigned count_members(
    const struct member *members, unsigned count, uint32_t realm, const char *name)
{
    unsigned n = 0;
    for (unsigned i = 0; i < count; i++) {
        const struct member *m = &members[i];
        n += m->live && m->realm == realm &&
             (strcmp(m->client.user, name) == 0 || strcmp(m->account, name) == 0);
    }
    return n;
}

static unsigned deposit_user_until(
    struct fixture *f, uint32_t realm, const char *name, uint32_t ssrc, int64_t seconds)
{
    struct srtp_deposit d = {.until = f->w->now.wall_s + seconds,
        .binding = {.realm = realm, .has_ssrc = true, .ssrc = ssrc},
        .keys = {.count = 1}};
    d.binding.user_len = (uint16_t)strlen(name);
    memcpy(d.binding.user, name, d.binding.user_len);
    return relay_srtp_deposit(f->w->worker[0].relay, &d, &f->w->now);
}

static unsigned deposit_user(struct fixture *f, uint32_t realm, const char *name, uint32_t ssrc)
{
    return deposit_user_until(f, realm, name, ssrc, 60);
}

static void begin_member(struct fixture *f, struct member *m, unsigned n)
{
    static const char *const names[] = {"ann", "bea", "alice", "1799999999:ann"};
    client_init(&m->client, f->w, 10 + n % 500);
    m->client.addr.port = (uint16_t)(20000 + n % 40000);
    m->realm = world_random(f->w) % 2 ? REALM_REST : REALM_PLAIN;
    if (m->realm == REALM_REST) {
        m->account = names[world_random(f->w) % 4];
        client_set_rest(&m->client, m->account, 3600 + (int64_t)(world_random(f->w) % 3), "north");
    } else {
        const bool bob = world_random(f->w) % 2;
        m->account = bob ? "bob" : "alice";
        client_set_user(&m->client, m->account, bob ? "builder" : "wonderland");
    }
    fixture_allocate(&m->client);
    m->live = true;
}

static void test_guard_index_of_users_is_exact_over_random_changes(void **state)
{
    enum { MEMBERS = 60, STEPS = 4000 };
    static struct member members[MEMBERS];
    static const char *const names[] = {
        "ann", "bea", "alice", "bob", "1799999999:ann", "nobody", ""};
    struct fixture *f = *state;
    fakes_reset();
    f->settings.guard = SRTP_GUARD_VERIFY;
    fixture_restart(f);
    memset(members, 0, sizeof(members));
    for (unsigned step = 0; step < STEPS; step++) {
        struct member *m = &members[world_random(f->w) % MEMBERS];
        const uint32_t realm = world_random(f->w) % WORLD_REALMS;
        if (m->live && world_random(f->w) % 3 == 0) {
            assert_int_equal(client_refresh(&m->client, 0, NULL), 200);
            m->live = false;
        } else if (!m->live) {
            begin_member(f, m, step);
        }
        const char *name = names[world_random(f->w) % 7];
        const char *wire = members[world_random(f->w) % MEMBERS].client.user;
        assert_int_equal(deposit_user_until(f, realm, name, SSRC, 60 + 2 * step),
            count_members(members, MEMBERS, realm, name));
        assert_int_equal(deposit_user_until(f, realm, wire, SSRC, 61 + 2 * step),
            count_members(members, MEMBERS, realm, wire));
        world_clear(f->w);
    }
    for (unsigned i = 0; i < MEMBERS; i++)
        if (members[i].live)
            assert_int_equal(client_refresh(&members[i].client, 0, NULL), 200);
    assert_int_equal(fakes_live, 0);
    for (unsigned i = 0; i < 7; i++)
        assert_int_equal(deposit_user(f, REALM_REST, names[i], SSRC), 0);
}

/* Else one who has thousands would hold up everybody, each time that he makes one more. */
static void test_guard_key_for_a_new_allocation_walks_over_no_others(void **state)
{
    enum { CLIENTS = 30 };
    static struct client clients[CLIENTS];
    struct fixture *f = *state;
    fakes_reset();
    f->settings.guard = SRTP_GUARD_VERIFY;
    fixture_restart(f);
    for (unsigned i = 0; i < CLIENTS; i++) {
        client_init(&clients[i], f->w, 10 + i);
        client_set_rest(&clients[i], "ann", 3600, "north");
        fixture_allocate(&clients[i]);
        assert_int_equal(deposit_user(f, REALM_REST, "ann", SSRC), i < 2 ? i + 1 : 2);
        if (i % 3 == 2) /* the first, or the latest */
            assert_int_equal(client_refresh(&clients[i % 2 ? i : i / 3], 0, NULL), 200);
    }
    const uint64_t told = world_metric(f->w, METRIC_SRTP_KEYS_DEPOSITED);
    assert_int_equal(deposit_user(f, REALM_REST, "ann", SSRC), 1);
    /* Another name, another SSRC or another end is news for all of them. */
    assert_int_equal(deposit_user(f, REALM_REST, clients[CLIENTS - 2].user, SSRC), 20);
    assert_int_equal(deposit_user(f, REALM_REST, "ann", SSRC), 20);
    assert_int_equal(deposit_user(f, REALM_REST, "ann", SSRC + 1), 20);
    assert_int_equal(deposit_user_until(f, REALM_REST, "ann", SSRC, 61), 20);
    assert_int_equal(deposit_user_until(f, REALM_REST, "ann", SSRC, 0), 20);
    assert_int_equal(deposit_user(f, REALM_REST, "ann", SSRC), 20);
    assert_int_equal(world_metric(f->w, METRIC_SRTP_KEYS_DEPOSITED), told + 101);
}

/* A kid is everybody's whom an authorization server serves; the account is the token. */
static void test_guard_deposit_for_a_token_is_for_its_bearer(void **state)
{
    struct fixture *f = *state;
    struct client bearers[2];
    fakes_reset();
    f->settings.guard = SRTP_GUARD_VERIFY;
    fixture_restart(f);
    for (unsigned i = 0; i < 2; i++) {
        client_init(&bearers[i], f->w, 3 + i);
        bearers[i].realm_id = REALM_TOKENS;
        client_set_token(&bearers[i], WORLD_KID, 3600);
        fixture_allocate(&bearers[i]);
    }
    assert_int_equal(deposit_user(f, REALM_TOKENS, WORLD_KID, SSRC), 2);
    assert_int_equal(deposit_user(f, REALM_TOKENS, bearers[0].token.id, SSRC), 1);
    assert_int_equal(deposit_user(f, REALM_PLAIN, bearers[0].token.id, SSRC), 0);
    assert_int_equal(client_refresh(&bearers[0], 0, NULL), 200);
    assert_int_equal(deposit_user(f, REALM_TOKENS, WORLD_KID, SSRC), 1);
    assert_int_equal(deposit_user(f, REALM_TOKENS, bearers[0].token.id, SSRC), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_guard_observes_by_default_and_drops_nothing),
        SCENARIO(test_guard_classify_drops_on_every_way_and_counts_once),
        SCENARIO(test_guard_stands_behind_the_permission),
        SCENARIO(test_guard_stands_before_the_bandwidth),
        SCENARIO(test_guard_off_looks_at_nothing),
        SCENARIO(test_guard_reload_changes_live_allocations),
        SCENARIO(test_guard_level_of_a_realm_and_of_a_listener),
        SCENARIO(test_guard_ids_say_worker_and_slot_and_are_not_guessed),
        SCENARIO(test_guard_keys_are_asked_for_where_media_is_verified),
        SCENARIO(test_guard_account_that_is_the_name_is_not_said_twice),
        SCENARIO(test_guard_keys_are_asked_for_when_a_reload_begins_to_verify),
        SCENARIO(test_guard_keys_are_asked_for_again_when_nobody_could_be_asked),
        SCENARIO(test_guard_keys_are_asked_for_behind_one_that_waits),
        SCENARIO(test_guard_deposit_by_id_is_for_that_allocation_alone),
        SCENARIO(test_guard_refused_keys_are_counted),
        SCENARIO(test_guard_keys_that_end_are_wiped),
        SCENARIO(test_guard_index_of_users_is_exact_over_random_changes),
        SCENARIO(test_guard_key_for_a_new_allocation_walks_over_no_others),
        SCENARIO(test_guard_deposit_for_a_token_is_for_its_bearer),
    };
    return cmocka_run_group_tests_name("media_guard", tests, NULL, NULL);
}
