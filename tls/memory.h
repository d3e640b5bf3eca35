/*
 * Memory that OpenSSL works with. It takes buffers for each record of an idle session and gives
 * them back afterwards, and a session for which it once had none is lost for good: for sessions
 * that are established, something is set aside.
 */
#ifndef TLS_MEMORY_H
#define TLS_MEMORY_H

#include <stddef.h>

/* Makes OpenSSL take its memory from here; once, before anything else of OpenSSL is called. 0, or
 * -EBUSY: it was too late, and it goes on with malloc alone. */
int tls_memory_init(void);

/*
 * Between them this thread may use what is set aside where malloc has nothing; not nested. What was
 * taken may be kept for longer. Without tls_memory_init they change nothing.
 */
void tls_memory_begin(void);
void tls_memory_end(void);

/* As malloc, realloc and free, with what is set aside behind them; freed by any thread. NULL: not
 * even that is left, or this thread may not use it. */
void *tls_memory_take(size_t size);
void *tls_memory_resize(void *old, size_t size);
void tls_memory_give_back(void *old);

/* What is set aside alone: as if malloc had nothing. */
void *tls_memory_take_spare(size_t size);

#endif
