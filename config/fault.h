/*
 * How a bad configuration is told: one line, "file:line: reason", with everything that came from
 * the file escaped. The first fault is the one that is kept, because reading stops there.
 */
#ifndef CONFIG_FAULT_H
#define CONFIG_FAULT_H

#include "config/config.h"

struct fault {
    const char *path; /* as the operator gave it; borrowed */
    struct config_error *error;
    struct config_files *files; /* files that are named on the way are noted here; NULL: nowhere */
};

/* Text of a file made fit for one line: at most `cap` bytes with the NUL, cut with "...". */
struct fault_text {
    char text[72];
};

/* Fills in the line; `line` 0 leaves the number out. Returns -EINVAL. */
int fault_set(struct fault *f, unsigned line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Says that memory ran out. Returns -ENOMEM. */
int fault_out_of_memory(struct fault *f);
/* Control characters and bytes over 126 become \xNN. Not for secrets. */
struct fault_text fault_escape(const char *text);

#endif
