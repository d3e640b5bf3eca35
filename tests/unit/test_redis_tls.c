/* rediss:// against a real redis-server with certificates made for the run. */
#include "fleet/redis_link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/fleet/linked.h"
#include "tests/fleet/servers.h"
#include "tests/fleet/sharers.h"
#include "tests/tls/certs.h"

#define SERVER_SERIAL 21

static char folder[200];
static struct test_identity authority, stranger, server, client;
static struct test_redis redis;
static uint16_t tls_port;
static struct linked l;

static char *in_folder(const char *file)
{
    static char paths[16][256];
    static unsigned next;
    char *path = paths[next++ % 16];
    snprintf(path, sizeof(paths[0]), "%s/%s", folder, file);
    return path;
}

static void write_list(const char *file, const struct test_list *form)
{
    X509_CRL *list = test_list_new(form);
    unlink(in_folder(file));
    test_write_list(folder, file, list);
    X509_CRL_free(list);
}

static void make_certificates(void)
{
    authority = test_identity_new(
        &(struct test_certificate){.name = "Authority", .authority = true, .serial = 1});
    stranger = test_identity_new(
        &(struct test_certificate){.name = "Stranger", .authority = true, .serial = 2});
    server = test_identity_new(&(struct test_certificate){.issuer = &authority,
        .name = "redis",
        .san = "DNS:localhost,IP:127.0.0.1",
        .usage = "serverAuth",
        .serial = SERVER_SERIAL});
    client = test_identity_new(&(struct test_certificate){
        .issuer = &authority, .name = "turnpike", .usage = "clientAuth", .serial = 22});
    test_write_cert(folder, "ca.pem", authority.cert);
    test_write_cert(folder, "other.pem", stranger.cert);
    test_write_cert(folder, "server.pem", server.cert);
    test_write_key(folder, "server.key", server.key, NULL);
    test_write_cert(folder, "client.pem", client.cert);
    test_write_key(folder, "client.key", client.key, NULL);
    write_list("fresh.pem", &(struct test_list){.issuer = &authority});
    write_list("revoked.pem", &(struct test_list){.issuer = &authority, .revoked = SERVER_SERIAL});
    write_list("stale.pem", &(struct test_list){.issuer = &authority, .ends_s = -60});
    write_list("missing.pem", &(struct test_list){.issuer = &stranger});
}

static int setup(void **state)
{
    static char port[8], paths[3][256];
    static const char *const arguments[] = {"--tls-port", port, "--tls-cert-file", paths[0],
        "--tls-key-file", paths[1], "--tls-ca-cert-file", paths[2], "--tls-auth-clients", "yes",
        NULL};
    test_folder_new(folder, sizeof(folder));
    make_certificates();
    tls_port = test_free_port();
    snprintf(port, sizeof(port), "%u", (unsigned)tls_port);
    snprintf(paths[0], sizeof(paths[0]), "%s/server.pem", folder);
    snprintf(paths[1], sizeof(paths[1]), "%s/server.key", folder);
    snprintf(paths[2], sizeof(paths[2]), "%s/ca.pem", folder);
    test_redis_start(&redis, arguments);
    return 0;
}

static int teardown(void **state)
{
    struct test_identity *all[] = {&authority, &stranger, &server, &client};
    test_redis_end(&redis);
    for (size_t i = 0; i < 4; i++)
        test_identity_free(all[i]);
    test_folder_remove(folder);
    return 0;
}

static int reset(void **state)
{
    l = (struct linked){.random = &linked_hurry};
    l.settings.tls = (struct tls_connector_settings){
        .ca = in_folder("ca.pem"), .cert = in_folder("client.pem"), .key = in_folder("client.key")};
    return 0;
}

static void begin(const char *host)
{
    char url[64];
    snprintf(url, sizeof(url), "rediss://%s:%u", host, (unsigned)tls_port);
    linked_begin(&l, url);
}

static bool has_failed(struct linked *linked, void *ctx)
{
    return redis_link_stats(linked->link).failed >= 2;
}

static void assert_refused(const char *host)
{
    begin(host);
    assert_true(linked_run(&l, has_failed, NULL, 5000));
    assert_int_equal(l.ups, 0);
    linked_end(&l);
}

static void test_redis_tls_name_and_address_come_up_and_answer(void **state)
{
    static const char *const hosts[] = {"localhost", "127.0.0.1"};
    l.settings.tls.crl = in_folder("fresh.pem");
    for (size_t i = 0; i < 2; i++) {
        begin(hosts[i]);
        assert_true(linked_up(&l, 1));
        struct answer a = linked_ask(&l, "ECHO sealed");
        assert_true(answer_is(&a, "sealed"));
        a = linked_ask(&l, "SETRANGE large 500000 x"); /* many records */
        assert_true(answer_is(&a, "500001"));
        a = linked_ask(&l, "GET large");
        assert_int_equal(a.len, 500001);
        linked_end(&l);
    }
}

static unsigned in_order;

static void count_order(void *ctx, enum redis_result result, const struct redis_reply *reply)
{
    in_order += result == REDIS_REPLIED && reply->integer == (int64_t)in_order + 1;
}

static bool has_all(struct linked *linked, void *ctx)
{
    return in_order >= *(unsigned *)ctx;
}

static void test_redis_tls_pipelines_in_order(void **state)
{
    const struct slice argv[] = {slice_of_string("INCR"), slice_of_string("order")};
    const struct redis_request request = {argv, 2, 8000, count_order, NULL};
    unsigned all = 4000;
    begin("localhost");
    assert_true(linked_up(&l, 1));
    for (unsigned i = 0; i < all; i++)
        assert_int_equal(redis_link_command(l.link, &request), 0);
    assert_true(linked_run(&l, has_all, &all, 8000));
    linked_end(&l);
}

static void test_redis_tls_wrong_servers_are_refused(void **state)
{
    char name[] = "redis.example";
    l.settings.tls.server_name = name;
    assert_refused("localhost");
    reset(NULL);
    l.settings.tls.ca = in_folder("other.pem");
    assert_refused("localhost");
    reset(NULL);
    l.settings.tls.ca = NULL; /* the system's authorities have not issued it */
    assert_refused("localhost");
    static const char *const lists[] = {"revoked.pem", "stale.pem", "missing.pem"};
    for (size_t i = 0; i < 3; i++) {
        reset(NULL);
        l.settings.tls.crl = in_folder(lists[i]);
        assert_refused("localhost");
    }
}

static void test_redis_tls_server_demands_our_certificate(void **state)
{
    l.settings.tls.cert = l.settings.tls.key = NULL;
    assert_refused("localhost");
}

/* No TLS where TLS is expected, either way round. */
static void test_redis_tls_is_not_confused_with_plain(void **state)
{
    char url[64];
    l.settings.handshake_ms = 300;
    snprintf(url, sizeof(url), "rediss://localhost:%u", (unsigned)redis.port);
    linked_begin(&l, url);
    assert_true(linked_run(&l, has_failed, NULL, 5000));
    linked_end(&l);
    snprintf(url, sizeof(url), "redis://localhost:%u", (unsigned)tls_port);
    linked_begin(&l, url);
    assert_true(linked_run(&l, has_failed, NULL, 5000));
    assert_int_equal(l.ups, 0);
    linked_end(&l);
}

/* A list that comes to name the server counts from the next connection on; a broken one not at all.
 */
static void test_redis_tls_renewed_lists_count_for_the_next_connection(void **state)
{
    char error[256] = "";
    write_list("changing.pem", &(struct test_list){.issuer = &authority});
    l.settings.tls.crl = in_folder("changing.pem");
    begin("localhost");
    assert_true(linked_up(&l, 1));
    unlink(in_folder("changing.pem"));
    assert_true(redis_link_renew(l.link, error, sizeof(error)) < 0);
    assert_memory_equal(error, "redis.tls.crl ", 14);
    write_list("changing.pem", &(struct test_list){.issuer = &authority, .revoked = SERVER_SERIAL});
    struct answer a;
    linked_issue(&l, "CLIENT KILL TYPE normal SKIPME no", 5000, &a);
    assert_true(linked_up(&l, 2)); /* with the old list */
    assert_int_equal(redis_link_renew(l.link, error, sizeof(error)), 0);
    a = linked_ask(&l, "PING");
    assert_true(answer_is(&a, "PONG"));
    linked_issue(&l, "CLIENT KILL TYPE normal SKIPME no", 5000, &a);
    assert_true(linked_down(&l, 2));
    assert_true(linked_run(&l, has_failed, NULL, 5000));
    assert_int_equal(l.ups, 2);
    linked_end(&l);
}

static void test_redis_tls_frozen_handshake_has_a_deadline(void **state)
{
    l.settings.handshake_ms = 150;
    test_redis_signal(&redis, SIGSTOP);
    assert_refused("127.0.0.1");
    test_redis_signal(&redis, SIGCONT);
}

/* What is said last is sealed and sent before the end. */
static void test_redis_tls_limits_take_their_leave(void **state)
{
    struct sharer sharer;
    char url[64];
    snprintf(url, sizeof(url), "rediss://127.0.0.1:%u", (unsigned)tls_port);
    sharer_begin(&sharer, &l, url, 0);
    assert_true(sharer_up(&sharer, 1));
    assert_int_equal(sharer_others(&sharer, 7, 1), 0);
    assert_true(test_redis_says(&redis, "ZCARD turnpike/{limits-7}alive", ":1"));
    sharer_end(&sharer);
    linked_sleep(&l, 50);
    assert_true(test_redis_says(&redis, "ZCARD turnpike/{limits-7}alive", ":0"));
    linked_end(&l);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_redis_tls_name_and_address_come_up_and_answer, reset),
        cmocka_unit_test_setup(test_redis_tls_pipelines_in_order, reset),
        cmocka_unit_test_setup(test_redis_tls_wrong_servers_are_refused, reset),
        cmocka_unit_test_setup(test_redis_tls_server_demands_our_certificate, reset),
        cmocka_unit_test_setup(test_redis_tls_is_not_confused_with_plain, reset),
        cmocka_unit_test_setup(test_redis_tls_renewed_lists_count_for_the_next_connection, reset),
        cmocka_unit_test_setup(test_redis_tls_frozen_handshake_has_a_deadline, reset),
        cmocka_unit_test_setup(test_redis_tls_limits_take_their_leave, reset),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
