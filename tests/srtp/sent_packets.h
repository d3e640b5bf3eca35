/*
 * What was sent, to the last byte, and how often it arrived: what tells "forwarded as it came" from
 * "altered" and from "dropped". A packet that is sent again is one entry with two copies.
 */
#ifndef TESTS_SRTP_SENT_PACKETS_H
#define TESTS_SRTP_SENT_PACKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACKET_MAX 1500

struct sent_packet {
    uint8_t *bytes;
    uint16_t len;
    uint8_t direction;
    uint8_t first_label, later_label; /* of the first copy, and of those after it */
    bool rtcp;
    uint32_t copies, arrived;
};

struct sent_packets;

/* Ends the program where memory is out, as everything here. */
struct sent_packets *sent_packets_new(void);
void sent_packets_free(struct sent_packets *s);

/* Notes one copy more, as `label`. Borrowed until the table is freed; bytes stay where they are. */
struct sent_packet *sent_packets_add(struct sent_packets *s, const struct sent_packet *packet);
/* The entry that has these bytes and direction, or NULL: nothing like it was sent. */
struct sent_packet *sent_packets_find(
    struct sent_packets *s, uint8_t direction, const uint8_t *bytes, size_t len);
/* Number n, in the order of sending, or NULL behind the last. */
struct sent_packet *sent_packets_at(struct sent_packets *s, size_t n);

#endif
