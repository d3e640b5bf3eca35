/* Bytes that grow on their way to Redis; wiped when given back, because AUTH is among them. */
#ifndef FLEET_REDIS_BUFFER_H
#define FLEET_REDIS_BUFFER_H

#include "base/slice.h"

#define REDIS_ARGUMENTS_MAX 256

struct redis_buffer {
    uint8_t *data; /* owned; NULL: nothing yet */
    size_t len, cap;
};

int redis_buffer_append(
    struct redis_buffer *b, struct slice bytes);  /* all of it and 0, or -ENOMEM */
void redis_buffer_clear(struct redis_buffer *b);  /* wipes; a large one is given back */
void redis_buffer_deinit(struct redis_buffer *b); /* wipes and frees; back to empty */

/* What a command takes on the wire, at most. */
size_t redis_command_len_max(const struct slice *argv, size_t argc);
/*
 * Appends a command as RESP: each argument with its length, whatever its bytes are. 0; -E2BIG with
 * no argument, more than REDIS_ARGUMENTS_MAX, or 512 MiB and more; -ENOMEM. Nothing is appended on
 * failure.
 */
int redis_buffer_append_command(struct redis_buffer *b, const struct slice *argv, size_t argc);

#endif
