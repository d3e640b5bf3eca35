/*
 * Replies of Redis (RESP2), and the reader that makes them from bytes as they come. A reply is
 * bounded as it is kept in memory: what is announced but not there yet takes no memory.
 */
#ifndef FLEET_REDIS_REPLY_H
#define FLEET_REDIS_REPLY_H

#include "base/slice.h"

enum redis_kind {
    REDIS_KIND_STRING,  /* text */
    REDIS_KIND_STATUS,  /* text: "OK" */
    REDIS_KIND_ERROR,   /* text: "NOSCRIPT No matching script." */
    REDIS_KIND_INTEGER, /* integer */
    REDIS_KIND_NIL,
    REDIS_KIND_ARRAY /* elements, nested at most 7 deep */
};

struct redis_reply {
    enum redis_kind kind;
    int64_t integer;
    struct slice text;             /* any bytes; followed by a NUL that is not counted */
    struct redis_reply **elements; /* `count`, none of them NULL */
    size_t count;
};

void redis_reply_free(struct redis_reply *reply); /* NULL: nothing happens */

/* STRING or STATUS with exactly this text. */
bool redis_reply_is(const struct redis_reply *reply, const char *text);
/* ERROR whose first word is `code`: "NOSCRIPT". */
bool redis_reply_is_error(const struct redis_reply *reply, const char *code);
/* The text of the n-th element; empty where there is none, or it is no STRING. */
struct slice redis_reply_string(const struct redis_reply *reply, size_t n);

/* Decimal, of 1 to 16 digits, below 2^53: no larger than what Lua's numbers hold exactly. *out is
 * written with true only. */
bool redis_reply_number(struct slice text, uint64_t *out);

struct redis_reader;

/* reply_max: bytes of one reply in memory, and of what is not parsed yet; ≥ 64. NULL: out of
 * memory. */
struct redis_reader *redis_reader_new(size_t reply_max);
void redis_reader_free(struct redis_reader *r);  /* NULL: nothing happens */
void redis_reader_reset(struct redis_reader *r); /* for another connection: forgets everything */

enum redis_read {
    REDIS_READ_REPLY, /* *out is the caller's */
    REDIS_READ_MORE,  /* everything fed is used up */
    REDIS_READ_BAD,   /* is no RESP2, or nested deeper than 7 */
    REDIS_READ_TOO_LARGE,
    REDIS_READ_NO_MEMORY /* this and the two before: only a reset helps */
};
/* Any number of bytes. Call next until it says MORE before the next feed. */
void redis_reader_feed(struct redis_reader *r, struct slice bytes);
enum redis_read redis_reader_next(struct redis_reader *r, struct redis_reply **out);
const char *redis_read_text(enum redis_read outcome); /* for logs; static */

#endif
