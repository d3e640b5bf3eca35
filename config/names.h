/* Lists of names: `tls.client_names`, `admin.tls.client_names`, `admin.hosts`. */
#ifndef CONFIG_NAMES_H
#define CONFIG_NAMES_H

#include <stdbool.h>
#include <stddef.h>

/* Frees such a list. */
void names_clear(char ***items, size_t *count);

/* "a valid DNS name [RFC1123] (including A-labels [RFC5890]) of 255 or fewer ASCII characters" (RFC
 * 8489 section 14.16), without a dot at its end. */
bool names_is_dns_name(const char *text);

#endif
