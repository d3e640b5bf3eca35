"""Calls over SRTP: two endpoints on libsrtp2 (tests/srtp/srtp_caller), their keys, and what the relay is told of them."""
import base64
import json
import os
import pathlib
import re
import select
import subprocess

import stun
from admin import get
from harness import COUNTER, Failed, Process, expect, listening_peer, until
from posts import post

SUITES = {"AES_CM_128_HMAC_SHA1_80": 30, "AES_CM_128_HMAC_SHA1_32": 30, "AES_256_CM_HMAC_SHA1_80": 46,
          "AES_256_CM_HMAC_SHA1_32": 46, "AEAD_AES_128_GCM": 28, "AEAD_AES_256_GCM": 44}  # bytes of key and salt
DIRECTIONS = ("to_peer", "to_client")
CHANNEL = 0x4000
KINDS = ("stun", "dtls", "channel", "rtp", "rtcp", "other")
KEYS, SESSIONS = "/api/v1/srtp-keys", "/api/v1/sessions"
ANSWER_S = 60


class Keys:
    """Master key and salt of one direction."""

    def __init__(self, suite="AES_CM_128_HMAC_SHA1_80", secret=None, mki=None):
        self.suite, self.secret, self.mki = suite, secret or os.urandom(SUITES[suite]), mki

    def inline(self):
        return base64.b64encode(self.secret).decode()

    def attribute(self):
        """As RFC 4568 writes it."""
        return f"{self.suite} inline:{self.inline()}" + (f"|{int.from_bytes(self.mki, 'big')}:{len(self.mki)}" if self.mki else "")


class Caller(Process):
    """Both endpoints. Without a client they talk to each other, and no relay is between them."""

    def __init__(self, lab, name="caller", client=None, peer=None, channel=CHANNEL):
        self.log, self.lab = lab.folder / f"{name}.log", lab
        self.sockets = [peer or listening_peer()[0]]
        if client:
            self.near, to, back = client.socket, client.server, client.relayed
        else:
            self.near = listening_peer()[0]
            self.sockets.append(self.near)
            to, back, channel = self.sockets[0].getsockname(), self.near.getsockname(), 0
        fds = (self.near.fileno(), self.sockets[0].fileno())
        program = pathlib.Path(lab.daemon).parent.parent / "tests/srtp/srtp_caller"
        with open(self.log, "wb") as out:
            try:
                self.popen = subprocess.Popen([str(x) for x in (program, fds[0], *to, channel, fds[1], *back)], stdin=subprocess.PIPE,
                                              stdout=subprocess.PIPE, stderr=out, pass_fds=fds, text=True, bufsize=1)
            except FileNotFoundError as missing:
                raise Failed(f"{program} is not there: it was built without libsrtp2") from missing
        self.pid, self.keys = self.popen.pid, {}

    def tell(self, *words):
        try:
            self.popen.stdin.write(" ".join(map(str, words)) + "\n")
        except BrokenPipeError as broken:
            raise Failed(f"the caller has ended:\n{self.output()}") from broken

    def stream(self, name, direction, ssrc, keys, **options):
        self.keys[name] = keys
        if keys.mki:
            options["mki"] = keys.mki.hex()
        self.tell("stream", name, direction, ssrc, keys.suite, keys.secret.hex(), *(f"{k}={v}" for k, v in options.items()))

    def rekey(self, name, keys):
        self.keys[name] = keys
        self.tell("rekey", name, keys.secret.hex())

    def ask_report(self):
        self.tell("report")

    def report(self, asked=False):
        """What became of everything since the report before."""
        if not asked:
            self.ask_report()
        ready, _, _ = select.select([self.popen.stdout], [], [], ANSWER_S)
        line = self.popen.stdout.readline() if ready else ""
        expect(line, f"no report of the caller:\n{self.output()}")
        return json.loads(line)

    def end(self, seconds=10):
        try:
            self.popen.stdin.close()
            self.popen.wait(seconds)
        except (OSError, subprocess.TimeoutExpired):
            self.popen.kill()
            self.popen.wait()
        self.popen.stdout.close()
        for each in self.sockets:
            each.close()
        return self.popen.returncode


def allocated(lab, server=("127.0.0.1", 3478), channel=CHANNEL, **options):
    """(client with an allocation and a channel, socket of its peer)"""
    client, (peer, port) = lab.client(server, **options), listening_peer()
    answer = client.allocate()
    expect(answer and answer.kind == stun.SUCCESS, f"Allocate: {answer and answer.code}")
    answer = client.bind_channel(channel, peer.getsockname()[0], port)
    expect(answer and answer.kind == stun.SUCCESS, f"ChannelBind: {answer and answer.code}")
    return client, peer


def whole(report, label="plain"):
    """How many were sent, of RTP and RTCP both ways; all of them must have arrived as they were sent, and nothing else."""
    expect(report["altered"] == 0, f"{report['altered']} packets arrived that were not sent so")
    sent = 0
    for direction in DIRECTIONS:
        for kind in (label, f"{label}_rtcp"):
            one = report[direction].get(kind)
            if one:
                expect(one["arrived"] == one["sent"] and one["received"] == {"ok": one["sent"]},
                       f"{kind} {direction}: {one}, missing {report['missing']}")
                sent += one["sent"]
    return sent


def sessions(where):
    """All that the relay tells of its sessions."""
    found, cursor = [], None
    while True:
        status, body = post(where, SESSIONS, {"cursor": cursor} if cursor else {})
        expect(status == 200, f"{SESSIONS}: {status} {body}")
        answer = json.loads(body)
        found += answer["sessions"]
        cursor = answer["next"]
        if not cursor:
            return found


def allocation_id(server, client):
    """As the log tells it."""
    relayed = re.escape("%s:%d" % client.relayed)
    return until(lambda: re.search(rf" allocation_created .*\bid=([0-9a-f]{{16}}).*\brelayed\S*=\"?{relayed}\b", server.output()), 5,
                 lambda: f"no allocation at {client.relayed} in the log:\n{server.output()[-2000:]}")[1]


def deposit(where, keys, direction, seconds=600, **whose):
    """Over the unix socket; `whose`: allocation, or user, realm and ssrc; and roc."""
    status, body = post(where, KEYS, {**whose, "direction": direction, "crypto": keys.attribute(), "seconds": seconds})
    expect(status == 200, f"{KEYS}: {status} {body}")
    return json.loads(body)


def post_key(where, **asked):
    """(status, body) of whatever is asked."""
    return post(where, KEYS, asked)


def take_back(where, direction, **whose):
    status, body = post(where, KEYS, {**whose, "direction": direction, "seconds": 0})
    expect(status == 200, f"{KEYS}: {status} {body}")


def counters(where):
    """{name: {labels: value}} of /metrics; quicker than SIGUSR1."""
    values = {}
    for name, labels, value in COUNTER.findall(get("/metrics", str(where))[2]):
        values.setdefault(name, {})[labels] = float(value) if "." in value else int(value)
    return values


def taken(where, count):
    """Waits until so many keys are in force, in all: a worker takes them up a moment after the answer."""
    until(lambda: counters(where)["turnpike_srtp_keys_total"]['result="taken"'] >= count, 5, f"{count} keys are not taken up")


class Counts:
    """How counters have changed since, of what the guard says; `where`: the admin socket."""

    def __init__(self, where):
        self.where, self.before = where, counters(where)

    def since(self):
        """{name, reason or kind: how often more}, without what has not changed."""
        after, changed = counters(self.where), {}
        for name in ("verified", "failed", "replayed", "unverified"):
            changed[name] = after[f"turnpike_srtp_{name}_total"][""] - self.before[f"turnpike_srtp_{name}_total"][""]
        for family in ("turnpike_guard_dropped_total", "turnpike_media_packets_total"):
            for label, value in after[family].items():
                changed[label.split('"')[1]] = value - self.before[family].get(label, 0)
        self.before = after
        return {name: value for name, value in changed.items() if value}

    def expect(self, what, **wanted):
        """That just these have changed, but for the kinds of packets."""
        changed = {name: value for name, value in self.since().items() if name not in KINDS}
        expect(changed == wanted, f"{what}: counted {changed}, not {wanted}")
