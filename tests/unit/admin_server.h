/* admin/server over socket pairs and a real loop, with a daemon that a test decides about. */
#ifndef TESTS_UNIT_ADMIN_SERVER_H
#define TESTS_UNIT_ADMIN_SERVER_H

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "admin/server.h"

#define TOKEN "0123456789abcdef"

struct fixture {
    uv_loop_t loop;
    struct counters own;
    struct admin_ops ops;
    enum admin_state state;
    struct secret token;
    struct admin_access access;
    struct admin_server *server;
    unsigned files;
    /* What was asked last, and what is answered. */
    struct admin_revocation revoked;
    unsigned revocations, explains;
    int revoke_returns;
    enum auth_known known;
    char asked[16 * 1024]; /* texts of the last question, each in brackets */
    bool explain_waits;    /* the answer is given by explain_now */
    bool no_realm;
    struct auth_explanation explanation;
    struct admin_explain waiting[32];
    unsigned waits;
    struct admin_limits limits; /* as it was asked last; its texts are in `asked` */
    struct admin_limits_found limits_found;
    unsigned inspections;
    struct admin_srtp_key srtp_key; /* likewise */
    unsigned srtp_keys;
    int srtp_key_returns;
    const char *srtp_key_why; /* with -EINVAL */
};

static enum admin_state fake_state(void *ctx)
{
    return ((struct fixture *)ctx)->state;
}

static void fake_status(void *ctx, struct admin_status *out)
{
    *out = (struct admin_status){.version = "1.2.3",
        .state = fake_state(ctx),
        .config_file = "\xff",
        .sandbox = {.user = "turnpike"}};
}

static void fake_counters(void *ctx, struct counters_sum *out)
{
    *out = (struct counters_sum){0};
    counters_sum_add(out, &((struct fixture *)ctx)->own);
}

static bool fake_listener(void *ctx, size_t n, struct admin_listener *out)
{
    *out = (struct admin_listener){.proto = "udp", .addr = addr_ipv4(192, 0, 2, 1, 3478)};
    return n < 3;
}

static bool fake_relayed(void *ctx, size_t n, struct admin_relayed *out)
{
    return false;
}

static void keep(struct fixture *f, struct slice text)
{
    size_t len = strlen(f->asked);
    snprintf(f->asked + len, sizeof(f->asked) - len, "[%.*s]", (int)text.len,
        text.data ? (const char *)text.data : "");
}

static int fake_revoke(void *ctx, const struct admin_revocation *what, enum auth_known *known)
{
    struct fixture *f = ctx;
    f->revocations++;
    f->revoked = *what;
    f->asked[0] = '\0';
    keep(f, what->realm);
    keep(f, what->id);
    if (f->revoke_returns == 0)
        *known = f->known;
    return f->revoke_returns;
}

static void fake_explain(void *ctx, const struct admin_explain *what)
{
    struct fixture *f = ctx;
    f->explains++;
    f->asked[0] = '\0';
    keep(f, what->realm);
    keep(f, what->user);
    keep(f, what->password);
    keep(f, what->token);
    if (f->explain_waits && f->waits < sizeof(f->waiting) / sizeof(f->waiting[0]))
        f->waiting[f->waits++] = *what;
    else
        what->explained(what->ctx, f->no_realm ? NULL : &f->explanation);
}

static void fake_limits(void *ctx, const struct admin_limits *what)
{
    struct fixture *f = ctx;
    f->inspections++;
    f->limits = *what;
    f->asked[0] = '\0';
    keep(f, what->realm);
    keep(f, what->user);
    what->found(what->ctx, f->no_realm ? NULL : &f->limits_found);
}

static int fake_srtp_key(void *ctx, const struct admin_srtp_key *what, const char **why)
{
    struct fixture *f = ctx;
    f->srtp_keys++;
    f->srtp_key = *what;
    f->asked[0] = '\0';
    keep(f, what->realm);
    keep(f, what->user);
    keep(f, what->crypto);
    if (f->srtp_key_returns == -EINVAL)
        *why = f->srtp_key_why;
    return f->srtp_key_returns;
}

/* Answers everything that waits. */
static inline void explain_now(struct fixture *f)
{
    for (unsigned i = 0; i < f->waits; i++)
        f->waiting[i].explained(f->waiting[i].ctx, &f->explanation);
    f->waits = 0;
}

static unsigned open_files(void)
{
    unsigned count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

static void run(struct fixture *f)
{
    for (int i = 0; i < 20; i++)
        uv_run(&f->loop, UV_RUN_NOWAIT);
}

static int set_up(void **state)
{
    struct fixture *f = NULL;
    if (posix_memalign((void **)&f, 64, sizeof(*f)) != 0)
        return -1;
    memset(f, 0, sizeof(*f));
    f->files = open_files();
    uv_loop_init(&f->loop);
    f->state = ADMIN_RUNNING;
    f->ops = (struct admin_ops){.ctx = f,
        .revoke = fake_revoke,
        .explain = fake_explain,
        .limits = fake_limits,
        .srtp_key = fake_srtp_key,
        .state = fake_state,
        .status = fake_status,
        .counters = fake_counters,
        .listener = fake_listener,
        .relayed = fake_relayed,
        .own = &f->own};
    f->token = (struct secret){(uint8_t *)TOKEN, sizeof(TOKEN) - 1};
    f->access = (struct admin_access){.token = &f->token};
    *state = f;
    return admin_server_new(&f->server, &f->loop, &f->ops, &f->access);
}

/* libuv keeps two descriptors from its first loop on. */
static inline int warm_up(void **state)
{
    uv_loop_t loop;
    return uv_loop_init(&loop) == 0 ? uv_loop_close(&loop) : -1;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    admin_server_close(f->server);
    bool outlived = f->waits > 1; /* some come while it ends, some when it is gone */
    if (f->waits == 1)
        explain_now(f);
    while (uv_run(&f->loop, UV_RUN_DEFAULT) != 0) {
    }
    admin_server_free(f->server);
    if (outlived)
        explain_now(f);
    int r = uv_loop_close(&f->loop);
    unsigned left = open_files() - f->files;
    free(f);
    if (r != 0 || left != 0)
        print_error("the loop says %d, %u descriptors are left\n", r, left);
    return r != 0 || left != 0 ? -1 : 0;
}

/* The client's end; the server's is handed over. */
static inline int join(struct fixture *f, bool local, bool trusted, uint64_t now_us)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    const struct admin_peer peer = {.local = local, .trusted = trusted, .secure = true};
    admin_server_accept(f->server, pair[1], &peer, now_us);
    return pair[0];
}

static inline void say(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

/* Everything up to the end of the connection, or "" if it goes on; closes it. */
static inline const char *hear(struct fixture *f, int fd)
{
    static char text[1 << 19];
    size_t len = 0;
    ssize_t n = -1;
    for (int i = 0; i < 200; i++) {
        run(f);
        while ((n = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
            len += (size_t)n;
        if (n == 0)
            break;
    }
    close(fd);
    text[n == 0 || len > 0 ? len : 0] = '\0';
    return text;
}

static inline bool is_open(struct fixture *f, int fd)
{
    char byte;
    run(f);
    return read(fd, &byte, 1) < 0 && errno == EAGAIN;
}

static inline uint64_t counted(const struct fixture *f, enum metric m)
{
    return atomic_load(&f->own.metric[m]);
}

static inline const char *ask(struct fixture *f, bool trusted, const char *request)
{
    int fd = join(f, true, trusted, 0);
    say(fd, request);
    return hear(f, fd);
}

static inline void assert_starts(const char *text, const char *start)
{
    if (!text || strncmp(text, start, strlen(start)) != 0)
        fail_msg("'%.80s' does not start with '%s'", text ? text : "", start);
}

/* POST, and the answer; `type` NULL: none is said. */
static inline const char *post(
    struct fixture *f, const char *path, const char *type, const char *body, size_t len)
{
    static char request[32 * 1024];
    int n =
        snprintf(request, sizeof(request), "POST %s HTTP/1.1\r\n%s%s%sContent-Length: %zu\r\n\r\n",
            path, type ? "Content-Type: " : "", type ? type : "", type ? "\r\n" : "", len);
    assert_true(n > 0 && (size_t)n + len < sizeof(request));
    memcpy(request + n, body, len);
    int fd = join(f, true, true, 0);
    assert_int_equal(send(fd, request, (size_t)n + len, MSG_NOSIGNAL), (ssize_t)((size_t)n + len));
    return hear(f, fd);
}

static inline const char *post_json(struct fixture *f, const char *path, const char *body)
{
    return post(f, path, "application/json", body, strlen(body));
}

#define SERVER(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
