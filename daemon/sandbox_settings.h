/* What the configuration says about whom the daemon becomes and what it shuts itself into. Plain
 * data; owned by the configuration. */
#ifndef DAEMON_SANDBOX_SETTINGS_H
#define DAEMON_SANDBOX_SETTINGS_H

#include <stdint.h>

/* AUTO: what the kernel has is put in force, and what it has not is a warning. */
enum sandbox_mode { SANDBOX_AUTO, SANDBOX_REQUIRED, SANDBOX_OFF };

struct sandbox_settings {
    char *user;   /* NULL: SANDBOX_USER if there is one and the daemon starts as root */
    char *group;  /* NULL: the user's own */
    uint8_t mode; /* enum sandbox_mode */
};

/* Whom a daemon becomes that starts as root and is told nothing. */
#define SANDBOX_USER "turnpike"

#endif
