/*
 * The level of the log: what the configuration says, or for a while another one that an operator
 * has asked for. Control thread.
 */
#ifndef DAEMON_LOG_LEVEL_H
#define DAEMON_LOG_LEVEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"

/* Plain; begins as zeros, and means nothing before the first log_level_configure. */
struct log_level_state {
    enum log_level configured;
    enum log_format format;
    enum log_level asked;
    uint64_t until_us; /* monotonic: so long `asked` counts; 0: it does not */
};

/* What the configuration says, at start and at each reload. What an operator has asked for counts
 * on until its time is over, and a line says so. */
void log_level_configure(
    struct log_level_state *l, enum log_level level, enum log_format format, uint64_t now_us);
/* From now on `level` for so many seconds; 0: at once what is configured. */
void log_level_ask(
    struct log_level_state *l, enum log_level level, uint32_t seconds, uint64_t now_us);
/* Back to what is configured, when it is time. Once a second. */
void log_level_tick(struct log_level_state *l, uint64_t now_us);
/* For how long still what counts is not what is configured; 0: it is. */
uint32_t log_level_seconds(const struct log_level_state *l, uint64_t now_us);
/* What counts now. */
enum log_level log_level_in_force(const struct log_level_state *l);

#endif
