/* Passwords and tokens for the commands: from files and from standard input, never from arguments.
 */
#ifndef CLI_SECRETS_H
#define CLI_SECRETS_H

#include <jansson.h>

#include "base/secret.h"

#define CLI_SECRET_MAX 4096 /* bytes */

/* From here on what jansson gives back is wiped. Before its first use. */
void cli_secrets_begin(void);

/*
 * The bytes of the file ("-" or NULL: of standard input, without echo if that is a terminal),
 * without one line end behind them. 0, or -1 with the line said. *out must be empty ({0}).
 */
int cli_secret_read(struct secret *out, const char *path);

/* The JSON as text that secret_wipe takes care of. 0, or -1 with the line said. */
int cli_secret_json(struct secret *out, const json_t *json);

/* Adds the bytes under `key`, if there are any. -1: they are no UTF-8, and the line is said. */
int cli_secret_add(json_t *json, const char *key, const struct secret *value);

#endif
