/*
 * Tells an HTTP request from STUN by a connection's first bytes, so that a balancer's probe is
 * answered. To be asked before stream_frame_next, and on the very first bytes of a connection only:
 * "GET " looks like ChannelData, which nobody sends before a channel is bound.
 */
#ifndef WIRE_HTTP_REQUEST_H
#define WIRE_HTTP_REQUEST_H

#include "base/slice.h"

/* Bytes of the longest request head that is waited for, with its empty line. */
#define HTTP_REQUEST_MAX 4096

enum http_outcome {
    HTTP_MORE,   /* so far it could be one: more bytes must come */
    HTTP_WHOLE,  /* a method and a whole head, up to the empty line */
    HTTP_ABSENT, /* does not begin with GET, HEAD or OPTIONS and a space */
    HTTP_BAD     /* it does, but no HTTP/1 head follows: another request line, control characters, a
                    line that does not end in CRLF, or more than HTTP_REQUEST_MAX bytes */
};

/* HTTP_MORE also where fewer bytes than a method have come and all fit one. What is said once other
 * than HTTP_MORE stays when more bytes come. Header fields are not judged beyond their characters.
 */
enum http_outcome http_request_look(struct slice stream);
/* The answer to what was HTTP_WHOLE: a short 200 that says that the connection closes; for HEAD
 * without a body. Static. */
struct slice http_request_answer(struct slice request);

#endif
