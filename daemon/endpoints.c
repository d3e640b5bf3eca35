/*
 * Binding listeners, at start and when a reload adds some.
 *
 * Always: all workers' sockets of an endpoint are bound before any of them is polled; an endpoint
 * never leaves its place. Called by control.
 */
#include "daemon/endpoints.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/open_error.h"

/* flow.listener is 16 bits. */
#define ENDPOINTS_MAX 4096

/* The endpoints that one entry of the configuration means. Returns how many: 1 or 2. */
static unsigned endpoints_expand(const struct addr *addr, struct addr out[2])
{
    out[0] = *addr;
    if (addr->family != ADDR_IPV6 || !addr_is_unspecified(addr)) {
        return 1;
    }
    out[1] = *addr;
    out[0] = addr_ipv4(0, 0, 0, 0, addr->port);
    return 2;
}

/* The place of the endpoint, or `count`. */
static size_t endpoints_find(
    const struct endpoints *e, const struct addr *addr, enum transport transport)
{
    size_t i = 0;
    while (i < e->count && (!addr_equal(&e->list[i].addr, addr) ||
                               (e->list[i].stream != NULL) != transport_is_stream(transport))) {
        i++;
    }
    return i;
}

static int endpoints_add_stream(struct endpoints *e, struct endpoint *added)
{
    int fds[ACTIVATION_MAX];
    const size_t most = e->workers < ACTIVATION_MAX ? e->workers : ACTIVATION_MAX;
    const size_t n = e->given ? activation_take_tcp(e->given, &added->addr, fds, most) : 0;
    if (n == 0) {
        return stream_endpoint_open(&added->stream, &added->addr, e->workers);
    }
    int r = stream_endpoint_adopt(&added->stream, &added->addr, e->workers, fds, (unsigned)n);
    for (size_t i = 0; r < 0 && i < n; i++) {
        close(fds[i]);
    }
    added->given = r == 0;
    return r;
}

static int endpoints_add(
    struct endpoints *e, const struct addr *addr, enum transport transport, uint32_t receive_buffer)
{
    if (e->count == ENDPOINTS_MAX) {
        return -ENOSPC;
    }
    struct endpoint *list = realloc(e->list, (e->count + 1) * sizeof(*list));
    if (!list) {
        return -ENOMEM;
    }
    e->list = list;
    struct endpoint added = {.addr = *addr};
    int r = transport_is_stream(transport)
                ? endpoints_add_stream(e, &added)
                : udp_endpoint_open(&added.udp, addr, e->workers, receive_buffer);
    if (r == 0) {
        e->list[e->count++] = added;
    }
    return r;
}

/* True where "::" was asked for and this host has no IPv6 at all: the IPv4 half stands alone. */
static bool endpoints_may_miss(const struct addr *addr, int error)
{
    return addr->family == ADDR_IPV6 && addr_is_unspecified(addr) &&
           (error == -EAFNOSUPPORT || error == -EADDRNOTAVAIL);
}

/* One address of an entry. 0, or -errno: it must be had and cannot. */
static int endpoints_want(struct endpoints *e, const struct addr *addr,
    const struct listener_settings *s, uint32_t receive_buffer)
{
    if (endpoints_find(e, addr, s->transport) < e->count) {
        return 0;
    }
    int r = endpoints_add(e, addr, s->transport, receive_buffer);
    if (r == 0 || endpoints_may_miss(addr, r)) {
        return 0;
    }
    if (s->optional) {
        log_event(LOG_WARN, "not_listening", log_str("proto", transport_name(s->transport)),
            log_addr("addr", addr), log_str("error", open_error_of_port(-r)));
        return 0;
    }
    return r;
}

int endpoints_open(struct endpoints *e, const struct net_settings *settings, size_t *added,
    char *error, size_t error_cap)
{
    size_t before = e->count;
    for (size_t i = 0; i < settings->listener_count; i++) {
        const struct listener_settings *s = &settings->listeners[i];
        struct addr addrs[2];
        unsigned n = endpoints_expand(&s->addr, addrs);
        for (unsigned k = 0; k < n; k++) {
            int r = endpoints_want(e, &addrs[k], s, settings->receive_buffer);
            if (r < 0) {
                char text[ADDR_TEXT_MAX];
                snprintf(error, error_cap, "%s %s: %s", transport_name(s->transport),
                    addr_format(&addrs[k], text, sizeof(text)), open_error_of_port(-r));
                endpoints_take_back(e, e->count - before);
                return r;
            }
        }
    }
    *added = e->count - before;
    return 0;
}

void endpoints_take_back(struct endpoints *e, size_t count)
{
    while (count-- > 0) {
        struct endpoint *last = &e->list[--e->count];
        udp_endpoint_close(last->udp);
        stream_endpoint_close(last->stream);
        free(last->role.settings.proxy_from);
    }
}

/* A role of its own lists. 0 or -ENOMEM. */
static int role_copy(struct endpoint_role *out, const struct listener_settings *s, bool configured)
{
    size_t size = s->proxy_from_count * sizeof(*s->proxy_from);
    struct prefix *proxies = NULL;
    if (size > 0 && !(proxies = malloc(size))) {
        return -ENOMEM;
    }
    if (size > 0) {
        memcpy(proxies, s->proxy_from, size);
    }
    free(out->settings.proxy_from);
    *out = (struct endpoint_role){*s, configured};
    out->settings.proxy_from = proxies;
    return 0;
}

static int plan_entry(
    struct endpoint_plan *plan, const struct endpoints *e, const struct listener_settings *s)
{
    struct addr addrs[2];
    unsigned n = endpoints_expand(&s->addr, addrs);
    for (unsigned k = 0; k < n; k++) {
        size_t i = endpoints_find(e, &addrs[k], s->transport);
        if (i == e->count) {
            continue;
        }
        plan->others -= !plan->roles[i].configured;
        if (role_copy(&plan->roles[i], s, true) < 0) {
            return -ENOMEM;
        }
    }
    return 0;
}

int endpoints_plan(
    struct endpoint_plan *out, const struct endpoints *e, const struct net_settings *settings)
{
    struct endpoint_plan plan = {.endpoints = e, .count = e->count, .others = e->count};
    plan.roles = calloc(e->count + 1, sizeof(*plan.roles));
    int r = plan.roles ? 0 : -ENOMEM;
    for (size_t i = 0; i < e->count && r == 0; i++) {
        r = role_copy(&plan.roles[i], &e->list[i].role.settings, false);
    }
    for (size_t i = 0; i < settings->listener_count && r == 0; i++) {
        r = plan_entry(&plan, e, &settings->listeners[i]);
    }
    if (r < 0) {
        endpoints_plan_deinit(&plan);
        return r;
    }
    *out = plan;
    return 0;
}

void endpoints_adopt(struct endpoints *e, struct endpoint_plan *plan)
{
    for (size_t i = 0; i < e->count; i++) {
        struct endpoint_role old = e->list[i].role;
        e->list[i].role = plan->roles[i];
        plan->roles[i] = old;
    }
    endpoints_plan_deinit(plan);
}

void endpoints_plan_deinit(struct endpoint_plan *plan)
{
    for (size_t i = 0; plan->roles && i < plan->count; i++) {
        free(plan->roles[i].settings.proxy_from);
    }
    free(plan->roles);
    *plan = (struct endpoint_plan){0};
}

void endpoints_log(const struct endpoints *e, size_t first)
{
    for (size_t i = first; i < e->count; i++) {
        const struct endpoint *p = &e->list[i];
        log_event(LOG_INFO, "listening",
            log_str("proto", transport_name(p->role.settings.transport)),
            log_addr("addr", &p->addr), log_bool("given", p->given));
    }
}

void endpoints_close(struct endpoints *e)
{
    endpoints_take_back(e, e->count);
    free(e->list);
    e->list = NULL;
}
