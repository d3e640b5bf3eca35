/* `listen`: where clients come in. */
#ifndef CONFIG_LISTENERS_H
#define CONFIG_LISTENERS_H

#include "config/document.h"
#include "config/values.h"

/* An entry of `listen` as it is written, before it is expanded to one listener a port. */
struct listen_item {
    struct listener_settings listener; /* port 0 */
    struct port_range ports;
};

/* An address that a socket of ours can be bound to, or that clients can send to: NULL, or what it
 * is instead. */
const char *listeners_unusable(const struct addr *a);
/* Makes the list that `listen: auto` stands for, when everything else is read. 0 or -ENOMEM. */
int listeners_complete(struct config *c);
/* What takes more than one key: 0, or -EINVAL with the fault set. */
int listeners_check(const struct config *c, const struct document_node *root, struct fault *fault);
void listeners_clear(struct net_settings *net);

#endif
