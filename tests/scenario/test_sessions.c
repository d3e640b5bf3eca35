/*
 * Allocations as operators see them: whose, where, how much, and how each stream is doing; a page
 * at a time, however many slots lie between two of them.
 */
#include <stdio.h>

#include "tests/scenario/fixture.h"

#include "relay/sessions.h"
#include "srtp/srtp_settings.h"

static struct session_page page;

static void list_of(struct world *w, unsigned worker)
{
    relay_sessions(w->worker[worker].relay, &page, &w->now);
}

/* Everything from the first slot on. */
static void list(struct world *w)
{
    page = (struct session_page){.max = SESSIONS_PAGE_MAX, .media = true};
    list_of(w, 0);
}

static bool is_user(const struct session_info *s, const char *user)
{
    return slice_equal(slice_of(s->user, s->user_len), slice_of_string(user));
}

/* RTP of the payload type 0, 20 ms apart. */
static void send_rtp(struct client *c, const struct addr *peer, uint32_t ssrc, uint16_t sequence)
{
    uint8_t rtp[60] = {0x80, 0, (uint8_t)(sequence >> 8), (uint8_t)sequence};
    const uint32_t time = sequence * 160u;
    for (unsigned i = 0; i < 4; i++) {
        rtp[4 + i] = (uint8_t)(time >> (24 - 8 * i));
        rtp[8 + i] = (uint8_t)(ssrc >> (24 - 8 * i));
    }
    client_indicate(c, peer, rtp, sizeof(rtp));
    world_clear(c->world);
    world_advance_ms(c->world, 20);
}

static void test_sessions_are_whose_and_how_much(void **state)
{
    struct fixture *f = *state;
    struct response r;
    const struct addr peer = world_peer(1, 4000);
    list(f->w);
    assert_int_equal(page.count, 0);
    assert_false(page.more);
    assert_int_equal(CLIENT_ASK(&f->a, STUN_ALLOCATE, &r, ATTR_UDP, ATTR_BOTH), 200);
    assert_int_equal(r.relayed_count, 2);
    const struct addr relayed[2] = {r.relayed[0], r.relayed[1]};
    client_set_ipv6(&f->b, 2);
    fixture_allocate(&f->b);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    assert_int_equal(client_bind(&f->a, 0x4000, &peer), 200);
    assert_true(fixture_channel_to_peer(&f->a, 0x4000, &peer, "four"));
    world_from_peer(f->w, &peer, &relayed[0], slice_of_string("seven.."), 0);
    world_advance(f->w, 61);
    list(f->w);
    assert_int_equal(page.count, 2);
    assert_false(page.more);
    const struct session_info *s = &page.sessions[0];
    assert_true(is_user(s, "alice"));
    assert_int_equal(s->realm, REALM_PLAIN);
    assert_int_equal(s->transport, TRANSPORT_UDP);
    assert_true(addr_equal(&s->client, &f->a.addr));
    assert_int_equal(s->relayed_count, 2);
    assert_true(addr_equal(&s->relayed[0], &relayed[0]) && addr_equal(&s->relayed[1], &relayed[1]));
    assert_int_equal(s->age_s, 61);
    assert_int_equal(s->expires_s, r.lifetime - 61);
    assert_int_equal(s->packets_to_peer, 1);
    assert_int_equal(s->bytes_to_peer, 4);
    assert_int_equal(s->packets_to_client, 1);
    assert_int_equal(s->bytes_to_client, 7);
    assert_int_equal(s->permissions, 1);
    assert_int_equal(s->channels, 1);
    assert_int_equal(s->guard, f->settings.guard);
    assert_int_equal(s->keys, 0);
    assert_true(is_user(&page.sessions[1], "bob"));
    assert_true(addr_equal(&page.sessions[1].client, &f->b.addr));
    assert_int_equal(page.sessions[1].relayed_count, 1);
    /* A lapsed binding is kept for a while, and is no channel any more. */
    for (unsigned i = 0; i < 2; i++) {
        world_advance(f->w, 300);
        if (client_refresh(&f->a, 600, &r) == 438) /* the nonce has aged */
            assert_int_equal(client_refresh(&f->a, 600, &r), 200);
    }
    list(f->w);
    assert_int_equal(page.sessions[0].channels, 0);
    assert_int_equal(page.sessions[0].permissions, 0);
}

static void test_sessions_streams_are_those_of_the_guard(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 4000);
    f->settings.guard = SRTP_GUARD_OBSERVE;
    fixture_restart(f);
    fixture_allocate(&f->b);
    fixture_allocate(&f->a);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    for (uint16_t i = 0; i < 10; i++)
        if (i != 4)
            send_rtp(&f->a, &peer, 7, i);
    send_rtp(&f->a, &peer, 9, 1);
    list(f->w);
    assert_int_equal(page.count, 2);
    assert_int_equal(page.sessions[0].stream_count, 0);
    const struct session_info *s = &page.sessions[1];
    assert_int_equal(s->guard, SRTP_GUARD_OBSERVE);
    assert_int_equal(s->stream_count, 2);
    assert_int_equal(s->streams_kept, 2);
    assert_int_equal(page.streams, 2);
    const struct srtp_stream *seven = &page.stream[s->first_stream];
    if (seven->ssrc != 7)
        seven++;
    assert_int_equal(seven->ssrc, 7);
    assert_int_equal(seven->direction, SRTP_TO_PEER);
    assert_int_equal(seven->packets, 9);
    assert_int_equal(srtp_stream_lost(seven), 1);
    assert_int_equal(page.now_us - seven->last_us, 40000);
    /* Without them it says how many there are. */
    page = (struct session_page){.max = SESSIONS_PAGE_MAX};
    list_of(f->w, 0);
    assert_int_equal(page.sessions[1].stream_count, 2);
    assert_int_equal(page.sessions[1].streams_kept, 0);
    assert_int_equal(page.streams, 0);
}

/* What has many streams begins a page of its own, and what has more than a page holds is cut. */
static void test_sessions_streams_over_a_page_begin_the_next(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 4000);
    f->settings.guard = SRTP_GUARD_OBSERVE;
    f->settings.srtp.streams_per_direction = 300;
    f->settings.max_allocations = 128;
    fixture_restart(f);
    fixture_allocate(&f->a);
    fixture_allocate(&f->b);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    assert_int_equal(client_permit(&f->b, &peer), 200);
    send_rtp(&f->a, &peer, 1, 1);
    for (uint32_t i = 0; i < 256; i++)
        send_rtp(&f->b, &peer, 1000 + i, 1);
    list(f->w);
    assert_int_equal(page.count, 1);
    assert_true(is_user(&page.sessions[0], "alice"));
    assert_int_equal(page.streams, 1);
    assert_true(page.more);
    page.from_slot = page.next_slot;
    list_of(f->w, 0);
    assert_int_equal(page.count, 1);
    assert_true(is_user(&page.sessions[0], "bob"));
    assert_int_equal(page.sessions[0].stream_count, 256);
    assert_int_equal(page.sessions[0].streams_kept, 256);
    assert_false(page.more);
    send_rtp(&f->b, &peer, 2000, 1);
    page.from_slot = 1;
    list_of(f->w, 0);
    assert_int_equal(page.sessions[0].stream_count, 257);
    assert_int_equal(page.sessions[0].streams_kept, 256);
    assert_false(page.more);
}

static void ask_user(struct world *w, uint32_t realm, const char *user)
{
    page = (struct session_page){.max = SESSIONS_PAGE_MAX,
        .by_realm = true,
        .by_user = true,
        .realm = realm,
        .user_len = (uint16_t)strlen(user)};
    memcpy(page.user, user, strlen(user));
    list_of(w, 0);
}

static void test_sessions_by_user_or_id_are_those_alone(void **state)
{
    struct fixture *f = *state;
    fixture_allocate(&f->a);
    client_set_rest(&f->b, "zoe", 3600, "north");
    fixture_allocate(&f->b);
    ask_user(f->w, REALM_PLAIN, "alice");
    assert_int_equal(page.count, 1);
    const uint64_t alice = page.sessions[0].id;
    ask_user(f->w, REALM_REST, "alice");
    assert_int_equal(page.count, 0);
    ask_user(f->w, REALM_REST, "zoe");
    assert_int_equal(page.count, 1);
    const uint64_t zoe = page.sessions[0].id;
    ask_user(f->w, REALM_REST, f->b.user);
    assert_int_equal(page.count, 1);
    assert_int_equal(page.sessions[0].id, zoe);
    for (unsigned i = 0; i < 2; i++) {
        page = (struct session_page){.max = 1, .only_id = i ? zoe : alice};
        list_of(f->w, 0);
        assert_int_equal(page.count, 1);
        assert_int_equal(page.sessions[0].id, i ? zoe : alice);
        assert_false(page.more);
    }
    /* The same slot under another id, and slots that there are not. */
    const uint64_t none[] = {zoe ^ 1, zoe | 0x00ffffffull << 32, 1};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        page = (struct session_page){.max = 1, .only_id = none[i]};
        list_of(f->w, 0);
        assert_int_equal(page.count, 0);
        assert_false(page.more);
    }
}

static unsigned count_peer(struct world *w, const char *prefix)
{
    page = (struct session_page){.max = SESSIONS_PAGE_MAX, .by_peer = true};
    assert_int_equal(prefix_parse(&page.peer, prefix), 0);
    list_of(w, 0);
    return page.count;
}

/* A channel outlives the permission that it came with; neither is one for another address. */
static void test_sessions_by_peer_are_those_that_may_send_there(void **state)
{
    struct fixture *f = *state;
    const struct addr one = world_peer(1, 4000), two = world_peer(2, 4000);
    char exact[ADDR_TEXT_MAX + 4], around[ADDR_TEXT_MAX + 4], text[ADDR_TEXT_MAX];
    const struct addr network = addr_masked(&one, 24);
    snprintf(exact, sizeof(exact), "%s/32", addr_format_ip(&one, text, sizeof(text)));
    snprintf(around, sizeof(around), "%s/24", addr_format_ip(&network, text, sizeof(text)));
    fixture_allocate(&f->a);
    fixture_allocate(&f->b);
    assert_int_equal(count_peer(f->w, around), 0);
    assert_int_equal(client_bind(&f->a, 0x4000, &one), 200);
    assert_int_equal(client_permit(&f->b, &two), 200);
    assert_int_equal(count_peer(f->w, exact), 1);
    assert_true(is_user(&page.sessions[0], "alice"));
    assert_int_equal(count_peer(f->w, around), 2);
    assert_int_equal(count_peer(f->w, "198.18.0.0/24"), 0);
    assert_int_equal(count_peer(f->w, "::/0"), 0);
    world_advance(f->w, 301);
    assert_int_equal(count_peer(f->w, around), 1);
    assert_true(is_user(&page.sessions[0], "alice"));
    world_advance(f->w, 298);
    assert_int_equal(client_refresh(&f->a, 600, NULL), 200);
    world_advance(f->w, 2);
    assert_int_equal(count_peer(f->w, around), 0);
}

/* Long names take room of an answer: those behind it begin the next page, and all are shown. */
static void test_sessions_long_names_shorten_a_page(void **state)
{
    enum { MANY = 90 };
    static struct client clients[MANY];
    struct fixture *f = *state;
    char name[420];
    memset(name, 'n', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    f->settings.max_allocations = 128;
    fixture_restart(f);
    for (unsigned i = 0; i < MANY; i++) {
        client_init(&clients[i], f->w, i);
        clients[i].addr.port = (uint16_t)(10000 + i);
        client_set_rest(&clients[i], name, 3600, "north");
        fixture_allocate(&clients[i]);
        world_clear(f->w);
    }
    page = (struct session_page){.max = SESSIONS_PAGE_MAX};
    list_of(f->w, 0);
    const unsigned first = page.count;
    assert_in_range(first, 30, MANY - 1);
    assert_true(page.more);
    assert_in_range(page.text, SESSIONS_PAGE_TEXT_MAX / 2, SESSIONS_PAGE_TEXT_MAX);
    page.from_slot = page.next_slot;
    list_of(f->w, 0);
    assert_int_equal(first + page.count, MANY);
    assert_false(page.more);
}

static unsigned count_ages(struct world *w, uint32_t older_s, uint32_t younger_s)
{
    page =
        (struct session_page){.max = SESSIONS_PAGE_MAX, .older_s = older_s, .younger_s = younger_s};
    list_of(w, 0);
    return page.count;
}

static void test_sessions_by_age_and_realm_are_those_alone(void **state)
{
    struct fixture *f = *state;
    fixture_allocate(&f->a);
    world_advance(f->w, 60);
    client_set_rest(&f->b, "zoe", 3600, "north");
    fixture_allocate(&f->b);
    assert_int_equal(count_ages(f->w, 60, 0), 1);
    assert_true(is_user(&page.sessions[0], "alice"));
    assert_int_equal(count_ages(f->w, 0, 60), 1);
    assert_false(is_user(&page.sessions[0], "alice"));
    assert_int_equal(count_ages(f->w, 61, 0), 0);
    assert_int_equal(count_ages(f->w, 0, 61), 2);
    page = (struct session_page){.max = SESSIONS_PAGE_MAX, .by_realm = true, .realm = REALM_PLAIN};
    list_of(f->w, 0);
    assert_int_equal(page.count, 1);
    assert_true(is_user(&page.sessions[0], "alice"));
}

/* 2500 slots, of which every third is free again; some end while they are gone through. */
static void test_sessions_pages_show_each_once(void **state)
{
    enum { MANY = 2500 };
    static struct client clients[MANY];
    static uint8_t seen[MANY];
    struct fixture *f = *state;
    unsigned shown = 0, calls = 0, most = 0;
    f->settings.max_allocations = MANY;
    fixture_restart(f);
    for (unsigned i = 0; i < MANY; i++) {
        client_init(&clients[i], f->w, i & 0xff);
        clients[i].addr.port = (uint16_t)(10000 + i);
        fixture_allocate(&clients[i]);
        world_clear(f->w);
    }
    for (unsigned i = 0; i < MANY; i += 3)
        assert_int_equal(client_refresh(&clients[i], 0, NULL), 200);
    memset(seen, 0, sizeof(seen));
    page = (struct session_page){.max = 20, .media = true};
    do {
        list_of(f->w, 0);
        assert_true(page.count <= 20);
        for (unsigned i = 0; i < page.count; i++) {
            const unsigned n = page.sessions[i].client.port - 10000u;
            assert_true(n < MANY && n % 3 != 0);
            assert_int_equal(seen[n]++, 0);
            shown++;
        }
        /* The one behind the page ends. */
        const unsigned next = page.next_slot + (page.next_slot % 3 == 0);
        if (calls < 10 && next < MANY && !seen[next]++)
            assert_int_equal(client_refresh(&clients[next], 0, NULL), 200);
        world_clear(f->w);
        most = page.next_slot - page.from_slot > most ? page.next_slot - page.from_slot : most;
        page.from_slot = page.next_slot;
        calls++;
    } while (page.more);
    assert_int_equal(shown, MANY - (MANY + 2) / 3 - 10);
    assert_true(most <= 1024);
    /* As many as an answer has room for. */
    page = (struct session_page){.max = SESSIONS_PAGE_MAX};
    list_of(f->w, 0);
    assert_int_equal(page.count, SESSIONS_PAGE_MAX);
    assert_in_range(page.text, SESSIONS_PAGE_MAX * SESSIONS_SESSION_TEXT, SESSIONS_PAGE_TEXT_MAX);
    /* Nobody is shown of a thousand, and there are more. */
    ask_user(f->w, REALM_PLAIN, "nobody");
    assert_int_equal(page.count, 0);
    assert_true(page.more);
    assert_int_equal(page.next_slot, 1024);
    /* A place that there is no more. */
    page = (struct session_page){.max = 20, .from_slot = UINT32_MAX};
    list_of(f->w, 0);
    assert_int_equal(page.count, 0);
    assert_false(page.more);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_sessions_are_whose_and_how_much),
        SCENARIO(test_sessions_streams_are_those_of_the_guard),
        SCENARIO(test_sessions_streams_over_a_page_begin_the_next),
        SCENARIO(test_sessions_by_user_or_id_are_those_alone),
        SCENARIO(test_sessions_by_peer_are_those_that_may_send_there),
        SCENARIO(test_sessions_by_age_and_realm_are_those_alone),
        SCENARIO(test_sessions_long_names_shorten_a_page),
        SCENARIO(test_sessions_pages_show_each_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
