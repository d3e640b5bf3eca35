/*
 * The admin server's connections.
 *
 * Always: one request a connection, and a deadline for it and for its answer, so nobody holds a
 * place for long; no request leaves anything behind. An answer goes to the socket whole, and then
 * the connection ends: input that nobody reads would wake the loop without end. What libwebsockets
 * decides itself (a path that leaves the root, headers too long) ends the connection. Called by
 * admin.c.
 */
#include "admin/server.h"

#include <errno.h>
#include <libwebsockets.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

/* A connection that was told to close keeps its place until the library is done with it. */
#define CLOSING_PLACES 16
#define TCP_PLACES     (ADMIN_TCP_CONNECTIONS + CLOSING_PLACES)
#define PLACES         (TCP_PLACES + ADMIN_LOCAL_CONNECTIONS + CLOSING_PLACES)
/* Descriptors of the library's own, and some room. */
#define SPARE_FILES 16
/* The library's own timeouts come later than ours, which are counted. */
#define LIBRARY_TIMEOUT_S (3 * ADMIN_REQUEST_S)
/* Of an answer. */
#define HEAD_MAX 1024
/* No answer is longer; the socket's send buffer and one write of the library have room for it. */
#define ANSWER_MAX (192 * 1024)
/* A b64token of the longest token, its scheme, and some room. */
#define AUTHORIZATION_MAX 640
#define HOST_MAX          128

struct connection {
    struct lws *wsi; /* NULL: a free place */
    bool local, trusted;
    bool closing;    /* told to close */
    unsigned status; /* of the answer; 0: none yet */
    uint64_t since_us;
    char *body;
    size_t len;
};

struct admin_server {
    struct lws_context *context; /* NULL again when it is gone for good */
    struct lws_vhost *vhost;
    const struct admin_ops *ops;
    const struct secret *token;
    struct connection connections[PLACES];
};

static struct admin_server *server_of(struct lws *wsi)
{
    return lws_context_user(lws_get_context(wsi));
}

static void connection_release(struct connection *c)
{
    free(c->body);
    *c = (struct connection){0};
}

/* Not from within a callback of the connection itself. At once: what the library is asked to do
 * later waits until something else wakes it. */
static void connection_close(struct connection *c)
{
    c->closing = true;
    lws_set_timeout(c->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
}

static enum admin_method method_of(struct lws *wsi, char **path, int *path_len)
{
    switch (lws_http_get_uri_and_method(wsi, path, path_len)) {
    case LWSHUMETH_GET:
        return ADMIN_GET;
    case LWSHUMETH_HEAD:
        return ADMIN_HEAD;
    case LWSHUMETH_POST:
        return ADMIN_POST;
    default:
        return ADMIN_OTHER_METHOD;
    }
}

static struct slice header(struct lws *wsi, enum lws_token_indexes name, char *room, int cap)
{
    int len = lws_hdr_copy(wsi, room, cap, name);
    return slice_of(room, len > 0 ? (size_t)len : 0);
}

static bool has_body(struct lws *wsi)
{
    char length[24];
    struct slice value = header(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH, length, sizeof(length));
    return lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) > 0 ||
           (lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH) > 0 &&
               !slice_equal(value, slice_of_string("0")));
}

/* The body goes to connection->body. Returns the status. */
static unsigned serve(struct admin_server *s, struct connection *c,
    const struct admin_question *question, const char **type)
{
    const struct admin_route *route = NULL;
    unsigned status = admin_route_judge(question, s->token, &route);
    FILE *out = open_memstream(&c->body, &c->len);
    if (!out) {
        return 500;
    }
    if (status == 200) {
        struct admin_request request = {.ops = s->ops, .question = question};
        status = route->handle(&request, out);
        *type = route->type;
    } else {
        fprintf(out, "%s\n", admin_status_text(status));
    }
    return fclose(out) == 0 ? status : 500;
}

static void count(struct admin_server *s, unsigned status)
{
    static const struct {
        unsigned status;
        enum metric metric;
    } known[] = {{200, METRIC_ADMIN_200}, {401, METRIC_ADMIN_401}, {403, METRIC_ADMIN_403},
        {404, METRIC_ADMIN_404}, {405, METRIC_ADMIN_405}, {413, METRIC_ADMIN_413},
        {503, METRIC_ADMIN_503}};
    enum metric metric = METRIC_ADMIN_500;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (known[i].status == status) {
            metric = known[i].metric;
        }
    }
    counters_add(s->ops->own, metric, 1);
}

static int add_header(
    struct lws *wsi, const char *name, const char *value, uint8_t **p, uint8_t *end)
{
    return lws_add_http_header_by_name(
        wsi, (const uint8_t *)name, (const uint8_t *)value, (int)strlen(value), p, end);
}

static int add_headers(
    struct lws *wsi, const struct connection *c, const char *type, uint8_t **p, uint8_t *end)
{
    char length[24];
    snprintf(length, sizeof(length), "%zu", c->len);
    return lws_add_http_header_status(wsi, c->status, p, end) ||
           add_header(wsi, "content-type:", type, p, end) ||
           add_header(wsi, "content-length:", length, p, end) ||
           add_header(wsi, "cache-control:", "no-store", p, end) ||
           add_header(wsi, "x-content-type-options:", "nosniff", p, end) ||
           (c->status == 401 && add_header(wsi, "www-authenticate:", "Bearer", p, end)) ||
           (c->status == 405 && add_header(wsi, "allow:", "GET, HEAD", p, end)) ||
           add_header(wsi, "connection:", "close", p, end) || lws_finalize_http_header(wsi, p, end);
}

/*
 * Head and body in one write: the socket's buffer takes any answer whole, so that a client that
 * does not read holds up nothing here. 0, or -1: the connection is broken.
 */
static int send_answer(
    struct lws *wsi, const struct connection *c, const char *type, bool with_body)
{
    uint8_t *room = malloc(LWS_PRE + HEAD_MAX + c->len);
    if (!room) {
        return -1;
    }
    uint8_t *start = room + LWS_PRE, *p = start;
    int r = add_headers(wsi, c, type, &p, start + HEAD_MAX) ? -1 : 0;
    if (r == 0 && with_body && c->len > 0) {
        memcpy(p, c->body, c->len);
        p += c->len;
    }
    if (r == 0 && lws_write(wsi, start, (size_t)(p - start), LWS_WRITE_HTTP) < (int)(p - start)) {
        r = -1;
    }
    free(room);
    return r;
}

/* What the client sent and nobody reads would turn the close into a reset, which takes the answer
 * with it. */
static void discard_input(int fd)
{
    char room[4096];
    for (int i = 0; i < 16 && read(fd, room, sizeof(room)) > 0; i++) {
    }
}

/* Nothing is in the library's own buffer when this is called: the answer is on its way. */
static int on_writable(struct lws *wsi, const struct connection *c)
{
    if (!c->status) {
        return 0;
    }
    discard_input(lws_get_socket_fd(wsi));
    return -1;
}

static int on_request(struct lws *wsi, struct connection *c)
{
    struct admin_server *s = server_of(wsi);
    char host[HOST_MAX], authorization[AUTHORIZATION_MAX], *path = NULL;
    int path_len = 0;
    struct admin_question question = {.method = method_of(wsi, &path, &path_len),
        .host = header(wsi, WSI_TOKEN_HOST, host, sizeof(host)),
        .authorization =
            header(wsi, WSI_TOKEN_HTTP_AUTHORIZATION, authorization, sizeof(authorization)),
        .has_body = has_body(wsi),
        .local = c->local,
        .trusted = c->trusted};
    question.path = slice_of(path, path_len > 0 ? (size_t)path_len : 0);
    const char *type = "text/plain; charset=utf-8";
    c->status = serve(s, c, &question, &type);
    secret_cleanse(authorization, sizeof(authorization));
    c->since_us = clock_now().mono_us;
    count(s, c->status);
    if (send_answer(wsi, c, type, question.method != ADMIN_HEAD) < 0) {
        return -1;
    }
    if (!lws_partial_buffered(wsi)) {
        return on_writable(wsi, c);
    }
    lws_callback_on_writable(wsi);
    return 0;
}

static void on_gone(struct lws *wsi, struct connection *c)
{
    if (!c->status && !c->closing) {
        counters_add(server_of(wsi)->ops->own, METRIC_ADMIN_CLOSED_BROKEN, 1);
    }
    connection_release(c);
}

static int on_event(
    struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
    struct connection *c = wsi ? lws_get_opaque_user_data(wsi) : NULL;
    switch (reason) {
    case LWS_CALLBACK_HTTP:
        return c ? on_request(wsi, c) : -1;
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return c ? on_writable(wsi, c) : -1;
    case LWS_CALLBACK_WSI_DESTROY:
        if (c) {
            on_gone(wsi, c);
        }
        return 0;
    /* Nothing but HTTP/1.1: no websockets, no HTTP/2, no tunnel by CONNECT. */
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
    case LWS_CALLBACK_RAW_ADOPT:
    case LWS_CALLBACK_RAW_RX:
        return -1;
    default:
        return 0;
    }
}

static const struct lws_protocols protocols[] = {
    {"admin", on_event, 0, 0, 0, NULL, ANSWER_MAX}, {0}};

/* What the library says comes from clients' input, mostly. */
static void on_log(int level, const char *line)
{
    log_event(LOG_DEBUG, "admin_library", log_bytes("text", slice_of(line, strcspn(line, "\n"))));
}

struct admin_server *admin_server_new(
    uv_loop_t *loop, const struct admin_ops *ops, const struct secret *token)
{
    struct admin_server *s = calloc(1, sizeof(*s));
    if (!s) {
        return NULL;
    }
    s->ops = ops;
    s->token = token;
    void *loops[1] = {loop};
    struct lws_context_creation_info info = {
        .options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
                   LWS_SERVER_OPTION_SKIP_SERVER_CANONICAL_NAME |
                   LWS_SERVER_OPTION_DISABLE_OS_CA_CERTS,
        .foreign_loops = loops,
        .pcontext = &s->context,
        .user = s,
        .protocols = protocols,
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .vhost_name = "admin",
        .max_http_header_data = ADMIN_HEADERS_MAX,
        .fd_limit_per_thread = PLACES + SPARE_FILES,
        .timeout_secs = LIBRARY_TIMEOUT_S,
        .timeout_secs_ah_idle = LIBRARY_TIMEOUT_S,
        .keepalive_timeout = LIBRARY_TIMEOUT_S,
        .uid = -1,
        .gid = -1,
    };
    lws_set_log_level(LLL_ERR | LLL_WARN, on_log);
    s->context = lws_create_context(&info);
    s->vhost = s->context ? lws_create_vhost(s->context, &info) : NULL;
    if (!s->context) {
        free(s);
        return NULL;
    }
    return s;
}

/*
 * A free place of its kind, or NULL. Where as many are open as may be, the oldest that still owes
 * its request is told to close.
 */
static struct connection *make_place(struct admin_server *s, bool local)
{
    size_t first = local ? TCP_PLACES : 0, end = local ? PLACES : TCP_PLACES;
    size_t open = 0, most = local ? ADMIN_LOCAL_CONNECTIONS : ADMIN_TCP_CONNECTIONS;
    struct connection *oldest = NULL, *place = NULL;
    for (size_t i = first; i < end; i++) {
        struct connection *c = &s->connections[i];
        if (!c->wsi) {
            place = c;
        } else if (!c->closing) {
            open++;
            if (!c->status && (!oldest || c->since_us < oldest->since_us)) {
                oldest = c;
            }
        }
    }
    if (open < most) {
        return place;
    }
    counters_add(s->ops->own, METRIC_ADMIN_CLOSED_FULL, 1);
    if (!oldest || !place) {
        return NULL;
    }
    connection_close(oldest);
    return place;
}

void admin_server_accept(struct admin_server *s, int fd, bool local, bool trusted, uint64_t now_us)
{
    struct connection *c = s->vhost ? make_place(s, local) : NULL;
    if (!c) {
        close(fd);
        return;
    }
    int room = ANSWER_MAX;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    struct lws *wsi = lws_adopt_socket_vhost(s->vhost, fd);
    if (!wsi) {
        return; /* the library has closed it */
    }
    *c = (struct connection){.wsi = wsi, .local = local, .trusted = trusted, .since_us = now_us};
    lws_set_opaque_user_data(wsi, c);
}

void admin_server_tick(struct admin_server *s, uint64_t now_us)
{
    for (size_t i = 0; i < PLACES; i++) {
        struct connection *c = &s->connections[i];
        uint64_t most = (c->status ? ADMIN_RESPONSE_S : ADMIN_REQUEST_S) * US_PER_S;
        if (c->wsi && !c->closing && now_us - c->since_us >= most) {
            counters_add(s->ops->own, METRIC_ADMIN_CLOSED_LATE, 1);
            connection_close(c);
        }
    }
}

void admin_server_close(struct admin_server *s)
{
    lws_context_destroy(s->context);
}

void admin_server_free(struct admin_server *s)
{
    if (!s) {
        return;
    }
    /* The first time only began it: handles of libuv close through the loop. */
    if (s->context) {
        lws_context_destroy(s->context);
    }
    for (size_t i = 0; i < PLACES; i++) {
        connection_release(&s->connections[i]);
    }
    free(s);
}
