"""Opens many connections that say nothing, and as many that send a byte a second; opens them again when they are closed.

slow_clients.py COUNT TLS-PORT TCP-PORT

One half of either goes to each port. Prints "open N" again and again, until it is ended.
"""
import select
import socket
import sys
import time

IP_BIND_ADDRESS_NO_PORT = 24
CLIENT_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256))
ALLOCATE = b"\x00\x03\x01\x00\x21\x12\xa4\x42" + bytes(range(256))


class Slow:
    """One of them, and its connection while there is one."""

    def __init__(self, number, port, words):
        self.source = (f"127.{1 + number % 100}.{number // 100 % 100}.1", 0)
        self.port, self.words = port, words

    def connect(self):
        self.socket, self.sent = socket.socket(), 0
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        self.socket.bind(self.source)
        self.socket.connect_ex(("127.0.0.1", self.port))

    def say(self):
        try:
            self.sent += self.socket.send(self.words[self.sent:self.sent + 1])
        except OSError:
            pass

    def ended(self):
        try:
            return not self.socket.recv(4096)
        except BlockingIOError:
            return False
        except OSError:
            return True


def main():
    count, tls, tcp = map(int, sys.argv[1:])
    ports = [(tls, CLIENT_HELLO), (tcp, ALLOCATE)]
    away = [Slow(n, ports[n % 2][0], ports[n % 2][1] if n >= count else b"") for n in range(2 * count)]
    poll, there, due = select.epoll(), {}, time.monotonic()
    while True:
        for slow in [away.pop() for _ in range(min(500, len(away)))]:
            slow.connect()
            there[slow.socket.fileno()] = slow
            poll.register(slow.socket, select.EPOLLIN)
        print(f"open {len(there)}", flush=True)
        for fd, _ in poll.poll(0.05):
            if there[fd].ended():
                there[fd].socket.close()
                away.append(there.pop(fd))
        if time.monotonic() >= due:
            due += 1
            for slow in there.values():
                slow.say()


if __name__ == "__main__":
    main()
