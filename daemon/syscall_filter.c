/*
 * The list of system calls, by what they are needed for: found by tracing every interop case, from
 * the start of the first thread on.
 *
 * Always: calls of the packet path are allowed whatever their arguments, which the kernel remembers
 * without running the filter. Called by the sandbox.
 */
#include "daemon/syscall_filter.h"

#include <errno.h>
#include <linux/netlink.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

/* Types of sockets without SOCK_CLOEXEC and SOCK_NONBLOCK. */
#define SOCKET_TYPE_MASK 0xf
#define END              (-1)

/* Whatever their arguments. */
static const int always[] = {
    /* Packets and connections. */
    SCMP_SYS(recvmmsg), SCMP_SYS(sendmmsg), SCMP_SYS(recvmsg), SCMP_SYS(sendmsg),
    SCMP_SYS(recvfrom), SCMP_SYS(sendto), SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(bind),
    SCMP_SYS(listen), SCMP_SYS(accept4), SCMP_SYS(connect), SCMP_SYS(shutdown),
    SCMP_SYS(setsockopt), SCMP_SYS(getsockopt), SCMP_SYS(getsockname), SCMP_SYS(getpeername),
    SCMP_SYS(close),
    /* Loops, mailboxes, the log. */
    SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait),
    SCMP_SYS(eventfd2), SCMP_SYS(pipe2), SCMP_SYS(poll), SCMP_SYS(fcntl),
    /* Files at a reload, certificates, names, libraries of libsrtp2: where they may lie is
     * Landlock's. */
    SCMP_SYS(openat), SCMP_SYS(newfstatat), SCMP_SYS(lseek), SCMP_SYS(pread64),
    SCMP_SYS(getdents64), SCMP_SYS(faccessat2), SCMP_SYS(unlink),
    /* Memory; mapping it to be run is below. */
    SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(brk),
    /* Threads, waiting and signals. */
    SCMP_SYS(futex), SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity), SCMP_SYS(gettid), SCMP_SYS(exit), SCMP_SYS(exit_group),
    SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigreturn),
    SCMP_SYS(clock_nanosleep), SCMP_SYS(restart_syscall),
    /* Time where the clock is not mapped, randomness, and what libraries ask about the host. */
    SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(getrandom),
    SCMP_SYS(getpid), SCMP_SYS(geteuid), SCMP_SYS(uname), SCMP_SYS(sysinfo), END};

/* Nothing of ours, and nothing that a library does unasked. */
static const int deadly[] = {SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev), SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd), SCMP_SYS(init_module), SCMP_SYS(finit_module),
    SCMP_SYS(kexec_load), SCMP_SYS(kexec_file_load), SCMP_SYS(mount), SCMP_SYS(umount2),
    SCMP_SYS(pivot_root), SCMP_SYS(chroot), SCMP_SYS(setns), SCMP_SYS(unshare),
    SCMP_SYS(open_by_handle_at), SCMP_SYS(pidfd_getfd), SCMP_SYS(add_key), SCMP_SYS(keyctl),
    SCMP_SYS(request_key), END};

static bool is_in(const int *list, int call)
{
    while (*list != END && *list != call) {
        list++;
    }
    return *list == call && call != END;
}

static int allow_calls(scmp_filter_ctx filter, const int *calls)
{
    int r = 0;
    for (; *calls != END && r == 0; calls++) {
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, *calls, 0);
    }
    return r;
}

static int kill_calls(scmp_filter_ctx filter)
{
    int r = 0;
    for (const int *call = deadly; *call != END && r == 0; call++) {
        if (!is_in(syscall_filter_more, *call)) {
            r = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, *call, 0);
        }
    }
    return r;
}

/* Of unix sockets what turnpikectl, systemd and name services use; of netlink what lists addresses.
 * A raw socket would send in anybody's name. */
static int allow_sockets(scmp_filter_ctx filter)
{
    static const unsigned families[] = {AF_INET, AF_INET6, AF_UNIX},
                          types[] = {SOCK_DGRAM, SOCK_STREAM};
    int r = 0;
    for (unsigned f = 0; f < 3 && r == 0; f++) {
        for (unsigned t = 0; t < 2 && r == 0; t++) {
            r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
                SCMP_A0(SCMP_CMP_EQ, families[f]),
                SCMP_A1(SCMP_CMP_MASKED_EQ, SOCKET_TYPE_MASK, types[t]));
        }
    }
    if (r == 0) {
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
            SCMP_A0(SCMP_CMP_EQ, AF_NETLINK), SCMP_A2(SCMP_CMP_EQ, NETLINK_ROUTE));
    }
    if (r == 0) {
        r = seccomp_rule_add(
            filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, AF_PACKET));
    }
    return r < 0 ? r
                 : seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 1,
                       SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
}

/* Nothing that can be written can be run: code is what files of the system hold. */
static int allow_mappings(scmp_filter_ctx filter)
{
    static const unsigned rights[] = {0, PROT_WRITE, PROT_EXEC};
    int r = 0;
    for (unsigned i = 0; i < 3 && r == 0; i++) {
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
            SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_WRITE | PROT_EXEC, rights[i]));
    }
    return r < 0 ? r
                 : seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                       SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
}

/* Threads, and no processes. The flags of clone3 lie in memory, where a filter cannot look: libc
 * then takes clone. */
static int allow_threads(scmp_filter_ctx filter)
{
    const uint64_t thread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;
    int r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    if (r == 0 && !is_in(syscall_filter_more, SCMP_SYS(clone))) {
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
            SCMP_A0(SCMP_CMP_MASKED_EQ, thread, thread));
    }
    return r;
}

/* Those whose arguments say what they are for. */
static int allow_chosen(scmp_filter_ctx filter)
{
    static const unsigned controls[] = {FIONBIO, FIONREAD, TCGETS};
    int r = 0;
    for (unsigned i = 0; i < 3 && r == 0; i++) {
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
            SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, controls[i]));
    }
    if (r == 0 && !is_in(syscall_filter_more, SCMP_SYS(prctl))) {
        r = seccomp_rule_add(
            filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1, SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME));
    }
    /* Limits are read, never set: the new one is no address. */
    if (r == 0) {
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 2,
            SCMP_A0(SCMP_CMP_EQ, 0), SCMP_A2(SCMP_CMP_EQ, 0));
    }
    /* abort() signals its own thread. */
    if (r == 0 && !is_in(syscall_filter_more, SCMP_SYS(tgkill))) {
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
            SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
    }
    return r;
}

static int fill(scmp_filter_ctx filter)
{
    /* What calls as another architecture would pass by the list. */
    int r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    r = r < 0 ? r : seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    r = r < 0 ? r : allow_calls(filter, always);
    r = r < 0 ? r : allow_calls(filter, syscall_filter_more);
    r = r < 0 ? r : kill_calls(filter);
    r = r < 0 ? r : allow_sockets(filter);
    r = r < 0 ? r : allow_mappings(filter);
    r = r < 0 ? r : allow_threads(filter);
    return r < 0 ? r : allow_chosen(filter);
}

int syscall_filter_enter(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (!filter) {
        return -ENOMEM;
    }
    int r = fill(filter);
    if (r == 0) {
        r = seccomp_load(filter);
    }
    seccomp_release(filter);
    return r;
}
