/* Memory in use by the test's process. */
#ifndef TESTS_SCENARIO_RESIDENT_H
#define TESTS_SCENARIO_RESIDENT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>
#include <cmocka.h>

/* Of a sanitizer, where one is: its quarantine keeps what was freed resident, so it is asked what
 * is in use. */
size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static inline size_t resident(void)
{
    if (__sanitizer_get_current_allocated_bytes)
        return __sanitizer_get_current_allocated_bytes();
    unsigned long total = 0, pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lu %lu", &total, &pages), 2);
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

#endif
