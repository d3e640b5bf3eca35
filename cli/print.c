/*
 * Names are what clients sent: nothing in them reaches the terminal that it would obey. Called by
 * ask.c, sessions.c and top_table.c.
 */
#include "cli/print.h"

#include <inttypes.h>

#include "base/utf8.h"

/* What takes the place of a character that is not printed as it is. Its length. */
static size_t escape(uint32_t c, char out[12])
{
    int n;
    if (c == '\\') {
        n = snprintf(out, 12, "\\\\");
    } else if (c < 0x80) {
        n = snprintf(out, 12, "\\x%02" PRIx32, c);
    } else {
        n = snprintf(out, 12, "\\u{%" PRIx32 "}", c);
    }
    return n > 0 ? (size_t)n : 0;
}

void cli_print_text(FILE *out, const json_t *json, size_t width, bool cut)
{
    const struct slice s = slice_of(json_string_value(json), json_string_length(json));
    size_t used = 0, n;
    for (size_t i = 0; i < s.len; i += n) {
        uint32_t c = 0;
        char escaped[12];
        n = utf8_decode(slice_of(s.data + i, s.len - i), &c);
        if (n == 0) {
            break; /* JSON is UTF-8 */
        }
        const bool plain = !utf8_is_hidden(c) && c != '\\';
        const size_t room = plain ? 1 : escape(c, escaped);
        if (cut && used + room > width - (i + n < s.len)) {
            fputs("…", out);
            used++;
            break;
        }
        fwrite(plain ? (const char *)s.data + i : escaped, 1, plain ? n : room, out);
        used += room;
    }
    fprintf(out, "%*s", used < width ? (int)(width - used) : 0, "");
}
