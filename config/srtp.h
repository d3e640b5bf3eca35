/* `srtp` and `srtp_verify`: how closely media is looked at. */
#ifndef CONFIG_SRTP_H
#define CONFIG_SRTP_H

#include "config/document.h"

/* What takes more than one key: 0, or -EINVAL with the fault set. */
int srtp_check(const struct config *c, const struct document_node *root, struct fault *fault);
void srtp_clear(struct srtp_settings *srtp); /* wipes the keys */
/* ", srtp: LEVEL", or nothing where the realm says. */
void srtp_print_guard(uint8_t guard, FILE *out);

#endif
