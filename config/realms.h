/*
 * Realms as tenants. The realm of the top level is always there and has id 0; those of the list
 * `realms` follow. In a configuration that is being read the ids are in the order of the file; in
 * one that runs they are what config_place_realms made them.
 */
#ifndef CONFIG_REALMS_H
#define CONFIG_REALMS_H

#include "config/schema.h"

/* An item of `realms` while it is read or printed. */
struct realm_item {
    struct auth_realm_settings realm;
    struct quota_limits quota; /* UINT32_MAX: not set */
    struct realm_rates rates;  /* count UINT32_MAX, bandwidth UINT64_MAX: not set */
    uint8_t guard;             /* enum srtp_guard_level, or SRTP_GUARD_INHERIT */
};

/* The realm that a key of `auth`, or of an item of `realms`, is about. */
struct auth_realm_settings *realm_of(void *base, const struct schema_key *key);
const struct auth_realm_settings *const_realm_of(const void *base, const struct schema_key *key);
/* Frees and wipes what it owns; it is empty afterwards. */
void realm_clear(struct auth_realm_settings *realm);

/* What follows from other keys: names of servers, limits that a realm has not set. 0; -EINVAL or
 * -ENOMEM with the fault set. `root` is NULL for the built-in configuration. */
int realms_complete(struct config *c, const struct document_node *root, struct fault *fault);
/* What takes more than one key: 0, or -EINVAL with the fault set. Listeners know their realms. */
int realms_check(const struct config *c, const struct document_node *root, struct fault *fault);

#endif
