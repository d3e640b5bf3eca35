"""Clients of the soak: each process makes sessions one after the other, over all transports and of all kinds of users, has some of them
open at once, and ends each in one of the ways that clients end."""
import collections
import itertools
import multiprocessing
import random
import time

import posts
import stun
from harness import PASSWORD, SECRET, USER, listening_peer
from relaying import relays
from transports import Closed, Dtls, Tcp, tls_context

UDP, TCP, TLS = ("127.0.0.1", 3478), ("127.0.0.1", 3478), ("127.0.0.1", 5349)
OPEN_AT_ONCE, RESIDENTS, REFRESH_S, LIFETIME_S = 50, 4, 20, 60
NAMES, REDIS_USERS = 500, 10
DUAL = (stun.ADDITIONAL_FAMILY, b"\x02\0\0\0")
IPV6 = (stun.FAMILY, b"\x02\0\0\0")
EVEN_PORT = (0x18, b"\x80")
TRANSPORTS = ["udp", "udp", "tcp", "udp", "tls", "udp", "tcp", "dtls"]
USERS = ["static", "rest", "static", "rest", "redis", "static", "rest", "wrong"]
ATTRIBUTES = [(), (), (DUAL,), (), (EVEN_PORT,), (IPV6,)]
# Of 25 sessions: most say goodbye, some just go, one has to be forgotten, one is kicked.
ENDS = ["refresh"] * 14 + ["close"] * 9 + ["vanish", "kick"]
COUNTS = ("sessions", "allocations", "udp", "tcp", "tls", "dtls", "refresh", "close", "vanish", "kick", "refused", "without_redis")


class Unexpected(Exception):
    pass


def must(condition, text):
    if not condition:
        raise Unexpected(text)


class Session:
    """One client with an allocation that relays, both ways, by channel and by indication."""

    def __init__(self, worker, number, kind, user):
        self.kind, self.user, self.worker = kind, user, worker
        name, password = worker.credentials(user, number)
        where = (f"127.{1 + worker.number}.{number % 200}.1", 0)
        options = {"user": name, "password": password, "bind": where}
        if kind == "udp":
            self.client = stun.Client(UDP, **options)
        elif kind == "dtls":
            self.client = Dtls(TLS, **options)
        else:
            tls = {"tls": worker.context, "name": "turn.test"} if kind == "tls" else {}
            self.client = Tcp(TLS if tls else TCP, **options, **tls)
        try:
            self.relays(number)
        except BaseException:
            self.client.close()
            raise

    def relays(self, number):
        attributes = ATTRIBUTES[number % len(ATTRIBUTES)]
        answer = self.client.allocate(attributes)
        must(answer, f"{self.kind}: no answer to Allocate")
        self.code = answer.code
        if answer.code:
            return
        version = 6 if ":" in self.client.relayed[0] else 4
        peer, port = self.worker.peers[version]
        relays(self.client, peer, port)
        if version == 4:
            must(self.client.permit(f"127.200.{number % 250}.1").code == 0, "CreatePermission")

    def ended(self):
        """Whether the relay has none of it any more."""
        try:
            answer = self.client.refresh(LIFETIME_S)
        except (Closed, OSError):
            return True
        return answer is not None and answer.code == 437

    def end(self, how):
        must(self.client.refresh(LIFETIME_S).code == 0, f"{self.kind}: Refresh of a live allocation")
        if how == "kick":
            status, answer = posts.post(self.worker.socket, "/api/v1/kick", {"user": self.client.user})
            must(status == 200, f"kick: {status} {answer}")
            must(self.ended(), "an allocation that was kicked lives")
        elif how == "refresh":
            must(self.client.refresh(0).code == 0, f"{self.kind}: Refresh 0")
        if self.kind == "dtls" and how != "vanish":
            self.client.shut_down()
        if how == "vanish":
            self.worker.forgotten.append((time.monotonic(), self.client))
        else:
            self.client.close()


class Worker:
    """`shared`: counts, one for each of COUNTS; `unexpected`: a queue of what should not have been."""

    def __init__(self, number, socket, authority, shared, unexpected):
        self.number, self.socket, self.shared, self.unexpected = number, socket, shared, unexpected
        self.context = tls_context(authority)
        self.random = random.Random(number)
        self.peers = {4: listening_peer(), 6: listening_peer("::1")}
        self.open, self.residents = collections.deque(), []
        self.forgotten = collections.deque()  # their ports are kept from others until the relay has forgotten them as well

    def count(self, *names):
        with self.shared.get_lock():
            for name in names:
                self.shared[COUNTS.index(name)] += 1

    def credentials(self, user, number):
        if user == "rest":
            return stun.rest_credential(SECRET, f"caller{self.number}-{number % NAMES}")
        if user == "redis":
            return f"stored{number % REDIS_USERS}", "x"
        return USER, PASSWORD if user == "static" else "wrong"

    def begin(self, number):
        kind, user = TRANSPORTS[number % len(TRANSPORTS)], self.random.choice(USERS)
        session = Session(self, number, kind, user)
        self.count("sessions")
        if session.code == 0:
            self.count("allocations", kind)
            must(user != "wrong", "a wrong password is let in")
            return session
        session.client.close()
        # Without Redis, or before its users are there again, nobody can say who they are.
        may = {"wrong": (401, 500), "redis": (401, 500)}.get(user, ())
        must(session.code in may, f"{kind}, {user}: Allocate draws {session.code}")
        self.count("refused" if user == "wrong" else "without_redis")
        return None

    def reside(self):
        """Sessions that are there from the beginning to the end."""
        for number in range(RESIDENTS):
            self.residents.append(Session(self, number * len(ATTRIBUTES), ("udp", "tcp", "tls", "dtls")[number], "static"))
        self.refreshed = time.monotonic()

    def look_after_residents(self):
        if time.monotonic() - self.refreshed < REFRESH_S:
            return
        self.refreshed = time.monotonic()
        for session in self.residents:
            must(session.client.refresh(LIFETIME_S).code == 0, f"{session.kind}: Refresh of one that stays")
            relays(session.client, *self.peers[4])

    def run(self, rate, total, deadline):
        """`total` sessions, no more than `rate` a second."""
        begun = time.monotonic()
        self.reside()
        for number in itertools.count():
            if number >= total or time.monotonic() > deadline:
                break
            time.sleep(max(0, begun + number / rate - time.monotonic()))
            self.guarded(self.step, number)
        while self.open:
            self.guarded(self.end_oldest)
        for session in self.residents:
            self.guarded(session.end, "refresh")
        for _, client in self.forgotten:
            client.close()

    def step(self, number):
        self.look_after_residents()
        while self.forgotten and time.monotonic() - self.forgotten[0][0] > LIFETIME_S + 5:
            self.forgotten.popleft()[1].close()
        session = self.begin(number)
        if session:
            self.open.append(session)
        if len(self.open) > OPEN_AT_ONCE:
            self.end_oldest()

    def end_oldest(self):
        session = self.open.popleft()
        how = self.random.choice(ENDS)
        if how == "kick" and session.user != "rest" or how == "close" and session.kind == "udp":
            how = "refresh"
        session.end(how)
        self.count(how)

    def guarded(self, step, *arguments):
        """One session that goes wrong is said, and is not the end."""
        try:
            step(*arguments)
        except Exception as error:  # pylint: disable=broad-except
            self.unexpected.put(f"{type(error).__name__}: {error}")


def work(number, socket, authority, shared, unexpected, rate, total, deadline):
    random.seed(number)
    Worker(number, socket, authority, shared, unexpected).run(rate, total, deadline)
    unexpected.close()


class Crowd:
    """`processes` of them, which share the work."""

    def __init__(self, processes, socket, authority):
        self.processes, self.socket, self.authority = processes, socket, authority
        self.shared = multiprocessing.Array("q", len(COUNTS))
        self.unexpected = multiprocessing.Queue()

    def counts(self):
        return dict(zip(COUNTS, self.shared[:]))

    def start(self, rate, total, longest):
        """So many sessions in all, no faster than `rate` a second, in `longest` seconds."""
        deadline = time.monotonic() + longest
        self.running = [multiprocessing.Process(target=work, daemon=True, args=(
            n, self.socket, self.authority, self.shared, self.unexpected, rate / self.processes, total // self.processes, deadline))
            for n in range(self.processes)]
        for process in self.running:
            process.start()

    def at_work(self):
        return any(process.is_alive() for process in self.running)

    def said(self):
        found = []
        while not self.unexpected.empty():
            found.append(self.unexpected.get())
        return found

    def failed(self):
        return [f"a process of clients ended with {p.exitcode}" for p in self.running if p.exitcode]
