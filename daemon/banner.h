/* What a start without a configuration says, ready to paste. Control thread. */
#ifndef DAEMON_BANNER_H
#define DAEMON_BANNER_H

#include "daemon/credentials.h"

/*
 * URLs, user, password, REST secret, and a turnutils_uclient line that relays when pasted on the
 * same host.
 */
void banner_write(FILE *out, const struct config *config, const struct credentials *credentials);
/*
 * Shows it: on standard output where that is a terminal, else in a new file that the log names.
 * `path` is that file's, or "": the caller removes it at the end. 0 or -errno.
 */
int banner_show(
    const struct config *config, const struct credentials *credentials, char path[PATH_MAX]);

#endif
