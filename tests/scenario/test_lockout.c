/*
 * THREATS row 19 as a client sees it: who has guessed too often draws nothing, right password or
 * not; his neighbours, and what lives, do not notice.
 */
#include "tests/scenario/fixture.h"

#include "base/log.h"

#include <stdio.h>
#include <unistd.h>

#define GUESSES 10

static void with_lockout(struct fixture *f)
{
    f->settings.lockout = true;
    f->settings.limits.guesses_per_source =
        (struct rate){.count = GUESSES, .period_s = 60, .burst = GUESSES};
    f->settings.limits.guesses_per_prefix =
        (struct rate){.count = 300, .period_s = 60, .burst = 300};
    f->settings.limits.guesses_per_user =
        (struct rate){.count = 1000, .period_s = 60, .burst = 1000};
    fixture_restart(f);
}

/* Wrong passwords until nothing comes back; how many were answered. */
static unsigned guess_until_silent(struct client *c)
{
    char right[64];
    snprintf(right, sizeof(right), "%s", c->password);
    snprintf(c->password, sizeof(c->password), "wrong");
    for (unsigned i = 0; i < 10 * GUESSES; i++) {
        const int code = client_allocate(c, NULL);
        world_clear(c->world);
        if (code == 0) {
            snprintf(c->password, sizeof(c->password), "%s", right);
            return i;
        }
        assert_int_equal(code, 401);
    }
    world_fail("guesses without end");
}

static void test_guesses_beyond_the_limit_go_unanswered_right_or_wrong(void **state)
{
    struct fixture *f = *state;
    with_lockout(f);
    assert_in_range(guess_until_silent(&f->a), GUESSES, GUESSES + 1);
    assert_int_equal(client_allocate(&f->a, NULL), 0);
    assert_int_equal(world_allocations(f->w), 0);
    assert_int_equal(world_dropped(f->w, REASON_GUESS_LOCKOUT), 2);
    /* A challenge is no guess. */
    assert_int_equal(client_challenge(&f->a), 401);
    world_advance(f->w, 61);
    fixture_allocate(&f->a);
}

static void test_neighbours_of_a_guesser_do_not_notice(void **state)
{
    struct fixture *f = *state;
    struct client same_address, same_user;
    with_lockout(f);
    guess_until_silent(&f->a);
    client_init(&same_address, f->w, 1);
    same_address.addr.port++;
    client_set_user(&same_address, "dave", "diver");
    fixture_allocate(&same_address);
    client_init(&same_user, f->w, 3);
    fixture_allocate(&same_user);
    fixture_allocate(&f->b);
    /* Another port of the address is no way around. */
    f->a.addr.port += 2;
    f->a.nonce_len = 0;
    assert_int_equal(client_allocate(&f->a, NULL), 0);
}

static void test_live_allocation_goes_on_beside_a_lockout(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000);
    with_lockout(f);
    fixture_allocate(&f->a);
    struct client guesser = f->a;
    guesser.addr.port++;
    guesser.nonce_len = 0;
    guess_until_silent(&guesser);
    assert_int_equal(client_refresh(&f->a, 600, NULL), 200);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    assert_int_equal(client_allocate(&guesser, NULL), 0);
}

static void test_no_guess_asks_the_store(void **state)
{
    struct fixture *f = *state;
    with_lockout(f);
    client_set_stored(&f->a);
    guess_until_silent(&f->a);
    assert_int_equal(f->w->store.asked, 1);
    world_advance(f->w, 61);
    guess_until_silent(&f->a); /* the key has aged: once more */
    assert_int_equal(f->w->store.asked, 2);
    const uint64_t asked = f->w->store.asked;
    world_reload(f->w, &f->settings);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(client_allocate(&f->a, NULL), 0);
    assert_int_equal(f->w->store.asked, asked);
}

static void test_guess_that_waited_counts_once(void **state)
{
    struct fixture *f = *state;
    unsigned answered = 0;
    with_lockout(f);
    client_set_stored(&f->a);
    client_set_user(&f->a, "nobody", "nothing");
    for (unsigned i = 0; i < 2 * GUESSES; i++) {
        answered += client_allocate(&f->a, NULL) == 401;
        world_reload(f->w, &f->settings); /* each has to wait */
        world_clear(f->w);
    }
    assert_in_range(answered, GUESSES, GUESSES + 1);
    assert_int_equal(f->w->store.asked, answered);
}

static void test_good_credentials_that_are_refused_for_other_reasons_are_no_guess(void **state)
{
    struct fixture *f = *state;
    with_lockout(f);
    client_set_rest(&f->a, "alice", -10, "north");
    for (unsigned i = 0; i < 3 * GUESSES; i++)
        assert_int_equal(client_allocate(&f->a, NULL), 401);
    assert_int_equal(world_dropped(f->w, REASON_GUESS_LOCKOUT), 0);
    assert_int_equal(world_refused(f->w, REASON_CREDENTIAL_EXPIRED), 3 * GUESSES);
}

/* Each kid that nobody has is a question to the store, and takes a place among those that wait. */
static void test_kids_of_nobody_are_looked_up_no_more_often_than_guessed(void **state)
{
    struct fixture *f = *state;
    char kid[16];
    unsigned answered = 0;
    with_lockout(f);
    for (unsigned i = 0; i < 3 * GUESSES; i++) {
        snprintf(kid, sizeof(kid), "ghost-%u", i);
        client_set_token(&f->a, kid, 600);
        answered += client_allocate(&f->a, NULL) == 401;
        world_clear(f->w);
    }
    assert_in_range(answered, GUESSES, GUESSES + 1);
    assert_int_equal(f->w->store.asked, answered);
    /* Whoever has a token, a neighbour or not, does not notice; nor do users of the address. */
    client_set_token(&f->b, WORLD_STORED_KID, 600);
    fixture_allocate(&f->b);
    client_set_token(&f->a, WORLD_STORED_KID, 600);
    fixture_allocate(&f->a);
    assert_int_equal(client_refresh(&f->a, 0, NULL), 200);
    client_set_token(&f->a, WORLD_KID, 600);
    fixture_allocate(&f->a);
    struct client user;
    client_init(&user, f->w, 1);
    user.addr.port++;
    fixture_allocate(&user);
}

static unsigned lines_of(const char *text, const char *event)
{
    unsigned n = 0;
    for (const char *at = text; (at = strstr(at, event)) != NULL; at++)
        n++;
    return n;
}

static void test_lockout_logs_a_line_a_second_over_all_workers(void **state)
{
    struct fixture *f = *state;
    char file[] = "scenario-lockout-XXXXXX", text[65536];
    f->settings.workers = 3;
    with_lockout(f);
    struct client c[3];
    for (unsigned i = 0; i < 3; i++) {
        client_init(&c[i], f->w, 20 + i);
        c[i].worker = i;
        guess_until_silent(&c[i]);
    }
    world_advance(f->w, 1);
    int fd = mkstemp(file);
    assert_true(fd >= 0);
    unlink(file);
    assert_int_equal(log_init(fd, LOG_WARN, LOG_TEXT), 0);
    for (unsigned i = 0; i < 50; i++) { /* five seconds */
        for (unsigned k = 0; k < 3; k++)
            assert_int_equal(client_allocate(&c[k], NULL), 0);
        world_clear(f->w);
        world_advance_ms(f->w, 100);
    }
    log_deinit();
    const ssize_t len = pread(fd, text, sizeof(text) - 1, 0);
    close(fd);
    assert_true(len > 0);
    text[len] = 0;
    assert_in_range(lines_of(text, "guess_lockout"), 4, 6);
    assert_non_null(strstr(text, "prefix=81.2.69.0/24 "));
    assert_non_null(strstr(text, "realm=example.org"));
    assert_null(strstr(text, "wonderland"));
    /* Each is in one line, and none twice: 30 a second. */
    assert_true(lines_of(text, "unanswered=30") >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_guesses_beyond_the_limit_go_unanswered_right_or_wrong),
        SCENARIO(test_neighbours_of_a_guesser_do_not_notice),
        SCENARIO(test_live_allocation_goes_on_beside_a_lockout),
        SCENARIO(test_no_guess_asks_the_store),
        SCENARIO(test_guess_that_waited_counts_once),
        SCENARIO(test_good_credentials_that_are_refused_for_other_reasons_are_no_guess),
        SCENARIO(test_kids_of_nobody_are_looked_up_no_more_often_than_guessed),
        SCENARIO(test_lockout_logs_a_line_a_second_over_all_workers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
