/* What redis_script.c and redis_limits.c need of a link. Internal to fleet/. */
#ifndef FLEET_REDIS_LINK_INTERNAL_H
#define FLEET_REDIS_LINK_INTERNAL_H

#include "fleet/redis_link.h"

/* Whether the bounds admit a command of a user's now. As redis_link_command. */
int redis_link_check(struct redis_link *l, const struct slice *argv, size_t argc);
/* As redis_link_command, but for the bounds, with a command that is formatted already and a
 * deadline of the clock. */
int redis_link_send(
    struct redis_link *l, struct slice command, const struct redis_waiting *waiting);

/* What was issued leaves now, and not at the end of the loop's turn, as far as the kernel takes it.
 * For what is to arrive although the link is freed next. */
void redis_link_flush(struct redis_link *l);

/* Bytes that are kept for sending again count against write_max. 0 or -EAGAIN. */
int redis_link_keep(struct redis_link *l, size_t bytes);
void redis_link_unkeep(struct redis_link *l, size_t bytes);

#endif
