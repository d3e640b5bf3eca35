/* /metrics: what Prometheus scrapes. Called through the table of route.c. */
#include "admin/metrics_text.h"
#include "admin/route.h"

unsigned admin_get_metrics(const struct admin_request *request, FILE *out)
{
    const struct admin_ops *ops = request->ops;
    struct admin_status status;
    struct counters_sum sum;
    ops->status(ops->ctx, &status);
    ops->counters(ops->ctx, &sum);
    struct metrics_text text = {.sum = &sum, .version = status.version, .comments = true};
    metrics_text_write(&text, out);
    return 200;
}
