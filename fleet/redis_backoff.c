/* Full jitter: the whole range is drawn from, not only its end. Called by redis_link.c. */
#include "fleet/redis_backoff.h"

uint32_t redis_backoff_next(struct redis_backoff *b, const struct random_source *random)
{
    uint32_t range = REDIS_BACKOFF_MAX_MS;
    if (b->failures < 7) /* 50 << 7 is over the end */
        range = REDIS_BACKOFF_MIN_MS << b->failures++;
    uint32_t drawn;
    return random_below(random, range, &drawn) == 0 ? drawn + 1 : range;
}
