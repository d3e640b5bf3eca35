/*
 * Bounded reading and writing of network bytes (big-endian). Both latch an error: a parser reads
 * like a schema and asks once, at the end, whether all of it was there. Nothing is read or written
 * past `end`; after a failure reads give zeros. Alignment does not matter.
 */
#ifndef BASE_CURSOR_H
#define BASE_CURSOR_H

#include "base/slice.h"

struct cursor {
    const uint8_t *p, *end; /* p inclusive, end exclusive */
    bool failed;
};

void cursor_init(struct cursor *c, struct slice bytes);
size_t cursor_left(const struct cursor *c);
uint8_t cursor_u8(struct cursor *c);
uint16_t cursor_u16(struct cursor *c);
uint32_t cursor_u32(struct cursor *c);
uint64_t cursor_u64(struct cursor *c);
struct slice cursor_bytes(struct cursor *c, size_t len); /* borrowed; empty on failure */
void cursor_skip(struct cursor *c, size_t len);

struct writer {
    uint8_t *start, *p, *end;
    bool failed;
};

void writer_init(struct writer *w, void *buffer, size_t cap);
size_t writer_len(const struct writer *w); /* 0 after a failure */
void writer_u8(struct writer *w, uint8_t v);
void writer_u16(struct writer *w, uint16_t v);
void writer_u32(struct writer *w, uint32_t v);
void writer_u64(struct writer *w, uint64_t v);
void writer_bytes(struct writer *w, const void *data, size_t len);
void writer_zeros(struct writer *w, size_t len);

#endif
