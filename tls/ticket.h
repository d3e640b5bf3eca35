/* Session tickets that any instance with the same secret opens. Internal to tls/. */
#ifndef TLS_TICKET_H
#define TLS_TICKET_H

#include <openssl/evp.h>
#include <stdint.h>

#include "base/secret.h"

#define TLS_TICKET_NAME_LEN   16
#define TLS_TICKET_LIFETIME_S 3600

struct tls_ticket_keys {
    struct secret secret; /* owned */
    const char *label;    /* static; TLS and DTLS do not open each other's */
    uint8_t id[8];        /* public: tells the tickets of one secret and label from others */
};

/* 0, -ENOMEM or -EIO. */
int tls_ticket_keys_init(struct tls_ticket_keys *k, struct slice secret, const char *label);
void tls_ticket_keys_deinit(struct tls_ticket_keys *k);

/* What OpenSSL hands to the callback of SSL_CTX_set_tlsext_ticket_key_evp_cb. */
struct tls_ticket {
    uint8_t *name; /* TLS_TICKET_NAME_LEN */
    uint8_t *iv;   /* 16 bytes */
    EVP_CIPHER_CTX *cipher;
    EVP_MAC_CTX *mac;
};
/* Both return what that callback must: 1 sealed or opened; 2 opened, and a new ticket is due; 0 not
 * ours, or too old: a full handshake; -1 failure. `now_s`: seconds since the epoch. */
int tls_ticket_seal(const struct tls_ticket_keys *k, const struct tls_ticket *t, int64_t now_s);
int tls_ticket_open(const struct tls_ticket_keys *k, const struct tls_ticket *t, int64_t now_s);

#endif
