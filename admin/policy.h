/*
 * What of the configuration a reload can change: the token, the hosts, the certificates. Built
 * whole before anything is taken into use. Control thread.
 */
#ifndef ADMIN_POLICY_H
#define ADMIN_POLICY_H

#include "admin/admin.h"
#include "admin/route.h"
#include "tls/context.h"

struct admin_policy {
    struct secret token;
    char **hosts;
    size_t host_count;
    struct tls_context *tls; /* NULL: TCP is in clear, and on loopback only */
    bool clients_known;      /* certificates of clients are asked for */
    bool clients_required;
};

#endif
