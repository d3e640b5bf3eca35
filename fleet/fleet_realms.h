/* The realms of this process by id and by name: ids are its own, names are what instances share.
 * Internal to fleet/. */
#ifndef FLEET_FLEET_REALMS_H
#define FLEET_FLEET_REALMS_H

#include "fleet/fleet.h"
#include "fleet/redis_keys.h"

struct fleet_realms {
    struct fleet_realm *list; /* owned, the names too */
    size_t count;
};

/* Replaces what is there with copies. 0; -EINVAL: a name is empty or too long, -ENOMEM: nothing has
 * changed. */
int fleet_realms_set(struct fleet_realms *r, const struct fleet_realm *list, size_t count);
void fleet_realms_deinit(struct fleet_realms *r);
/* NULL: there is none. */
const struct fleet_realm *fleet_realms_by_id(const struct fleet_realms *r, uint32_t id);
const struct fleet_realm *fleet_realms_by_name(const struct fleet_realms *r, struct slice name);

#endif
