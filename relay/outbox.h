/*
 * What is to be sent, in the order it was decided. relay/ appends, net/ sends at `outbox_flush`: at
 * the end of a loop turn, and by itself when it is full. Payloads are borrowed slices, valid until
 * the flush; headers of four bytes lie in the entry by value, longer ones and replies in the
 * outbox's arena. Nothing is ever written in front of a payload: under receive offload those bytes
 * belong to the datagram before. Nothing waits: what the network does not take is dropped and
 * counted.
 */
#ifndef RELAY_OUTBOX_H
#define RELAY_OUTBOX_H

#include "relay/packet.h"

#define OUTBOX_ENTRIES 128
#define OUTBOX_ARENA   65536 /* bytes */

enum outbox_target { OUTBOX_TO_CLIENT, OUTBOX_TO_PEER };

struct outbox_entry {
    uint8_t target;     /* enum outbox_target */
    bool media;         /* relayed or dropped when sent; else a reply or an ICMP report */
    uint8_t tos;        /* DSCP and ECN to send with */
    bool dont_fragment; /* to a peer: with DF (IPv4), or not fragmented here (IPv6) */
    uint8_t header_len; /* bytes used of `header`; 0 when `head` is used */
    uint8_t padding;    /* zero bytes behind the body, 0–3 */
    uint8_t header[4];  /* ChannelData header */
    struct slice
        head; /* in the arena: a Data indication's header, or a whole reply; may be empty */
    struct slice body; /* borrowed; may be empty */
    uint64_t socket;   /* OUTBOX_TO_PEER: relay socket */
    struct addr peer; /* OUTBOX_TO_PEER: destination as it is sent to (after 1:1 NAT translation) */
    struct flow flow; /* OUTBOX_TO_CLIENT */
};

struct outbox {
    struct outbox_entry entries[OUTBOX_ENTRIES];
    unsigned count;
    size_t arena_used;
    void (*send)(
        void *ctx, struct outbox *outbox); /* sends entries[0..count); counts what it did */
    void *ctx;
    _Alignas(8) uint8_t arena[OUTBOX_ARENA];
};

void outbox_init(struct outbox *o, void (*send)(void *ctx, struct outbox *outbox), void *ctx);
/* Sends everything and empties the outbox. */
void outbox_flush(struct outbox *o);
/*
 * Room for `len` ≤ 8192 bytes in the arena, valid until the flush after the next append; flushes
 * first when there is none. Call it before outbox_append of the entry that uses it, with no other
 * append between.
 */
uint8_t *outbox_reserve(struct outbox *o, size_t len);
/* Gives back what outbox_reserve gave beyond `used` bytes. */
void outbox_trim(struct outbox *o, uint8_t *reserved, size_t used);
/* The next entry, only target/media/tos/… set to zero, to be filled in at once. There is always
 * room for one after outbox_reserve; else it flushes first (borrowed slices of earlier entries are
 * sent by then). */
struct outbox_entry *outbox_append(struct outbox *o);

#endif
