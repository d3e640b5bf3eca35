#!/usr/bin/env python3
"""Writes the seed corpus of fuzz_relay: make_relay_corpus.py [--check] SOURCE_ROOT.

An input is a byte of settings and a list of operations, as fuzz_relay.c reads them. The seeds are short stories that together
draw every outcome that the target expects; what libFuzzer found beyond them lies beside them as found_*, and is left alone.
"""
import pathlib
import sys

USUAL, REQUEST, MEDIA, PEER, TIME, RAW, AGAIN, RELOAD, TROUBLE, STORE = range(10)
# USUAL: what (the rest of the byte is a parameter)
CHALLENGE, ALLOCATE, ALLOCATE6, DUAL, PAIR, TOKEN, REFRESH, PERMIT, BIND, BINDING = range(10)
# methods of REQUEST, and kinds of its attributes
M_ALLOCATE, M_REFRESH, M_PERMIT, M_BIND, M_BINDING, M_SEND, M_DATA, M_UNKNOWN = range(8)
A_TRANSPORT, A_LIFETIME, A_PEER, A_CHANNEL, A_EVEN, A_TOKEN, A_FAMILY, A_BOTH, A_DF, A_DATA = range(10)
A_UNKNOWN = 23
KINDS, FREE = 25, 128  # from 128 on an attribute's length and bytes are free
INDICATION = 8
# who signs, and how
GOOD, WRONG_PASSWORD, OTHER_USER, NOBODY = range(4)
MD5, SHA256, LISTED, NONE = (i << 2 for i in range(4))
FINGERPRINT, BEHIND, FLIP, LOST = 16, 32, 64, 128
# peers
RELAYED_A, RELAYED_B, RELAYED_C, RELAYED_D, PRIVATE, SERVER, OURS, LOCAL, IPV6 = range(9)
PEER_1, PEER_2 = 10, 22
ALICE, ALICE_TOO, BOB, ALICE_IPV6 = range(4)


def ops(settings, *operations):
    return bytes([settings]) + b"".join(bytes(o) for o in operations)


def usual(client, what, peer=PEER_1, parameter=0):
    return [USUAL, client, what + 10 * parameter, peer]


def free(kind, *value):
    return [FREE + (kind - FREE) % KINDS, len(value), *value]


def request(client, method, how, *attributes, extra=()):
    count = len(attributes)
    return [REQUEST, client, method | count << 5, how, *[b for a in attributes for b in a], *extra]


def send(client, peer):
    return [MEDIA, client, 1, 3, peer]


def channel_data(client, number):
    return [MEDIA, client, number * 8, 3, PEER_1]


def from_peer(client, peer, data=b"in"):
    return [PEER, client, peer, len(data) * 2, *data]


def icmp(client, peer, kind, code):
    return [PEER, client, peer, 1, kind, code]


def store(client, what, parameter=0):
    return [STORE, client, what + 8 * parameter]


# STORE: what; MODE's parameter, TOKEN_OF's kid, REVOKE's kind
MODE, ANSWER, UNREACHABLE, STORED, TOKEN_OF, REVOKE, FORGET, CLOSE = range(8)
PROMPT, HELD, FULL = range(3)


def stories():
    call = [usual(ALICE, ALLOCATE), usual(ALICE, PERMIT), send(ALICE, PEER_1), from_peer(ALICE, PEER_1)]
    yield "call", ops(0, *call, usual(ALICE, REFRESH, parameter=20), usual(ALICE, REFRESH, parameter=15))
    yield "call_sha256", ops(16, *call)
    yield "channel", ops(0, usual(ALICE, ALLOCATE), usual(ALICE, BIND), channel_data(ALICE, 0), from_peer(ALICE, PEER_1),
                         usual(ALICE, BIND, PEER_2), channel_data(ALICE, 5), [TIME, 255], channel_data(ALICE, 0))
    yield "denials", ops(0, usual(ALICE, ALLOCATE), send(ALICE, PEER_1), from_peer(ALICE, PEER_1), usual(ALICE, PERMIT, PRIVATE),
                         usual(ALICE, PERMIT, SERVER), usual(ALICE, PERMIT, IPV6), usual(ALICE, PERMIT),
                         [RELOAD, 1], send(ALICE, PEER_1), from_peer(ALICE, PEER_1))
    yield "hairpin", ops(2, usual(ALICE, ALLOCATE), usual(BOB, ALLOCATE), usual(ALICE, PERMIT, RELAYED_C),
                         usual(BOB, PERMIT, RELAYED_A), send(ALICE, RELAYED_C), send(BOB, RELAYED_A), send(ALICE, OURS),
                         usual(BOB, REFRESH, parameter=15), send(ALICE, RELAYED_C))
    yield "nat", ops(8 + 1, usual(ALICE, ALLOCATE), usual(BOB, ALLOCATE), usual(ALICE, BIND, LOCAL + 24),
                     usual(BOB, BIND, RELAYED_A), channel_data(ALICE, 0), send(BOB, RELAYED_A))
    yield "dual", ops(0, usual(ALICE, DUAL), usual(ALICE, PERMIT, IPV6), usual(ALICE, PERMIT), send(ALICE, IPV6),
                      from_peer(ALICE, PEER_1), request(ALICE, M_REFRESH, GOOD, [A_LIFETIME, 0], [A_FAMILY, 2]),
                      send(ALICE, IPV6), usual(ALICE, PERMIT, IPV6))
    yield "ipv6", ops(0, usual(ALICE_IPV6, ALLOCATE6), usual(ALICE_IPV6, BIND, IPV6), from_peer(ALICE_IPV6, IPV6),
                      channel_data(ALICE_IPV6, 0), [RELOAD, 4], usual(BOB, ALLOCATE6))
    yield "pair", ops(0, usual(ALICE, PAIR), usual(ALICE_TOO, TOKEN), usual(BOB, TOKEN), usual(ALICE_TOO, REFRESH, parameter=15),
                      usual(ALICE_TOO, TOKEN), [TIME, 40])
    yield "pair_workers", ops(1, usual(ALICE, PAIR), usual(ALICE_TOO, TOKEN), usual(ALICE_TOO, PERMIT), send(ALICE_TOO, PEER_1))
    yield "pair_late", ops(1, usual(ALICE, PAIR), usual(ALICE_TOO, CHALLENGE), [TROUBLE, 3], [AGAIN, ALICE_TOO],
                           [AGAIN, ALICE_TOO], [TROUBLE, 4 + 8], [TIME, 60], [TROUBLE, 3], [TIME, 1])
    yield "pair_full", ops(4, usual(ALICE, PAIR), usual(ALICE_TOO, CHALLENGE), usual(ALICE_IPV6, CHALLENGE), [TROUBLE, 3],
                           [AGAIN, ALICE_TOO], [AGAIN, ALICE_IPV6], [TROUBLE, 3], [TIME, 60])
    yield "pair_unadopted", ops(1, usual(ALICE, PAIR), [TROUBLE, 1], usual(ALICE_TOO, TOKEN))
    yield "errors", ops(
        0, usual(ALICE, REFRESH, parameter=2), usual(ALICE, ALLOCATE), usual(ALICE, ALLOCATE),
        request(ALICE, M_REFRESH, OTHER_USER), request(ALICE, M_REFRESH, NOBODY), request(ALICE, M_REFRESH, WRONG_PASSWORD),
        request(ALICE, M_REFRESH, GOOD, [A_UNKNOWN, 0]), request(ALICE, M_REFRESH, GOOD, free(A_FAMILY, 0, 0, 0)),
        request(ALICE, M_PERMIT, GOOD), request(ALICE, M_BIND, GOOD, free(A_CHANNEL, 0x50, 0, 0, 0), [A_PEER, PEER_1]),
        request(ALICE, M_REFRESH, GOOD | NONE), request(BOB, M_BINDING, GOOD | NONE | FINGERPRINT))
    yield "errors_allocate", ops(
        0, usual(ALICE, CHALLENGE), request(ALICE, M_ALLOCATE, GOOD, [A_TRANSPORT, 6]),
        request(ALICE, M_ALLOCATE, GOOD, [A_TRANSPORT, 17], [A_FAMILY, 1], [A_BOTH, 2]),
        request(ALICE, M_ALLOCATE, GOOD, [A_TRANSPORT, 17], [A_FAMILY, 9]), usual(ALICE, TOKEN),
        [TROUBLE, 64], usual(ALICE, ALLOCATE), [TROUBLE, 0], usual(ALICE, ALLOCATE))
    yield "behind", ops(0, usual(ALICE, ALLOCATE), request(ALICE, M_REFRESH, GOOD | BEHIND | FINGERPRINT, extra=[A_LIFETIME, 0]),
                        request(ALICE, M_REFRESH, GOOD | FINGERPRINT | FLIP, extra=[0, 255]))
    yield "nonces", ops(0, usual(ALICE, ALLOCATE), [TIME, 206], usual(ALICE, REFRESH, parameter=2), usual(ALICE_TOO, CHALLENGE),
                        [TROUBLE, 7 + 8], usual(ALICE_TOO, ALLOCATE))
    yield "budget", ops(0, [RELOAD, 128], *[usual(BOB, CHALLENGE) for _ in range(8)], *[usual(BOB, BINDING) for _ in range(8)])
    yield "caps", ops(0, [RELOAD, 8 + 16], usual(ALICE, ALLOCATE), usual(ALICE_TOO, ALLOCATE), usual(ALICE_IPV6, ALLOCATE),
                      *[usual(ALICE, PERMIT, PEER_1 + 12 * i) for i in range(4)],
                      *[usual(ALICE_TOO, BIND, PEER_1 + 96 * i, i) for i in range(3)], [TIME, 250],
                      usual(ALICE_TOO, PERMIT, PEER_1))
    yield "ports", ops(0, [RELOAD, 2], usual(ALICE, PAIR), usual(BOB, PAIR), usual(ALICE_TOO, ALLOCATE), [TROUBLE, 6 + 16],
                       usual(ALICE_IPV6, ALLOCATE), [TIME, 40], usual(ALICE_IPV6, ALLOCATE))
    yield "noise", ops(0, [RAW, 0, 0], [RAW, 0, 3, 0, 1, 0], [RAW, 0, 4, 22, 254, 253, 0], [RAW, 0, 4, 0x40, 0, 0, 9],
                       [RAW, 1, 20, 0, 3, *bytes(18)], [RAW, 1, 20, 0, 1, *bytes(18)],
                       request(ALICE, M_UNKNOWN, GOOD | NONE), request(ALICE, M_DATA | INDICATION, GOOD | NONE),
                       request(ALICE, M_SEND | INDICATION, GOOD | NONE, [A_DATA, 1]), channel_data(ALICE, 1))
    yield "sends", ops(0, *call[:2], request(ALICE, M_SEND | INDICATION, GOOD | NONE, [A_PEER, PEER_1]),
                       request(ALICE, M_SEND | INDICATION, GOOD | NONE, [A_PEER, PEER_1], [A_DF], [A_DATA, 1]))
    yield "icmp", ops(0, *call[:2], icmp(ALICE, PEER_1, 3, 4), icmp(ALICE, PEER_1, 8, 0), icmp(ALICE, PEER_2 + 12, 3, 3))
    yield "loop", ops(0, usual(ALICE, ALLOCATE), [TROUBLE, 7 + 64], usual(ALICE_TOO, BINDING), usual(ALICE_TOO, CHALLENGE))
    stored = [store(ALICE, STORED), usual(ALICE, CHALLENGE)]
    yield "stored", ops(0, *stored, usual(ALICE, ALLOCATE), usual(ALICE, REFRESH, parameter=2), usual(ALICE, PERMIT),
                        send(ALICE, PEER_1), store(ALICE, FORGET, 1), [TIME, 61], store(ALICE_TOO, STORED),
                        usual(ALICE_TOO, ALLOCATE))
    yield "stored_late", ops(0, *stored, store(ALICE, MODE, HELD), *[usual(ALICE, ALLOCATE) for _ in range(9)], [AGAIN, ALICE],
                             [AGAIN, ALICE], [TIME, 3], store(ALICE, ANSWER), usual(ALICE, ALLOCATE))
    yield "stored_gone", ops(0, *stored, store(ALICE, MODE, HELD), usual(ALICE, ALLOCATE), usual(ALICE, ALLOCATE),
                             store(ALICE, CLOSE), store(ALICE, ANSWER), usual(ALICE, ALLOCATE))
    yield "stored_refused", ops(0, *stored, store(ALICE, MODE, FULL), usual(ALICE, ALLOCATE), store(ALICE, MODE, PROMPT),
                                store(ALICE, UNREACHABLE), usual(ALICE, ALLOCATE))
    yield "stored_pair", ops(1, *stored, usual(ALICE, PAIR), store(ALICE_TOO, STORED), usual(ALICE_TOO, CHALLENGE),
                             store(ALICE, MODE, HELD), [TROUBLE, 3], [AGAIN, ALICE_TOO], store(ALICE, ANSWER), [AGAIN, ALICE_TOO],
                             [TROUBLE, 4 + 8], [RELOAD, 0], [TROUBLE, 3], [TIME, 1], store(ALICE, ANSWER),
                             usual(ALICE_TOO, PERMIT))
    yield "guest", ops(0, store(ALICE, STORED, 16), usual(ALICE, ALLOCATE), store(ALICE, STORED, 24), usual(ALICE, ALLOCATE),
                       usual(ALICE, PERMIT), send(ALICE, PEER_1), store(BOB, STORED, 8), usual(BOB, ALLOCATE))
    yield "tokens", ops(0, store(ALICE, TOKEN_OF, 6), usual(ALICE, ALLOCATE), usual(ALICE, PERMIT), send(ALICE, PEER_1),
                        usual(ALICE, REFRESH, parameter=12), store(BOB, TOKEN_OF, 7), usual(BOB, ALLOCATE),
                        store(ALICE_TOO, TOKEN_OF, 2), usual(ALICE_TOO, ALLOCATE), [TIME, 30], store(BOB, REVOKE, 2),
                        usual(BOB, REFRESH, parameter=3), [TIME, 190], usual(ALICE, ALLOCATE))
    yield "revoked", ops(0, *call, usual(ALICE_TOO, PAIR), store(ALICE, REVOKE), send(ALICE, PEER_1), usual(ALICE, ALLOCATE),
                         store(ALICE, REVOKE, 8), usual(ALICE, ALLOCATE))
    yield "guesses", ops(0, usual(ALICE, CHALLENGE), *[request(ALICE, M_ALLOCATE, WRONG_PASSWORD) for _ in range(12)],
                         usual(ALICE, ALLOCATE), [TIME, 70], usual(ALICE, ALLOCATE))
    yield "closed", ops(0, usual(ALICE, PAIR), usual(ALICE, PERMIT), [TROUBLE, 5], send(ALICE, PEER_1),
                        usual(ALICE, REFRESH, parameter=15), [TROUBLE, 5], [TIME, 1])
    yield "random", ops(0, usual(ALICE, CHALLENGE), [TROUBLE, 2], usual(ALICE, ALLOCATE), usual(BOB, CHALLENGE), [TROUBLE, 2],
                        usual(ALICE, ALLOCATE))
    yield "reload", ops(2, *call, [RELOAD, 32], *call[1:], usual(BOB, ALLOCATE), [RELOAD, 64], usual(BOB, BIND),
                        channel_data(BOB, 0), usual(ALICE_TOO, ALLOCATE))


def main():
    check = "--check" in sys.argv
    folder = pathlib.Path(sys.argv[-1]) / "tests/fuzz/corpus/relay"
    differ = 0
    for name, data in stories():
        path = folder / name
        if check:
            differ += not path.is_file() or path.read_bytes() != data
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    if differ:
        print(f"{differ} files differ from what make_relay_corpus.py writes")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
