/* A handshake in memory, with a client of our own, before the first one of others. Internal to
 * tls/. */
#ifndef TLS_REHEARSAL_H
#define TLS_REHEARSAL_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "tls/certificate.h"

/*
 * Whether a client that speaks TLS 1.2 or 1.3, and asks nothing of the certificate, can complete a
 * handshake that shows it. False: OpenSSL's queue of errors begins with the cause.
 */
bool tls_rehearse(SSL_CTX *server, const struct tls_certificate *certificate);

#endif
