/*
 * THREATS row 11: no byte goes out that was not written for it. The same scenario, with the same
 * random numbers, is played over two poison values in the heap, in the outbox's arena and on the
 * stack: what is sent must be the same.
 */
#include "tests/scenario/fixture.h"

#include <malloc.h>

#define STACK 32768

struct transcript {
    uint8_t *bytes;
    size_t len, cap;
};

static void note(struct transcript *t, const void *bytes, size_t len)
{
    if (t->len + len > t->cap) {
        t->cap = 2 * (t->len + len);
        t->bytes = realloc(t->bytes, t->cap);
    }
    if (!t->bytes) {
        fail_msg("out of memory");
        abort(); /* fail_msg does not return, which nobody can see here */
    }
    memcpy(t->bytes + t->len, bytes, len);
    t->len += len;
}

/* Leaves the value where the next calls have their variables. */
__attribute__((noinline)) static uint8_t poison_stack(uint8_t value)
{
    uint8_t room[STACK];
    memset(room, value, sizeof(room));
    __asm__ volatile("" : : "r"(room) : "memory");
    return room[value];
}

struct stage {
    struct world *w;
    uint8_t poison;
    struct transcript *out;
};

/* Everything but the network's own header lies in the arena: it is poisoned before each step. */
static void poison(struct stage *s)
{
    for (unsigned i = 0; i < s->w->settings.workers; i++)
        memset(s->w->worker[i].outbox.arena, s->poison, sizeof(s->w->worker[i].outbox.arena));
    poison_stack(s->poison);
}

static void collect(struct stage *s)
{
    for (size_t i = 0; i < s->w->sent_count; i++)
        note(s->out, s->w->sent[i]->bytes, s->w->sent[i]->len);
    world_clear(s->w);
}

static void ask(
    struct stage *s, struct client *c, uint16_t method, const struct raw_attr *attrs, size_t count)
{
    poison(s);
    client_ask(c, method, attrs, count, NULL);
    collect(s);
}

static void media(struct stage *s, struct client *c, const struct addr *relayed)
{
    uint8_t data[9];
    memset(data, 'd', sizeof(data));
    for (unsigned len = 0; len <= sizeof(data); len++) {
        for (uint16_t port = 5000; port <= 5001; port++) {
            const struct addr peer = world_peer(1, port);
            poison(s);
            world_from_peer(s->w, &peer, relayed, slice_of(data, len), 0);
            client_indicate(c, &peer, data, len);
            client_channel_data(c, 0x4000, data, len);
            world_icmp(s->w, relayed, &peer, (const uint8_t[]){3, 4}, 1400);
            collect(s);
        }
    }
}

static void each_refusal(struct stage *s, struct client *c)
{
    const struct raw_attr unknown[] = {{0x7701, 1, "x"}, {0x7702, 0, ""}, {0x7703, 3, "xyz"}};
    const struct raw_attr transports[] = {{STUN_ATTR_REQUESTED_TRANSPORT, 4, "\6\0\0"}};
    const struct raw_attr both[] = {ATTR_UDP, ATTR_BOTH, ATTR_FAMILY6};
    const uint16_t methods[] = {
        STUN_BINDING, STUN_ALLOCATE, STUN_REFRESH, STUN_CREATE_PERMISSION, STUN_CHANNEL_BIND};
    for (unsigned i = 0; i < 5; i++) {
        for (unsigned count = 0; count <= 3; count++)
            ask(s, c, methods[i], unknown, count);
        ask(s, c, methods[i], transports, 1);
        ask(s, c, methods[i], both, 3);
    }
}

static void play(uint8_t value, struct transcript *out)
{
    mallopt(M_PERTURB, value);
    struct world_settings settings = world_settings_default();
    settings.relay.software = true;
    struct world *w = world_new(&settings);
    struct stage s = {.w = w, .poison = value, .out = out};
    struct client c;
    client_init(&c, w, 1);
    for (unsigned auth = CLIENT_MD5; auth <= CLIENT_NONE; auth++) {
        c.auth = auth;
        c.fingerprint = auth % 2;
        each_refusal(&s, &c);
    }
    c.auth = CLIENT_SHA256;
    struct response r;
    poison(&s);
    assert_int_equal(CLIENT_ASK(&c, STUN_ALLOCATE, &r, ATTR_UDP, ATTR_EVEN_PAIR), 200);
    const struct addr peer = world_peer(1, 5000), relayed = r.relayed[0];
    collect(&s);
    poison(&s);
    assert_int_equal(client_bind(&c, 0x4000, &peer), 200);
    media(&s, &c, &relayed);
    each_refusal(&s, &c);
    poison(&s);
    client_refresh(&c, 0, NULL);
    settings.relay.address_count = 1;
    world_reload(w, &settings);
    ask(&s, &c, STUN_ALLOCATE, (const struct raw_attr[]){ATTR_UDP, ATTR_BOTH}, 2);
    collect(&s);
    world_free(w);
    mallopt(M_PERTURB, 0);
}

static void test_what_is_sent_does_not_depend_on_what_lay_there(void **state)
{
    static const uint8_t poisons[] = {0x5a, 0xa5, 0xff};
    struct transcript first = {0};
    play(0x5a, &first);
    assert_true(first.len > 5000);
    for (unsigned i = 0; i < 3; i++) {
        struct transcript next = {0};
        play(poisons[i], &next);
        assert_int_equal(next.len, first.len);
        assert_memory_equal(next.bytes, first.bytes, first.len);
        free(next.bytes);
    }
    free(first.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_sent_does_not_depend_on_what_lay_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
