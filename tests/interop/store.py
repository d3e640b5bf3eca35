"""Users that lie in Redis: in a database of Debian's coturn as it is, with Redis frozen, and with two instances on it."""
import pathlib
import subprocess
import time

import load
import stun
import uclient
from harness import CONFIG, PASSWORD, REALM, SECRET, USER, Process, case, expect, run_command, until
from redis import CANARY, PORT, Redis

DATABASE = f"ip=127.0.0.1 dbname=0 port={PORT} password={CANARY} connect_timeout=5"


def turn_keys():
    """Everything under turn/, with its values."""
    command = ["redis-cli", "-p", PORT, "--no-auth-warning", "-a", CANARY]
    keys = sorted(key for key in run_command(*command, "--scan", "--pattern", "turn/*").split("\n") if key)
    return {key: run_command(*command, "--no-raw", "dump", key) for key in keys}


def turnadmin(*arguments):
    return run_command("turnadmin", *arguments, "-r", REALM, "-N", DATABASE)


def config(auth="redis_users: true, redis_secrets: true", more=""):
    """CONFIG with other sources. `auth`: entries of the section."""
    head, tail = CONFIG.replace("limits: { ", "limits: { guesses_per_source: 0, guesses_per_prefix: 0, ").split("auth:\n")
    return head + f"auth: {{ {auth} }}\n" + tail[tail.index("limits:"):] + f"redis: {{ url: \"redis://:{CANARY}@127.0.0.1:{PORT}\" }}\n" + more


def connected(server):
    until(lambda: "redis_up" in server.output(), 10, lambda: f"no Redis:\n{server.output()}")


def answer_code(lab, user, password, server=("127.0.0.1", 3478)):
    """0: an allocation, which is ended again; else the code of the answer; None: no answer."""
    client = lab.client(server, user=user, password=password)
    answer = client.allocate()
    if answer and answer.kind == stun.SUCCESS:
        end = client.refresh(0)
        expect(end, f"{user}: no answer to Refresh")
        if end.kind != stun.SUCCESS:
            return end.code  # revoked in between
    client.close()
    return answer.code if answer else None


def coturn(lab, port, *credentials, no_tls=True):
    process = lab.start(Process, f"turnserver-{port}", [
        "turnserver", "--no-cli", "-n", "-L", "127.0.0.1", "-p", port, "--allow-loopback-peers", "-r", REALM, "--log-file", "stdout",
        "--simple-log", "-m", "1", *(["--no-tls", "--no-dtls"] if no_tls else []), "--pidfile", lab.folder / f"turnserver-{port}.pid",
        "--redis-userdb", DATABASE, *credentials])
    client = lab.client(("127.0.0.1", port))

    def answers():
        try:
            return client.exchange(stun.build(stun.REQUEST, stun.BINDING), tries=1, seconds=0.1)
        except ConnectionError:
            return None
    until(answers, 20, lambda: f"coturn answers nothing:\n{process.output()}")
    return ("127.0.0.1", port)


@case
def store_serves_a_database_of_coturn(lab):
    """Written by Debian's turnadmin, read by Turnpike and by coturn itself, and changed by neither."""
    redis = lab.start(Redis)
    turnadmin("-a", "-u", "alice", "-p", "wonderland")
    # coturn refuses such names; to Turnpike a name is bytes.
    redis.add_user("böb/../x %n", "pass word")
    turnadmin("-s", "database-secret")
    before = turn_keys()
    expect(len(before) == 3, f"turnadmin has written {sorted(before)}")
    server = lab.server(config())
    connected(server)
    long_term, rest = coturn(lab, 3578, "--lt-cred-mech"), coturn(lab, 3678, "--use-auth-secret")
    ours = ("127.0.0.1", 3478)
    user, password = stun.rest_credential("database-secret", "carol")
    for name, word, where in (("alice", "wonderland", (ours, long_term)), ("böb/../x %n", "pass word", (ours,)),
                              (user, password, (ours, rest))):
        codes = [answer_code(lab, name, word, address) for address in where]
        expect(not any(codes), f"{name}: {codes} of turnpike and coturn")
    for name, word in (("alice", "wonderlan"), ("alicf", "wonderland"), (user, password[:-1]), ("böb", "pass word")):
        expect(answer_code(lab, name, word) == 401, f"{name} with {word} is not refused")
    lab.peer()
    for port in (3478, 3578):
        uclient.run(["-c", "-p", str(port), *uclient.TO_PEER, "-n", "20"], credential=("-u", "alice", "-w", "wonderland"))
    expect(turn_keys() == before, "the database has changed")
    server.check()


@case
def store_learns_of_changes(lab):
    """A new user, another password, a user and a secret less: each after its time to live."""
    redis = lab.start(Redis)
    turnadmin("-a", "-u", "alice", "-p", "one")
    server = lab.server(config("redis_users: true, redis_secrets: true, key_ttl: 1s, key_negative_ttl: 1s"))
    connected(server)
    expect((answer_code(lab, "alice", "one"), answer_code(lab, "bob", "two")) == (0, 401), "as it was written")
    turnadmin("-a", "-u", "alice", "-p", "another")
    turnadmin("-a", "-u", "bob", "-p", "two")
    for name, word in (("alice", "another"), ("bob", "two")):
        until(lambda n=name, w=word: answer_code(lab, n, w) == 0, 5, f"{name}'s password does not come")
    until(lambda: answer_code(lab, "alice", "one") == 401, 5, "the password before is still good")
    turnadmin("-d", "-u", "bob")
    until(lambda: answer_code(lab, "bob", "two") == 401, 5, "bob has not gone")
    turnadmin("-s", "secret-of-today")
    user, password = stun.rest_credential("secret-of-today", "carol")
    until(lambda: answer_code(lab, user, password) == 0, 15, "the secret does not come")
    turnadmin("-X", "secret-of-today")
    expect(redis.ask("scard", f"turn/realm/{REALM}/secret") == b":0", "turnadmin has not taken it out")
    until(lambda: answer_code(lab, user, password) == 401, 15, "the secret has not gone")
    server.check()


@case
def store_frozen_stops_nobody_else(lab):
    """200 allocations a second by REST and static users while Redis hangs for 4 s; who lies in Redis alone is not let in.

    What the times are is measured by bench/outage."""
    redis = lab.start(Redis)
    turnadmin("-a", "-u", "alice", "-p", "wonderland")
    turnadmin("-a", "-u", "late", "-p", "wonderland")
    static = f"redis_users: true, users: [{{ name: {USER}, password: {PASSWORD} }}], secrets: [{{ id: a, secret: {SECRET} }}]"
    server = lab.server(config(static, "workers: 1\n"))  # each has a cache of its own
    connected(server)
    expect(answer_code(lab, "alice", "wonderland") == 0, "alice is not let in")

    others = {400: "late", 402: "alice"}

    def credentials(n):
        if n in others:
            return others[n], "wonderland"
        return (USER, PASSWORD) if n % 2 else stun.rest_credential(SECRET, f"caller{n}")
    steps = [(1.0, redis.freeze), (5.0, redis.thaw)]

    def during(elapsed):
        if steps and elapsed > steps[0][0]:
            steps.pop(0)[1]()
    attempts = load.run(("127.0.0.1", 3478), credentials, 200, 6, during=during)
    failed = [a.code for n, a in enumerate(attempts) if a.code != 0 and n not in others]
    expect(len(attempts) == 1200 and not failed, f"{len(failed)} of {len(attempts)} failed: {failed[:10]}")
    expect(attempts[402].code == 0, f"a cached user draws {attempts[402].code}")
    expect(attempts[400].code == 500, f"an uncached user draws {attempts[400].code}")
    expect(attempts[400].took < 3, f"after {attempts[400].took} s")
    until(lambda: answer_code(lab, "late", "wonderland") == 0, 15, "the user is not let in when Redis is back")
    server.check()


def control(lab, server, *words):
    """turnpikectl against this server; (exit code, what it printed)."""
    program = pathlib.Path(lab.daemon).parent.parent / "cli" / "turnpikectl"
    command = [program, *words, "--socket", lab.folder / f"{server.config.stem}.sock"]
    result = subprocess.run([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True, timeout=20, check=False)
    return result.returncode, result.stdout


def instance(lab, name, port, auth):
    """One of several on one Redis: (server, address)."""
    text = config(auth, f'listen: [{{ proto: udp, addr: "127.0.0.1", port: {port} }}]\n')
    server = lab.server(text.replace("socket: none", f"socket: {lab.folder}/{name}.sock"), ready=("127.0.0.1", port), name=name)
    connected(server)
    return server, ("127.0.0.1", port)


def ends_within(client, seconds):
    """How long it took until the client's allocation was gone."""
    began = time.monotonic()
    until(lambda: client.refresh(600).code in (401, 437), seconds, f"the allocation lives on for {seconds} s")
    return time.monotonic() - began


@case
def store_carries_revocations(lab):
    """Made at one instance: at once there, within 5 s at the other; live allocations end, and nothing new is let in."""
    redis = lab.start(Redis)
    turnadmin("-a", "-u", "alice", "-p", "wonderland")
    turnadmin("-a", "-u", "bob", "-p", "builder")
    auth = f"redis_users: true, secrets: [{{ id: a, secret: {SECRET} }}, {{ id: b, secret: other }}]"
    (a, at_a), (b, at_b) = instance(lab, "a", 3478, auth), instance(lab, "b", 4478, auth)
    clients = {}
    for user, password in (("alice", "wonderland"), ("bob", "builder"), stun.rest_credential(SECRET, "carol"),
                           stun.rest_credential("other", "dave")):
        for name, address in (("a", at_a), ("b", at_b)):
            client = clients[user.split(":")[-1], name] = lab.client(address, user=user, password=password)
            expect(client.allocate().kind == stun.SUCCESS, f"{user} at {name}")
    for words, user in ((("--user", "alice"), "alice"), (("--user", "carol"), "carol"), (("--secret", "b"), "dave")):
        code, text = control(lab, a, "revoke", *words)
        expect(code == 0, f"turnpikectl revoke {words}: {code}\n{text}")
        ends_within(clients[user, "a"], 1)
        ends_within(clients[user, "b"], 5)
        for name, address in (("a", at_a), ("b", at_b)):
            again = clients[user, name]
            expect(answer_code(lab, again.user, again.password, address) == 401, f"{user} is let in again at {name}")
    for name in ("a", "b"):
        expect(clients["bob", name].refresh(600).kind == stun.SUCCESS, f"bob has lost his allocation at {name}")
    # An emptied Redis learns them again, an instance that starts learns them from it.
    redis.ask("flushall")
    turnadmin("-a", "-u", "alice", "-p", "wonderland")
    c, at_c = instance(lab, "c", 5478, auth)
    until(lambda: answer_code(lab, "alice", "wonderland", at_c) == 401, 10, "a new instance does not know of it")
    code, text = control(lab, b, "revoke", "--user", "alice", "--undo")
    expect(code == 0, f"undo: {code}\n{text}")
    for where in (at_a, at_b, at_c):
        until(lambda w=where: answer_code(lab, "alice", "wonderland", w) == 0, 5, "what was taken back still holds")
    for one in (a, b, c):
        one.check()
