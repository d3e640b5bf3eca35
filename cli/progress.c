/*
 * Progress on standard error, for people only: where it is no terminal nothing is said, so that
 * scripts see errors and nothing else there. Called by the commands that wait.
 */
#include "cli/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

#define AFTER_US  (1 * US_PER_S)
#define TAKE_AWAY "\r\033[K"

void cli_progress_begin(struct cli_progress *p)
{
    *p = (struct cli_progress){
        .begun_us = clock_now().mono_us, .terminal = isatty(STDERR_FILENO) == 1};
}

void cli_progress_say(struct cli_progress *p, const char *format, ...)
{
    va_list arguments;
    if (!p->terminal || clock_now().mono_us - p->begun_us < AFTER_US) {
        return;
    }
    fputs(TAKE_AWAY, stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fflush(stderr);
    p->shown = true;
}

void cli_progress_end(struct cli_progress *p)
{
    if (p->shown) {
        fputs(TAKE_AWAY, stderr);
        fflush(stderr);
    }
    p->shown = false;
}
