/* An answer of the admin server, as HTTP/1.1 through libwebsockets. Control thread. */
#ifndef ADMIN_ANSWER_H
#define ADMIN_ANSWER_H

#include <libwebsockets.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* No answer is longer; the socket's send buffer and one write of the library have room for it. */
#define ADMIN_ANSWER_MAX (320 * 1024)

#define ADMIN_TEXT_TYPE "text/plain; charset=utf-8"

struct admin_answer {
    unsigned status;     /* 0: none yet */
    const char *type;    /* of the body */
    const char *allowed; /* of a 405 */
    bool token_refused;  /* of a 401: a token was sent */
    bool again;          /* of a 429 or 503: the same question may be answered in a second */
    int64_t wall_s;      /* when it was made */
    bool headers_only;   /* to HEAD */
    char *body;          /* owned by the connection */
    size_t len;
};

/*
 * Head and body in one write: the socket's buffer takes any answer whole, so that a client that
 * does not read holds up nothing here. 0, or -1: the connection is broken.
 */
int admin_answer_send(struct lws *wsi, const struct admin_answer *a);
/* What the client sent and nobody reads would turn the close into a reset, which takes the answer
 * with it. */
void admin_answer_discard_input(struct lws *wsi);

#endif
