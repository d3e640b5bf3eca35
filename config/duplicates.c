/*
 * Sorts pointers to the items and looks at neighbours: a file of many thousand users is read at
 * once. Called by the types of lists.
 */
#include "config/duplicates.h"

#include <errno.h>
#include <stdlib.h>

struct order {
    int (*compare)(const void *, const void *);
};

/* Equal items stay in the order of the list, which is the order of their addresses. */
static int compare_pointers(const void *a, const void *b, void *arg)
{
    const struct order *order = arg;
    const char *x = *(const char *const *)a, *y = *(const char *const *)b;
    int c = order->compare(x, y);

    return c != 0 ? c : (x > y) - (x < y);
}

int duplicates_find(const void *items, size_t count, size_t size,
    int (*compare)(const void *, const void *), bool *found, size_t *later)
{
    struct order order = {compare};
    size_t first = count;
    const char **sorted;

    *found = false;
    if (count < 2)
        return 0;
    sorted = calloc(count, sizeof(*sorted));
    if (!sorted)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        sorted[i] = (const char *)items + i * size;
    qsort_r(sorted, count, sizeof(*sorted), compare_pointers, &order);
    for (size_t i = 1; i < count; i++) {
        size_t index = (size_t)(sorted[i] - (const char *)items) / size;

        if (compare(sorted[i - 1], sorted[i]) == 0 && index < first)
            first = index;
    }
    free(sorted);
    if (first < count) {
        *found = true;
        *later = first;
    }
    return 0;
}
