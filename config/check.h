/* What must hold between keys. */
#ifndef CONFIG_CHECK_H
#define CONFIG_CHECK_H

#include "config/document.h"

/* 0, or -EINVAL with the fault set. `root` is what `c` was read from: it knows the lines. */
int check_config(const struct config *c, const struct document_node *root, struct fault *fault);

#endif
