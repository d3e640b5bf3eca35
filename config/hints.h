/* What a person probably meant. */
#ifndef CONFIG_HINTS_H
#define CONFIG_HINTS_H

#include <stddef.h>

/* The one of the names that `name` is a slip of; NULL: none is near enough. */
const char *hint_among(const char *name, const char *const *names, size_t count);

#endif
