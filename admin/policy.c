/*
 * Reads what the admin server is to go by.
 *
 * Always: what fails here has changed nothing. A revocation list is looked into at every connection
 * with a certificate, and there is no key that turns that off. Called by admin.c, and by daemon/
 * for a reload and to check a configuration.
 */
#include "admin/policy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"

#define TICKET_SECRET_LEN 32

static int out_of_memory(struct admin_error *error)
{
    snprintf(error->text, sizeof(error->text), "admin: out of memory");
    return -ENOMEM;
}

static int copy_hosts(struct admin_policy *p, const struct admin_settings *settings)
{
    p->hosts = calloc(settings->host_count + 1, sizeof(*p->hosts));
    if (!p->hosts) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < settings->host_count; i++) {
        p->hosts[i] = strdup(settings->hosts[i]);
        if (!p->hosts[i]) {
            return -ENOMEM;
        }
        p->host_count++;
    }
    return 0;
}

/* Tickets of this context open nothing elsewhere, nor do those of the relay's listeners here. */
static int read_tls(
    struct admin_policy *p, const struct admin_tls_settings *settings, struct admin_error *error)
{
    uint8_t secret[TICKET_SECRET_LEN];
    char line[sizeof(error->text) - sizeof("admin.")];
    struct tls_certificate_settings pair = settings->pair;
    const struct tls_settings tls = {.certificates = &pair,
        .certificate_count = 1,
        .min_version = TLS_VERSION_1_2,
        .client_ca = settings->client_ca,
        .client_crl = settings->client_crl,
        .client_crl_check = true,
        .client_names = settings->client_names,
        .client_name_count = settings->client_name_count};
    if (random_fill(random_system(), secret, sizeof(secret)) < 0) {
        snprintf(error->text, sizeof(error->text), "admin.tls: no randomness");
        return -EIO;
    }
    /* The readers of tls/ say "tls.key file: cause". */
    int r = tls_context_new(&p->tls, &tls, slice_of(secret, sizeof(secret)), line, sizeof(line));
    secret_cleanse(secret, sizeof(secret));
    if (r < 0) {
        snprintf(error->text, sizeof(error->text), "admin.%s", line);
    }
    return r;
}

int admin_policy_new(
    struct admin_policy **out, const struct admin_settings *settings, struct admin_error *error)
{
    struct admin_policy *p = calloc(1, sizeof(*p));
    if (!p) {
        return out_of_memory(error);
    }
    p->clients_known = settings->tls.client_ca != NULL;
    p->clients_required = settings->tls.client_required;
    int r = 0;
    if (secret_set(&p->token, secret_slice(&settings->token)) < 0 || copy_hosts(p, settings) < 0) {
        r = out_of_memory(error);
    } else if (settings->tls.pair.cert) {
        r = read_tls(p, &settings->tls, error);
    }
    if (r < 0) {
        admin_policy_free(p);
        return r;
    }
    *out = p;
    return 0;
}

void admin_policy_free(struct admin_policy *p)
{
    if (!p) {
        return;
    }
    secret_wipe(&p->token);
    for (size_t i = 0; i < p->host_count; i++) {
        free(p->hosts[i]);
    }
    free(p->hosts);
    tls_context_release(p->tls);
    free(p);
}
