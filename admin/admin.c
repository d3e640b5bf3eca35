/*
 * The admin server as a whole: where it listens, its clock, its token.
 *
 * Always: what the configuration names is had or the start fails; a built-in place that is taken
 * costs a warning, so that two relays of one host can both run on defaults. Called by
 * daemon/control.
 */
#include "admin/admin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "admin/listen.h"
#include "admin/server.h"
#include "base/log.h"

#define TICK_MS 1000
/* Longer than the path of any socket (108 bytes). */
#define PLACE_MAX 256

struct admin {
    struct admin_ops ops;
    struct secret token;
    struct admin_access access;
    struct admin_server *server;
    struct admin_listen *tcp, *local;
    uv_timer_t tick;
    bool ticking;
};

static void on_accept(void *ctx, int fd, bool local, bool trusted)
{
    struct admin *a = ctx;
    /* Over TCP it listens on loopback only. */
    const struct admin_peer peer = {.local = local, .trusted = trusted, .secure = true};
    admin_server_accept(a->server, fd, &peer, clock_now().mono_us);
}

static void on_tick(uv_timer_t *tick)
{
    struct admin *a = tick->data;
    admin_server_tick(a->server, clock_now().mono_us);
    admin_listen_resume(a->tcp);
    admin_listen_resume(a->local);
}

static int fail(struct admin_error *error, const char *key, const char *where, int r)
{
    const char *why = r == -ENOTSOCK ? "something else is in the way" : strerror(-r);
    snprintf(error->text, sizeof(error->text), "%s %s: %s", key, where, why);
    return r;
}

static void warn(const char *key, const char *where, int r)
{
    log_event(LOG_WARN, "admin_not_listening", log_str("key", key), log_str("where", where),
        log_str("error", r == -ENOTSOCK ? "something else is in the way" : strerror(-r)));
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
    int r = admin_listen_tcp(&a->tcp, on, &addr);
    if (r < 0 && given) {
        return fail(error, "admin.listen", text, r);
    }
    if (r < 0) {
        warn("admin.listen", text, r);
        return 0;
    }
    log_event(LOG_INFO, "admin_listening", log_addr("addr", &addr));
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
        a->access = (struct admin_access){.token = &a->token};
    }
    return a;
}

int admin_start(struct admin *a, uv_loop_t *loop, const struct admin_settings *settings,
    struct admin_error *error)
{
    struct admin_listen_on on = {.loop = loop,
        .accept = on_accept,
        .ctx = a,
        .given = a->ops.given,
        .given_ctx = a->ops.ctx};
    int r = admin_set_token(a, secret_slice(&settings->token));
    if (r < 0) {
        return fail(error, "admin", "token", r);
    }
    if (settings->listen == ADMIN_PLACE_NONE && settings->control == ADMIN_PLACE_NONE) {
        return 0;
    }
    uv_timer_init(loop, &a->tick);
    a->tick.data = a;
    a->ticking = true;
    a->server = admin_server_new(loop, &a->ops, &a->access);
    if (!a->server) {
        snprintf(error->text, sizeof(error->text),
            "admin: libwebsockets has no libuv (package libwebsockets-evlib-uv), or no memory");
        return -ENOSYS;
    }
    uv_timer_start(&a->tick, on_tick, TICK_MS, TICK_MS);
    r = listen_tcp(a, &on, settings, error);
    return r < 0 ? r : listen_local(a, &on, settings, error);
}

int admin_set_token(struct admin *a, struct slice token)
{
    struct secret next = {0};
    int r = secret_set(&next, token);
    if (r == 0) {
        secret_wipe(&a->token);
        a->token = next;
    }
    return r;
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
    secret_wipe(&a->token);
    free(a);
}
