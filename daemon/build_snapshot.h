/* From a configuration to what workers judge by. Control thread. */
#ifndef DAEMON_BUILD_SNAPSHOT_H
#define DAEMON_BUILD_SNAPSHOT_H

#include "config/config.h"
#include "daemon/endpoints.h"
#include "net/snapshot.h"

/*
 * A whole snapshot, or NULL with one line in `error`. `config` has everything filled in; nothing of
 * it is borrowed. `ports` is borrowed for life; a relayed address stays in it once it was there.
 * `plan`: its endpoints outlive the snapshot. Certificates are read here.
 */
struct net_snapshot *snapshot_build(const struct config *config, struct port_maps *ports,
    const struct endpoint_plan *plan, uint64_t version, char *error, size_t error_cap);
/* When no worker uses it any more. NULL: nothing happens. */
void snapshot_free(struct net_snapshot *s);

#endif
