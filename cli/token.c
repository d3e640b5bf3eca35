/*
 * turnpikectl token: makes an access token (RFC 7635) with a key that the daemon has as well, as an
 * authorization server would. Asks nobody: the daemon need not run. Called by main.c.
 */
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "auth/oauth.h"
#include "base/base64.h"
#include "base/clock.h"
#include "base/random.h"
#include "cli/command.h"
#include "cli/secrets.h"
#include "config/values.h"

#define DEFAULT_LIFETIME_S 3600
/* RFC 7635 section 6.2: "The key length of 160 bits MUST be supported": every server takes it. */
#define MAC_KEY_LEN 20

#define BASE64_LEN(bytes) (((bytes) + 2) / 3 * 4)

struct arguments {
    const char *kid, *key_file, *algorithm, *server_name, *lifetime;
};

/* What is printed, and what must be wiped. */
struct minted {
    char token[BASE64_LEN(OAUTH_TOKEN_MAX) + 1];
    char mac_key[BASE64_LEN(MAC_KEY_LEN) + 1];
    char id[OAUTH_ID_LEN + 1];
    int64_t expires_at;
};

static const char *unfit(const struct arguments *a, uint8_t *algorithm, uint64_t *lifetime_s)
{
    *lifetime_s = DEFAULT_LIFETIME_S;
    *algorithm = AUTH_OAUTH_A256GCM;
    if (!a->kid || !a->key_file || !a->server_name) {
        return "token needs --kid, --key-file and --server-name";
    }
    if (a->kid[0] == '\0' || strlen(a->kid) > OAUTH_KID_MAX) {
        return "a kid has 1 to 127 bytes";
    }
    if (a->server_name[0] == '\0' || strlen(a->server_name) > OAUTH_SERVER_NAME_MAX) {
        return "a server name has 1 to 255 bytes";
    }
    if (a->algorithm && strcmp(a->algorithm, "A128GCM") == 0) {
        *algorithm = AUTH_OAUTH_A128GCM;
    } else if (a->algorithm && strcmp(a->algorithm, "A256GCM") != 0) {
        return "--algorithm is A256GCM or A128GCM";
    }
    if (a->lifetime && (!value_duration(a->lifetime, lifetime_s) || *lifetime_s == 0 ||
                           *lifetime_s > UINT32_MAX)) {
        return "--lifetime takes a time such as 90s, 10min or 48h";
    }
    return NULL;
}

static bool read_key(struct store_oauth_key *key, const char *path)
{
    struct secret file = {0};
    if (cli_secret_read(&file, path) < 0) {
        return false;
    }
    /* Exactly a key's length, as the daemon's key_file has it. */
    const bool ok = base64_decode(key->key, sizeof(key->key), secret_slice(&file)) == key->key_len;
    secret_wipe(&file);
    if (!ok) {
        fprintf(stderr, "turnpikectl: %s: not the base64 of %u bytes\n", path, key->key_len);
    }
    return ok;
}

static int mint(struct minted *out, const struct oauth_seal *seal, uint32_t lifetime_s)
{
    const struct instant now = clock_now();
    struct oauth_claims claims = {
        .mac_key.len = MAC_KEY_LEN, .timestamp = oauth_timestamp(&now), .lifetime_s = lifetime_s};
    uint8_t nonce[OAUTH_NONCE_LEN];
    struct oauth_token token;
    int rc = random_fill(random_system(), claims.mac_key.bytes, MAC_KEY_LEN);
    if (rc == 0) {
        rc = random_fill(random_system(), nonce, sizeof(nonce));
    }
    if (rc == 0) {
        rc = oauth_token_seal(seal, &claims, nonce, &token);
    }
    if (rc == 0) {
        rc = oauth_token_id(seal->crypto, slice_of(token.bytes, token.len), out->id);
    }
    if (rc == 0) {
        EVP_EncodeBlock((unsigned char *)out->token, token.bytes, (int)token.len);
        EVP_EncodeBlock((unsigned char *)out->mac_key, claims.mac_key.bytes, MAC_KEY_LEN);
        out->expires_at = now.wall_s + lifetime_s;
    }
    secret_cleanse(&claims, sizeof(claims));
    return rc;
}

static void print_text(const struct minted *m, const char *kid)
{
    char when[CLOCK_UTC_MAX];
    printf("token:        %s\nmac_key:      %s\nkid:          %s\n", m->token, m->mac_key, kid);
    printf("id:           %s\nexpires:      %s\n", m->id, clock_utc_text(m->expires_at, when));
}

/* The names of RFC 7635 appendix B, and two of ours behind them. */
static bool print_json(const struct minted *m, const char *kid, uint32_t lifetime_s)
{
    json_t *json = json_pack("{s:s, s:s, s:I, s:s, s:s, s:s, s:s, s:I}", "access_token", m->token,
        "token_type", "pop", "expires_in", (json_int_t)lifetime_s, "kid", kid, "key", m->mac_key,
        "alg", "HMAC-SHA-1", "id", m->id, "expires_at", (json_int_t)m->expires_at);
    struct secret text = {0};
    const bool ok = json && cli_secret_json(&text, json) == 0;
    if (ok) {
        printf("%s\n", (const char *)text.data);
    } else if (!json) {
        fputs("turnpikectl: the kid is no UTF-8 text\n", stderr);
    }
    secret_wipe(&text);
    json_decref(json);
    return ok;
}

static int run(const struct cli_options *options, const struct arguments *a,
    struct store_oauth_key *key, uint32_t lifetime_s)
{
    struct crypto *crypto = crypto_new();
    const struct oauth_seal seal = {crypto, key, slice_of_string(a->server_name)};
    struct minted minted = {0};
    int code = CLI_DONE;
    if (!crypto || mint(&minted, &seal, lifetime_s) < 0) {
        fputs("turnpikectl: no token: the random generator or the encryption failed\n", stderr);
        code = CLI_REFUSED;
    } else if (!options->json) {
        print_text(&minted, a->kid);
    } else if (!print_json(&minted, a->kid, lifetime_s)) {
        code = CLI_USAGE;
    }
    secret_cleanse(&minted, sizeof(minted));
    crypto_free(crypto);
    return code;
}

int cli_token(const struct cli_options *common, int argc, char **argv)
{
    struct cli_options options = *common;
    struct arguments a = {0};
    struct store_oauth_key key = {0};
    uint64_t lifetime_s;
    const struct cli_flag flags[] = {{"kid", &a.kid, NULL}, {"key-file", &a.key_file, NULL},
        {"algorithm", &a.algorithm, NULL}, {"server-name", &a.server_name, NULL},
        {"lifetime", &a.lifetime, NULL}, {NULL, NULL, NULL}};
    int code = cli_read_options(&options, argc, argv, flags);
    if (code != CLI_GOES_ON) {
        return code;
    }
    const char *why = unfit(&a, &key.algorithm, &lifetime_s);
    if (why) {
        fprintf(stderr, "turnpikectl: %s\n", why);
        return CLI_USAGE;
    }
    cli_secrets_begin();
    key.key_len = (uint8_t)oauth_key_len(key.algorithm);
    code = read_key(&key, a.key_file) ? run(&options, &a, &key, (uint32_t)lifetime_s) : CLI_USAGE;
    secret_cleanse(&key, sizeof(key));
    return code;
}
