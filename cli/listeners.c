/* Reads /api/v1/status for who wants to connect. Called by selftest.c and doctor.c. */
#include "cli/listeners.h"

#include <string.h>

static const char *text_of(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));
    return text ? text : "";
}

static int read_listener(struct cli_listener *out, const json_t *item)
{
    const char *proto = text_of(item, "proto");
    for (int t = 0; t < TRANSPORTS; t++) {
        if (strcmp(proto, transport_name((enum transport)t)) == 0) {
            out->transport = (enum transport)t;
            out->proxied = json_is_true(json_object_get(item, "proxied"));
            out->client_certificate = json_is_true(json_object_get(item, "client_certificate"));
            return addr_parse(&out->addr, text_of(item, "address"));
        }
    }
    return -1;
}

int cli_listeners_read(struct cli_listeners *out, const json_t *status)
{
    const json_t *listeners = json_object_get(status, "listeners");
    const json_t *relayed = json_object_get(status, "relayed");
    const json_t *item;
    size_t i;
    *out = (struct cli_listeners){0};
    if (!json_is_array(listeners) || !json_is_array(relayed)) {
        return -1;
    }
    json_array_foreach(listeners, i, item)
    {
        if (out->count < CLI_LISTENERS_MAX && read_listener(&out->list[out->count], item) < 0) {
            return -1;
        }
        out->count += out->count < CLI_LISTENERS_MAX;
    }
    json_array_foreach(relayed, i, item)
    {
        struct cli_relayed *r = &out->relayed[out->relayed_count];
        if (out->relayed_count == CLI_RELAYED_MAX) {
            break;
        }
        if (addr_parse_ip(&r->public, text_of(item, "public")) < 0 ||
            addr_parse_ip(&r->local, text_of(item, "local")) < 0) {
            return -1;
        }
        out->relayed_count++;
    }
    return 0;
}

struct addr cli_listener_near(const struct cli_listeners *all, const struct cli_listener *listener)
{
    struct addr near = listener->addr;
    if (!addr_is_unspecified(&near)) {
        return near;
    }
    for (size_t i = 0; i < all->relayed_count; i++) {
        if (all->relayed[i].local.family == near.family) {
            near = all->relayed[i].local;
            near.port = listener->addr.port;
            return near;
        }
    }
    if (near.family == ADDR_IPV6) {
        near.ip[15] = 1;
        return near;
    }
    return addr_ipv4(127, 0, 0, 1, near.port);
}
