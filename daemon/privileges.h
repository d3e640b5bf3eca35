/*
 * Whom the daemon runs as, and with which of root's privileges. Main thread, while there is no
 * other: the kernel keeps capabilities and NO_NEW_PRIVS a thread, and threads inherit them.
 */
#ifndef DAEMON_PRIVILEGES_H
#define DAEMON_PRIVILEGES_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/sandbox_settings.h"

/*
 * Started as root, becomes the user that `s` names, or `turnpike` where it names none and there is
 * one, with that user's groups. What it keeps until privileges_drop is CAP_NET_BIND_SERVICE, and
 * CAP_NET_ADMIN for large socket buffers. `folder`, if not NULL, is made if it is not there, and
 * given to the user: /run/turnpike. Returns 0: as before; 1: another user, who may not read what
 * root may; -errno with a line in `error`.
 */
int privileges_become(
    const struct sandbox_settings *s, const char *folder, char *error, size_t error_cap);

/*
 * For good: keeps CAP_NET_BIND_SERVICE of what there is, root also CAP_DAC_READ_SEARCH, so that a
 * reload reads what the start has read; and no program that could be run would have more. Nobody
 * of that user may look into the process, and files that it makes are nobody else's to write. 0 or
 * -errno.
 */
int privileges_drop(void);

#endif
