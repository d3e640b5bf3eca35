"""Clients over TCP, TLS and DTLS: stun.Client with other sockets below."""
import socket
import ssl
import struct
import time

from OpenSSL import SSL

import stun

DTLS_RECORD_HEADER = 13


class Closed(ConnectionError):
    """The server ended the connection."""


def padded(data):
    return data + bytes(-len(data) % 4)


def frame_length(data):
    """Bytes of the message in front of a stream, 0 if its header is not there yet (RFC 8489 6.2.2, RFC 8656 12.5)."""
    if len(data) < 4:
        return 0
    length = struct.unpack("!H", data[2:4])[0]
    return 20 + length if data[0] < 0x40 else 4 + length + -length % 4


def tls_context(authority=None, **versions):
    """For clients of a server whose certificate `authority` (a file) issued; without one nothing is verified."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = authority is not None
    context.verify_mode = ssl.CERT_REQUIRED if authority else ssl.CERT_NONE
    if authority:
        context.load_verify_locations(authority)
    for name, version in versions.items():
        setattr(context, name, version)
    return context


class Tcp(stun.Client):
    """`tls` is an SSLContext, `name` what SNI says, and `header` is sent in front of everything."""

    def __init__(self, server, *arguments, tls=None, name=None, header=b"", seconds=10, **credentials):
        self.tls, self.name, self.header, self.seconds = tls, name, header, seconds
        super().__init__(server, *arguments, **credentials)

    def open(self, bind):
        self.received = b""
        self.socket = socket.socket(self.family, socket.SOCK_STREAM)
        try:
            self.socket.settimeout(self.seconds)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if bind:
                self.socket.bind(bind)
            self.socket.connect(self.server)
            self.local = self.socket.getsockname()[:2]
            if self.header:
                self.socket.sendall(self.header)
            if self.tls:
                self.socket = self.tls.wrap_socket(self.socket, server_hostname=self.name)
        except BaseException:
            self.socket.close()
            raise

    def send(self, data):
        self.socket.settimeout(self.seconds)
        self.socket.sendall(padded(data))

    def receive_now(self, seconds):
        deadline = time.monotonic() + max(seconds, 0.001)
        while not (length := frame_length(self.received)) or len(self.received) < length:
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(65536)
            except TimeoutError:
                return None
            if not data:
                raise Closed("the server ended the connection")
            self.received += data
        message, self.received = self.received[:length], self.received[length:]
        return message, self.server[0]

    def ended(self, seconds):
        """Whether the server ends the connection in time; what it says before that is left in `received`."""
        deadline = time.monotonic() + seconds
        try:
            while (left := deadline - time.monotonic()) > 0:
                self.socket.settimeout(left)
                data = self.socket.recv(65536)
                if not data:
                    return True
                self.received += data
        except TimeoutError:
            return False
        except (ConnectionError, ssl.SSLError):
            return True
        return False


class Dtls(stun.Client):
    """Owns its UDP socket, so that a case can send from the same address what is no DTLS of this session."""

    def open(self, bind):
        super().open(bind)
        self.socket.connect(self.server)
        self.local = self.socket.getsockname()[:2]
        self.session = self.begin()
        self.shake(self.session)

    @staticmethod
    def begin():
        """A session whose ClientHello has not been sent."""
        context = SSL.Context(SSL.DTLS_METHOD)
        context.set_verify(SSL.VERIFY_NONE)
        session = SSL.Connection(context, None)
        session.set_connect_state()
        session.set_ciphertext_mtu(1200)
        return session

    def shake(self, session, seconds=10):
        deadline = time.monotonic() + seconds
        while True:
            try:
                session.do_handshake()
                return self.flush(session)
            except SSL.WantReadError:
                self.flush(session)
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("no DTLS handshake")
            self.socket.settimeout(left)
            session.bio_write(self.socket.recv(65536))

    def records(self, session):
        """What the session wants sent, one record a datagram."""
        records = []
        try:
            data = session.bio_read(1 << 18)
        except SSL.WantReadError:
            return records
        while data:
            length = DTLS_RECORD_HEADER + struct.unpack("!H", data[11:13])[0]
            records.append(data[:length])
            data = data[length:]
        return records

    def flush(self, session):
        for record in self.records(session):
            self.socket.send(record)

    def send(self, data):
        self.session.send(data)
        self.flush(self.session)

    def receive_now(self, seconds):
        deadline = time.monotonic() + max(seconds, 0.001)
        while True:
            try:
                return self.session.recv(65536), self.server[0]
            except SSL.WantReadError:
                self.flush(self.session)
            except SSL.ZeroReturnError as end:
                raise Closed("the server ended the session") from end
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            self.socket.settimeout(left)
            try:
                datagram = self.socket.recv(65536)
            except TimeoutError:
                return None
            self.session.bio_write(datagram)

    def shut_down(self):
        """Sends close_notify."""
        self.session.shutdown()
        self.flush(self.session)
