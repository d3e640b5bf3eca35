/*
 * THREATS row 4: what a source that has proven nothing draws is as small and as rare as the
 * protocol allows. The sizes are an invariant of every scenario (tests/scenario/invariants.c); here
 * they are exact, and a spoofed flood meets its budgets.
 */
#include "tests/scenario/fixture.h"

#define FLOOD    100000u /* datagrams in one second */
#define VICTIMS  8u      /* prefixes whose addresses are forged */
#define PER_ADDR 100u
#define PER_NET  1000u
/* The attribute's bytes in a challenge; 0 where it is not offered, as in a realm of tokens. */
#define PASSWORD_ALGORITHMS 0u

static size_t reply_len(struct client *c, struct request *q, int code)
{
    struct response r;
    if (c->fingerprint)
        stun_write_fingerprint(&q->w);
    request_close(q);
    assert_int_equal(client_send(c, q, &r), code);
    assert_false(r.integrity);
    assert_false(r.has_software);
    return r.len;
}

static void sizes_are_exact(struct fixture *f)
{
    struct request q;
    struct client *c = &f->a;
    const size_t more = c->fingerprint ? 8 : 0, realm = 12; /* "example.org", padded */
    request_begin(&q, c, STUN_REQUEST, STUN_BINDING);
    assert_int_equal(reply_len(c, &q, 200), 32 + more);
    request_begin(&q, c, STUN_REQUEST, STUN_ALLOCATE);
    assert_int_equal(reply_len(c, &q, 401), 80 + realm + more);
    request_begin(&q, c, STUN_REQUEST, STUN_BINDING);
    for (uint16_t type = 0x7700; type < 0x7720; type++)
        request_empty(&q, type);
    assert_int_equal(reply_len(c, &q, 420), 36 + more);
    request_begin(&q, c, STUN_REQUEST, STUN_ALLOCATE);
    request_integrity(&q, c, false);
    assert_int_equal(reply_len(c, &q, 400), 28 + more);
    request_begin(&q, c, STUN_REQUEST, STUN_REFRESH);
    memcpy(c->realm, "example.org", c->realm_len = 11);
    memcpy(c->nonce, "of another server", c->nonce_len = 17);
    request_credentials(&q, c);
    request_integrity(&q, c, false);
    assert_int_equal(reply_len(c, &q, 438), 80 + realm + more);
}

static void test_answers_to_strangers_are_as_small_as_can_be(void **state)
{
    struct fixture *f = *state;
    f->settings.relay.software = true;
    fixture_restart(f);
    sizes_are_exact(f);
    f->a.fingerprint = true;
    sizes_are_exact(f);
    struct response r;
    client_set_ipv6(&f->a, 1);
    f->a.fingerprint = false;
    assert_int_equal(client_binding(&f->a, &r), 200);
    assert_int_equal(r.len, 44);
}

/* Where access tokens are taken a challenge has to name the server too (RFC 7635 section 6.1): 4
 * bytes and the padded name more, and nothing else. */
static void test_challenge_that_names_the_server_of_tokens_is_exact(void **state)
{
    struct fixture *f = *state;
    struct request q;
    struct client *c = &f->a;
    const size_t realm = 16, server = 4 + 20; /* "tokens.example", "turn.tokens.example" */
    c->realm_id = REALM_TOKENS;
    request_begin(&q, c, STUN_REQUEST, STUN_ALLOCATE);
    assert_int_equal(reply_len(c, &q, 401), 80 - PASSWORD_ALGORITHMS + realm + server);
    memcpy(c->nonce, "of another server", c->nonce_len = 17);
    request_begin(&q, c, STUN_REQUEST, STUN_REFRESH);
    request_credentials(&q, c);
    request_integrity(&q, c, false);
    assert_int_equal(reply_len(c, &q, 438), 80 - PASSWORD_ALGORITHMS + realm + server);
}

static void test_answer_to_a_bare_request_is_smaller_than_five_times(void **state)
{
    /* The smallest request that draws a challenge, with the headers of IPv4 and UDP: what an
     * attacker can gain. */
    struct fixture *f = *state;
    struct request q;
    struct response r;
    request_begin(&q, &f->a, STUN_REQUEST, STUN_REFRESH);
    request_close(&q);
    assert_int_equal(client_send(&f->a, &q, &r), 401);
    assert_true((28 + r.len) * 10 < (28 + q.len) * 26);
}

/* Answers by prefix, of a second of forged requests. */
static void flood(struct fixture *f, uint16_t method, unsigned answered[VICTIMS])
{
    struct client c;
    client_init(&c, f->w, 1);
    for (unsigned i = 0; i < FLOOD; i++) {
        const unsigned victim = i % VICTIMS;
        const uint64_t before = f->w->replies;
        struct request q;
        c.addr = addr_ipv4(
            93, 184, (uint8_t)victim, (uint8_t)world_random(f->w), (uint16_t)(1024 + i % 50000));
        request_begin(&q, &c, STUN_REQUEST, method);
        request_close(&q);
        client_send_raw(&c, q.bytes, q.len);
        answered[victim] += (unsigned)(f->w->replies - before);
        f->w->now.mono_us += 10;
    }
}

static void test_flood_draws_no_more_than_the_budget_of_each_prefix(void **state)
{
    struct fixture *f = *state;
    f->settings.limits.unauthenticated_per_address =
        (struct rate){.count = PER_ADDR, .period_s = 1, .burst = PER_ADDR};
    f->settings.limits.unauthenticated_per_prefix =
        (struct rate){.count = PER_NET, .period_s = 1, .burst = PER_NET};
    fixture_restart(f);
    f->w->forget = true;
    unsigned challenges[VICTIMS] = {0}, bindings[VICTIMS] = {0};
    flood(f, STUN_ALLOCATE, challenges);
    flood(f, STUN_BINDING, bindings);
    for (unsigned i = 0; i < VICTIMS; i++) {
        /* Burst and one second of the rate; and the budget is there to be used. */
        assert_in_range(challenges[i], PER_NET, 2 * PER_NET);
        assert_in_range(bindings[i], PER_NET, 2 * PER_NET);
    }
    assert_true(world_dropped(f->w, REASON_ANSWER_BUDGET) >= 2 * (FLOOD - VICTIMS * 2 * PER_NET));
}

static void test_flood_of_one_address_draws_no_more_than_its_budget(void **state)
{
    struct fixture *f = *state;
    f->settings.limits.unauthenticated_per_address =
        (struct rate){.count = PER_ADDR, .period_s = 1, .burst = PER_ADDR};
    fixture_restart(f);
    f->w->forget = true;
    struct request q;
    request_begin(&q, &f->a, STUN_REQUEST, STUN_ALLOCATE);
    request_close(&q);
    for (unsigned i = 0; i < 10000; i++) {
        f->a.addr.port = (uint16_t)(1024 + i);
        client_send_raw(&f->a, q.bytes, q.len);
        f->w->now.mono_us += 100;
    }
    assert_in_range(f->w->replies, PER_ADDR, 2 * PER_ADDR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_answers_to_strangers_are_as_small_as_can_be),
        SCENARIO(test_challenge_that_names_the_server_of_tokens_is_exact),
        SCENARIO(test_answer_to_a_bare_request_is_smaller_than_five_times),
        SCENARIO(test_flood_draws_no_more_than_the_budget_of_each_prefix),
        SCENARIO(test_flood_of_one_address_draws_no_more_than_its_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
