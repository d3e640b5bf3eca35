/*
 * THREATS row 19: passwords are not guessed at full speed. Who has failed too often goes
 * unanswered, with the right password as well, and asks the store nothing; neighbours, and what is
 * allocated already, do not notice; the log says it once a second at most.
 */
#include "base/log.h"
#include "tests/scenario/fixture.h"

#include <stdio.h>
#include <unistd.h>

#define PER_SOURCE  10
#define PER_PREFIX  300
#define PER_USER    1000
#define PER_NETWORK 3000

static int lockout_set_up(void **state)
{
    struct fixture *f = NULL;
    if (fixture_set_up(state) != 0)
        return -1;
    f = *state;
    f->settings.lockout = true;
    f->settings.limits.guesses_per_source = (struct rate){PER_SOURCE, 60, PER_SOURCE};
    f->settings.limits.guesses_per_prefix = (struct rate){PER_PREFIX, 60, PER_PREFIX};
    f->settings.limits.guesses_per_network = (struct rate){PER_NETWORK, 60, PER_NETWORK};
    f->settings.limits.guesses_per_user = (struct rate){PER_USER, 60, PER_USER};
    fixture_restart(f);
    return 0;
}

/* The next client of this world at this address, who says this, challenged. */
static void client_at(struct client *c, struct world *w, const struct addr *addr, const char *user,
    const char *password)
{
    static uint16_t port = 1024;
    client_init(c, w, 1);
    c->addr = *addr;
    c->addr.port = ++port;
    client_set_user(c, user, password);
    assert_int_equal(client_challenge(c), 401);
}

static struct addr somewhere(unsigned n)
{
    return addr_ipv4(198, 51, (uint8_t)(n / 200), (uint8_t)(1 + n % 200), 0);
}

/* One Allocate, which ends at once where it is granted. Returns its code, 0: no answer. */
static int try_at(struct world *w, const struct addr *addr, const char *user, const char *password)
{
    struct client c;
    client_at(&c, w, addr, user, password);
    int code = client_allocate(&c, NULL);
    if (code == 200)
        assert_int_equal(client_refresh(&c, 0, NULL), 200);
    world_clear(w);
    return code;
}

/* Wrong passwords until there is no answer, at most `most`. Returns how many were answered. */
static unsigned guess_at(struct world *w, const struct addr *addr, const char *user, unsigned most)
{
    struct client c;
    unsigned answered = 0;
    client_at(&c, w, addr, user, "wrong");
    while (answered < most && client_allocate(&c, NULL) == 401)
        answered++;
    world_clear(w);
    return answered;
}

static void threat_19_ten_guesses_then_silence_for_the_right_password_too(void **state)
{
    struct fixture *f = *state;
    const struct addr home = somewhere(1);
    assert_int_equal(guess_at(f->w, &home, "alice", 1000), PER_SOURCE);
    assert_int_equal(try_at(f->w, &home, "alice", "wonderland"), 0);
    assert_int_equal(world_dropped(f->w, REASON_GUESS_LOCKOUT), 2);
    assert_int_equal(world_refused(f->w, REASON_WRONG_PASSWORD), PER_SOURCE);
}

static void threat_19_unknown_name_is_locked_out_like_a_known_one(void **state)
{
    struct fixture *f = *state;
    const struct addr home = somewhere(1);
    assert_int_equal(guess_at(f->w, &home, "nobody", 1000), PER_SOURCE);
    assert_int_equal(guess_at(f->w, &home, "alice", 1000), PER_SOURCE);
    assert_int_equal(world_refused(f->w, REASON_UNKNOWN_USER), PER_SOURCE);
}

static void threat_19_neighbours_succeed(void **state)
{
    struct fixture *f = *state;
    const struct addr home = somewhere(1), next_door = somewhere(2), away = somewhere(1000);
    guess_at(f->w, &home, "alice", 1000);
    assert_int_equal(try_at(f->w, &home, "alice", "wonderland"), 0);
    assert_int_equal(try_at(f->w, &home, "bob", "builder"), 200);
    assert_int_equal(try_at(f->w, &next_door, "alice", "wonderland"), 200);
    assert_int_equal(try_at(f->w, &away, "alice", "wonderland"), 200);
    /* The same name of another realm is somebody else. */
    struct client c;
    client_at(&c, f->w, &home, "alice", "wonderland");
    c.realm_id = REALM_STORED;
    assert_int_equal(client_challenge(&c), 401);
    assert_int_equal(client_allocate(&c, NULL), 401);
}

static void threat_19_ipv6_pair_is_the_64(void **state)
{
    struct fixture *f = *state;
    struct client c;
    client_init(&c, f->w, 1);
    client_set_ipv6(&c, 1);
    client_set_user(&c, "alice", "wrong");
    for (unsigned i = 0; i < PER_SOURCE; i++) {
        c.addr.ip[15] = (uint8_t)(1 + i); /* each from an address of its own */
        c.nonce_len = 0;
        assert_int_equal(client_allocate(&c, NULL), 401);
    }
    client_set_user(&c, "alice", "wonderland");
    c.addr.ip[15] = 200;
    c.nonce_len = 0;
    assert_int_equal(client_allocate(&c, NULL), 0);
    c.addr.ip[7] ^= 1; /* the next /64 */
    c.nonce_len = 0;
    assert_int_equal(client_allocate(&c, NULL), 200);
}

static void threat_19_let_in_again_after_the_time(void **state)
{
    struct fixture *f = *state;
    const struct addr home = somewhere(1);
    guess_at(f->w, &home, "alice", 1000);
    world_advance(f->w, 5);
    assert_int_equal(try_at(f->w, &home, "alice", "wonderland"), 0);
    world_advance(f->w, 2);
    assert_int_equal(try_at(f->w, &home, "alice", "wonderland"), 200);
    /* A login empties nothing: one more failure is one too many. */
    assert_int_equal(guess_at(f->w, &home, "alice", 1000), 1);
}

/* Silence does not prolong itself: who goes on at full speed gets ten a minute, no fewer. */
static void threat_19_guesses_that_go_unanswered_do_not_count(void **state)
{
    struct fixture *f = *state;
    const struct addr home = somewhere(1);
    struct client c;
    client_at(&c, f->w, &home, "alice", "wrong");
    unsigned answered = 0;
    for (unsigned s = 0; s < 60; s++) {
        for (unsigned i = 0; i < 20; i++)
            answered += client_allocate(&c, NULL) == 401;
        world_clear(f->w);
        world_advance(f->w, 1);
    }
    assert_in_range(answered, 2 * PER_SOURCE - 1, 2 * PER_SOURCE);
}

static void threat_19_live_allocation_is_spared(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 4000);
    fixture_allocate(&f->a);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    assert_int_equal(guess_at(f->w, &f->a.addr, "alice", 1000), PER_SOURCE);
    assert_int_equal(try_at(f->w, &f->a.addr, "alice", "wonderland"), 0);
    assert_int_equal(client_refresh(&f->a, 600, NULL), 200);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    assert_int_equal(client_bind(&f->a, 0x4000, &peer), 200);
    assert_true(fixture_to_peer(&f->a, &peer, "still here"));
    assert_int_equal(client_refresh(&f->a, 0, NULL), 200);
}

/* Names in turn: each pair is below its limit, their prefix is not. */
static void threat_19_prefix_that_tries_many_names_is_locked_out(void **state)
{
    struct fixture *f = *state;
    char name[16];
    unsigned answered = 0;
    for (unsigned i = 0; i < PER_PREFIX; i++) {
        const struct addr from = somewhere(i % 50);
        snprintf(name, sizeof(name), "name-%u", i / 2);
        answered += guess_at(f->w, &from, name, 2);
    }
    assert_int_equal(answered, PER_PREFIX);
    const struct addr same = somewhere(150), other = somewhere(1000);
    assert_int_equal(try_at(f->w, &same, "alice", "wonderland"), 0);
    assert_int_equal(try_at(f->w, &other, "alice", "wonderland"), 200);
}

/* One Allocate from the n-th /64 of a /48, which ends at once where it is granted. */
static int try_in_network(
    struct fixture *f, uint8_t network, uint16_t n, const char *user, const char *password)
{
    struct client c;
    client_init(&c, f->w, 1);
    client_set_ipv6(&c, 1);
    c.addr.ip[5] = network;
    c.addr.ip[6] = (uint8_t)(n >> 8);
    c.addr.ip[7] = (uint8_t)n;
    client_set_user(&c, user, password);
    const int code = client_allocate(&c, NULL);
    if (code == 200)
        assert_int_equal(client_refresh(&c, 0, NULL), 200);
    world_clear(f->w);
    return code;
}

/* A /48 is one customer's, who goes through its 65 536 /64s: none reaches a limit of its own. */
static void threat_19_network_that_tries_many_prefixes_is_locked_out(void **state)
{
    struct fixture *f = *state;
    char name[16];
    unsigned answered = 0;
    assert_int_equal(try_in_network(f, 1, 60000, "alice", "wonderland"), 200);
    for (unsigned i = 0; i < PER_NETWORK + 100; i++) {
        snprintf(name, sizeof(name), "name-%u", i / 4);
        answered += try_in_network(f, 1, (uint16_t)(i / 2), name, "wrong") == 401;
    }
    assert_int_equal(answered, PER_NETWORK);
    assert_int_equal(try_in_network(f, 1, 50000, "bob", "builder"), 0);
    assert_int_equal(try_in_network(f, 1, 60000, "alice", "wonderland"), 200); /* was in */
    assert_int_equal(try_in_network(f, 2, 50000, "bob", "builder"), 200);
    const struct addr four = somewhere(1);
    assert_int_equal(try_at(f->w, &four, "bob", "builder"), 200);
}

/* Everybody guesses alice's password: whoever has been in within a day comes in. */
static void threat_19_account_under_attack_spares_who_was_in(void **state)
{
    struct fixture *f = *state;
    const struct addr home = somewhere(10077), stranger = somewhere(10078);
    assert_int_equal(try_at(f->w, &home, "alice", "wonderland"), 200);
    world_advance(f->w, 3600);
    unsigned answered = 0;
    for (unsigned i = 0; answered < PER_USER && i < 200; i++) {
        const struct addr from = somewhere(i * 200);
        answered += guess_at(f->w, &from, "alice", PER_SOURCE);
    }
    assert_int_equal(answered, PER_USER);
    assert_int_equal(try_at(f->w, &stranger, "alice", "wonderland"), 0);
    assert_int_equal(try_at(f->w, &home, "alice", "wonderland"), 200);
    assert_int_equal(try_at(f->w, &stranger, "bob", "builder"), 200);
}

static void threat_19_locked_out_guess_asks_the_store_nothing(void **state)
{
    struct fixture *f = *state;
    const struct addr home = somewhere(1);
    struct client c;
    client_at(&c, f->w, &home, "stranger", "wrong");
    c.realm_id = REALM_REDIS;
    assert_int_equal(client_challenge(&c), 401);
    for (unsigned i = 0; i < PER_SOURCE; i++) {
        assert_int_equal(client_allocate(&c, NULL), 401);
        world_clear(f->w);
    }
    assert_int_equal(f->w->store.asked, 1); /* negative answers are kept 5 s */
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(client_allocate(&c, NULL), 0);
        world_clear(f->w);
    }
    assert_int_equal(f->w->store.asked, 1);
    /* A name that was never asked for, from a prefix that has used up what it may. */
    for (unsigned i = 0; i < PER_PREFIX; i++) {
        const struct addr from = somewhere(2 + i % 100);
        guess_at(f->w, &from, "alice", 3);
    }
    const uint64_t asked = f->w->store.asked;
    for (unsigned i = 0; i < 20; i++) {
        snprintf(c.user, sizeof(c.user), "fresh-%u", i);
        assert_int_equal(client_allocate(&c, NULL), 0);
    }
    assert_int_equal(f->w->store.asked, asked);
}

static unsigned lines_of(int fd, const char *event)
{
    static char text[1 << 20];
    size_t len = 0;
    unsigned count = 0;
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    for (ssize_t n; (n = read(fd, text + len, sizeof(text) - 1 - len)) > 0;)
        len += (size_t)n;
    text[len] = '\0';
    for (const char *at = text; (at = strstr(at, event)) != NULL; at++)
        count++;
    return count;
}

static void threat_19_log_says_it_once_a_second(void **state)
{
    enum { SECONDS = 5 };
    struct fixture *f = *state;
    const struct addr home = somewhere(1), other = somewhere(1000);
    char file[] = "threat-19-XXXXXX";
    int fd = mkstemp(file);
    assert_true(fd >= 0);
    unlink(file);
    f->settings.limits.guesses_per_source.period_s = 3600; /* nobody comes free meanwhile */
    fixture_restart(f);
    guess_at(f->w, &home, "alice", 1000);
    guess_at(f->w, &other, "bob", 1000);
    world_advance(f->w, 2);
    const uint64_t before = world_dropped(f->w, REASON_GUESS_LOCKOUT);
    assert_int_equal(log_init(fd, LOG_INFO, LOG_TEXT), 0);
    for (unsigned s = 0; s < SECONDS; s++) {
        for (unsigned i = 0; i < 20; i++) {
            assert_int_equal(try_at(f->w, &home, "alice", "wrong-guess"), 0);
            assert_int_equal(try_at(f->w, &other, "bob", "wrong-guess"), 0);
            world_advance_ms(f->w, 20);
        }
        world_advance_ms(f->w, 600);
    }
    log_deinit();
    assert_true(world_dropped(f->w, REASON_GUESS_LOCKOUT) - before >= SECONDS * 40u);
    assert_in_range(lines_of(fd, "guess_lockout"), 1, SECONDS);
    assert_int_equal(lines_of(fd, "wrong-guess"), 0);
    close(fd);
}

#define LOCKOUT(name) cmocka_unit_test_setup_teardown(name, lockout_set_up, fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOCKOUT(threat_19_ten_guesses_then_silence_for_the_right_password_too),
        LOCKOUT(threat_19_unknown_name_is_locked_out_like_a_known_one),
        LOCKOUT(threat_19_neighbours_succeed),
        LOCKOUT(threat_19_ipv6_pair_is_the_64),
        LOCKOUT(threat_19_let_in_again_after_the_time),
        LOCKOUT(threat_19_guesses_that_go_unanswered_do_not_count),
        LOCKOUT(threat_19_live_allocation_is_spared),
        LOCKOUT(threat_19_prefix_that_tries_many_names_is_locked_out),
        LOCKOUT(threat_19_network_that_tries_many_prefixes_is_locked_out),
        LOCKOUT(threat_19_account_under_attack_spares_who_was_in),
        LOCKOUT(threat_19_locked_out_guess_asks_the_store_nothing),
        LOCKOUT(threat_19_log_says_it_once_a_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
