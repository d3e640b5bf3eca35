/* A usage record as one line of JSON; docs/usage.md describes it. Pure. */
#ifndef DAEMON_USAGE_LINE_H
#define DAEMON_USAGE_LINE_H

#include "relay/usage.h"

/* Bytes: user and account of 508 bytes that are no UTF-8, a realm of 127, and everything else. */
#define USAGE_LINE_MAX 10240
#define USAGE_ID_MAX   64 /* with its NUL */

/* What names a record, always in the same way: of this start, of the allocation, and which. */
const char *usage_line_id(char out[USAGE_ID_MAX], uint64_t instance, const struct usage_record *r);
/* Writes the line with its newline into USAGE_LINE_MAX bytes; returns its length. `realm`: its
 * name. */
size_t usage_line_write(
    char *out, uint64_t instance, const char *realm, const struct usage_record *r);

#endif
