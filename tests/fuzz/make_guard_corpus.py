#!/usr/bin/env python3
"""Writes the seed corpus of fuzz_guard: make_guard_corpus.py [--check] SOURCE_ROOT.

An input is steps of eight bytes, as fuzz_guard.c says; one of them has a packet behind it. With --check nothing is written:
it fails where a file differs.
"""
import sys

import corpus_folder

SUITES = ("aes128_80", "aes128_32", "aes256_80", "aes256_32", "gcm128", "gcm256")
CLASSIFY, VERIFY, REQUIRED = 2, 3, 4
ALLOCATION, SSRC, MKI, ROC = 2, 4, 8, 16
TWICE = 64


def how(level, direction=0):
    """The level modulo 5, the direction in bit 5."""
    return next(b for b in range(64) if b % 5 == level and b >> 5 == direction)


def deposit(suite, seed, bits=ALLOCATION, ssrc=0, roc=0, end=100, who=0):
    return bytes([0, bits, seed, suite, ssrc, roc, end & 0xFF, who])


def send(ssrc, number, level=REQUIRED, twice=0, change=0, who=0, rtcp=0):
    return bytes([1 + rtcp, how(level), ssrc, number >> 8, number & 0xFF, 20 + twice, change, who])


def other(packet=b"", level=CLASSIFY, seconds=0, count=0, grace=30):
    return bytes([3, how(level), len(packet), 0, 10, seconds, 0, count | grace << 1]) + packet


def call(suite, bits=ALLOCATION):
    """A call, duplicates, forgeries, what comes too late, one SSRC too many, a new key, its end."""
    yield deposit(suite, 5, bits) + deposit(suite, 6, bits | 1, who=1)
    for number in (*range(100, 110), 300, 120, 65000, 65535, 0, 1):
        yield send(1, number, twice=TWICE) + send(1, number + 1 & 0xFFFF, rtcp=1, twice=TWICE)
        yield send(2, number) + send(1, number + 400 & 0xFFFF, change=3)
    yield from (send(ssrc, 7, level=VERIFY) for ssrc in range(6))
    yield deposit(suite, 9, bits | ROC, roc=1, who=2)
    yield from (send(1, number, who=who) for number in range(2, 9) for who in (0, 2))
    yield deposit(suite, 5, bits) + other(seconds=31) + send(1, 20, who=2) + deposit(suite, 5, bits, end=-1) + send(1, 30)


def files():
    for number, suite in enumerate(SUITES):
        for name, bits in (("", ALLOCATION), ("_mki", ALLOCATION | MKI), ("_ssrc", ALLOCATION | SSRC), ("_user", 0)):
            for count in (0, 1):
                yield f"{suite}{name}{'_count' * count}", other(count=count) + b"".join(call(number, bits))
    packets = (b"", b"SSH-2.0-OpenSSH_9.2\r\n", bytes(20), b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12), b"\x17\xfe\xfd" + bytes(20),
               b"\x16\xfe\xff" + bytes(8) + b"\x00\x05" + bytes(5), b"\x2c\x00\x01\x00\x10" + bytes(16), b"\x40\x00\x00\x04abcd",
               b"\x40\x00\x00\x09abcd", b"\x80\x60" + bytes(10), b"\x8f\x60" + bytes(10), b"\x90\xe0" + bytes(14),
               b"\x80\xc8\x00\x01" + bytes(4), b"\x80\xc8\x00\x02" + bytes(4), b"\x10" + bytes(20), b"\xc0" + bytes(20))
    for level in range(5):
        yield f"kinds_{level}", b"".join(other(packet, level) for packet in packets)
    yield "many", b"".join(deposit(n % 6, n, ALLOCATION | SSRC | n & 1, ssrc=n) for n in range(70))


if __name__ == "__main__":
    sys.exit(corpus_folder.main("guard", files()))
