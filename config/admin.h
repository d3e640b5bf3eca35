/* `admin`: where operators come in. */
#ifndef CONFIG_ADMIN_H
#define CONFIG_ADMIN_H

#include "config/config.h"
#include "config/document.h"

/* What belongs together is there, and nothing is served in clear beyond loopback. 0; -EINVAL with
 * the fault set. */
int admin_check(const struct config *c, const struct document_node *root, struct fault *fault);
void admin_clear(struct admin_settings *admin);

#endif
