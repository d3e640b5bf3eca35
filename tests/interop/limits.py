"""Limits that three instances share through a real Redis: 1000 Allocates a second against 100/s with a burst of 100, in normal
running and with Redis frozen, killed, failed over and out of reach. What was admitted stays within the bounds of docs/limits.md.

    clients 10.0.N.1 -- 10.0.N.5 instance N 10.1.N.5 -- 10.1.N.1 Redis 10.9.9.9

Each instance is a namespace with a cable to its clients and another to Redis, which can be unplugged. A case takes four seconds of
asking, or as many as TURNPIKE_LIMITS_SECONDS says: bench/bounds runs all of them for twenty.
"""
import math
import os
import re
import time

import asking
import stun
from harness import CONFIG, Process, case, expect, run_command, until
from namespaces import inside, link, namespace, up
from redis import CANARY, PORT, Redis

SECONDS = float(os.environ.get("TURNPIKE_LIMITS_SECONDS", "4"))
ASKED, RATE, BURST, INSTANCES = 1000, 100, 100, 3
UNREPORTED = 1 + math.ceil(RATE * 0.020)
USED = 0.85  # of what may be admitted, at least
REDIS, SENTINEL_PORT, REPLICA_PORT = "10.9.9.9", 26379, 6380
REPORTS_S, HEARTBEATS_S = 200, 4  # of one key; 16 shards every five seconds, rounded up


class SharedRedis(Redis):
    """On all addresses. `options`: more of its arguments."""

    def __init__(self, lab, name="redis", port=PORT, options=()):
        self.password = CANARY
        run_command("ip", "address", "replace", f"{REDIS}/32", "dev", "lo")
        Process.__init__(self, lab, name, ["redis-server", "--port", port, "--requirepass", CANARY, "--masterauth", CANARY, "--save", "",
                                           "--appendonly", "no", "--dir", lab.folder, *options])
        if port == PORT:
            until(self.answers, 10, lambda: f"redis-server does not answer:\n{self.output()}")


class Fleet:
    """The network, and the instances in it."""

    def __init__(self, lab, limits=f"allocation_rate_per_user: {RATE}/s burst {BURST}", redis="", scheme="redis",
                 place=f"{REDIS}:{PORT}"):
        self.lab, self.limits, self.redis, self.servers = lab, limits, redis, []
        self.url = f"{scheme}://:{CANARY}@{place}"
        self.places = [self.connect(number) for number in range(1, INSTANCES + 1)]

    def connect(self, number):
        place = namespace(self.lab, f"instance{number}")
        for net, end in ((0, f"clients{number}"), (1, f"redis{number}")):
            link(end, f"eth{net}", place)
            up(end, f"10.{net}.{number}.1")
            with inside(place):
                up(f"eth{net}", f"10.{net}.{number}.5")
        with inside(place):
            run_command("ip", "route", "add", REDIS, "via", f"10.1.{number}.1")
        return place

    def config(self, number):
        text = CONFIG.replace('public_ip: [127.0.0.1, "::1"]', f"public_ip: [10.0.{number}.5]")
        text = text.replace("auth:\n", "auth:\n  nonce_secret: the same on all instances\n")
        text = re.sub("limits: .*", f"limits: {{ {self.limits}, unauthenticated_per_address: 0, unauthenticated_per_prefix: 0 }}", text)
        return text + f'redis: {{ url: "{self.url}", fleet_size: {INSTANCES}{self.redis} }}\n'

    def begin(self, number):
        """Starts an instance; returns where it answers."""
        address = (f"10.0.{number}.5", 3478)
        with inside(self.places[number - 1]):
            self.servers.append(self.lab.server(self.config(number), ready=address, name=f"turnpike{number}"))
        return address

    def begin_all(self, count=INSTANCES):
        addresses = [self.begin(number) for number in range(1, count + 1)]
        for server in self.servers:
            until(lambda s=server: "redis_up" in s.output(), 10, lambda s=server: f"no Redis:\n{s.output()}")
        return addresses

    def unplug(self, number):
        run_command("ip", "link", "set", f"redis{number}", "down")

    def plug(self, number):
        run_command("ip", "link", "set", f"redis{number}", "up")

    def check(self):
        for server in self.servers:
            server.check()


def crowd_of(fleet, count=INSTANCES):
    """Clients of so many instances, at whom one has been admitted: from then on Redis fills the bucket, which begins without its burst."""
    crowd = asking.Crowd(fleet.begin_all(count))
    first = asking.ask(crowd, count, 1)
    expect(len(first.admitted) == count, f"the first is not admitted: {asking.refusals(first)}, unanswered {first.lost}")
    time.sleep(BURST / RATE)
    return crowd


def ask(crowd, steps=(), rate=ASKED, seconds=SECONDS):
    """Asks all along; `steps`: what happens at which share of the time."""
    left = [(share * seconds, step) for share, step in steps]

    def during(elapsed):
        if left and elapsed > left[0][0]:
            left.pop(0)[1]()
    asked = asking.ask(crowd, rate, seconds, during)
    expect(not left, f"{len(left)} steps are left")
    return asked


def report(name, asked, most, least, times=1):
    """Prints it. `most` and `least` of the whole; over every stretch of time at most what `most` has beyond `times` the rate."""
    admitted, beyond = len(asked.admitted), most - times * RATE * asked.seconds
    excess = asked.excess(times * RATE)
    each = ", ".join(str(asked.of(n)) for n in range(INSTANCES))
    print(f"{name}: {asked.count} asked in {asked.seconds:.1f} s, {admitted} admitted ({each}), between {least:.0f} and {most:.0f}; in the "
          f"worst stretch {excess:.0f} beyond {'twice ' * (times > 1)}the rate, at most {beyond:.0f}; refused: "
          f"{asking.refusals(asked)}; unanswered {asked.lost}", flush=True)
    expect(admitted <= most and excess <= beyond, f"{name}: more is admitted than the bound")
    expect(admitted >= least, f"{name}: less is admitted than the limit allows")
    expect(asked.lost <= asked.count / 50, f"{name}: {asked.lost} without an answer")
    expect(set(asked.refused) <= {486}, f"{name}: refused with {asking.refusals(asked)}")


def usual(seconds):
    """What the limit says of this time: burst and rate."""
    return BURST + RATE * seconds


def outage(fleet, name, steps, seconds=SECONDS):
    """All instances lose Redis while they are asked, and have it again: they keep within the bound, and use the limit."""
    crowd = crowd_of(fleet)
    asked = ask(crowd, steps, seconds=seconds)
    allowed = usual(asked.seconds)
    report(name, asked, allowed + BURST + 2 * INSTANCES * UNREPORTED, USED * (allowed - BURST))
    crowd.close()


def commands(monitor):
    """(time, its name) of what clients have sent, without what scripts do."""
    lines = re.findall(r"^(\d+\.\d+) \[\d+ (?!lua)[^\]]*\] \"(\w+)\"", monitor.output(), re.M)
    return [(float(at), name.upper()) for at, name in lines]


def watch(lab):
    """`redis-cli monitor`, which shows what Redis is asked."""
    monitor = lab.start(Process, "monitor", ["redis-cli", "-p", PORT, "--no-auth-warning", "-a", CANARY, "monitor"])
    until(lambda: "OK" in monitor.output(), 5, "no monitor")
    return monitor


@case(alone=True)
def limits_shared_hold_within_the_bound_and_are_used(lab):
    lab.start(SharedRedis)
    fleet = Fleet(lab)
    crowd = crowd_of(fleet)
    monitor = watch(lab)
    asked = ask(crowd)
    allowed = usual(asked.seconds)
    report("normal", asked, allowed + INSTANCES * UNREPORTED, USED * allowed)
    sent = len(commands(monitor)) / SECONDS
    print(f"Redis was sent {sent:.0f} commands a second")
    expect(sent <= INSTANCES * (REPORTS_S + HEARTBEATS_S + 2), "more commands than reports and heartbeats")
    crowd.close()
    fleet.check()


@case(alone=True)
def limits_shared_cost_redis_reports_not_requests(lab):
    """One instance whose every request is admitted, and has to be reported."""
    lab.start(SharedRedis)
    fleet = Fleet(lab, limits="allocation_rate_per_user: 100000/s")
    crowd = crowd_of(fleet, 1)
    monitor = watch(lab)
    seen = {}
    for rate in (ASKED // 2, ASKED):
        before = len(commands(monitor))
        asked = ask(crowd, rate=rate, seconds=SECONDS / 2)
        time.sleep(0.2)
        seen[rate] = (len(commands(monitor)) - before) / asked.seconds
        print(f"{rate} Allocates a second, {len(asked.admitted)} admitted in {asked.seconds:.1f} s: {seen[rate]:.0f} commands a second")
        expect(len(asked.admitted) >= asked.count * 0.98, f"refused: {asking.refusals(asked)}, unanswered: {asked.lost}")
        expect(10 <= seen[rate] <= REPORTS_S + HEARTBEATS_S + 6, "commands follow something else than reports and heartbeats")
    crowd.close()
    fleet.check()


def burst(crowd, instance, count):
    """So many Allocates at once, as a browser asks. (codes in the order in which they were sent, seconds until the last answer)"""
    asked = [crowd.idle[instance].popleft() for _ in range(count)]
    codes, began = {}, time.monotonic()
    for client in asked:
        client.ask(began)
    while len(codes) < count and time.monotonic() < began + asking.ANSWER_S:
        codes.update({client: code for client, method, code in crowd.answers(0.05) if method == stun.ALLOCATE})
    return [codes.get(client) for client in asked], time.monotonic() - began


@case
def limits_shared_let_a_browser_in_at_once(lab):
    """Eight Allocates of a user in the same moment at each of two instances, of which each may have two unreported."""
    lab.start(SharedRedis)
    fleet = Fleet(lab, limits="allocation_rate_per_user: 5/s burst 30")
    crowd = asking.Crowd(fleet.begin_all(2), per_instance=8)
    time.sleep(4)  # the bucket begins without its burst when the link is up
    for instance in range(2):
        codes, seconds = burst(crowd, instance, 8)
        print(f"instance {instance + 1}: {codes} within {seconds * 1000:.0f} ms")
        expect(codes == [0] * 8, "a burst far below the limit is refused")
        expect(seconds < 0.1, "it waits for a tick, not for Redis")
    for server in fleet.servers[:2]:
        refused = server.refusals()
        expect(not any("rate_user" in reason for reason in refused), f"somebody was refused: {refused}")
    crowd.close()
    fleet.check()


@case
def limits_shared_hold_while_redis_is_frozen(lab):
    redis = lab.start(SharedRedis)
    fleet = Fleet(lab)
    outage(fleet, "frozen for half of the time", [(0.25, redis.freeze), (0.75, redis.thaw)])
    fleet.check()


@case
def limits_shared_hold_while_redis_is_killed_and_comes_back_empty(lab):
    redis = lab.start(SharedRedis)
    fleet = Fleet(lab)
    outage(fleet, "killed, and back empty", [(0.3, redis.kill), (0.6, lambda: lab.start(SharedRedis, "again"))])
    fleet.check()


@case
def limits_shared_hold_while_one_instance_is_cut_off(lab):
    lab.start(SharedRedis)
    fleet = Fleet(lab)
    crowd = crowd_of(fleet)
    asked = ask(crowd, [(0.25, lambda: fleet.unplug(3)), (0.75, lambda: fleet.plug(3))])
    allowed = usual(asked.seconds)
    report("one of three cut off", asked, 2 * allowed + 2 * INSTANCES * UNREPORTED, USED * allowed, times=2)
    alone = [a for a in asked.between(0.3 * asked.seconds, 0.75 * asked.seconds) if a[2] == 2]
    share = (BURST + RATE * 0.45 * asked.seconds) / INSTANCES + 2 * UNREPORTED
    print(f"the one that was cut off admitted {len(alone)} meanwhile, its share is {share:.0f}")
    expect(0 < len(alone) <= share, "the instance that was cut off does not keep to its share")
    crowd.close()
    fleet.check()


@case
def limits_shared_count_the_fleet_for_an_instance_that_is_born_meanwhile(lab):
    redis = lab.start(SharedRedis)
    fleet = Fleet(lab)
    crowd = crowd_of(fleet, 2)
    redis.freeze()
    crowd.join(fleet.begin(3))
    asked = ask(crowd)
    allowed = usual(asked.seconds)
    report("one of three born while Redis is frozen", asked, allowed + BURST + 2 * INSTANCES * UNREPORTED, USED * (allowed - BURST))
    share = allowed / INSTANCES
    print(f"the one that was born admitted {asked.of(2)}, its share is {share:.0f}")
    expect(USED * (share - BURST / INSTANCES) <= asked.of(2) <= share + 2 * UNREPORTED, "it does not know the size of the fleet")
    redis.thaw()
    until(lambda: "redis_up" in fleet.servers[2].output(), 10, lambda: f"no Redis:\n{fleet.servers[2].output()}")
    crowd.close()
    fleet.check()


@case
def limits_shared_refuse_where_they_are_told_to(lab):
    """on_failure: deny."""
    redis = lab.start(SharedRedis)
    fleet = Fleet(lab, redis=", on_failure: deny")
    crowd = crowd_of(fleet)
    asked = ask(crowd, [(0.25, redis.freeze)])
    before, after = asked.between(0, 0.25 * asked.seconds), asked.between(0.25 * asked.seconds + 0.3, asked.seconds + 1)
    print(f"denied without Redis: {len(before)} admitted before, {len(after)} after; refused: {asking.refusals(asked)}")
    expect(len(before) >= BURST and not after, "on_failure: deny admits, or nothing was to be admitted")
    expect(asked.refused[508] > 0.6 * asked.count, "refused for another reason")
    reasons = [s.counters()["turnpike_requests_refused_total"]['reason="limits_unreachable"'] for s in fleet.servers]
    expect(all(reasons) and sum(reasons) == asked.refused[508], f"limits_unreachable: {reasons}")
    redis.thaw()
    crowd.close()
    fleet.check()


@case
def limits_shared_at_once_are_counted_over_the_fleet_and_freed_by_a_crash(lab):
    """A user may hold thirty: three instances are asked at once and again, and then one of them dies with what it holds."""
    lab.start(SharedRedis)
    most = 30
    fleet = Fleet(lab, limits=f"allocations_per_user: {most}")
    addresses, held = fleet.begin_all(), {1: 0, 2: 0, 3: 0}

    def open_more(numbers):
        """Asks each of them once; codes of the refusals."""
        codes = {}
        for number in numbers:
            client = lab.client(addresses[number - 1])
            codes[number] = client.allocate().code
            held[number] += codes[number] == 0
        time.sleep(0.05)  # for the reports
        return [code for code in codes.values() if code]

    def all_refuse():
        return open_more(held) == [486] * INSTANCES
    until(lambda: sum(all_refuse() for _ in range(3)) == 3, 10, lambda: f"there is no end: {held}")
    print(f"{sum(held.values())} of {most} are held: {held}")
    expect(most <= sum(held.values()) <= most + INSTANCES * 4, f"{held} of {most} at once")
    before, freed = dict(held), held[3]
    fleet.servers[2].popen.kill()
    fleet.servers.pop(2)
    died = time.monotonic()
    expect(open_more((1, 2)) == [486, 486], "what a dead instance held is free at once")

    def all_back():
        open_more((1, 2))
        return held[1] + held[2] >= most
    until(all_back, 60, lambda: f"after a minute {held[1]} and {held[2]} are held, before it was {before}")
    expect(time.monotonic() - died > 5, "what a dead instance held is free before anybody can know")
    print(f"what the dead instance held, {freed}, was to be had again after {time.monotonic() - died:.0f} s")
    expect(held[1] + held[2] <= most + INSTANCES * 4, f"{held} of {most} at once")
    fleet.check()


class Sentinels:
    """A master, a replica and three Sentinels of which two must agree."""

    def __init__(self, lab):
        self.master = lab.start(SharedRedis)
        self.replica = lab.start(SharedRedis, "replica", REPLICA_PORT, ["--replicaof", REDIS, PORT, "--replica-announce-ip", REDIS])
        until(lambda: "Finished with success" in self.replica.output(), 10, self.replica.output)
        for number in range(3):
            path = lab.folder / f"sentinel{number}.conf"
            path.write_text(f"port {SENTINEL_PORT + number}\ndir {lab.folder}\nprotected-mode no\nsentinel monitor m {REDIS} {PORT} 2\n"
                            f"sentinel auth-pass m {CANARY}\nsentinel down-after-milliseconds m 300\nsentinel failover-timeout m 2000\n")
            sentinel = lab.start(Process, f"sentinel{number}", ["redis-sentinel", path])
        until(lambda: sentinel.output().count("+sentinel sentinel ") >= 2 and "+slave" in sentinel.output(), 10, sentinel.output)


@case
def limits_shared_hold_over_a_failover(lab):
    sentinels = Sentinels(lab)
    fleet = Fleet(lab, scheme="redis+sentinel", place=f"{REDIS}:{SENTINEL_PORT},{REDIS}:{SENTINEL_PORT + 1},{REDIS}:{SENTINEL_PORT + 2}/m")
    outage(fleet, "failed over", [(0.2, sentinels.master.kill)], seconds=max(SECONDS, 6))
    for server in fleet.servers:
        until(lambda s=server: "server=other" in s.output(), 10, lambda s=server: f"no failover:\n{s.output()}")
    fleet.check()
