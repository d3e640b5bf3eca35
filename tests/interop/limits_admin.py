"""Limits that two instances share through Redis, as operators see them: what is held at once, wrong passwords, what
`turnpikectl limits`, the metrics and the log say, and what becomes of it when Redis hangs or an instance stops."""
import json
import re
import time

import stun
from admin import clean, get, scrape, turnpikectl, with_admin
from harness import CONFIG, PASSWORD, REALM, USER, case, expect, until
from posts import challenged, guess
from redis import CANARY, PORT, Redis

PORTS = (3478, 3578)


def config(lab, number, limits, redis=""):
    text = CONFIG.replace("relay:\n", f"relay:\n  ports: {50000 + 1000 * number}-{50999 + 1000 * number}\n")
    text = text.replace("auth:\n", "auth:\n  nonce_secret: the same on all instances\n")
    text = re.sub("limits: .*", f"limits: {{ {limits} }}", text)
    text += f"listen: [{{ proto: udp, addr: 127.0.0.1, port: {PORTS[number]} }}]\n"
    text += f'redis: {{ url: "redis://:{CANARY}@127.0.0.1:{PORT}"{redis} }}\n'
    where = {"listen": "none"} if number else {}
    return with_admin(lab, text, socket=socket_of(lab, number), **where)


def socket_of(lab, number):
    return lab.folder / f"control{number}.sock"


def begin(lab, limits, redis="", count=2):
    """A Redis and instances that count each other."""
    store = lab.start(Redis)
    servers = [lab.server(config(lab, n, limits, redis), ready=("127.0.0.1", PORTS[n]), name=f"instance{n}") for n in range(count)]
    for n in range(count):
        until(lambda n=n: shown(lab, n)["instances"] == count and shown(lab, n)["sharing"] == "shared", 10, f"{n} does not count {count}")
    return store, servers


def shown(lab, number, *arguments):
    code, out, errors = turnpikectl(lab, "--socket", socket_of(lab, number), "limits", "--json", *arguments)
    expect(code == 0, f"turnpikectl limits {arguments}: {code} {errors}")
    return json.loads(out)


def of(lab, number, kind, scope, *arguments):
    """One limit, as instance `number` shows it."""
    found = [item for item in shown(lab, number, *arguments)[kind] if item["scope"] == scope]
    expect(len(found) == 1, f"{scope}: {found}")
    return found[0]


def allocate(lab, number, **options):
    """(client, code)"""
    client = lab.client(("127.0.0.1", PORTS[number]), **options)
    answer = client.allocate()
    expect(answer is not None, "no answer to an Allocate")
    return client, answer.code


def finish(servers):
    for server in servers:
        expect(CANARY not in server.output(), "the password of Redis is in the log")
        server.check()


@case
def limits_of_what_is_held_are_the_fleets(lab):
    """Three of a user at once: one more than that while the second has not heard, none after it has."""
    _, servers = begin(lab, "allocations_per_user: 3")
    held = [allocate(lab, 0)[0] for _ in range(3)]
    until(lambda: of(lab, 0, "quotas", "user", "--user", USER)["unreported"] == 0, 5, "what is held is not reported")
    first, code = allocate(lab, 1)
    until(lambda: of(lab, 1, "quotas", "user", "--user", USER)["elsewhere"] == 3, 5, "what is held elsewhere is not heard")
    codes = [allocate(lab, n)[1] for n in (1, 0, 1)]
    expect(codes == [486] * 3, f"over the limit: {codes}")
    quota = of(lab, 1, "quotas", "user", "--user", USER)
    expect((quota["limit"], quota["here"], quota["shared"]) == (3, int(code == 0), True), f"{quota}")
    for client in (*held[:2], *([first] if code == 0 else [])):
        expect(client.refresh(0).code == 0, "an allocation does not end")

    def let_in():
        return allocate(lab, 1)[1] == 0
    until(let_in, 10, "what was given back here is not to be had elsewhere")
    until(lambda: scrape()[0]["turnpike_limits_shared"] == 1, 5, "the metrics do not say shared")
    values, text = scrape()
    clean(text)
    expect(values["turnpike_limit_instances"] == 2, "instances, in the metrics")
    expect(values['turnpike_limit_reports_total{kind="quota",result="answered"}'] > 0, "reports are not counted")
    expect(values['turnpike_ratelimit_hits_total{scope="user"}'] >= 1, "what was refused is not counted")
    # What an instance held that stops is to be had at once; the one that is killed is counted as gone after 30 s.
    expect(servers[0].end() == 0, "it does not stop")
    started = time.monotonic()
    until(lambda: of(lab, 1, "quotas", "user", "--user", USER)["here"] == 3 or let_in() is None, 10,
          "what a stopped instance held is still held")
    print(f"all to be had {time.monotonic() - started:.1f} s after the other has stopped")
    finish(servers[1:])


@case
def threat_19_guesses_count_for_all_instances(lab):
    """Ten at once for an address and a user; u is 2, so that 10 + 2 * 2 and one a second is the bound."""
    _, servers = begin(lab, "guesses_per_user: 0, guesses_per_prefix: 0, guesses_per_source: 60/min burst 10")
    places = [("127.0.0.1", port) for port in PORTS]
    codes = []
    clients = [challenged(lab, "127.0.0.9", server=places[i % 2]) for i in range(24)]
    started = time.monotonic()
    for i, client in enumerate(clients):
        codes.append(guess(client, f"canary-guess-{i}", seconds=0.2))
        if len(codes) < 12:
            time.sleep(0.05)
    took = time.monotonic() - started
    tried = codes.count(401)
    print(f"{tried} of {len(codes)} guesses at two instances within {took:.1f} s were answered: {codes}")
    expect(set(codes) == {401, None} and 10 <= tried <= 14 + took, f"{codes}")
    level = of(lab, 0, "rates", "guesses_source", "--user", USER, "--address", "127.0.0.9")
    expect(level["shared"] and level["fleet"]["left"] <= 2, f"{level}")
    for place in places:
        expect(guess(challenged(lab, "127.0.0.10", server=place), PASSWORD) == 0, "the same user from another address")
    for server in servers:
        expect("canary-guess" not in server.output(), "a guess in the log")
    finish(servers)


@case
def limits_go_on_without_redis_as_configured(lab):
    """local: each has its part. deny: new allocations are refused; those that are there, and Refresh, do not ask."""
    for on_failure in ("local", "deny"):
        lab.renew()
        limits_without_redis(lab, on_failure)


def limits_without_redis(lab, on_failure):
    store, servers = begin(lab, "allocations_per_user: 100, allocation_rate_per_user: 1000/s", f", on_failure: {on_failure}")
    until(lambda: "limits_shared" in servers[0].output(), 5, "the log does not say that limits are shared")
    live, code = allocate(lab, 0)
    expect(code == 0, f"not let in: {code}")
    store.freeze()
    until(lambda: shown(lab, 0)["sharing"] == "alone", 5, "a Redis that hangs goes unnoticed")
    code = 0 if on_failure == "local" else 508
    until(lambda: allocate(lab, 0)[1] == code, 5, f"{on_failure}: not {code} while Redis hangs")
    expect(live.refresh().code == 0, "a Refresh is refused while Redis hangs")
    until(lambda: "limits_alone" in servers[0].output(), 5, "the log does not say that limits are not shared")
    status, out, _ = turnpikectl(lab, "--socket", socket_of(lab, 0), "limits", "--user", USER)
    expect(status == 0 and "alone" in out and "fleet: unknown" in out, out)
    until(lambda: scrape()[0]["turnpike_limits_shared"] == 0, 5, "the metrics still say shared")
    if on_failure == "deny":
        expect(scrape()[0]['turnpike_ratelimit_hits_total{scope="unreachable"}'] > 0, "what is refused for that is not counted")
    store.thaw()
    until(lambda: shown(lab, 0)["sharing"] == "shared", 15, "limits are not shared again")
    until(lambda: allocate(lab, 0)[1] == 0, 5, "nobody is let in again")
    until(lambda: servers[0].output().count("limits_shared") == 2, 5, "the log does not say that they are shared again")
    finish(servers)


@case
def limits_of_somebody_are_shown_and_nothing_is_charged(lab):
    _, servers = begin(lab, "allocation_rate_per_user: 10/s burst 50, allocations_per_user: 20, bandwidth_per_user: 8mbit", count=1)
    who = ("--user", USER, "--address", "127.0.0.1")
    expect(allocate(lab, 0)[1] == 0, "not let in")
    time.sleep(6)  # an epoch begins with a full bucket's time
    for _ in range(6):  # once a second control looks by itself
        expect(allocate(lab, 0)[1] == 0, "not let in")
        until(lambda: of(lab, 0, "quotas", "user", *who)["unreported"] == 0, 0.5, "what is held is not reported at once")
    time.sleep(1)
    for _ in range(20):
        rate = of(lab, 0, "rates", "allocation_rate_user", *who)
    expect(rate["limit"] == {"count": 10, "period_s": 1, "burst": 50} and rate["fleet"]["left"] == 50, f"{rate}")
    expect(rate["here"] == {"left": 50, "unreported": 0, "owed": 0, "denied_ms": 0, "silent": False}, f"{rate}")
    everything = shown(lab, 0, *who)
    expect(everything["bandwidth"]["user"] == 1000000, f"{everything}")
    expect(shown(lab, 0)["rates"] == [], "rates of nobody")
    code, out, _ = turnpikectl(lab, "--socket", socket_of(lab, 0), "limits", *who)
    expect(code == 0 and re.search(r"allocation_rate_user +10/s burst 50 +here: 50 left of its part.*fleet: 50 left", out), out)
    expect("8000 kbit/s" in out, out)
    for arguments, expected in ((("--realm", "nowhere"), 1), (("--address", "nowhere"), 1), (("alice",), 2)):
        code, out, errors = turnpikectl(lab, "--socket", socket_of(lab, 0), "limits", *arguments)
        lines = len(errors.splitlines())  # wrong usage says where help is, too
        expect((code, out, lines) == (expected, "", expected), f"{arguments}: {code} {out}{errors}")
    canary = ("--user", "canary-user", "--address", "198.51.100.77")
    shown(lab, 0, *canary)
    for text in (servers[0].output(), scrape()[1]):
        for word in canary[1::2]:
            expect(word not in text, f"{word} is in the log or the metrics")
    finish(servers)


@case
def limits_that_are_not_shared_say_so(lab):
    for redis in ("", f'redis: {{ url: "redis://:{CANARY}@127.0.0.1:{PORT}", limits: false }}\n'):
        lab.renew()
        if redis:
            lab.start(Redis)
        server = lab.server(with_admin(lab, CONFIG + redis))
        found = json.loads(turnpikectl(lab, "--socket", lab.folder / "control.sock", "limits", "--json", "--realm", REALM)[1])
        expect((found["sharing"], found["instances"]) == ("own", 1), f"{found}")
        expect(scrape()[0]["turnpike_limits_shared"] == 0, "the metrics say shared")
        expect("limits_" not in server.output(), "the log tells of sharing")
        expect(get("/live")[0] == 200, "not alive")
        client = lab.client()
        expect(client.allocate().kind == stun.SUCCESS, "not let in")
        if redis:
            time.sleep(6)
            expect(Redis.ask("DBSIZE") == b":0", "something of limits is in Redis")
        server.check()
