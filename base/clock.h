/* The only place that reads a clock. Everything else is handed a `struct instant`, once a receive
 * batch. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

struct instant {
    uint64_t mono_us; /* CLOCK_MONOTONIC, microseconds: deadlines and rates */
    int64_t wall_s;   /* CLOCK_REALTIME, seconds since 1970: what other machines must agree on
                         (nonces, credentials) */
    uint32_t wall_us; /* microseconds into that second, 0–999999 */
};

static inline int64_t instant_wall_ms(const struct instant *i)
{
    return i->wall_s * 1000 + i->wall_us / 1000;
}

struct instant clock_now(void);
/* CLOCK_REALTIME in milliseconds since 1970: for time stamps in logs only. */
int64_t clock_wall_ms(void);

/* CLOCK_REALTIME in microseconds since 1970: to compare with what the kernel says of a datagram. */
int64_t clock_wall_us(void);

#define CLOCK_UTC_MAX 32

/* "2027-01-31T08:00:00Z" for seconds since 1970, as people are shown every time; "?" for a year of
 * more than four digits. Returns `out`. */
const char *clock_utc_text(int64_t wall_s, char out[CLOCK_UTC_MAX]);
/* "Sun, 31 Jan 2027 08:00:00 GMT", the IMF-fixdate of RFC 9110 section 5.6.7; "" likewise. */
const char *clock_http_text(int64_t wall_s, char out[CLOCK_UTC_MAX]);

#define US_PER_S  1000000ull
#define US_PER_MS 1000ull

#endif
