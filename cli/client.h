/* One request to the running daemon, over its unix socket. */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include <sys/types.h>

#include "base/slice.h"

struct client_answer {
    unsigned status; /* of HTTP */
    char *body;      /* owned; ends with a NUL that is not counted; of problem details the detail */
    size_t len;
};

/*
 * GET `path` at the socket, or, with NULL, at the built-in places. 0 with *out the caller's to
 * free; -errno: not reached (-ETIMEDOUT within 5 s), -EPERM: in the folder that the environment
 * names listens somebody who is neither root nor the caller, -EPROTO: what answers there is no
 * daemon of ours.
 */
int client_get(const char *socket, const char *path, struct client_answer *out);
/* The same with POST and a body of JSON. */
int client_post(const char *socket, const char *path, struct slice body, struct client_answer *out);
/* The process that listens there, or -errno. Under socket activation that is who made the socket.
 */
pid_t client_daemon(const char *socket);
void client_answer_free(struct client_answer *answer);

#endif
