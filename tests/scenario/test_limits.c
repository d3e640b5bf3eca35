/*
 * Answer budgets (THREATS row 4): charged when, and only when, a source that has proven nothing is
 * about to be answered. What lives and who has a verifying nonce never notices.
 */
#include "tests/scenario/fixture.h"

#define BUDGET 10u

static void limit(struct fixture *f, struct rate *rate)
{
    *rate = (struct rate){.count = BUDGET, .period_s = 1, .burst = BUDGET};
    fixture_restart(f);
}

static unsigned answers_to_challenges(struct client *c, unsigned count)
{
    unsigned answered = 0;
    for (unsigned i = 0; i < count; i++)
        answered += client_challenge(c) == 401;
    return answered;
}

static unsigned answers_to_bindings(struct client *c, unsigned count)
{
    unsigned answered = 0;
    for (unsigned i = 0; i < count; i++)
        answered += client_binding(c, NULL) == 200;
    return answered;
}

static void test_budget_of_an_address_bounds_its_answers(void **state)
{
    struct fixture *f = *state;
    limit(f, &f->settings.limits.unauthenticated_per_address);
    assert_int_equal(answers_to_challenges(&f->a, 100), BUDGET);
    assert_int_equal(world_dropped(f->w, REASON_ANSWER_BUDGET), 90);
    /* Binding is counted apart. */
    assert_int_equal(answers_to_bindings(&f->a, 100), BUDGET);
    /* Other ports of the address share, other addresses do not. */
    f->a.addr.port++;
    assert_int_equal(answers_to_challenges(&f->a, 10), 0);
    assert_int_equal(answers_to_challenges(&f->b, 10), BUDGET);
    world_advance(f->w, 1);
    assert_int_equal(answers_to_challenges(&f->a, 100), BUDGET);
}

static void test_budget_refills_at_its_rate(void **state)
{
    struct fixture *f = *state;
    limit(f, &f->settings.limits.unauthenticated_per_address);
    unsigned answered = 0;
    for (unsigned i = 0; i < 100; i++) {
        answered += answers_to_challenges(&f->a, 10);
        world_advance_ms(f->w, 100);
    }
    /* Burst, and ten seconds of the rate. */
    assert_true(answered >= 10 * BUDGET && answered <= 11 * BUDGET);
}

static void test_budget_of_a_prefix_is_shared_by_its_addresses(void **state)
{
    struct fixture *f = *state;
    limit(f, &f->settings.limits.unauthenticated_per_prefix);
    unsigned answered = 0;
    for (unsigned i = 0; i < 200; i++) {
        f->a.addr = world_client_addr(i, 4000);
        answered += answers_to_challenges(&f->a, 1);
    }
    assert_int_equal(answered, BUDGET);
    f->a.addr.ip[2]++;
    assert_int_equal(answers_to_challenges(&f->a, 20), BUDGET);
}

static void test_budget_of_ipv6_prefix_and_network_are_shared(void **state)
{
    struct fixture *f = *state;
    limit(f, &f->settings.limits.unauthenticated_per_prefix);
    unsigned answered = 0;
    client_set_ipv6(&f->a, 1);
    for (unsigned i = 0; i < 200; i++) {
        f->a.addr.ip[8] = f->a.addr.ip[15] = (uint8_t)i; /* within the /64 */
        answered += answers_to_challenges(&f->a, 1);
    }
    assert_int_equal(answered, BUDGET);
    f->a.addr.ip[7]++;
    assert_int_equal(answers_to_challenges(&f->a, 20), BUDGET);
    f->settings.limits.unauthenticated_per_prefix = (struct rate){0};
    limit(f, &f->settings.limits.unauthenticated_per_network);
    client_set_ipv6(&f->a, 1);
    answered = 0;
    for (unsigned i = 0; i < 200; i++) {
        f->a.addr.ip[6] = f->a.addr.ip[7] = (uint8_t)i; /* within the /48 */
        answered += answers_to_challenges(&f->a, 1);
    }
    assert_int_equal(answered, BUDGET);
    f->a.addr.ip[5]++;
    assert_int_equal(answers_to_challenges(&f->a, 20), BUDGET);
}

static void test_budget_spares_who_has_a_verifying_nonce(void **state)
{
    struct fixture *f = *state;
    limit(f, &f->settings.limits.unauthenticated_per_address);
    assert_int_equal(client_challenge(&f->a), 401);
    struct client flood = f->a;
    flood.addr.port++;
    assert_int_equal(answers_to_challenges(&flood, 100), BUDGET - 1);
    client_set_user(&f->a, "alice", "wrong");
    assert_int_equal(client_allocate(&f->a, NULL), 401);
    client_set_user(&f->a, "alice", "wonderland");
    assert_int_equal(client_allocate(&f->a, NULL), 200);
    for (unsigned i = 0; i < 50; i++)
        assert_int_equal(client_refresh(&f->a, 600, NULL), 200);
}

static void test_budget_spares_the_refreshes_of_live_allocations(void **state)
{
    /* "else a spoofed flood of a prefix would kill its refreshes": a stale nonce of ours is
     * answered; what anybody can forge about a live 5-tuple is not. */
    struct fixture *f = *state;
    limit(f, &f->settings.limits.unauthenticated_per_address);
    fixture_allocate(&f->a);
    world_advance(f->w, 590);
    assert_int_equal(client_refresh(&f->a, 3600, NULL), 200);
    world_advance(f->w, 30);
    struct client flood = f->a;
    flood.addr.port++;
    flood.nonce_len = 0;
    assert_int_equal(answers_to_challenges(&flood, 100), BUDGET);
    assert_int_equal(answers_to_bindings(&flood, 100), BUDGET);
    assert_int_equal(client_refresh(&f->a, 3600, NULL), 438);
    assert_int_equal(client_refresh(&f->a, 3600, NULL), 200);
    assert_int_equal(client_binding(&f->a, NULL), 0);
    assert_int_equal(client_challenge(&f->a), 0);
}

/* A live allocation, of a client of a's address, whose answer budget is then used up. */
static void age(struct fixture *f, uint64_t seconds)
{
    f->settings.relay.max_lifetime_s = 86400;
    limit(f, &f->settings.limits.unauthenticated_per_address);
    assert_int_equal(
        CLIENT_ASK(&f->a, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_LIFETIME("\0\1\x51\x80")), 200);
    world_advance(f->w, seconds);
    struct client flood = f->a;
    flood.addr.port++;
    flood.nonce_len = 0;
    assert_int_equal(answers_to_challenges(&flood, 100), BUDGET);
}

/* The key of its nonce is gone: what verified once on this 5-tuple, only its client can know. */
static void test_budget_spares_refreshes_hours_apart(void **state)
{
    struct fixture *f = *state;
    age(f, 5 * 3600);
    assert_int_equal(client_refresh(&f->a, 3600, NULL), 438);
    assert_int_equal(client_refresh(&f->a, 3600, NULL), 200);
}

static void test_budget_spares_refreshes_when_the_nonce_secret_has_changed(void **state)
{
    struct fixture *f = *state;
    age(f, 60);
    f->settings.nonce_secret = "another secret of nonces";
    world_reload(f->w, &f->settings);
    assert_int_equal(client_refresh(&f->a, 3600, NULL), 438);
    assert_int_equal(client_refresh(&f->a, 3600, NULL), 200);
}

/* Who forges a live 5-tuple does not know its nonce, and draws nothing beyond the budget. */
static void test_budget_bounds_what_is_forged_of_a_live_allocation(void **state)
{
    struct fixture *f = *state;
    age(f, 60);
    struct client forger = f->a;
    const uint64_t before = f->w->replies;
    for (unsigned i = 0; i < 100; i++) {
        memcpy(forger.nonce, f->a.nonce, forger.nonce_len = f->a.nonce_len);
        forger.nonce[31 - i % 13] ^= 2;
        assert_int_equal(client_refresh(&forger, 3600, NULL), 0);
    }
    assert_int_equal(f->w->replies, before);
    assert_int_equal(client_refresh(&f->a, 3600, NULL), 200);
}

static void test_budget_does_not_touch_media(void **state)
{
    struct fixture *f = *state;
    limit(f, &f->settings.limits.unauthenticated_per_address);
    const struct addr peer = world_peer(1, 5000);
    const struct addr relayed = fixture_allocate(&f->a);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    struct client flood = f->a;
    flood.addr.port++;
    answers_to_challenges(&flood, 100);
    for (unsigned i = 0; i < 100; i++) {
        assert_true(fixture_to_peer(&f->a, &peer, "out"));
        assert_true(fixture_from_peer(&f->a, &peer, &relayed, "in"));
    }
}

static void test_budget_is_not_charged_by_what_is_dropped(void **state)
{
    struct fixture *f = *state;
    limit(f, &f->settings.limits.unauthenticated_per_address);
    struct request q;
    for (unsigned i = 0; i < 100; i++) {
        client_send_raw(&f->a, "junk", 4);
        client_channel_data(&f->a, 0x4000, "x", 1);
        request_begin(&q, &f->a, STUN_INDICATION, STUN_BINDING);
        request_close(&q);
        client_send_raw(&f->a, q.bytes, q.len);
        request_begin(&q, &f->a, STUN_REQUEST, 0x0ff);
        request_close(&q);
        client_send_raw(&f->a, q.bytes, q.len);
    }
    assert_int_equal(answers_to_challenges(&f->a, 100), BUDGET);
    assert_int_equal(answers_to_bindings(&f->a, 100), BUDGET);
}

static void test_budget_of_forged_nonces_is_bounded_too(void **state)
{
    struct fixture *f = *state;
    limit(f, &f->settings.limits.unauthenticated_per_address);
    assert_int_equal(client_challenge(&f->a), 401);
    f->a.addr.ip[3] = 77;
    unsigned answered = 0;
    uint8_t nonce[32];
    memcpy(nonce, f->a.nonce, sizeof(nonce));
    for (unsigned i = 0; i < 100; i++) {
        memcpy(f->a.nonce, nonce, sizeof(nonce));
        answered += client_allocate(&f->a, NULL) == 438;
    }
    assert_int_equal(answered, BUDGET);
}

static void test_budget_used_up_costs_no_hmac_over_the_request(void **state)
{
    struct fixture *f = *state;
    limit(f, &f->settings.limits.unauthenticated_per_address);
    answers_to_challenges(&f->a, 20);
    const uint64_t before = crypto_hmac_count(f->w->worker[0].crypto);
    answers_to_challenges(&f->a, 100);
    assert_int_equal(crypto_hmac_count(f->w->worker[0].crypto), before);
    /* With a foreign nonce: one to judge it, none to answer or to check the request. */
    const uint8_t nonce[] = "obMatJos2wAAAxxxxxxxxxxxxxxxxxxx";
    memcpy(f->a.nonce, nonce, f->a.nonce_len = 32);
    memcpy(f->a.realm, "example.org", f->a.realm_len = 11);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(client_allocate(&f->a, NULL), 0);
    assert_true(crypto_hmac_count(f->w->worker[0].crypto) - before <= 100);
}

/* What has a live allocation or a verifying nonce is spared, and even of these only the second is
 * worth an HMAC over the request: an aged nonce is one to judge it and one to make the next. */
static void test_budget_used_up_spends_hmacs_on_verifying_nonces_only(void **state)
{
    struct fixture *f = *state;
    age(f, 500);
    const struct crypto *crypto = f->w->worker[0].crypto;
    uint64_t before = crypto_hmac_count(crypto);
    struct client forger = f->a;
    for (unsigned i = 0; i < 100; i++) {
        memcpy(forger.nonce, f->a.nonce, f->a.nonce_len);
        forger.nonce[31 - i % 13] ^= 2;
        assert_int_equal(client_refresh(&forger, 3600, NULL), 0);
    }
    assert_true(crypto_hmac_count(crypto) - before <= 100);

    struct client guesser = f->a;
    client_set_user(&guesser, "alice", "wrong");
    before = crypto_hmac_count(crypto);
    assert_int_equal(client_refresh(&guesser, 3600, NULL), 401);
    assert_int_equal(crypto_hmac_count(crypto) - before, 3); /* nonce, integrity, next nonce */

    world_advance(f->w, 200);
    before = crypto_hmac_count(crypto);
    struct request q;
    request_begin(&q, &f->a, STUN_REQUEST, STUN_REFRESH);
    request_finish(&q, &f->a);
    assert_int_equal(client_send(&f->a, &q, NULL), 438);
    assert_int_equal(crypto_hmac_count(crypto) - before, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_budget_of_an_address_bounds_its_answers),
        SCENARIO(test_budget_refills_at_its_rate),
        SCENARIO(test_budget_of_a_prefix_is_shared_by_its_addresses),
        SCENARIO(test_budget_of_ipv6_prefix_and_network_are_shared),
        SCENARIO(test_budget_spares_who_has_a_verifying_nonce),
        SCENARIO(test_budget_spares_the_refreshes_of_live_allocations),
        SCENARIO(test_budget_spares_refreshes_hours_apart),
        SCENARIO(test_budget_spares_refreshes_when_the_nonce_secret_has_changed),
        SCENARIO(test_budget_bounds_what_is_forged_of_a_live_allocation),
        SCENARIO(test_budget_does_not_touch_media),
        SCENARIO(test_budget_is_not_charged_by_what_is_dropped),
        SCENARIO(test_budget_of_forged_nonces_is_bounded_too),
        SCENARIO(test_budget_used_up_costs_no_hmac_over_the_request),
        SCENARIO(test_budget_used_up_spends_hmacs_on_verifying_nonces_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
