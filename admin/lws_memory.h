/*
 * Where libwebsockets takes its memory from. What it begins it does not survive half done: a
 * context that it cannot make crashes in its own clean-up, a connection without its handle of libuv
 * is forgotten and keeps the loop from ending. So it gets from a reserve what malloc does not give,
 * and nothing is begun unless the reserve is whole. Control thread; one reserve a process.
 */
#ifndef ADMIN_LWS_MEMORY_H
#define ADMIN_LWS_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes; a context takes some 30,000, a connection 6,000. */
#define LWS_MEMORY_RESERVE (128u * 1024)

/* From now on; before the first context. Again: nothing happens. */
void lws_memory_init(void);
/* Nothing of the reserve is in use. */
bool lws_memory_is_whole(void);
/* As lws_set_allocator has it: `size` 0 frees, `ptr` NULL takes; NULL where the reserve is spent
 * too, or what lies in it is to grow. */
void *lws_memory_take(void *ptr, size_t size, const char *reason);

#endif
