/* admin/openapi.json as the build has put it into the program. Private to admin/openapi.c and what
 * the build makes of the document. */
#ifndef ADMIN_OPENAPI_H
#define ADMIN_OPENAPI_H

#include <stddef.h>

extern const char admin_openapi_text[]; /* UTF-8, without a NUL at its end */
extern const size_t admin_openapi_len;

#endif
