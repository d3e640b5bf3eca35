/*
 * The front of a message, a PROXY header or an HTTP request that has not come whole: a copy, since
 * the ring is written over. Called by the other connection files.
 */
#include <stdlib.h>

#include "net/connection.h"

#define FIRST_CAPACITY 64

bool connection_partial_add(struct connection *c, struct slice bytes)
{
    struct connection_partial *p = &c->partial;
    if (p->len == 0) {
        p->since_us = io_now(c->set->io)->mono_us;
    }
    size_t cap = p->cap ? p->cap : FIRST_CAPACITY;
    while (cap - p->len < bytes.len) {
        cap *= 2;
    }
    if (cap > p->cap) {
        uint8_t *data = realloc(p->data, cap);
        if (!data) {
            connection_end(c, REASON_CONNECTION_MEMORY);
            return false;
        }
        p->data = data;
        p->cap = cap;
    }
    memcpy(p->data + p->len, bytes.data, bytes.len);
    p->len += bytes.len;
    return true;
}

void connection_partial_take(struct connection *c, size_t len)
{
    struct connection_partial *p = &c->partial;
    p->len -= len;
    if (p->len == 0) {
        connection_partial_clear(c);
        return;
    }
    memmove(p->data, p->data + len, p->len);
    p->since_us = io_now(c->set->io)->mono_us;
}

void connection_partial_clear(struct connection *c)
{
    free(c->partial.data);
    c->partial = (struct connection_partial){0};
}
