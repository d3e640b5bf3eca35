/* Lists of names: `tls.client_names`, `admin.tls.client_names`, `admin.hosts`. */
#ifndef CONFIG_NAMES_H
#define CONFIG_NAMES_H

#include <stddef.h>

/* Frees such a list. */
void names_clear(char ***items, size_t *count);

#endif
