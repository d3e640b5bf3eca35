/*
 * Instances that share one nonce secret: what one has challenged, another accepts, so that it does
 * not matter where a balancer sends the retry. Two worlds stand for two instances.
 */
#include "tests/scenario/fixture.h"

#define FIRST_SECRET  "the secret that all instances share"
#define SECOND_SECRET "the secret that comes after it"

/* Another instance, of another origin, with clocks that agree. */
static struct world *instance(const struct world_settings *settings, uint64_t seed)
{
    struct world_settings s = *settings;
    s.seed = seed;
    return world_new(&s);
}

/* The same client, whose datagrams now reach another instance. */
static struct client moved(const struct client *c, struct world *to)
{
    struct client there = *c;
    there.world = to;
    return there;
}

static void test_challenge_of_one_instance_is_accepted_by_another(void **state)
{
    struct fixture *f = *state;
    f->settings.nonce_secret = FIRST_SECRET;
    fixture_restart(f);
    struct world *other = instance(&f->settings, 2);
    assert_int_equal(client_challenge(&f->a), 401);
    struct client there = moved(&f->a, other);
    fixture_allocate(&there);
    assert_int_equal(world_refused(other, REASON_FOREIGN_NONCE), 0);
    assert_int_equal(world_refused(other, REASON_NO_INTEGRITY), 0);
    world_free(other);
}

static void test_challenge_to_another_client_is_not(void **state)
{
    struct fixture *f = *state;
    f->settings.nonce_secret = FIRST_SECRET;
    fixture_restart(f);
    struct world *other = instance(&f->settings, 2);
    assert_int_equal(client_challenge(&f->a), 401);
    struct client there = moved(&f->a, other);
    there.addr.port++;
    assert_int_equal(client_allocate(&there, NULL), 438);
    assert_int_equal(world_refused(other, REASON_FOREIGN_NONCE), 1);
    world_free(other);
}

static void test_instances_of_other_secrets_do_not_trust_each_other(void **state)
{
    struct fixture *f = *state;
    f->settings.nonce_secret = FIRST_SECRET;
    fixture_restart(f);
    struct world_settings settings = f->settings;
    settings.nonce_secret = SECOND_SECRET;
    struct world *other = instance(&settings, 2);
    assert_int_equal(client_challenge(&f->a), 401);
    struct client there = moved(&f->a, other);
    assert_int_equal(client_allocate(&there, NULL), 438);
    /* The new nonce is the other's. */
    assert_int_equal(client_allocate(&there, NULL), 200);
    world_free(other);
}

static void test_rotation_of_the_secret_refuses_nobody(void **state)
{
    /* One instance has the new secret already, the other does not know it yet but as the one that
     * comes: first everybody learns to accept it, then everybody makes nonces with it. */
    struct fixture *f = *state;
    f->settings.nonce_secret = FIRST_SECRET;
    f->settings.nonce_secret_old = SECOND_SECRET;
    fixture_restart(f);
    struct world_settings ahead = f->settings;
    ahead.nonce_secret = SECOND_SECRET;
    ahead.nonce_secret_old = FIRST_SECRET;
    struct world *other = instance(&ahead, 2);
    assert_int_equal(client_challenge(&f->a), 401);
    struct client there = moved(&f->a, other);
    fixture_allocate(&there);
    struct client from_there = moved(&f->b, other);
    assert_int_equal(client_challenge(&from_there), 401);
    struct client here = moved(&from_there, f->w);
    fixture_allocate(&here);
    world_free(other);
}

static void test_session_goes_on_while_its_secret_is_rotated_out(void **state)
{
    struct fixture *f = *state;
    f->settings.nonce_secret = FIRST_SECRET;
    fixture_restart(f);
    fixture_allocate(&f->a);
    f->settings.nonce_secret = SECOND_SECRET;
    f->settings.nonce_secret_old = FIRST_SECRET;
    world_reload(f->w, &f->settings);
    assert_int_equal(client_refresh(&f->a, 600, NULL), 200);
    /* When it is out, a nonce of it is stale, and the session goes on with a new one. */
    f->settings.nonce_secret_old = NULL;
    world_reload(f->w, &f->settings);
    assert_int_equal(client_refresh(&f->a, 600, NULL), 438);
    assert_int_equal(client_refresh(&f->a, 600, NULL), 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_challenge_of_one_instance_is_accepted_by_another),
        SCENARIO(test_challenge_to_another_client_is_not),
        SCENARIO(test_instances_of_other_secrets_do_not_trust_each_other),
        SCENARIO(test_rotation_of_the_secret_refuses_nobody),
        SCENARIO(test_session_goes_on_while_its_secret_is_rotated_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
