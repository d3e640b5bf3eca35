/* Refusals of the API as problem details (RFC 9457), made in this one place. */
#ifndef ADMIN_PROBLEM_H
#define ADMIN_PROBLEM_H

#include <stddef.h>

#define ADMIN_PROBLEM_TYPE "application/problem+json"

/*
 * {"type": "about:blank", "title", "status", "detail"}: `line` is the detail, its first line; NULL
 * or no UTF-8: there is none. Takes `line` (from malloc, *len bytes) over. What is returned is to
 * be freed, and *len its length; NULL: no memory, and *len is 0.
 */
char *admin_problem_take(unsigned status, char *line, size_t *len);
/* "Not Found": the phrase of a status; "Error" for those that are never used here. */
const char *admin_problem_title(unsigned status);

#endif
