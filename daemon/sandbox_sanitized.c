/*
 * What sanitizers do in the process: signal stacks for every thread, threads of their own, and a
 * leak check that stops the others from a child which traces them. No build that anybody runs a
 * relay with has this.
 */
#include "daemon/places.h"
#include "daemon/syscall_filter.h"

#include <seccomp.h>

const int syscall_filter_more[] = {SCMP_SYS(sigaltstack), SCMP_SYS(clone), SCMP_SYS(ptrace),
    SCMP_SYS(wait4), SCMP_SYS(fstat), SCMP_SYS(prctl), SCMP_SYS(getppid), SCMP_SYS(tgkill),
    SCMP_SYS(kill), SCMP_SYS(getdents), SCMP_SYS(readlink), SCMP_SYS(stat), SCMP_SYS(nanosleep),
    SCMP_SYS(open), SCMP_SYS(arch_prctl), -1};

/* Maps and threads of the process, and the program itself, for the lines of a report. */
const struct landlock_place places_more[] = {
    {"/proc", LANDLOCK_READ}, {"/proc/self/exe", LANDLOCK_READ}, {0}};
