/* Questions of workers and of explain: one answer each, whatever the store does. */
#include "tests/unit/mailboxes.h"

#include <string.h>

#include "daemon/lookups.h"

struct asked {
    struct store_question question;
    char realm[32];
    store_done_fn *done;
    void *done_ctx;
};

struct fixture {
    struct mailboxes m;
    struct auth_realm_settings realms[2];
    struct auth_settings auth;
    struct lookups lookups;
    struct asked asked[4];
    unsigned count, explained;
    uint8_t verdict;
};

static void store_ask(void *ctx, const struct store_question *question, struct slice realm_name,
    store_done_fn *done, void *done_ctx)
{
    struct fixture *f = ctx;
    struct asked *a = &f->asked[f->count++];
    *a = (struct asked){.question = *question, .done = done, .done_ctx = done_ctx};
    memcpy(a->realm, realm_name.data, realm_name.len);
}

static int setup(void **state)
{
    static char names[2][16] = {"example.org", "example.net"};
    struct fixture *f = calloc(1, sizeof(*f));
    mailboxes_init(&f->m);
    f->realms[0].name = names[0];
    f->realms[1].name = names[1];
    f->auth = (struct auth_settings){.realms = f->realms, .realm_count = 2};
    f->lookups = (struct lookups){.auth = &f->auth,
        .workers = &f->m.workers,
        .counters = &f->m.counters,
        .store = {.ctx = f, .ask = store_ask}};
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

static struct store_question question_of(uint8_t kind, uint32_t realm)
{
    return (struct store_question){.kind = kind, .realm = realm, .name_len = 3, .name = "ann"};
}

static void ask_for(struct fixture *f, uint8_t kind, uint32_t realm, unsigned worker)
{
    struct store_question *q = malloc(sizeof(*q));
    *q = question_of(kind, realm);
    lookups_ask_for(&f->lookups, q, worker);
}

static void answer(struct fixture *f, unsigned n, uint8_t verdict)
{
    struct store_answer a = {.question = f->asked[n].question, .verdict = verdict};
    a.u.user.len = 16;
    f->asked[n].done(f->asked[n].done_ctx, &a);
}

static const struct store_answer *kept(const struct fixture *f, unsigned worker)
{
    assert_int_equal(f->m.worker[worker].count, 1);
    assert_int_equal(f->m.worker[worker].kept[0].kind, MAILBOX_ANSWER);
    return f->m.worker[worker].kept[0].u.answer;
}

static void test_lookups_answer_goes_to_the_worker_that_asked(void **state)
{
    struct fixture *f = *state;
    ask_for(f, STORE_USER, 1, 1);
    assert_int_equal(f->count, 1);
    assert_string_equal(f->asked[0].realm, "example.net");
    mailboxes_run(&f->m);
    assert_int_equal(f->m.worker[1].count, 0);
    answer(f, 0, STORE_FOUND);
    mailboxes_run(&f->m);
    assert_int_equal(f->m.worker[0].count, 0);
    assert_int_equal(kept(f, 1)->verdict, STORE_FOUND);
    assert_int_equal(kept(f, 1)->u.user.len, 16);
    assert_memory_equal(kept(f, 1)->question.name, "ann", 3);
    assert_int_equal(f->m.counters.metric[METRIC_LOOKUPS_USER_FOUND], 1);
}

static void test_lookups_without_a_store_nobody_is_reachable(void **state)
{
    struct fixture *f = *state;
    f->lookups.store = (struct store){0};
    ask_for(f, STORE_OAUTH_KEY, 0, 0);
    mailboxes_run(&f->m);
    assert_int_equal(kept(f, 0)->verdict, STORE_UNREACHABLE);
    assert_int_equal(kept(f, 0)->question.kind, STORE_OAUTH_KEY);
    assert_int_equal(f->m.counters.metric[METRIC_LOOKUPS_OAUTH_KEY_UNREACHABLE], 1);
}

static void test_lookups_realm_that_is_not_there_is_not_asked_for(void **state)
{
    struct fixture *f = *state;
    ask_for(f, STORE_USER, 2, 0);
    assert_int_equal(f->count, 0);
    mailboxes_run(&f->m);
    assert_int_equal(kept(f, 0)->verdict, STORE_UNREACHABLE);
}

/* The leak checker sees what becomes of the answer. */
static void test_lookups_full_mailbox_loses_the_answer(void **state)
{
    struct fixture *f = *state;
    ask_for(f, STORE_USER, 0, 0);
    mailboxes_fill(&f->m, 0, MAILBOX_RELAY);
    answer(f, 0, STORE_NOT_FOUND);
    mailboxes_run(&f->m);
    assert_int_equal(f->m.worker[0].count, MAILBOXES_CAPACITY - MAILBOX_RESERVED);
    assert_int_equal(f->m.counters.metric[METRIC_LOOKUPS_USER_NOT_FOUND], 1);
}

static void explained(void *ctx, const struct store_answer *a)
{
    struct fixture *f = ctx;
    f->explained++;
    f->verdict = a->verdict;
}

static void test_lookups_ask_calls_back(void **state)
{
    struct fixture *f = *state;
    const struct store_question q = question_of(STORE_USER, 0);
    lookups_ask(&f->lookups, &q, explained, f);
    assert_int_equal(f->explained, 0);
    answer(f, 0, STORE_NOT_FOUND);
    assert_int_equal(f->explained, 1);
    assert_int_equal(f->verdict, STORE_NOT_FOUND);
    f->lookups.store = (struct store){0};
    lookups_ask(&f->lookups, &q, explained, f);
    assert_int_equal(f->explained, 2);
    assert_int_equal(f->verdict, STORE_UNREACHABLE);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_lookups_answer_goes_to_the_worker_that_asked),
        CASE(test_lookups_without_a_store_nobody_is_reachable),
        CASE(test_lookups_realm_that_is_not_there_is_not_asked_for),
        CASE(test_lookups_full_mailbox_loses_the_answer),
        CASE(test_lookups_ask_calls_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
