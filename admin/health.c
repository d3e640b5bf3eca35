/*
 * /live: the control thread answers. /ready: clients may be sent here; 503 until every worker
 * polls, while it is drained and once it stops. Called through the table of route.c.
 */
#include "admin/route.h"

unsigned admin_get_live(const struct admin_request *request, FILE *out)
{
    fputs("live\n", out);
    return 200;
}

unsigned admin_get_ready(const struct admin_request *request, FILE *out)
{
    switch (request->ops->state(request->ops->ctx)) {
    case ADMIN_RUNNING:
        fputs("ready\n", out);
        return 200;
    case ADMIN_STARTING:
        fputs("starting\n", out);
        break;
    case ADMIN_DRAINING:
        fputs("draining\n", out);
        break;
    case ADMIN_STOPPING:
        fputs("stopping\n", out);
        break;
    }
    return 503;
}
