/*
 * What an answer of the store needs to cross threads: each worker gets a copy of a realm's secrets,
 * because they are wiped where and when that worker is done with them. Called by control.
 */
#include "auth/store.h"

struct store_secrets *store_secrets_copy(const struct store_secrets *s)
{
    struct store_secrets *copy = calloc(1, sizeof(*copy));
    if (!copy)
        return NULL;
    copy->realm = s->realm;
    for (; copy->count < s->count; copy->count++) {
        if (secret_set(&copy->list[copy->count], secret_slice(&s->list[copy->count])) < 0) {
            store_secrets_free(copy);
            return NULL;
        }
    }
    return copy;
}
