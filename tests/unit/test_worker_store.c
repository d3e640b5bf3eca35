/*
 * A worker as the daemon runs it, the test being its control thread: what it asks of the store, and
 * what it is told of answers, secrets and revocations, also while it ends.
 */
#include "tests/unit/running_worker.h"

#include <stdio.h>
#include <time.h>

#include "auth/auth.h"
#include "auth/long_term.h"
#include "srtp/crypto_attribute.h"
#include "srtp/verifier.h"
#include "wire/stun_writer.h"

#define REALM  "example.org"
#define SECRET "north"

static struct crypto *crypto;

struct client {
    int fd;
    char user[64], password[32];
    uint8_t nonce[NONCE_LEN];
    bool challenged;
    uint8_t transaction;
};

static int setup(void **state)
{
    crypto = crypto_new();
    return running_setup(state, 16);
}

static int teardown(void **state)
{
    crypto_free(crypto);
    return running_teardown(state);
}

static void client_open(struct client *c, struct running *d, const char *user, const char *password)
{
    struct sockaddr_storage sa;
    socklen_t len = addr_to_sockaddr(&d->udp[RUNNING_UDP]->addr, &sa);
    const struct timeval patience = {.tv_sec = 5};
    *c = (struct client){.fd = socket(AF_INET, SOCK_DGRAM, 0)};
    snprintf(c->user, sizeof(c->user), "%s", user);
    snprintf(c->password, sizeof(c->password), "%s", password);
    assert_int_equal(setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(connect(c->fd, (struct sockaddr *)&sa, len), 0);
}

/* A name that the shared secret has signed. */
static void client_open_rest(struct client *c, struct running *d)
{
    char user[64], password[64];
    snprintf(user, sizeof(user), "%lld:ann", (long long)time(NULL) + 60);
    assert_int_equal(auth_rest_password(crypto, AUTH_REST_SHA1, slice_of_string(SECRET),
                         slice_of_string(user), password),
        0);
    client_open(c, d, user, password);
}

static struct auth_key client_key(const struct client *c)
{
    struct auth_key key;
    const struct slice parts[] = {
        slice_of_string(c->user), slice_of_string(REALM), slice_of_string(c->password)};
    assert_int_equal(long_term_key(&key, crypto, STUN_PASSWORD_MD5, parts), 0);
    return key;
}

static void client_send(struct client *c, uint16_t method)
{
    uint8_t buffer[512], transaction[STUN_TRANSACTION_LEN] = {0x21, 0x12, 0xa4, 0x42};
    struct stun_writer w;
    transaction[15] = ++c->transaction;
    stun_write_begin(&w, buffer, sizeof(buffer), STUN_REQUEST, method, transaction);
    if (method == STUN_ALLOCATE)
        stun_write_u32(&w, STUN_ATTR_REQUESTED_TRANSPORT, 17u << 24);
    if (c->challenged) {
        const struct auth_key key = client_key(c);
        stun_write_attr(&w, STUN_ATTR_USERNAME, slice_of_string(c->user));
        stun_write_attr(&w, STUN_ATTR_REALM, slice_of_string(REALM));
        stun_write_attr(&w, STUN_ATTR_NONCE, slice_of(c->nonce, sizeof(c->nonce)));
        stun_write_integrity(&w, crypto, slice_of(key.bytes, key.len), false);
    }
    const size_t len = stun_write_end(&w);
    assert_int_equal(send(c->fd, buffer, len, 0), len);
}

/* The error code of the answer to the last request; 0: success. Takes its nonce. */
static unsigned client_hear(struct client *c)
{
    uint8_t got[1024];
    struct stun_msg m;
    struct slice value;
    const ssize_t n = recv(c->fd, got, sizeof(got), 0);
    assert_true(n > 0);
    assert_int_equal(stun_parse(&m, slice_of(got, (size_t)n)), REASON_NONE);
    assert_int_equal(m.transaction[15], c->transaction);
    if (stun_find(&m, STUN_ATTR_NONCE, &value) && value.len == NONCE_LEN) {
        memcpy(c->nonce, value.data, NONCE_LEN);
        c->challenged = true;
    }
    if (m.class == STUN_SUCCESS)
        return 0;
    assert_true(stun_find(&m, STUN_ATTR_ERROR_CODE, &value) && value.len >= 4);
    return value.data[2] * 100u + value.data[3];
}

static unsigned client_ask(struct client *c, uint16_t method)
{
    client_send(c, method);
    return client_hear(c);
}

static void client_challenge(struct client *c)
{
    assert_int_equal(client_ask(c, STUN_ALLOCATE), 401);
    assert_true(c->challenged);
}

static void post(struct running *d, struct mailbox_message m)
{
    assert_int_equal(mailbox_post(worker_mailbox(d->workers.items[0]), &m), 0);
}

static void post_answer(struct running *d, const struct client *c, enum store_verdict verdict)
{
    struct mailbox_message m = {.kind = MAILBOX_ANSWER};
    struct store_answer *a = m.u.answer = calloc(1, sizeof(*a));
    a->question =
        (struct store_question){.kind = STORE_USER, .name_len = (uint16_t)strlen(c->user)};
    memcpy(a->question.name, c->user, strlen(c->user));
    a->verdict = (uint8_t)verdict;
    if (verdict == STORE_FOUND)
        a->u.user = client_key(c);
    post(d, m);
}

static void post_secrets(struct running *d, const char *secret)
{
    struct mailbox_message m = {.kind = MAILBOX_SECRETS};
    m.u.secrets = calloc(1, sizeof(*m.u.secrets));
    if (secret) {
        m.u.secrets->count = 1;
        assert_int_equal(secret_set(&m.u.secrets->list[0], slice_of_string(secret)), 0);
    }
    post(d, m);
}

static void post_revoke(struct running *d, const char *user, int64_t until)
{
    struct mailbox_message m = {.kind = MAILBOX_REVOKE};
    m.u.revocation = calloc(1, sizeof(*m.u.revocation));
    m.u.revocation->kind = REVOKE_USER;
    m.u.revocation->until = until;
    m.u.revocation->id_len = (uint16_t)strlen(user);
    memcpy(m.u.revocation->id, user, strlen(user));
    post(d, m);
}

static void wait_asked(struct running *d, unsigned count)
{
    while (d->asked_count < count)
        uv_run(&d->loop, UV_RUN_ONCE);
}

/* Posted messages are taken in order: a Binding request behind them is answered after them. */
static void wait_taken(struct running *d)
{
    struct client c;
    usleep(20000);
    client_open(&c, d, "", "");
    assert_int_equal(client_ask(&c, STUN_BINDING), 0);
    close(c.fd);
}

static void test_worker_store_request_waits_for_the_answer(void **state)
{
    struct running *d = *state;
    struct client c;
    client_open(&c, d, "ann", "pw");
    client_challenge(&c);
    client_send(&c, STUN_ALLOCATE);
    wait_asked(d, 1);
    assert_int_equal(d->asked[0].kind, STORE_USER);
    assert_int_equal(d->asked[0].name_len, 3);
    assert_memory_equal(d->asked[0].name, "ann", 3);
    post_answer(d, &c, STORE_FOUND);
    assert_int_equal(client_hear(&c), 0);
    assert_int_equal(client_ask(&c, STUN_REFRESH), 0); /* and is not asked again */
    assert_int_equal(d->asked_count, 1);
    close(c.fd);
}

static void post_deposit(struct running *d, uint64_t allocation)
{
    struct mailbox_message m = {.kind = MAILBOX_SRTP_DEPOSIT};
    m.u.deposit = calloc(1, sizeof(*m.u.deposit));
    m.u.deposit->binding.allocation = allocation;
    m.u.deposit->until = time(NULL) + 60;
    assert_int_equal(crypto_attribute_parse(&m.u.deposit->keys,
                         slice_of_string("AES_CM_128_HMAC_SHA1_80 "
                                         "inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR")),
        CRYPTO_FAULT_NONE);
    post(d, m);
}

static uint64_t keys_seen(const struct running *d, enum metric result)
{
    return atomic_load(&worker_counters(d->workers.items[0])->metric[result]);
}

/* An allocation asks for keys of its media, takes those that come, and says when it has ended. */
static void test_worker_store_keys_of_media_are_wanted_until_the_end(void **state)
{
    struct running *d = *state;
    struct client c;
    client_open(&c, d, "ann", "pw");
    client_challenge(&c);
    client_send(&c, STUN_ALLOCATE);
    wait_asked(d, 1);
    assert_int_equal(d->wanted_count, 0);
    post_answer(d, &c, STORE_FOUND);
    assert_int_equal(client_hear(&c), 0);
    while (d->wanted_count == 0)
        uv_run(&d->loop, UV_RUN_ONCE);
    assert_int_equal(d->wanted.user_len, 3);
    assert_memory_equal(d->wanted.user, "ann", 3);
    post_deposit(d, d->wanted.allocation);
    post_deposit(d, d->wanted.allocation + 1); /* of nobody */
    wait_taken(d);
    assert_int_equal(keys_seen(d, srtp_verifier_available() ? METRIC_SRTP_KEYS_DEPOSITED
                                                            : METRIC_SRTP_KEYS_REFUSED),
        1);
    uv_run(&d->loop, UV_RUN_NOWAIT);
    assert_false(d->unwanted);
    post_revoke(d, "ann", time(NULL) + 60);
    for (unsigned i = 0; i < 500 && !d->unwanted; i++) {
        usleep(10000);
        uv_run(&d->loop, UV_RUN_NOWAIT);
    }
    assert_true(d->unwanted);
    assert_int_equal(d->wanted_count, 1);
    close(c.fd);
}

static void test_worker_store_answers_that_do_not_help_refuse(void **state)
{
    struct running *d = *state;
    struct client ann, bob;
    client_open(&ann, d, "ann", "pw");
    client_open(&bob, d, "bob", "pw");
    client_challenge(&ann);
    client_challenge(&bob);
    client_send(&ann, STUN_ALLOCATE);
    client_send(&bob, STUN_ALLOCATE);
    wait_asked(d, 2);
    post_answer(d, &ann, STORE_NOT_FOUND);
    post_answer(d, &bob, STORE_UNREACHABLE);
    assert_int_equal(client_hear(&ann), 401);
    assert_int_equal(client_hear(&bob), 500);
    close(ann.fd);
    close(bob.fd);
}

static void test_worker_store_secrets_count_and_go(void **state)
{
    struct running *d = *state;
    struct client c;
    post_secrets(d, SECRET);
    wait_taken(d);
    client_open_rest(&c, d);
    client_challenge(&c);
    assert_int_equal(client_ask(&c, STUN_ALLOCATE), 0);
    close(c.fd);
    post_secrets(d, NULL);
    wait_taken(d);
    client_open_rest(&c, d);
    client_challenge(&c);
    assert_int_equal(client_ask(&c, STUN_ALLOCATE), 401);
    assert_int_equal(d->asked_count, 0); /* such a name is not a user of the store */
    close(c.fd);
}

static void test_worker_store_revocation_ends_what_lives(void **state)
{
    struct running *d = *state;
    struct client ann, bob, again;
    post_secrets(d, SECRET);
    wait_taken(d);
    client_open_rest(&ann, d);
    client_challenge(&ann);
    assert_int_equal(client_ask(&ann, STUN_ALLOCATE), 0);
    client_open(&bob, d, "bob", "pw");
    client_challenge(&bob);
    client_send(&bob, STUN_ALLOCATE);
    wait_asked(d, 1);
    post_answer(d, &bob, STORE_FOUND);
    assert_int_equal(client_hear(&bob), 0);
    post_revoke(d, "ann", time(NULL) + 60);
    wait_taken(d);
    const struct counters *counters = worker_counters(d->workers.items[0]);
    assert_int_equal(counters->metric[METRIC_ALLOCATIONS_REVOKED], 1);
    assert_int_not_equal(client_ask(&ann, STUN_REFRESH), 0);
    assert_int_equal(client_ask(&bob, STUN_REFRESH), 0);
    client_open_rest(&again, d);
    client_challenge(&again);
    assert_int_equal(client_ask(&again, STUN_ALLOCATE), 401);
    post_revoke(d, "ann", 0);
    wait_taken(d);
    assert_int_equal(client_ask(&again, STUN_ALLOCATE), 0);
    close(ann.fd);
    close(bob.fd);
    close(again.fd);
}

/* Requests that wait, answers on their way: the leak checker sees what is left. */
static void test_worker_store_stops_with_messages_in_flight(void **state)
{
    struct running *d = *state;
    struct client c[3];
    for (unsigned i = 0; i < 3; i++) {
        char user[8];
        snprintf(user, sizeof(user), "user-%u", i);
        client_open(&c[i], d, user, "pw");
        client_challenge(&c[i]);
        client_send(&c[i], STUN_ALLOCATE);
    }
    wait_asked(d, 3);
    post(d, (struct mailbox_message){.kind = MAILBOX_STOP});
    post_answer(d, &c[0], STORE_FOUND);
    post_secrets(d, SECRET);
    post_revoke(d, "user-1", time(NULL) + 60);
    post_answer(d, &c[1], STORE_FOUND);
    running_wait_for(d, &d->stopped);
    worker_join(d->workers.items[0]);
    while (worker_settle(d->workers.items[0]) > 0) {
    }
    for (unsigned i = 0; i < 3; i++)
        close(c[i].fd);
}

/* One name, asked for by many requests at once, is one question. */
static void test_worker_store_asks_once_for_all(void **state)
{
    struct running *d = *state;
    struct client c[4];
    for (unsigned i = 0; i < 4; i++) {
        client_open(&c[i], d, "ann", "pw");
        client_challenge(&c[i]);
        client_send(&c[i], STUN_ALLOCATE);
    }
    wait_asked(d, 1);
    wait_taken(d);
    uv_run(&d->loop, UV_RUN_NOWAIT);
    assert_int_equal(d->asked_count, 1);
    post_answer(d, &c[0], STORE_FOUND);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(client_hear(&c[i]), 0);
        close(c[i].fd);
    }
}

static void post_page(struct running *d, uint32_t tag)
{
    struct session_page *page = calloc(1, sizeof(*page));
    page->tag = tag;
    page->max = SESSIONS_PAGE_MAX;
    post(d, (struct mailbox_message){.kind = MAILBOX_SESSIONS, .u.page = page});
}

static void test_worker_store_page_of_sessions_comes_back_filled_in(void **state)
{
    struct running *d = *state;
    struct client c;
    client_open(&c, d, "ann", "pw");
    client_challenge(&c);
    client_send(&c, STUN_ALLOCATE);
    wait_asked(d, 1);
    post_answer(d, &c, STORE_FOUND);
    assert_int_equal(client_hear(&c), 0);
    post_page(d, 77);
    while (d->pages == 0)
        uv_run(&d->loop, UV_RUN_ONCE);
    assert_int_equal(d->page.tag, 77);
    assert_int_equal(d->page.count, 1);
    assert_int_equal(d->page.sessions[0].user_len, 3);
    assert_memory_equal(d->page.sessions[0].user, "ann", 3);
    assert_false(d->page.more);
    /* Behind its stop too, and one that finds no room is freed. */
    struct mailbox_message filler = {.kind = MAILBOX_RELAY};
    post(d, (struct mailbox_message){.kind = MAILBOX_STOP});
    running_wait_for(d, &d->stopped);
    worker_join(d->workers.items[0]);
    post_page(d, 78);
    (void)worker_settle(d->workers.items[0]);
    (void)mailbox_drain(d->control);
    assert_int_equal(d->pages, 2);
    assert_int_equal(d->page.tag, 78);
    while (mailbox_post(d->control, &filler) == 0) {
    }
    post_page(d, 79);
    (void)worker_settle(d->workers.items[0]);
    (void)mailbox_drain(d->control);
    assert_int_equal(d->pages, 2);
    close(c.fd);
}

int main(void)
{
    if (srtp_verifier_init() < 0)
        return 1;
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_worker_store_request_waits_for_the_answer),
        CASE(test_worker_store_keys_of_media_are_wanted_until_the_end),
        CASE(test_worker_store_answers_that_do_not_help_refuse),
        CASE(test_worker_store_secrets_count_and_go),
        CASE(test_worker_store_revocation_ends_what_lives),
        CASE(test_worker_store_stops_with_messages_in_flight),
        CASE(test_worker_store_asks_once_for_all),
        CASE(test_worker_store_page_of_sessions_comes_back_filled_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
