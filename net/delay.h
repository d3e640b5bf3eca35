/*
 * How long media lies here: turnpike_relay_delay_seconds, from the kernel's receipt of a datagram
 * to the system call that hands it back for sending. A sample, not every datagram: for the kernel
 * to note when each came, and to say so, costs 4 % of a small packet's time. So it notes for about
 * a tenth of every second, and meanwhile a worker asks for it in one receive call a millisecond. Of
 * what that call takes the first datagram that is relayed is followed. It is the one that waited
 * longest, so a batch looks as slow as its slowest; a datagram that comes alone is more likely to
 * be followed than one of a burst. One thread.
 */
#ifndef NET_DELAY_H
#define NET_DELAY_H

#include "base/clock.h"
#include "base/counters.h"
#include "relay/outbox.h"

#include <sys/socket.h>

/* All workers and processes of a host note in the same part of a second: the kernel's switch is one
 * for the host. The part holds at least one tick of a worker. */
#define DELAY_PERIOD_US   US_PER_S
#define DELAY_PART_US     (120 * US_PER_MS)
#define DELAY_INTERVAL_US US_PER_MS

struct delay {
    int keeper;          /* a socket that receives nothing; -1: none, and nothing is observed */
    bool noting;         /* it makes the kernel note the time of every datagram */
    uint64_t due_us;     /* monotonic: the next receive call that is asked */
    unsigned entry;      /* of the outbox, counted from 1: followed until it is sent; 0: none */
    int64_t received_us; /* its datagram's receipt by the wall clock */
};

void delay_init(struct delay *d);
void delay_deinit(struct delay *d);

/* Every 100 ms or so: begins and ends noting. */
void delay_tick(struct delay *d, const struct instant *now);

/* Before a receive call on `fd`. True: the kernel will say when each datagram came; delay_end must
 * follow the call. `now` may be as old as the last loop turn. */
bool delay_begin(struct delay *d, int fd, const struct instant *now);
void delay_end(int fd);
/* After relay/ has judged a datagram that came by such a call: follows what it appended to the
 * outbox, which had `before` entries, if that is media and nothing is followed yet. */
void delay_follow(struct delay *d, const struct outbox *o, unsigned before, const struct msghdr *m);

/* Entries [from, to) of the outbox are about to be handed to the kernel: any transport. */
void delay_handed(struct delay *d, struct counters *c, unsigned from, unsigned to);
/* The outbox has been sent: its entries get new meanings. */
void delay_forget(struct delay *d);

#endif
