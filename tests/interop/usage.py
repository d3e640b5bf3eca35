"""Usage records: the file is moved away, its disk is full, the daemon ends or is killed, and what was relayed is in it all the same."""
import json
import os
import signal
import time

from admin import with_admin
from harness import CONFIG, REALM, USER, case, expect, run_command, until
from media_call import allocated
from redis import CANARY, PORT, Redis

CHANNEL, EVERY_S = 0x4000, 1
NUMBERS = [(way, key) for way in ("to_peer", "to_client") for key in ("packets", "bytes", "dropped")]


def config(lab):
    return with_admin(lab, CONFIG + f"\nusage: {{ file: {lab.folder}/usage.jsonl, every: {EVERY_S}s }}\n")


def records(*paths):
    """Those of all files; a line that is torn, as a process that was killed leaves it, is none."""
    found = {}
    for path in paths:
        for line in path.read_bytes().split(b"\n") if path.exists() else ():
            try:
                record = json.loads(line)
            except ValueError:
                continue
            found[record["id"]] = record
    return list(found.values())


def add_up(some):
    return {f"{way}.{key}": sum(r["delta"][way][key] for r in some) for way, key in NUMBERS}


def relay(client, peer, count):
    for number in range(count):
        payload = b"%04d" % number
        client.send_channel(CHANNEL, payload)
        expect(peer.recv(2048) == payload, "another packet")


@case
def usage_is_whole_over_rotation_full_disk_and_stop(lab):
    server = lab.server(config(lab) + "sandbox: off\n")  # a disk that is full is /dev/full
    path, moved = lab.folder / "usage.jsonl", lab.folder / "usage.jsonl.1"
    client, peer = allocated(lab, channel=CHANNEL)
    other, _ = allocated(lab, channel=CHANNEL)
    mine = f"127.0.0.1:{client.socket.getsockname()[1]}"

    def of_mine(*kinds):
        return [r for r in records(moved, path) if r.get("client") == mine and r["type"] in kinds]
    relay(client, peer, 10)
    until(lambda: add_up(of_mine("live"))["to_peer.packets"] == 10, 5, "no record of one that lives")
    os.rename(path, moved)
    relay(client, peer, 5)
    server.reload()
    until(path.exists, 5, "the file is not opened again")
    until(lambda: any(r["client"] == mine for r in records(path)), 5, "nothing comes into the new file")
    os.rename(path, lab.folder / "usage.jsonl.2")
    path.symlink_to("/dev/full")
    server.reload()
    relay(client, peer, 7)
    client.refresh(0)
    until(lambda: "usage_not_written" in server.output(), 5, "nobody says that the disk is full")
    path.unlink()
    server.reload()
    until(lambda: of_mine("end"), 5, "the end is not written when there is room again")
    whole = [r for r in records(moved, lab.folder / "usage.jsonl.2", path) if r.get("client") == mine]
    [end] = [r for r in whole if r["type"] == "end"]
    expect((end["reason"], end["realm"], end["user"], end["transport"]) == ("deleted", REALM, USER, "udp"), end)
    expect(end["relayed"] == ["%s:%d" % client.relayed] and end["total"]["to_peer"]["packets"] == 22, end)
    expect(sorted(r["sequence"] for r in whole) == list(range(1, len(whole) + 1)), "a record is missing")
    totals = {f"{way}.{key}": end["total"][way][key] for way, key in NUMBERS}
    expect(add_up(whole) == totals, f"the deltas are {add_up(whole)}, the totals {totals}")
    until(lambda: server.counters()["turnpike_usage_failures_total"][""] > 0, 5, "no failures are counted")
    expect(server.output().count("usage_not_written") == 1, "more than one line a minute")
    broken_file_is_refused(lab, server, path)
    server.check()
    ends = {r["client"]: r["reason"] for r in records(path) if r["type"] == "end"}
    expect(ends[f"127.0.0.1:{other.socket.getsockname()[1]}"] == "shutdown", ends)


def broken_file_is_refused(lab, server, path):
    """A configuration whose file cannot be written changes nothing."""
    text = server.config.read_text()
    server.config.write_text(text.replace(str(path), f"{lab.folder}/nowhere/usage.jsonl"))
    server.popen.send_signal(signal.SIGHUP)
    until(lambda: "usage.file" in server.output() and "reload_failed" in server.output(), 5, "it is not refused")
    server.config.write_text(text)


@case
def usage_that_a_kill_loses_is_bounded(lab):
    server = lab.server(config(lab))
    path = lab.folder / "usage.jsonl"
    client, peer = allocated(lab, channel=CHANNEL)
    sent = []
    deadline = time.monotonic() + EVERY_S * 2.4
    while time.monotonic() < deadline:
        relay(client, peer, 1)
        sent.append(time.monotonic())
        time.sleep(0.005)
    server.popen.kill()
    killed = time.monotonic()
    server.popen.wait()
    told = add_up(records(path))["to_peer.packets"]
    # A tick, the writer's period, and a machine that is busy.
    due = sum(1 for when in sent if when < killed - EVERY_S - 0.6)
    expect(due > 20 and due <= told <= len(sent), f"{told} of {len(sent)} are told, and {due} had to be")
    with path.open("ab") as torn:
        torn.write(b'{"v":1,"id":"torn')
    again = lab.server(config(lab), name="again")
    later, _ = allocated(lab, channel=CHANNEL)
    later.refresh(0)
    until(lambda: [r for r in records(path) if r["type"] == "end"], 5, "nothing comes behind a torn line")
    expect(len({r["instance"] for r in records(path)}) == 2, "two starts have one name")
    again.check()


def redis_cli(*words):
    return run_command("redis-cli", "-p", PORT, "--no-auth-warning", "-a", CANARY, *words)


def streamed():
    """[(id, record)] of the stream, in its order."""
    lines = redis_cli("XRANGE", "turnpike/usage", "-", "+").splitlines()
    return [(lines[n + 1], json.loads(lines[n + 3])) for n, line in enumerate(lines) if line == "id" and lines[n + 2] == "record"]


@case
def usage_stream_is_bounded_and_has_what_the_file_has(lab):
    redis = lab.start(Redis)
    redis_cli("EVAL", "for i = 1, 3000 do redis.call('XADD', KEYS[1], '*', 'old', i) end", 1, "turnpike/usage")
    text = config(lab).replace("usage: {", "usage: { redis: true, redis_max: 1000,")
    server = lab.server(text + f'redis: {{ url: "redis://:{CANARY}@127.0.0.1:{PORT}" }}\n')
    path = lab.folder / "usage.jsonl"
    client, peer = allocated(lab, channel=CHANNEL)
    relay(client, peer, 10)
    until(streamed, 10, "nothing comes into the stream")
    expect(int(redis_cli("XLEN", "turnpike/usage")) <= 1200, "the stream is not bounded")
    redis.freeze()
    time.sleep(1.6)  # longer than a command waits: what is on its way is sent again
    redis.thaw()
    relay(client, peer, 5)
    client.refresh(0)
    until(lambda: any(r["type"] == "end" for _, r in streamed()), 15, "the end does not come")
    until(lambda: {r["id"] for r in records(path)} <= {name for name, _ in streamed()}, 5, "the file has more than the stream")
    found = streamed()
    expect(all(name == record["id"] for name, record in found), "an entry under another record's id")
    once = dict(found)
    expect(all(once[name] == record for name, record in found), "two records have one id")
    expect(add_up(once.values())["to_peer.packets"] == 15, "the deltas of the stream")
    for _ in range(3):
        allocated(lab, channel=CHANNEL)
    server.check()
    whole = dict(streamed())
    expect(sum(r["reason"] == "shutdown" for r in whole.values()) == 3, "ends of the stop are not in the stream")
    expect({r["id"] for r in records(path)} == set(whole), "the file and the stream differ")
