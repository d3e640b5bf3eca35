/* `redis`: where the store is. */
#ifndef CONFIG_REDIS_H
#define CONFIG_REDIS_H

#include "config/document.h"

/* What takes more than one key: 0, or -EINVAL with the fault set. */
int redis_check(const struct config *c, const struct document_node *root, struct fault *fault);
/* Gives `next` what `running` has. 0, or -ENOMEM with `next` untouched. */
int redis_keep(struct redis_settings *next, const struct redis_settings *running);
void redis_clear(struct redis_settings *redis); /* wipes the URL */

#endif
