/*
 * THREATS row 17: a nonce is good for the address and port that it was made for, for ten minutes at
 * most, over the change of its key, and for no clock but ours. Anything else draws 438.
 */
#include "tests/scenario/fixture.h"

#define EPOCH_S 3600

/* The code of an Allocate with this nonce; what it makes is deleted. */
static int use(struct client *c, const uint8_t nonce[32])
{
    memcpy(c->nonce, nonce, c->nonce_len = 32);
    const int code = client_allocate(c, NULL);
    if (code == 200)
        client_refresh(c, 0, NULL);
    return code;
}

static void mint(struct client *c, uint8_t nonce[32])
{
    c->nonce_len = 0;
    assert_int_equal(client_challenge(c), 401);
    assert_int_equal(c->nonce_len, 32);
    memcpy(nonce, c->nonce, 32);
}

static void test_nonce_is_bound_to_every_bit_of_address_and_port(void **state)
{
    struct fixture *f = *state;
    uint8_t nonce[32];
    const struct addr addr = f->a.addr;
    mint(&f->a, nonce);
    for (unsigned bit = 0; bit < 48; bit++) {
        f->a.addr = addr;
        if (bit < 32)
            f->a.addr.ip[bit / 8] ^= (uint8_t)(1u << bit % 8);
        else
            f->a.addr.port ^= (uint16_t)(1u << (bit - 32));
        if (f->a.addr.ip[0] >= 224)
            continue; /* no source that is answered */
        assert_int_equal(use(&f->a, nonce), 438);
    }
    f->a.addr = addr;
    assert_int_equal(use(&f->a, nonce), 200);
}

static void test_nonce_is_bound_to_every_bit_of_an_ipv6_address(void **state)
{
    struct fixture *f = *state;
    uint8_t nonce[32];
    client_set_ipv6(&f->a, 1);
    const struct addr addr = f->a.addr;
    mint(&f->a, nonce);
    for (unsigned bit = 16; bit < 128; bit++) {
        f->a.addr = addr;
        f->a.addr.ip[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(use(&f->a, nonce), 438);
    }
    f->a.addr = addr;
    assert_int_equal(use(&f->a, nonce), 200);
}

static void test_nonce_is_good_for_ten_minutes_at_most(void **state)
{
    struct fixture *f = *state;
    uint8_t nonce[32];
    mint(&f->a, nonce);
    world_advance(f->w, 594);
    assert_int_equal(use(&f->a, nonce), 200);
    world_advance(f->w, 12);
    assert_int_equal(use(&f->a, nonce), 438);
    world_advance(f->w, 40000);
    assert_int_equal(use(&f->a, nonce), 438);
}

static void test_nonce_lives_over_the_change_of_its_key(void **state)
{
    struct fixture *f = *state;
    uint8_t nonce[32];
    /* To five minutes before the hour, in which nonces have another key. */
    world_jump(f->w, (uint64_t)(EPOCH_S - f->w->now.wall_s % EPOCH_S + EPOCH_S - 300));
    mint(&f->a, nonce);
    for (unsigned i = 0; i < 11; i++) {
        assert_int_equal(use(&f->a, nonce), 200);
        world_advance(f->w, 54);
    }
    world_advance(f->w, 20);
    assert_int_equal(use(&f->a, nonce), 438);
}

/* Another instance of the fleet. */
static struct world *another(int64_t clock, const char *secret)
{
    struct world_settings settings = world_settings_default();
    settings.seed = 99;
    settings.nonce_secret = secret;
    struct world *w = world_new(&settings);
    w->now.wall_s += clock;
    return w;
}

static int use_at(struct fixture *f, const uint8_t nonce[32], int64_t clock, const char *secret)
{
    struct world *w = another(clock, secret);
    struct client c;
    client_init(&c, w, 1);
    memcpy(c.realm, f->a.realm, c.realm_len = f->a.realm_len);
    const int code = use(&c, nonce);
    world_free(w);
    return code;
}

static void test_nonce_of_another_instance_is_good_by_the_shared_secret(void **state)
{
    struct fixture *f = *state;
    uint8_t nonce[32];
    mint(&f->a, nonce);
    assert_int_equal(use_at(f, nonce, 0, "sixteen bytes or more"), 200);
    assert_int_equal(use_at(f, nonce, 300, "sixteen bytes or more"), 200);
    assert_int_equal(use_at(f, nonce, 0, "sixteen bytes of another"), 438);
}

static void test_nonce_from_the_future_is_foreign_beyond_the_skew(void **state)
{
    struct fixture *f = *state;
    uint8_t nonce[32];
    mint(&f->a, nonce);
    assert_int_equal(use_at(f, nonce, -5, "sixteen bytes or more"), 200);
    assert_int_equal(use_at(f, nonce, -7, "sixteen bytes or more"), 438);
    assert_int_equal(use_at(f, nonce, -4000, "sixteen bytes or more"), 438);
}

static void test_nonce_of_a_stolen_challenge_is_useless_elsewhere(void **state)
{
    /* Bob overhears alice's challenge, and even her whole request: from his address it is worth
     * nothing. */
    struct fixture *f = *state;
    struct request q;
    assert_int_equal(client_challenge(&f->a), 401);
    request_begin(&q, &f->a, STUN_REQUEST, STUN_ALLOCATE);
    request_transport(&q, 17);
    request_finish(&q, &f->a);
    assert_int_equal(client_send(&f->b, &q, NULL), 438);
    assert_int_equal(world_allocations(f->w), 0);
    assert_int_equal(world_refused(f->w, REASON_FOREIGN_NONCE), 1);
}

static void test_foreign_nonces_of_every_length_draw_438(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(client_challenge(&f->a), 401);
    for (size_t len = 1; len <= 200; len++) {
        uint8_t text[200];
        memset(text, 'n', len);
        memcpy(f->a.nonce, text, f->a.nonce_len = len);
        assert_int_equal(client_allocate(&f->a, NULL), 438);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_nonce_is_bound_to_every_bit_of_address_and_port),
        SCENARIO(test_nonce_is_bound_to_every_bit_of_an_ipv6_address),
        SCENARIO(test_nonce_is_good_for_ten_minutes_at_most),
        SCENARIO(test_nonce_lives_over_the_change_of_its_key),
        SCENARIO(test_nonce_of_another_instance_is_good_by_the_shared_secret),
        SCENARIO(test_nonce_from_the_future_is_foreign_beyond_the_skew),
        SCENARIO(test_nonce_of_a_stolen_challenge_is_useless_elsewhere),
        SCENARIO(test_foreign_nonces_of_every_length_draw_438),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
