/*
 * The REST secrets of coturn's sets turn/realm/R/secret: read when Redis is reached and every 10 s,
 * told when they have changed. What is known stays while Redis cannot be read. Control thread.
 */
#ifndef FLEET_REDIS_SECRETS_H
#define FLEET_REDIS_SECRETS_H

#include "fleet/fleet_realms.h"

#define REDIS_SECRETS_EVERY_MS 10000u

struct redis_secrets;

typedef void redis_secrets_fn(void *ctx, const struct store_secrets *secrets);

/* `link` outlives it. NULL: out of memory. */
struct redis_secrets *redis_secrets_new(struct redis_link *link, redis_secrets_fn *told, void *ctx);
void redis_secrets_free(struct redis_secrets *s); /* after the link; NULL: nothing happens */

/*
 * The realms from now on; those that want none are left out. Of those that stay what is known
 * stays, and is told again with the next read. 0 or -ENOMEM: nothing has changed.
 */
int redis_secrets_set_realms(struct redis_secrets *s, const struct fleet_realms *realms);
/* Asks for all of them; where Redis cannot be asked, nothing happens. */
void redis_secrets_read(struct redis_secrets *s);

#endif
