/*
 * Loaded in front of all libraries (LD_PRELOAD), it keeps what the process has in use of the heap,
 * in blocks and in bytes as the allocator reckons them, on a page of a file that the soak reads.
 *
 * Always: every block is counted once when it is handed out and once when it is given back, in
 * whichever thread; no lock is taken. Without TURNPIKE_INUSE nothing is written anywhere.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* glibc's own, under the names that nobody stands in front of. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *block);

/* tests/soak/measure.py knows this layout. */
struct in_use {
    _Atomic int64_t bytes;
    _Atomic int64_t blocks;
    _Atomic int64_t ever; /* blocks that were handed out */
};

static struct in_use before_main;
static struct in_use *page = &before_main;

/* Before main there is one thread. */
__attribute__((constructor)) static void share(void)
{
    const char *path = getenv("TURNPIKE_INUSE");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    struct in_use *shared;
    if (fd < 0) {
        return;
    }
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (shared == MAP_FAILED) {
        return;
    }
    atomic_store(&shared->bytes, atomic_load(&before_main.bytes));
    atomic_store(&shared->blocks, atomic_load(&before_main.blocks));
    atomic_store(&shared->ever, atomic_load(&before_main.ever));
    page = shared;
}

static void *taken(void *block)
{
    if (block) {
        atomic_fetch_add_explicit(
            &page->bytes, (int64_t)malloc_usable_size(block), memory_order_relaxed);
        atomic_fetch_add_explicit(&page->blocks, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&page->ever, 1, memory_order_relaxed);
    }
    return block;
}

static void given_back(int64_t size)
{
    atomic_fetch_sub_explicit(&page->bytes, size, memory_order_relaxed);
    atomic_fetch_sub_explicit(&page->blocks, 1, memory_order_relaxed);
}

void *malloc(size_t size)
{
    return taken(__libc_malloc(size));
}

void *calloc(size_t count, size_t size)
{
    return taken(__libc_calloc(count, size));
}

void free(void *block)
{
    if (block) {
        given_back((int64_t)malloc_usable_size(block));
    }
    __libc_free(block);
}

void *realloc(void *block, size_t size)
{
    int64_t had = block ? (int64_t)malloc_usable_size(block) : 0;
    void *moved = __libc_realloc(block, size);
    if (block && (moved || size == 0)) {
        given_back(had);
    }
    return taken(moved);
}

void *reallocarray(void *block, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(block, bytes);
}

void *memalign(size_t alignment, size_t size)
{
    return taken(__libc_memalign(alignment, size));
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

int posix_memalign(void **block, size_t alignment, size_t size)
{
    void *made;
    if (alignment % sizeof(void *) != 0 || (alignment & (alignment - 1)) != 0 || alignment == 0) {
        return EINVAL;
    }
    made = memalign(alignment, size);
    if (!made) {
        return ENOMEM;
    }
    *block = made;
    return 0;
}
