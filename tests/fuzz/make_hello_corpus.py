#!/usr/bin/env python3
"""Writes the seed corpus of fuzz_client_hello: make_hello_corpus.py [--check] SOURCE_ROOT.

ClientHellos are built here from RFC 8446, 5246 and 6347, without OpenSSL. With --check nothing is written: it fails where a
file differs or is too many.
"""
import struct
import sys

import corpus_folder

STREAM, BYTES, CLIENTS, DATAGRAMS, COOKIE = 0, 1, 2, 4, 8
RANDOM = bytes(range(32))
P256 = bytes.fromhex("046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
                     "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5")
X25519 = b"\x09" + bytes(31)


def vec(size, value):
    return len(value).to_bytes(size, "big") + value


def ext(kind, value=b""):
    return struct.pack(">H", kind) + vec(2, value)


def name(text):
    return ext(0, vec(2, b"\0" + vec(2, text)))


def alpn(*protocols):
    return ext(16, vec(2, b"".join(vec(1, p) for p in protocols)))


GROUPS = ext(10, vec(2, struct.pack(">3H", 23, 29, 24))) + ext(11, vec(1, b"\0"))
SIGNATURES = ext(13, vec(2, struct.pack(">4H", 0x0403, 0x0804, 0x0401, 0x0503)))
COMMON = GROUPS + SIGNATURES
VERSIONS = ext(43, vec(1, b"\x03\x04"))
PSK_MODES = ext(45, vec(1, b"\1"))
CIPHERS_12 = struct.pack(">3H", 0xC02B, 0xC02F, 0x00FF)
CIPHERS_13 = struct.pack(">2H", 0x1301, 0x1303)


def shares(*entries):
    return ext(51, vec(2, b"".join(struct.pack(">H", group) + vec(2, key) for group, key in entries)))


def hello(extensions=b"", ciphers=CIPHERS_12, version=0x0303, session=b"", cookie=None):
    return (struct.pack(">H", version) + RANDOM + vec(1, session) + (b"" if cookie is None else vec(1, cookie)) +
            vec(2, ciphers) + vec(1, b"\0") + (vec(2, extensions) if extensions else b""))


def handshake(body, kind=1):
    return bytes([kind]) + vec(3, body)


def record(payload, kind=22, version=0x0301):
    return struct.pack(">BH", kind, version) + vec(2, payload)


def tls(*args, **options):
    return record(handshake(hello(*args, **options)))


def modern(extensions=b"", share=((23, P256),)):
    return tls(COMMON + VERSIONS + PSK_MODES + shares(*share) + extensions, CIPHERS_13, session=bytes(32))


def streams():
    yield "hello_1_3", STREAM, modern()
    yield "hello_1_3_x25519", STREAM, modern(share=((29, X25519),))
    yield "hello_1_3_zero_share", STREAM, modern(share=((29, bytes(32)),))
    yield "hello_1_3_off_curve", STREAM, modern(share=((23, b"\4" + bytes(64)),))
    yield "hello_1_3_other_share", STREAM, modern(share=((0x11EC, bytes(1216)),))
    yield "hello_1_3_no_share", STREAM, modern(share=())
    yield "hello_retried", STREAM, modern(share=()) + modern()
    yield "hello_1_2", STREAM, tls(COMMON)
    yield "hello_1_2_ticket", STREAM, tls(COMMON + ext(35, bytes(192)), session=bytes(32))
    yield "hello_1_2_old_cipher", STREAM, tls(COMMON, struct.pack(">H", 0x002F))
    yield "hello_1_2_no_signatures", STREAM, tls(GROUPS)
    yield "hello_1_0", STREAM, tls(COMMON, version=0x0301)
    yield "hello_bare", STREAM, tls()
    yield "hello_no_ciphers", STREAM, tls(COMMON, b"")
    yield "hello_psk", STREAM, modern(ext(42) + ext(41, vec(2, vec(2, b"ticket" * 20) + bytes(4)) + vec(2, vec(1, bytes(32)))))
    yield "hello_names", STREAM, modern(name(b"other.example") + alpn(b"http/1.1", b"stun.turn"))
    yield "hello_name_wild", STREAM, tls(COMMON + name(b"a.wild.example") + alpn(b"stun.nat-discovery"))
    yield "hello_name_nul", STREAM, tls(COMMON + name(b"turn.example\0.org"))
    yield "hello_name_long", STREAM, tls(COMMON + name(b"a" * 256))
    yield "hello_alpn_empty", STREAM, tls(COMMON + ext(16, b"\0\0"))
    yield "hello_extension_twice", STREAM, tls(COMMON + GROUPS)
    yield "hello_extension_over", STREAM, tls(COMMON + b"\0\x10\0\xff")
    yield "hello_renegotiation", STREAM, tls(COMMON + ext(0xFF01, vec(1, bytes(12))))
    yield "hello_cut", STREAM, modern()[:60]
    yield "hello_in_records", STREAM, b"".join(record(bytes([b])) for b in handshake(hello(COMMON)))
    yield "hello_byte_by_byte", BYTES, modern()
    yield "hello_clients", CLIENTS, modern()
    yield "hello_clients_none", CLIENTS, tls(COMMON) + record(handshake(vec(3, b""), 11), 22, 0x0303)
    yield "hello_announced_128k", STREAM, record(b"\1\1\xff\0") + record(bytes(1024)) * 3
    yield "hello_and_early_data", STREAM, modern(ext(42)) + record(bytes(300), 23, 0x0303)
    yield "hello_and_change_cipher", STREAM, tls(COMMON) + record(b"\1", 20, 0x0303) + record(bytes(40), 22, 0x0303)
    yield "hello_and_key_exchange", STREAM, tls(COMMON) + record(handshake(vec(1, P256), 16), 22, 0x0303)
    yield "hello_and_alert", STREAM, tls(COMMON) + record(b"\2\x28", 21, 0x0303)
    yield "hello_and_close", STREAM, tls(COMMON) + record(b"\1\0", 21, 0x0303)
    yield "hello_sslv2", STREAM, b"\x80\x2e\1\3\1\0\x15\0\0\0\x10" + bytes(37)
    yield "http", STREAM, b"GET / HTTP/1.1\r\n\r\n"
    yield "stun", STREAM, struct.pack(">HHI", 1, 0, 0x2112A442) + bytes(12)
    yield "record_over", STREAM, b"\x16\3\1\xff\xff" + bytes(64)
    yield "record_empty", STREAM, record(b"") * 40
    yield "data_first", STREAM, record(b"data", 23)
    yield "one_byte", STREAM, b"\x16"


def drecord(payload, kind=22, epoch=0, sequence=0, version=0xFEFD):
    return struct.pack(">BHHHI", kind, version, epoch, sequence >> 32, sequence & 0xFFFFFFFF) + vec(2, payload)


def dfragment(body, kind=1, message=0, start=0, end=None):
    part = body[start:end]
    return bytes([kind]) + len(body).to_bytes(3, "big") + struct.pack(">H", message) + start.to_bytes(3, "big") + vec(3, part)


def dtls(cookie=b"", message=0, sequence=0, **options):
    extensions = options.pop("extensions", COMMON)
    return drecord(dfragment(hello(extensions, cookie=cookie, version=options.pop("version", 0xFEFD), **options),
                             message=message), sequence=sequence)


def datagrams():
    body = hello(COMMON, cookie=b"", version=0xFEFD)
    second = dtls(bytes(17), 1, 1)
    key = dfragment(vec(1, P256), 16, 2)
    yield "dtls_hello", 0, [dtls()]
    yield "dtls_hello_bare", 0, [dtls(extensions=b"")]
    yield "dtls_wrong_cookie", 0, [second]
    yield "dtls_long_cookie", 0, [dtls(bytes(255), 1, 1)]
    yield "dtls_session_id", 0, [dtls(session=bytes(32))]
    yield "dtls_session_id_over", 0, [dtls(session=bytes(33))]
    yield "dtls_fragment", 0, [drecord(dfragment(body, end=40))]
    yield "dtls_second_fragment", 0, [drecord(dfragment(body, start=40))]
    yield "dtls_two_records", 0, [dtls() + dtls()]
    yield "dtls_epoch", 0, [drecord(dfragment(body), epoch=1)]
    yield "dtls_alert", 0, [drecord(b"\2\x28", 21)]
    yield "dtls_cut", 0, [dtls()[:-1]]
    yield "dtls_oversized", 0, [dtls(extensions=COMMON + ext(21, bytes(2000)))]
    yield "dtls_empty", 0, [b""]
    yield "dtls_stun", 0, [struct.pack(">HHI", 1, 0, 0x2112A442) + bytes(12)]
    yield "dtls_accepted", COOKIE, [second]
    yield "dtls_accepted_names", COOKIE, [dtls(bytes(17), 1, 1, extensions=COMMON + name(b"other.example") + alpn(b"stun.turn"))]
    yield "dtls_accepted_1_0", COOKIE, [dtls(bytes(17), 1, 1, version=0xFEFF)]
    yield "dtls_accepted_no_cipher", COOKIE, [dtls(bytes(17), 1, 1, ciphers=struct.pack(">H", 0x002F))]
    yield "dtls_accepted_malformed", COOKIE, [dtls(bytes(17), 1, 1, extensions=b"\0\x10\0\xff")]
    yield "dtls_accepted_message_9", COOKIE, [dtls(bytes(17), 9, 9)]
    yield "dtls_accepted_again", COOKIE, [second, second, dtls()]
    yield "dtls_accepted_and_alert", COOKIE, [second, drecord(b"\2\x28", 21, sequence=2)]
    yield "dtls_accepted_and_key", COOKIE, [second, drecord(key, sequence=2)]
    yield "dtls_accepted_and_fragments", COOKIE, [second, drecord(dfragment(vec(1, P256), 16, 2, 0, 30), sequence=2),
                                                  drecord(dfragment(vec(1, P256), 16, 2, 20), sequence=3)]
    yield "dtls_accepted_and_finished", COOKIE, [second, drecord(key, sequence=2) + drecord(b"\1", 20, sequence=3) +
                                                 drecord(bytes(40), epoch=1)]
    yield "dtls_accepted_and_next_epoch", COOKIE, [second, *(drecord(bytes(40), epoch=1, sequence=n) for n in range(20))]
    yield "dtls_accepted_and_data", COOKIE, [second, drecord(b"data", 23, sequence=2), b"", b"\x16"]


def inputs():
    for title, choice, data in streams():
        yield title, bytes([choice]) + data
    for title, choice, parts in datagrams():
        yield title, bytes([DATAGRAMS | choice]) + b"".join(vec(2, p) for p in parts)


if __name__ == "__main__":
    sys.exit(corpus_folder.main("client_hello", inputs()))
