/* What srtp_key.c reads of the arguments, and srtp_wrap.c makes commands for Redis of. */
#ifndef CLI_SRTP_KEY_H
#define CLI_SRTP_KEY_H

#include "base/secret.h"
#include "cli/command.h"
#include "srtp/keys.h"

struct srtp_wrap {
    const char *realm, *wrap_key_file, *prefix; /* NULL: not given */
    const struct srtp_deposit *deposit; /* binding, until, has_roc and roc; until 0: take back */
    struct slice attribute;
};

/* Prints them. The exit code, with the line said. */
int cli_srtp_wrap(const struct cli_options *options, const struct srtp_wrap *what);
/* Prints a key for srtp_verify.wrap_key_file. Likewise. */
int cli_srtp_new_wrap_key(const struct cli_options *options);

#endif
