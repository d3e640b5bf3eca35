/*
 * Makes what an application would make with the secret of a realm: a name that says until when, and
 * its HMAC as the password.
 *
 * Always: nothing is kept of a credential, and none is made that the relay would refuse at once for
 * its name or its lifetime. Called through admin/ops.h.
 */
#include "daemon/issuer.h"

#include <errno.h>
#include <stdio.h>

#include "auth/opaque_string.h"
#include "auth/rest.h"
#include "daemon/realms.h"
#include "ratelimit/gcra.h"

/* "24 h is the usual credential" of applications; less where the realm admits less. */
#define DEFAULT_TTL_S 86400u

struct signer {
    struct slice secret;
    enum auth_rest_hash hash;
};

/* The first that is not retired, of the configuration, else of Redis. */
static bool find_signer(const struct issuer *i, uint32_t realm, struct signer *out)
{
    const struct auth_realm_settings *r = &i->config->auth.realms[realm];
    for (size_t n = 0; n < r->secret_count; n++) {
        if (!r->secrets[n].retired) {
            out->secret = secret_slice(&r->secrets[n].secret);
            out->hash = (enum auth_rest_hash)r->secrets[n].hash;
            return true;
        }
    }
    out->secret = i->sharing ? sharing_secret(i->sharing, realm) : (struct slice){0};
    out->hash = AUTH_REST_SHA1;
    return out->secret.len > 0;
}

static bool admit(struct issuer *i, uint64_t now_us)
{
    const struct rate rate = {
        .count = ISSUER_RATE_PER_S, .period_s = 1, .burst = ISSUER_RATE_PER_S};
    const struct gcra g = gcra_of(&rate);
    return gcra_admit(&g, &i->tat_us, now_us);
}

/* 0, -EINVAL: no name that could be let in; -ERANGE: too long a life. */
static int name_it(const struct issuer *i, const struct admin_credential *what, int64_t now_s,
    struct admin_credential_made *made)
{
    const uint32_t most = i->config->auth.max_ttl_s;
    made->ttl_s = what->ttl_s ? what->ttl_s : DEFAULT_TTL_S < most ? DEFAULT_TTL_S : most;
    made->expires_at = now_s + made->ttl_s;
    if (made->ttl_s > most) {
        return -ERANGE;
    }
    const int n = snprintf(made->username, sizeof(made->username), "%lld:%.*s",
        (long long)made->expires_at, (int)what->user.len, (const char *)what->user.data);
    /* RFC 8489 section 14.3: USERNAME "MUST contain a UTF-8-encoded sequence of fewer than 509
     * bytes". */
    if (what->user.len == 0 || what->user.len > ADMIN_NAME_MAX || n < 0 || n > ADMIN_NAME_MAX ||
        memchr(what->user.data, '\0', what->user.len) ||
        !opaque_string_admits(slice_of(made->username, (size_t)n))) {
        return -EINVAL;
    }
    return 0;
}

static int sign(const struct signer *signer, struct admin_credential_made *made)
{
    _Static_assert(sizeof(made->password) > AUTH_REST_PASSWORD_MAX, "room for any password");
    struct crypto *crypto = crypto_new();
    const int r = crypto ? auth_rest_password(crypto, signer->hash, signer->secret,
                               slice_of_string(made->username), made->password)
                         : -ENOMEM;
    crypto_free(crypto);
    return r;
}

int issuer_make(struct issuer *i, const struct admin_credential *what, const struct instant *now,
    struct admin_credential_made *out)
{
    struct admin_credential_made made = {0};
    struct signer signer;
    if (!realms_find(&i->config->auth, what->realm, &made.realm)) {
        return -ENOENT;
    }
    if (!find_signer(i, made.realm, &signer)) {
        return -ENOKEY;
    }
    int r = name_it(i, what, now->wall_s, &made);
    if (r < 0) {
        return r;
    }
    if (!admit(i, now->mono_us)) {
        return -EAGAIN;
    }
    r = sign(&signer, &made);
    if (r == 0) {
        *out = made;
    }
    secret_cleanse(&made, sizeof(made));
    return r;
}

/* Clients reach it at this public address: it is bound to all, or to the one behind it. */
static bool is_at(const struct endpoint *e, const struct relay_address *a)
{
    return e->addr.family == a->local.family &&
           (addr_is_unspecified(&e->addr) || addr_equal_ip(&e->addr, &a->local) ||
               addr_equal_ip(&e->addr, &a->public));
}

/* One for each transport and address: with each URI a client makes an allocation more. Of several
 * ports the one that most firewalls let pass, else the first. NULL: none. */
static const struct endpoint *find_endpoint(
    const struct issuer *i, uint32_t realm, enum transport transport, const struct relay_address *a)
{
    const struct endpoint *found = NULL;
    for (size_t n = 0; n < i->endpoints->count; n++) {
        const struct endpoint *e = &i->endpoints->list[n];
        const struct listener_settings *l = &e->role.settings;
        /* Behind a proxy clients come in elsewhere. */
        if (!e->role.configured || l->transport != transport || !(l->realms >> realm & 1) ||
            l->proxy_from_count > 0 || !is_at(e, a)) {
            continue;
        }
        if (!found || (transport_is_stream(transport) && e->addr.port == 443)) {
            found = e;
        }
    }
    return found;
}

/* "The "turns" URI scheme MUST be used when TURN is run over TLS-over-TCP", RFC 7065 section 3.2.
 */
static void write_uri(
    char out[ADMIN_URI_MAX], const struct endpoint *e, const struct relay_address *a)
{
    const enum transport transport = (enum transport)e->role.settings.transport;
    char text[ADDR_TEXT_MAX];
    struct addr at = a->public;
    at.port = e->addr.port;
    snprintf(out, ADMIN_URI_MAX, "%s:%s?transport=%s",
        transport == TRANSPORT_TLS ? "turns" : "turn", addr_format(&at, text, sizeof(text)),
        transport_is_stream(transport) ? "tcp" : "udp");
}

bool issuer_uri(const struct issuer *i, uint32_t realm, size_t n, char out[ADMIN_URI_MAX])
{
    /* No browser speaks TURN over DTLS. */
    static const enum transport transports[] = {TRANSPORT_UDP, TRANSPORT_TCP, TRANSPORT_TLS};
    const struct relay_settings *relay = &i->config->relay;
    const struct admin_settings *admin = &i->config->admin;
    if (admin->uri_count > 0) {
        if (n < admin->uri_count) {
            snprintf(out, ADMIN_URI_MAX, "%s", admin->uris[n]);
        }
        return n < admin->uri_count;
    }
    for (size_t t = 0; t < sizeof(transports) / sizeof(transports[0]); t++) {
        for (size_t k = 0; k < relay->address_count; k++) {
            const struct endpoint *e = find_endpoint(i, realm, transports[t], &relay->addresses[k]);
            if (e && n-- == 0) {
                write_uri(out, e, &relay->addresses[k]);
                return true;
            }
        }
    }
    return false;
}
