/* The reference of all keys, from the key table. */
#ifndef CONFIG_REFERENCE_H
#define CONFIG_REFERENCE_H

#include <stdio.h>

/* Writes docs/configuration.md. 0 or -EIO. */
int reference_write(FILE *out);

#endif
