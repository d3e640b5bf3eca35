/* The two clocks. Both are read through the vDSO, so a reading costs no system call. Called once a
 * receive batch. */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

struct instant clock_now(void)
{
    struct timespec mono, wall;
    clock_gettime(CLOCK_MONOTONIC, &mono);
    clock_gettime(CLOCK_REALTIME, &wall);
    return (struct instant){
        .mono_us = (uint64_t)mono.tv_sec * US_PER_S + (uint64_t)mono.tv_nsec / 1000,
        .wall_s = wall.tv_sec,
        .wall_us = (uint32_t)(wall.tv_nsec / 1000),
    };
}

int64_t clock_wall_ms(void)
{
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    return (int64_t)wall.tv_sec * 1000 + wall.tv_nsec / 1000000;
}

int64_t clock_wall_us(void)
{
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    return (int64_t)wall.tv_sec * (int64_t)US_PER_S + wall.tv_nsec / 1000;
}

const char *clock_utc_text(int64_t wall_s, char out[CLOCK_UTC_MAX])
{
    const time_t t = (time_t)wall_s;
    struct tm tm;
    if (!gmtime_r(&t, &tm) || strftime(out, CLOCK_UTC_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm) != 20) {
        snprintf(out, CLOCK_UTC_MAX, "?");
    }
    return out;
}

/* Names of its own: those of strftime are the locale's. */
const char *clock_http_text(int64_t wall_s, char out[CLOCK_UTC_MAX])
{
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const time_t t = (time_t)wall_s;
    struct tm tm;
    out[0] = '\0';
    if (gmtime_r(&t, &tm) && tm.tm_year >= 0 && tm.tm_year < 8100) {
        snprintf(out, CLOCK_UTC_MAX, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday],
            tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
    }
    return out;
}
