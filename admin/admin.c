/*
 * The admin server as a whole: where it listens, its clock, whom it lets in.
 *
 * Always: nobody but this machine is spoken to in clear; what the configuration names is had or the
 * start fails; a built-in place that is taken costs a warning, so that two relays of one host can
 * both run on defaults. Called by daemon/control.
 */
#include "admin/admin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/listen.h"
#include "admin/policy.h"
#include "admin/server.h"
#include "admin/tls_front.h"
#include "base/log.h"
#include "base/open_error.h"

#define TICK_MS 1000
/* Longer than the path of any socket (108 bytes). */
#define PLACE_MAX 256

struct admin {
    struct admin_ops ops;
    struct admin_policy *policy; /* NULL: not started */
    struct admin_access access;  /* of it */
    struct admin_server *server;
    struct admin_tls_front *front;
    struct admin_listen *tcp, *local;
    uv_timer_t tick;
    bool ticking;
    bool beyond; /* TCP is reached from other machines */
};

/* The plain end of a connection: of one that has always been, or of TLS. */
static void on_open(void *ctx, int fd, const struct admin_peer *peer, uint64_t since_us)
{
    struct admin *a = ctx;
    admin_server_accept(a->server, fd, peer, since_us);
}

static void on_accept(void *ctx, int fd, const struct admin_peer *peer)
{
    struct admin *a = ctx;
    const struct admin_policy *p = a->policy;
    const uint64_t now_us = clock_now().mono_us;
    if (!peer->local && p->tls) {
        const struct admin_tls_terms terms = {.context = p->tls,
            .clients_known = p->clients_known,
            .clients_required = p->clients_required};
        admin_tls_front_accept(a->front, fd, peer, &terms, now_us);
    } else if (peer->secure) {
        on_open(a, fd, peer, now_us);
    } else {
        counters_add(a->ops.own, METRIC_ADMIN_CLOSED_HANDSHAKE, 1);
        close(fd);
    }
}

static void on_tick(uv_timer_t *tick)
{
    struct admin *a = tick->data;
    const uint64_t now_us = clock_now().mono_us;
    admin_server_tick(a->server, now_us);
    admin_tls_front_tick(a->front, now_us);
    admin_listen_resume(a->tcp);
    admin_listen_resume(a->local);
}

static const char *why_not(const char *where, int r)
{
    if (r == -ENOTSOCK) {
        return "something else is in the way";
    }
    return where[0] == '/' ? open_error_of_output(where, -r) : open_error_of_port(-r);
}

static int fail(struct admin_error *error, const char *key, const char *where, int r)
{
    snprintf(error->text, sizeof(error->text), "%s %s: %s", key, where, why_not(where, r));
    return r;
}

static void warn(const char *key, const char *where, int r)
{
    log_event(LOG_WARN, "admin_not_listening", log_str("key", key), log_str("where", where),
        log_str("error", why_not(where, r)));
}

static int listen_tcp(struct admin *a, const struct admin_listen_on *on,
    const struct admin_settings *settings, struct admin_error *error)
{
    bool given = settings->listen == ADMIN_PLACE_SET;
    struct addr addr;
    char text[ADDR_TEXT_MAX];
    if (!admin_settings_address(settings, &addr)) {
        return 0;
    }
    addr_format(&addr, text, sizeof(text));
    if (!addr_is_loopback(&addr) && !a->policy->tls) {
        snprintf(error->text, sizeof(error->text),
            "admin.listen %s: beyond loopback there must be admin.tls.cert and admin.tls.key",
            text);
        return -EINVAL;
    }
    int r = admin_listen_tcp(&a->tcp, on, &addr);
    if (r < 0 && given) {
        return fail(error, "admin.listen", text, r);
    }
    if (r < 0) {
        warn("admin.listen", text, r);
        return 0;
    }
    a->beyond = !addr_is_loopback(&addr);
    log_event(LOG_INFO, "admin_listening", log_addr("addr", &addr),
        log_str("tls", a->policy->tls ? "yes" : "no"));
    return 0;
}

/* In a folder that may still have to be made. 0 or -errno. */
static int listen_in(struct admin *a, const struct admin_listen_on *on, const char *folder,
    mode_t mode, char path[PLACE_MAX])
{
    int len = snprintf(path, PLACE_MAX, "%s/%s", folder, ADMIN_SOCKET_NAME);
    if (len < 0 || len >= PLACE_MAX) {
        return -ENAMETOOLONG;
    }
    if (mkdir(folder, mode) < 0 && errno != EEXIST) {
        return -errno;
    }
    return admin_listen_unix(&a->local, on, path);
}

/* /run/turnpike belongs to the service; who runs a relay as oneself has a folder of one's own. */
static int listen_anywhere(struct admin *a, const struct admin_listen_on *on, char path[PLACE_MAX])
{
    const char *own = getenv("XDG_RUNTIME_DIR");
    char folder[PLACE_MAX];
    int r = listen_in(a, on, ADMIN_DEFAULT_FOLDER, 0755, path);
    if ((r == -EACCES || r == -EPERM || r == -EROFS || r == -ENOENT) && own && own[0] == '/' &&
        strlen(own) < sizeof(folder) - sizeof("/turnpike")) {
        snprintf(folder, sizeof(folder), "%s/turnpike", own);
        r = listen_in(a, on, folder, 0700, path);
    }
    return r;
}

static int listen_local(struct admin *a, const struct admin_listen_on *on,
    const struct admin_settings *settings, struct admin_error *error)
{
    char path[PLACE_MAX];
    int r;
    switch (settings->control) {
    case ADMIN_PLACE_NONE:
        return 0;
    case ADMIN_PLACE_SET:
        snprintf(path, sizeof(path), "%s", settings->socket);
        r = admin_listen_unix(&a->local, on, path);
        if (r < 0) {
            return fail(error, "admin.socket", path, r);
        }
        break;
    default:
        r = listen_anywhere(a, on, path);
        if (r < 0) {
            warn("admin.socket", path, r);
            return 0;
        }
    }
    log_event(LOG_INFO, "admin_listening", log_str("socket", path));
    return 0;
}

struct admin *admin_new(const struct admin_ops *ops)
{
    struct admin *a = calloc(1, sizeof(*a));
    if (a) {
        a->ops = *ops;
    }
    return a;
}

static int start_server(struct admin *a, uv_loop_t *loop, struct admin_error *error)
{
    const struct admin_tls_front_on on = {
        .loop = loop, .own = a->ops.own, .open = on_open, .ctx = a};
    uv_timer_init(loop, &a->tick);
    a->tick.data = a;
    a->ticking = true;
    a->front = admin_tls_front_new(&on);
    const int r = a->front ? admin_server_new(&a->server, loop, &a->ops, &a->access) : -ENOMEM;
    if (r == -ENOSYS) {
        snprintf(error->text, sizeof(error->text),
            "admin: libwebsockets has no libuv (package libwebsockets-evlib-uv), or no memory for "
            "it");
    } else if (r < 0) {
        snprintf(error->text, sizeof(error->text), "admin: %s", strerror(-r));
    }
    if (r < 0) {
        return r;
    }
    uv_timer_start(&a->tick, on_tick, TICK_MS, TICK_MS);
    return 0;
}

int admin_start(struct admin *a, uv_loop_t *loop, const struct admin_settings *settings,
    struct admin_error *error)
{
    struct admin_listen_on on = {.loop = loop,
        .accept = on_accept,
        .ctx = a,
        .given = a->ops.given,
        .given_ctx = a->ops.ctx};
    struct admin_policy *policy;
    int r = admin_policy_new(&policy, settings, error);
    if (r < 0) {
        return r;
    }
    admin_set_policy(a, policy);
    if (settings->listen == ADMIN_PLACE_NONE && settings->control == ADMIN_PLACE_NONE) {
        return 0;
    }
    r = start_server(a, loop, error);
    if (r == 0) {
        r = listen_tcp(a, &on, settings, error);
    }
    return r < 0 ? r : listen_local(a, &on, settings, error);
}

void admin_set_policy(struct admin *a, struct admin_policy *policy)
{
    admin_policy_free(a->policy);
    a->policy = policy;
    if (a->beyond && !policy->tls) {
        log_event(LOG_WARN, "admin_unreachable",
            log_str("why", "nothing is served in clear beyond loopback, until the next start"));
    }
    a->access = (struct admin_access){
        .token = &policy->token, .hosts = policy->hosts, .host_count = policy->host_count};
}

const struct tls_context *admin_certificates(const struct admin *a)
{
    return a->policy ? a->policy->tls : NULL;
}

void admin_close(struct admin *a)
{
    if (!a || !a->ticking) {
        return;
    }
    admin_listen_close(a->tcp);
    admin_listen_close(a->local);
    a->tcp = a->local = NULL;
    uv_close((uv_handle_t *)&a->tick, NULL);
    a->ticking = false;
    admin_tls_front_close(a->front);
    if (a->server) {
        admin_server_close(a->server);
    }
}

void admin_free(struct admin *a)
{
    if (!a) {
        return;
    }
    admin_server_free(a->server);
    admin_tls_front_free(a->front);
    admin_policy_free(a->policy);
    free(a);
}

void admin_leave(struct admin *a)
{
    if (!a) {
        return;
    }
    admin_server_leave(a->server);
    admin_policy_free(a->policy);
    a->policy = NULL;
}
