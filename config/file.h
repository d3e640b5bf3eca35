/* Reading a small file whole. */
#ifndef CONFIG_FILE_H
#define CONFIG_FILE_H

#include "base/secret.h"

/*
 * The content of a regular file of at most `max` bytes, `max` < 2^30. 0; -errno of the system,
 * -EFBIG over `max`, -EINVAL if it is no regular file, -ENOMEM. *out must be empty.
 */
int file_read(struct secret *out, const char *path, size_t max);
/* The same in words, for an error line about `path`. Static or strerror's text. */
const char *file_read_why(const char *path, int rc);

#endif
