/* Realms by name, as operators know them. */
#ifndef DAEMON_REALMS_H
#define DAEMON_REALMS_H

#include "auth/auth_settings.h"
#include "base/slice.h"

/* The id of the realm, an empty name meaning the first; false: there is none. */
static inline bool realms_find(const struct auth_settings *auth, struct slice name, uint32_t *realm)
{
    for (size_t i = 0; i < auth->realm_count; i++) {
        const struct auth_realm_settings *r = &auth->realms[i];
        if (!r->removed && (name.len == 0 || slice_equal(slice_of_string(r->name), name))) {
            *realm = (uint32_t)i;
            return true;
        }
    }
    return false;
}

#endif
