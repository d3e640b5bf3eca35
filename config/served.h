/* Which realms a listener serves: `listen[].realms`. */
#ifndef CONFIG_SERVED_H
#define CONFIG_SERVED_H

#include "config/document.h"

/*
 * Gives every listener its realms, when all realms are known: those that its entry names, the first
 * being its home; the realm of the top level where it names none. The built-in listeners serve all
 * realms, and that of the top level is their home. 0, or -EINVAL with the fault set. `root` is NULL
 * for the built-in configuration.
 */
int served_complete(struct config *c, const struct document_node *root, struct fault *fault);
/* ", realms: [...]" where that is not the default. */
void served_print(const struct config *c, const struct listener_settings *listener, FILE *out);
/* The realms of `auth` that at least one listener serves, a bit for each id. */
uint64_t served_realms(const struct net_settings *net);
/* Gives every realm id of the listeners its place in `ids`. */
void served_renumber(struct net_settings *net, const uint32_t *ids);

#endif
