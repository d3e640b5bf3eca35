/* A user and password that selftest and doctor make allocations with. */
#ifndef CLI_CREDENTIAL_H
#define CLI_CREDENTIAL_H

#include "base/crypto.h"
#include "base/secret.h"
#include "cli/command.h"
#include "wire/stun.h"

struct cli_credential {
    char user[STUN_USERNAME_MAX + 1];
    struct secret password;
};

/* Where they come from: the first of these that is there; else the daemon makes them. */
struct cli_credential_source {
    const struct cli_options *options;
    const char *user;       /* with `password` */
    struct secret password; /* owned */
    struct secret rest;     /* a REST secret, HMAC-SHA-1; owned */
};

/* Options as given; NULL: not. 0, or -1 with the line said. *out must be {0} but for `options`. */
int cli_credential_source_init(struct cli_credential_source *out, const char *user,
    const char *password_file, const char *secret_file);
void cli_credential_source_deinit(struct cli_credential_source *source);

/*
 * One for the realm. `who` names the account, where one can be chosen. 0 with *out to be wiped; -1
 * with *why in `why_cap` bytes. *out must be {0}.
 */
int cli_credential_get(struct cli_credential *out, const struct cli_credential_source *source,
    const char *realm, const char *who, char why[256]);
void cli_credential_wipe(struct cli_credential *credential);

#endif
