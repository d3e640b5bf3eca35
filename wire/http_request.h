/* Tells an HTTP request from STUN by a connection's first bytes, so that a balancer's probe is
 * answered. */
#ifndef WIRE_HTTP_REQUEST_H
#define WIRE_HTTP_REQUEST_H

#include "base/slice.h"

/* Longest request head that is waited for. */
#define HTTP_REQUEST_MAX 4096

enum http_outcome {
    HTTP_MORE,   /* so far it could be one: more bytes must come */
    HTTP_WHOLE,  /* a method and a whole head, up to the empty line */
    HTTP_ABSENT, /* not HTTP/1 */
    HTTP_BAD     /* a head longer than HTTP_REQUEST_MAX, or control characters in it */
};

/* HTTP_MORE also where fewer bytes than a method have come and all fit one. */
enum http_outcome http_request_look(struct slice stream);
/* The answer: a short 200 that closes the connection; for HEAD without a body. Static. */
struct slice http_request_answer(struct slice request);

#endif
