/*
 * The first error of the queue is the cause; what stands behind it is its consequences. Called by
 * stream.c and dtls.c.
 */
#include "tls/failure.h"

#include <openssl/err.h>
#include <openssl/sslerr.h>

#include "tls/clients.h"
#include "tls/connector.h"

struct tls_failure tls_failure_of(const SSL *ssl, bool established)
{
    const unsigned long error = ERR_peek_error();
    const char *text = ERR_reason_error_string(error);
    ERR_clear_error();
    if (!text)
        text = "no cause is known";
    if (established)
        return (struct tls_failure){REASON_TLS_FAILED, text};
    const int cause = ERR_GET_LIB(error) == ERR_LIB_SSL ? ERR_GET_REASON(error) : 0;
    if (cause == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
        return (struct tls_failure){REASON_TLS_NO_CLIENT_CERTIFICATE, text};
    if (SSL_get_verify_result(ssl) != X509_V_OK && !SSL_is_server(ssl))
        return (struct tls_failure){
            REASON_TLS_HANDSHAKE_FAILED, tls_connector_refusal(SSL_get_verify_result(ssl))};
    if (SSL_get_verify_result(ssl) != X509_V_OK)
        return (struct tls_failure){
            REASON_TLS_CLIENT_CERTIFICATE_REFUSED, tls_clients_refusal(SSL_get_verify_result(ssl))};
    return (struct tls_failure){REASON_TLS_HANDSHAKE_FAILED, text};
}
