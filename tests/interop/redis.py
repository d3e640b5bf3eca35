"""Users, secrets and revocations that come from a real Redis, and what goes on while it does not answer."""
import hashlib
import json
import pathlib
import re
import signal
import socket
import time

import stun
from admin import clean, get, scrape, turnpikectl, with_admin
from harness import CONFIG, PASSWORD, REALM, SECRET, USER, Process, case, expect, listening_peer, until
from process import refused

PORT = 6379
CANARY = "canary-redis-password"
OTHER_REALM = "second.test"
UNREACHABLE_S = 2.0
SECRETS_S = 11.0


class Redis(Process):
    """A redis-server of this lab's own; `ask` is one command over a connection of its own."""

    def __init__(self, lab, name="redis", password=CANARY):
        self.password = password
        super().__init__(lab, name, ["redis-server", "--port", PORT, "--bind", "127.0.0.1", "--requirepass", password, "--save", "",
                                     "--appendonly", "no", "--dir", lab.folder])
        until(self.answers, 10, lambda: f"redis-server does not answer:\n{self.output()}")

    def answers(self):
        try:
            return self.ask("PING", password=self.password) == b"+PONG"
        except OSError:
            return False

    @staticmethod
    def ask(*command, password=CANARY):
        """The first line of the reply."""
        with socket.create_connection(("127.0.0.1", PORT), timeout=5) as link:
            for words in (("AUTH", password), command):
                parts = [w if isinstance(w, bytes) else str(w).encode() for w in words]
                link.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
                reply = b""
                while b"\r\n" not in reply:
                    more = link.recv(4096)
                    if not more:
                        raise ConnectionError("redis-server closed the connection")
                    reply += more
            return reply.split(b"\r\n", 1)[0]

    def add_user(self, name, password, realm=REALM):
        """As coturn's turnadmin writes it."""
        key = hashlib.md5(f"{name}:{realm}:{password}".encode()).hexdigest()
        self.ask("SET", f"turn/realm/{realm}/user/{name}/key", key)

    def freeze(self):
        self.popen.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.popen.send_signal(signal.SIGCONT)

    def kill(self):
        self.popen.kill()
        self.popen.wait()

    def end(self, seconds=10):
        self.thaw()
        return super().end(seconds)


def with_redis(lab, host="127.0.0.1", config=CONFIG):
    config = config.replace("auth:\n", "auth:\n  redis_users: true\n  redis_secrets: true\n  key_negative_ttl: 1s\n")
    config = config.replace("limits: { ", "limits: { guesses_per_source: 0, guesses_per_prefix: 0, ")
    return with_admin(lab, config) + f'redis: {{ url: "redis://:{CANARY}@{host}:{PORT}" }}\n'


def ctl(lab, *arguments):
    """turnpikectl, over this lab's socket; returns what it printed."""
    code, out, errors = turnpikectl(lab, "--socket", lab.folder / "control.sock", *arguments)
    expect(code == 0, f"turnpikectl {arguments}: {code}\n{out}{errors}")
    return out


def redis_state(lab):
    _, _, body = get("/api/v1/status", where=str(lab.folder / "control.sock"))
    return json.loads(body)["redis"]


def wait_up(lab):
    until(lambda: redis_state(lab) == "up", 10, "the link to Redis does not come up")


def begin(lab, **options):
    """A Redis and a relay that is connected to it."""
    redis = lab.start(Redis)
    server = lab.server(with_redis(lab, **options))
    wait_up(lab)
    return redis, server


def allocate(lab, user, password, code=0):
    """One Allocate of a new client. Returns the client."""
    client = lab.client(user=user, password=password)
    answer = client.allocate()
    expect(answer is not None, f"{user}: no answer")
    expect(answer.code == code, f"{user}: {answer.code}, not {code}")
    return client


def lives(client):
    """Its allocation is there: a Refresh without one is 437, and 401 where its user is refused."""
    return client.refresh().code == 0


def finish(server):
    expect(CANARY not in server.output(), "the password of Redis is in the log")
    server.check()


@case
def redis_user_gets_an_allocation_and_loses_it_when_revoked(lab):
    redis, server = begin(lab)
    redis.add_user("ann", "pw-ann")
    redis.add_user("bob", "pw-bob")
    ann, bob = allocate(lab, "ann", "pw-ann"), allocate(lab, "bob", "pw-bob")
    allocate(lab, "ann", "wrong", 401)
    allocate(lab, "nobody", "pw-ann", 401)
    ctl(lab, "revoke", "--user", "ann")
    until(lambda: not lives(ann), 5, "the allocation of a revoked user goes on")
    expect(lives(bob), "another user's allocation has ended too")
    allocate(lab, "ann", "pw-ann", 401)
    values, text = scrape()
    clean(text)
    expect(values["turnpike_redis_up"] == 1 and values["turnpike_redis_rtt_seconds"] > 0, "the link's state in the metrics")
    expect(values["turnpike_revocations_active"] == 1, "revocations in force")
    expect(values['turnpike_allocations_total{result="revoked"}'] == 1, "allocations that a revocation has ended")
    expect(values["turnpike_requests_parked"] == 0, "requests wait for nothing")
    expect(values['turnpike_auth_failures_total{reason="revoked"}'] >= 1, "the refusal has another name")
    expect(values['turnpike_store_lookups_total{kind="user",result="found"}'] >= 2, "lookups that found somebody")
    expect(values['turnpike_store_lookups_total{kind="user",result="not_found"}'] >= 1, "lookups that found nobody")
    ctl(lab, "revoke", "--user", "ann", "--undo")
    until(lambda: lab.client(user="ann", password="pw-ann").allocate().code == 0, 5, "what was taken back still holds")
    expect(re.search(r"\brevoked\b.*\bid=\"?ann\b", server.output()), "the log does not say who was revoked")
    finish(server)


@case
def redis_frozen_stops_only_what_needs_it(lab):
    redis, server = begin(lab, config="workers: 1 # each remembers for itself what the store has said\n" + CONFIG)
    for name in ("ann", "bob"):
        redis.add_user(name, f"pw-{name}")
    ann = allocate(lab, "ann", "pw-ann")
    redis.freeze()
    late = lab.client(user="bob", password="pw-bob")
    for _ in range(10):
        started = time.monotonic()
        allocate(lab, USER, PASSWORD)
        allocate(lab, *stun.rest_credential(SECRET, "carol"))
        expect(time.monotonic() - started < 1, "users who need no Redis wait for it")
    started = time.monotonic()
    answer = late.allocate()
    expect(answer is not None and answer.code == 500, f"a user whom nobody remembers: {answer and answer.code}, not 500")
    expect(time.monotonic() - started < UNREACHABLE_S + 0.5, f"500 after {time.monotonic() - started:.2f} s")
    expect(lives(ann), "a live allocation needs Redis")
    allocate(lab, "ann", "pw-ann")
    until(lambda: redis_state(lab) == "down", 10, "nobody notices that Redis is frozen")
    started = time.monotonic()
    expect(late.allocate().code == 500, "let in while the link is down")
    expect(time.monotonic() - started < UNREACHABLE_S, "waits for a link that is known to be down")
    redis.thaw()
    wait_up(lab)
    allocate(lab, "bob", "pw-bob")
    until(lambda: all(word in server.output() for word in ("redis_down", "redis_up", "server=same")), 5,
          "the log does not tell of the link")
    values, text = scrape()
    clean(text)
    expect(values['turnpike_requests_refused_total{reason="store_unreachable"}'] >= 2, "500 for another reason")
    finish(server)


@case
def redis_killed_and_restarted_empty_learns_revocations_again(lab):
    redis, server = begin(lab)
    redis.add_user("ann", "pw-ann")
    allocate(lab, "ann", "pw-ann")
    ctl(lab, "revoke", "--user", "ann")
    allocate(lab, "ann", "pw-ann", 401)
    redis.kill()
    until(lambda: redis_state(lab) == "down", 10, "nobody notices that Redis is gone")
    allocate(lab, USER, PASSWORD)
    expect(lab.client(user="ann", password="pw-ann").allocate().code in (401, 500), "let in while Redis is gone")
    ctl(lab, "revoke", "--user", "bob")
    again = lab.start(Redis, "again")
    wait_up(lab)
    for name in ("ann", "bob"):
        again.add_user(name, f"pw-{name}")
        allocate(lab, name, f"pw-{name}", 401)
    until(lambda: "server=other" in server.output(), 5, "the log does not say that it is another Redis")

    def learned():
        keys = b""
        with socket.create_connection(("127.0.0.1", PORT), timeout=5) as link:
            link.sendall(f"AUTH {CANARY}\r\nSCAN 0 MATCH turnpike/* COUNT 1000\r\n".encode())
            time.sleep(0.2)
            keys = link.recv(65536)
        return b"turnpike/" in keys
    until(learned, 10, "the emptied Redis does not learn what was revoked")
    finish(server)


@case
def redis_instance_that_starts_knows_what_was_revoked(lab):
    """However many: the log names some and counts the rest."""
    _, first = begin(lab)
    for i in range(40):
        ctl(lab, "revoke", "--user", f"user-{i}")
    ctl(lab, "revoke", "--user", USER)
    # Told to Redis by now: an instance that ends says no more.
    until(lambda: int(Redis.ask("DBSIZE")[1:]) > 0, 5, "Redis is not told")
    time.sleep(0.5)
    expect(first.output().count(" revoked ") == 41, "what is revoked here is not named")
    first.check()
    server = lab.server(with_redis(lab), name="second")
    until(lambda: scrape()[0]["turnpike_revocations_active"] == 41, 5, "a new instance does not learn what was revoked")
    allocate(lab, USER, PASSWORD, 401)
    until(lambda: "revocations_learned" in server.output(), 3, "nothing is said of those that are not named")
    expect(server.output().count(" revoked ") == 32, "what another instance has revoked fills the log")
    finish(server)


@case
def redis_secrets_are_rotated_in_place(lab):
    redis, server = begin(lab)
    allocate(lab, *stun.rest_credential("first secret", "ann"), 401)
    redis.ask("SADD", f"turn/realm/{REALM}/secret", "first secret")
    started = time.monotonic()

    def let_in(secret):
        return lab.client(**dict(zip(("user", "password"), stun.rest_credential(secret, "ann")))).allocate().code == 0
    until(lambda: let_in("first secret"), SECRETS_S, "a secret that was added does not count")
    redis.ask("SADD", f"turn/realm/{REALM}/secret", "second secret")
    until(lambda: let_in("second secret"), SECRETS_S, "the next secret does not count")
    expect(let_in("first secret"), "secrets that overlap do not both count")
    redis.ask("SREM", f"turn/realm/{REALM}/secret", "first secret")
    until(lambda: not let_in("first secret"), SECRETS_S, "a secret that was taken away still counts")
    expect(let_in("second secret"), "the secret that is left does not count")
    expect(let_in(SECRET), "the configured secret does not count any more")
    log = server.output()
    expect("store_secrets" in log and re.search(r"redis-[0-9a-f]{8}", log), "the log does not name the secrets")
    for word in ("first secret", "second secret"):
        expect(word not in log, "a secret is in the log")
    print(f"three rotations in {time.monotonic() - started:.1f} s")
    finish(server)


@case
def redis_realm_added_by_a_reload_has_its_users(lab):
    listener = "proto: udp, addr: 127.0.0.1, port: 3478"
    redis, server = begin(lab, config=CONFIG + f"listen: [{{ {listener} }}]\n")
    redis.add_user("ann", "pw-ann")
    redis.add_user("ann", "pw-other", OTHER_REALM)
    ann = allocate(lab, "ann", "pw-ann")
    config = server.config.read_text().replace(listener, f"{listener}, realms: [{REALM}, {OTHER_REALM}]")
    server.config.write_text(config + f"realms: [{{ name: {OTHER_REALM}, redis_users: true }}]\n")
    expect("reloaded" in server.reload(), "the reload fails")
    other = lab.client(user="ann", password="pw-other")
    answer = other.allocate()  # takes the challenge, which carries the first realm
    expect(answer.code == 401, f"the password of another realm: {answer.code}")
    other.realm = OTHER_REALM.encode()
    answer = other.allocate()
    expect(answer.code == 0, f"a user of the new realm: {answer.code}")
    expect(lives(ann), "the reload has ended an allocation")
    allocate(lab, "ann", "pw-ann")
    finish(server)


def explain(lab, user, password):
    """The reason that `turnpikectl explain` gives."""
    path = lab.folder / "password"
    path.write_text(password)
    code, out, errors = turnpikectl(lab, "--socket", lab.folder / "control.sock", "explain", "--json", "--user", user,
                                    "--password-file", path)
    expect(code in (0, 1) or not out, f"explain {user}: {code} {errors}")
    expect(password not in out + errors, "explain repeats the password")
    answer = json.loads(out)
    expect(answer["accepted"] == (answer["reason"] == "none"), out)
    return answer["reason"]


@case
def redis_explain_asks_it_too(lab):
    redis, server = begin(lab)
    redis.add_user("ann", "pw-ann")
    seen = [explain(lab, *who) for who in (("ann", "pw-ann"), ("ann", "pw-bob"), ("nobody", "pw-ann"), (USER, PASSWORD + "x"))]
    expect(seen == ["none", "wrong_password", "unknown_user", "wrong_password"], seen)
    redis.ask("SADD", f"turn/realm/{REALM}/secret", "canary secret")
    until(lambda: explain(lab, *stun.rest_credential("canary secret", "ann")) == "none", SECRETS_S, "a secret of Redis is not known")
    ctl(lab, "revoke", "--user", "ann")
    expect(explain(lab, "ann", "pw-ann") == "revoked", "a revocation is not known")
    redis.freeze()
    started = time.monotonic()
    reason = explain(lab, "late", "pw-late")
    expect(reason == "store_unreachable", f"while Redis is frozen: {reason}")
    expect(time.monotonic() - started < 3, f"explained after {time.monotonic() - started:.1f} s")
    for word in ("pw-", "canary secret"):
        expect(word not in server.output(), "what was asked about is in the log")
    finish(server)


@case
def redis_leaves_no_secret_behind(lab):
    """Its password is in no argument, no answer and no core dump."""
    redis, server = begin(lab)
    redis.ask("SADD", f"turn/realm/{REALM}/secret", "canary secret")
    until(lambda: "store_secrets" in server.output(), SECRETS_S, "the secret is not read")
    seen = [pathlib.Path(f"/proc/{server.pid}/cmdline").read_text(), scrape()[1], server.output(),
            get("/api/v1/status", where=str(lab.folder / "control.sock"))[2]]
    for text in seen:
        expect("canary" not in text, f"a secret is to be seen: {text[:2000]}")
    limits = pathlib.Path(f"/proc/{server.pid}/limits").read_text()
    expect(re.search(r"^Max core file size +0 +0 ", limits, re.M), "core dumps are on")
    finish(server)


@case
def redis_is_nobodys_peer(lab):
    """By address: from the start. By name: as soon as the link is up. Whatever allow_peers says."""
    for host in ("127.0.0.1", "localhost"):
        lab.renew()
        nobodys_peer(lab, host)


def nobodys_peer(lab, host):
    redis, server = begin(lab, host=host)
    peer, port = listening_peer()
    client = allocate(lab, USER, PASSWORD)
    expect(client.permit("127.0.0.1").code == 0, "no permission for a peer beside Redis")
    before = server.dropped("peer_denied")
    client.send_to("127.0.0.1", PORT, b"PING\r\n")
    until(lambda: server.dropped("peer_denied") == before + 1, 5, "what is sent to Redis is not dropped")
    client.send_to("127.0.0.1", port, b"hello")
    expect(peer.recv(100) == b"hello", "a peer beside Redis is not reached")
    peer.close()
    expect(redis.answers(), "Redis is gone")
    finish(server)


@case
def redis_without_one_status_says_so(lab):
    server = lab.server(with_admin(lab))
    expect(redis_state(lab) is None, "a Redis that nobody has configured")
    values, _ = scrape()
    expect(values["turnpike_redis_up"] == 0, "the link's state in the metrics")
    expect("redis" not in server.output(), "the log tells of Redis")
    allocate(lab, "ann", "pw-ann", 401)
    ctl(lab, "revoke", "--user", USER)
    allocate(lab, USER, PASSWORD, 401)
    server.check()


@case
def redis_configured_wrong_does_not_start(lab):
    for url in ("http://localhost", "redis://", "redis://localhost:99999", "redis://localhost/x"):
        path = lab.folder / "bad.yaml"
        path.write_text(with_admin(lab) + f'redis: {{ url: "{url}" }}\n')
        refused(lab, ["redis.url"], "--config", path)
        refused(lab, ["redis.url"], "--config", path, "--check-config")
