/*
 * Tells the protocols that share one port apart by the first byte. Looks at nothing else, so it
 * costs one comparison chain a datagram. Called by relay/ for every datagram of a client and by the
 * media guard.
 */
#include "wire/demux.h"

enum demux_kind demux(struct slice datagram)
{
    if (datagram.len == 0)
        return DEMUX_EMPTY;
    const uint8_t first = datagram.data[0];
    /* RFC 7983 section 7: "If the value of this byte is in between 0 and 3 (inclusive), then the
     * packet is STUN." */
    if (first <= 3)
        return DEMUX_STUN;
    /* "If the value is between 64 and 79 (inclusive), then the packet is TURN Channel." */
    if (first >= 64 && first <= 79)
        return DEMUX_CHANNEL;
    if (first >= 128 && first <= 191)
        return DEMUX_RTP;
    if (first >= 20 && first <= 63)
        return DEMUX_DTLS;
    if (first >= 16 && first <= 19)
        return DEMUX_ZRTP;
    return DEMUX_OTHER;
}
