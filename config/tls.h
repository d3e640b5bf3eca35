/* `tls`: certificates, keys and who may issue those of clients. */
#ifndef CONFIG_TLS_H
#define CONFIG_TLS_H

#include "config/document.h"

/* Puts `cert` and `key` in front of `certificates`, and checks that what belongs together is there.
 * 0; -EINVAL or -ENOMEM with the fault set. */
int tls_complete(struct config *c, const struct document_node *root, struct fault *fault);
void tls_clear(struct tls_settings *tls);

#endif
