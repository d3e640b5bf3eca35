/*
 * What doctor knows of the machine: interfaces, and what the kernel says under /proc. Called by
 * doctor.c.
 */
#include <ifaddrs.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/timex.h>

#include "cli/client.h"
#include "cli/doctor.h"

#define CAP_NET_ADMIN_BIT 12 /* of linux/capability.h */

/* The first line of a file; false: there is none. */
static bool read_line(const char *path, char *out, int cap)
{
    FILE *f = fopen(path, "r");
    const bool ok = f && fgets(out, cap, f);
    if (f) {
        fclose(f);
    }
    return ok;
}

static void read_addresses(struct doctor_host *h)
{
    struct ifaddrs *list;
    if (getifaddrs(&list) < 0) {
        return;
    }
    for (const struct ifaddrs *i = list; i; i = i->ifa_next) {
        struct addr *a = &h->addresses[h->address_count];
        if (h->address_count < DOCTOR_ADDRESSES_MAX && i->ifa_addr &&
            addr_from_sockaddr(a, i->ifa_addr) == 0) {
            a->port = 0;
            h->address_count++;
        }
    }
    freeifaddrs(list);
}

/* "8080,49152-65535": whether one of the ranges holds both ends. */
static bool list_holds(const char *list, const uint16_t ports[2])
{
    unsigned first, last;
    int used;
    for (; sscanf(list, "%u%n", &first, &used) == 1; list += *list == ',') {
        list += used;
        last = first;
        if (sscanf(list, "-%u%n", &last, &used) == 1) {
            list += used;
        }
        if (first <= ports[0] && last >= ports[1]) {
            return true;
        }
    }
    return false;
}

static void read_ports(struct doctor_host *h, const uint16_t relayed[2])
{
    char line[1024];
    uint16_t first, last;
    if (read_line("/proc/sys/net/ipv4/ip_local_port_range", line, sizeof(line)) &&
        sscanf(line, "%" SCNu16 " %" SCNu16, &first, &last) == 2) {
        h->local_port_min = first;
        h->local_port_max = last;
    }
    h->ports_reserved =
        read_line("/proc/sys/net/ipv4/ip_local_reserved_ports", line, sizeof(line)) &&
        list_holds(line, relayed);
}

/* What stands behind `key` in a file of the process. False: it is not there. */
static bool read_value(pid_t pid, const char *file, const char *key, char *out, size_t cap)
{
    char path[64], line[256];
    bool found = false;
    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
    FILE *f = fopen(path, "r");
    while (f && !found && fgets(line, sizeof(line), f)) {
        if (strncmp(line, key, strlen(key)) == 0) {
            snprintf(out, cap, "%s", line + strlen(key));
            found = true;
        }
    }
    if (f) {
        fclose(f);
    }
    return found;
}

/* The daemon's limits; a machine's own without it. It raises the soft one to the hard one. */
static void read_limits(struct doctor_host *h, const char *socket)
{
    struct rlimit files;
    char path[64], text[256];
    uint64_t most, capabilities;
    const pid_t pid = client_daemon(socket);
    snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
    const bool ours = pid > 0 && read_line(path, text, sizeof(text)) &&
                      strncmp(text, "turnpike", strlen("turnpike")) == 0;
    if (ours && read_value(pid, "limits", "Max open files", text, sizeof(text)) &&
        sscanf(text, "%*u %" SCNu64, &most) == 1) {
        h->files = most;
    } else if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        h->files = files.rlim_max;
    }
    h->receive_forced = ours && read_value(pid, "status", "CapEff:", text, sizeof(text)) &&
                        sscanf(text, "%" SCNx64, &capabilities) == 1 &&
                        (capabilities >> CAP_NET_ADMIN_BIT & 1);
}

static void read_clock(struct doctor_host *h)
{
    struct timex t = {.modes = 0};
    h->clock_unsynchronised = adjtimex(&t) == TIME_ERROR;
}

void doctor_read_host(struct doctor_host *h, const char *socket, const uint16_t relayed[2])
{
    char line[64];
    uint32_t most;
    *h = (struct doctor_host){0};
    read_addresses(h);
    read_ports(h, relayed);
    if (read_line("/proc/sys/net/core/rmem_max", line, sizeof(line)) &&
        sscanf(line, "%" SCNu32, &most) == 1) {
        h->receive_max = most;
    }
    read_limits(h, socket);
    read_clock(h);
}
