/*
 * THREATS row 22: a channel that is bound stays with its peer until it expires, a peer with its
 * channel; numbers are 0x4000 to 0x4FFF only; after expiry any bind succeeds and is counted. The
 * matrix of rebinds.
 */
#include "tests/scenario/fixture.h"

enum age { FRESH, NEARLY_OVER, OVER };

struct rebind {
    enum age age;
    uint16_t number; /* the first bind is of 0x4000 to peer 1, port 5000 */
    unsigned peer;
    uint16_t port;
    int code;
    bool reused; /* counts as a channel bound anew */
};

static const struct rebind rebinds[] = {
    {FRESH, 0x4000, 1, 5000, 200, false},
    {FRESH, 0x4000, 2, 5000, 400, false},
    {FRESH, 0x4000, 1, 5001, 400, false},
    {FRESH, 0x4001, 1, 5000, 400, false},
    {FRESH, 0x4001, 1, 5001, 200, false},
    {FRESH, 0x4001, 2, 5000, 200, false},
    {NEARLY_OVER, 0x4000, 1, 5000, 200, false},
    {NEARLY_OVER, 0x4000, 2, 5000, 400, false},
    {NEARLY_OVER, 0x4001, 1, 5000, 400, false},
    {OVER, 0x4000, 2, 5000, 200, true},
    {OVER, 0x4000, 1, 5001, 200, true},
    {OVER, 0x4001, 1, 5000, 200, true},
    {OVER, 0x4001, 2, 5000, 200, false},
    {OVER, 0x4000, 1, 5000, 200, false},
};

static void keep_alive(struct fixture *f, const struct addr *peer, unsigned seconds)
{
    for (; seconds > 290; seconds -= 290) {
        world_advance(f->w, 290);
        if (client_permit(&f->a, peer) == 438)
            assert_int_equal(client_permit(&f->a, peer), 200);
    }
    world_advance(f->w, seconds);
    assert_int_equal(client_challenge(&f->a), 401);
}

static void try(struct fixture *f, const struct rebind *t, size_t number)
{
    static const unsigned ages[] = {[FRESH] = 0, [NEARLY_OVER] = 598, [OVER] = 602};
    const struct addr first = world_peer(1, 5000), next = world_peer(t->peer, t->port);
    assert_int_equal(
        CLIENT_ASK(&f->a, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_LIFETIME("\0\0\x0e\x10")), 200);
    assert_int_equal(client_bind(&f->a, 0x4000, &first), 200);
    keep_alive(f, &first, ages[t->age]);
    const uint64_t before = world_metric(f->w, METRIC_CHANNELS_REUSED);
    const int code = client_bind(&f->a, t->number, &next);
    if (code != t->code)
        fail_msg("rebind %zu: %d, not %d", number, code, t->code);
    const bool reused = world_metric(f->w, METRIC_CHANNELS_REUSED) > before;
    if (t->age != OVER || t->reused)
        assert_int_equal(reused, t->reused);
    /* Where the media goes: to the new peer if the bind succeeded, else where it went before. */
    if (code == 200)
        assert_true(fixture_channel_to_peer(&f->a, t->number, &next, "new"));
    else
        assert_false(fixture_channel_to_peer(&f->a, t->number, &next, "new"));
    world_clear(f->w);
    if (t->age != OVER && !(t->number == 0x4000 && code == 200)) {
        assert_int_equal(client_permit(&f->a, &first), 200);
        assert_true(fixture_channel_to_peer(&f->a, 0x4000, &first, "old"));
    }
    assert_int_equal(client_refresh(&f->a, 0, NULL), 200);
}

static void test_rebinds_follow_the_matrix(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(rebinds) / sizeof(rebinds[0]); i++)
        try(f, &rebinds[i], i);
}

static void test_only_numbers_of_the_rfc_are_bound(void **state)
{
    struct fixture *f = *state;
    f->settings.relay.channels_per_allocation = 4096;
    f->settings.relay.permissions_per_allocation = 4096;
    fixture_restart(f);
    fixture_allocate(&f->a);
    for (unsigned number = 0; number < 0x10000;
         number += number >= 0x3f00 && number < 0x5100 ? 1 : 37) {
        const struct addr peer = addr_ipv4(46, 0, 0, 1, (uint16_t)(number ? number : 1));
        const int code = client_bind(&f->a, (uint16_t)number, &peer);
        assert_int_equal(code, number >= 0x4000 && number <= 0x4fff ? 200 : 400);
        world_clear(f->w);
    }
}

static void test_a_stranger_cannot_bind_or_use_anothers_channel(void **state)
{
    struct fixture *f = *state;
    const struct addr mine = world_peer(1, 5000), other = world_peer(2, 5000);
    fixture_allocate(&f->a);
    fixture_allocate(&f->b);
    assert_int_equal(client_bind(&f->a, 0x4000, &mine), 200);
    /* The same number of another 5-tuple is another channel. */
    client_channel_data(&f->b, 0x4000, "x", 1);
    assert_null(world_take_to_peer(f->w));
    assert_int_equal(client_bind(&f->b, 0x4000, &other), 200);
    assert_true(fixture_channel_to_peer(&f->a, 0x4000, &mine, "mine"));
    assert_true(fixture_channel_to_peer(&f->b, 0x4000, &other, "other"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_rebinds_follow_the_matrix),
        SCENARIO(test_only_numbers_of_the_rfc_are_bound),
        SCENARIO(test_a_stranger_cannot_bind_or_use_anothers_channel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
