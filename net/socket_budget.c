/*
 * A counter of what may still be opened; see the header for why. Made by control before the workers
 * start, used by relay_socket.c and connections.c.
 */
#include "net/socket_budget.h"

#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>

/* For a reload's sockets and files, the log, the admin server's connections. */
#define FILES_RESERVED 96

/* 0: not known. */
static uint64_t read_watches(void)
{
    unsigned long long watches = 0;
    FILE *file = fopen("/proc/sys/fs/epoll/max_user_watches", "re");
    if (file) {
        if (fscanf(file, "%llu", &watches) != 1) {
            watches = 0;
        }
        fclose(file);
    }
    return watches;
}

int64_t socket_budget_size(uint64_t files, uint64_t watches, uint64_t in_use)
{
    uint64_t held = in_use + FILES_RESERVED;
    uint64_t most = INT64_MAX;
    if (files < most) {
        most = files;
    }
    /* Other processes of the same user share the watches: a tenth is left to them. */
    if (watches > 0 && watches - watches / 10 < most) {
        most = watches - watches / 10;
    }
    return most > held ? (int64_t)(most - held) : 0;
}

void socket_budget_init(struct socket_budget *b, uint64_t in_use)
{
    struct rlimit files;
    uint64_t most = getrlimit(RLIMIT_NOFILE, &files) == 0 ? files.rlim_cur : 1024;
    int64_t size = socket_budget_size(most, read_watches(), in_use);
    atomic_init(&b->left, size);
    atomic_init(&b->connections, size / 2);
}

void socket_budget_reserve(struct socket_budget *b, uint32_t files)
{
    atomic_fetch_sub_explicit(&b->left, files, memory_order_relaxed);
    atomic_fetch_sub_explicit(&b->connections, files / 2, memory_order_relaxed);
}

static void give_one(_Atomic int64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static bool take_one(_Atomic int64_t *counter)
{
    if (atomic_fetch_sub_explicit(counter, 1, memory_order_relaxed) > 0) {
        return true;
    }
    give_one(counter);
    return false;
}

bool socket_budget_take(struct socket_budget *b)
{
    return take_one(&b->left);
}

void socket_budget_give(struct socket_budget *b)
{
    give_one(&b->left);
}

bool socket_budget_take_connection(struct socket_budget *b)
{
    if (!take_one(&b->connections)) {
        return false;
    }
    if (take_one(&b->left)) {
        return true;
    }
    give_one(&b->connections);
    return false;
}

void socket_budget_give_connection(struct socket_budget *b)
{
    give_one(&b->left);
    give_one(&b->connections);
}
