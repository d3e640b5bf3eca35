/* Credentials that a start without a configuration makes up. Control thread. */
#ifndef DAEMON_CREDENTIALS_H
#define DAEMON_CREDENTIALS_H

#include <limits.h>

#include "config/config.h"

struct credentials {
    char user[16], password[32], rest_secret[48]; /* text; wiped by credentials_wipe */
};

/*
 * Random names and passwords, put into the first realm of `config`. 0, -EIO or -ENOMEM with *config
 * untouched.
 */
int credentials_generate(struct credentials *out, struct config *config);
void credentials_wipe(struct credentials *c);
/*
 * A new file that only this user may read, in $XDG_RUNTIME_DIR, else /run/turnpike, else $TMPDIR or
 * /tmp; a directory that another user owns is passed over. A descriptor, with the file's path in
 * `path`; or -errno.
 */
int credentials_create_file(char path[PATH_MAX]);

#endif
