/*
 * The control thread: starts the workers, takes signals, reloads, stops. One instance a process.
 */
#ifndef DAEMON_CONTROL_H
#define DAEMON_CONTROL_H

#include "config/config.h"

struct control;

/*
 * Binds every socket and starts the workers. Takes *config over on success (it is then {0}).
 * `path`: read again at SIGHUP, borrowed for life; NULL: there is no file. NULL with one line in
 * `error` on failure, with *config still the caller's.
 */
struct control *control_new(struct config *config, const char *path, char *error, size_t error_cap);
/* What runs: everything is filled in. Valid until control_run. */
const struct config *control_config(const struct control *c);
/* Runs until SIGTERM or SIGINT; a second one ends the process at once. */
void control_run(struct control *c);
/* Ends every allocation and frees everything; what libwebsockets does not let go of within 2 s is
 * left, with a line in the log. NULL: nothing happens. */
void control_free(struct control *c);

#endif
