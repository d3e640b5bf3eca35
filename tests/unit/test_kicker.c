/* Kicks between admin and workers, which are mailboxes here: each question has one answer, with the
 * sum of all workers. */
#include "tests/unit/mailboxes.h"

#include <errno.h>
#include <string.h>

#include "daemon/kicker.h"

struct fixture {
    struct mailboxes m;
    struct auth_realm_settings realms[2];
    struct auth_settings auth;
    struct kicker kicker;
    /* What was answered. */
    unsigned answers;
    int error;
    uint64_t kicked;
};

static void done(void *ctx, int error, uint64_t kicked)
{
    struct fixture *f = ctx;
    f->answers++;
    f->error = error;
    f->kicked = kicked;
}

static int setup(void **state)
{
    static char names[2][16] = {"example.org", "example.net"};
    struct fixture *f = calloc(1, sizeof(*f));
    mailboxes_init(&f->m);
    f->realms[0].name = names[0];
    f->realms[1].name = names[1];
    f->auth = (struct auth_settings){.realms = f->realms, .realm_count = 2};
    f->kicker = (struct kicker){.workers = &f->m.workers, .auth = &f->auth};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    mailboxes_deinit(&f->m);
    free(f);
    return 0;
}

static void ask(struct fixture *f, const struct admin_kick *what)
{
    struct admin_kick asked = *what;
    asked.done = done;
    asked.ctx = f;
    kicker_ask(&f->kicker, &asked);
}

static void ask_for(struct fixture *f, const char *realm, const char *user)
{
    const struct admin_kick what = {.realm = slice_of_string(realm), .user = slice_of_string(user)};
    ask(f, &what);
}

/* The kick that the worker was handed; NULL: none. It is the caller's. */
static struct kick *take(struct fixture *f, unsigned worker)
{
    struct mailboxes_one *w = &f->m.worker[worker];
    mailboxes_run(&f->m);
    if (w->count == 0)
        return NULL;
    struct kick *kick = w->kept[0].u.kick;
    assert_int_equal(w->kept[0].kind, MAILBOX_KICK);
    w->count--;
    memmove(w->kept, w->kept + 1, w->count * sizeof(w->kept[0]));
    return kick;
}

/* Hands it back with so many more ended; next_slot 0: the worker is done. */
static void give(struct fixture *f, struct kick *kick, uint32_t kicked, uint32_t next_slot)
{
    assert_non_null(kick);
    kick->kicked += kicked;
    kick->more = next_slot > 0;
    kick->next_slot = next_slot > 0 ? next_slot : 4711;
    kicker_read(&f->kicker, kick);
}

static void test_kicker_user_is_looked_for_on_all_workers(void **state)
{
    struct fixture *f = *state;
    ask_for(f, "example.net", "alice");
    assert_null(take(f, 1));
    struct kick *kick = take(f, 0);
    assert_int_equal(kick->realm, 1);
    assert_int_equal(kick->user_len, 5);
    assert_memory_equal(kick->user, "alice", 5);
    assert_true(kick->only_id == 0 && kick->next_slot == 0 && kick->kicked == 0);
    give(f, kick, 64, 70);
    kick = take(f, 0);
    assert_int_equal(kick->next_slot, 70);
    give(f, kick, 3, 0);
    assert_int_equal(f->answers, 0);
    kick = take(f, 1);
    assert_true(kick->next_slot == 0 && kick->kicked == 0);
    give(f, kick, 5, 0);
    assert_int_equal(f->answers, 1);
    assert_int_equal(f->error, 0);
    assert_int_equal(f->kicked, 72);
}

static void test_kicker_id_is_asked_of_its_worker_alone(void **state)
{
    struct fixture *f = *state;
    ask(f, &(struct admin_kick){.id = 0x0100000012345678});
    assert_null(take(f, 0));
    struct kick *kick = take(f, 1);
    assert_true(kick->only_id == 0x0100000012345678);
    give(f, kick, 1, 0);
    assert_int_equal(f->kicked, 1);
    /* Of no worker that there is. */
    ask(f, &(struct admin_kick){.id = 0x4000000012345678});
    give(f, take(f, 0), 0, 0);
    assert_null(take(f, 1));
    assert_int_equal(f->answers, 2);
    assert_int_equal(f->kicked, 0);
}

static void test_kicker_peer_is_looked_for_on_all_workers(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = addr_ipv4(203, 0, 113, 7, 0);
    ask(f, &(struct admin_kick){.peer = peer});
    struct kick *kick = take(f, 0);
    assert_true(addr_equal(&kick->peer, &peer) && kick->user_len == 0);
    give(f, kick, 1, 0);
    give(f, take(f, 1), 1, 0);
    assert_int_equal(f->kicked, 2);
}

static void test_kicker_what_cannot_be_asked_is_refused_at_once(void **state)
{
    struct fixture *f = *state;
    static const uint8_t long_name[KICK_USER_MAX + 1] = {'x'};
    ask_for(f, "example.com", "alice");
    assert_int_equal(f->error, -ENOENT);
    ask(f, &(struct admin_kick){0});
    assert_int_equal(f->error, -EINVAL);
    ask(f, &(struct admin_kick){.id = 1, .user = slice_of_string("alice")});
    assert_int_equal(f->error, -EINVAL);
    ask(f, &(struct admin_kick){.user = slice_of(long_name, sizeof(long_name))});
    assert_int_equal(f->error, -EINVAL);
    mailboxes_fill(&f->m, 0, MAILBOX_RELAY);
    ask_for(f, "", "alice");
    assert_int_equal(f->error, -EAGAIN);
    assert_int_equal(f->answers, 5);
    mailboxes_run(&f->m);
    mailboxes_clear(&f->m);
    for (unsigned i = 0; i < KICKER_ASKED_MAX; i++)
        ask_for(f, "", "alice");
    assert_int_equal(f->answers, 5);
    ask_for(f, "", "alice");
    assert_int_equal(f->error, -EBUSY);
    kicker_end(&f->kicker);
    assert_int_equal(f->answers, 6 + KICKER_ASKED_MAX);
    assert_int_equal(f->error, -ESHUTDOWN);
}

static void test_kicker_worker_that_hangs_is_not_waited_for(void **state)
{
    struct fixture *f = *state;
    ask_for(f, "", "alice");
    struct kick *kick = take(f, 0);
    const uint64_t now = clock_now().mono_us;
    kicker_tick(&f->kicker, now + KICKER_PATIENCE_US / 2);
    assert_int_equal(f->answers, 0);
    kicker_tick(&f->kicker, now + KICKER_PATIENCE_US + US_PER_S);
    assert_int_equal(f->answers, 1);
    assert_int_equal(f->error, -ETIMEDOUT);
    /* It comes late, and goes no further. */
    give(f, kick, 1, 5);
    assert_null(take(f, 0));
    assert_int_equal(f->answers, 1);
}

static void test_kicker_full_mailbox_on_the_way_is_an_error(void **state)
{
    struct fixture *f = *state;
    ask_for(f, "", "alice");
    struct kick *kick = take(f, 0);
    mailboxes_fill(&f->m, 1, MAILBOX_RELAY);
    give(f, kick, 1, 0);
    assert_int_equal(f->answers, 1);
    assert_int_equal(f->error, -EAGAIN);
}

#define KICKER(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        KICKER(test_kicker_user_is_looked_for_on_all_workers),
        KICKER(test_kicker_id_is_asked_of_its_worker_alone),
        KICKER(test_kicker_peer_is_looked_for_on_all_workers),
        KICKER(test_kicker_what_cannot_be_asked_is_refused_at_once),
        KICKER(test_kicker_worker_that_hangs_is_not_waited_for),
        KICKER(test_kicker_full_mailbox_on_the_way_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
