/* Users and REST secrets of a realm, as lists. */
#ifndef CONFIG_USERS_H
#define CONFIG_USERS_H

#include "auth/auth_settings.h"

/* Free and wipe; the lists are empty afterwards. */
void users_clear(struct auth_realm_settings *realm);
void users_clear_secrets(struct auth_realm_settings *realm);
/* The same in the same order? */
bool users_equal(const struct auth_realm_settings *a, const struct auth_realm_settings *b);
bool users_equal_secrets(const struct auth_realm_settings *a, const struct auth_realm_settings *b);

#endif
