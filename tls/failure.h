/* Why a TLS or DTLS connection failed, from what OpenSSL left behind. Internal to tls/. */
#ifndef TLS_FAILURE_H
#define TLS_FAILURE_H

#include <openssl/ssl.h>

#include "base/counters.h"

struct tls_failure {
    enum reason reason; /* REASON_NONE: it has not failed */
    const char *text;   /* static: OpenSSL's own words or ours, nothing of the peer's */
};

/* Right after the call that failed: reads and clears this thread's error queue. */
struct tls_failure tls_failure_of(const SSL *ssl, bool established);

#endif
