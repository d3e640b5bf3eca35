/*
 * Lua scripts by their SHA-1: EVALSHA, and where the server does not know it (it was restarted, or
 * flushed), SCRIPT LOAD and EVALSHA once more, before the caller's deadline. A script that the
 * server does not know is not executed, so nothing runs twice.
 */
#ifndef FLEET_REDIS_SCRIPT_H
#define FLEET_REDIS_SCRIPT_H

#include "fleet/redis_link.h"

#define REDIS_SHA1_HEX_LEN 40

/* Of one link; outlives every callback of what is issued with it. */
struct redis_script {
    struct slice text; /* borrowed: outlives the script */
    char sha1[REDIS_SHA1_HEX_LEN + 1];
    bool loading;   /* SCRIPT LOAD is in flight: what is sent behind it finds the script */
    uint64_t loads; /* SCRIPT LOADs so far */
};

/* 0 or -EIO. */
int redis_script_init(struct redis_script *s, const char *text);

/*
 * As redis_link_command: `request` has keys, of which there are `key_count`, then arguments, at
 * most 253 in all; argc may be 0. REDIS_REFUSED: it was not known to the server, and there was no
 * room to send it again. -EAGAIN also where too much is kept for sending again.
 */
int redis_link_script(struct redis_link *l, struct redis_script *script, uint32_t key_count,
    const struct redis_request *request);

#endif
