/*
 * Faults on demand: loaded in front of all libraries (LD_PRELOAD), it counts calls by kind and lets
 * the one that a page shared with the driver names fail. tests/faults/faults.py has the other side.
 *
 * Always: without a page, or with nothing armed, every call goes through as it was made. Nothing
 * here allocates memory or takes a lock once the library is loaded.
 */
#undef _FILE_OFFSET_BITS /* else open would become open64 */
#undef _FORTIFY_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ioctl.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind {
#define KIND(name) KIND_##name,
#include "tests/faults/kinds.def"
#undef KIND
    KIND_COUNT
};

#define FRAMES     24
#define SITES      (1u << 17)
#define SHORT      0 /* in place of an error: less than was asked for */
#define EACH_KINDS 64
#define INNERMOST  7 /* with those of this library and of a sanitizer's */

/* The driver knows this layout. */
struct page {
    uint64_t count[EACH_KINDS]; /* calls by kind */
    uint64_t armed;             /* kind + 1; 0: none */
    int64_t left;               /* calls of it that go through first */
    int64_t error;              /* errno, or SHORT */
    int64_t repeat;             /* how many in succession fail */
    uint64_t fired;             /* how many did */
    uint64_t recorded;          /* kind + 1 whose callers are noted, each as a hash of its stack */
    uint64_t sites;             /* how many were noted */
    uint64_t unused;
    char fault[4096];   /* who made the call that failed: "object+offset" a line */
    char aborted[4096]; /* who called abort */
    uint64_t site[SITES];
};

static struct page *page;
static struct {
    uintptr_t from, to;
} program;                  /* where its code lies */
static __thread int inside; /* what this library itself calls does not count */

#define NEXT(name)                                                                                 \
    static __typeof__(&name) next;                                                                 \
    if (!next) {                                                                                   \
        next = (__typeof__(&name))dlsym(RTLD_NEXT, #name);                                         \
    }

static void describe(char *out, size_t cap)
{
    void *frames[FRAMES];
    size_t used = 0;
    const int count = backtrace(frames, FRAMES);
    Dl_info own = {0}, info;
    (void)dladdr((void *)&page, &own);
    for (int i = 0; i < count; i++) {
        if (!dladdr(frames[i], &info) || !info.dli_fname || info.dli_fbase == own.dli_fbase) {
            continue;
        }
        const char *symbol = info.dli_sname ? info.dli_sname : "?";
        const int n = snprintf(out + used, cap - used, "%s+0x%lx %s\n", info.dli_fname,
            (unsigned long)((char *)frames[i] - (char *)info.dli_fbase), symbol);
        if (n < 0 || (size_t)n >= cap - used) {
            break;
        }
        used += (size_t)n;
    }
    out[used] = '\0';
}

/* Calls are of one site where the innermost frames are the same, and all that lie in the program.
 */
static void note_site(void)
{
    void *frames[FRAMES];
    const int count = backtrace(frames, FRAMES);
    uint64_t hash = 14695981039346656037u;
    for (int i = 0; i < count; i++) {
        const uintptr_t at = (uintptr_t)frames[i];
        if (i < INNERMOST || (at >= program.from && at < program.to)) {
            hash = (hash ^ at) * 1099511628211u;
        }
    }
    const uint64_t at = __atomic_fetch_add(&page->sites, 1, __ATOMIC_RELAXED);
    if (at < SITES) {
        page->site[at] = hash;
    }
}

/* Whether this call is the one that fails; then errno says how, 0 being a short one. */
static int fails(enum kind kind)
{
    if (!page || inside) {
        return 0;
    }
    int result = 0;
    const int before = errno;
    inside = 1;
    __atomic_fetch_add(&page->count[kind], 1, __ATOMIC_RELAXED);
    if (page->recorded == kind + 1u) {
        note_site();
    }
    if (__atomic_load_n(&page->armed, __ATOMIC_ACQUIRE) == kind + 1u) {
        const int64_t left = __atomic_fetch_sub(&page->left, 1, __ATOMIC_ACQ_REL);
        if (left <= 0 && left > -page->repeat) {
            if (__atomic_fetch_add(&page->fired, 1, __ATOMIC_ACQ_REL) == 0) {
                describe(page->fault, sizeof(page->fault));
            }
            result = 1;
        }
    }
    inside = 0;
    errno = result ? (int)page->error : before;
    return result;
}

/* dl_iterate_phdr: the program comes first. */
static int find_program(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)size, (void)unused;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type == PT_LOAD && part->p_flags & PF_X) {
            program.from = info->dlpi_addr + part->p_vaddr;
            program.to = program.from + part->p_memsz;
        }
    }
    return 1;
}

__attribute__((constructor)) static void load(void)
{
    const char *path = getenv("TURNPIKE_FAULTS");
    void *frames[2];
    if (!path) {
        return;
    }
    inside = 1;
    (void)backtrace(frames, 2); /* loads what it needs */
    (void)dl_iterate_phdr(find_program, NULL);
    const int fd = (int)syscall(SYS_open, path, O_RDWR | O_CLOEXEC);
    void *at = fd < 0 ? MAP_FAILED
                      : (void *)syscall(SYS_mmap, NULL, sizeof(struct page), PROT_READ | PROT_WRITE,
                            MAP_SHARED, fd, 0);
    if (fd >= 0) {
        (void)syscall(SYS_close, fd);
    }
    if (at != MAP_FAILED) {
        page = at;
    }
    inside = 0;
}

/* Memory */

void *malloc(size_t size)
{
    NEXT(malloc)
    return fails(KIND_malloc) ? NULL : next(size);
}

void *calloc(size_t count, size_t size)
{
    NEXT(calloc)
    return fails(KIND_malloc) ? NULL : next(count, size);
}

void *realloc(void *old, size_t size)
{
    NEXT(realloc)
    return size && fails(KIND_malloc) ? NULL : next(old, size);
}

void *reallocarray(void *old, size_t count, size_t size)
{
    NEXT(reallocarray)
    return fails(KIND_malloc) ? NULL : next(old, count, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    NEXT(aligned_alloc)
    return fails(KIND_malloc) ? NULL : next(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    NEXT(posix_memalign)
    return fails(KIND_malloc) ? ENOMEM : next(out, alignment, size);
}

char *strdup(const char *text)
{
    NEXT(strdup)
    return fails(KIND_malloc) ? NULL : next(text);
}

char *__strdup(const char *text);
char *__strdup(const char *text)
{
    return strdup(text);
}

char *strndup(const char *text, size_t size)
{
    NEXT(strndup)
    return fails(KIND_malloc) ? NULL : next(text, size);
}

/* Calls that are all or nothing */

#define CALL(type, kind, name, parameters, arguments)                                              \
    type name parameters                                                                           \
    {                                                                                              \
        NEXT(name)                                                                                 \
        return fails(KIND_##kind) ? (type)-1 : next arguments;                                     \
    }

CALL(int, socket, socket, (int domain, int type, int protocol), (domain, type, protocol))
CALL(int, socketpair, socketpair, (int domain, int type, int protocol, int pair[2]),
    (domain, type, protocol, pair))
CALL(int, bind, bind, (int fd, const struct sockaddr *a, socklen_t len), (fd, a, len))
CALL(int, listen, listen, (int fd, int backlog), (fd, backlog))
CALL(int, accept, accept, (int fd, struct sockaddr *a, socklen_t *len), (fd, a, len))
CALL(int, accept, accept4, (int fd, struct sockaddr *a, socklen_t *len, int flags),
    (fd, a, len, flags))
CALL(int, connect, connect, (int fd, const struct sockaddr *a, socklen_t len), (fd, a, len))
CALL(int, getsockname, getsockname, (int fd, struct sockaddr *a, socklen_t *len), (fd, a, len))
CALL(int, getsockname, getpeername, (int fd, struct sockaddr *a, socklen_t *len), (fd, a, len))
CALL(int, setsockopt, setsockopt, (int fd, int level, int name, const void *value, socklen_t len),
    (fd, level, name, value, len))
CALL(int, getsockopt, getsockopt, (int fd, int level, int name, void *value, socklen_t *len),
    (fd, level, name, value, len))
CALL(int, epoll_create, epoll_create1, (int flags), (flags))
CALL(int, epoll_wait, epoll_wait, (int fd, struct epoll_event *events, int most, int timeout),
    (fd, events, most, timeout))
CALL(int, epoll_wait, epoll_pwait,
    (int fd, struct epoll_event *events, int most, int timeout, const sigset_t *signals),
    (fd, events, most, timeout, signals))
CALL(void *, mmap, mmap, (void *at, size_t size, int protection, int flags, int fd, off_t from),
    (at, size, protection, flags, fd, from))
CALL(int, eventfd, eventfd, (unsigned value, int flags), (value, flags))
CALL(int, pipe, pipe, (int ends[2]), (ends))
CALL(int, pipe, pipe2, (int ends[2], int flags), (ends, flags))
CALL(ssize_t, getrandom, getrandom, (void *out, size_t len, unsigned flags), (out, len, flags))
CALL(int, stat, stat, (const char *path, struct stat *out), (path, out))
CALL(int, stat, fstat, (int fd, struct stat *out), (fd, out))
CALL(int, stat, lstat, (const char *path, struct stat *out), (path, out))
CALL(int, setrlimit, setrlimit, (__rlimit_resource_t what, const struct rlimit *limit),
    (what, limit))

int stat64(const char *path, struct stat64 *out)
{
    NEXT(stat64)
    return fails(KIND_stat) ? -1 : next(path, out);
}

int fstat64(int fd, struct stat64 *out)
{
    NEXT(fstat64)
    return fails(KIND_stat) ? -1 : next(fd, out);
}

FILE *fopen(const char *path, const char *mode)
{
    NEXT(fopen)
    return fails(KIND_fopen) ? NULL : next(path, mode);
}

FILE *fopen64(const char *path, const char *mode)
{
    NEXT(fopen64)
    return fails(KIND_fopen) ? NULL : next(path, mode);
}

int pthread_create(
    pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument)
{
    NEXT(pthread_create)
    return fails(KIND_pthread_create) ? errno : next(thread, attributes, start, argument);
}

/* As on Linux, the descriptor is gone even where close fails. */
int close(int fd)
{
    NEXT(close)
    if (!fails(KIND_close)) {
        return next(fd);
    }
    const int error = errno;
    const int r = next(fd);
    errno = r < 0 ? errno : error;
    return -1;
}

/* Calls with more arguments than they name: as many words as any of them takes */

#define WORDS(from)                                                                                \
    long word[5];                                                                                  \
    va_list list;                                                                                  \
    va_start(list, from);                                                                          \
    for (size_t i = 0; i < 5; i++) {                                                               \
        word[i] = va_arg(list, long);                                                              \
    }                                                                                              \
    va_end(list);

#define VARIADIC(type, kind, name, parameters, last, arguments)                                    \
    type name parameters                                                                           \
    {                                                                                              \
        NEXT(name)                                                                                 \
        WORDS(last)                                                                                \
        return fails(KIND_##kind) ? -1 : next arguments;                                           \
    }

VARIADIC(int, open, open, (const char *path, int flags, ...), flags, (path, flags, word[0]))
VARIADIC(int, open, open64, (const char *path, int flags, ...), flags, (path, flags, word[0]))
VARIADIC(int, open, openat, (int at, const char *path, int flags, ...), flags,
    (at, path, flags, word[0]))
VARIADIC(int, open, openat64, (int at, const char *path, int flags, ...), flags,
    (at, path, flags, word[0]))
VARIADIC(int, prctl, prctl, (int option, ...), option, (option, word[0], word[1], word[2], word[3]))

/* Flags of a descriptor that is there can always be had and set. */
static int fcntl_fails(int command)
{
    const int never =
        command == F_GETFD || command == F_SETFD || command == F_GETFL || command == F_SETFL;
    return !never && fails(KIND_fcntl);
}

int fcntl(int fd, int command, ...)
{
    NEXT(fcntl)
    WORDS(command)
    return fcntl_fails(command) ? -1 : next(fd, command, word[0]);
}

int fcntl64(int fd, int command, ...)
{
    NEXT(fcntl64)
    WORDS(command)
    return fcntl_fails(command) ? -1 : next(fd, command, word[0]);
}

/* As above. */
int ioctl(int fd, unsigned long request, ...)
{
    NEXT(ioctl)
    WORDS(request)
    const int never = request == FIONBIO || request == FIOCLEX || request == FIONCLEX;
    return !never && fails(KIND_ioctl) ? -1 : next(fd, request, word[0]);
}

/* Only who is added needs memory. */
int epoll_ctl(int fd, int op, int other, struct epoll_event *event)
{
    NEXT(epoll_ctl)
    return op == EPOLL_CTL_ADD && fails(KIND_epoll_ctl) ? -1 : next(fd, op, other, event);
}

long syscall(long number, ...)
{
    NEXT(syscall)
    long word[6];
    va_list list;
    va_start(list, number);
    for (size_t i = 0; i < 6; i++) {
        word[i] = va_arg(list, long);
    }
    va_end(list);
    if (number == SYS_close) {
        return close((int)word[0]);
    }
    return fails(KIND_syscall) ? -1
                               : next(number, word[0], word[1], word[2], word[3], word[4], word[5]);
}

/* Calls that may do less than they were asked for */

/* errno, or SHORT, as a kernel could answer for this descriptor in place of `error`: files are
 * never busy, only files are full, and what is no file and no stream is never short. A counter
 * (eventfd) and a pipe take what libraries wake themselves with: if they were busy, they would be
 * awake. */
static int possible(int fd, int error)
{
    struct stat about;
    int type = 0;
    socklen_t len = sizeof(type);
    inside = 1;
    const int known = fstat(fd, &about) == 0;
    const int stream = getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM;
    inside = 0;
    if (known && S_ISREG(about.st_mode)) {
        return error == EAGAIN || error == ENOBUFS ? EINTR : error;
    }
    if (known && S_ISSOCK(about.st_mode)) {
        return error == ENOSPC ? ENOBUFS : error == SHORT && !stream ? EINTR : error;
    }
    return EINTR;
}

/* Bytes to ask for instead of `len`: negative, the call fails. */
static ssize_t shortened(enum kind kind, int fd, size_t len)
{
    if (!fails(kind)) {
        return (ssize_t)len;
    }
    errno = possible(fd, errno);
    return errno != SHORT ? -1 : len > 1 ? (ssize_t)(len / 2) : (ssize_t)len;
}

#define BYTES(kind, name, parameters, arguments)                                                   \
    ssize_t name parameters                                                                        \
    {                                                                                              \
        NEXT(name)                                                                                 \
        const ssize_t most = shortened(KIND_##kind, fd, len);                                      \
        return most < 0 ? -1 : next arguments;                                                     \
    }

BYTES(read, read, (int fd, void *out, size_t len), (fd, out, (size_t)most))
BYTES(read, pread, (int fd, void *out, size_t len, off_t at), (fd, out, (size_t)most, at))
BYTES(write, write, (int fd, const void *data, size_t len), (fd, data, (size_t)most))
BYTES(recv, recv, (int fd, void *out, size_t len, int flags), (fd, out, (size_t)most, flags))
BYTES(recv, recvfrom,
    (int fd, void *restrict out, size_t len, int flags, struct sockaddr *restrict a,
        socklen_t *restrict size),
    (fd, out, (size_t)most, flags, a, size))
BYTES(
    send, send, (int fd, const void *data, size_t len, int flags), (fd, data, (size_t)most, flags))
BYTES(send, sendto,
    (int fd, const void *data, size_t len, int flags, const struct sockaddr *a, socklen_t size),
    (fd, data, (size_t)most, flags, a, size))

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    NEXT(writev)
    const ssize_t most = shortened(KIND_writev, fd, parts[0].iov_len);
    const struct iovec part = {parts[0].iov_base, most < 0 ? 0 : (size_t)most};
    return most < 0                          ? -1
           : part.iov_len < parts[0].iov_len ? next(fd, &part, 1)
                                             : next(fd, parts, count);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    NEXT(sendmsg)
    const size_t first = message->msg_iovlen ? message->msg_iov[0].iov_len : 0;
    const ssize_t most = shortened(KIND_sendmsg, fd, first);
    if (most < 0) {
        return -1;
    }
    struct iovec part = {first ? message->msg_iov[0].iov_base : NULL, (size_t)most};
    struct msghdr less = *message;
    less.msg_iov = &part;
    less.msg_iovlen = 1;
    return next(fd, (size_t)most < first ? &less : message, flags);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    NEXT(recvmsg)
    return fails(KIND_recvmsg) && errno != SHORT ? -1 : next(fd, message, flags);
}

/* A short one takes the first message only. */
int sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
    NEXT(sendmmsg)
    const int failed = fails(KIND_sendmmsg);
    return failed && errno != SHORT ? -1 : next(fd, messages, failed ? 1 : count, flags);
}

int recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout)
{
    NEXT(recvmmsg)
    const int failed = fails(KIND_recvmmsg);
    return failed && errno != SHORT ? -1 : next(fd, messages, failed ? 1 : count, flags, timeout);
}

/* Whoever gives up says who it is. */
void abort(void)
{
    void (*next)(void) = (void (*)(void))dlsym(RTLD_NEXT, "abort");
    if (page) {
        inside = 1;
        describe(page->aborted, sizeof(page->aborted));
    }
    next();
    _exit(134);
}

/* <assert.h> has it, but not where NDEBUG is set. */
void __assert_fail(const char *what, const char *file, unsigned line, const char *function)
    __attribute__((noreturn));
void __assert_fail(const char *what, const char *file, unsigned line, const char *function)
{
    void (*next)(const char *, const char *, unsigned, const char *) = (void (*)(
        const char *, const char *, unsigned, const char *))dlsym(RTLD_NEXT, "__assert_fail");
    if (page) {
        inside = 1;
        describe(page->aborted, sizeof(page->aborted));
    }
    next(what, file, line, function);
    _exit(134);
}
