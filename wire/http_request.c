/*
 * Requests of health checks that probe a STUN port as if it spoke HTTP. Nothing of a request is
 * kept or obeyed: the answer depends on the method alone. Called by net/ for a connection's first
 * bytes, before anything is known about the sender.
 */
#include "wire/http_request.h"

#include "base/cursor.h"

#define VERSION  "HTTP/1."
#define BODY     "OK\n"
#define BODY_LEN "3"
_Static_assert(sizeof(BODY) - 1 == 3, "Content-Length");

/* The first letters differ, so bytes fit one of them at most. */
static bool begins_with_method(struct slice stream, struct slice *method)
{
    static const char *const methods[] = {"GET ", "HEAD ", "OPTIONS "};
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        *method = slice_of_string(methods[i]);
        if (slice_agree(stream, *method))
            return true;
    }
    return false;
}

/* HTTP_WHOLE with the line, without its CRLF; HTTP_MORE; HTTP_BAD for a control character or half a
 * CRLF. */
static enum http_outcome take_line(struct cursor *c, struct slice *line)
{
    const uint8_t *start = c->p;
    while (cursor_left(c) > 0) {
        const uint8_t byte = cursor_u8(c);
        if (byte == '\r' && cursor_left(c) == 0)
            return HTTP_MORE;
        if (byte == '\r') {
            *line = slice_of(start, (size_t)(c->p - start) - 1);
            return cursor_u8(c) == '\n' ? HTTP_WHOLE : HTTP_BAD;
        }
        if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
            return HTTP_BAD;
    }
    return HTTP_MORE;
}

/* What stands behind the method and its space: a target of visible characters, a space, the
 * version. */
static bool is_target_and_version(struct cursor *c)
{
    size_t len = 0;
    uint8_t byte = cursor_u8(c);
    for (; byte > ' ' && byte < 0x7f; len++)
        byte = cursor_u8(c);
    const struct slice version = cursor_bytes(c, sizeof(VERSION) - 1);
    const uint8_t minor = cursor_u8(c);
    return !c->failed && cursor_left(c) == 0 && len > 0 && byte == ' ' &&
           slice_equal(version, slice_of_string(VERSION)) && minor >= '0' && minor <= '9';
}

/* `head` begins with `method`, which has no line end, or is a part of it. */
static enum http_outcome look_at_head(struct slice head, struct slice method)
{
    struct cursor c, request;
    struct slice line;
    cursor_init(&c, head);
    enum http_outcome outcome = take_line(&c, &line);
    if (outcome != HTTP_WHOLE)
        return outcome;
    cursor_init(&request, line);
    cursor_skip(&request, method.len);
    if (!is_target_and_version(&request))
        return HTTP_BAD;
    while (outcome == HTTP_WHOLE && line.len > 0)
        outcome = take_line(&c, &line);
    return outcome;
}

enum http_outcome http_request_look(struct slice stream)
{
    struct slice method;
    if (!begins_with_method(stream, &method))
        return HTTP_ABSENT;
    const bool full = stream.len >= HTTP_REQUEST_MAX;
    const struct slice head = slice_of(stream.data, full ? HTTP_REQUEST_MAX : stream.len);
    const enum http_outcome outcome = look_at_head(head, method);
    return outcome == HTTP_MORE && full ? HTTP_BAD : outcome;
}

struct slice http_request_answer(struct slice request)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\n"
                                 "Content-Type: text/plain\r\n"
                                 "Content-Length: " BODY_LEN "\r\n"
                                 "Cache-Control: no-store\r\n"
                                 "Connection: close\r\n"
                                 "\r\n" BODY;
    const bool head = slice_agree(request, slice_of_string("HEAD "));
    return slice_of(answer, sizeof(answer) - 1 - (head ? sizeof(BODY) - 1 : 0));
}
