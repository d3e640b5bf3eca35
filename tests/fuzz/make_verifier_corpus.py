#!/usr/bin/env python3
"""Writes the seed corpus of fuzz_verifier: make_verifier_corpus.py [--check] SOURCE_ROOT.

An input is a byte for the keys, then steps of four bytes: a packet of the sender's stock (SRTP 0 or SRTCP 1; SSRC and
number; which byte; what to XOR it with), or 0x80 and a length with a packet of any bytes behind it. With --check nothing is
written: it fails where a file differs.
"""
import struct
import sys

import corpus_folder

SUITES = ("aes128_80", "aes128_32", "aes256_80", "aes256_32", "gcm128", "gcm256")
SSRCS = 5
TELL, TOLD = 0x80, 0x40


def stock(ssrc, number, rtcp=0, at=0, change=0):
    return bytes([rtcp, number * SSRCS + ssrc, at, change])


def raw(packet, rtcp=0, shift=0):
    return bytes([0x80 | rtcp | shift << 1, len(packet), 0, 0]) + packet


def rtp(ssrc, number=1, first=0x80, behind=bytes(20)):
    return struct.pack(">BBHII", first, 96, number, 0, ssrc) + behind


def rtcp(ssrc, behind=bytes(30)):
    return struct.pack(">BBHI", 0x80, 200, 1, ssrc) + behind


def call():
    """A wrap, duplicates, forgeries under new and seen indices, what comes too late, and one SSRC too many."""
    yield from (stock(s, n) for n in range(13) for s in range(SSRCS))
    yield from (stock(s, n, rtcp=1) for n in range(8) for s in range(SSRCS))
    yield from (stock(0, n) for n in range(5))
    yield from (stock(0, n, at=12 + n, change=1) for n in range(13))
    yield from (stock(1, n, rtcp=1, at=8 + n, change=4) for n in range(8))
    yield from (stock(0, n) for n in (15, 14, 13, 3))
    yield from (raw(rtp(s, behind=bytes(n)), shift=n % 4) for s in (0, 77) for n in range(30))
    yield from (raw(rtcp(s, bytes(n)), rtcp=1, shift=n % 4) for s in (0, 77) for n in range(34))
    yield raw(rtp(0, first=0x9F, behind=bytes(60)) + struct.pack(">HH", 0xBEDE, 0xFFFF))
    yield raw(b"") + raw(b"\x80") + raw(b"", rtcp=1)


def files():
    for mki in (0, 1):
        for number, suite in enumerate(SUITES):
            # The byte modulo 12 says suite and MKI; its upper bits say how.
            for how, flags in (("told", TOLD), ("tell", TELL), ("plain", 0)):
                head = next(b for b in range(256) if b & 0xC0 == flags and b % 12 == number + 6 * mki)
                yield f"{suite}_{how}" + "_mki" * mki, bytes([head]) + b"".join(call())
        # A forger is there before the sender.
        first = b"".join(stock(s, n % 16, at=20, change=1) for n in range(160) for s in range(2))
        yield f"before{'_mki' * mki}", bytes([6 * mki]) + first + b"".join(call())
    # One SSRC after the other that nobody has the key of.
    yield "searches", bytes([0]) + b"".join(raw(rtp(1000 + s, n)) for n in range(3) for s in range(12))


if __name__ == "__main__":
    sys.exit(corpus_folder.main("verifier", files()))
