/* The Binding method (RFC 8489 section 12): what the client's address looks like from here. No
 * credentials. */
#include "relay/core.h"

struct verdict binding_handle(struct request *q, struct reply_fields *reply)
{
    reply->has_mapped = true;
    return verdict_success();
}
