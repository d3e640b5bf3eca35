/*
 * Samples of the time between receiving and sending.
 *
 * Always: the kernel notes the time of datagrams while an idle socket of ours wants it to, and says
 * it in those calls only for which the option is set on the receiving socket; a datagram that came
 * while it did not note has no time, and is not followed. SO_TIMESTAMPNS would not do: a socket
 * that had it once keeps the kernel noting until it is closed, and is told the time of the call
 * where none was noted. Nothing is allocated and no lock of ours is taken on the way of a datagram.
 * Called by udp_listener, relay_socket, udp_out and the worker's tick.
 */
#include "net/delay.h"

#include <linux/net_tstamp.h>
#include <netinet/in.h>
#include <unistd.h>

#include "net/cmsg.h"

static bool delay_option(int fd, int flags)
{
    return setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &flags, sizeof(flags)) == 0;
}

void delay_init(struct delay *d)
{
    *d = (struct delay){.keeper = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
}

void delay_deinit(struct delay *d)
{
    if (d->keeper >= 0) {
        close(d->keeper);
    }
    d->keeper = -1;
}

void delay_tick(struct delay *d, const struct instant *now)
{
    const bool note = now->mono_us % DELAY_PERIOD_US < DELAY_PART_US;
    if (d->keeper >= 0 && note != d->noting &&
        delay_option(d->keeper, note ? SOF_TIMESTAMPING_RX_SOFTWARE : 0)) {
        d->noting = note;
    }
}

bool delay_begin(struct delay *d, int fd, const struct instant *now)
{
    if (!d->noting || d->entry != 0 || now->mono_us < d->due_us ||
        !delay_option(fd, SOF_TIMESTAMPING_SOFTWARE)) {
        return false;
    }
    d->due_us = now->mono_us + DELAY_INTERVAL_US;
    return true;
}

void delay_end(int fd)
{
    (void)delay_option(fd, 0);
}

void delay_follow(struct delay *d, const struct outbox *o, unsigned before, const struct msghdr *m)
{
    /* As many entries as before: dropped, or the outbox was sent in between, which is not followed.
     */
    if (d->entry != 0 || o->count == before || o->count == 0 || !o->entries[o->count - 1].media) {
        return;
    }
    if (cmsg_received_us(m, &d->received_us)) {
        d->entry = o->count;
    }
}

void delay_handed(struct delay *d, struct counters *c, unsigned from, unsigned to)
{
    if (d->entry > from && d->entry <= to) {
        counters_observe(c, HISTOGRAM_RELAY_DELAY, clock_wall_us() - d->received_us);
        d->entry = 0;
    }
}

void delay_forget(struct delay *d)
{
    d->entry = 0;
}
