/* What most scenario tests begin with: a world and two clients of it, alice and bob, without
 * allocations. */
#ifndef TESTS_SCENARIO_FIXTURE_H
#define TESTS_SCENARIO_FIXTURE_H

#include "tests/scenario/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

struct fixture {
    struct world_settings settings;
    struct world *w;
    struct client a, b;               /* alice, bob */
    struct addr a_relayed, b_relayed; /* after fixture_allocate */
};

static inline void fixture_begin(struct fixture *f)
{
    f->w = world_new(&f->settings);
    client_init(&f->a, f->w, 1);
    client_init(&f->b, f->w, 2);
    client_set_user(&f->b, "bob", "builder");
}

/* The same again in a world of other settings. */
static inline void fixture_restart(struct fixture *f)
{
    world_free(f->w);
    fixture_begin(f);
}

static inline int fixture_set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    if (!f)
        return -1;
    f->settings = world_settings_default();
    fixture_begin(f);
    *state = f;
    return 0;
}

static inline int fixture_tear_down(void **state)
{
    struct fixture *f = *state;
    world_free(f->w);
    free(f);
    return 0;
}

/* An allocation of one IPv4 address for the client. */
static inline struct addr fixture_allocate(struct client *c)
{
    struct response r;
    assert_int_equal(client_allocate(c, &r), 200);
    assert_int_equal(r.relayed_count, 1);
    return r.relayed[0];
}

/* True if a peer was sent exactly these bytes from `from` to `to`; takes the entry. */
static inline bool fixture_peer_got(struct world *w, const struct addr *to, const char *text)
{
    const struct sent *s = world_take_to_peer(w);
    return s && addr_equal(&s->to, to) && s->len == strlen(text) &&
           memcmp(s->bytes, text, s->len) == 0;
}

static inline bool fixture_client_got(struct client *c, const char *text)
{
    struct received m;
    return client_receive(c, &m) && slice_equal(m.data, slice_of_string(text));
}

/* A datagram with this text from the peer; true if the client got it. */
static inline bool fixture_from_peer(
    struct client *c, const struct addr *peer, const struct addr *relayed, const char *text)
{
    world_from_peer(c->world, peer, relayed, slice_of_string(text), 0);
    return fixture_client_got(c, text);
}

/* A Send indication with this text; true if the peer got it. */
static inline bool fixture_to_peer(struct client *c, const struct addr *peer, const char *text)
{
    client_indicate(c, peer, text, strlen(text));
    return fixture_peer_got(c->world, peer, text);
}

static inline bool fixture_channel_to_peer(
    struct client *c, uint16_t channel, const struct addr *peer, const char *text)
{
    client_channel_data(c, channel, text, strlen(text));
    return fixture_peer_got(c->world, peer, text);
}

#define SCENARIO(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)

#endif
