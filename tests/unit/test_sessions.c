/* Pages of sessions between admin and workers, which are mailboxes here: each question has one
 * answer, whatever becomes of its page. */
#include "tests/unit/mailboxes.h"

#include <errno.h>
#include <string.h>

#include "daemon/sessions.h"

#define ANSWERS_MAX 16

struct fixture {
    struct mailboxes m;
    struct auth_realm_settings realms[2];
    struct auth_settings auth;
    struct sessions sessions;
    /* What was answered. */
    unsigned answers;
    int error;
    uint64_t next, first_id;
    unsigned count;
};

static void found(void *ctx, int error, const struct session_page *page, uint64_t next)
{
    struct fixture *f = ctx;
    f->answers++;
    f->error = error;
    f->next = next;
    f->count = page ? page->count : 0;
    f->first_id = page && page->count > 0 ? page->sessions[0].id : 0;
    assert_true(page ? error == 0 : error < 0 && next == 0);
}

static int setup(void **state)
{
    static char names[2][16] = {"example.org", "example.net"};
    struct fixture *f = calloc(1, sizeof(*f));
    mailboxes_init(&f->m);
    f->realms[0].name = names[0];
    f->realms[1].name = names[1];
    f->auth = (struct auth_settings){.realms = f->realms, .realm_count = 2};
    f->sessions = (struct sessions){.workers = &f->m.workers, .auth = &f->auth};
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

static void ask(struct fixture *f, const struct admin_sessions *what)
{
    struct admin_sessions asked = *what;
    asked.found = found;
    asked.ctx = f;
    sessions_ask(&f->sessions, &asked);
}

static void ask_from(struct fixture *f, uint64_t cursor)
{
    ask(f, &(struct admin_sessions){.cursor = cursor, .max = SESSIONS_PAGE_MAX});
}

/* The page that the worker was handed; NULL: none. It is the caller's. */
static struct session_page *take(struct fixture *f, unsigned worker)
{
    struct mailboxes_one *w = &f->m.worker[worker];
    mailboxes_run(&f->m);
    if (w->count == 0)
        return NULL;
    struct session_page *page = w->kept[0].u.page;
    assert_int_equal(w->kept[0].kind, MAILBOX_SESSIONS);
    w->count--;
    memmove(w->kept, w->kept + 1, w->count * sizeof(w->kept[0]));
    return page;
}

/* Hands it back with so many allocations in it. */
static void give(struct fixture *f, struct session_page *page, unsigned count, uint32_t next_slot)
{
    assert_non_null(page);
    page->count = (uint16_t)count;
    page->more = next_slot > 0;
    page->next_slot = next_slot;
    for (unsigned i = 0; i < count; i++)
        page->sessions[i].id = 100 + i;
    sessions_read(&f->sessions, page);
}

static void test_sessions_cursor_goes_through_all_workers(void **state)
{
    struct fixture *f = *state;
    ask_from(f, 0);
    assert_null(take(f, 1));
    struct session_page *page = take(f, 0);
    assert_int_equal(page->from_slot, 0);
    assert_int_equal(page->max, SESSIONS_PAGE_MAX);
    assert_false(page->media || page->by_user || page->by_realm || page->by_peer || page->only_id);
    give(f, page, 3, 70);
    assert_int_equal(f->answers, 1);
    assert_int_equal(f->count, 3);
    assert_int_equal(f->first_id, 100);
    ask_from(f, f->next);
    page = take(f, 0);
    assert_int_equal(page->from_slot, 70);
    give(f, page, 1, 0);
    assert_int_equal(f->answers, 2);
    ask_from(f, f->next);
    assert_null(take(f, 0));
    page = take(f, 1);
    assert_int_equal(page->from_slot, 0);
    give(f, page, 2, 0);
    assert_int_equal(f->answers, 3);
    assert_int_equal(f->error, 0);
    assert_int_equal(f->next, 0);
}

static void test_sessions_workers_with_nobody_are_passed_over(void **state)
{
    struct fixture *f = *state;
    ask_from(f, 0);
    give(f, take(f, 0), 0, 1024);
    struct session_page *page = take(f, 0);
    assert_int_equal(page->from_slot, 1024);
    give(f, page, 0, 0);
    assert_int_equal(f->answers, 0);
    page = take(f, 1);
    assert_int_equal(page->from_slot, 0);
    give(f, page, 1, 0);
    assert_int_equal(f->answers, 1);
    assert_int_equal(f->count, 1);
    ask_from(f, 0);
    give(f, take(f, 0), 0, 0);
    give(f, take(f, 1), 0, 0);
    assert_int_equal(f->answers, 2);
    assert_int_equal(f->count, 0);
    assert_int_equal(f->next, 0);
}

/* A search among very many shows that it goes on, before who asks gives up. */
static void test_sessions_long_search_hands_an_empty_page_on(void **state)
{
    struct fixture *f = *state;
    ask_from(f, 0);
    struct session_page *page = take(f, 0);
    f->sessions.asked[0].since_us -= SESSIONS_SEARCH_US;
    give(f, page, 0, 1024);
    assert_int_equal(f->answers, 1);
    assert_int_equal(f->count, 0);
    assert_int_equal(f->next, 1024);
    assert_null(take(f, 0));
}

static void test_sessions_of_a_user_or_an_id_are_asked_for(void **state)
{
    struct fixture *f = *state;
    ask(f, &(struct admin_sessions){.max = 1000,
               .media = true,
               .realm = slice_of_string("example.net"),
               .user = slice_of_string("ann")});
    struct session_page *page = take(f, 0);
    assert_int_equal(page->max, SESSIONS_PAGE_MAX);
    assert_true(page->media && page->by_user);
    assert_int_equal(page->realm, 1);
    assert_int_equal(page->user_len, 3);
    assert_memory_equal(page->user, "ann", 3);
    give(f, page, 1, 0);
    ask(f, &(struct admin_sessions){.max = 1, .id = 1ull << 56 | 5ull << 32 | 99});
    assert_null(take(f, 0));
    page = take(f, 1);
    assert_int_equal(page->only_id, 1ull << 56 | 5ull << 32 | 99);
    give(f, page, 0, 0);
    assert_int_equal(f->answers, 2);
    assert_int_equal(f->next, 0);
    struct admin_sessions filters = {.max = 1,
        .realm = slice_of_string("example.net"),
        .by_peer = true,
        .older_s = 7,
        .younger_s = 9};
    assert_int_equal(prefix_parse(&filters.peer, "192.0.2.0/24"), 0);
    ask(f, &filters);
    page = take(f, 0);
    assert_true(page->by_realm && page->realm == 1 && !page->by_user);
    assert_true(page->by_peer && page->peer.bits == 24 && page->peer.ip.ip[2] == 2);
    assert_true(page->older_s == 7 && page->younger_s == 9);
    give(f, page, 1, 0);
    f->answers--;
    /* Of a worker that is not there: another says that there is none. */
    ask(f, &(struct admin_sessions){.max = 1, .id = 7ull << 56 | 1});
    give(f, take(f, 0), 0, 0);
    assert_int_equal(f->answers, 3);
    assert_int_equal(f->error, 0);
    assert_int_equal(f->next, 0);
}

static void test_sessions_that_cannot_be_asked_for_are_refused_at_once(void **state)
{
    struct fixture *f = *state;
    ask(f, &(struct admin_sessions){
               .max = 1, .user = slice_of_string("ann"), .realm = slice_of_string("nowhere")});
    assert_int_equal(f->error, -ENOENT);
    ask_from(f, 2ull << 32);
    assert_int_equal(f->error, -EINVAL);
    ask_from(f, UINT64_MAX);
    assert_int_equal(f->error, -EINVAL);
    mailboxes_fill(&f->m, 1, MAILBOX_RELAY);
    ask_from(f, 1ull << 32);
    assert_int_equal(f->error, -EAGAIN);
    assert_int_equal(f->answers, 4);
    assert_int_equal(f->sessions.asked[0].tag, 0);
    assert_null(take(f, 0));
}

/* The next worker's mailbox is full: what is known so far is said. */
static void test_sessions_search_that_cannot_go_on_hands_its_page_on(void **state)
{
    struct fixture *f = *state;
    ask_from(f, 0);
    struct session_page *page = take(f, 0);
    mailboxes_fill(&f->m, 1, MAILBOX_RELAY);
    give(f, page, 0, 0);
    assert_int_equal(f->answers, 1);
    assert_int_equal(f->error, 0);
    assert_int_equal(f->next, 1ull << 32);
    assert_int_equal(f->sessions.asked[0].tag, 0);
}

static void test_sessions_worker_that_is_silent_is_not_waited_for(void **state)
{
    struct fixture *f = *state;
    const uint64_t now = clock_now().mono_us;
    ask_from(f, 0);
    struct session_page *page = take(f, 0);
    sessions_tick(&f->sessions, now + SESSIONS_PATIENCE_US - US_PER_MS);
    assert_int_equal(f->answers, 0);
    sessions_tick(&f->sessions, clock_now().mono_us + SESSIONS_PATIENCE_US);
    assert_int_equal(f->answers, 1);
    assert_int_equal(f->error, -ETIMEDOUT);
    sessions_tick(&f->sessions, clock_now().mono_us + SESSIONS_PATIENCE_US);
    /* It comes after all: nobody is told again, and its place is free. */
    give(f, page, 1, 9);
    assert_int_equal(f->answers, 1);
    assert_int_equal(f->sessions.asked[0].tag, 0);
}

/* Each page that is out has its place, or a worker that hangs would be handed more and more. */
static void test_sessions_pages_that_are_out_are_bounded(void **state)
{
    struct fixture *f = *state;
    struct session_page *pages[SESSIONS_ASKED_MAX];
    for (unsigned i = 0; i < SESSIONS_ASKED_MAX; i++) {
        ask_from(f, 0);
        pages[i] = take(f, 0);
        assert_non_null(pages[i]);
    }
    ask_from(f, 1ull << 32);
    assert_int_equal(f->error, -EBUSY);
    sessions_tick(&f->sessions, clock_now().mono_us + SESSIONS_PATIENCE_US);
    assert_int_equal(f->answers, 1 + SESSIONS_ASKED_MAX);
    ask_from(f, 0);
    assert_int_equal(f->error, -EBUSY);
    give(f, pages[1], 0, 0);
    ask_from(f, 1ull << 32);
    give(f, take(f, 1), 1, 0);
    assert_int_equal(f->error, 0);
    /* Those that never come back do not hold it for ever, and stay nobody's if they do. */
    sessions_tick(&f->sessions, clock_now().mono_us + SESSIONS_LOST_US);
    const unsigned answers = f->answers;
    for (unsigned i = 0; i < SESSIONS_ASKED_MAX; i++)
        ask_from(f, 0);
    assert_int_equal(f->answers, answers);
    give(f, pages[0], 1, 0);
    give(f, pages[2], 1, 0);
    give(f, pages[3], 1, 0);
    assert_int_equal(f->answers, answers);
    for (unsigned i = 0; i < SESSIONS_ASKED_MAX; i++)
        give(f, take(f, 0), 1, 0);
    assert_int_equal(f->answers, answers + SESSIONS_ASKED_MAX);
}

static void test_sessions_end_answers_who_waits(void **state)
{
    struct fixture *f = *state;
    ask_from(f, 0);
    ask_from(f, 1ull << 32);
    sessions_end(&f->sessions);
    assert_int_equal(f->answers, 2);
    assert_int_equal(f->error, -ESHUTDOWN);
    sessions_end(&f->sessions);
    give(f, take(f, 0), 1, 0);
    assert_int_equal(f->answers, 2);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_sessions_cursor_goes_through_all_workers),
        CASE(test_sessions_workers_with_nobody_are_passed_over),
        CASE(test_sessions_long_search_hands_an_empty_page_on),
        CASE(test_sessions_of_a_user_or_an_id_are_asked_for),
        CASE(test_sessions_that_cannot_be_asked_for_are_refused_at_once),
        CASE(test_sessions_search_that_cannot_go_on_hands_its_page_on),
        CASE(test_sessions_worker_that_is_silent_is_not_waited_for),
        CASE(test_sessions_pages_that_are_out_are_bounded),
        CASE(test_sessions_end_answers_who_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
