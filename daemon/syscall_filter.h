/*
 * Which system calls the daemon may make once it has started. What is not listed fails with EPERM,
 * so that a library's new habit costs what it wanted and not the calls of everybody; what no part
 * of a relay ever does, and whoever has taken it over does first, ends the process. docs/running.md
 * shows the list.
 */
#ifndef DAEMON_SYSCALL_FILTER_H
#define DAEMON_SYSCALL_FILTER_H

#include <stddef.h>

/* For all threads, those that run and those to come, for good. 0, or -errno: nothing is in force.
 */
int syscall_filter_enter(void);

/*
 * What sanitizers call besides: sandbox_sanitized.c, or sandbox_plain.c with nothing in it, as
 * meson chooses. Ends with -1.
 */
extern const int syscall_filter_more[];

#endif
