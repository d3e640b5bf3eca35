/*
 * What commands read that nobody else may see. Arguments are in the list of processes and in the
 * shell's history, so nothing of it comes from there; what held it is wiped. Called by the
 * commands.
 */
#include "cli/secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static void wiping_free(void *p)
{
    if (p) {
        secret_cleanse(p, malloc_usable_size(p));
    }
    free(p);
}

void cli_secrets_begin(void)
{
    json_set_alloc_funcs(malloc, wiping_free);
}

/* Up to the end, or to the end of a line of a terminal. The length, or -errno. */
static ssize_t read_bytes(int fd, uint8_t *out, size_t cap, bool line)
{
    size_t len = 0;
    while (len < cap) {
        const ssize_t n = read(fd, out + len, cap - len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -errno;
        }
        len += (size_t)n;
        if (n == 0 || (line && out[len - 1] == '\n')) {
            break;
        }
    }
    return (ssize_t)len;
}

static ssize_t read_terminal(int fd, uint8_t *out, size_t cap)
{
    struct termios before, quiet;
    if (tcgetattr(fd, &before) < 0) {
        return -errno;
    }
    quiet = before;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    fputs("Password: ", stderr);
    tcsetattr(fd, TCSAFLUSH, &quiet);
    const ssize_t len = read_bytes(fd, out, cap, true);
    tcsetattr(fd, TCSAFLUSH, &before);
    fputc('\n', stderr);
    return len;
}

static ssize_t read_from(const char *path, uint8_t *out, size_t cap)
{
    const bool input = !path || strcmp(path, "-") == 0;
    if (input) {
        return isatty(STDIN_FILENO) ? read_terminal(STDIN_FILENO, out, cap)
                                    : read_bytes(STDIN_FILENO, out, cap, false);
    }
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    const ssize_t len = read_bytes(fd, out, cap, false);
    close(fd);
    return len;
}

int cli_secret_read(struct secret *out, const char *path)
{
    const char *name = path && strcmp(path, "-") != 0 ? path : "standard input";
    uint8_t bytes[CLI_SECRET_MAX + 3];
    int rc = -1;
    const ssize_t n = read_from(path, bytes, sizeof(bytes));
    size_t len = n < 0 ? 0 : (size_t)n;
    if (len > 0 && bytes[len - 1] == '\n') {
        len--;
    }
    if (len > 0 && bytes[len - 1] == '\r') {
        len--;
    }
    if (n < 0) {
        fprintf(stderr, "turnpikectl: %s: %s\n", name, strerror((int)-n));
    } else if (len == 0) {
        fprintf(stderr, "turnpikectl: %s: empty\n", name);
    } else if (len > CLI_SECRET_MAX) {
        fprintf(stderr, "turnpikectl: %s: more than %d bytes\n", name, CLI_SECRET_MAX);
    } else if (secret_set(out, slice_of(bytes, len)) < 0) {
        fputs("turnpikectl: out of memory\n", stderr);
    } else {
        rc = 0;
    }
    secret_cleanse(bytes, sizeof(bytes));
    return rc;
}

int cli_secret_json(struct secret *out, const json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT);
    const int rc = text ? secret_set(out, slice_of_string(text)) : -ENOMEM;
    wiping_free(text);
    if (rc < 0) {
        fputs("turnpikectl: out of memory\n", stderr);
    }
    return rc < 0 ? -1 : 0;
}

int cli_secret_add(json_t *json, const char *key, const struct secret *value)
{
    if (value->len == 0) {
        return 0;
    }
    json_t *text = json_stringn((const char *)value->data, value->len);
    if (text && json_object_set_new(json, key, text) == 0) {
        return 0;
    }
    fprintf(stderr, "turnpikectl: the %s is no UTF-8 text\n", key);
    return -1;
}
