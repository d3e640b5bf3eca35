/*
 * Logs are events: a level, a name and fields. A caller formats one line into a ring; a writer
 * thread writes it out, so a blocked journal stops nothing. A full ring loses the line and counts
 * it. Values are escaped: a line is one line whatever a client sends. The log sink is the only
 * mutable global of the program.
 *
 *     log_event(LOG_INFO, "allocation_created", log_u64("id", id), log_addr("client", &client));
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/addr.h"
#include "base/slice.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_TEXT, LOG_JSON };

struct log_field {
    const char *key;
    enum {
        LOG_FIELD_STRING,
        LOG_FIELD_BYTES,
        LOG_FIELD_U64,
        LOG_FIELD_I64,
        LOG_FIELD_HEX64,
        LOG_FIELD_ADDR,
        LOG_FIELD_BOOL
    } kind;
    union {
        const char *string;
        struct slice bytes;
        uint64_t u64;
        int64_t i64;
        const struct addr *addr;
        bool boolean;
    } v;
};

static inline struct log_field log_str(const char *key, const char *s)
{
    return (struct log_field){.key = key, .kind = LOG_FIELD_STRING, .v.string = s ? s : ""};
}
static inline struct log_field log_bytes(const char *key, struct slice b)
{
    return (struct log_field){.key = key, .kind = LOG_FIELD_BYTES, .v.bytes = b};
}
static inline struct log_field log_u64(const char *key, uint64_t u)
{
    return (struct log_field){.key = key, .kind = LOG_FIELD_U64, .v.u64 = u};
}
static inline struct log_field log_i64(const char *key, int64_t i)
{
    return (struct log_field){.key = key, .kind = LOG_FIELD_I64, .v.i64 = i};
}
static inline struct log_field log_hex64(const char *key, uint64_t u)
{
    return (struct log_field){.key = key, .kind = LOG_FIELD_HEX64, .v.u64 = u};
}
static inline struct log_field log_addr(const char *key, const struct addr *a)
{
    return (struct log_field){.key = key, .kind = LOG_FIELD_ADDR, .v.addr = a};
}
static inline struct log_field log_bool(const char *key, bool b)
{
    return (struct log_field){.key = key, .kind = LOG_FIELD_BOOL, .v.boolean = b};
}
/* A secret is named, never shown. */
static inline struct log_field log_secret(const char *key)
{
    return (struct log_field){.key = key, .kind = LOG_FIELD_STRING, .v.string = "***"};
}

#define log_event(level, event, ...)                                                               \
    do {                                                                                           \
        if (log_enabled(level)) {                                                                  \
            const struct log_field log_fields_[] = {__VA_ARGS__};                                  \
            log_write(                                                                             \
                (level), (event), log_fields_, sizeof(log_fields_) / sizeof(log_fields_[0]));      \
        }                                                                                          \
    } while (0)

/*
 * Starts the writer thread on `fd` (borrowed, stays open). 0 or -errno (-EALREADY: running). Before
 * it, and after deinit, lines are dropped. Init and deinit belong to one thread.
 */
int log_init(int fd, enum log_level level, enum log_format format);
/*
 * The same in two steps, for who gives up privileges in between, which a thread would keep: lines
 * wait in the ring until log_start, or until log_deinit, which then writes them itself.
 */
int log_open(int fd, enum log_level level, enum log_format format);
int log_start(void); /* 0 or -errno: lines go on waiting */
/* Writes what is left (waits 1 s at most) and ends the thread. */
void log_deinit(void);
/* Any thread, at once. */
void log_configure(enum log_level level, enum log_format format);
bool log_enabled(enum log_level level);
/* Any thread; never blocks, never allocates. A line over 2 KiB is cut and marked. */
void log_write(
    enum log_level level, const char *event, const struct log_field *fields, size_t count);
uint64_t log_lost(void); /* lines since log_init that a full ring or a failing write has cost */
const char *log_level_name(enum log_level level);

/*
 * At most one line a minute for an event that repeats: true if this one may be logged. *last is the
 * caller's, 0 at first; *suppressed counts those held back. The caller logs that number and sets it
 * back to 0.
 */
bool log_once_a_minute(uint64_t now_us, uint64_t *last, uint64_t *suppressed);

#endif
