/* Where there is no libsrtp2: rows with --srtp end with one line. */
#include "bench/srtp_packets.h"

#include <stdio.h>

struct srtp_packets *srtp_packets_new(const char *suite, unsigned sessions)
{
    fprintf(stderr, "turnpike-bench: built without libsrtp2: no %s\n", suite);
    return NULL;
}

void srtp_packets_free(struct srtp_packets *p)
{
}

size_t srtp_packets_tag_len(const struct srtp_packets *p)
{
    return 0;
}

void srtp_packets_protect(struct srtp_packets *p, unsigned session, uint8_t *packet, size_t len)
{
}

int srtp_packets_cost(const struct srtp_cost_of *of, double *ns)
{
    return srtp_packets_new(of->suite, of->sessions) != NULL ? 0 : -1;
}
