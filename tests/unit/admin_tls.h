/* The admin server behind TLS: admin/policy, admin/tls_front and admin/server over socket pairs and
 * a real loop, against clients that are OpenSSL's own. */
#ifndef TESTS_UNIT_ADMIN_TLS_H
#define TESTS_UNIT_ADMIN_TLS_H

#include "tests/unit/admin_server.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "admin/policy.h"
#include "admin/tls_front.h"
#include "tests/tls/client.h"
#include "tests/tls/server.h"

#define REVOKED 66

/* Files are made once; they are the same for all tests of a program. */
static struct test_server files;
static struct test_identity clients_authority, stranger;
static struct admin_settings settings;
static struct secret settings_token = {(uint8_t *)TOKEN, sizeof(TOKEN) - 1};
static struct admin_policy *policy;
static struct admin_tls_front *front;
static struct admin_peer opened; /* of the latest whose handshake was complete */
static unsigned opens;
static uint64_t dialled_us; /* when the next connection is accepted */
static int send_room;       /* of the server's end of a connection; 0: the system's */

struct tls_client {
    SSL *ssl; /* owns the descriptor */
    int fd;
};

/* A list of its own, "crl-NAME.pem". Static. */
static inline char *write_list_of(
    const struct test_identity *issuer, const char *name, long begins_s, long ends_s)
{
    char file[64];
    X509_CRL *list = test_list_new(&(struct test_list){
        .issuer = issuer, .revoked = REVOKED, .begins_s = begins_s, .ends_s = ends_s});
    snprintf(file, sizeof(file), "crl-%s.pem", name);
    static char paths[8][300];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof(paths[0]), "%s", test_write_list(files.folder, file, list));
    X509_CRL_free(list);
    return path;
}

static inline int make_files(void **state)
{
    static char ca[300];
    test_server_init(&files);
    clients_authority = test_identity_new(
        &(struct test_certificate){.name = "Operators", .authority = true, .serial = 10});
    stranger = test_identity_new(
        &(struct test_certificate){.name = "Stranger", .authority = true, .serial = 12});
    snprintf(ca, sizeof(ca), "%s",
        test_write_cert(files.folder, "operators.pem", clients_authority.cert));
    settings = (struct admin_settings){.token = settings_token,
        .tls = {.pair = files.certificates[0],
            .client_ca = ca,
            .client_crl = write_list_of(&clients_authority, "fresh", 0, 0)}};
    /* What OpenSSL and libuv keep from their first use on is no leak of a test's. */
    return warm_up(state);
}

static inline int remove_files(void **state)
{
    test_identity_free(&clients_authority);
    test_identity_free(&stranger);
    test_server_deinit(&files);
    return 0;
}

static inline void on_open(void *ctx, int fd, const struct admin_peer *peer, uint64_t since_us)
{
    struct fixture *f = ctx;
    opened = *peer;
    opens++;
    admin_server_accept(f->server, fd, peer, since_us);
}

static inline void use_settings(struct fixture *f, const struct admin_settings *s)
{
    struct admin_policy *next = NULL;
    struct admin_error error = {""};
    if (admin_policy_new(&next, s, &error) < 0)
        fail_msg("%s", error.text);
    admin_policy_free(policy);
    policy = next;
    f->access = (struct admin_access){
        .token = &policy->token, .hosts = policy->hosts, .host_count = policy->host_count};
}

static inline int set_up_tls(void **state)
{
    if (set_up(state) != 0)
        return -1;
    struct fixture *f = *state;
    opens = 0;
    use_settings(f, &settings);
    front = admin_tls_front_new(
        &(struct admin_tls_front_on){.loop = &f->loop, .own = &f->own, .open = on_open, .ctx = f});
    return front ? 0 : -1;
}

static inline int tear_down_tls(void **state)
{
    admin_tls_front_close(front);
    int r = tear_down(state);
    admin_tls_front_free(front);
    admin_policy_free(policy);
    policy = NULL;
    return r;
}

/* A connection from that address (of 192.0.2.0/24, or of `host` where it is over 255). */
static inline struct tls_client dial_raw(struct fixture *f, unsigned host, uint64_t now_us)
{
    int pair[2];
    const struct admin_peer peer = {.at = addr_ipv4(198, 51, 100, 1, 9641),
        .from = addr_ipv4(192, 0, (uint8_t)(2 + (host >> 8)), (uint8_t)host, 5000)};
    const struct admin_tls_terms terms = {.context = policy->tls,
        .clients_known = policy->clients_known,
        .clients_required = policy->clients_required};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    if (send_room)
        setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &send_room, sizeof(send_room));
    admin_tls_front_accept(front, pair[1], &peer, &terms, now_us);
    return (struct tls_client){.fd = pair[0]};
}

static inline struct tls_client dial(
    struct fixture *f, int version, const struct test_identity *identity)
{
    SSL_CTX *ctx = test_client_ctx(version, version);
    struct tls_client c = dial_raw(f, 1, dialled_us);
    c.ssl = SSL_new(ctx);
    SSL_CTX_free(ctx);
    BIO *bio = BIO_new_socket(c.fd, BIO_CLOSE);
    SSL_set_bio(c.ssl, bio, bio);
    SSL_set_connect_state(c.ssl);
    if (identity) {
        SSL_use_certificate(c.ssl, identity->cert);
        SSL_use_PrivateKey(c.ssl, identity->key);
    }
    return c;
}

static inline void hang_up(struct tls_client *c)
{
    if (c->ssl)
        SSL_free(c->ssl);
    else
        close(c->fd);
    ERR_clear_error();
    *c = (struct tls_client){.fd = -1};
}

/* True: both sides are through it, as far as the client can tell. */
static inline bool shake_hands(struct fixture *f, struct tls_client *c)
{
    for (int i = 0; i < 20; i++) {
        ERR_clear_error();
        int r = SSL_do_handshake(c->ssl);
        if (r == 1)
            return true;
        if (SSL_get_error(c->ssl, r) != SSL_ERROR_WANT_READ)
            return false;
        run(f);
    }
    return false;
}

/* Everything up to the end; *orderly: with close_notify. Static. */
static inline const char *hear_tls(struct fixture *f, struct tls_client *c, bool *orderly)
{
    static char text[1 << 19];
    size_t len = 0, n;
    *orderly = false;
    for (int i = 0; i < 400; i++) {
        ERR_clear_error();
        int r = SSL_read_ex(c->ssl, text + len, sizeof(text) - 1 - len, &n);
        if (r == 1) {
            len += n;
            continue;
        }
        int error = SSL_get_error(c->ssl, r);
        if (error != SSL_ERROR_WANT_READ) {
            *orderly = error == SSL_ERROR_ZERO_RETURN;
            break;
        }
        run(f);
    }
    text[len] = '\0';
    return text;
}

/* "" where no answer of HTTP comes. */
static inline const char *ask_tls(
    struct fixture *f, int version, const struct test_identity *identity, const char *request)
{
    struct tls_client c = dial(f, version, identity);
    const char *answer = "";
    bool orderly = false;
    if (shake_hands(f, &c) && SSL_write(c.ssl, request, (int)strlen(request)) > 0)
        answer = hear_tls(f, &c, &orderly);
    if (answer[0])
        assert_true(orderly);
    hang_up(&c);
    run(f);
    return answer;
}

#define OVER_TLS(name) cmocka_unit_test_setup_teardown(name, set_up_tls, tear_down_tls)

#endif
