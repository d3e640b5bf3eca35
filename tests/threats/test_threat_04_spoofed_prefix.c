/*
 * THREATS rows 4 and 6: a second of 100,000 forged requests from one prefix, on the 5-tuples of its
 * live allocations too, without credentials and with forged nonces. No refresh of a live allocation
 * goes unanswered, however old its nonce; what is drawn stays within the prefix's budget; no HMAC
 * over a forged request is computed and nothing is kept.
 */
#include "tests/scenario/fixture.h"

#include <stdio.h>

#define FLOOD     100000u
#define LIVE      21u
#define BETWEEN   1000u /* forged requests between two refreshes */
#define PER_ADDR  100u
#define HOURS_S   (5 * 3600)
#define FORGERIES 16u

struct victim {
    const char *name;
    bool v6;
    unsigned first; /* byte of the address from which on it is forged */
    unsigned budget;
};

static const struct victim victims[] = {
    {"/24", false, 3, 1000}, {"/64", true, 8, 1000}, {"/48", true, 6, 10000}};

struct lives {
    struct client client[LIVE];
    uint64_t answers; /* that they drew */
};

static struct addr within(struct world *w, const struct victim *v)
{
    const struct addr base = v->v6 ? world_client_addr6(1, 0) : world_client_addr(1, 0);
    struct addr a = base;
    for (unsigned i = v->first; i < (v->v6 ? 16u : 4u); i++)
        a.ip[i] = (uint8_t)world_random(w);
    a.port = (uint16_t)(1024 + world_random(w) % 60000);
    return a;
}

static void refresh(struct lives *l, unsigned n)
{
    struct client *c = &l->client[n];
    const uint64_t before = c->world->replies;
    const int code = client_refresh(c, 86400, NULL);
    assert_true(code == 200 || code == 438);
    if (code == 438)
        assert_int_equal(client_refresh(c, 86400, NULL), 200);
    l->answers += c->world->replies - before;
    world_clear(c->world);
}

/* A third has a nonce that is good, a third one that has aged, a third one whose key is gone. */
static void begin(struct fixture *f, const struct victim *v, struct lives *l)
{
    for (unsigned i = 0; i < LIVE; i++) {
        struct client *c = &l->client[i];
        client_init(c, f->w, 1);
        if (v->v6)
            client_set_ipv6(c, 1);
        c->addr = within(f->w, v);
        assert_int_equal(
            CLIENT_ASK(c, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_LIFETIME("\0\1\x51\x80")), 200);
    }
    world_advance(f->w, HOURS_S);
    for (unsigned i = 1; i < LIVE; i += 3)
        refresh(l, i);
    world_advance(f->w, 700);
    for (unsigned i = 2; i < LIVE; i += 3)
        refresh(l, i);
    l->answers = 0;
}

/* Even ones have no credentials, odd ones a nonce that is nearly one of ours. */
static void forge(struct fixture *f, const struct lives *l, struct request made[FORGERIES])
{
    for (unsigned i = 0; i < FORGERIES; i++) {
        struct client c = l->client[i % LIVE];
        c.nonce[31 - i % 12] ^= 2;
        request_begin(&made[i], &c, STUN_REQUEST, i % 4 < 2 ? STUN_REFRESH : STUN_ALLOCATE);
        request_transport(&made[i], 17);
        if (i % 2 == 0)
            request_close(&made[i]);
        else
            request_finish(&made[i], &c);
    }
    f->w->forget = true;
}

static void flood(struct fixture *f, const struct victim *v, struct lives *l)
{
    struct request *made = calloc(FORGERIES, sizeof(*made));
    assert_non_null(made);
    forge(f, l, made);
    struct client forger = l->client[0];
    for (unsigned i = 0; i < FLOOD; i++) {
        const struct request *q = &made[i % FORGERIES];
        forger.addr = i % 3 == 0 ? l->client[i / 3 % LIVE].addr : within(f->w, v);
        client_send_raw(&forger, q->bytes, q->len);
        f->w->now.mono_us += 10;
        if (i % BETWEEN == BETWEEN - 1) {
            f->w->forget = false;
            refresh(l, i / BETWEEN % LIVE);
            f->w->forget = true;
        }
    }
    f->w->forget = false;
    free(made);
}

/* Nobody who forges has taken any of the allocations that the prefix may ask for. */
static void allocate_again(struct fixture *f, struct lives *l)
{
    world_advance(f->w, 2);
    for (unsigned i = 0; i < LIVE; i++) {
        l->client[i].addr.port ^= 1;
        l->client[i].nonce_len = 0;
        assert_int_equal(client_allocate(&l->client[i], NULL), 200);
    }
}

static void survive(struct fixture *f, const struct victim *v)
{
    struct ratelimit_settings *limits = &f->settings.limits;
    f->settings.relay.max_lifetime_s = 86400;
    limits->unauthenticated_per_address = (struct rate){PER_ADDR, 1, PER_ADDR};
    limits->unauthenticated_per_prefix = (struct rate){1000, 1, 1000};
    limits->unauthenticated_per_network = (struct rate){10000, 1, 10000};
    limits->allocations_per_prefix = limits->allocations_per_network =
        (struct rate){LIVE, 3600, LIVE};
    fixture_restart(f);
    struct lives *l = calloc(1, sizeof(*l));
    assert_non_null(l);
    begin(f, v, l);
    const uint64_t before = f->w->replies, hmacs = crypto_hmac_count(f->w->worker[0].crypto);
    flood(f, v, l);
    const uint64_t drawn = f->w->replies - before - l->answers,
                   spent = crypto_hmac_count(f->w->worker[0].crypto) - hmacs;
    printf(
        "%s: %u forged drew %llu of at most %u answers; %llu answers to %u refreshes; %llu HMACs\n",
        v->name, FLOOD, (unsigned long long)drawn, 2 * v->budget, (unsigned long long)l->answers,
        FLOOD / BETWEEN, (unsigned long long)spent);
    /* Burst and a second of the rate; and the budget is there to be used. */
    assert_in_range(drawn, v->budget, 2 * v->budget);
    /* A forged nonce is one to judge it, an answer one for the next nonce; a refresh three. */
    assert_true(spent <= FLOOD / 2 + drawn + 5 * (FLOOD / BETWEEN));
    assert_int_equal(world_allocations(f->w), LIVE);
    allocate_again(f, l);
    free(l);
}

static void test_flood_of_a_prefix_leaves_its_refreshes_alone(void **state)
{
    for (size_t i = 0; i < sizeof(victims) / sizeof(victims[0]); i++)
        survive(*state, &victims[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_flood_of_a_prefix_leaves_its_refreshes_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
