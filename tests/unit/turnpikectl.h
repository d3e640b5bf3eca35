/* turnpikectl as a process, with the test as the daemon behind its socket. */
#ifndef TESTS_UNIT_TURNPIKECTL_H
#define TESTS_UNIT_TURNPIKECTL_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define TEXT_MAX    16384
#define PATIENCE_MS 10000

struct run {
    /* What happens. */
    const char *input;    /* of standard input; NULL: none */
    const char *answer;   /* of the daemon, with its head; NULL: nobody asks */
    const char *argv[64]; /* behind the program and its socket */
    /* What came of it. */
    int code;
    char request[TEXT_MAX], out[TEXT_MAX], errors[TEXT_MAX];
    char command_line[TEXT_MAX]; /* as others see it; NUL bytes are spaces */
};

static const char *program = "";
static char folder[] = "/tmp/turnpikectl-XXXXXX", socket_path[64], file_path[64];

static inline int set_up(void **state)
{
    program = getenv("TURNPIKECTL");
    if (!program || !mkdtemp(folder))
        return -1;
    snprintf(socket_path, sizeof(socket_path), "%s/s", folder);
    snprintf(file_path, sizeof(file_path), "%s/f", folder);
    return 0;
}

static inline int tear_down(void **state)
{
    unlink(socket_path);
    unlink(file_path);
    return rmdir(folder);
}

static inline void write_file(const char *text, size_t len)
{
    FILE *f = fopen(file_path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

static inline int listen_here(void)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", socket_path);
    unlink(socket_path);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(listen(fd, 4), 0);
    return fd;
}

static inline void read_text(int fd, char out[TEXT_MAX])
{
    size_t len = 0;
    ssize_t n;
    while (len < TEXT_MAX - 1 && (n = read(fd, out + len, TEXT_MAX - 1 - len)) > 0)
        len += (size_t)n;
    out[len] = '\0';
    close(fd);
}

/* The head, and as much behind it as it says. */
static inline void read_request(int fd, char out[TEXT_MAX])
{
    size_t len = 0, whole = TEXT_MAX;
    while (len < whole && len < TEXT_MAX - 1) {
        const ssize_t n = read(fd, out + len, TEXT_MAX - 1 - len);
        if (n <= 0)
            break;
        len += (size_t)n;
        out[len] = '\0';
        const char *end = strstr(out, "\r\n\r\n"), *length = strstr(out, "Content-Length: ");
        if (end)
            whole = (size_t)(end + 4 - out) + (length ? strtoul(length + 16, NULL, 10) : 0);
    }
    out[len] = '\0';
}

static inline void see_command_line(struct run *r, pid_t pid)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    const size_t len = fread(r->command_line, 1, TEXT_MAX - 1, f);
    fclose(f);
    for (size_t i = 0; i < len; i++)
        if (r->command_line[i] == '\0')
            r->command_line[i] = ' ';
    r->command_line[len] = '\0';
}

static inline void serve(struct run *r, int listener, pid_t pid)
{
    struct pollfd p = {.fd = listener, .events = POLLIN};
    assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
    const int fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    read_request(fd, r->request);
    see_command_line(r, pid);
    assert_int_equal(write(fd, r->answer, strlen(r->answer)), (ssize_t)strlen(r->answer));
    close(fd);
}

static inline void start(const struct run *r, int in, int out, int errors)
{
    const char *argv[68] = {program, "--socket", socket_path};
    for (size_t i = 0; r->argv[i]; i++)
        argv[3 + i] = r->argv[i];
    dup2(in, 0);
    dup2(out, 1);
    dup2(errors, 2);
    execv(program, (char *const *)(uintptr_t)argv);
    _exit(99);
}

static inline void run(struct run *r)
{
    int in[2], out[2], errors[2], status;
    assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC) | pipe2(errors, O_CLOEXEC), 0);
    const int listener = listen_here();
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        start(r, in[0], out[1], errors[1]);
    close(in[0]);
    close(out[1]);
    close(errors[1]);
    if (r->input)
        assert_int_equal(write(in[1], r->input, strlen(r->input)), (ssize_t)strlen(r->input));
    close(in[1]);
    if (r->answer)
        serve(r, listener, pid);
    read_text(out[0], r->out);
    read_text(errors[0], r->errors);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    r->code = WEXITSTATUS(status);
    close(listener);
}

static inline const char *body_of(const struct run *r)
{
    const char *end = strstr(r->request, "\r\n\r\n");
    assert_non_null(end);
    return end + 4;
}

#define HEAD "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"

/* These words, `size` bytes of them, are refused as a wrong usage, with a line that says so. */
static inline void assert_wrong_usage(const char *const *words, size_t size)
{
    struct run r = {0};
    assert_true(size < sizeof(r.argv));
    memcpy(r.argv, words, size);
    run(&r);
    assert_int_equal(r.code, 2);
    assert_true(strlen(r.errors) > 0);
}

#endif
