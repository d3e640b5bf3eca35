/* The TURN client of selftest and doctor, with this test as its server: an answer that does not
 * verify is not believed, and silence ends. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include <pthread.h>

#include "auth/long_term.h"
#include "cli/turn_client.h"
#include "wire/stun_writer.h"

enum answer { ANSWER_SIGNED, ANSWER_UNSIGNED, ANSWER_FORGED, ANSWER_NOTHING };

struct server {
    int fd;
    enum answer answer;
    struct crypto *crypto;
    const char *realm;
};

static void write_challenge(struct stun_writer *s, const struct server *server)
{
    stun_write_error(s, 401);
    stun_write_attr(s, STUN_ATTR_REALM, slice_of_string(server->realm));
    stun_write_attr(s, STUN_ATTR_NONCE, slice_of_string("nonce"));
}

static void write_success(struct stun_writer *s, const struct server *server)
{
    const struct addr relayed = addr_ipv4(203, 0, 113, 4, 50000);
    const char *password = server->answer == ANSWER_FORGED ? "other" : "wonderland";
    const struct slice parts[3] = {
        slice_of_string("alice"), slice_of_string("example.org"), slice_of_string(password)};
    struct auth_key key;
    stun_write_xor_addr(s, STUN_ATTR_XOR_RELAYED_ADDRESS, &relayed);
    stun_write_xor_addr(s, STUN_ATTR_XOR_MAPPED_ADDRESS, &relayed);
    if (server->answer != ANSWER_UNSIGNED) {
        (void)long_term_key(&key, server->crypto, STUN_PASSWORD_MD5, parts);
        stun_write_integrity(s, server->crypto, slice_of(key.bytes, key.len), false);
    }
}

/* Two requests: the first without credentials. */
static void *serve(void *arg)
{
    const struct server *server = arg;
    uint8_t bytes[2048], out[2048];
    struct sockaddr_storage from;
    struct stun_msg msg;
    struct stun_writer s;
    for (int i = 0; i < (server->answer == ANSWER_NOTHING ? 1 : 2); i++) {
        socklen_t len = sizeof(from);
        const ssize_t n =
            recvfrom(server->fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&from, &len);
        if (n <= 0 || stun_parse(&msg, slice_of(bytes, (size_t)n)) != REASON_NONE)
            return NULL;
        const bool asks = stun_has(&msg, STUN_ATTR_USERNAME);
        stun_write_begin(
            &s, out, sizeof(out), asks ? STUN_SUCCESS : STUN_ERROR, msg.method, msg.transaction);
        if (asks)
            write_success(&s, server);
        else
            write_challenge(&s, server);
        (void)sendto(server->fd, out, stun_write_end(&s), 0, (struct sockaddr *)&from, len);
    }
    return NULL;
}

/* A server that listens, and a client of it. */
static void meet(struct server *server, struct turn_client *c)
{
    struct sockaddr_storage sa;
    socklen_t len =
        addr_to_sockaddr(&(struct addr){.family = ADDR_IPV4, .ip = {127, 0, 0, 1}}, &sa);
    struct addr to;
    server->fd = socket(AF_INET, SOCK_DGRAM, 0);
    server->crypto = crypto_new();
    *c = (struct turn_client){.crypto = crypto_new(), .random = random_system(), .timeout_ms = 200};
    assert_int_equal(bind(server->fd, (struct sockaddr *)&sa, len), 0);
    assert_int_equal(getsockname(server->fd, (struct sockaddr *)&sa, &len), 0);
    assert_int_equal(addr_from_sockaddr(&to, (struct sockaddr *)&sa), 0);
    assert_int_equal(turn_link_new(&c->link, TRANSPORT_UDP, &to, 200), 0);
}

static void part(struct server *server, struct turn_client *c)
{
    turn_client_wipe(c);
    turn_link_free(c->link);
    crypto_free(c->crypto);
    crypto_free(server->crypto);
    close(server->fd);
}

/* What the client says to a challenge for this realm. */
static int challenge(const char *realm)
{
    struct server server = {.answer = ANSWER_NOTHING, .realm = realm};
    struct turn_client c;
    pthread_t thread;
    meet(&server, &c);
    assert_int_equal(pthread_create(&thread, NULL, serve, &server), 0);
    const int r = turn_client_challenge(&c, ADDR_IPV4);
    assert_int_equal(pthread_join(thread, NULL), 0);
    part(&server, &c);
    return r;
}

static int allocate(enum answer answer)
{
    struct server server = {.answer = answer, .realm = "example.org"};
    struct turn_client c;
    pthread_t thread;
    meet(&server, &c);
    assert_int_equal(pthread_create(&thread, NULL, serve, &server), 0);
    assert_int_equal(turn_client_challenge(&c, ADDR_IPV4), 0);
    assert_string_equal(c.realm, "example.org");
    assert_int_equal(
        turn_client_login(&c, slice_of_string("alice"), slice_of_string("wonderland")), 0);
    const int r = turn_client_allocate(&c, ADDR_IPV4);
    assert_true(r != 0 || c.relayed.port == 50000);
    assert_int_equal(pthread_join(thread, NULL), 0);
    part(&server, &c);
    return r;
}

static void test_turn_client_believes_what_verifies_only(void **state)
{
    assert_int_equal(allocate(ANSWER_SIGNED), 0);
    assert_int_equal(allocate(ANSWER_UNSIGNED), -EBADMSG);
    assert_int_equal(allocate(ANSWER_FORGED), -EBADMSG);
}

static void test_turn_client_ends_where_nothing_answers(void **state)
{
    assert_int_equal(allocate(ANSWER_NOTHING), -ETIMEDOUT);
}

/* What a terminal would obey, what it would not show, and what is no text. */
static void test_turn_client_takes_no_realm_that_could_not_be_one(void **state)
{
    static const char *const realms[] = {"a\x1b]0;owned\x07", "a\r\nb",
        "a\xc2\x9b"
        "b",
        "a\xe2\x80\xae"
        "b",
        "a\xff"};
    for (size_t i = 0; i < sizeof(realms) / sizeof(realms[0]); i++)
        assert_int_equal(challenge(realms[i]), -EBADMSG);
    assert_int_equal(challenge("b\xc3\xbc"
                               "cher.example"),
        0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turn_client_believes_what_verifies_only),
        cmocka_unit_test(test_turn_client_ends_where_nothing_answers),
        cmocka_unit_test(test_turn_client_takes_no_realm_that_could_not_be_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
