/*
 * Requests and media of the test client. What always holds: bytes are built by wire/stun_writer,
 * credentials as RFC 8489 section 9.2.3 says unless a test says otherwise. Called by scenario and
 * threat tests and by the fuzz target.
 */
#include "tests/scenario/client.h"

#include <stdio.h>
#include <stdlib.h>

void client_init(struct client *c, struct world *w, unsigned n)
{
    memset(c, 0, sizeof(*c));
    c->world = w;
    c->worker = n % w->settings.workers;
    c->addr = world_client_addr(n, (uint16_t)(40000 + n));
    c->server = w->server_ipv4;
    c->realm_id = REALM_PLAIN;
    client_set_user(c, "alice", "wonderland");
}

void client_set_user(struct client *c, const char *user, const char *password)
{
    snprintf(c->user, sizeof(c->user), "%s", user);
    snprintf(c->password, sizeof(c->password), "%s", password);
    c->token.len = 0;
}

void client_set_rest(struct client *c, const char *name, int64_t expires_in, const char *secret)
{
    c->realm_id = REALM_REST;
    snprintf(
        c->user, sizeof(c->user), "%lld:%s", (long long)(c->world->now.wall_s + expires_in), name);
    char password[AUTH_REST_PASSWORD_MAX + 1];
    if (auth_rest_password(c->world->crypto, AUTH_REST_SHA1, slice_of_string(secret),
            slice_of_string(c->user), password) != 0)
        world_fail("no REST password");
    snprintf(c->password, sizeof(c->password), "%s", password);
}

void client_set_stored(struct client *c)
{
    c->realm_id = REALM_REDIS;
    client_set_user(c, WORLD_STORED_USER, WORLD_STORED_PASSWORD);
}

void client_set_token(struct client *c, const char *kid, uint32_t lifetime)
{
    const struct store_oauth_key key = world_oauth_key(kid);
    const struct oauth_seal seal = {
        .crypto = c->world->crypto, .key = &key, .server_name = slice_of_string(WORLD_SERVER_NAME)};
    struct oauth_claims claims = {
        .timestamp = oauth_timestamp(&c->world->now), .lifetime_s = lifetime};
    struct oauth_token sealed;
    uint8_t nonce[OAUTH_NONCE_LEN];
    claims.mac_key.len = 20;
    for (unsigned i = 0; i < sizeof(nonce); i++)
        nonce[i] = (uint8_t)world_random(c->world);
    for (unsigned i = 0; i < claims.mac_key.len; i++)
        claims.mac_key.bytes[i] = (uint8_t)world_random(c->world);
    c->realm_id = REALM_TOKENS;
    client_set_user(c, kid, "");
    if (oauth_token_seal(&seal, &claims, nonce, &sealed) != 0)
        world_fail("no token");
    memcpy(c->token.bytes, sealed.bytes, c->token.len = sealed.len);
    c->token.mac_key = claims.mac_key;
    if (oauth_token_id(c->world->crypto, slice_of(sealed.bytes, sealed.len), c->token.id) != 0)
        world_fail("no SHA-256");
}

void client_set_ipv6(struct client *c, unsigned n)
{
    c->addr = world_client_addr6(n, (uint16_t)(40000 + n));
    c->server = c->world->server_ipv6;
}

void request_begin(struct request *r, struct client *c, enum stun_class class, uint16_t method)
{
    memset(r, 0, sizeof(*r));
    r->method = method;
    const uint8_t start[8] = {0x21, 0x12, 0xa4, 0x42, c->addr.ip[3], c->addr.ip[15],
        (uint8_t)(c->addr.port >> 8), (uint8_t)c->addr.port};
    memcpy(r->transaction, start, sizeof(start));
    const uint64_t n = ++c->transactions;
    for (unsigned i = 0; i < 8; i++)
        r->transaction[8 + i] = (uint8_t)(n >> 8 * i);
    stun_write_begin(&r->w, r->bytes, sizeof(r->bytes), class, method, r->transaction);
}

void request_transport(struct request *r, uint8_t protocol)
{
    stun_write_u32(&r->w, STUN_ATTR_REQUESTED_TRANSPORT, (uint32_t)protocol << 24);
}

void request_family(struct request *r, uint16_t type, uint8_t family)
{
    stun_write_u32(&r->w, type, (uint32_t)family << 24);
}

void request_even_port(struct request *r, bool reserve)
{
    const uint8_t value = reserve ? 0x80 : 0;
    stun_write_attr(&r->w, STUN_ATTR_EVEN_PORT, slice_of(&value, 1));
}

void request_channel(struct request *r, uint16_t number)
{
    stun_write_u32(&r->w, STUN_ATTR_CHANNEL_NUMBER, (uint32_t)number << 16);
}

void request_peer(struct request *r, const struct addr *peer)
{
    stun_write_xor_addr(&r->w, STUN_ATTR_XOR_PEER_ADDRESS, peer);
}

void request_empty(struct request *r, uint16_t type)
{
    stun_write_attr(&r->w, type, slice_of(NULL, 0));
}

size_t client_key(struct client *c, uint8_t key[AUTH_KEY_MAX])
{
    if (c->token.len > 0) {
        memcpy(key, c->token.mac_key.bytes, c->token.mac_key.len);
        return c->token.mac_key.len;
    }
    const bool sha256 = c->auth == CLIENT_SHA256;
    const struct slice parts[] = {slice_of_string(c->user), slice_of_string(":"),
        slice_of(c->realm, c->realm_len), slice_of_string(":"), slice_of_string(c->password)};
    if (crypto_digest(c->world->crypto, sha256 ? CRYPTO_SHA256 : CRYPTO_MD5, parts, 5, key) != 0)
        world_fail("no digest");
    return sha256 ? CRYPTO_SHA256_LEN : CRYPTO_MD5_LEN;
}

static void write_name(struct request *r, struct client *c)
{
    if (!c->userhash) {
        stun_write_attr(&r->w, STUN_ATTR_USERNAME, slice_of_string(c->user));
        return;
    }
    /* RFC 8489 section 14.4: "userhash = SHA-256(OpaqueString(username) ":" OpaqueString(realm))".
     */
    const struct slice parts[] = {
        slice_of_string(c->user), slice_of_string(":"), slice_of(c->realm, c->realm_len)};
    uint8_t hash[CRYPTO_SHA256_LEN];
    if (crypto_digest(c->world->crypto, CRYPTO_SHA256, parts, 3, hash) != 0)
        world_fail("no digest");
    stun_write_attr(&r->w, STUN_ATTR_USERHASH, slice_of(hash, sizeof(hash)));
}

void request_credentials(struct request *r, struct client *c)
{
    write_name(r, c);
    stun_write_attr(&r->w, STUN_ATTR_REALM, slice_of(c->realm, c->realm_len));
    stun_write_attr(&r->w, STUN_ATTR_NONCE, slice_of(c->nonce, c->nonce_len));
    if (c->token.len > 0 && (r->method == STUN_ALLOCATE || r->method == STUN_REFRESH))
        stun_write_attr(&r->w, STUN_ATTR_ACCESS_TOKEN, slice_of(c->token.bytes, c->token.len));
    if (c->auth != CLIENT_MD5) {
        stun_write_attr(
            &r->w, STUN_ATTR_PASSWORD_ALGORITHMS, slice_of(c->algorithms, c->algorithms_len));
        const uint32_t algorithm =
            c->auth == CLIENT_SHA256 ? STUN_PASSWORD_SHA256 : STUN_PASSWORD_MD5;
        stun_write_u32(&r->w, STUN_ATTR_PASSWORD_ALGORITHM, algorithm << 16);
    }
}

void request_integrity(struct request *r, struct client *c, bool sha256)
{
    uint8_t key[AUTH_KEY_MAX];
    const size_t len = client_key(c, key);
    stun_write_integrity(&r->w, c->world->crypto, slice_of(key, len), sha256);
}

void request_close(struct request *r)
{
    r->len = stun_write_end(&r->w);
    if (r->len == 0)
        world_fail("a request does not fit");
}

void request_finish(struct request *r, struct client *c)
{
    if (c->auth != CLIENT_NONE) {
        request_credentials(r, c);
        request_integrity(r, c, c->auth != CLIENT_MD5);
    }
    if (c->fingerprint)
        stun_write_fingerprint(&r->w);
    request_close(r);
}

struct flow client_flow(const struct client *c)
{
    return (struct flow){.transport = c->transport,
        .listener = c->listener,
        .connection = c->connection,
        .local = c->server,
        .remote = c->addr};
}

void client_close(struct client *c)
{
    const struct flow flow = client_flow(c);
    relay_connection_closed(c->world->worker[c->worker].relay, &flow, &c->world->now);
    world_run(c->world);
}

void client_send_raw(struct client *c, const void *bytes, size_t len)
{
    const struct world_datagram d = {.worker = c->worker,
        .realm = c->realm_id,
        .realms = c->realms,
        .tos = c->tos,
        .flow = client_flow(c),
        .bytes = slice_of(bytes, len)};
    world_from_client(c->world, &d);
}

int client_send(struct client *c, const struct request *r, struct response *out)
{
    struct response unused;
    client_send_raw(c, r->bytes, r->len);
    return client_answer(c, r->transaction, out ? out : &unused);
}

int client_challenge(struct client *c)
{
    struct request r;
    request_begin(&r, c, STUN_REQUEST, STUN_ALLOCATE);
    request_transport(&r, 17);
    if (c->fingerprint)
        stun_write_fingerprint(&r.w);
    request_close(&r);
    return client_send(c, &r, NULL);
}

int client_binding(struct client *c, struct response *out)
{
    struct request r;
    request_begin(&r, c, STUN_REQUEST, STUN_BINDING);
    if (c->fingerprint)
        stun_write_fingerprint(&r.w);
    request_close(&r);
    return client_send(c, &r, out);
}

int client_allocate(struct client *c, struct response *out)
{
    struct request r;
    if (c->nonce_len == 0)
        client_challenge(c);
    request_begin(&r, c, STUN_REQUEST, STUN_ALLOCATE);
    request_transport(&r, 17);
    request_finish(&r, c);
    return client_send(c, &r, out);
}

int client_refresh(struct client *c, uint32_t lifetime, struct response *out)
{
    struct request r;
    request_begin(&r, c, STUN_REQUEST, STUN_REFRESH);
    stun_write_u32(&r.w, STUN_ATTR_LIFETIME, lifetime);
    request_finish(&r, c);
    return client_send(c, &r, out);
}

int client_permit(struct client *c, const struct addr *peer)
{
    struct request r;
    request_begin(&r, c, STUN_REQUEST, STUN_CREATE_PERMISSION);
    request_peer(&r, peer);
    request_finish(&r, c);
    return client_send(c, &r, NULL);
}

int client_bind(struct client *c, uint16_t channel, const struct addr *peer)
{
    struct request r;
    request_begin(&r, c, STUN_REQUEST, STUN_CHANNEL_BIND);
    request_channel(&r, channel);
    request_peer(&r, peer);
    request_finish(&r, c);
    return client_send(c, &r, NULL);
}

int client_ask(struct client *c, uint16_t method, const struct raw_attr *attrs, size_t count,
    struct response *out)
{
    struct request r;
    if (c->nonce_len == 0 && c->auth != CLIENT_NONE)
        client_challenge(c);
    request_begin(&r, c, STUN_REQUEST, method);
    for (size_t i = 0; i < count; i++)
        stun_write_attr(&r.w, attrs[i].type, slice_of(attrs[i].value, attrs[i].len));
    request_finish(&r, c);
    return client_send(c, &r, out);
}

void client_indicate(struct client *c, const struct addr *peer, const void *data, size_t len)
{
    struct request *r = malloc(sizeof(*r));
    if (!r)
        world_fail("out of memory");
    request_begin(r, c, STUN_INDICATION, STUN_SEND);
    request_peer(r, peer);
    stun_write_attr(&r->w, STUN_ATTR_DATA, slice_of(data, len));
    request_close(r);
    client_send_raw(c, r->bytes, r->len);
    free(r);
}

void client_channel_data(struct client *c, uint16_t channel, const void *data, size_t len)
{
    uint8_t *bytes = malloc(4 + len);
    if (!bytes)
        world_fail("out of memory");
    bytes[0] = (uint8_t)(channel >> 8);
    bytes[1] = (uint8_t)channel;
    bytes[2] = (uint8_t)(len >> 8);
    bytes[3] = (uint8_t)len;
    if (len > 0)
        memcpy(bytes + 4, data, len);
    client_send_raw(c, bytes, 4 + len);
    free(bytes);
}

struct addr client_start(struct client *c, struct world *w, unsigned n)
{
    struct response r;
    client_init(c, w, n);
    if (client_allocate(c, &r) != 200 || r.relayed_count != 1) {
        fprintf(stderr, "client %u: %d\n", n, r.code);
        world_fail("a client cannot allocate");
    }
    return r.relayed[0];
}
