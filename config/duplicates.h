/* Finding what a list says twice, without comparing each with each. */
#ifndef CONFIG_DUPLICATES_H
#define CONFIG_DUPLICATES_H

#include <stdbool.h>
#include <stddef.h>

/*
 * *later is the index of an item that equals an earlier one by `compare` (as for qsort), *found
 * whether there is one. 0 or -ENOMEM. Of several, the one that stands first in the list.
 */
int duplicates_find(const void *items, size_t count, size_t size,
    int (*compare)(const void *, const void *), bool *found, size_t *later);

#endif
