/* The processes end with the test program, however it ends: the kernel sees to it. */
#include "tests/fleet/servers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/tls/certs.h"

#define STEP_US   5000
#define STEPS_MAX 2000
#define MORE_MAX  40

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition);                \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

uint16_t test_free_port(void)
{
    struct sockaddr_in sa = loopback(0);
    socklen_t len = sizeof(sa);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(fd >= 0 && bind(fd, (struct sockaddr *)&sa, len) == 0);
    REQUIRE(getsockname(fd, (struct sockaddr *)&sa, &len) == 0);
    close(fd);
    return ntohs(sa.sin_port);
}

static void launch(struct test_redis *r)
{
    char port[8];
    const char *argv[16 + MORE_MAX] = {r->program};
    size_t argc = 1;
    snprintf(port, sizeof(port), "%u", (unsigned)r->port);
    const char *const own[] = {"--port", port, "--bind", "127.0.0.1", "--unixsocket", r->socket,
        "--save", "", "--dir", r->folder, "--loglevel", "warning"};
    if (!strstr(r->program, "sentinel")) {
        memcpy(argv + argc, own, sizeof(own));
        argc += sizeof(own) / sizeof(own[0]);
    }
    for (size_t i = 0; r->more && r->more[i]; i++)
        argv[argc++] = r->more[i];
    r->pid = fork();
    REQUIRE(r->pid >= 0);
    if (r->pid > 0)
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int null = open("/dev/null", O_RDWR);
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    execvp(argv[0], (char *const *)(uintptr_t)argv);
    fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

static int dial(const struct test_redis *r)
{
    const struct sockaddr_in sa = loopback(r->port);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(fd >= 0);
    if (connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) == 0)
        return fd;
    close(fd);
    return -1;
}

static bool exchange(
    const struct test_redis *r, const char *command, size_t command_len, const char *expected)
{
    char reply[4096];
    size_t len = 0;
    const int fd = dial(r);
    if (fd < 0)
        return false;
    REQUIRE(send(fd, command, command_len, MSG_NOSIGNAL) == (ssize_t)command_len);
    while (len < strlen(expected)) {
        const ssize_t n = recv(fd, reply + len, sizeof(reply) - len, 0);
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    close(fd);
    return len >= strlen(expected) && memcmp(reply, expected, strlen(expected)) == 0;
}

bool test_redis_says(const struct test_redis *r, const char *words, const char *expected)
{
    char command[512];
    const int len = snprintf(command, sizeof(command), "%s\r\n", words);
    REQUIRE(len > 0 && (size_t)len < sizeof(command));
    return exchange(r, command, (size_t)len, expected);
}

bool test_redis_command(
    const struct test_redis *r, const struct slice *argv, size_t argc, const char *expected)
{
    char command[8192];
    size_t len = (size_t)snprintf(command, sizeof(command), "*%zu\r\n", argc);
    for (size_t i = 0; i < argc; i++) {
        REQUIRE(argv[i].len + 32 < sizeof(command) - len);
        len += (size_t)snprintf(command + len, 32, "$%zu\r\n", argv[i].len);
        memcpy(command + len, argv[i].data, argv[i].len);
        len += argv[i].len;
        memcpy(command + len, "\r\n", 2);
        len += 2;
    }
    return exchange(r, command, len, expected);
}

void test_monitor_start(struct test_monitor *m, const struct test_redis *r)
{
    char ok[5];
    *m = (struct test_monitor){.fd = dial(r)};
    REQUIRE(m->fd >= 0 && send(m->fd, "MONITOR\r\n", 9, MSG_NOSIGNAL) == 9);
    REQUIRE(recv(m->fd, ok, sizeof(ok), MSG_WAITALL) == 5 && memcmp(ok, "+OK\r\n", 5) == 0);
}

const char *test_monitor_read(struct test_monitor *m, const struct test_redis *r)
{
    static unsigned count;
    char words[40], end[48];
    snprintf(words, sizeof(words), "ECHO end-%u", ++count);
    snprintf(end, sizeof(end), "\"ECHO\" \"end-%u\"\r\n", count);
    REQUIRE(test_redis_says(r, words, "$"));
    m->len = 0;
    do {
        REQUIRE(m->len < sizeof(m->text) - 1);
        const ssize_t n = recv(m->fd, m->text + m->len, sizeof(m->text) - 1 - m->len, 0);
        REQUIRE(n > 0);
        m->len += (size_t)n;
        m->text[m->len] = '\0';
    } while (!strstr(m->text, end));
    return m->text;
}

void test_monitor_end(struct test_monitor *m)
{
    close(m->fd);
}

void test_redis_await(const struct test_redis *r, const char *words, const char *expected)
{
    for (unsigned step = 0; step < STEPS_MAX; step++) {
        if (test_redis_says(r, words, expected))
            return;
        REQUIRE(waitpid(r->pid, NULL, WNOHANG) == 0);
        usleep(STEP_US);
    }
    fprintf(stderr, "%s: no %s\n", words, expected);
    abort();
}

void test_redis_restart(struct test_redis *r)
{
    launch(r);
    /* Any answer will do: a password may be demanded. */
    for (unsigned step = 0; step < STEPS_MAX; step++) {
        if (test_redis_says(r, "PING", "+PONG") || test_redis_says(r, "PING", "-NOAUTH"))
            return;
        REQUIRE(waitpid(r->pid, NULL, WNOHANG) == 0);
        usleep(STEP_US);
    }
    abort();
}

void test_redis_start(struct test_redis *r, const char *const *more)
{
    *r = (struct test_redis){.program = "redis-server", .more = more, .port = test_free_port()};
    test_folder_new(r->folder, sizeof(r->folder));
    REQUIRE(snprintf(r->socket, sizeof(r->socket), "%s/redis.sock", r->folder) > 0);
    test_redis_restart(r);
}

void test_sentinel_start(struct test_redis *r, uint16_t master_port)
{
    static const char *arguments[4][2];
    static unsigned started;
    static char paths[4][256];
    *r = (struct test_redis){.program = "redis-sentinel", .port = test_free_port()};
    test_folder_new(r->folder, sizeof(r->folder));
    char *path = paths[started % 4];
    snprintf(path, sizeof(paths[0]), "%s/sentinel.conf", r->folder);
    FILE *file = fopen(path, "w");
    REQUIRE(file);
    fprintf(file,
        "port %u\nbind 127.0.0.1\ndir %s\nlogfile \"\"\n"
        "sentinel monitor m 127.0.0.1 %u 1\nsentinel down-after-milliseconds m 300\n"
        "sentinel failover-timeout m 2000\n",
        (unsigned)r->port, r->folder, (unsigned)master_port);
    REQUIRE(fclose(file) == 0);
    arguments[started % 4][0] = path;
    r->more = arguments[started++ % 4];
    test_redis_restart(r);
}

void test_trio_start(struct test_trio *t)
{
    static const char *const quick[] = {"--repl-diskless-sync-delay", "0", NULL};
    test_redis_start(&t->master, quick);
    snprintf(t->master_port, sizeof(t->master_port), "%u", (unsigned)t->master.port);
    const char *const follows[] = {
        "--replicaof", "127.0.0.1", t->master_port, "--repl-diskless-sync-delay", "0", NULL};
    memcpy(t->follows, follows, sizeof(follows));
    test_redis_start(&t->replica, t->follows);
    test_redis_await(&t->replica, "ROLE", "*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:");
    test_sentinel_start(&t->sentinel, t->master.port);
    test_redis_await(&t->sentinel, "SENTINEL replicas m", "*1\r\n");
}

void test_trio_end(struct test_trio *t)
{
    test_redis_end(&t->sentinel);
    test_redis_end(&t->replica);
    test_redis_end(&t->master);
}

void test_redis_signal(struct test_redis *r, int signal)
{
    REQUIRE(r->pid > 0 && kill(r->pid, signal) == 0);
}

void test_redis_kill(struct test_redis *r)
{
    test_redis_signal(r, SIGKILL);
    REQUIRE(waitpid(r->pid, NULL, 0) == r->pid);
    r->pid = 0;
}

void test_redis_end(struct test_redis *r)
{
    if (r->pid > 0)
        test_redis_kill(r);
    test_folder_remove(r->folder);
}
