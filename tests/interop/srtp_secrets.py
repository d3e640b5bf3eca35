"""Keys of media where they have no business: in memory after the call, in the log, in answers; and keys that come through Redis."""
import base64
import os
import pathlib
import subprocess
import time

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import admin
import stun
from calls import begin, config, control, real_call
from canaries import ROOT, ROUTES, Canaries, look_at_process
from harness import CONFIG, PASSWORD, REALM, SECRET, USER, case, expect, until
from media_call import DIRECTIONS, SESSIONS, Counts, Keys, allocated, allocation_id, counters, deposit, post_key, take_back, taken
from memory import holds
from posts import post
from redis import CANARY, PORT, Redis

GONE_S = 45  # a second or two, and the search: of what TSan writes about memory there is much
LABELS = {"encryption": 0, "authentication": 1, "SRTCP encryption": 3, "SRTCP authentication": 4}


def session_keys(keys):
    """RFC 3711 section 4.3.1, with a key derivation rate of 0: {what: bytes}."""
    key_len = 32 if "256" in keys.suite else 16
    key, salt = keys.secret[:key_len], keys.secret[key_len:]
    aead = keys.suite.startswith("AEAD")
    length = {"encryption": key_len, "authentication": 20}
    found = {}
    for what, label in LABELS.items():
        kind = what.split()[-1]
        if aead and kind == "authentication":
            continue
        x = int.from_bytes(salt.ljust(14, b"\0"), "big") ^ label << 48
        block = Cipher(algorithms.AES(key), modes.CTR((x << 16).to_bytes(16, "big"))).encryptor()
        found[what] = block.update(bytes(length[kind]))
    return found


def canaries_of(keys, name):
    """What somebody may have kept of them."""
    key_len = 32 if "256" in keys.suite else 16
    found = {"master key": keys.secret[:key_len], "base64": keys.inline().encode()[:24], **session_keys(keys)}
    return {f"{what} {name}": data for what, data in found.items()}


def call(lab, server, suite, number, account=None, seconds=600):
    """A call with keys in the relay, by allocation, or by an account of its own: (client, caller, {direction: whose})."""
    user, password = stun.rest_credential(SECRET, account) if account else (USER, PASSWORD)
    client, peer = allocated(lab, user=user, password=password)
    ssrc = {"a": 0x1000 + number, "b": 0x2000 + number}
    caller = begin(lab, suite, f"caller{number}", client, peer, ssrc)
    whose = {d: {"user": account, "realm": REALM, "ssrc": ssrc[s]} if account else {"allocation": allocation_id(server, client)}
             for s, d in zip("ab", DIRECTIONS)}
    said = [deposit(control(lab), caller.keys[s], d, seconds, **whose[d]) for s, d in zip("ab", DIRECTIONS)]
    expect(all(abs(one["until"] - time.time() - seconds) < 5 for one in said), f"until when: {said}")
    return client, caller, whose


@case
def threat_25_keys_of_media_are_gone_from_memory_with_the_call(lab):
    """Taken back by who gave them, ended, or replaced; by allocation or account; the allocation there or not."""
    server = lab.server(config(lab, more="srtp_verify: { key_grace: 1s }\nlog: { level: debug }\n"))
    calls = [call(lab, server, "AES_CM_128_HMAC_SHA1_80", 0), call(lab, server, "AEAD_AES_128_GCM", 1, account="ann"),
             call(lab, server, "AES_256_CM_HMAC_SHA1_32", 2)]
    taken(control(lab), 2 * len(calls))
    callers = [caller for _, caller, _ in calls]
    counts = Counts(control(lab))
    real_call(callers, counts, 100)
    used = {}
    for number, caller in enumerate(callers):
        for stream in "ab":
            used.update(canaries_of(caller.keys[stream], f"of call {number} {stream}"))
    found = holds(server, used)
    for number in range(len(calls)):
        for what in ("master key", "encryption"):
            expect(f"{what} of call {number} a" in found, f"the search does not find the {what} of call {number}: {sorted(found)}")
    calls.append(call(lab, server, "AEAD_AES_256_GCM", 3, seconds=6))
    taken(control(lab), 2 * len(calls))
    real_call([calls[3][1]], counts, 100)
    for stream in "ab":
        used.update(canaries_of(calls[3][1].keys[stream], f"that ends {stream}"))
    new = {stream: Keys("AES_256_CM_HMAC_SHA1_32") for stream in "ab"}
    for stream, direction in zip("ab", DIRECTIONS):
        deposit(control(lab), new[stream], direction, **calls[2][2][direction])
        callers[2].rekey(stream, new[stream])
    taken(control(lab), 2 * len(calls) + 2)
    real_call(callers[2:3], counts, 100)
    for number in (0, 1):
        for direction in DIRECTIONS:
            take_back(control(lab), direction, **calls[number][2][direction])
    for number in (0, 3):
        expect(calls[number][0].refresh(0).code == 0, "Refresh 0")
    until(lambda: not holds(server, used), GONE_S, lambda: f"still in memory: {sorted(holds(server, used))}")
    real_call(callers[2:3], counts, 100)
    expect(calls[2][0].refresh(0).code == 0, "Refresh 0")
    for direction in DIRECTIONS:
        take_back(control(lab), direction, **calls[2][2][direction])
    for stream in "ab":
        used.update(canaries_of(new[stream], f"that replaced, {stream}"))
    until(lambda: not holds(server, used), GONE_S, lambda: f"still in memory: {sorted(holds(server, used))}")
    server.check()


@case
def threat_25_keys_of_media_are_in_no_log_and_no_answer(lab):
    """At level debug, good ones and refused ones, while the call runs and after it."""
    server = lab.server(config(lab, more="log: { level: debug }\n"))
    client, caller, whose = call(lab, server, "AES_CM_128_HMAC_SHA1_80", 0)
    taken(control(lab), 2)
    watched = Canaries()
    for stream, direction in zip("ab", DIRECTIONS):
        for what, data in canaries_of(caller.keys[stream], stream).items():
            watched.add(what, data)
    answers = [post_key(control(lab), **whose["to_peer"], direction="to_peer", crypto=crypto, seconds=600)[1]
               for crypto in (caller.keys["a"].attribute()[:-2], caller.keys["a"].attribute() + " KDR=1",
                              caller.keys["a"].attribute().replace("AES", "DES"), caller.keys["a"].attribute().replace("inline", "online"))]
    counts = Counts(control(lab))
    real_call([caller], counts, 100)

    def look(when):
        for path in sorted(set(ROUTES.findall((ROOT / "admin/route.c").read_text()))):
            _, head, body = admin.get(path, control(lab))
            watched.look(f"GET {path} {when}", head + body)
        for asked in ({}, {"media": True}):
            watched.look(f"sessions {when}", post(control(lab), SESSIONS, asked)[1])
        server.counters()
        watched.look(f"the log {when}", server.output())
        look_at_process(watched, server.pid)
    watched.look("answers to deposits", "".join(answers))
    look("during the call")
    for stream, direction in zip("ab", DIRECTIONS):
        take_back(control(lab), direction, **whose[direction])
    expect(client.refresh(0).code == 0, "Refresh 0")
    look("after the call")
    server.check()


def sealed(keys, wrap_key, place, field, until):
    """A wrapped key as docs/media.md describes it, made by nobody's code of the relay."""
    nonce = os.urandom(12)
    data = AESGCM(wrap_key).encrypt(nonce, keys.attribute().encode(), f"v1 {place} {field} {until}".encode())
    return f"v1.{until}.{base64.b64encode(nonce + data).decode()}"


def redis_cli(*words, given=None):
    command = ["redis-cli", "-p", str(PORT), "--no-auth-warning", "-a", CANARY, "-e", *map(str, words)]
    done = subprocess.run(command, input=given, stdin=None if given else subprocess.DEVNULL, capture_output=True, text=True, timeout=20,
                          check=False)
    expect(done.returncode == 0, f"redis-cli: {done.stdout}{done.stderr}")


def put_sealed(lab, keys, direction, allocation, wrap_key):
    """By a signalling server of our own."""
    place, until_when = f"allocation/{allocation}", int(time.time()) + 600
    redis_cli("HSET", f"turnpike/srtp/{place}", direction, sealed(keys, wrap_key, place, direction, until_when))
    redis_cli("EXPIRE", f"turnpike/srtp/{place}", 600)
    redis_cli("XADD", "turnpike/srtp/deposits", "MAXLEN", "~", 10000, "*", "place", place)


def put_wrapped(lab, keys, direction, allocation, wrap_key):
    """By the lines that turnpikectl prints, as they are."""
    command = [pathlib.Path(lab.daemon).parent.parent / "cli/turnpikectl", "srtp-key", "--wrap", "--wrap-key-file", lab.folder / "wrap_key",
               "--allocation", allocation, "--direction", direction, "--ttl", "10min"]
    done = subprocess.run([str(word) for word in command], input=keys.attribute(), capture_output=True, text=True, timeout=20, check=False)
    expect(done.returncode == 0, f"turnpikectl srtp-key: {done.stdout}{done.stderr}")
    expect(keys.inline()[:16] not in done.stdout and base64.b64encode(wrap_key).decode() not in done.stdout, f"a key in {done.stdout}")
    redis_cli(given=done.stdout)


class Instances:
    """Two relays with one Redis, and one key that wraps."""

    def __init__(self, lab):
        self.lab, self.wrap_key = lab, os.urandom(32)
        (lab.folder / "wrap_key").write_bytes(base64.b64encode(self.wrap_key))
        os.chmod(lab.folder / "wrap_key", 0o600)
        lab.start(Redis)
        self.servers = [self.begin(number) for number in (1, 2)]
        for server in self.servers:
            until(lambda s=server: "redis_up" in s.output(), 10, lambda s=server: f"no Redis:\n{s.output()}")

    def begin(self, number):
        ip = f"127.0.0.{number}"
        text = CONFIG.replace('public_ip: [127.0.0.1, "::1"]', f"public_ip: [{ip}]\nlisten: [{{ proto: udp, addr: {ip}, port: 3478 }}]")
        text += (f'srtp: verify_required\nsrtp_verify: {{ wrap_key_file: {self.lab.folder}/wrap_key }}\n'
                 f'redis: {{ url: "redis://:{CANARY}@127.0.0.1:{PORT}" }}\n')
        text = admin.with_admin(self.lab, text, token=None, listen="none", socket=self.socket(number))
        return self.lab.server(text, ready=(ip, 3478), name=f"turnpike{number}")

    def socket(self, number):
        return self.lab.folder / f"control{number}.sock"

    def keys(self, number, result="taken"):
        return counters(self.socket(number))["turnpike_srtp_keys_total"][f'result="{result}"']


@case
def srtp_keys_through_redis_are_used_by_who_has_the_call(lab):
    """Within a second, by the instance with the allocation alone; what is wrapped by another key or for another call is refused."""
    instances = Instances(lab)
    callers, counts = [], [Counts(instances.socket(number)) for number in (1, 2)]
    for number, put in ((1, put_wrapped), (2, put_sealed)):
        client, peer = allocated(lab, (f"127.0.0.{number}", 3478))
        caller = begin(lab, "AES_CM_128_HMAC_SHA1_80", f"caller{number}", client, peer)
        whose = allocation_id(instances.servers[number - 1], client)
        put_sealed(lab, caller.keys["a"], "to_peer", whose, os.urandom(32))
        until(lambda n=number: instances.keys(n, "refused") >= 1, 3, "what another key has wrapped is not counted")
        for stream, direction in zip("ab", DIRECTIONS):
            put(lab, caller.keys[stream], direction, whose, instances.wrap_key)
        began = time.monotonic()
        # One that is read again is counted again; the first of them may have been read before the second was there.
        until(lambda n=number: instances.keys(n) >= 2, 5, "the keys are not taken up")
        took = time.monotonic() - began
        print(f"instance {number} has taken the keys up {1000 * took:.0f} ms after they were put")
        expect(took < 1, f"taken up after {took:.1f} s")
        expect(number == 2 or instances.keys(2) == 0, "an instance has keys of another's call")
        callers.append(caller)
        real_call([caller], counts[number - 1], 200)
    first = instances.keys(1)
    # What was wrapped for one call, put to the other.
    redis_cli(given="EVAL \"local k = redis.call('KEYS', 'turnpike/srtp/allocation/*'); local v = redis.call('HGET', k[1], 'to_peer'); "
                    "redis.call('HSET', k[2], 'to_peer', v); for i = 1, 2 do redis.call('XADD', 'turnpike/srtp/deposits', '*', 'place', "
                    "string.sub(k[i], 15)) end\" 0\n")
    until(lambda: instances.keys(1, "refused") + instances.keys(2, "refused") > 2, 3, "a key that was moved to another call is not refused")
    expect(instances.keys(1) <= first + 2, "an instance has keys of another's call")
    for caller, one in zip(callers, counts):
        real_call([caller], one, 200)
    for server in instances.servers:
        expect(CANARY not in server.output(), "the password of Redis is in the log")
        server.check()
