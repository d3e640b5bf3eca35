/* One line on the terminal for what takes longer than a second, gone when it is over. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct cli_progress {
    uint64_t begun_us; /* CLOCK_MONOTONIC */
    bool terminal;     /* standard error is one; else nothing is ever said */
    bool shown;
};

void cli_progress_begin(struct cli_progress *p);
/* Shows the line in place of the last one, once a second has passed since the beginning. */
void cli_progress_say(struct cli_progress *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Takes the line away. Before anything else is printed. */
void cli_progress_end(struct cli_progress *p);

#endif
