/*
 * Allocations that an operator ends: those that are meant and no others, a part at a time, and
 * whoever had them may come back.
 */
#include "tests/scenario/fixture.h"

#include "relay/kick.h"
#include "relay/sessions.h"

/* To its end, on every worker. Returns how many were ended; *calls: how many parts it took. */
static uint32_t kick(struct world *w, const struct kick *what, unsigned *calls)
{
    uint32_t kicked = 0;
    *calls = 0;
    for (unsigned i = 0; i < w->settings.workers; i++) {
        struct kick k = *what;
        do {
            relay_kick(w->worker[i].relay, &k, &w->now);
            ++*calls;
        } while (k.more);
        kicked += k.kicked;
    }
    world_run(w);
    return kicked;
}

static uint32_t kick_user(struct world *w, uint32_t realm, const char *user)
{
    struct kick what = {.realm = realm, .user_len = (uint16_t)strlen(user)};
    unsigned calls;
    memcpy(what.user, user, strlen(user));
    return kick(w, &what, &calls);
}

static uint64_t id_of(struct world *w, const struct client *c)
{
    struct session_page *page = calloc(1, sizeof(*page));
    uint64_t id = 0;
    assert_non_null(page);
    page->max = SESSIONS_PAGE_MAX;
    relay_sessions(w->worker[0].relay, page, &w->now);
    for (unsigned i = 0; i < page->count; i++) {
        if (addr_equal(&page->sessions[i].client, &c->addr))
            id = page->sessions[i].id;
    }
    free(page);
    assert_true(id != 0);
    return id;
}

static void test_kick_of_a_user_ends_all_of_it_and_nobody_else(void **state)
{
    struct fixture *f = *state;
    struct client c[6];
    f->settings.workers = 3;
    fixture_restart(f);
    for (unsigned i = 0; i < 6; i++) {
        client_init(&c[i], f->w, 20 + i);
        fixture_allocate(&c[i]);
    }
    fixture_allocate(&f->b);
    assert_int_equal(kick_user(f->w, REALM_STORED, "alice"), 0);
    assert_int_equal(kick_user(f->w, REALM_PLAIN, "alic"), 0);
    assert_int_equal(kick_user(f->w, REALM_PLAIN, "alice"), 6);
    assert_int_equal(world_allocations(f->w), 1);
    assert_int_equal(world_sockets_open(f->w), 1);
    assert_int_equal(world_ports_claimed(f->w), 1);
    assert_int_equal(world_metric(f->w, METRIC_END_KICKED), 6);
    assert_int_equal(world_metric(f->w, METRIC_ALLOCATIONS_ENDED), 6);
    /* It is no revocation. */
    assert_int_equal(client_refresh(&c[0], 600, NULL), 437);
    fixture_allocate(&c[0]);
    assert_int_equal(client_refresh(&f->b, 600, NULL), 200);
}

static void test_kick_of_an_account_ends_what_its_rest_names_have_made(void **state)
{
    struct fixture *f = *state;
    client_set_rest(&f->a, "alice", 300, "north");
    fixture_allocate(&f->a);
    assert_int_equal(kick_user(f->w, REALM_REST, "alice"), 1);
    assert_int_equal(world_allocations(f->w), 0);
}

static void test_kick_by_id_ends_that_one(void **state)
{
    struct fixture *f = *state;
    unsigned calls;
    fixture_allocate(&f->a);
    fixture_allocate(&f->b);
    struct kick what = {.only_id = id_of(f->w, &f->b) ^ 1};
    assert_int_equal(kick(f->w, &what, &calls), 0);
    what.only_id ^= 1;
    assert_int_equal(kick(f->w, &what, &calls), 1);
    assert_int_equal(calls, 1);
    assert_int_equal(client_refresh(&f->b, 600, NULL), 437);
    assert_int_equal(client_refresh(&f->a, 600, NULL), 200);
    assert_int_equal(kick(f->w, &what, &calls), 0);
    /* A slot that was never used. */
    what.only_id = 0x00ffffff00000001;
    assert_int_equal(kick(f->w, &what, &calls), 0);
}

static void test_kick_by_peer_ends_those_that_may_send_to_it(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    struct kick what = {.peer = world_peer(1, 0)};
    unsigned calls;
    fixture_allocate(&f->a);
    fixture_allocate(&f->b);
    assert_int_equal(kick(f->w, &what, &calls), 0);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    world_advance(f->w, 301); /* the permission's lifetime */
    assert_int_equal(kick(f->w, &what, &calls), 0);
    assert_int_equal(client_permit(&f->b, &peer), 200);
    assert_int_equal(kick(f->w, &what, &calls), 1);
    assert_int_equal(client_refresh(&f->a, 600, NULL), 200);
    assert_int_equal(client_refresh(&f->b, 600, NULL), 437);
}

static void test_kick_of_nobody_ends_nothing(void **state)
{
    struct fixture *f = *state;
    const struct kick what = {0};
    unsigned calls;
    fixture_allocate(&f->a);
    assert_int_equal(kick(f->w, &what, &calls), 0);
    assert_int_equal(world_allocations(f->w), 1);
}

static void test_kick_of_many_goes_on_a_part_at_a_time(void **state)
{
    struct fixture *f = *state;
    struct kick k = {.realm = REALM_PLAIN, .user_len = 5, .user = "alice"};
    f->settings.limits.quota.allocations_per_user = 0;
    f->settings.limits.quota.allocations_total = 0;
    fixture_restart(f);
    for (unsigned i = 0; i < 150; i++) {
        struct client c;
        client_init(&c, f->w, 20 + i);
        fixture_allocate(&c);
    }
    relay_kick(f->w->worker[0].relay, &k, &f->w->now);
    assert_true(k.more);
    assert_int_equal(k.kicked, 64);
    assert_int_equal(world_allocations(f->w), 86);
    relay_kick(f->w->worker[0].relay, &k, &f->w->now);
    assert_true(k.more);
    relay_kick(f->w->worker[0].relay, &k, &f->w->now);
    assert_false(k.more);
    assert_int_equal(k.kicked, 150);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_kick_of_a_user_ends_all_of_it_and_nobody_else),
        SCENARIO(test_kick_of_an_account_ends_what_its_rest_names_have_made),
        SCENARIO(test_kick_by_id_ends_that_one),
        SCENARIO(test_kick_by_peer_ends_those_that_may_send_to_it),
        SCENARIO(test_kick_of_nobody_ends_nothing),
        SCENARIO(test_kick_of_many_goes_on_a_part_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
