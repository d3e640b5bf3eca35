/* Two samples become rates. Called by top.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/top.h"

static uint64_t number_of(const json_t *json, const char *part, const char *key)
{
    const json_t *value = json_object_get(json_object_get(json, part), key);
    return json_integer_value(value) > 0 ? (uint64_t)json_integer_value(value) : 0;
}

static struct top_session read_session(const json_t *json)
{
    const char *id = json_string_value(json_object_get(json, "id"));
    struct top_session s = {.json = json,
        .to_peer_bytes = number_of(json, "to_peer", "bytes"),
        .to_client_bytes = number_of(json, "to_client", "bytes"),
        .to_peer_packets = number_of(json, "to_peer", "packets"),
        .to_client_packets = number_of(json, "to_client", "packets")};
    snprintf(s.id, sizeof(s.id), "%s", id ? id : "?");
    return s;
}

int top_sample_add(struct top_sample *sample, json_t *page)
{
    const json_t *json;
    size_t i, room = json_array_size(page);
    sample->cut = sample->cut || sample->count + room > TOP_SESSIONS_MAX;
    room = sample->cut ? TOP_SESSIONS_MAX - sample->count : room;
    if (!sample->pages) {
        sample->pages = json_array();
    }
    struct top_session *list =
        realloc(sample->list, (sample->count + room + 1) * sizeof(sample->list[0]));
    if (list) {
        sample->list = list;
    }
    if (!list || json_array_append(sample->pages, page) < 0) {
        return -ENOMEM;
    }
    json_array_foreach(page, i, json)
    {
        if (i < room) {
            list[sample->count++] = read_session(json);
        }
    }
    return 0;
}

static int by_id(const void *a, const void *b)
{
    const struct top_session *x = a, *y = b;
    return strcmp(x->id, y->id);
}

static int by_rate(const void *a, const void *b)
{
    const struct top_session *x = a, *y = b;
    const double p = x->to_peer_bits + x->to_client_bits, q = y->to_peer_bits + y->to_client_bits;
    return p > q ? -1 : p < q ? 1 : strcmp(x->id, y->id);
}

/* A second; 0 where it has not grown. */
static double rate(uint64_t now, uint64_t before, double seconds)
{
    return now > before ? (double)(now - before) / seconds : 0;
}

static void compare(struct top_session *s, const struct top_session *b, double seconds)
{
    s->to_peer_bits = 8 * rate(s->to_peer_bytes, b->to_peer_bytes, seconds);
    s->to_client_bits = 8 * rate(s->to_client_bytes, b->to_client_bytes, seconds);
    s->packets = rate(s->to_peer_packets, b->to_peer_packets, seconds) +
                 rate(s->to_client_packets, b->to_client_packets, seconds);
}

void top_sample_compare(struct top_sample *sample, const struct top_sample *before)
{
    const double seconds = (double)(sample->at_us - before->at_us) / US_PER_S;
    struct top_session *old =
        before->count ? malloc(before->count * sizeof(before->list[0])) : NULL;
    if (old) {
        memcpy(old, before->list, before->count * sizeof(old[0]));
        qsort(old, before->count, sizeof(old[0]), by_id);
    }
    for (size_t i = 0; old && seconds > 0 && i < sample->count; i++) {
        struct top_session *s = &sample->list[i];
        const struct top_session *b = bsearch(s, old, before->count, sizeof(old[0]), by_id);
        if (b) {
            compare(s, b, seconds);
        }
        sample->to_peer_bits += s->to_peer_bits;
        sample->to_client_bits += s->to_client_bits;
        sample->packets += s->packets;
    }
    free(old);
    if (sample->count > 1) {
        qsort(sample->list, sample->count, sizeof(sample->list[0]), by_rate);
    }
}

void top_sample_deinit(struct top_sample *sample)
{
    free(sample->list);
    json_decref(sample->pages);
    *sample = (struct top_sample){0};
}
