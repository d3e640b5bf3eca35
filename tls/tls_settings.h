/* What the configuration says about certificates. Plain data; owned by the configuration. */
#ifndef TLS_TLS_SETTINGS_H
#define TLS_TLS_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tls_version { TLS_VERSION_1_2, TLS_VERSION_1_3 };

/* One certificate with its chain, and its key: PEM files. */
struct tls_certificate_settings {
    char *cert, *key;
};

struct tls_settings {
    struct tls_certificate_settings *certificates; /* the first is shown where SNI names none, or
                                                      nothing that a certificate covers */
    size_t certificate_count;                      /* 0: no TLS, no DTLS */
    uint8_t min_version;                           /* enum tls_version; DTLS is 1.2 in any case */
    char *client_ca;       /* PEM: who may issue client certificates; NULL: none can be required */
    char *client_crl;      /* PEM, one list for each authority of the chain, fresh; required with
                              client_ca unless client_crl_check is off */
    bool client_crl_check; /* default true: a missing or stale list refuses */
    char **client_names;   /* a client certificate must carry one of these DNS names; none: any */
    size_t client_name_count;
};

/* How connections that we open are made, and whom they believe. */
struct tls_connector_settings {
    char *ca;         /* PEM: who may issue servers' certificates; NULL: the system's authorities */
    char *crl;        /* PEM, one fresh list for each authority of the chain: a missing or stale one
                         refuses; NULL: none is looked at */
    char *cert, *key; /* PEM: what we show where the server asks; both or neither */
    char *server_name; /* the DNS name or IP address that certificates must carry; NULL: the host
                          that is connected to */
};

#endif
