"""Allocations at a steady rate, each by a client of its own: challenged, made, and ended again."""
import selectors
import socket
import time

import stun


class Attempt:
    """One client on its way: a challenge, an allocation, its end."""

    def __init__(self, server, user, password):
        self.user, self.password, self.realm, self.nonce = user, password, None, None
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.connect(server)
        self.began, self.took, self.code, self.ended = time.monotonic(), None, None, False
        self.send(stun.ALLOCATE, [(stun.TRANSPORT, stun.UDP)])

    def send(self, method, attributes):
        key = None
        if self.nonce:
            attributes = [*attributes, (stun.USERNAME, self.user.encode()), (stun.REALM, self.realm), (stun.NONCE, self.nonce)]
            key = stun.long_term_key(self.user, self.realm, self.password)
        self.socket.send(stun.build(stun.REQUEST, method, attributes, key))

    def receive(self):
        """Takes one answer. `took` is the time to the answer that decided it; `code` 0 a success."""
        answer = stun.Message(self.socket.recv(65536))
        if answer.method != stun.ALLOCATE:
            self.ended = True
        elif answer.code == 401 and not self.nonce:
            self.realm, self.nonce = answer.attributes[stun.REALM], answer.attributes[stun.NONCE]
            self.send(stun.ALLOCATE, [(stun.TRANSPORT, stun.UDP)])
        else:
            self.took, self.code = time.monotonic() - self.began, answer.code
            if answer.code == 0:
                self.send(stun.REFRESH, [(stun.LIFETIME, bytes(4))])
            else:
                self.ended = True


def run(server, credentials, rate, seconds, patience=3.0, during=None):
    """`credentials(n)`: user and password of the n-th. `during(elapsed)` is called all along. Returns the attempts, in order."""
    selector, attempts = selectors.DefaultSelector(), []
    began = time.monotonic()
    count = int(rate * seconds)
    while (now := time.monotonic()) < began + seconds + patience:
        while len(attempts) < count and now >= began + len(attempts) / rate:
            attempt = Attempt(server, *credentials(len(attempts)))
            selector.register(attempt.socket, selectors.EVENT_READ, attempt)
            attempts.append(attempt)
        if len(attempts) == count and not selector.get_map():
            break
        due = began + len(attempts) / rate if len(attempts) < count else now + 0.05
        for key, _ in selector.select(max(0, min(due - now, 0.05))):
            attempt = key.data
            attempt.receive()
            if attempt.ended:
                selector.unregister(attempt.socket)
                attempt.socket.close()
        if during:
            during(time.monotonic() - began)
    for key in list(selector.get_map().values()):
        selector.unregister(key.fileobj)
        key.fileobj.close()
    return attempts


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
