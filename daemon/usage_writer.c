/*
 * The thread that writes usage records down, and what control tells it.
 *
 * Always: a record leaves its ring only when there is room for its line; so while the disk is full,
 * records wait in the rings, and workers keep what does not fit. The thread shares nothing with
 * control but what `lock` guards, and never holds that while it writes. Realms keep their names for
 * the life of the process, so these are set once. Called by control.
 */
#include "daemon/usage_writer.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/usage_file.h"
#include "daemon/usage_line.h"

/* 512 records of a worker are 2500 a second. */
#define RING_RECORDS 512u
#define PERIOD_MS    200
#define WORKERS_MOST 64

/* For Redis. */
struct line {
    struct line *next;
    size_t len;
    char id[USAGE_ID_MAX];
    char text[];
};

struct usage_writer {
    uint64_t instance; /* names this start of the process */
    unsigned workers;
    struct usage_ring *rings[WORKERS_MOST];
    struct counters *counters;
    int wake; /* eventfd; -1: none */
    pthread_t thread;
    bool started, abandoned;
    _Atomic(char *) realms[AUTH_REALMS_MAX]; /* owned; NULL: no such realm yet */
    pthread_mutex_t lock;
    /* Guarded by it: */
    char *path;             /* owned; NULL: none */
    bool open, stop, redis; /* `redis`: for the stream as well */
    uint32_t redis_max;
    uint64_t stop_wait_us;
    struct line *first, *last; /* owned */
    uint32_t lines;
    /* The thread's: */
    struct usage_file *file;
    char *file_path;  /* owned; of the file that is open; NULL: none */
    bool sends;       /* to Redis */
    bool on, opening; /* `opening`: it has to be opened still */
    uint64_t stop_by_us;
    bool failing; /* the last write */
    uint64_t open_logged_us, open_unlogged, write_logged_us, write_unlogged;
    char line[USAGE_LINE_MAX];
    /* Its numbers for control: */
    _Atomic uint64_t written, failures, not_sent;
};

int usage_writer_check(const struct usage_settings *settings, char *error, size_t error_cap)
{
    if (!settings->file) {
        return 0;
    }
    struct usage_file *file = usage_file_new();
    const int r = file ? usage_file_open(file, settings->file) : -ENOMEM;
    usage_file_free(file);
    if (r < 0) {
        snprintf(error, error_cap, "usage.file %s: %s", settings->file,
            usage_file_error(settings->file, r));
    }
    return r;
}

struct usage_writer *usage_writer_new(
    unsigned workers, struct counters *counters, const struct random_source *random)
{
    struct usage_writer *u = calloc(1, sizeof(*u));
    if (!u) {
        return NULL;
    }
    pthread_mutex_init(&u->lock, NULL);
    u->workers = workers < WORKERS_MOST ? workers : WORKERS_MOST;
    u->counters = counters;
    u->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    u->file = usage_file_new();
    bool ok =
        u->wake >= 0 && u->file && random_fill(random, &u->instance, sizeof(u->instance)) == 0;
    for (unsigned i = 0; i < u->workers && ok; i++) {
        u->rings[i] = usage_ring_new(RING_RECORDS);
        ok = u->rings[i] != NULL;
    }
    if (!ok) {
        usage_writer_free(u);
        return NULL;
    }
    return u;
}

struct usage_ring *usage_writer_ring(struct usage_writer *u, unsigned worker)
{
    return worker < u->workers ? u->rings[worker] : NULL;
}

static void wake(struct usage_writer *u)
{
    const uint64_t one = 1;
    /* It can be full only if the thread is awake. */
    if (write(u->wake, &one, sizeof(one)) < 0) {
        return;
    }
}

static void wait_for_work(struct usage_writer *u)
{
    struct pollfd fd = {.fd = u->wake, .events = POLLIN};
    uint64_t count;
    if (poll(&fd, 1, u->stop_by_us ? PERIOD_MS / 10 : PERIOD_MS) > 0 &&
        read(u->wake, &count, sizeof(count)) < 0) {
        return;
    }
}

/* Takes `path` over. */
static void open_file(struct usage_writer *u, char *path)
{
    const int r = usage_file_open(u->file, path);
    u->opening = r < 0;
    if (r < 0 && log_once_a_minute(clock_now().mono_us, &u->open_logged_us, &u->open_unlogged)) {
        log_event(LOG_ERROR, "usage_file_not_opened", log_str("file", path),
            log_str("error", usage_file_error(path, r)),
            log_str("meanwhile", usage_file_is_open(u->file) ? "the file before" : "none"));
    }
    char *over = r < 0 ? path : u->file_path;
    u->file_path = r < 0 ? u->file_path : path;
    free(over);
}

/* What control has said. */
static void take_orders(struct usage_writer *u)
{
    char *path = NULL;
    pthread_mutex_lock(&u->lock);
    u->opening |= u->open;
    u->open = false;
    const bool none = u->opening && !u->path;
    if (u->opening && u->path) {
        path = strdup(u->path);
    }
    u->sends = u->redis;
    if (u->stop && !u->stop_by_us) {
        u->stop_by_us = clock_now().mono_us + u->stop_wait_us;
    }
    pthread_mutex_unlock(&u->lock);
    if (path || none) {
        u->on = !none;
        open_file(u, path);
    }
}

static const char *realm_name(const struct usage_writer *u, uint32_t realm)
{
    const char *name = realm < AUTH_REALMS_MAX ? atomic_load(&u->realms[realm]) : NULL;
    return name ? name : "";
}

/* For control, which hands it to Redis. False: there is no room, or no memory. */
static bool queue_line(struct usage_writer *u, const struct usage_record *record, size_t len)
{
    struct line *line = malloc(sizeof(*line) + len);
    if (line) {
        line->next = NULL;
        line->len = len;
        usage_line_id(line->id, u->instance, record);
        memcpy(line->text, u->line, len);
    }
    pthread_mutex_lock(&u->lock);
    const bool ok = line && u->lines < USAGE_LINES_MAX;
    if (ok && u->last) {
        u->last->next = line;
    } else if (ok) {
        u->first = line;
    }
    u->last = ok ? line : u->last;
    u->lines += ok;
    pthread_mutex_unlock(&u->lock);
    if (!ok) {
        free(line);
    }
    return ok;
}

/* False: there is no room for the line. What is in the file need not be in Redis. */
static bool write_down(struct usage_writer *u, const struct usage_record *record)
{
    if (!u->on && !u->sends) {
        return true;
    }
    const size_t len = usage_line_write(u->line, u->instance, realm_name(u, record->realm), record);
    if (u->on && !usage_file_add(u->file, u->line, len)) {
        return false;
    }
    if (!u->sends || queue_line(u, record, len - 1)) {
        return true;
    }
    if (u->on) {
        atomic_fetch_add_explicit(&u->not_sent, 1, memory_order_relaxed);
    }
    return u->on;
}

static int flush(struct usage_writer *u)
{
    const int r = usage_file_flush(u->file);
    atomic_store_explicit(&u->written, usage_file_written(u->file), memory_order_relaxed);
    if (r == 0) {
        if (u->failing && u->file_path) {
            log_event(LOG_INFO, "usage_written_again", log_str("file", u->file_path));
        }
        u->failing = false;
        return 0;
    }
    u->failing = true;
    atomic_fetch_add_explicit(&u->failures, 1, memory_order_relaxed);
    if (log_once_a_minute(clock_now().mono_us, &u->write_logged_us, &u->write_unlogged)) {
        log_event(LOG_ERROR, "usage_not_written", log_str("error", strerror(-r)),
            log_u64("waiting", usage_file_waiting(u->file)),
            log_u64("failures", atomic_load(&u->failures)));
    }
    return r;
}

/* Empties a ring; 0, or what the disk says. */
static int drain(struct usage_writer *u, struct usage_ring *ring)
{
    const struct usage_record *record;
    int r = 0;
    while (r == 0 && (record = usage_ring_peek(ring))) {
        if (write_down(u, record)) {
            usage_ring_pass(ring);
        } else {
            r = u->on ? flush(u) : -EAGAIN;
        }
    }
    return r;
}

static int drain_all(struct usage_writer *u)
{
    int r = 0;
    for (unsigned i = 0; i < u->workers && r == 0; i++) {
        r = drain(u, u->rings[i]);
    }
    return r < 0 ? r : flush(u);
}

/* What the disk did not take in time. */
static void note_lost(struct usage_writer *u)
{
    uint64_t lost = usage_file_waiting(u->file);
    for (unsigned i = 0; i < u->workers; i++) {
        while (usage_ring_peek(u->rings[i])) {
            usage_ring_pass(u->rings[i]);
            lost++;
        }
    }
    log_event(LOG_ERROR, "usage_lost", log_u64("records", lost), log_str("why", "shutdown"));
}

static void *usage_writer_run(void *arg)
{
    struct usage_writer *u = arg;
    int r;
    do {
        wait_for_work(u);
        take_orders(u);
        r = drain_all(u);
    } while (!u->stop_by_us || (r < 0 && clock_now().mono_us < u->stop_by_us));
    if (r < 0) {
        note_lost(u);
    }
    return NULL;
}

/* With all signals blocked: they are control's. */
static int spawn(struct usage_writer *u)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int r = pthread_create(&u->thread, NULL, usage_writer_run, u);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r == 0) {
        pthread_setname_np(u->thread, "usage");
        u->started = true;
    }
    return -r;
}

static void name_realms(struct usage_writer *u, const struct auth_settings *auth)
{
    for (size_t i = 0; i < auth->realm_count && i < AUTH_REALMS_MAX; i++) {
        if (!atomic_load(&u->realms[i])) {
            atomic_store(&u->realms[i], strdup(auth->realms[i].name));
        }
    }
}

int usage_writer_start(struct usage_writer *u, const struct usage_settings *settings,
    const struct auth_settings *auth, char *error, size_t error_cap)
{
    name_realms(u, auth);
    int r = usage_file_open(u->file, settings->file);
    if (r < 0) {
        snprintf(error, error_cap, "usage.file %s: %s", settings->file,
            usage_file_error(settings->file, r));
        return r;
    }
    u->on = settings->file != NULL;
    u->redis = settings->redis;
    u->redis_max = settings->redis_max;
    u->path = settings->file ? strdup(settings->file) : NULL;
    u->file_path = settings->file ? strdup(settings->file) : NULL;
    return u->on && (!u->path || !u->file_path) ? -ENOMEM : spawn(u);
}

void usage_writer_configure(
    struct usage_writer *u, const struct usage_settings *settings, const struct auth_settings *auth)
{
    char *path = settings->file ? strdup(settings->file) : NULL;
    name_realms(u, auth);
    if (settings->file && !path) {
        log_event(LOG_ERROR, "usage_file_kept", log_str("error", "out of memory"));
        return;
    }
    pthread_mutex_lock(&u->lock);
    char *before = u->path;
    u->path = path;
    u->open = true;
    u->redis = settings->redis;
    u->redis_max = settings->redis_max;
    pthread_mutex_unlock(&u->lock);
    free(before);
    wake(u);
}

void usage_writer_reopen(struct usage_writer *u)
{
    pthread_mutex_lock(&u->lock);
    u->open = u->open || u->path;
    pthread_mutex_unlock(&u->lock);
    wake(u);
}

/* `metric` up to `total`. */
static void bring_up(struct usage_writer *u, enum metric metric, uint64_t total)
{
    const uint64_t known = atomic_load_explicit(&u->counters->metric[metric], memory_order_relaxed);
    counters_add(u->counters, metric, total - known);
}

/* The oldest line, taken out; NULL: none. */
static struct line *take_line(struct usage_writer *u)
{
    pthread_mutex_lock(&u->lock);
    struct line *line = u->first;
    if (line) {
        u->first = line->next;
        u->last = u->first ? u->last : NULL;
        u->lines--;
    }
    pthread_mutex_unlock(&u->lock);
    return line;
}

static void put_back(struct usage_writer *u, struct line *line)
{
    pthread_mutex_lock(&u->lock);
    line->next = u->first;
    u->first = line;
    u->last = u->last ? u->last : line;
    u->lines++;
    pthread_mutex_unlock(&u->lock);
}

void usage_writer_tick(struct usage_writer *u, usage_send_fn *send, void *ctx, uint64_t sent)
{
    struct line *line;
    bring_up(u, METRIC_USAGE_WRITTEN, atomic_load_explicit(&u->written, memory_order_relaxed));
    bring_up(u, METRIC_USAGE_FAILURES, atomic_load_explicit(&u->failures, memory_order_relaxed));
    bring_up(u, METRIC_USAGE_NOT_SENT, atomic_load_explicit(&u->not_sent, memory_order_relaxed));
    bring_up(u, METRIC_USAGE_SENT, sent);
    while (send && (line = take_line(u))) {
        const struct slice record = slice_of(line->text, line->len);
        if (send(ctx, slice_of_string(line->id), record, u->redis_max) < 0) {
            put_back(u, line);
            return;
        }
        free(line);
    }
}

uint32_t usage_writer_hurry(struct usage_writer *u)
{
    uint32_t left = 0;
    wake(u);
    /* The rings first: the thread hands a line on before it is done with the record. */
    for (unsigned i = 0; i < u->workers; i++) {
        left += RING_RECORDS - usage_ring_room(u->rings[i]);
    }
    pthread_mutex_lock(&u->lock);
    left += u->lines;
    pthread_mutex_unlock(&u->lock);
    return left;
}

void usage_writer_end(struct usage_writer *u, uint64_t wait_us)
{
    if (!u || !u->started) {
        return;
    }
    pthread_mutex_lock(&u->lock);
    u->stop = true;
    u->stop_wait_us = wait_us / 2;
    pthread_mutex_unlock(&u->lock);
    wake(u);
    const struct instant now = clock_now();
    const uint64_t us = now.wall_us + wait_us;
    const struct timespec by = {
        .tv_sec = now.wall_s + (time_t)(us / US_PER_S), .tv_nsec = (long)(us % US_PER_S) * 1000};
    if (pthread_timedjoin_np(u->thread, NULL, &by) != 0) {
        /* It hangs in write(): what it uses stays until the process ends. */
        u->abandoned = true;
        pthread_detach(u->thread);
        log_event(LOG_ERROR, "usage_lost", log_str("why", "the disk does not answer"));
    }
    u->started = false;
}

void usage_writer_free(struct usage_writer *u)
{
    if (!u || u->abandoned) {
        return;
    }
    for (unsigned i = 0; i < u->workers; i++) {
        usage_ring_free(u->rings[i]);
    }
    for (size_t i = 0; i < AUTH_REALMS_MAX; i++) {
        free(atomic_load(&u->realms[i]));
    }
    for (struct line *line; (line = take_line(u));) {
        free(line);
    }
    usage_file_free(u->file);
    if (u->wake >= 0) {
        close(u->wake);
    }
    pthread_mutex_destroy(&u->lock);
    free(u->path);
    free(u->file_path);
    free(u);
}
