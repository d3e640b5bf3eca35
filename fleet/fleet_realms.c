/* A short list, looked through from the front. Called by fleet.c, redis_secrets.c and
 * redis_revocations.c. */
#include "fleet/fleet_realms.h"

#include <errno.h>
#include <stdlib.h>

static void free_list(struct fleet_realm *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free((void *)(uintptr_t)list[i].name.data);
    free(list);
}

int fleet_realms_set(struct fleet_realms *r, const struct fleet_realm *list, size_t count)
{
    struct fleet_realm *copies = calloc(count > 0 ? count : 1, sizeof(*copies));
    if (!copies)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        const struct slice name = list[i].name;
        const bool fits = name.len > 0 && name.len <= REDIS_KEY_REALM_MAX;
        uint8_t *copy = fits ? malloc(name.len) : NULL;
        if (!copy) {
            free_list(copies, i);
            return fits ? -ENOMEM : -EINVAL;
        }
        memcpy(copy, name.data, name.len);
        copies[i] = list[i];
        copies[i].name = slice_of(copy, name.len);
    }
    fleet_realms_deinit(r);
    *r = (struct fleet_realms){copies, count};
    return 0;
}

void fleet_realms_deinit(struct fleet_realms *r)
{
    free_list(r->list, r->count);
    *r = (struct fleet_realms){0};
}

const struct fleet_realm *fleet_realms_by_id(const struct fleet_realms *r, uint32_t id)
{
    for (size_t i = 0; i < r->count; i++) {
        if (r->list[i].id == id)
            return &r->list[i];
    }
    return NULL;
}

const struct fleet_realm *fleet_realms_by_name(const struct fleet_realms *r, struct slice name)
{
    for (size_t i = 0; i < r->count; i++) {
        if (slice_equal(r->list[i].name, name))
            return &r->list[i];
    }
    return NULL;
}
