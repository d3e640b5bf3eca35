/* The realms of a configuration: which one a key belongs to. */
#ifndef CONFIG_REALMS_H
#define CONFIG_REALMS_H

#include "config/schema.h"

/* The realm that a key of `auth`, or of an item of `realms`, is about. */
struct auth_realm_settings *realm_of(void *base, const struct schema_key *key);
const struct auth_realm_settings *const_realm_of(const void *base, const struct schema_key *key);
/* Frees and wipes what it owns; it is empty afterwards. */
void realm_clear(struct auth_realm_settings *realm);

#endif
