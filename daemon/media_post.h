/*
 * Keys of media on their way to the workers, in the order in which they came. A worker whose
 * mailbox is full gets them when there is room again; what waits is bounded, and wiped wherever it
 * has lain. Control thread.
 */
#ifndef DAEMON_MEDIA_POST_H
#define DAEMON_MEDIA_POST_H

#include <uv.h>

#include "net/worker.h"

#define MEDIA_POST_MAX 4096 /* that wait, of all workers together */

struct media_post;

/* `workers` and `counters` are borrowed for life. NULL: out of memory. */
struct media_post *media_post_new(
    uv_loop_t *loop, const struct worker_list *workers, struct counters *counters);
/* Frees its memory as the loop runs on. NULL: nothing happens. */
void media_post_free(struct media_post *p);
#define MEDIA_POST_ALL UINT64_MAX

/* To each worker whose bit is set; copied. 0; -ENOSPC, -ENOMEM: some go without, which is counted.
 */
int media_post_put(struct media_post *p, uint64_t workers, const struct srtp_deposit *d);

#endif
