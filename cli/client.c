/*
 * Speaks HTTP/1.1 to the admin server: one request, one answer, then the connection ends. Called by
 * the commands.
 */
#include "cli/client.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "admin/admin_settings.h"

#define TIMEOUT_S  5
#define ANSWER_MAX (16u << 20)

static int connect_to(const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = TIMEOUT_S};
    if (strlen(path) >= sizeof(sa.sun_path)) {
        return -ENAMETOOLONG;
    }
    snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
        int r = -errno;
        close(fd);
        return r;
    }
    return fd;
}

/* Whoever root was before may have a socket of his own in the folder that his environment names. */
static bool is_ours(int fd)
{
    struct ucred who;
    socklen_t len = sizeof(who);
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 &&
           (who.uid == 0 || who.uid == geteuid());
}

/* A descriptor, or the -errno of the place that came closest. */
static int connect_anywhere(void)
{
    const char *own = getenv("XDG_RUNTIME_DIR");
    char path[256];
    int fd = connect_to(ADMIN_DEFAULT_FOLDER "/" ADMIN_SOCKET_NAME);
    if (fd >= 0 || !own || strlen(own) > sizeof(path) - 40) {
        return fd;
    }
    snprintf(path, sizeof(path), "%s/turnpike/" ADMIN_SOCKET_NAME, own);
    int other = connect_to(path);
    if (other >= 0 && !is_ours(other)) {
        close(other);
        return -EPERM;
    }
    return other != -ENOENT ? other : fd;
}

static int write_all(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, text, len);
        if (n < 0) {
            return errno == EAGAIN ? -ETIMEDOUT : -errno;
        }
        text += n;
        len -= (size_t)n;
    }
    return 0;
}

/* Up to the end of the connection. *out is the caller's, NUL-terminated. */
static int read_all(int fd, char **out, size_t *out_len)
{
    size_t len = 0, cap = 8192;
    char *text = malloc(cap);
    if (!text) {
        return -ENOMEM;
    }
    for (;;) {
        if (cap - len < 4096) {
            char *grown = cap < ANSWER_MAX ? realloc(text, cap * 2) : NULL;
            if (!grown) {
                free(text);
                return cap < ANSWER_MAX ? -ENOMEM : -EPROTO;
            }
            text = grown;
            cap *= 2;
        }
        ssize_t n = read(fd, text + len, cap - len - 1);
        if (n < 0) {
            free(text);
            return errno == EAGAIN ? -ETIMEDOUT : -errno;
        }
        if (n == 0) {
            text[len] = '\0';
            *out = text;
            *out_len = len;
            return 0;
        }
        len += (size_t)n;
    }
}

/* Puts the detail of a problem (RFC 9457) in its place, or leaves what is none as it is. */
static void take_detail(struct client_answer *a)
{
    json_t *json = json_loadb(a->body, a->len, 0, NULL);
    const json_t *detail = json_object_get(json, "detail");
    if (json_is_string(detail) && json_string_length(detail) <= a->len) {
        a->len = json_string_length(detail);
        memcpy(a->body, json_string_value(detail), a->len + 1);
    }
    json_decref(json);
}

/* Takes `text` over on success. */
static int parse(char *text, size_t len, struct client_answer *out)
{
    unsigned status;
    char *end = strstr(text, "\r\n\r\n");
    if (!end || sscanf(text, "HTTP/1.%*1u %3u", &status) != 1) {
        return -EPROTO;
    }
    size_t head = (size_t)(end + 4 - text);
    end[2] = '\0';
    const bool problem = strcasestr(text, "\r\ncontent-type: application/problem+json\r\n") != NULL;
    memmove(text, text + head, len - head + 1);
    *out = (struct client_answer){.status = status, .body = text, .len = len - head};
    if (problem) {
        take_detail(out);
    }
    return 0;
}

static int ask(const char *socket, struct slice head, struct slice body, struct client_answer *out)
{
    char *text = NULL;
    size_t len = 0;
    int fd = socket ? connect_to(socket) : connect_anywhere();
    if (fd < 0) {
        return fd;
    }
    int r = write_all(fd, (const char *)head.data, head.len);
    if (r == 0) {
        r = write_all(fd, (const char *)body.data, body.len);
    }
    /* Who refuses by the head alone answers, and reads no body. */
    if (r == 0 || r == -EPIPE) {
        r = read_all(fd, &text, &len);
    }
    close(fd);
    if (r < 0 || !text) {
        return r;
    }
    r = parse(text, len, out);
    if (r < 0) {
        free(text);
    }
    return r;
}

int client_get(const char *socket, const char *path, struct client_answer *out)
{
    char head[512];
    int n = snprintf(head, sizeof(head), "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
    if (n < 0 || (size_t)n >= sizeof(head)) {
        return -EINVAL;
    }
    return ask(socket, slice_of(head, (size_t)n), (struct slice){0}, out);
}

int client_post(const char *socket, const char *path, struct slice body, struct client_answer *out)
{
    char head[512];
    int n = snprintf(head, sizeof(head),
        "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        "Content-Length: %zu\r\n\r\n",
        path, body.len);
    if (n < 0 || (size_t)n >= sizeof(head)) {
        return -EINVAL;
    }
    return ask(socket, slice_of(head, (size_t)n), body, out);
}

pid_t client_daemon(const char *socket)
{
    struct ucred who;
    socklen_t len = sizeof(who);
    const int fd = socket ? connect_to(socket) : connect_anywhere();
    if (fd < 0) {
        return fd;
    }
    const pid_t pid = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 ? who.pid : -errno;
    close(fd);
    return pid;
}

void client_answer_free(struct client_answer *answer)
{
    free(answer->body);
    *answer = (struct client_answer){0};
}
