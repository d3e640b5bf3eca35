/* The permissions of one allocation (RFC 8656 section 9): peer IP addresses with a time to expiry.
 * One thread. */
#ifndef RELAY_PERMISSION_H
#define RELAY_PERMISSION_H

#include "base/addr.h"

/* "The Permission Lifetime MUST be 300 seconds (= 5 minutes)." */
#define PERMISSION_LIFETIME_S 300

struct permission {
    struct addr ip; /* port 0 */
    uint64_t expires_us;
};

struct permission_list {
    struct permission *items; /* owned; order means nothing */
    uint16_t count, capacity;
    uint16_t last; /* where the last find hit: media comes in runs */
};

void permission_list_deinit(struct permission_list *l);
/* A permission for the peer's IP that has not expired, or NULL. Ports are not considered. Valid
 * until the list changes. */
const struct permission *permission_find(
    struct permission_list *l, const struct addr *peer, uint64_t now_us);
/* Makes room so that `more` new permissions cannot fail. 0 or -ENOMEM. */
int permission_reserve(struct permission_list *l, unsigned more);
/* Installs, or resets the time to expiry of, a permission. Room must be there. True if it is new
 * (or was expired and is counted as kept: see permission_purge, which the caller runs first). */
bool permission_install(struct permission_list *l, const struct addr *peer, uint64_t now_us);
/* Removes the expired ones; returns how many went. */
unsigned permission_purge(struct permission_list *l, uint64_t now_us);
/* Removes those of one family; returns how many went. */
unsigned permission_remove_family(struct permission_list *l, uint8_t family);
/* The earliest expiry, or UINT64_MAX. */
uint64_t permission_next_expiry(const struct permission_list *l);

#endif
