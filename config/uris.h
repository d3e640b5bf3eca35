/* The list of URIs that credentials come with. Private to this folder. */
#ifndef CONFIG_URIS_H
#define CONFIG_URIS_H

#include "admin/admin_settings.h"

void uris_clear(struct admin_settings *admin); /* frees the list; again is fine */

#endif
