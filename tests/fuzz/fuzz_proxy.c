/*
 * Any bytes as the first of a connection: a PROXY header, an HTTP request, or neither. What is said
 * once other than MORE is said again when more bytes have come; a header is found with its last
 * byte, neither sooner nor later; and its addresses, written again, are read again.
 */
#include "tests/fuzz/fuzz.h"
#include "wire/http_request.h"
#include "wire/proxy_protocol.h"

/* Prefixes up to this length are all looked at, longer ones in steps. */
#define DENSE 128u
#define STEP  97u

enum outcome {
    MORE,
    TEXT,
    TEXT_WITHOUT_CLIENT,
    BINARY,
    BINARY_WITHOUT_CLIENT,
    ABSENT,
    BAD_TEXT,
    BAD_BINARY,
    REQUEST_MORE,
    REQUEST_WHOLE,
    REQUEST_ABSENT,
    REQUEST_BAD,
    OUTCOMES
};

static const char *const names[OUTCOMES] = {"more", "text", "text_without_client", "binary",
    "binary_without_client", "absent", "bad_text", "bad_binary", "request_more", "request_whole",
    "request_absent", "request_bad"};

struct fuzz_reasons fuzz_reasons = {.names = names, .count = OUTCOMES};

struct look {
    enum proxy_outcome proxy;
    struct proxy_header header; /* with PROXY_HEADER */
    enum http_outcome http;
};

/* Looks at a copy of exactly the bytes that have come. */
static struct look look_at(const uint8_t *data, size_t len)
{
    static const struct proxy_header untouched = {.len = 7};
    struct look look = {.header = untouched};
    uint8_t *copy = malloc(len == 0 ? 1 : len);
    FUZZ_REQUIRE(copy != NULL);
    if (len > 0)
        memcpy(copy, data, len);
    look.proxy = proxy_header_parse(&look.header, slice_of(copy, len));
    look.http = http_request_look(slice_of(copy, len));
    free(copy);
    if (look.proxy != PROXY_HEADER)
        FUZZ_REQUIRE(memcmp(&look.header, &untouched, sizeof(untouched)) == 0);
    return look;
}

static bool is_same_header(const struct proxy_header *a, const struct proxy_header *b)
{
    return a->len == b->len && a->has_client == b->has_client &&
           memcmp(&a->source, &b->source, sizeof(a->source)) == 0 &&
           memcmp(&a->destination, &b->destination, sizeof(a->destination)) == 0;
}

static void check_follows(const struct look *before, const struct look *after)
{
    if (before->proxy != PROXY_MORE)
        FUZZ_REQUIRE(after->proxy == before->proxy);
    if (before->proxy == PROXY_HEADER)
        FUZZ_REQUIRE(is_same_header(&before->header, &after->header));
    if (before->http != HTTP_MORE)
        FUZZ_REQUIRE(after->http == before->http);
}

static void check_addr(const struct addr *addr, bool has_client)
{
    FUZZ_REQUIRE((addr->family != ADDR_NONE) == has_client);
    FUZZ_REQUIRE(addr->reserved == 0 && addr->scope == 0);
    for (size_t i = addr_ip_len(addr); i < sizeof(addr->ip); i++)
        FUZZ_REQUIRE(addr->ip[i] == 0);
    /* Who asks the system for the address is told the same. */
    struct sockaddr_storage sa;
    struct addr from_system;
    addr_to_sockaddr(addr, &sa);
    if (has_client)
        FUZZ_REQUIRE(addr_from_sockaddr(&from_system, (const struct sockaddr *)&sa) == 0 &&
                     addr_equal(addr, &from_system));
}

/* Nothing that begins as a header or as a request is called absent. */
static void check_absent(const uint8_t *data, size_t size, const struct look *look)
{
    static const char *const methods[] = {"GET ", "HEAD ", "OPTIONS "};
    const struct slice bytes = slice_of(data, size);
    static const uint8_t signature[] = "\r\n\r\n\0\r\nQUIT\n";
    if (look->proxy == PROXY_ABSENT)
        FUZZ_REQUIRE(!slice_agree(bytes, slice_of_string("PROXY")) &&
                     !slice_agree(bytes, slice_of(signature, sizeof(signature) - 1)));
    if (look->http != HTTP_ABSENT)
        return;
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        FUZZ_REQUIRE(!slice_agree(bytes, slice_of_string(methods[i])));
}

/* Both addresses of the one family that a line can name; unless one was mapped, that is all. */
static void check_round_trip(const struct proxy_header *header)
{
    char source[ADDR_TEXT_MAX], destination[ADDR_TEXT_MAX], line[256];
    if (header->source.family != header->destination.family)
        return;
    const int len = snprintf(line, sizeof(line), "PROXY TCP%c %s %s %u %u\r\n",
        header->source.family == ADDR_IPV4 ? '4' : '6',
        addr_format_ip(&header->source, source, sizeof(source)),
        addr_format_ip(&header->destination, destination, sizeof(destination)),
        (unsigned)header->source.port, (unsigned)header->destination.port);
    struct proxy_header again;
    FUZZ_REQUIRE(len > 0);
    const struct slice text = slice_of(line, (size_t)len);
    FUZZ_REQUIRE(proxy_header_parse(&again, text) == PROXY_HEADER && again.len == text.len);
    again.len = header->len;
    FUZZ_REQUIRE(is_same_header(header, &again));
}

static void check_header(const uint8_t *data, size_t size, const struct proxy_header *header)
{
    const bool text = data[0] == 'P';
    FUZZ_REQUIRE(header->len <= size && header->len <= PROXY_HEADER_MAX);
    FUZZ_REQUIRE(header->len >= (text ? 15u : 16u) && (!text || header->len <= 107));
    FUZZ_REQUIRE(look_at(data, header->len).proxy == PROXY_HEADER);
    FUZZ_REQUIRE(look_at(data, header->len - 1).proxy == PROXY_MORE);
    check_addr(&header->source, header->has_client);
    check_addr(&header->destination, header->has_client);
    if (header->has_client)
        check_round_trip(header);
    fuzz_note_outcome((text ? TEXT : BINARY) + !header->has_client);
}

static void check_request(struct slice request, enum http_outcome outcome)
{
    static const enum outcome outcomes[] = {[HTTP_MORE] = REQUEST_MORE,
        [HTTP_WHOLE] = REQUEST_WHOLE,
        [HTTP_ABSENT] = REQUEST_ABSENT,
        [HTTP_BAD] = REQUEST_BAD};
    FUZZ_REQUIRE(outcome != HTTP_MORE || request.len < HTTP_REQUEST_MAX);
    fuzz_note_outcome(outcomes[outcome]);
    if (outcome != HTTP_WHOLE)
        return;
    const size_t longest = request.len < HTTP_REQUEST_MAX ? request.len : HTTP_REQUEST_MAX;
    FUZZ_REQUIRE(memmem(request.data, longest, "\r\n\r\n", 4) != NULL);
    const struct slice answer = http_request_answer(request);
    FUZZ_REQUIRE(answer.len > 9 && memcmp(answer.data, "HTTP/1.1 ", 9) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct look last = look_at(data, 0);
    FUZZ_REQUIRE(last.proxy == PROXY_MORE && last.http == HTTP_MORE);
    for (size_t len = 1; len <= size;) {
        const struct look look = look_at(data, len);
        check_follows(&last, &look);
        last = look;
        FUZZ_REQUIRE(last.proxy == PROXY_ABSENT || last.http == HTTP_ABSENT);
        const size_t step = len < DENSE ? 1 : STEP;
        len = len < size && size - len < step ? size : len + step;
    }
    if (last.proxy == PROXY_HEADER)
        check_header(data, size, &last.header);
    else if (last.proxy == PROXY_BAD)
        fuzz_note_outcome(data[0] == 'P' ? BAD_TEXT : BAD_BINARY);
    else
        fuzz_note_outcome(last.proxy == PROXY_MORE ? MORE : ABSENT);
    check_absent(data, size, &last);
    FUZZ_REQUIRE(last.proxy != PROXY_MORE || size < PROXY_HEADER_MAX);
    check_request(slice_of(data, size), last.http);
    return 0;
}
