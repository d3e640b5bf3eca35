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
#include <fcntl.h>
#include <libwebsockets.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/answer.h"
#include "admin/json_body.h"
#include "admin/lws_memory.h"
#include "admin/problem.h"
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
/* A b64token of the longest token, its scheme, and some room. */
#define AUTHORIZATION_MAX 640
#define HOST_MAX          128
#define CONTENT_TYPE_MAX  128

/* What a client sends behind its headers. */
struct input {
    uint8_t *data; /* wiped before it is freed */
    size_t len, whole;
};

struct connection {
    struct lws *wsi; /* NULL: a free place */
    struct admin_peer peer;
    bool closing; /* told to close */
    bool sent;    /* the answer is on its way */
    bool api;     /* refusals are problem details */
    uint64_t since_us;
    const struct admin_route *route; /* what its input is for */
    struct input input;
    struct admin_later *later; /* its answer is being made */
    struct admin_answer answer;
};

struct admin_server {
    struct lws_context *context; /* NULL again when it is gone for good */
    struct lws_vhost *vhost;
    const struct admin_ops *ops;
    const struct admin_access *access;
    struct admin_laters laters;
    struct connection connections[PLACES];
};

static struct admin_server *server_of(struct lws *wsi)
{
    return lws_context_user(lws_get_context(wsi));
}

static void input_free(struct input *in)
{
    if (in->data) {
        secret_cleanse(in->data, in->whole);
    }
    free(in->data);
    *in = (struct input){0};
}

/* It may hold a password. */
static void answer_free(struct admin_answer *a)
{
    if (a->body) {
        secret_cleanse(a->body, a->len);
    }
    free(a->body);
    a->body = NULL;
}

static void connection_release(struct connection *c)
{
    if (c->later) {
        admin_later_abandon(c->later);
    }
    input_free(&c->input);
    answer_free(&c->answer);
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

/* Digits only, as "Content-Length = 1*DIGIT" (RFC 9110 section 8.6), and not as the library reads
 * it; 0 for everything else, and some number over ADMIN_BODY_MAX for all that are over it. */
static size_t number(struct slice text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return 0;
        }
        n = n > ADMIN_BODY_MAX ? n : n * 10 + (size_t)(text.data[i] - '0');
    }
    return n;
}

static void ask_body(struct lws *wsi, struct admin_question *q)
{
    char room[24];
    bool chunked = lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) > 0;
    struct slice length = header(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH, room, sizeof(room));
    q->has_body = chunked || (lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH) > 0 &&
                                 !slice_equal(length, slice_of_string("0")));
    q->body_len = chunked ? 0 : number(length);
}

static void count(struct admin_server *s, unsigned status)
{
    static const struct {
        unsigned status;
        enum metric metric;
    } known[] = {{200, METRIC_ADMIN_200}, {401, METRIC_ADMIN_401}, {403, METRIC_ADMIN_403},
        {404, METRIC_ADMIN_404}, {405, METRIC_ADMIN_405}, {413, METRIC_ADMIN_413},
        {503, METRIC_ADMIN_503}, {400, METRIC_ADMIN_400}, {415, METRIC_ADMIN_415},
        {422, METRIC_ADMIN_422}, {429, METRIC_ADMIN_429}, {501, METRIC_ADMIN_501},
        {507, METRIC_ADMIN_507}};
    enum metric metric = METRIC_ADMIN_500;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (known[i].status == status) {
            metric = known[i].metric;
        }
    }
    counters_add(s->ops->own, metric, 1);
}

/* Takes `body` over. */
static void answer(struct connection *c, unsigned status, char *body, size_t len)
{
    struct admin_answer *a = &c->answer;
    const bool good = status < 300;
    answer_free(a);
    a->body = good || !c->api ? body : admin_problem_take(status, body, &len);
    a->len = len;
    a->status = status;
    a->type = good && c->route ? c->route->type : c->api ? ADMIN_PROBLEM_TYPE : ADMIN_TEXT_TYPE;
    a->again = c->api && (status == 429 || status == 503);
    const struct instant now = clock_now();
    a->wall_s = now.wall_s;
    c->since_us = now.mono_us;
    count(server_of(c->wsi), status);
}

static void refuse(struct connection *c, unsigned status)
{
    char *text = NULL;
    int len = asprintf(&text, "%s\n", admin_status_text(status));
    answer(c, status, len < 0 ? NULL : text, len < 0 ? 0 : (size_t)len);
}

/* Also while the handler still runs. */
static void on_later(void *ctx, unsigned status, char *body, size_t len)
{
    struct connection *c = ctx;
    c->later = NULL;
    answer(c, status, body, len);
    lws_callback_on_writable(c->wsi);
}

/* Has the request served: the answer is there then, or c->later. */
static void serve(struct admin_server *s, struct connection *c)
{
    struct admin_request request = {.ops = s->ops, .body = slice_of(c->input.data, c->input.len)};
    char *text = NULL;
    size_t len = 0;
    if (c->route->answers_later) {
        c->later = request.later = admin_later_new(&s->laters, on_later, c);
        if (!c->later) {
            refuse(c, 503);
            return;
        }
        c->since_us = clock_now().mono_us;
    }
    FILE *out = open_memstream(&text, &len);
    unsigned status = out ? c->route->handle(&request, out) : 500;
    if (out && fclose(out) != 0 && status != ADMIN_LATER) {
        status = 500;
    }
    if (status == ADMIN_LATER) {
        free(text);
        return;
    }
    if (request.later) {
        admin_later_drop(request.later);
        c->later = NULL;
    }
    answer(c, status, text, len);
}

/* The answer, once it is there; then the end, as soon as nothing is left in the library's buffer.
 */
static int on_writable(struct lws *wsi, struct connection *c)
{
    if (!c->answer.status) {
        return 0;
    }
    if (!c->sent) {
        c->sent = true;
        if (admin_answer_send(wsi, &c->answer) < 0) {
            return -1;
        }
        if (lws_partial_buffered(wsi)) {
            lws_callback_on_writable(wsi);
            return 0;
        }
    }
    admin_answer_discard_input(wsi);
    return -1;
}

/* "Upon receiving an HTTP/1.1 (or later) request that … contains a 100-continue expectation …, an
 * origin server MUST send either … a final status code … or … an immediate 100 (Continue)", and in
 * an HTTP/1.0 request it MUST ignore that (RFC 9110 section 10.1.1). 0 or -1. */
static int go_on(struct lws *wsi)
{
    static const char answer[] = "HTTP/1.1 100 Continue\r\n\r\n";
    const size_t len = sizeof(answer) - 1;
    char version[16], expected[16];
    uint8_t room[LWS_PRE + sizeof(answer)];
    if (!slice_equal(
            header(wsi, WSI_TOKEN_HTTP, version, sizeof(version)), slice_of_string("HTTP/1.1")) ||
        header(wsi, WSI_TOKEN_HTTP_EXPECT, expected, sizeof(expected)).len == 0 ||
        strcasecmp(expected, "100-continue") != 0) {
        return 0;
    }
    memcpy(room + LWS_PRE, answer, len);
    return lws_write(wsi, room + LWS_PRE, len, LWS_WRITE_HTTP) < (int)len ? -1 : 0;
}

/* The headers are there. */
static int on_request(struct lws *wsi, struct connection *c)
{
    struct admin_server *s = server_of(wsi);
    char host[HOST_MAX], authorization[AUTHORIZATION_MAX], type[CONTENT_TYPE_MAX], *path = NULL;
    int path_len = 0;
    if (c->route || c->answer.status) {
        return -1; /* one request a connection */
    }
    struct admin_question question = {.method = method_of(wsi, &path, &path_len),
        .host = header(wsi, WSI_TOKEN_HOST, host, sizeof(host)),
        .authorization =
            header(wsi, WSI_TOKEN_HTTP_AUTHORIZATION, authorization, sizeof(authorization)),
        .content_type = header(wsi, WSI_TOKEN_HTTP_CONTENT_TYPE, type, sizeof(type)),
        .peer = c->peer};
    ask_body(wsi, &question);
    question.path = slice_of(path, path_len > 0 ? (size_t)path_len : 0);
    c->answer.headers_only = question.method == ADMIN_HEAD;
    c->api = admin_route_is_api(question.path);
    c->answer.token_refused = admin_route_has_token(question.authorization);
    unsigned status = admin_route_judge(&question, s->access, &c->route);
    secret_cleanse(authorization, sizeof(authorization));
    if (status == 200 && c->route->takes_body && question.body_len > 0) {
        c->input = (struct input){.data = malloc(question.body_len), .whole = question.body_len};
        return c->input.data ? go_on(wsi) : -1;
    }
    if (status == 200) {
        serve(s, c);
    } else {
        c->answer.allowed = admin_route_allowed(question.path);
        refuse(c, status);
    }
    return on_writable(wsi, c);
}

/* `data` is the library's own buffer, which nobody else wipes. */
static int on_input(struct connection *c, void *data, size_t len)
{
    struct input *in = &c->input;
    if (!in->data || len > in->whole - in->len) {
        return -1;
    }
    memcpy(in->data + in->len, data, len);
    in->len += len;
    secret_cleanse(data, len);
    return 0;
}

static int on_whole_input(struct lws *wsi, struct connection *c)
{
    if (!c->input.data || c->input.len != c->input.whole) {
        return -1;
    }
    serve(server_of(wsi), c);
    input_free(&c->input);
    return on_writable(wsi, c);
}

static void on_gone(struct lws *wsi, struct connection *c)
{
    if (!c->answer.status && !c->closing) {
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
    case LWS_CALLBACK_HTTP_BODY:
        return c ? on_input(c, in, len) : -1;
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
        return c ? on_whole_input(wsi, c) : -1;
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
    {"admin", on_event, 0, 0, 0, NULL, ADMIN_ANSWER_MAX}, {0}};

/* What the library says comes from clients' input, mostly. */
static void on_log(int level, const char *line)
{
    log_event(LOG_DEBUG, "admin_library", log_bytes("text", slice_of(line, strcspn(line, "\n"))));
}

/* Whether the files can be had that a context takes, where the library would crash, or go on
 * without. 0 or -errno. */
static int try_files(void)
{
    const int fds[] = {open("/dev/urandom", O_RDONLY | O_CLOEXEC), eventfd(0, EFD_CLOEXEC),
        eventfd(0, EFD_CLOEXEC)};
    int r = 0;
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
        if (fds[i] < 0) {
            r = -EMFILE;
        } else {
            close(fds[i]);
        }
    }
    return r;
}

static void count_poll(uv_handle_t *handle, void *ctx)
{
    *(unsigned *)ctx += handle->type == UV_POLL;
}

static unsigned polls_of(uv_loop_t *loop)
{
    unsigned count = 0;
    uv_walk(loop, count_poll, &count);
    return count;
}

static void create_context(struct admin_server *s, uv_loop_t *loop)
{
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
    if (s->context && lws_memory_is_whole()) {
        s->vhost = lws_create_vhost(s->context, &info);
    }
}

int admin_server_new(struct admin_server **out, uv_loop_t *loop, const struct admin_ops *ops,
    const struct admin_access *access)
{
    lws_memory_init();
    int r = lws_memory_is_whole() ? try_files() : -ENOMEM;
    if (r < 0) {
        return r;
    }
    struct admin_server *s = calloc(1, sizeof(*s));
    if (!s) {
        return -ENOMEM;
    }
    admin_json_init();
    s->ops = ops;
    s->access = access;
    const unsigned polls = polls_of(loop);
    create_context(s, loop);
    if (!s->context) {
        free(s);
        return -ENOSYS;
    }
    *out = s;
    if (!s->vhost || !lws_memory_is_whole()) {
        return -ENOMEM;
    }
    return polls_of(loop) > polls ? 0 : -EMFILE; /* without its eventfd it does not even end */
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
            if (!c->answer.status && !c->later && (!oldest || c->since_us < oldest->since_us)) {
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

void admin_server_accept(
    struct admin_server *s, int fd, const struct admin_peer *peer, uint64_t since_us)
{
    struct connection *c = lws_memory_is_whole() ? make_place(s, peer->local) : NULL;
    if (!c) {
        close(fd);
        return;
    }
    int room = ADMIN_ANSWER_MAX;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    struct lws *wsi = lws_adopt_socket_vhost(s->vhost, fd);
    if (!wsi) {
        return; /* the library has closed it */
    }
    *c = (struct connection){.wsi = wsi, .peer = *peer, .since_us = since_us};
    lws_set_opaque_user_data(wsi, c);
}

void admin_server_tick(struct admin_server *s, uint64_t now_us)
{
    for (size_t i = 0; i < PLACES; i++) {
        struct connection *c = &s->connections[i];
        uint64_t most = c->later           ? ADMIN_LATER_S
                        : c->answer.status ? ADMIN_RESPONSE_S
                                           : ADMIN_REQUEST_S;
        if (!c->wsi || c->closing || now_us - c->since_us < most * US_PER_S) {
            continue;
        }
        if (c->later) {
            admin_later_abandon(c->later);
            c->later = NULL;
            refuse(c, 503);
            lws_callback_on_writable(c->wsi);
            continue;
        }
        counters_add(s->ops->own, METRIC_ADMIN_CLOSED_LATE, 1);
        connection_close(c);
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
    admin_laters_deinit(&s->laters);
    free(s);
}

void admin_server_leave(struct admin_server *s)
{
    for (size_t i = 0; s && i < PLACES; i++) {
        connection_release(&s->connections[i]);
    }
}
