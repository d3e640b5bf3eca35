/* What the configuration says about usage records. Plain data; owned by the configuration. */
#ifndef RELAY_USAGE_SETTINGS_H
#define RELAY_USAGE_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

struct usage_settings {
    char *file;         /* NULL: none */
    bool redis;         /* a stream as well */
    uint32_t redis_max; /* entries of it, about */
    uint32_t every_s;   /* how often of an allocation that lives */
};

/* Whether there are any. */
static inline bool usage_is_on(const struct usage_settings *s)
{
    return s->file || s->redis;
}

#endif
