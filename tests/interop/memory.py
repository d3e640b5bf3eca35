"""What the process has in its memory: secrets that are no longer configured, or no longer in Redis, are not there."""
import array
import base64
import hashlib
import itertools
import resource

import redis
import stun
from harness import CONFIG, PASSWORD, REALM, SECRET, USER, case, expect, until

CHUNK = 1 << 22
PAGE = resource.getpagesize()
PRESENT = 3 << 62  # in memory, or swapped out
MAPPING_MAX = 1 << 34  # a sanitizer reserves far more than there is
SHADOW = range(0x010000000000, 0x550000000000)  # what ASan and TSan write about memory; nothing else is mapped there


def mappings(pid):
    """(start, end) of what can be written, but for what the kernel maps."""
    for line in open(f"/proc/{pid}/maps", encoding="utf-8"):
        where, rights, *rest = line.split()
        start, end = (int(x, 16) for x in where.split("-"))
        if rights.startswith("rw") and not rest[-1].startswith("[v") and end - start < MAPPING_MAX and start not in SHADOW:
            yield start, end


def written(pid):
    """(start, end) of the parts of the mappings that are there: most of what is reserved is not."""
    with open(f"/proc/{pid}/pagemap", "rb") as pages:
        for start, end in mappings(pid):
            pages.seek(start // PAGE * 8)
            there = [bool(entry & PRESENT) for entry in array.array("Q", pages.read((end - start) // PAGE * 8))]
            for is_there, run in itertools.groupby(enumerate(there), lambda item: item[1]):
                run = list(run)
                if is_there:
                    yield start + run[0][0] * PAGE, start + (run[-1][0] + 1) * PAGE


def holds(server, canaries):
    """Which of the names of `canaries` are in the server's memory: {name: bytes}."""
    found, overlap = set(), max(map(len, canaries.values()))
    with open(f"/proc/{server.pid}/mem", "rb", buffering=0) as memory:
        for start, end in written(server.pid):
            for at in range(start, end, CHUNK):
                try:
                    memory.seek(at)
                    text = memory.read(min(CHUNK + overlap, end - at))
                except (OSError, OverflowError):
                    break  # gone meanwhile
                found |= {name for name, canary in canaries.items() if name not in found and canary in text}
    return found


def reloads(server, config):
    server.config.write_text(config)
    expect("reloaded" in server.reload(), f"no reload:\n{server.output()}")


def goes(server, canaries, what, seconds=5):
    until(lambda: not holds(server, canaries), seconds, lambda: f"{what}: {sorted(holds(server, canaries))} still in memory")


@case
def threat_25_retired_secrets_are_gone_from_memory(lab):
    """A reload takes every kind of secret away: they are wiped, and the sessions that they let in go on."""
    oauth = b"canary-key-of-32-bytes-for-oauth"
    texts = {"password": b"canary-password", "secret": b"canary-rest-secret", "nonce_secret": b"canary-nonce-secret"}
    canaries = {**texts, "oauth": oauth, "oauth, in base64": base64.b64encode(oauth),
                "key": hashlib.md5(f"{USER}:{REALM}:canary-password".encode()).digest()}
    for name, text in (("secret", texts["secret"]), ("nonce_secret", texts["nonce_secret"]), ("oauth", base64.b64encode(oauth))):
        (lab.folder / name).write_bytes(text + b"\n")
    more = (f"  nonce_secret_file: {lab.folder}/nonce_secret\n"
            f"  oauth: {{ keys: [{{ kid: one, key_file: {lab.folder}/oauth }}, {{ kid: two, key: {base64.b64encode(bytes(32)).decode()} }}] }}\n")
    before = CONFIG.replace(f"password: {PASSWORD}", "password: canary-password").replace(f"secret: {SECRET}", f"file: {lab.folder}/secret")
    server = lab.server(before.replace("limits:", more + "limits:"))
    user, password = stun.rest_credential("canary-rest-secret", "someone")
    clients = [lab.client(password="canary-password"), lab.client(user=user, password=password)]
    for client in clients:
        expect(client.allocate().kind == stun.SUCCESS, f"{client.user}: no allocation")
    expect(holds(server, canaries) >= {*texts, "oauth"}, f"the search finds only {holds(server, canaries)}")
    overlapping = CONFIG.replace("limits:", f"  nonce_secret_old_file: {lab.folder}/nonce_secret\n  nonce_secret: another of the relay\nlimits:")
    reloads(server, overlapping)
    # An allocation has its own key, and a nonce of the old secret is still good.
    del canaries["key"]
    expect(clients[1].refresh().kind == stun.SUCCESS, "Refresh")
    goes(server, {n: c for n, c in canaries.items() if n != "nonce_secret"}, "after a reload")
    reloads(server, overlapping.replace(f"  nonce_secret_old_file: {lab.folder}/nonce_secret\n", ""))
    goes(server, canaries, "after the old nonce secret has gone")
    for client in clients:
        expect(client.refresh().kind == stun.SUCCESS, f"{client.user} has lost the allocation")
    server.check()


@case
def threat_25_what_redis_no_longer_has_is_gone_from_memory(lab):
    """A REST secret when the set has been read again, a user's key at a reload."""
    secret = b"canary rest secret"
    store, server = redis.begin(lab, config="workers: 1\n" + CONFIG)
    store.ask("SADD", f"turn/realm/{REALM}/secret", secret)
    store.add_user("late", "canary")
    key = hashlib.md5(f"late:{REALM}:canary".encode())
    canaries = {"secret": secret, "key": key.digest(), "key, as text": key.hexdigest().encode()}
    until(lambda: "store_secrets" in server.output(), redis.SECRETS_S, "the secret is not read")
    client = redis.allocate(lab, "late", "canary")
    expect(holds(server, canaries) >= {"secret", "key"}, f"the search finds only {holds(server, canaries)}")
    expect(client.refresh(0).kind == stun.SUCCESS, "Refresh")
    store.ask("SREM", f"turn/realm/{REALM}/secret", secret)
    store.ask("DEL", f"turn/realm/{REALM}/user/late/key")
    goes(server, {"secret": secret}, "taken out of the set", 15)
    reloads(server, server.config.read_text())
    redis.allocate(lab, USER, PASSWORD)  # OpenSSL keeps the key that it was last used with
    goes(server, canaries, "after a reload")
    redis.finish(server)
