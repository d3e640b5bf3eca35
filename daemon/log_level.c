/*
 * A level that an operator has asked for goes back by itself, so that no relay is left at debug.
 *
 * Always: each change is a line at level info, where that is shown before it or after it. Called by
 * control, by reload, and through admin/ops.h.
 */
#include "daemon/log_level.h"

#include "base/clock.h"

enum log_level log_level_in_force(const struct log_level_state *l)
{
    return l->until_us ? l->asked : l->configured;
}

uint32_t log_level_seconds(const struct log_level_state *l, uint64_t now_us)
{
    return l->until_us > now_us ? (uint32_t)((l->until_us - now_us + US_PER_S - 1) / US_PER_S) : 0;
}

/* The line is written while the one of both counts that shows more. */
static void change(
    const struct log_level_state *l, enum log_level before, const char *why, uint64_t now_us)
{
    const enum log_level level = log_level_in_force(l);
    log_configure(level > before ? level : before, l->format);
    log_event(LOG_INFO, "log_level", log_str("level", log_level_name(level)), log_str("why", why),
        log_str("configured", log_level_name(l->configured)),
        log_u64("seconds", log_level_seconds(l, now_us)));
    log_configure(level, l->format);
}

void log_level_configure(
    struct log_level_state *l, enum log_level level, enum log_format format, uint64_t now_us)
{
    l->configured = level;
    l->format = format;
    if (l->until_us) {
        change(l, l->asked, "asked for before the reload", now_us);
    } else {
        log_configure(level, format);
    }
}

void log_level_ask(
    struct log_level_state *l, enum log_level level, uint32_t seconds, uint64_t now_us)
{
    const enum log_level before = log_level_in_force(l);
    if (seconds == 0 && l->until_us == 0) {
        return;
    }
    l->asked = level;
    l->until_us = seconds ? now_us + seconds * US_PER_S : 0;
    change(l, before, seconds ? "asked for" : "taken back", now_us);
}

void log_level_tick(struct log_level_state *l, uint64_t now_us)
{
    if (l->until_us && now_us >= l->until_us) {
        l->until_us = 0;
        change(l, l->asked, "the time is over", now_us);
    }
}
