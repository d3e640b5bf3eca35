/* The table of top, as lines that fit the terminal, or as JSON. Called by top.c. */
#include <stdlib.h>
#include <string.h>

#include "cli/print.h"
#include "cli/top.h"

#define USER_WIDTH 20
#define FULL_WIDTH                                                                                 \
    100 /* with the client's address; else rates, which one looks for, would not fit */

static const char *text_of(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));
    return text ? text : "?";
}

/* "1.2M": to two or three digits. */
static const char *amount(double value, char out[16])
{
    static const char units[] = "kMGT";
    size_t unit = 0;
    if (value < 1000) {
        snprintf(out, 16, "%.0f", value);
        return out;
    }
    value /= 1000;
    while (value >= 999.95 && unit + 2 < sizeof(units)) {
        value /= 1000;
        unit++;
    }
    snprintf(out, 16, "%.1f%c", value, units[unit]);
    return out;
}

/* The line that was written, at most `columns` characters of it: UTF-8 has one byte of each that
 * does not begin with the bits 10. */
static void flush_line(FILE *out, const char *line, size_t columns, const char *end)
{
    size_t used = 0, i = 0;
    for (; line[i] != '\0'; i++) {
        const bool begins = ((unsigned char)line[i] & 0xc0) != 0x80;
        if (begins && columns > 0 && used == columns) {
            break;
        }
        used += begins;
    }
    fwrite(line, 1, i, out);
    fputs(end, out);
}

static void write_head(FILE *line, const struct top_sample *s)
{
    char a[16], b[16], c[16];
    fprintf(line, "%zu%s allocations   to peers %s bit/s   to clients %s bit/s   %s packets/s",
        s->count, s->cut ? "+" : "", amount(s->to_peer_bits, a), amount(s->to_client_bits, b),
        amount(s->packets, c));
}

static void write_columns(
    FILE *line, const char *via, const char *client, const char *const rates[3])
{
    fprintf(line, "  %-4s", via);
    if (client) {
        fprintf(line, "  %-21s", client);
    }
    fprintf(line, "  %9s  %9s  %9s", rates[0], rates[1], rates[2]);
}

static void write_session(FILE *line, const struct top_session *s, bool wide)
{
    char a[16], b[16], c[16];
    fprintf(line, "%-16s  ", s->id);
    cli_print_text(line, json_object_get(s->json, "user"), USER_WIDTH, true);
    const char *const rates[] = {
        amount(s->to_peer_bits, a), amount(s->to_client_bits, b), amount(s->packets, c)};
    write_columns(
        line, text_of(s->json, "transport"), wide ? text_of(s->json, "client") : NULL, rates);
}

static void write_line(FILE *line, const struct top_sample *sample, size_t row, bool wide)
{
    static const char *const names[] = {"TO PEER", "TO CLIENT", "PACKETS"};
    if (row == 0) {
        write_head(line, sample);
    } else if (row == 1) {
        fprintf(line, "%-16s  %-*s", "ID", USER_WIDTH, "USER");
        write_columns(line, "VIA", wide ? "CLIENT" : NULL, names);
    } else {
        write_session(line, &sample->list[row - 2], wide);
    }
}

void top_print(
    FILE *out, const struct top_sample *sample, size_t rows, size_t columns, const char *end)
{
    for (size_t row = 0; row < rows && row < sample->count + 2; row++) {
        char *text = NULL;
        size_t len;
        FILE *line = open_memstream(&text, &len);
        if (!line) {
            return;
        }
        write_line(line, sample, row, columns == 0 || columns >= FULL_WIDTH);
        if (fclose(line) == 0) {
            flush_line(out, text, columns, end);
        }
        free(text);
    }
}

void top_print_json(FILE *out, const struct top_sample *sample)
{
    json_t *list = json_array();
    for (size_t i = 0; i < sample->count; i++) {
        const struct top_session *s = &sample->list[i];
        json_array_append_new(
            list, json_pack("{s:s, s:O, s:s, s:s, s:I, s:I, s:I}", "id", s->id, "user",
                      json_object_get(s->json, "user"), "transport", text_of(s->json, "transport"),
                      "client", text_of(s->json, "client"), "to_peer_bits_s",
                      (json_int_t)s->to_peer_bits, "to_client_bits_s",
                      (json_int_t)s->to_client_bits, "packets_s", (json_int_t)s->packets));
    }
    json_t *json = json_pack("{s:I, s:I, s:I, s:b, s:o}", "to_peer_bits_s",
        (json_int_t)sample->to_peer_bits, "to_client_bits_s", (json_int_t)sample->to_client_bits,
        "packets_s", (json_int_t)sample->packets, "more", sample->cut, "allocations", list);
    json_dumpf(json, out, JSON_COMPACT);
    fputc('\n', out);
    json_decref(json);
}
