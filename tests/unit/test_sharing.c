/*
 * What control does with what the fleet says: a fleet and workers that the test plays itself. What
 * is told reaches each worker whatever its mailbox holds, and nothing is told twice.
 */
#include "tests/unit/mailboxes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/sharing.h"

#define REALMS 2

struct fixture {
    struct mailboxes m;
    struct config config;
    struct auth_realm_settings realms[REALMS];
    struct lookups lookups;
    struct sharing *sharing;
    /* What the fleet was told. */
    struct fleet_hooks hooks;
    bool fleet;
    struct fleet_realm set[REALMS];
    size_t set_count;
    unsigned renewed, revoked;
    uint32_t usage_max;
    struct redis_link_stats stats;
    /* What others were told. */
    unsigned moved, explained_secrets, explained_revocations, forgot;
    /* The limiter: started, stopped while there is a fleet, told. */
    unsigned started, stopped, ticks, reloads, link_up, link_down, forgotten;
    uint32_t instances;
    /* What reads keys of media, the same way. */
    struct {
        unsigned started, stopped, reloads, up, down, deposited, found;
    } media;
};

static struct fixture *f;

/* In place of fleet/fleet.c. */
int fleet_new(struct fleet **out, uv_loop_t *loop, const struct redis_settings *settings,
    const struct random_source *random, const struct fleet_hooks *hooks, char *error,
    size_t error_cap)
{
    assert_string_equal(settings->url, f->config.redis.url);
    f->hooks = *hooks;
    f->fleet = true;
    *out = (struct fleet *)(void *)f;
    return 0;
}

void fleet_free(struct fleet *fleet)
{
    f->fleet = false;
}

int fleet_set_realms(struct fleet *fleet, const struct fleet_realm *realms, size_t count)
{
    assert_true(count <= REALMS);
    memcpy(f->set, realms, count * sizeof(*realms));
    f->set_count = count;
    return 0;
}

struct store fleet_store(struct fleet *fleet)
{
    return (struct store){.ctx = f};
}

struct share fleet_share(struct fleet *fleet)
{
    return (struct share){.ctx = f};
}

int fleet_revoke(struct fleet *fleet, const struct revocation *v)
{
    f->revoked++;
    return 0;
}

int fleet_renew(struct fleet *fleet, char *error, size_t error_cap)
{
    f->renewed++;
    return 0;
}

bool fleet_is_up(const struct fleet *fleet)
{
    return f->stats.connected > 0;
}

struct redis_link_stats fleet_stats(const struct fleet *fleet)
{
    return f->stats;
}

int fleet_usage_add(struct fleet *fleet, struct slice id, struct slice record, uint32_t max)
{
    assert_true(f->fleet);
    f->usage_max = max;
    return 0;
}

uint64_t fleet_usage_sent(const struct fleet *fleet)
{
    return 7;
}

uint32_t fleet_usage_waiting(const struct fleet *fleet)
{
    return 9;
}

/* In place of daemon/explainer.c. */
void explainer_secrets(struct explainer *e, const struct store_secrets *secrets)
{
    f->explained_secrets++;
}

void explainer_revoke(struct explainer *e, const struct revocation *v)
{
    f->explained_revocations++;
}

void explainer_forget(struct explainer *e)
{
    f->forgot++;
}

/* In place of daemon/limiter.c. */
void limiter_start(struct limiter *l, const struct share *share)
{
    assert_ptr_equal(share->ctx, f);
    f->started++;
}

void limiter_stop(struct limiter *l)
{
    f->stopped += f->fleet;
}

void limiter_reloaded(struct limiter *l, const struct config *config)
{
    assert_ptr_equal(config, &f->config);
    f->reloads++;
}

void limiter_link(struct limiter *l, bool up)
{
    f->link_up += up;
    f->link_down += !up;
}

void limiter_instances(struct limiter *l, uint32_t count)
{
    f->instances = count;
}

void media_watch_start(struct media_watch *m, struct fleet *fleet)
{
    assert_ptr_equal(fleet, f);
    f->media.started++;
}

void media_watch_stop(struct media_watch *m)
{
    f->media.stopped += f->fleet;
}

void media_watch_reloaded(struct media_watch *m)
{
    f->media.reloads++;
}

void media_watch_link(struct media_watch *m, bool up)
{
    f->media.up += up;
    f->media.down += !up;
}

void media_watch_deposited(struct media_watch *m, struct slice place)
{
    f->media.deposited += place.len == 3;
}

void media_watch_found(struct media_watch *m, const struct fleet_srtp_found *found)
{
    f->media.found += found->count == 3;
}

void limiter_forgotten(struct limiter *l)
{
    f->forgotten++;
}

void limiter_tick(struct limiter *l)
{
    f->ticks++;
}

void limiter_measure(struct limiter *l)
{
}

static void moved(void *ctx)
{
    assert_ptr_equal(ctx, f);
    f->moved++;
}

static void start(const char *url)
{
    char error[256] = "";
    f->config.redis.url = (char *)(uintptr_t)url;
    assert_int_equal(sharing_prepare(f->sharing, &f->config.redis, error, sizeof(error)), 0);
    assert_int_equal(sharing_start(f->sharing, error, sizeof(error)), 0);
}

static int setup(void **state)
{
    static char names[REALMS][16] = {"example.org", "example.net"};
    static uint8_t nonce_secret[] = "sixteen bytes and";
    f = calloc(1, sizeof(*f));
    mailboxes_init(&f->m);
    for (unsigned i = 0; i < REALMS; i++)
        f->realms[i] = (struct auth_realm_settings){.name = names[i], .store_secrets = true};
    f->config.auth.realms = f->realms;
    f->config.auth.realm_count = REALMS;
    f->config.auth.nonce_secret = (struct secret){nonce_secret, sizeof(nonce_secret) - 1};
    const struct sharing_deps deps = {.loop = &f->m.loop,
        .config = &f->config,
        .workers = &f->m.workers,
        .counters = &f->m.counters,
        .lookups = &f->lookups,
        .moved = moved,
        .ctx = f};
    f->sharing = sharing_new(&deps);
    assert_non_null(f->sharing);
    return 0;
}

static int teardown(void **state)
{
    sharing_end(f->sharing);
    assert_false(f->fleet);
    mailboxes_deinit(&f->m);
    sharing_free(f->sharing);
    free(f);
    return 0;
}

static void tell_secrets(uint32_t realm, const char *const *texts, size_t count)
{
    struct store_secrets s = {.realm = realm};
    for (; s.count < count; s.count++)
        assert_int_equal(secret_set(&s.list[s.count], slice_of_string(texts[s.count])), 0);
    f->hooks.secrets(f->hooks.ctx, &s);
    store_secrets_deinit(&s);
}

static void check_secrets(unsigned worker, size_t n, uint32_t realm, size_t count, const char *text)
{
    const struct mailboxes_one *w = &f->m.worker[worker];
    assert_true(n < w->count);
    assert_int_equal(w->kept[n].kind, MAILBOX_SECRETS);
    const struct store_secrets *s = w->kept[n].u.secrets;
    assert_int_equal(s->realm, realm);
    assert_int_equal(s->count, count);
    assert_true(count == 0 || secret_equal(secret_slice(&s->list[0]), slice_of_string(text)));
}

static void tell_state(bool up, const char *ip, uint16_t port)
{
    struct redis_state state = {.up = up, .run_id = "", .cause = "gone"};
    if (ip) {
        assert_int_equal(addr_parse_ip(&state.address, ip), 0);
        state.address.port = port;
    }
    f->stats.connected += up;
    f->hooks.state(f->hooks.ctx, &state);
}

static const char *const north[] = {"north"}, *const south[] = {"south", "west"};

static void test_sharing_secrets_reach_every_worker_once(void **state)
{
    start("redis://127.0.0.1");
    tell_secrets(1, north, 1);
    tell_secrets(1, north, 1); /* again after a reconnection */
    mailboxes_run(&f->m);
    for (unsigned i = 0; i < MAILBOXES_WORKERS; i++) {
        assert_int_equal(f->m.worker[i].count, 1);
        check_secrets(i, 0, 1, 1, "north");
    }
    tell_secrets(1, south, 2);
    tell_secrets(1, NULL, 0);
    mailboxes_run(&f->m);
    check_secrets(0, 1, 1, 2, "south");
    check_secrets(0, 2, 1, 0, NULL);
    assert_int_equal(f->explained_secrets, 3);
}

static void test_sharing_full_mailbox_is_owed_the_latest_secrets(void **state)
{
    start("redis://127.0.0.1");
    mailboxes_fill(&f->m, 0, MAILBOX_RELAY);
    tell_secrets(0, north, 1);
    tell_secrets(0, south, 2);
    tell_secrets(1, north, 1);
    const size_t before = mailbox_drain(f->m.worker[0].mailbox);
    sharing_tick(f->sharing);
    sharing_tick(f->sharing);
    mailboxes_run(&f->m);
    assert_int_equal(f->m.worker[0].count, before + 2);
    check_secrets(0, before, 0, 2, "south");
    check_secrets(0, before + 1, 1, 1, "north");
    assert_int_equal(f->m.worker[1].count, 3);
}

static void test_sharing_realm_that_takes_none_any_more_loses_them(void **state)
{
    start("redis://127.0.0.1");
    tell_secrets(0, north, 1);
    tell_secrets(1, south, 2);
    f->realms[1].store_secrets = false;
    sharing_reloaded(f->sharing);
    mailboxes_run(&f->m);
    assert_int_equal(f->m.worker[0].count, 4);
    check_secrets(0, 2, 0, 1, "north"); /* their ids follow the nonce secret */
    check_secrets(0, 3, 1, 0, NULL);
    assert_int_equal(f->set_count, REALMS);
    assert_true(f->set[0].secrets);
    assert_false(f->set[1].secrets);
    assert_int_equal(f->renewed, 1);
    assert_int_equal(f->forgot, 1);
}

static bool knows(const char *ip, uint16_t port)
{
    size_t count;
    const struct addr *list = sharing_addresses(f->sharing, &count);
    struct addr a;
    assert_int_equal(addr_parse_ip(&a, ip), 0);
    a.port = port;
    for (size_t i = 0; i < count; i++) {
        if (addr_equal(&list[i], &a))
            return true;
    }
    return false;
}

static void test_sharing_addresses_of_the_settings_are_known_at_once(void **state)
{
    start("redis+sentinel://192.0.2.1,[2001:db8::1]:7000,name.example/master");
    assert_true(knows("192.0.2.1", 26379));
    assert_true(knows("2001:db8::1", 7000));
    size_t count;
    (void)sharing_addresses(f->sharing, &count);
    assert_int_equal(count, 2);
    tell_state(true, "192.0.2.1", 26379);
    assert_int_equal(f->moved, 0);
}

static void test_sharing_new_address_is_told_once(void **state)
{
    start("redis://name.example");
    tell_state(true, "192.0.2.7", 6379);
    tell_state(false, NULL, 0);
    tell_state(true, "192.0.2.7", 6379);
    assert_int_equal(f->moved, 1);
    tell_state(true, "192.0.2.8", 6379);
    tell_state(true, NULL, 0); /* over a unix socket */
    assert_int_equal(f->moved, 2);
    assert_true(knows("192.0.2.7", 6379) && knows("192.0.2.8", 6379));
}

static void test_sharing_keeps_the_latest_of_many_addresses(void **state)
{
    char ip[32];
    start("redis://192.0.2.1");
    for (unsigned i = 0; i < 40; i++) {
        snprintf(ip, sizeof(ip), "198.51.100.%u", i);
        tell_state(true, ip, 6379);
    }
    assert_int_equal(f->moved, 40);
    assert_true(knows("192.0.2.1", 6379) && knows("198.51.100.39", 6379));
    assert_true(knows("198.51.100.24", 6379));
    assert_false(knows("198.51.100.23", 6379));
}

static struct revocation revocation_of(const char *id, uint32_t realm)
{
    struct revocation v = {.kind = REVOKE_USER,
        .realm = realm,
        .until = clock_now().wall_s + 60,
        .id_len = (uint16_t)strlen(id)};
    memcpy(v.id, id, v.id_len);
    return v;
}

static void test_sharing_revocation_is_in_force_here_and_told_to_the_fleet(void **state)
{
    struct revocation v = revocation_of("ann", 1);
    start("redis://127.0.0.1");
    assert_int_equal(sharing_revoke(f->sharing, &v), 0);
    f->hooks.revoked(f->hooks.ctx, &v); /* the fleet tells everybody, us too */
    mailboxes_run(&f->m);
    assert_int_equal(f->revoked, 1);
    assert_int_equal(f->explained_revocations, 1);
    assert_int_equal(f->m.worker[0].count, 1);
    assert_int_equal(f->m.worker[1].count, 1);
    v = revocation_of("bob", 0);
    f->hooks.revoked(f->hooks.ctx, &v);
    mailboxes_run(&f->m);
    assert_int_equal(f->m.worker[0].count, 2);
    assert_int_equal(f->revoked, 1);
    v = revocation_of("eve", REALMS);
    assert_int_equal(sharing_revoke(f->sharing, &v), -EINVAL);
}

static void test_sharing_revocation_is_logged_with_its_end_as_people_read_it(void **state)
{
    struct revocation v = revocation_of("ann", 0);
    char text[1024] = "", expected[160];
    int fds[2];
    start(NULL);
    v.until = 4102444800; /* 2100-01-01 */
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(log_init(fds[1], LOG_INFO, LOG_TEXT), 0);
    assert_int_equal(sharing_revoke(f->sharing, &v), 0);
    v.until = 0;
    assert_int_equal(sharing_revoke(f->sharing, &v), 0);
    log_deinit();
    close(fds[1]);
    assert_true(read(fds[0], text, sizeof(text) - 1) > 0);
    close(fds[0]);
    const char *realm = f->config.auth.realms[0].name;
    snprintf(expected, sizeof(expected),
        " revoked kind=user realm=%s id=ann until=2100-01-01T00:00:00Z\n", realm);
    assert_non_null(strstr(text, expected));
    snprintf(
        expected, sizeof(expected), " revocation_taken_back kind=user realm=%s id=ann\n", realm);
    assert_non_null(strstr(text, expected));
    mailboxes_run(&f->m);
}

static void test_sharing_without_redis_revokes_here(void **state)
{
    const struct revocation v = revocation_of("ann", 0);
    start(NULL);
    assert_false(f->fleet);
    assert_null(sharing_state(f->sharing));
    assert_int_equal(sharing_revoke(f->sharing, &v), 0);
    sharing_reloaded(f->sharing);
    sharing_tick(f->sharing);
    mailboxes_run(&f->m);
    assert_int_equal(f->m.worker[0].count, 1);
    assert_int_equal(f->revoked, 0);
}

static void test_sharing_metrics_follow_the_link(void **state)
{
    start("redis://127.0.0.1");
    assert_string_equal(sharing_state(f->sharing), "down");
    tell_state(true, "127.0.0.1", 6379);
    assert_string_equal(sharing_state(f->sharing), "up");
    assert_int_equal(f->m.counters.gauge[GAUGE_REDIS_UP], 1);
    f->stats.replied = 7;
    f->stats.rtt_us = 345;
    sharing_tick(f->sharing);
    f->stats.replied = 9;
    f->stats.timed_out = 2;
    sharing_measure(f->sharing);
    assert_int_equal(f->m.counters.metric[METRIC_REDIS_REPLIED], 9);
    assert_int_equal(f->m.counters.metric[METRIC_REDIS_TIMED_OUT], 2);
    assert_int_equal(f->m.counters.metric[METRIC_REDIS_CONNECTED], 1);
    assert_int_equal(f->m.counters.gauge[GAUGE_REDIS_RTT], 345);
}

static void test_sharing_limiter_hears_what_the_fleet_says(void **state)
{
    start("redis://127.0.0.1");
    assert_int_equal(f->started, 1);
    tell_state(true, "127.0.0.1", 6379);
    tell_state(false, NULL, 0);
    assert_true(f->link_up == 1 && f->link_down == 1);
    f->hooks.instances(f->hooks.ctx, 5);
    assert_int_equal(f->instances, 5);
    f->hooks.forgotten(f->hooks.ctx);
    assert_int_equal(f->forgotten, 1);
    sharing_tick(f->sharing);
    sharing_reloaded(f->sharing);
    assert_true(f->ticks == 1 && f->reloads == 1);
    mailboxes_run(&f->m);
    sharing_end(f->sharing);
    assert_int_equal(f->stopped, 1);
}

static void test_sharing_keys_of_media_hear_what_the_fleet_says(void **state)
{
    const struct fleet_srtp_found found = {.count = 3};
    start("redis://127.0.0.1");
    assert_int_equal(f->media.started, 1);
    tell_state(true, "127.0.0.1", 6379);
    tell_state(false, NULL, 0);
    assert_true(f->media.up == 1 && f->media.down == 1);
    f->hooks.srtp_deposited(f->hooks.ctx, slice_of_string("a/1"));
    f->hooks.srtp_found(f->hooks.ctx, &found);
    assert_true(f->media.deposited == 1 && f->media.found == 1);
    sharing_reloaded(f->sharing);
    assert_int_equal(f->media.reloads, 1);
    mailboxes_run(&f->m);
    sharing_end(f->sharing);
    assert_int_equal(f->media.stopped, 1);
}

static void test_sharing_hands_usage_records_to_the_fleet(void **state)
{
    start("redis://127.0.0.1");
    const struct slice id = slice_of_string("i-a-1"), record = slice_of_string("{}");
    assert_int_equal(sharing_usage(f->sharing, id, record, 1000), 0);
    assert_int_equal(f->usage_max, 1000);
    assert_int_equal(sharing_usage_sent(f->sharing), 7);
    assert_int_equal(sharing_usage_waiting(f->sharing), 9);
    assert_false(sharing_is_up(f->sharing));
    f->stats.connected = 1;
    assert_true(sharing_is_up(f->sharing));
    mailboxes_run(&f->m);
    sharing_end(f->sharing);
}

static void test_sharing_url_that_means_nothing_is_an_error(void **state)
{
    char error[256] = "";
    f->config.redis.url = (char *)(uintptr_t) "http://127.0.0.1";
    assert_int_equal(sharing_prepare(f->sharing, &f->config.redis, error, sizeof(error)), -EINVAL);
    assert_non_null(strstr(error, "redis.url"));
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_sharing_secrets_reach_every_worker_once),
        CASE(test_sharing_full_mailbox_is_owed_the_latest_secrets),
        CASE(test_sharing_realm_that_takes_none_any_more_loses_them),
        CASE(test_sharing_addresses_of_the_settings_are_known_at_once),
        CASE(test_sharing_new_address_is_told_once),
        CASE(test_sharing_keeps_the_latest_of_many_addresses),
        CASE(test_sharing_revocation_is_in_force_here_and_told_to_the_fleet),
        CASE(test_sharing_revocation_is_logged_with_its_end_as_people_read_it),
        CASE(test_sharing_without_redis_revokes_here),
        CASE(test_sharing_metrics_follow_the_link),
        CASE(test_sharing_limiter_hears_what_the_fleet_says),
        CASE(test_sharing_keys_of_media_hear_what_the_fleet_says),
        CASE(test_sharing_hands_usage_records_to_the_fleet),
        CASE(test_sharing_url_that_means_nothing_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
