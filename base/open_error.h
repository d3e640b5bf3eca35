/* Why a file or a port could not be had, in words that say how to mend it. Any thread. */
#ifndef BASE_OPEN_ERROR_H
#define BASE_OPEN_ERROR_H

/*
 * `error` is what open(2) of `path` gave, an errno. Where it is EACCES, the user is told apart from
 * the sandbox, by asking the file's mode, which Landlock does not look at. A text that lives as
 * long as strerror's.
 */
const char *open_error_text(const char *path, int error);

/* The same of a file that is made or written, or a unix socket that is bound. */
const char *open_error_of_output(const char *path, int error);

/* The same of what socket(2), bind(2) or listen(2) gave for an address. */
const char *open_error_of_port(int error);

#endif
