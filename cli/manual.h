/* The manual pages. */
#ifndef CLI_MANUAL_H
#define CLI_MANUAL_H

#include <stdio.h>

/*
 * The page of scdoc(5) at `path`, in which a line @COMMANDS@ stands for every command of
 * turnpikectl with its options, and @CONFIGURATION@ for every key of the configuration. 0 or
 * -errno.
 */
int manual_write(FILE *out, const char *path);

#endif
