/* Why a file could not be opened, in words that say how to mend it. Any thread. */
#ifndef BASE_OPEN_ERROR_H
#define BASE_OPEN_ERROR_H

/*
 * `error` is what open(2) of `path` gave, an errno. Where it is EACCES, the user is told apart from
 * the sandbox, by asking the file's mode, which Landlock does not look at. A text that lives as
 * long as strerror's.
 */
const char *open_error_text(const char *path, int error);

#endif
