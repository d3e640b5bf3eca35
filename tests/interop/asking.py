"""Allocations asked for at a steady rate by many clients that have been challenged before, and which of them were let in when.

A client asks again and again on its 5-tuple: whoever is let in lets the allocation go at once, so that a rate is asked and nothing else."""
import collections
import hmac
import os
import select
import socket
import time

import stun

ANSWER_S, SETTLE_S = 1.0, 0.5
MUCH = 1 << 30


class Client:
    """A socket with a nonce. `asked`: when; None: it is not waiting. `going`: it waits for the end of its allocation."""

    def __init__(self, server, instance, user, password):
        self.instance, self.user, self.password = instance, user.encode(), password
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.connect(server)
        self.asked, self.going, self.transaction, self.key, self.credentials = None, False, None, None, b""

    def send(self, method, body):
        self.transaction = os.urandom(12)
        body += self.credentials
        message = stun.header(stun.REQUEST, method, len(body) + (24 if self.key else 0), self.transaction) + body
        if self.key:
            message += stun.attribute(stun.INTEGRITY, hmac.digest(self.key, message, "sha1"))
        self.socket.send(message)

    def ask(self, now):
        self.asked, self.going = now, False
        self.send(stun.ALLOCATE, stun.attribute(stun.TRANSPORT, stun.UDP))

    def let_go(self):
        self.going = True
        self.send(stun.REFRESH, stun.attribute(stun.LIFETIME, bytes(4)))

    def receive(self):
        """(method, code of an error or 0) of the answer that is waited for, or None."""
        try:
            data = self.socket.recv(2048)
        except (BlockingIOError, ConnectionError):
            return None
        if data[8:20] != self.transaction:
            return None
        if data[0] & 1 == 0:
            return stun.ALLOCATE if not self.going else stun.REFRESH, 0
        answer = stun.Message(data)
        if answer.code == 401 and not self.key:
            realm, nonce = answer.attributes[stun.REALM], answer.attributes[stun.NONCE]
            self.key = stun.long_term_key(self.user.decode(), realm, self.password)
            self.credentials = b"".join(stun.attribute(number, value) for number, value in
                                        ((stun.USERNAME, self.user), (stun.REALM, realm), (stun.NONCE, nonce)))
        return answer.method, answer.code


class Crowd:
    """`per_instance` clients of each of `servers`, which are added to by `join`."""

    def __init__(self, servers, per_instance=150, user="u", password="p"):
        self.per_instance, self.user, self.password = per_instance, user, password
        self.poll, self.clients, self.idle = select.epoll(), {}, []
        for server in servers:
            self.join(server)

    def join(self, server):
        """Clients of one more instance; returns when all have been challenged."""
        instance = len(self.idle)
        self.idle.append(collections.deque())
        new = [Client(server, instance, self.user, self.password) for _ in range(self.per_instance)]
        for client in new:
            self.clients[client.socket.fileno()] = client
            self.poll.register(client.socket, select.EPOLLIN)
        deadline = time.monotonic() + 10
        while waiting := [client for client in new if not client.key]:
            if (now := time.monotonic()) > deadline:
                raise ConnectionError(f"{len(waiting)} clients of {server} draw no challenge")
            for client in waiting:
                if client.asked is None or client.asked < now - ANSWER_S:
                    client.ask(now)
            self.answers(0.01)
        for client in new:
            client.asked = None
        self.idle[instance].extend(new)

    def answers(self, seconds):
        """(client, method, code) of what has come."""
        return [(client, *answer) for number, _ in self.poll.poll(max(seconds, 0))
                for client in (self.clients[number],) if (answer := client.receive())]

    def close(self):
        for client in self.clients.values():
            client.socket.close()
        self.poll.close()


class Asked:
    """What came of it: `admitted` has (sent, received, instance), in the order of their answers."""

    def __init__(self):
        self.count, self.admitted, self.refused, self.lost = 0, [], collections.Counter(), 0
        self.began = self.ended = 0.0

    def of(self, instance):
        return sum(1 for _, _, where in self.admitted if where == instance)

    @property
    def seconds(self):
        return self.ended - self.began

    def between(self, first, last):
        """Admitted in these seconds from the beginning, by when the answers came."""
        return [a for a in self.admitted if first <= a[1] - self.began < last]

    def excess(self, rate, since=0.0):
        """The most, over all stretches of time from `since` on, that was admitted beyond the rate: a burst's worth."""
        admitted = [a for a in self.admitted if a[0] - self.began >= since]
        events = sorted([(sent, 0) for sent, _, _ in admitted] + [(received, 1) for _, received, _ in admitted])
        sent = received = 0
        start, most = -MUCH, 0.0
        for at, done in events:
            if done:
                received += 1
                most = max(most, received - rate * at + start)
            else:
                start = max(start, rate * at - sent)
                sent += 1
        return most


def ask(crowd, rate, seconds, during=None):
    """Asks all instances in turn. `during(elapsed)` is called all along."""
    out = Asked()
    out.began = now = time.monotonic()
    busy = collections.deque()
    while now < out.began + seconds + SETTLE_S:
        due = min(int((now - out.began) * rate) + 1, int(rate * seconds)) - out.count
        for _ in range(due):
            idle = crowd.idle[out.count % len(crowd.idle)]
            out.count += 1
            client = idle.popleft() if idle else None
            if client:
                client.ask(now)
                busy.append((now, client))
            else:
                out.lost += 1
        take(crowd, out)
        while busy and busy[0][0] < now - ANSWER_S:
            since, client = busy.popleft()
            if client.asked == since:
                client.asked = None
                crowd.idle[client.instance].append(client)
                out.lost += 1
        if during:
            during(now - out.began)
        now = time.monotonic()
    out.ended = out.began + seconds
    return out


def take(crowd, out):
    for client, method, code in crowd.answers(0.001):
        if client.asked is None:
            continue
        if method == stun.ALLOCATE and code == 0:
            out.admitted.append((client.asked, time.monotonic(), client.instance))
            client.let_go()
            continue
        if method == stun.ALLOCATE:
            out.refused[code] += 1
        client.asked = None
        crowd.idle[client.instance].append(client)


def refusals(asked):
    return ", ".join(f"{count} {code}" for code, count in sorted(asked.refused.items())) or "none"

