#!/usr/bin/env python3
"""Writes the seed corpora of fuzz_stun, fuzz_channel_data, fuzz_stream, fuzz_proxy,
fuzz_rtp, fuzz_redis_reply, fuzz_access_token, fuzz_rest_name and fuzz_crypto_attribute: make_corpus.py [--check] SOURCE_ROOT.

Messages are built here from the RFCs, without the code under test; the vectors come from
tests/unit/stun_vectors.h. With --check nothing is written: it fails where a file differs.
"""
import base64
import hashlib
import hmac
import pathlib
import re
import struct
import sys
import zlib

COOKIE = bytes.fromhex("2112a442")
TID = bytes(range(1, 13))
KEY = b"fuzz"
BINDING, ALLOCATE, REFRESH, SEND, PERMISSION, CHANNEL = 0x001, 0x003, 0x004, 0x016, 0x008, 0x009


def attr(kind, value=b""):
    return struct.pack(">HH", kind, len(value)) + value + bytes(-len(value) % 4)


def message(kind, *attrs, cookie=COOKIE, length=None):
    body = b"".join(attrs)
    size = len(body) if length is None else length
    return struct.pack(">HH", kind, size) + cookie + TID + body


def with_length(msg, extra):
    return msg[:2] + struct.pack(">H", len(msg) - 20 + extra) + msg[4:]


def sha1(msg):
    return with_length(msg + attr(8, hmac.new(KEY, with_length(msg, 24), hashlib.sha1).digest()), 0)


def sha256(msg, size=32):
    mac = hmac.new(KEY, with_length(msg, 4 + size), hashlib.sha256).digest()[:size]
    return with_length(msg + attr(0x1C, mac), 0)


def fingerprint(msg, wrong=0):
    crc = zlib.crc32(with_length(msg, 8)) ^ 0x5354554E ^ wrong
    return with_length(msg + attr(0x8028, struct.pack(">I", crc)), 0)


def append(msg, *attrs):
    return with_length(msg + b"".join(attrs), 0)


def xor_addr(kind, ip, port):
    pad = COOKIE + TID
    family = 1 if len(ip) == 4 else 2
    masked = bytes(a ^ b for a, b in zip(ip, pad))
    return attr(kind, struct.pack(">BBH", 0, family, port ^ 0x2112) + masked)


def vectors(root):
    text = (root / "tests/unit/stun_vectors.h").read_text()
    for name, body in re.findall(r"uint8_t (\w+)\[\] = \{(.*?)\};", text, re.S):
        yield name, bytes(int(h, 16) for h in re.findall(r"0x([0-9a-f]{2})", body))


def stun_accepted():
    peer = xor_addr(0x12, bytes([192, 0, 2, 1]), 4096)
    peer6 = xor_addr(0x12, bytes.fromhex("20010db8000000000000000000000001"), 65535)
    mapped = xor_addr(0x12, bytes(10) + b"\xff\xff\x0a\x00\x00\x01", 1)
    login = attr(6, b"alice") + attr(0x14, b"example.org") + attr(0x15, b"a nonce of theirs")
    udp = attr(0x19, b"\x11\0\0\0")
    yield "binding", message(BINDING)
    yield "binding_classic", message(BINDING, cookie=b"abcd")
    yield "binding_success", message(0x101, xor_addr(0x20, bytes([192, 0, 2, 1]), 1),
                                     attr(1, b"\0\1\0\1\xc0\0\2\1"), attr(0x8022, b"server"))
    yield "method_of_12_bits", message(0x3FFF)
    yield "allocate_first", message(ALLOCATE, udp)
    yield "allocate", sha1(message(ALLOCATE, udp, attr(0xD, b"\0\0\2\x58"), login))
    yield "allocate_options", message(ALLOCATE, udp, attr(0x17, b"\2\0\0\0"), attr(0x18, b"\x80"),
                                      attr(0x1A), attr(0x22, b"12345678"),
                                      attr(0x8000, b"\2\0\0\0"))
    algorithms = attr(0x1D, b"\0\2\0\0") + attr(0x8002, b"\0\2\0\0\0\1\0\0")
    yield "allocate_userhash", sha256(message(ALLOCATE, udp, attr(0x1E, bytes(32)), algorithms))
    challenge = attr(9, b"\0\0\4\1") + attr(0x15, b"nonce") + attr(0x14, b"r")
    yield "allocate_error", message(0x113, challenge)
    yield "refresh_zero", fingerprint(sha1(message(REFRESH, attr(0xD, bytes(4)), login)))
    yield "permissions", message(PERMISSION, peer, peer6, mapped, peer)
    yield "permissions_60", message(PERMISSION, *([peer] * 60))
    yield "channel_bind", message(CHANNEL, attr(0xC, b"\x40\0\0\0"), peer6)
    yield "send", message(SEND, peer, attr(0x13, b"media" * 33))
    yield "send_empty", message(SEND, peer, attr(0x13))
    yield "data_icmp", message(0x17, peer, attr(0x8004, b"\0\0\x03\x04\0\0\x05\xdc"))
    yield "unknown_required", message(BINDING, *(attr(0x7000 + i % 10, b"x") for i in range(12)))
    yield "unknown_optional", message(BINDING, attr(0xF000, b"xyz"), attr(0x8FFF))
    yield "password_algorithm_parameters", message(ALLOCATE, attr(0x1D, b"\0\2\0\5abcde\0\0\0"))
    yield "access_token", sha1(message(ALLOCATE, udp, attr(0x1B, b"\0\x0c" + bytes(62)), login))
    yield "third_party", message(0x113, challenge, attr(0x802E, b"turn.example.org"))
    base = message(ALLOCATE, udp, login)
    yield "integrity_both", fingerprint(sha256(sha1(base)))
    yield "integrity256_16", sha256(base, 16)
    yield "integrity256_24", fingerprint(sha256(base, 24))
    yield "behind_integrity", append(sha1(base), attr(0xD, b"\0\0\0\0"), attr(0x7777, b"x"), peer)
    yield "behind_integrity256", append(sha256(base), attr(8, bytes(20)), attr(0xD, bytes(4)))
    yield "between_integrities", fingerprint(sha256(append(sha1(base), attr(0x22, b"12345678"))))
    yield "integrity_twice", append(sha1(base), attr(8, bytes(20)), attr(8, bytes(3)))
    yield "attributes_250", message(BINDING, *([attr(0x8022)] * 250))


def stun_rejected():
    good = message(ALLOCATE, attr(0x19, b"\x11\0\0\0"))
    yield "empty", b""
    yield "header_cut", good[:19]
    yield "not_stun", b"\xc0" + good[1:]
    yield "rtp", b"\x80\x60" + bytes(30)
    yield "cut", good[:-1]
    yield "length_over", message(BINDING, length=4)
    yield "length_odd", message(BINDING, b"abc")
    yield "bytes_over", good + bytes(4)
    yield "attribute_over", message(ALLOCATE, struct.pack(">HH", 6, 9) + bytes(8))
    yield "attribute_header_only", message(ALLOCATE, struct.pack(">HH", 0x13, 0xFFFF))
    yield "integrity_short", message(ALLOCATE, attr(8, bytes(19)))
    yield "integrity256_short", message(ALLOCATE, attr(0x1C, bytes(12)))
    yield "integrity256_long", message(ALLOCATE, attr(0x1C, bytes(36)))
    yield "attributes_251", message(BINDING, *([attr(0x8022)] * 251))
    yield "no_cookie", message(ALLOCATE, cookie=bytes(4))
    yield "fingerprint_wrong", fingerprint(good, wrong=1)
    yield "fingerprint_not_last", append(fingerprint(good), attr(0x8022))
    yield "fingerprint_long", append(good, attr(0x8028, bytes(8)))


def channel():
    yield "accept_data", b"\x40\x00\x00\x05media"
    yield "accept_empty", b"\x4f\xff\x00\x00"
    yield "accept_padded", b"\x40\x01\x00\x01x\0\0\0"
    yield "accept_large", b"\x47\x11\x04\xb0" + bytes(1200)
    yield "reject_empty", b""
    yield "reject_header_cut", b"\x40\x00\x00"
    yield "reject_cut", b"\x40\x00\x00\x05medi"
    yield "reject_length_max", b"\x40\x00\xff\xff" + bytes(8)
    yield "reject_below", b"\x3f\xff\x00\x00"
    yield "reject_above", b"\x50\x00\x00\x00"


def padded(number, data):
    return struct.pack(">HH", number, len(data)) + data + b"\xa5" * (-len(data) % 4)


def stream():
    """The first byte chooses the pieces in which the rest comes: of up to 2 << (byte % 8) bytes."""
    binding, allocate = message(BINDING), message(ALLOCATE, attr(0x19, b"\x11\0\0\0"), attr(6, b"alice"))
    media = padded(0x4000, b"") + padded(0x4001, b"m") + padded(0x4fff, b"me") + padded(0x4002, b"med")
    conversation = binding + media + allocate + padded(0x4003, b"media" * 60) + binding
    for pieces in (0, 1, 3, 7):
        yield f"conversation_{2 << pieces}", bytes([pieces]) + conversation
    yield "binding", b"\x00" + binding
    yield "channel_numbers", b"\x02" + padded(0x5000, b"a") + padded(0x7fff, b"bcde")
    yield "channel_cut", b"\x01" + padded(0x4000, b"media")[:-1]
    yield "stun_cut", b"\x02" + allocate + allocate[:-1]
    yield "bad_first", b"\x00\x80\x60" + bytes(30)
    yield "bad_behind", b"\x04" + conversation + b"\xff"
    yield "bad_length", b"\x01" + binding + message(BINDING, length=3)
    yield "bad_cookie", b"\x01" + media + message(BINDING, cookie=b"\x21\x12\xa4\x43")
    yield "tls", b"\x01\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(32)
    yield "http", b"\x03GET / HTTP/1.1\r\n\r\n"


def rtp(first=0x80, kind=0x60, number=1, timestamp=160, ssrc=0xCAFEBABE, behind=b"payload"):
    return struct.pack(">BBHII", first, kind, number, timestamp, ssrc) + behind


def record(kind, version=0xFEFD, data=b"x", over=0):
    return struct.pack(">BHHIHH", kind, version, 0, 0, 1, len(data) + over) + data


def media():
    yield "accept_rtp", rtp()
    yield "accept_rtp_bare", rtp(behind=b"")
    yield "accept_rtp_mixed", rtp(0xB2, 0xEF, behind=bytes(8) + b"\xbe\xde\0\1" + bytes(4) + b"\xff")
    yield "accept_rtp_empty_extension", rtp(0x90, behind=bytes(4))
    yield "reject_rtp_cut", rtp()[:11]
    yield "reject_rtp_csrc", rtp(0x8F, behind=bytes(59))
    yield "reject_rtp_extension", rtp(0x90, behind=b"\0\0\0\2" + bytes(7))
    yield "reject_rtp_extension_header", rtp(0x90, behind=bytes(3))
    yield "accept_sender_report", b"\x80\xc8\0\6" + bytes(24) + b"\x80\0\0\1" + bytes(10)
    yield "accept_feedback", b"\x81\xce\0\2" + bytes(8)
    yield "reject_rtcp_cut", b"\x80\xc9\0\1\0\0\0"
    yield "reject_rtcp_over", b"\x80\xc9\0\2" + bytes(4)
    yield "reject_rtcp_nobody", b"\x80\xcb\0\0" + bytes(8)
    yield "accept_stun", message(BINDING, attr(6, b"a:b"))
    yield "reject_stun_cookie", message(BINDING, cookie=b"abcd")
    yield "reject_stun_length", message(BINDING, length=4)
    yield "reject_stun_odd", message(BINDING, b"ab")
    for kind in range(20, 27):
        yield f"accept_dtls_{kind}", record(kind, 0xFEFD, b"xy")
    yield "accept_dtls_1_0", record(22, 0xFEFF) + record(22, 0xFEFF)
    yield "reject_dtls_version", record(22, 0x0303)
    yield "reject_dtls_over", record(22, over=1)
    yield "reject_dtls_empty", record(22, data=b"")
    yield "reject_dtls_27", record(27)
    yield "accept_dtls_13", b"\x2e\0\1\0\x10" + bytes(16)
    yield "accept_dtls_13_cid", b"\x3a\7\0\1" + bytes(16)
    yield "reject_dtls_13_over", b"\x2e\0\1\0\x11" + bytes(16)
    yield "reject_dtls_13_short", b"\x20\1" + bytes(15)
    yield "accept_channel", b"\x40\0\0\5media\0\0\0"
    yield "reject_channel_behind", b"\x40\0\0\5media\0\0\0\0"
    yield "reject_channel_cut", b"\x40\0\0\5medi"
    yield "reject_zrtp", b"\x10\0\0\1ZRTP" + bytes(8)
    yield "reject_ssh", b"SSH-2.0-OpenSSH_9.2p1\r\n"
    yield "reject_empty", b""

    def step(whose, number, timestamp, later_ms, kind=0x60):
        return struct.pack(">BBHI", whose, kind, number & 0xFFFF, timestamp & 0xFFFFFFFF) + struct.pack(
            ">I", later_ms * 1000 >> 4)[1:] + b"\4"

    yield "streams_run", b"".join(step(1, 65500 + i, 960 * i - 5000, 20) for i in range(200))
    yield "streams_static", b"".join(step(0x81, i * i // 20, 160 * i, 20, 0) for i in range(100))
    yield "streams_lossy", b"".join(step(i % 3, i * 7 % 50 + i // 2, 3000 * i, 10) for i in range(150))
    yield "streams_begin_anew", b"".join(step(1, i + i // 9 * 20000, 960 * i, 20) for i in range(60))
    yield "streams_many", b"".join(step(i * 37 & 0xFF, i, i, 1) for i in range(100))
    yield "streams_silent", b"".join(step(i & 7, i, i, 15900) * 2 for i in range(40))


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def tlv(kind, value=b""):
    return struct.pack(">BH", kind, len(value)) + value


def binary(version_command, transport, *parts, extra=0):
    block = b"".join(parts)
    return b"\r\n\r\n\0\r\nQUIT\n" + struct.pack(">BBH", version_command, transport, len(block) + extra) + block


def with_checksum(header):
    at = header.index(tlv(3, bytes(4))) + 3
    return header[:at] + struct.pack(">I", crc32c(header)) + header[at + 4:]


def proxy_headers():
    ipv4 = bytes([192, 0, 2, 1, 198, 51, 100, 2]) + struct.pack(">HH", 56324, 3478)
    ipv6 = bytes.fromhex("20010db8000000000000000000000001") + bytes(10) + b"\xff\xff\x0a\0\0\x01" + bytes(4)
    tlvs = tlv(1, b"h2") + tlv(2, b"example.org") + tlv(4) + tlv(0x20, b"\1\0\0\0\0" + tlv(0x21, b"TLSv1.3")) + tlv(0xE0, b"x")
    yield "text_ipv4", b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\nGET / HTTP/1.1\r\n\r\n"
    yield "text_ipv6", b"PROXY TCP6 2001:db8::1 fe80:0:0:0:1:2:3:ffff 0 65535\r\n"
    yield "text_mapped", b"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:c633:6402 1 2\r\n" + message(BINDING)
    yield "text_mapped_once", b"PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n"
    yield "text_unknown", b"PROXY UNKNOWN\r\n"
    yield "text_unknown_long", b"PROXY UNKNOWN" + b" ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" * 2 + b" 65535 65535\r\n"
    yield "text_cut", b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r"
    yield "text_bad_zero", b"PROXY TCP4 192.168.0.01 192.168.0.11 56324 443\r\n"
    yield "text_bad_port", b"PROXY TCP4 192.168.0.1 192.168.0.11 65536 443\r\n"
    yield "text_bad_end", b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\n"
    yield "text_bad_long", b"PROXY UNKNOWN" + b" " * 100 + b"\r\n"
    yield "binary_ipv4", binary(0x21, 0x11, ipv4) + message(BINDING)
    yield "binary_ipv6", binary(0x21, 0x21, ipv6)
    yield "binary_mapped", binary(0x21, 0x21, ipv6[16:32], ipv6[:16], ipv6[32:])
    yield "binary_unix", binary(0x21, 0x31, bytes(216), tlv(4, b"abc"))
    yield "binary_unspecified", binary(0x21, 0x00, b"any")
    yield "binary_local", binary(0x20, 0x00) + message(BINDING)
    yield "binary_local_addresses", binary(0x20, 0x11, ipv4, b"odd")
    yield "binary_tlvs", binary(0x21, 0x11, ipv4, tlvs)
    yield "binary_checksum", with_checksum(binary(0x21, 0x11, ipv4, tlvs, tlv(3, bytes(4)), tlv(5, b"id")))
    yield "binary_checksum_ipv6", with_checksum(binary(0x21, 0x21, ipv6, tlv(3, bytes(4)))) + b"\0"
    yield "binary_cut", binary(0x21, 0x11, ipv4, extra=1)
    yield "binary_bad_checksum", binary(0x21, 0x11, ipv4, tlv(3, b"abcd"))
    yield "binary_bad_tlv", binary(0x21, 0x11, ipv4, b"\4\0\2x")
    yield "binary_bad_short", binary(0x21, 0x21, ipv4)
    yield "binary_bad_datagram", binary(0x21, 0x12, ipv4)
    yield "binary_bad_version", binary(0x31, 0x11, ipv4)
    yield "binary_bad_command", binary(0x22, 0x11, ipv4)
    yield "binary_bad_long", binary(0x21, 0x11, ipv4, extra=2048)


def requests():
    yield "request", b"GET / HTTP/1.1\r\nHost: example.org\r\nUser-Agent: probe\r\n\r\n"
    yield "request_head", b"HEAD /health HTTP/1.0\r\n\r\n"
    yield "request_options", b"OPTIONS * HTTP/1.0\r\n\r\n"
    yield "request_cut", b"GET / HTTP/1.1\r\nHost: a\r\n"
    yield "request_bad_version", b"GET / HTTP/2.0\r\n\r\n"
    yield "request_bad_long", b"GET / HTTP/1.1\r\nCookie: " + b"x" * 4096 + b"\r\n\r\n"
    yield "request_bad_control", b"GET / HTTP/1.1\r\nHost: \0\r\n\r\n"
    yield "request_bad_end", b"GET / HTTP/1.1\n\n"
    yield "neither", message(BINDING)


def redis_replies():
    """RESP2, and what is not."""
    info = b"# Server\r\nrun_id:" + b"0123456789abcdef" * 2 + b"01234567\r\n"
    yield "greeting", b"+OK\r\n$%d\r\n%s\r\n+PONG\r\n" % (len(info), info)
    yield "kinds", b"+OK\r\n-ERR no\r\n:-7\r\n$3\r\na\0b\r\n$-1\r\n*-1\r\n*0\r\n$0\r\n\r\n"
    yield "nested", b"*3\r\n*2\r\n:1\r\n*1\r\n$-1\r\n-NOSCRIPT x\r\n$2\r\n\r\n\r\n"
    yield "message", b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$5\r\nhello\r\n"
    yield "deepest", b"*1\r\n" * 7 + b":1\r\n"
    yield "too_deep", b"*1\r\n" * 12 + b":1\r\n"
    yield "cut_array", b"*3\r\n:1\r\n:2\r\n"
    yield "cut_string", b"$10\r\nabc"
    yield "cut_line", b"+OK\r"
    yield "integer_ends", b":9223372036854775807\r\n:-9223372036854775808\r\n:9223372036854775808\r\n"
    yield "integer_bad", b":1x\r\n"
    yield "length_bad", b"$-2\r\n"
    yield "length_huge", b"$9223372036854775807\r\nabc"
    yield "count_bad", b"*-2\r\n"
    yield "count_huge", b"*2147483647\r\n"
    yield "count_over", b"*4294967297\r\n:1\r\n"
    yield "many", b"*40\r\n" + b":1\r\n" * 40
    yield "long_string", b"$2000\r\n" + b"x" * 2000 + b"\r\n"
    yield "long_line", b"+" + b"x" * 2000
    yield "resp3", b"%1\r\n+a\r\n+b\r\n"
    yield "http", b"HTTP/1.1 400 Bad Request\r\n\r\n"
    yield from redis_records()


def array(*texts):
    """RESP2 of an array: strings, None as nil, numbers."""
    items = [b"$-1\r\n" if t is None else b":%d\r\n" % t if isinstance(t, int) else b"$%d\r\n%s\r\n" % (len(t), t)
             for t in texts]
    return b"*%d\r\n" % len(items) + b"".join(items)


def redis_records():
    """What fleet/ reads: users, OAuth keys of the realm "r", REST secrets, revocations, limits."""
    yield "user_md5", b"$32\r\n" + b"0123456789abcdefABCDEF9876543210" + b"\r\n"
    yield "user_sha256", b"$64\r\n" + b"0123456789abcdef" * 4 + b"\r\n"
    yield "user_no_digit", b"$32\r\n" + b"0123456789abcdefg" + b"0" * 15 + b"\r\n"
    yield "errors", b"-WRONGTYPE x\r\n-NOPERM x\r\n-\r\n-" + b"A" * 40 + b"\r\n-lower\r\n"
    key = base64.b64encode(bytes(range(32)))
    yield "oauth_full", array(key, b"A256GCM", b"1500000000", b"86400", b"r")
    yield "oauth_bare", array(key, b"a128gcm", None, None, None)
    yield "oauth_other_realm", array(key, b"A256GCM", None, None, b"s")
    yield "oauth_none", array(None, None, None, None, None)
    yield "oauth_padding", array(b"====", b"A256GCM", None, None, None)
    yield "oauth_blanks", array(b"AAAA AAA" * 4, b"A128GCM", None, None, None)
    yield "oauth_long", array(b"A" * 344, b"A256GCM", b"0", b"0", b"")
    yield "oauth_seconds", array(key, b"A256GCM", b"253402300799", b"253402300799", None)
    yield "oauth_seconds_over", array(key, b"A256GCM", b"99999999999999999999", b"1", None)
    yield "secrets", array(b"north", b"south", b"n\0rth")
    yield "secrets_cut", array(*(bytes([i]) for i in range(17)))
    yield "secrets_odd", array(b"", None, 7, b"x" * 513, b"a", b"a")
    yield "page", array(b"1800000000000000", b"1700000000000000", b"1750000000000000", 1,
                        b"1740000000000000 1800000000 1800000000 user/example.org/alice",
                        b"1 0 1800000000 token/r/%2F%25%00", b"2 0 1 secret/%C3%A4/a", None)
    yield "page_empty", array(b"1800000000000000", b"0", b"0", 0)
    yield "page_broken", array(b"9", b"8", b"7", 0, b"1 2 3 user/r/%2f", b"1 2 3 user/r/%41", b"1 2 3 user/r", b"0 0 0 user/r/a",
                               b"1 2 253402300800 user/r/a", b"1 2 3 user//a", b"1 2 3 nobody/r/a")
    yield "put", array(b"1800000000000000", b"1700000000000000", 0, 3)
    yield "put_over", array(b"9007199254740992", b"1", 0, 0)
    yield "limits", array(b"1800000000000000", b"0", b"250000", b"9007199254740991", b"0")
    yield "limits_alive", array(b"1800000000000000", b"1", b"4294967296")
    yield "limits_now", array(b"1800000000000000")
    yield "limits_odd", array(b"1800000000000000", b"-1") + array(b"nan", b"1") + array(b"1e9", b"1") + array(
        b"1800000000000000", 1) + array(b"1800000000000000", None) + array(b"9007199254740992", b"1", b"1")


def access_tokens():
    """The sample of RFC 7635 appendix A; what is no token; and encrypted blocks, which the target seals itself."""
    sample = bytes.fromhex(
        "000c68346a336b326c326e346235617ef134a3d5e44e9a19cc7dc104b0c03d03"
        "b2a551d8fdf5cd3b6dca6f10cfb77e5b2ddec84d293a5c50499359f0c2e26f76")
    yield "sample", sample
    yield "sample_forged", sample[:-1] + b"\x77"
    yield "sample_cut", sample[:-1]
    yield "sample_short", sample[:59]
    yield "empty", b""
    for size in (0, 11, 13, 16, 65535):
        yield f"nonce_{size}", struct.pack(">H", size) + sample[2:]
    yield "long", sample + bytes(200)
    for size in (16, 20, 32, 64):
        yield f"block_{size}", block(size, bytes(range(size)))
    for said, there in ((0, 20), (15, 15), (21, 20), (19, 20), (65, 65), (65535, 20), (20, 64)):
        yield f"block_says_{said}_has_{there}", block(said, bytes(there))
    yield "block_ages_ago", block(20, bytes(20), 0, 0)
    yield "block_for_ever", block(20, bytes(20), 2 ** 64 - 1, 2 ** 32 - 1)


def block(said, mac_key, timestamp=92470300704768, lifetime=3600):
    return struct.pack(">H", said) + mac_key + struct.pack(">QI", timestamp, lifetime)


def rest_names():
    """What signs (0, 1: secrets of the realm, 2: a retired one, 3: the store's, 4: nobody's, 5: the input's password),
    + 8 for SHA-256; then the name."""
    now = 1800000000
    names = {
        "good": b"%d:alice" % (now + 3600), "good_bare": b"%d" % now, "good_nobody": b"%d:" % (now + 1),
        "good_ceiling": b"%d:a" % (now + 172800), "good_zeros": b"0%d:a" % (now + 5),
        "good_colons": b"%d:a:b:c" % (now + 9), "good_bytes": b"%d:\0\xff\xc3\xa4" % (now + 9),
        "good_long": (b"%d:" % (now + 9)).ljust(508, b"n"), "malformed_long": (b"%d:" % (now + 9)).ljust(509, b"n"),
        "expired": b"%d:a" % (now - 1), "expired_zero": b"0:a", "lifetime": b"%d:a" % (now + 172801),
        "lifetime_digits": b"99999999999", "no_digits": b"100000000000:a", "no_sign": b"+%d:a" % (now + 5),
        "no_space": b" %d:a" % (now + 5), "no_letters": b"%dx:a" % (now + 5), "no_minus": b"-1:a",
        "no_nul": b"%d\0:a" % (now + 5),
        "no_time": b"alice", "no_colon": b":%d" % (now + 5), "empty": b"",
    }
    for name, text in names.items():
        for signer in (0, 1, 2, 3, 4, 8, 9):
            yield f"{name}_{signer}", bytes([signer, 0]) + text
        yield f"{name}_own", bytes([5, 8]) + b"password" + text
    made = base64.b64encode(hmac.new(b"north", names["good"], hashlib.sha1).digest())
    yield "good_but_cut", bytes([5, len(made) - 1]) + made[:-1] + names["good"]
    yield "good_but_longer", bytes([13, len(made) + 1]) + made + b"=" + names["good"]


def crypto_attributes():
    """RFC 4568 section 9, wrapped keys, and places."""
    suites = {"AES_CM_128_HMAC_SHA1_80": 30, "AES_CM_128_HMAC_SHA1_32": 30, "AES_256_CM_HMAC_SHA1_80": 46,
              "AES_256_CM_HMAC_SHA1_32": 46, "AEAD_AES_128_GCM": 28, "AEAD_AES_256_GCM": 44}

    def key(size):
        return "inline:" + base64.b64encode(bytes(range(size))).decode()

    for suite, size in suites.items():
        yield "good_" + suite, f"a=crypto:1 {suite} {key(size)}|2^20|1:4"
    suite = "AES_CM_128_HMAC_SHA1_80"
    good = f"{suite} {key(30)}"
    yield "good_bare", good
    yield "good_roc", "roc=4294967295 " + good
    yield "good_lifetime", good + "|281474976710656"
    yield "good_mki", good + f"|{2**256 - 1}:32"
    yield "good_keys", f"{suite} " + ";".join(f"{key(30)}|{i}:1" for i in range(1, 5))
    yield "good_parameters", good + " KDR=0 WSH=128 FEC_ORDER=FEC_SRTP\t-x UNENCRYPTED_SRTP"
    yield "empty", ""
    yield "syntax", good + " "
    yield "syntax_info", good + "|2^20|1:4|1"
    yield "suite", f"F8_128_HMAC_SHA1_80 {key(30)}"
    yield "method", f"{suite} url:x"
    yield "base64", f"{suite} inline:AAA-"
    yield "length", f"{suite} {key(31)}"
    yield "lifetime", good + "|2^49"
    yield "lifetime_zero", good + "|00"
    yield "mki", good + "|256:1"
    yield "mki_twice", f"{suite} {key(30)}|1:4;{key(30)}|1:4"
    yield "keys_5", f"{suite} " + ";".join(f"{key(30)}|{i}:1" for i in range(1, 6))
    yield "parameter", good + " KDR=1"
    sealed = base64.b64encode(bytes(40)).decode()
    yield "wrapped", f"v1.1795503600.{sealed}"
    yield "wrapped_expired", f"v1.1795500000.{sealed}"
    yield "wrapped_short", "v1.1795503600.AAAA"
    yield "wrapped_zero", f"v1.01795503600.{sealed}"
    yield "place_allocation", "allocation/0123456789abcdef to_peer"
    yield "place_ssrc", "allocation/0123456789abcdef to_client/4294967295"
    yield "place_user", "user/example.org/1%2F2:alice to_peer/0"
    yield "place_spelling", "user/example.org/%61lice to_peer/0"
    yield "place_zero", "allocation/0000000000000000 to_peer"


def files(root):
    corpus = root / "tests/fuzz/corpus"
    for name, data in vectors(root):
        yield corpus / "stun" / ("vector_" + name), data
    for name, data in stun_accepted():
        yield corpus / "stun" / ("accept_" + name), data
    for name, data in stun_rejected():
        yield corpus / "stun" / ("reject_" + name), data
    for name, data in channel():
        yield corpus / "channel_data" / name, data
    for name, data in stream():
        yield corpus / "stream" / name, data
    for name, data in media():
        yield corpus / "rtp" / name, data
    for name, data in redis_replies():
        yield corpus / "redis_reply" / name, data
    for name, data in access_tokens():
        yield corpus / "access_token" / name, data
    for name, data in rest_names():
        yield corpus / "rest_name" / name, data
    for name, text in crypto_attributes():
        yield corpus / "crypto_attribute" / name, text.encode()
    for maker in (proxy_headers, requests):
        for name, data in maker():
            yield corpus / "proxy" / name, data


def main():
    check = sys.argv[1] == "--check"
    root = pathlib.Path(sys.argv[-1])
    wrong = 0
    for path, data in files(root):
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        elif not path.exists() or path.read_bytes() != data:
            print(path, "differs")
            wrong += 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
