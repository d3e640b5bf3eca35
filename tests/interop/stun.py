"""A STUN and TURN client in a few lines (RFC 8489, RFC 8656), written apart from the server it tests."""
import base64
import hashlib
import hmac
import ipaddress
import os
import socket
import struct
import time
import zlib

COOKIE = 0x2112A442
BINDING, ALLOCATE, REFRESH, SEND, DATA, CREATE_PERMISSION, CHANNEL_BIND = 1, 3, 4, 6, 7, 8, 9
REQUEST, INDICATION, SUCCESS, ERROR = 0, 1, 2, 3
USERNAME, INTEGRITY, ERROR_CODE, UNKNOWN_ATTRIBUTES = 0x06, 0x08, 0x09, 0x0A
CHANNEL_NUMBER, LIFETIME, PEER, PAYLOAD, REALM, NONCE, RELAYED = 0x0C, 0x0D, 0x12, 0x13, 0x14, 0x15, 0x16
FAMILY, TRANSPORT, MAPPED, SOFTWARE, FINGERPRINT, ADDITIONAL_FAMILY = 0x17, 0x19, 0x20, 0x8022, 0x8028, 0x8000
UDP = struct.pack("!B3x", 17)


def message_type(kind, method):
    return (method & 0x0F) | (kind & 1) << 4 | (method & 0x70) << 1 | (kind & 2) << 7 | (method & 0xF80) << 2


def attribute(number, value):
    return struct.pack("!HH", number, len(value)) + value + bytes(-len(value) % 4)


def header(kind, method, length, transaction):
    return struct.pack("!HHI", message_type(kind, method), length, COOKIE) + transaction


def build(kind, method, attributes=(), key=None, fingerprint=False, transaction=None):
    """One message; with `key`, MESSAGE-INTEGRITY behind the attributes."""
    transaction = transaction or os.urandom(12)
    body = b"".join(attribute(number, value) for number, value in attributes)
    if key is not None:
        covered = header(kind, method, len(body) + 24, transaction) + body
        body += attribute(INTEGRITY, hmac.new(key, covered, hashlib.sha1).digest())
    if fingerprint:
        covered = header(kind, method, len(body) + 8, transaction) + body
        body += attribute(FINGERPRINT, struct.pack("!I", zlib.crc32(covered) ^ 0x5354554E))
    return header(kind, method, len(body), transaction) + body


class Message:
    """What arrived: kind, method, transaction, attributes (number -> first value; `all` has every one), code of an error."""

    def __init__(self, data):
        number, length, _ = struct.unpack("!HHI", data[:8])
        assert length + 20 == len(data), f"length {length} in a message of {len(data)} bytes"
        self.data, self.transaction = data, data[8:20]
        self.kind = (number >> 4 & 1) | (number >> 7 & 2)
        self.method = (number & 0x0F) | (number >> 1 & 0x70) | (number >> 2 & 0xF80)
        self.attributes, self.all, at = {}, [], 20
        while at < len(data):
            kind, size = struct.unpack("!HH", data[at:at + 4])
            self.all.append((kind, data[at + 4:at + 4 + size]))
            self.attributes.setdefault(*self.all[-1])
            at += 4 + size + -size % 4
        error = self.attributes.get(ERROR_CODE)
        self.code = error[2] * 100 + error[3] if error else 0

    def address(self, number):
        """(ip, port) of the first XOR address."""
        return self.addresses(number)[0]

    def addresses(self, number):
        return [self.unmask(value) for kind, value in self.all if kind == number]

    def unmask(self, value):
        port = struct.unpack("!H", value[2:4])[0] ^ COOKIE >> 16
        mask = self.data[4:20][:len(value) - 4]
        return str(ipaddress.ip_address(bytes(a ^ b for a, b in zip(value[4:], mask)))), port


def xor_address(ip, port, transaction):
    packed = ipaddress.ip_address(ip).packed
    mask = struct.pack("!I", COOKIE) + transaction
    return struct.pack("!xBH", 1 if len(packed) == 4 else 2, port ^ COOKIE >> 16) + bytes(a ^ b for a, b in zip(packed, mask))


def rest_credential(secret, name, ttl=3600):
    user = f"{int(time.time()) + ttl}:{name}"
    return user, base64.b64encode(hmac.new(secret.encode(), user.encode(), hashlib.sha1).digest()).decode()


def long_term_key(user, realm, password):
    return hashlib.md5(b":".join((user.encode(), realm, password.encode()))).digest()


class Client:
    """One client of one server: `server` is (ip, port). Over UDP; transports.py has the others."""

    def __init__(self, server, user="u", password="p", bind=None):
        self.server, self.user, self.password = server, user, password
        self.family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
        self.realm = self.nonce = None
        self.relayed = None
        self.media = []  # what arrived while an answer was awaited
        self.open(bind)

    def open(self, bind):
        self.socket = socket.socket(self.family, socket.SOCK_DGRAM)
        if bind:
            self.socket.bind(bind)

    def close(self):
        self.socket.close()

    def receive(self, seconds=1.0):
        """(bytes, source ip) or None."""
        if self.media:
            return self.media.pop(0)
        return self.receive_now(seconds)

    def receive_now(self, seconds):
        self.socket.settimeout(max(seconds, 0.001))
        try:
            data, source = self.socket.recvfrom(65536)
        except TimeoutError:
            return None
        return data, source[0]

    def send(self, data):
        self.socket.sendto(data, self.server)

    def exchange(self, data, tries=3, seconds=1.0):
        """Sends a request until its answer comes: a Message, or None."""
        for _ in range(tries):
            self.send(data)
            deadline = time.monotonic() + seconds
            while (left := deadline - time.monotonic()) > 0:
                got = self.receive_now(left)
                if got and got[0][8:20] == data[8:20] and got[0][0] < 0x40:
                    answer = Message(got[0])
                    answer.source = got[1]
                    return answer
                if got:
                    self.media.append(got)
        return None

    def key(self):
        return long_term_key(self.user, self.realm, self.password)

    def request(self, method, attributes=(), transaction=None):
        """An authenticated request; takes a challenge or a stale nonce once. Returns a Message, or None."""
        answer = None
        for _ in range(3):
            transaction = transaction or os.urandom(12)
            extra, key = [], None
            if self.nonce:
                extra = [(USERNAME, self.user.encode()), (REALM, self.realm), (NONCE, self.nonce)]
                key = self.key()
            answer = self.exchange(build(REQUEST, method, [*attributes, *extra], key, transaction=transaction))
            challenged = answer and (answer.code == 438 or answer.code == 401 and not self.nonce)
            if not challenged:
                break
            self.realm, self.nonce, transaction = answer.attributes[REALM], answer.attributes[NONCE], None
        return answer

    def allocate(self, attributes=()):
        answer = self.request(ALLOCATE, [(TRANSPORT, UDP), *attributes])
        if answer and answer.kind == SUCCESS:
            self.relayed = answer.address(RELAYED)
        return answer

    def refresh(self, lifetime=600):
        return self.request(REFRESH, [(LIFETIME, struct.pack("!I", lifetime))])

    def permit(self, ip, port=0):
        transaction = os.urandom(12)
        if self.nonce is None:
            self.request(CREATE_PERMISSION)
        return self.request(CREATE_PERMISSION, [(PEER, xor_address(ip, port, transaction))], transaction)

    def bind_channel(self, number, ip, port):
        transaction = os.urandom(12)
        return self.request(CHANNEL_BIND, [(CHANNEL_NUMBER, struct.pack("!H2x", number)),
                                           (PEER, xor_address(ip, port, transaction))], transaction)

    def send_to(self, ip, port, payload):
        transaction = os.urandom(12)
        attributes = [(PEER, xor_address(ip, port, transaction)), (PAYLOAD, payload)]
        self.send(build(INDICATION, SEND, attributes, transaction=transaction))

    def send_channel(self, number, payload):
        self.send(struct.pack("!HH", number, len(payload)) + payload)
