/*
 * The log sink: a bounded ring that any thread formats into without waiting (D. Vyukov's queue with
 * a turn a cell), and one writer thread that may wait for the file as long as it takes.
 *
 * Always: cell i is free for lap n when its turn is 2n and holds that lap's line when its turn is
 * 2n+1. The ring is static and never reset: a thread that logs during log_deinit writes into memory
 * that stays. The writer copies a line out before it writes, so a writer that is stuck in write()
 * holds nothing of the ring.
 *
 * `sink` is the only mutable global of the program. log_init and log_deinit belong to the main
 * thread, the rest to all.
 */
#include "base/log.h"

#include "base/clock.h"
#include "base/log_format.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#define RING_LINES  1024u
#define WRITABLE_MS 50                 /* how often a writer that waits for its file looks up */
#define GIVE_UP_US  (900 * US_PER_MS)  /* log_deinit: the writer stops writing */
#define ABANDON_US  (1000 * US_PER_MS) /* log_deinit: nobody waits for the writer any more */

struct cell {
    _Atomic uint64_t turn;
    size_t len;
    char line[LOG_LINE_MAX];
};

/* What a writer thread is started with; it fits a pointer. */
struct writer {
    uint32_t epoch;
    int32_t fd;
};

static struct {
    _Alignas(64) _Atomic uint64_t head; /* next cell to fill */
    _Alignas(64) _Atomic uint64_t tail; /* next cell to write out */
    _Alignas(64) _Atomic uint64_t lost;
    _Atomic uint64_t stop_by_us; /* 0: run; else what is not written by then is given up */
    _Atomic uint32_t epoch;      /* of the writer in charge; an abandoned one sees it and ends */
    _Atomic uint32_t ended;      /* epoch of the last writer that ended by itself */
    _Atomic int level, format;
    _Atomic bool running;
    bool semaphore_made;
    bool written; /* there is a writer thread */
    int fd;
    sem_t lines; /* posted for each line: never blocks whoever posts */
    pthread_t thread;
    struct cell ring[RING_LINES];
} sink;

/* A cell to fill, or NULL when the ring is full. */
static struct cell *ring_claim(void)
{
    uint64_t pos = atomic_load_explicit(&sink.head, memory_order_relaxed);
    for (;;) {
        struct cell *cell = &sink.ring[pos % RING_LINES];
        uint64_t turn = atomic_load_explicit(&cell->turn, memory_order_acquire),
                 want = pos / RING_LINES * 2;
        if (turn < want)
            return NULL;
        if (turn > want)
            pos = atomic_load_explicit(&sink.head, memory_order_relaxed);
        else if (atomic_compare_exchange_weak_explicit(
                     &sink.head, &pos, pos + 1, memory_order_relaxed, memory_order_relaxed))
            return cell;
    }
}

/* Hands a claimed cell to the writer, or a read one back: the next turn. */
static void cell_pass(struct cell *cell)
{
    atomic_store_explicit(&cell->turn, atomic_load_explicit(&cell->turn, memory_order_relaxed) + 1,
        memory_order_release);
}

/* Copies the oldest line out; 0 when there is none, or when its thread is still formatting it. */
static size_t ring_pop(char out[LOG_LINE_MAX])
{
    uint64_t pos = atomic_load_explicit(&sink.tail, memory_order_relaxed);
    for (;;) {
        struct cell *cell = &sink.ring[pos % RING_LINES];
        uint64_t turn = atomic_load_explicit(&cell->turn, memory_order_acquire),
                 want = pos / RING_LINES * 2 + 1;
        if (turn < want)
            return 0;
        if (turn > want) {
            pos = atomic_load_explicit(&sink.tail, memory_order_relaxed);
            continue;
        }
        if (!atomic_compare_exchange_weak_explicit(
                &sink.tail, &pos, pos + 1, memory_order_relaxed, memory_order_relaxed))
            continue;
        size_t len = cell->len;
        memcpy(out, cell->line, len);
        cell_pass(cell);
        return len;
    }
}

static void ring_discard(void)
{
    char line[LOG_LINE_MAX];
    while (ring_pop(line) > 0)
        atomic_fetch_add(&sink.lost, 1);
}

static bool writer_in_charge(const struct writer *w)
{
    return atomic_load(&sink.epoch) == w->epoch;
}

static bool writer_past_stop(void)
{
    uint64_t stop_by_us = atomic_load(&sink.stop_by_us);
    return stop_by_us != 0 && clock_now().mono_us >= stop_by_us;
}

/* Waits for room first: write() on a full pipe would not return at log_deinit. */
static bool writer_wait_writable(const struct writer *w)
{
    struct pollfd fd = {.fd = w->fd, .events = POLLOUT};
    while (poll(&fd, 1, WRITABLE_MS) <= 0) {
        if (writer_past_stop() || !writer_in_charge(w))
            return false;
    }
    return true;
}

static bool writer_write(const struct writer *w, const char *line, size_t len)
{
    while (len > 0) {
        if (!writer_wait_writable(w))
            return false;
        ssize_t n = write(w->fd, line, len);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return false;
        if (n > 0) {
            line += n;
            len -= (size_t)n;
        }
    }
    return true;
}

static void writer_drain(const struct writer *w)
{
    char line[LOG_LINE_MAX];
    size_t len;
    while (writer_in_charge(w) && !writer_past_stop() && (len = ring_pop(line)) > 0) {
        if (!writer_write(w, line, len))
            atomic_fetch_add(&sink.lost, 1);
    }
}

static void *writer_run(void *arg)
{
    /* Its own: that of another thread lies in a file of /proc. */
    pthread_setname_np(pthread_self(), "log");
    uint64_t packed = (uint64_t)(uintptr_t)arg;
    struct writer w = {.epoch = (uint32_t)(packed >> 32), .fd = (int32_t)(packed & UINT32_MAX)};
    while (writer_in_charge(&w)) {
        if (sem_wait(&sink.lines) != 0)
            continue;
        bool stopping = atomic_load(&sink.stop_by_us) != 0;
        writer_drain(&w);
        if (stopping)
            break;
    }
    if (writer_in_charge(&w))
        atomic_store(&sink.ended, w.epoch);
    return NULL;
}

/* With all signals blocked: they are the main thread's, and a closed pipe is an error here, not
 * SIGPIPE. */
static int writer_start(int fd, uint32_t epoch)
{
    _Static_assert(sizeof(uintptr_t) == 8, "epoch and fd share a pointer");
    void *arg = (void *)((uintptr_t)epoch << 32 | (uint32_t)fd);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int err = pthread_create(&sink.thread, NULL, writer_run, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -err;
}

int log_open(int fd, enum log_level level, enum log_format format)
{
    if (atomic_load(&sink.running))
        return -EALREADY;
    if (fd < 0)
        return -EBADF;
    if (!sink.semaphore_made && sem_init(&sink.lines, 0, 0) != 0)
        return -errno;
    sink.semaphore_made = true;
    ring_discard(); /* a thread may have logged while the log before this one ended */
    atomic_fetch_add(&sink.epoch, 1);
    atomic_store(&sink.stop_by_us, 0);
    atomic_store(&sink.lost, 0);
    log_configure(level, format);
    sink.fd = fd;
    sink.written = false;
    atomic_store(&sink.running, true);
    return 0;
}

int log_start(void)
{
    int err = writer_start(sink.fd, atomic_load(&sink.epoch));
    sink.written = err == 0;
    return err;
}

int log_init(int fd, enum log_level level, enum log_format format)
{
    int err = log_open(fd, level, format);
    if (err == 0 && (err = log_start()) < 0)
        atomic_store(&sink.running, false);
    return err;
}

/* Nobody has written anything yet. */
static void log_write_held(uint64_t start_us)
{
    const struct writer w = {.epoch = atomic_load(&sink.epoch), .fd = sink.fd};
    atomic_store(&sink.stop_by_us, start_us + GIVE_UP_US);
    writer_drain(&w);
    ring_discard();
}

void log_deinit(void)
{
    if (!atomic_exchange(&sink.running, false))
        return;
    uint32_t epoch = atomic_load(&sink.epoch);
    uint64_t start_us = clock_now().mono_us;
    if (!sink.written) {
        log_write_held(start_us);
        return;
    }
    atomic_store(&sink.stop_by_us, start_us + GIVE_UP_US);
    sem_post(&sink.lines);

    const struct timespec pause = {.tv_nsec = 1000000};
    while (atomic_load(&sink.ended) != epoch && clock_now().mono_us < start_us + ABANDON_US)
        nanosleep(&pause, NULL);
    if (atomic_load(&sink.ended) == epoch) {
        pthread_join(sink.thread, NULL);
    } else {
        /* Another process has filled the pipe between poll and write: the thread ends with it. */
        atomic_fetch_add(&sink.epoch, 1);
        pthread_detach(sink.thread);
    }
    ring_discard();
}

void log_configure(enum log_level level, enum log_format format)
{
    atomic_store_explicit(&sink.level, (int)level, memory_order_relaxed);
    atomic_store_explicit(&sink.format, (int)format, memory_order_relaxed);
}

bool log_enabled(enum log_level level)
{
    return atomic_load_explicit(&sink.running, memory_order_relaxed) &&
           (int)level <= atomic_load_explicit(&sink.level, memory_order_relaxed);
}

void log_write(
    enum log_level level, const char *event, const struct log_field *fields, size_t count)
{
    if (!log_enabled(level))
        return;
    struct cell *cell = ring_claim();
    if (!cell) {
        atomic_fetch_add_explicit(&sink.lost, 1, memory_order_relaxed);
        return;
    }
    struct log_line line = {
        .level = level,
        .format = (enum log_format)atomic_load_explicit(&sink.format, memory_order_relaxed),
        .wall_ms = clock_wall_ms(),
        .event = event,
        .fields = fields,
        .count = count,
    };
    cell->len = log_format_line(cell->line, sizeof(cell->line), &line);
    cell_pass(cell);
    sem_post(&sink.lines);
}

uint64_t log_lost(void)
{
    return atomic_load_explicit(&sink.lost, memory_order_relaxed);
}

const char *log_level_name(enum log_level level)
{
    static const char *const names[] = {
        [LOG_ERROR] = "error", [LOG_WARN] = "warn", [LOG_INFO] = "info", [LOG_DEBUG] = "debug"};
    return (unsigned)level < sizeof(names) / sizeof(names[0]) ? names[level] : "unknown";
}

bool log_once_a_minute(uint64_t now_us, uint64_t *last, uint64_t *suppressed)
{
    if (*last != 0 && now_us < *last + 60 * US_PER_S) {
        ++*suppressed;
        return false;
    }
    *last = now_us != 0 ? now_us : 1; /* 0 means never */
    return true;
}
