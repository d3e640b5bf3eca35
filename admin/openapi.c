/*
 * GET /api/v1/openapi.json: the description of all of this, for programs. It is admin/openapi.json
 * as it stands there; a test holds it to the table of route.c. Called through that table.
 */
#include "admin/openapi.h"

#include "admin/route.h"

unsigned admin_get_openapi(const struct admin_request *request, FILE *out)
{
    return fwrite(admin_openapi_text, admin_openapi_len, 1, out) == 1 ? 200 : 500;
}
