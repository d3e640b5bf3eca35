/* From a configuration to what workers judge by. Control thread. */
#ifndef DAEMON_BUILD_SNAPSHOT_H
#define DAEMON_BUILD_SNAPSHOT_H

#include "config/config.h"
#include "daemon/drain.h"
#include "daemon/endpoints.h"
#include "net/snapshot.h"

struct snapshot_source {
    const struct config *config; /* has everything filled in; nothing of it is borrowed */
    struct port_maps *ports; /* borrowed for life; a relayed address stays in it once it was there
                              */
    const struct endpoint_plan *plan; /* its endpoints outlive the snapshot */
    struct tls_context *tls;          /* in force already; NULL: read from the files */
    const struct drain *drain;        /* as it is now */
    uint64_t version;
};

/* A whole snapshot, or NULL with one line in `error`. */
struct net_snapshot *snapshot_build(
    const struct snapshot_source *from, char *error, size_t error_cap);
/* Whether this build can look at media as closely as it says; false with one line in `error`. */
bool snapshot_check_srtp(const struct config *config, char *error, size_t error_cap);
/* When no worker uses it any more. NULL: nothing happens. */
void snapshot_free(struct net_snapshot *s);

#endif
