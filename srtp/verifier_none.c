/* A build without libsrtp2: no packet can be verified. Called where verifier_libsrtp2.c would be.
 */
#include <errno.h>

#include "srtp/verifier.h"

int srtp_verifier_init(void)
{
    return 0;
}

bool srtp_verifier_available(void)
{
    return false;
}

int srtp_verifier_new(struct srtp_verifier **out, const struct srtp_keys *keys,
    const struct srtp_verifier_options *options)
{
    return -ENOSYS;
}

void srtp_verifier_free(struct srtp_verifier *v)
{
}

void srtp_verifier_tell_roc(struct srtp_verifier *v, const struct srtp_keys *keys)
{
}

enum srtp_verdict srtp_verifier_judge(
    struct srtp_verifier *v, struct slice packet, bool rtcp, uint64_t now_us)
{
    return SRTP_UNVERIFIED;
}
