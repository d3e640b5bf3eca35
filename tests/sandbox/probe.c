/*
 * Tries one thing behind the sandbox of the daemon, as whoever has taken it over would: probe WHAT.
 * Ends with 0: it worked; 1: it was refused, and standard output has the errno's name; a signal: it
 * was killed for it; 2: no such thing, or no sandbox. Called by tests/check_release.py, on a build
 * without sanitizers.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "daemon/syscall_filter.h"

static long try_socket(int family, int type, int protocol)
{
    return socket(family, type, protocol);
}

static long do_udp(void)
{
    return try_socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static long do_packet(void)
{
    return try_socket(AF_PACKET, SOCK_RAW, 0);
}

static long do_raw(void)
{
    return try_socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
}

static long do_netlink_route(void)
{
    return try_socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
}

static long do_netlink_other(void)
{
    return try_socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
}

static long do_vsock(void)
{
    return try_socket(AF_VSOCK, SOCK_STREAM, 0);
}

static long do_ptrace(void)
{
    return ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static long do_process_vm(void)
{
    char from[8] = "secret", to[8];
    struct iovec local = {to, sizeof(to)}, remote = {from, sizeof(from)};
    return process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
}

static long do_execve(void)
{
    char *const arguments[] = {(char *)"true", NULL}, *const environment[] = {NULL};
    return execve("/bin/true", arguments, environment);
}

static long do_fork(void)
{
    return syscall(SYS_clone, 17 /* SIGCHLD */, 0, 0, 0, 0);
}

static long do_clone3(void)
{
    uint64_t arguments[11] = {0};
    return syscall(SYS_clone3, arguments, sizeof(arguments));
}

static long do_setuid(void)
{
    return setuid(0);
}

static long do_write_and_run(void)
{
    void *code =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return code == MAP_FAILED ? -1 : 0;
}

static long do_written_then_run(void)
{
    void *data = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return data == MAP_FAILED ? -1 : mprotect(data, 4096, PROT_READ | PROT_EXEC);
}

static long do_dumpable(void)
{
    return prctl(PR_SET_DUMPABLE, 1);
}

static long do_limit(void)
{
    struct rlimit files = {1024, 1024};
    return setrlimit(RLIMIT_NOFILE, &files);
}

static long do_rename(void)
{
    return rename("/nowhere", "/nowhere-either");
}

static const struct {
    const char *name;
    long (*act)(void);
} things[] = {{"udp", do_udp}, {"packet", do_packet}, {"raw", do_raw},
    {"netlink_route", do_netlink_route}, {"netlink_other", do_netlink_other}, {"vsock", do_vsock},
    {"ptrace", do_ptrace}, {"process_vm", do_process_vm}, {"execve", do_execve}, {"fork", do_fork},
    {"clone3", do_clone3}, {"setuid", do_setuid}, {"write_and_run", do_write_and_run},
    {"written_then_run", do_written_then_run}, {"dumpable", do_dumpable}, {"limit", do_limit},
    {"rename", do_rename}};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc == 2 && i < sizeof(things) / sizeof(things[0]); i++) {
        if (strcmp(things[i].name, argv[1]) == 0) {
            if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || syscall_filter_enter() != 0)
                return 2;
            if (things[i].act() >= 0)
                _exit(0);
            puts(strerrorname_np(errno));
            return 1;
        }
    }
    return 2;
}
