/*
 * The file that usage records are appended to, whole lines only. Lines wait in memory, at most
 * USAGE_FILE_ROOM bytes, while it cannot be written. One thread.
 */
#ifndef DAEMON_USAGE_FILE_H
#define DAEMON_USAGE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define USAGE_FILE_ROOM (256u * 1024)

struct usage_file;

/* NULL: out of memory. */
struct usage_file *usage_file_new(void);
/* Closes it; what waits is lost. NULL: nothing happens. */
void usage_file_free(struct usage_file *f);
/*
 * From now on this file, made with mode 0640 where it is not there; NULL: none. 0, or -errno with
 * the one before still in use; -EINVAL: it is neither a regular file nor a device like /dev/null,
 * but a pipe, say. The same path again: another file after it was moved away. A line of which the
 * file before has a part comes whole in the next one.
 */
int usage_file_open(struct usage_file *f, const char *path);
/* Why that went wrong, as a line. */
const char *usage_file_error(const char *path, int r);
bool usage_file_is_open(const struct usage_file *f);
/* A line with its newline, at most USAGE_FILE_ROOM. False: there is no room for it now. */
bool usage_file_add(struct usage_file *f, const char *line, size_t len);
/* Writes what waits, as far as it goes. 0: nothing waits any more; -errno. */
int usage_file_flush(struct usage_file *f);
/* Lines that the file has, since usage_file_new; lines that wait. */
uint64_t usage_file_written(const struct usage_file *f);
uint64_t usage_file_waiting(const struct usage_file *f);

#endif
