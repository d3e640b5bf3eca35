/* Which folders the daemon opens files in once it has started: what Landlock leaves open. */
#ifndef DAEMON_PLACES_H
#define DAEMON_PLACES_H

#include "config/config.h"
#include "daemon/landlock.h"

struct places {
    struct landlock_place *list; /* ends with a path of NULL */
    char **owned;                /* paths that are not constants */
    size_t count, owned_count;
};

/*
 * Of `config` as loaded from `path`, NULL: from no file. The folders of all files that it names, as
 * they are named and where links lead, so that a renewed file is found whichever way it is put
 * there; the folder of the unix socket; what libraries read. 0 or -ENOMEM.
 */
int places_init(struct places *out, const struct config *config, const char *path);
void places_deinit(struct places *p);

/* What sanitizers read besides; ends with a path of NULL. See syscall_filter.h. */
extern const struct landlock_place places_more[];

#endif
