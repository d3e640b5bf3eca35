/*
 * CPU time comes from schedstat, in nanoseconds, of every thread of the server; the split between
 * user and system from stat, which is sampled by the tick and therefore only a ratio. Packets that
 * the server sends are delivered on its own core: in its context, or, under load, in that of
 * ksoftirqd of the core, which is read too so that no work can hide there.
 *
 * Called by the rows before and after what they measure.
 */
#include "bench/usage.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PATH_BYTES 64

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t monotonic_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t realtime_ns(void)
{
    return clock_ns(CLOCK_REALTIME);
}

/* The whole of a small file, as text. */
static int read_file(const char *path, char *out, size_t cap)
{
    FILE *f = fopen(path, "re");

    if (f == NULL) {
        return -errno;
    }
    size_t len = fread(out, 1, cap - 1, f);
    out[len] = '\0';
    fclose(f);
    return len == 0 ? -EIO : 0;
}

/* The `index`-th (from 0) word of the text as a number. */
static bool read_word(const char *text, unsigned index, uint64_t *out)
{
    char *end;

    for (;;) {
        text += strspn(text, " \t\n");
        size_t len = strcspn(text, " \t\n");
        if (len == 0) {
            return false;
        }
        if (index-- == 0) {
            *out = strtoull(text, &end, 10);
            return end == text + len;
        }
        text += len;
    }
}

static int add_thread(struct usage *u, pid_t pid, int thread)
{
    char path[PATH_BYTES], text[1024];
    uint64_t run, turns, user, system;
    int rc;

    snprintf(path, sizeof(path), "/proc/%d/task/%d/schedstat", (int)pid, thread);
    if ((rc = read_file(path, text, sizeof(text))) < 0) {
        return rc;
    }
    if (!read_word(text, 0, &run) || !read_word(text, 2, &turns)) {
        return -EIO;
    }
    snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", (int)pid, thread);
    if ((rc = read_file(path, text, sizeof(text))) < 0) {
        return rc;
    }
    /* The name in parentheses may hold spaces; behind it, utime and stime are words 11 and 12. */
    const char *rest = strrchr(text, ')');
    if (rest == NULL || !read_word(rest + 1, 11, &user) || !read_word(rest + 1, 12, &system)) {
        return -EIO;
    }
    u->cpu_ns += run;
    u->turns += turns;
    u->user_ticks += user;
    u->system_ticks += system;
    return 0;
}

static int add_threads(struct usage *u, pid_t pid)
{
    char path[PATH_BYTES];
    int rc = 0;

    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    DIR *tasks = opendir(path);
    if (tasks == NULL) {
        return -errno;
    }
    for (const struct dirent *entry; rc == 0 && (entry = readdir(tasks)) != NULL;) {
        if (entry->d_name[0] != '.') {
            rc = add_thread(u, pid, (int)strtol(entry->d_name, NULL, 10));
        }
    }
    closedir(tasks);
    return rc;
}

static int read_rss(pid_t pid, uint64_t *out)
{
    char path[PATH_BYTES], text[256];
    uint64_t resident;

    snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
    int rc = read_file(path, text, sizeof(text));
    if (rc < 0) {
        return rc;
    }
    if (!read_word(text, 1, &resident)) {
        return -EIO;
    }
    *out = resident * (uint64_t)sysconf(_SC_PAGESIZE);
    return 0;
}

static uint64_t slab_bytes(void)
{
    char text[4096];
    uint64_t kib = 0;

    if (read_file("/proc/meminfo", text, sizeof(text)) == 0) {
        const char *line = strstr(text, "\nSlab:");
        if (line == NULL || !read_word(line, 1, &kib)) {
            return 0;
        }
    }
    return kib * 1024;
}

/* The time in which no core had anything to do. */
static uint64_t idle_ns(void)
{
    char text[4096];
    uint64_t idle = 0, wait = 0;

    if (read_file("/proc/stat", text, sizeof(text)) < 0 || !read_word(text, 4, &idle) ||
        !read_word(text, 5, &wait)) {
        return 0;
    }
    return (idle + wait) * (1000000000u / (uint64_t)sysconf(_SC_CLK_TCK));
}

static bool is_softirqd(pid_t pid, int cpu)
{
    char path[PATH_BYTES], name[64], want[64];

    snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
    snprintf(want, sizeof(want), "ksoftirqd/%d\n", cpu);
    return read_file(path, name, sizeof(name)) == 0 && strcmp(name, want) == 0;
}

/* The process id of ksoftirqd of the core, 0 when it cannot be seen. Never changes while the
 * machine is up, so it is looked for once. */
static pid_t find_softirqd(int cpu)
{
    static pid_t found = -1;

    if (found >= 0) {
        return found;
    }
    found = 0;
    DIR *processes = opendir("/proc");
    if (processes == NULL) {
        return 0;
    }
    for (const struct dirent *entry; found == 0 && (entry = readdir(processes)) != NULL;) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid > 0 && is_softirqd(pid, cpu)) {
            found = pid;
        }
    }
    closedir(processes);
    return found;
}

int usage_read(struct usage *out, pid_t pid, int cpu)
{
    struct usage u = {0}, softirqd = {0};
    int rc;

    if (pid != 0) {
        if ((rc = add_threads(&u, pid)) < 0 || (rc = read_rss(pid, &u.rss_bytes)) < 0) {
            return rc;
        }
    }
    if (cpu >= 0) {
        pid_t daemon = find_softirqd(cpu);
        if (daemon > 0 && add_threads(&softirqd, daemon) == 0) {
            u.softirqd_ns = softirqd.cpu_ns;
        }
    }
    u.slab_bytes = slab_bytes();
    u.idle_ns = idle_ns();
    u.generator_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    u.at_ns = monotonic_ns();
    *out = u;
    return 0;
}

struct usage usage_between(const struct usage *before, const struct usage *after)
{
    return (struct usage){
        .cpu_ns = after->cpu_ns - before->cpu_ns,
        .user_ticks = after->user_ticks - before->user_ticks,
        .system_ticks = after->system_ticks - before->system_ticks,
        .turns = after->turns - before->turns,
        .softirqd_ns = after->softirqd_ns - before->softirqd_ns,
        .generator_ns = after->generator_ns - before->generator_ns,
        .idle_ns = after->idle_ns - before->idle_ns,
        .rss_bytes = after->rss_bytes,
        .slab_bytes = after->slab_bytes,
        .at_ns = after->at_ns - before->at_ns,
    };
}
