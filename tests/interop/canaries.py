"""THREATS row 25: a canary stands in every place where a secret is configured, kept or given, and is looked for in everything that
turnpike and turnpikectl say: logs at level debug, metrics, every resource of the admin server, what they print, what /proc shows
of them. Looked for as it is and in the forms that a careless line would print: base64, hexadecimal, percent-encoded, as the key
that a password makes."""
import base64
import hashlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time
import urllib.parse

import admin
import stun
import tokens
from harness import CONFIG, REALM, USER, Process, case, expect, listening_peer, until
from posts import EXPLAIN, JSON, LIMITS, REVOKE
from process import start
from redis import CANARY, PORT, Redis
from relaying import relays

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
ROUTES = re.compile(r'\{ADMIN_\w+, "([^"]+)"')
SENTINEL_PORT = 26379
ACL_USER, TENANT = "canary-acl-user", "tenant.test"
SHORTEST = 8  # of a form: shorter ones stand in texts by chance


class Canaries:
    """Secrets by what they are, and every form to look for."""

    def __init__(self):
        self.forms = {}

    def add(self, what, secret):
        """Returns the secret."""
        data = secret if isinstance(secret, bytes) else secret.encode()
        forms = {data.hex(), data.hex().upper(), urllib.parse.quote_from_bytes(data, safe=""), data.decode("latin-1"),
                 *(base64.b64encode(bytes(skipped) + data)[2 * skipped:].decode()[:12] for skipped in (0, 1, 2))}
        self.forms[what] = {form for form in forms if len(form) >= SHORTEST}
        return secret

    def password(self, user, secret, realm=REALM):
        """A password; with it the keys that it makes."""
        text = f"{user}:{realm}:{secret}".encode()
        self.add(f"key of {secret}", hashlib.md5(text).digest())
        self.add(f"SHA-256 key of {secret}", hashlib.sha256(text).digest())
        return self.add(secret, secret)

    def token(self, token, what="token"):
        self.add(f"{what} {token.id}", token.token)
        self.add(f"mac_key of {what} {token.id}", token.mac_key)
        return token

    def look(self, where, text):
        text = text.decode("latin-1") if isinstance(text, bytes) else text
        for what, forms in self.forms.items():
            for form in forms:
                at = text.find(form)
                expect(at < 0, f"{what} in {where}: ...{text[max(0, at - 200):at + 100]}")


class CanaryRedis(Redis):
    """Its password stands in a file: what other programs show of themselves is not the point here."""

    def __init__(self, lab, name="redis", password=CANARY, port=PORT, sentinel=""):
        self.password, self.port = password, port
        path = lab.folder / f"{name}.conf"
        save = "" if sentinel else 'save ""\n'
        path.write_text(f"port {port}\nbind 127.0.0.1\ndir {lab.folder}\nrequirepass {password}\n{save}"
                        f"user {ACL_USER} on >{password} ~* &* +@all\n{sentinel}")
        command = ["redis-server", path, *(["--sentinel"] if sentinel else [])]
        Process.__init__(self, lab, name, command)
        until(self.answers, 10, lambda: f"{name} does not answer:\n{self.output()}")

    def answers(self):
        try:
            return socket.create_connection(("127.0.0.1", self.port), timeout=1).close() is None
        except OSError:
            return False


class Place:
    """A daemon among its secrets, and a record of everything that could be seen of it."""

    def __init__(self, lab, by_file):
        self.lab, self.by_file, self.canaries, self.files = lab, by_file, Canaries(), 0
        c = self.canaries
        self.static = c.password(USER, "canary-static")
        self.secrets = {name: c.add(f"secret {name}", f"canary-rest-{name}") for name in ("today", "before", "stored")}
        self.oauth = {kid: c.add(f"OAuth key {kid}", f"canary-key-{kid}-".encode().ljust(32, b"!")) for kid in ("file", "stored")}
        self.nonce = {name: c.add(f"nonce secret {name}", f"canary-nonce-{name}") for name in ("new", "old")}
        self.admin_token = c.add("admin token", "canary-admin-token-123")
        self.redis = c.add("password of Redis", CANARY)
        c.add("user of Redis", ACL_USER)
        self.tenant = {"password": c.password("tina", "canary-tenant", TENANT), "secret": c.add("secret of a tenant", "canary-rest-tenant"),
                       "key": c.add("OAuth key of a tenant", b"canary-key-tenant-16"[:16])}
        self.stored = c.password("ann", "canary-stored")
        self.other = {name: c.password(USER, f"canary-{name}") for name in ("guess", "reloaded", "explained")}

    def given(self, key, secret, of=""):
        """`key: secret`, or the path of a file with it."""
        if not self.by_file:
            return f'{key}: "{secret}"'
        self.files += 1
        path = self.lab.folder / f"secret-{self.files}"
        path.write_text(f"{secret}\n")
        return f"{of or key}: {path}"

    def url(self, password=None, scheme="redis", rest=f"127.0.0.1:{PORT}"):
        text = urllib.parse.quote(password or self.redis, safe="").replace("c", "%63")  # as bytes, and as they are written
        self.canaries.add(f"URL {text}", text)
        return f"{scheme}://{ACL_USER}:{text}@{rest}"

    def config(self, static=None, url=None, more=""):
        secret, key = self.secrets, base64.b64encode(self.oauth["file"]).decode()
        auth = f"""\
auth:
  users: [{{ name: {USER}, {self.given("password", static or self.static, "password_file")} }}]
  secrets: [{{ id: today, {self.given("secret", secret["today"], "file")} }},
            {{ id: before, retired: true, {self.given("secret", secret["before"], "file")} }}]
  oauth: {{ server_name: {tokens.NAME}, keys: [{{ kid: file, {self.given("key", key, "key_file")} }}] }}
  redis_users: true
  redis_secrets: true
  redis_oauth_keys: true
  key_negative_ttl: 1s
  {self.given("nonce_secret", self.nonce["new"], "nonce_secret_file")}
  {self.given("nonce_secret_old", self.nonce["old"], "nonce_secret_old_file")}
realms:
  - name: {TENANT}
    users: [{{ name: tina, {self.given("password", self.tenant["password"], "password_file")} }}]
    secrets: [{{ id: today, hash: sha256, {self.given("secret", self.tenant["secret"], "file")} }}]
    oauth: {{ keys: [{{ kid: t, algorithm: A128GCM, {self.given("key", base64.b64encode(self.tenant["key"]).decode(), "key_file")} }}] }}
redis: {{ {self.given("url", url or self.url(), "url_file")}{more} }}
log: {{ level: debug, format: {"json" if self.by_file else "text"} }}
"""
        text = CONFIG[:CONFIG.index("auth:\n")] + auth + CONFIG[CONFIG.index("limits:"):]
        text = text.replace("limits: { ", "limits: { guesses_per_source: 0, guesses_per_prefix: 0, ")
        text = admin.with_admin(self.lab, text, token=None)
        return text.replace("admin: { ", f'admin: {{ {self.given("token", self.admin_token, "token_file")}, ')

    def fill_redis(self):
        Redis.ask("SADD", f"turn/realm/{REALM}/secret", self.secrets["stored"])
        Redis.add_user(Redis, "ann", self.stored)
        key = base64.b64encode(self.oauth["stored"]).decode()
        tokens.add_keys(Redis, {"stored": ("A256GCM", key)})

    def look(self, server):
        """At all that the daemon shows now."""
        for path in sorted(set(ROUTES.findall((ROOT / "admin/route.c").read_text()))):
            for where in (("127.0.0.1", admin.PORT), str(self.lab.folder / "control.sock")):
                for token in (self.admin_token, "canary-no-such-token"):
                    _, head, body = admin.get(path, where, token=token)
                    self.canaries.look(f"GET {path}", head + body)
        server.counters()
        self.canaries.look("the log", server.output())
        look_at_process(self.canaries, server.pid)


def look_at_process(canaries, pid):
    """At its arguments and environment, and that it leaves no core file."""
    proc = pathlib.Path(f"/proc/{pid}")
    expect(b"turnpike" in (proc / "cmdline").read_bytes(), "another process")
    for name in ("cmdline", "environ", "comm", "status"):
        canaries.look(f"/proc/PID/{name}", (proc / name).read_bytes())
    for thread in (proc / "task").iterdir():
        canaries.look("the name of a thread", (thread / "comm").read_text())
    limits = (proc / "limits").read_text()
    expect(re.search(r"^Max core file size +0 +0 ", limits, re.M), f"core dumps are on: {limits}")


def control(place, *arguments, given=None, codes=(0,)):
    """turnpikectl; while it waits for what it reads from standard input, /proc is looked at. Returns what it printed."""
    program = pathlib.Path(place.lab.daemon).parent.parent / "cli/turnpikectl"
    command = [str(word) for word in (program, "--socket", place.lab.folder / "control.sock", *arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        if given is not None:
            wait_channel = pathlib.Path(f"/proc/{process.pid}/wchan")
            until(lambda: "pipe" in wait_channel.read_text() or "read" in wait_channel.read_text(), 10, "it reads nothing")
            look_at_process(place.canaries, process.pid)
        out, _ = process.communicate(given or "", timeout=20)
    expect(process.returncode in codes, f"turnpikectl {arguments}: {process.returncode}\n{out}")
    return out


def mint(place, kid, lifetime="1h", name=tokens.NAME):
    """What is printed is a secret; the key that it was made with must not be in it."""
    text = base64.b64encode(place.oauth[kid]).decode()
    out = control(place, "--json", "token", "--kid", kid, "--key-file", "-", "--server-name", name, "--lifetime", lifetime, given=text)
    place.canaries.look("turnpikectl token", out)
    made = json.loads(out)
    return place.canaries.token(tokens.Token(kid, base64.b64decode(made["access_token"]), base64.b64decode(made["key"]), made["id"]))


def rest(place, secret, user="carol", ttl=3600):
    name, password = stun.rest_credential(secret, user, ttl)
    return name, place.canaries.password(name, password)


def code(place, user, password):
    answer = place.lab.client(user=user, password=password).allocate()
    return answer and answer.code


def use(place, redis_is_up=True):
    """Every kind of credential, good and bad. Returns those that explain is asked about: (user, option, text)."""
    peer, port = listening_peer()
    client = place.lab.client(password=place.static)
    expect(client.allocate().code == 0, "the static user")
    relays(client, peer, port)
    peer.close()
    good = rest(place, place.secrets["today"])
    rows = [(0, *good), (401, USER, place.other["guess"]), (401, "nobody", place.other["guess"]), (401, *rest(place, place.secrets["before"])),
            (401, *rest(place, "canary-none")), (401, *rest(place, place.secrets["today"], ttl=-60))]
    made = {"good": mint(place, "file"), "other": mint(place, "file", name="other.test"), "long": mint(place, "file", "40d")}
    late = tokens.mint_by_coturn(time.time() - 7200, kid="file", key=base64.b64encode(place.oauth["file"]).decode())
    made["expired"] = place.canaries.token(late, "expired token")
    made["forged"] = tokens.Token("file", made["good"].token[:-1] + b"\0", made["good"].mac_key)
    if redis_is_up:
        rows += [(0, "ann", place.stored), (401, "ann", place.other["guess"]), (0, *rest(place, place.secrets["stored"]))]
        made["stored"] = mint(place, "stored")
    for wanted, user, password in rows:
        got = code(place, user, password)
        expect(got == wanted or (got == 500 and wanted and not redis_is_up), f"{user}: {got}, not {wanted}")
    client = place.lab.client(user="tina", password=place.tenant["password"])
    expect(client.allocate().code in (401, 500), "a tenant's user in another realm")
    client.realm = TENANT.encode()
    expect(client.allocate().code == 0, "a tenant's user")
    for name, token in made.items():
        wanted = 0 if name in ("good", "stored") else 401
        got = tokens.code_of(place.lab, token)
        expect(got == wanted, f"token {name}: {got}, not {wanted}")
    asked = [(user, "--password-stdin", password) for _, user, password in rows]
    return asked + [(token.kid, "--token-file", base64.b64encode(token.token).decode()) for token in made.values()]


def ask(place, asked):
    """turnpikectl explain and limits and the resources behind them; revocations of the same."""
    path = place.lab.folder / "given"
    asked = [*asked, (USER, "--password-file", place.other["explained"])]
    for number, (user, option, text) in enumerate(asked):
        path.write_text(text + "\n")
        words = [option] if option == "--password-stdin" else [option, path]
        out = control(place, "explain", "--user", user, *words, given=text if len(words) == 1 else None, codes=(0, 1))
        place.canaries.look("turnpikectl explain", out)
        question = {"user": user, "token" if option == "--token-file" else "password": text}
        where = (("127.0.0.1", admin.PORT), str(place.lab.folder / "control.sock"))[number % 2]
        for body in (json.dumps(question), json.dumps({**question, text: 1}), json.dumps(question)[:-3], json.dumps([text]), text):
            for token in (place.admin_token, place.other["explained"]):
                extra = f"{JSON}Content-Length: {len(body)}\r\n"
                for resource in (EXPLAIN, LIMITS, REVOKE):
                    _, head, answer = admin.get(resource, where, "POST", token=token, extra=extra, sent=body)
                    place.canaries.look(f"POST {resource}", head + answer)
    for user in {user.split(":")[-1] for user, _, _ in asked}:
        place.canaries.look("turnpikectl revoke", control(place, "revoke", "--user", user) + control(place, "status"))
        place.canaries.look("turnpikectl limits", control(place, "limits", "--user", user, "--address", "127.0.0.1"))
    for words in (("--secret", "today"), ("--token", "0123456789abcdef"), ("--secret", "none")):
        place.canaries.look("turnpikectl revoke", control(place, "revoke", *words, codes=(0, 1)))
    until(lambda: code(place, USER, place.static) == 401, 5, "who was revoked is let in")
    for user in {user.split(":")[-1] for user, _, _ in asked}:
        control(place, "revoke", "--user", user, "--undo")
    control(place, "revoke", "--secret", "today", "--undo")
    until(lambda: code(place, USER, place.static) == 0, 5, "who was revoked stays out")


def wrong_ways(place):
    """Configurations with a mistake at, or right beside, each secret."""
    good, c = place.config(), place.canaries
    yield good.replace("key_negative_ttl", "key_negativ_ttl")
    for key in ("password", "secret", "key", "nonce_secret", "nonce_secret_old", "url", "token"):
        lines = list(re.finditer(rf'\b({key}): ("[^"]*"|/\S*?)(?=[ ,\n])', good))
        for match in lines[:1]:
            value = match[2].strip('"')
            for wrong in (f"{key}: [{value}]", f"{key}: {{ {value}: 1 }}", f'{key}: "{value}', f"{key}: {value}\n {value}: x",
                          f'{key}: "{value}", {key}: "{value}"', f'{key}: "{value}", {key}_file: "{value}"',
                          f"{key}: !!int {value}", f"{key}: &{value} x", f"{key}: *{value}", f'{key}: "{value}\\0"', f'{key}: "{value * 60}"',
                          f"{key}:{value}"):
                yield good[:match.start()] + wrong + good[match.end():]
    for url in ("http://:PASSWORD@127.0.0.1", "redis://:PASSWORD@127.0.0.1:x", "redis://PASSWORD@127.0.0.1", "redis://:PASSWORD@",
                "PASSWORD", "redis://u:PASSWORD%@127.0.0.1", "redis://127.0.0.1:6379:PASSWORD", "redis+sentinel://:PASSWORD@127.0.0.1",
                *(f"redis://:PASSWORD{byte}PASSWORD@127.0.0.1:6379" for byte in "/@#?:% ")):
        yield place.config(url=url.replace("PASSWORD", place.redis))
    c.add("a key", "canary-key-of-no-length")
    yield good.replace(base64.b64encode(place.oauth["file"]).decode(), "canary-key-of-no-length")
    yield good.replace(place.admin_token, place.admin_token + " ü")
    yield good + "realms: [{ name: x, users: [{ name: a, password: canary-static, key: canary-static }] }]\n"


def reload_all(place, server):
    """Good ones with other secrets, and bad ones."""
    server.config.write_text(place.config(static=place.other["reloaded"]))
    expect("reloaded" in server.reload(), f"no reload:\n{server.output()[-2000:]}")
    until(lambda: code(place, USER, place.other["reloaded"]) == 0, 5, "the new password does not count")
    server.config.write_text(place.config(url=place.url("canary-of-another-redis")))
    server.reload()
    wrong = lab_file(place, "wrong.yaml")
    for number, text in enumerate(wrong_ways(place)):
        wrong.write_text(text)
        for mode in ("--check-config", "--dump-config"):
            exit_code, out, errors = start(place.lab, "--config", wrong, mode)
            place.canaries.look(f"{mode} of mistake {number}, which ends with {exit_code}", out + errors)
        if number % 4 == 0:
            server.config.write_text(text)
            server.reload()
    server.config.write_text(place.config())
    server.reload()
    for mode in ("--check-config", "--dump-config"):
        exit_code, out, errors = start(place.lab, "--config", server.config, mode)
        expect(exit_code == 0, f"{mode}: {exit_code}\n{errors}")
        place.canaries.look(mode, out + errors)


def lab_file(place, name):
    return place.lab.folder / name


def begin(lab, by_file):
    lab.start(CanaryRedis)
    place = Place(lab, by_file)
    place.fill_redis()
    server = lab.server(place.config())
    until(lambda: "redis_up" in server.output() and "store_secrets" in server.output(), 10, lambda: f"no Redis:\n{server.output()}")
    return place, server


def nothing_shows(lab, by_file):
    place, server = begin(lab, by_file)
    ask(place, use(place))
    place.look(server)
    reload_all(place, server)
    place.look(server)
    server.check()
    place.canaries.look("the log at its end", server.output())


@case
def threat_25_secrets_in_the_configuration_show_nowhere(lab):
    nothing_shows(lab, by_file=False)


@case
def threat_25_secrets_in_files_show_nowhere(lab):
    nothing_shows(lab, by_file=True)


@case
def threat_25_secrets_show_nowhere_while_redis_is_unreachable_or_refuses(lab):
    """Not there, killed, with another password, and by way of a Sentinel that wants one too, right and wrong."""
    place = Place(lab, by_file=False)
    server = lab.server(place.config())
    until(lambda: "redis_down" in server.output(), 10, "nobody misses Redis")
    use(place, redis_is_up=False)
    for user, password in (("ann", place.stored), rest(place, place.secrets["stored"])):
        expect(code(place, user, password) in (401, 500), f"{user} is let in")
        place.canaries.look("explain", control(place, "explain", "--user", user, "--password-stdin", given=password, codes=(0, 1)))
    place.look(server)
    server.check()
    place.canaries.look("the log", server.output())
    redis = lab.start(CanaryRedis, password=place.canaries.add("Redis' own", "canary-password-of-its-own"))
    server = lab.server(place.config(), name="refused")
    until(lambda: "wrong user or password" in server.output(), 10, lambda: f"no word about the wrong password:\n{server.output()}")
    place.look(server)
    server.check()
    place.canaries.look("the log", server.output())
    redis.kill()
    lab.start(CanaryRedis, "redis-again")
    sentinel = place.canaries.add("password of the Sentinel", "canary-sentinel")
    lab.start(CanaryRedis, "sentinel", sentinel, SENTINEL_PORT,
              f"sentinel monitor m 127.0.0.1 {PORT} 1\nsentinel auth-pass m {CANARY}\nsentinel down-after-milliseconds m 500\n")
    for number, (password, word) in enumerate(((sentinel, "redis_up"), (place.canaries.add("a wrong one", "canary-no-sentinel"), "redis_down"))):
        url = place.url(scheme="redis+sentinel", rest=f"127.0.0.1:{SENTINEL_PORT}/m")
        server = lab.server(place.config(url=url, more=f', sentinel_password: "{password}"'), name=f"by-sentinel-{number}")
        until(lambda w=word, s=server: w in s.output(), 10, lambda s=server: f"no {word}:\n{s.output()[-2000:]}")
        _, out, errors = start(lab, "--config", server.config, "--dump-config")
        place.canaries.look("the dump", out + errors)
        place.look(server)
        server.check()
        place.canaries.look("the log", server.output())


@case
def threat_25_canaries_are_seen_where_they_are(lab):
    """The looking itself."""
    place = Place(lab, by_file=False)
    secret, key = b"canary-static", place.oauth["file"]
    for text in (secret, base64.b64encode(secret), base64.b64encode(b"x" + secret), base64.b64encode(b"xy:" + secret), secret.hex().encode(),
                 key.hex().upper().encode(), base64.b64encode(key), hashlib.md5(f"{USER}:{REALM}:canary-static".encode()).hexdigest().encode()):
        try:
            place.canaries.look("a text", b"level=info what=" + text + b" more")
        except Exception as found:  # pylint: disable=broad-except
            expect("in a text" in str(found), f"another failure: {found}")
        else:
            expect(False, f"{text} is not seen")


@case
def threat_25_neither_program_can_be_looked_into(lab):
    """Dumped or traced: /proc of such a process belongs to root, whoever runs it."""
    expect(os.geteuid() == 0, "needs root, to become somebody else")
    os.chmod(lab.folder, 0o777)
    config = lab.folder / "own.yaml"
    config.write_text(CONFIG)
    program = pathlib.Path(lab.daemon).parent.parent / "cli/turnpikectl"
    for words, protected in ((["sleep", "60"], False), ([lab.daemon, "--config", config], True),
                             ([program, "token", "--kid", "a", "--key-file", "-", "--server-name", "b"], True)):
        words = ["setpriv", f"--reuid={admin.NOBODY}", f"--regid={admin.NOBODY}", "--clear-groups", *words]
        with subprocess.Popen([str(w) for w in words], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            owner = pathlib.Path(f"/proc/{process.pid}/environ")
            comm = pathlib.Path(f"/proc/{process.pid}/comm")
            until(lambda c=comm, w=words: c.read_text().strip() == pathlib.Path(w[4]).name, 10, "it does not start")
            try:
                until(lambda o=owner, p=protected: (os.stat(o).st_uid == 0) == p, 10, f"{words[4]}: protected is not {protected}")
            finally:
                process.send_signal(signal.SIGKILL)
