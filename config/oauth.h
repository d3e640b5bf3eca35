/* `oauth` of a realm: keys of access tokens, and the name that they are made for. */
#ifndef CONFIG_OAUTH_H
#define CONFIG_OAUTH_H

#include "auth/auth_settings.h"

/* Frees and wipes; the list is empty afterwards. */
void oauth_clear_keys(struct auth_realm_settings *realm);
/* The same keys in the same order? */
bool oauth_equal_keys(const struct auth_realm_settings *a, const struct auth_realm_settings *b);
/* Can there be a key of a token in this realm? */
bool oauth_wanted(const struct auth_realm_settings *realm);
/* Tokens are made for the realm's own name where the file says no other. 0 or -ENOMEM. */
int oauth_complete(struct auth_realm_settings *realm);

#endif
