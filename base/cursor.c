/*
 * The bounded reader and writer that every parser and builder goes through. After a failure p
 * equals end, so no later call finds room; the flag stays up. Called by wire/ and whoever reads
 * bytes that came from outside.
 */
#include "base/cursor.h"

void cursor_init(struct cursor *c, struct slice bytes)
{
    c->p = bytes.data;
    /* Adding even 0 to a null pointer is undefined. */
    c->end = bytes.len ? bytes.data + bytes.len : bytes.data;
    c->failed = false;
}

size_t cursor_left(const struct cursor *c)
{
    return (size_t)(c->end - c->p);
}

/* The next `len` bytes, len > 0, or NULL with the failure latched. */
static const uint8_t *cursor_take(struct cursor *c, size_t len)
{
    if (c->failed || cursor_left(c) < len) {
        c->failed = true;
        c->p = c->end;
        return NULL;
    }
    const uint8_t *p = c->p;
    c->p += len;
    return p;
}

static uint64_t cursor_number(struct cursor *c, size_t len)
{
    const uint8_t *p = cursor_take(c, len);
    uint64_t v = 0;
    for (size_t i = 0; p && i < len; i++)
        v = v << 8 | p[i];
    return v;
}

uint8_t cursor_u8(struct cursor *c)
{
    return (uint8_t)cursor_number(c, 1);
}

uint16_t cursor_u16(struct cursor *c)
{
    return (uint16_t)cursor_number(c, 2);
}

uint32_t cursor_u32(struct cursor *c)
{
    return (uint32_t)cursor_number(c, 4);
}

uint64_t cursor_u64(struct cursor *c)
{
    return cursor_number(c, 8);
}

struct slice cursor_bytes(struct cursor *c, size_t len)
{
    if (len == 0)
        return slice_of(c->p, 0);
    const uint8_t *p = cursor_take(c, len);
    return p ? slice_of(p, len) : slice_of(NULL, 0);
}

void cursor_skip(struct cursor *c, size_t len)
{
    if (len > 0)
        cursor_take(c, len);
}

void writer_init(struct writer *w, void *buffer, size_t cap)
{
    w->start = buffer;
    w->p = buffer;
    w->end = cap ? w->start + cap : w->start;
    w->failed = false;
}

size_t writer_len(const struct writer *w)
{
    return w->failed ? 0 : (size_t)(w->p - w->start);
}

/* Room for `len` bytes, len > 0, or NULL with the failure latched. */
static uint8_t *writer_take(struct writer *w, size_t len)
{
    if (w->failed || (size_t)(w->end - w->p) < len) {
        w->failed = true;
        w->p = w->end;
        return NULL;
    }
    uint8_t *p = w->p;
    w->p += len;
    return p;
}

static void writer_number(struct writer *w, uint64_t v, size_t len)
{
    uint8_t *p = writer_take(w, len);
    for (size_t i = len; p && i-- > 0; v >>= 8)
        p[i] = (uint8_t)v;
}

void writer_u8(struct writer *w, uint8_t v)
{
    writer_number(w, v, 1);
}

void writer_u16(struct writer *w, uint16_t v)
{
    writer_number(w, v, 2);
}

void writer_u32(struct writer *w, uint32_t v)
{
    writer_number(w, v, 4);
}

void writer_u64(struct writer *w, uint64_t v)
{
    writer_number(w, v, 8);
}

void writer_bytes(struct writer *w, const void *data, size_t len)
{
    uint8_t *p = len ? writer_take(w, len) : NULL;
    if (p)
        memcpy(p, data, len);
}

void writer_zeros(struct writer *w, size_t len)
{
    uint8_t *p = len ? writer_take(w, len) : NULL;
    if (p)
        memset(p, 0, len);
}
