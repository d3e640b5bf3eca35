"""Access tokens (RFC 7635), from end to end: minted by turnpikectl and by coturn's tool, with keys of the file and of Redis."""
import base64
import json
import secrets
import socket
import ssl
import struct
import time
import urllib.parse

import certificates
import stun
from admin import scrape, turnpikectl, with_admin
from harness import CONFIG, PASSWORD, REALM, USER, case, expect, listening_peer, run_command, until
from redis import CANARY, PORT, Redis
from relaying import relays
from store import DATABASE, coturn

ACCESS_TOKEN, THIRD_PARTY = 0x001B, 0x802E
NAME, KID = "turn.test", "k1"
KEY = base64.b64encode(b"key of the tests, of 32 bytes...").decode()
MAC_KEY = b"twenty bytes of text"  # to turnutils_oauth it is a string
DELTA_S = 5  # RFC 7635 section 7
OAUTH = f"""  oauth:
    server_name: {NAME}
    keys: [{{ kid: {KID}, key: "{KEY}" }}]
"""
# What turnutils_uclient -J has built in, as Debian's testredisdbsetup.sh writes it. A line end stands behind each key.
UCLIENT_KEYS = {"north": ("A256GCM", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEK"), "union": ("A128GCM", "MTIzNDU2Nzg5MDEyMzQ1Ngo="),
                "oldempire": ("A256GCM", "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIK")}


def with_tokens(lab, oauth=OAUTH):
    return with_admin(lab, CONFIG.replace("auth:\n", "auth:\n" + oauth))


class Token:
    """A token and what goes with it."""

    def __init__(self, kid, token, mac_key, name=""):
        self.kid, self.token, self.mac_key, self.id = kid, token, mac_key, name


def ctl(lab, *arguments):
    code, out, errors = turnpikectl(lab, "--socket", lab.folder / "control.sock", *arguments)
    expect(code == 0, f"turnpikectl {arguments}: {code}\n{out}{errors}")
    return out


def mint(lab, lifetime="1h", kid=KID, name=NAME, key=KEY):
    """By turnpikectl."""
    path = lab.folder / "key"
    path.write_text(key + "\n")
    made = json.loads(ctl(lab, "--json", "token", "--kid", kid, "--key-file", path, "--server-name", name, "--lifetime", lifetime))
    return Token(kid, base64.b64decode(made["access_token"]), base64.b64decode(made["key"]), made["id"])


def mint_by_coturn(issued, lifetime=600, kid=KID, name=NAME, key=KEY, algorithm="A256GCM"):
    """By coturn's turnutils_oauth; `issued`: seconds since 1970."""
    out = run_command("turnutils_oauth", "-e", "-i", name, "-j", kid, "-k", key, "-l", int(issued) - 3600, "-m", 86400, "-n", algorithm,
                      "-o", base64.b64encode(secrets.token_hex(6).encode()).decode(), "-p", base64.b64encode(MAC_KEY).decode(),
                      "-q", int(issued) << 16, "-r", lifetime)
    return Token(kid, base64.b64decode(json.loads(out[out.index("{"):])["access_token"]), MAC_KEY)


class TokenClient(stun.Client):
    """Has a token in Allocate and Refresh, and signs with its session key."""

    def __init__(self, server, token, **options):
        super().__init__(server, **options)
        self.third_party, self.sends_token = None, True
        self.take(token)

    def take(self, token):
        self.user, self.token, self.mac_key = token.kid, token.token, token.mac_key

    def key(self):
        return self.mac_key

    def request(self, method, attributes=(), transaction=None):
        if self.nonce is None:
            answer = self.exchange(stun.build(stun.REQUEST, stun.ALLOCATE, [(stun.TRANSPORT, stun.UDP)]))
            expect(answer and answer.code == 401, f"no challenge: {answer and answer.code}")
            self.realm, self.nonce = answer.attributes[stun.REALM], answer.attributes[stun.NONCE]
            self.third_party = answer.attributes.get(THIRD_PARTY)
        if self.sends_token and method in (stun.ALLOCATE, stun.REFRESH):
            attributes = [*attributes, (ACCESS_TOKEN, self.token)]
        return super().request(method, attributes, transaction)


def connect(lab, token):
    return lab.client(kind=TokenClient, token=token)


def allocated(lab, token):
    client = connect(lab, token)
    answer = client.allocate()
    expect(answer and answer.code == 0, f"{token.kid}: {answer and answer.code}")
    client.lifetime = struct.unpack("!I", answer.attributes[stun.LIFETIME])[0]
    return client


def code_of(lab, token, server=("127.0.0.1", 3478)):
    """0: an allocation, which is ended again."""
    client = lab.client(server, kind=TokenClient, token=token)
    answer = client.allocate()
    if answer and answer.code == 0:
        expect(client.refresh(0).code == 0, "no Refresh")
    client.close()
    return answer and answer.code


def failures():
    """{reason: count} of failed authentications, without what never happened."""
    family = 'turnpike_auth_failures_total{reason="'
    return {name[len(family):-2]: value for name, value in scrape()[0].items() if name.startswith(family) and value}


@case
def tokens_relay(lab):
    """By whichever tool they were made; the challenge says for whom they must be."""
    server = lab.server(with_tokens(lab))
    peer, port = listening_peer()
    for token in (mint(lab), mint_by_coturn(time.time())):
        client = allocated(lab, token)
        expect(client.third_party == NAME.encode(), f"THIRD-PARTY-AUTHORIZATION says {client.third_party}")
        relays(client, peer, port)
        client.sends_token = False
        expect(client.refresh().code == 0, "a Refresh without the token")
    peer.close()
    expect(lab.client().allocate().code == 0, "a user with a password beside them")
    expect(lab.client(password="wrong").allocate().code == 401, "a wrong password beside them")
    expect(failures() == {"wrong_password": 1}, f"{failures()}")
    server.check()


@case
def tokens_that_are_not_good_draw_401(lab):
    server = lab.server(with_tokens(lab))
    now, good = time.time(), mint(lab)
    other = base64.b64encode(bytes(32)).decode()
    rows = [
        ("token_invalid", mint(lab, name="other.test"), mint(lab, key=other), Token(KID, b"", MAC_KEY), Token(KID, bytes(64), MAC_KEY),
         *(Token(KID, good.token[:n], good.mac_key) for n in (1, 2, 13, 14, 59, 63)),
         Token(KID, good.token + b"\0", good.mac_key), Token(KID, good.token * 20, good.mac_key)),
        ("kid_unknown", mint(lab, kid="k2"), Token("", good.token, good.mac_key), Token(USER, good.token, good.mac_key)),
        ("credential_expired", mint_by_coturn(now - 7200, 3600), mint_by_coturn(now + 7200, 3600)),
        ("credential_lifetime", mint(lab, lifetime="49h")),
        ("wrong_password", Token(KID, good.token, bytes(20)), Token(KID, good.token, mint(lab).mac_key), Token(KID, good.token, b""),
         Token(KID, good.token, stun.long_term_key(KID, REALM.encode(), PASSWORD))),
    ]
    for reason, *tokens in rows:
        before = failures().get(reason, 0)
        for number, token in enumerate(tokens):
            expect(code_of(lab, token) == 401, f"{reason}, token {number}: no 401")
        expect(failures()[reason] == before + len(tokens), f"not all are {reason}: {failures()}")
    expect(code_of(lab, good) == 0, "what was refused has cost the good one something")
    server.check()


@case
def tokens_forged_in_any_byte_draw_401(lab):
    """Each byte of nonce length, nonce, cipher text and tag, one bit of it after the other changed."""
    server = lab.server(with_tokens(lab))
    good = mint(lab)
    client = connect(lab, good)
    for at in range(len(good.token)):
        forged = bytearray(good.token)
        forged[at] ^= 1 << at % 8
        client.take(Token(KID, bytes(forged), good.mac_key))
        answer = client.allocate()
        expect(answer and answer.code == 401, f"byte {at} changed: {answer and answer.code}")
        expect(stun.INTEGRITY not in answer.attributes, f"byte {at} changed: the answer is signed")
    expect(failures() == {"token_invalid": len(good.token)}, f"{failures()}")
    client.take(good)
    expect(client.allocate().code == 0, "the token as it was made")
    server.check()


@case
def tokens_where_no_realm_takes_them_draw_420(lab):
    server = lab.server(with_admin(lab))
    client = connect(lab, mint(lab))
    answer = client.allocate()
    expect(client.third_party is None, "THIRD-PARTY-AUTHORIZATION in a realm without tokens")
    unknown = answer.attributes.get(stun.UNKNOWN_ATTRIBUTES)
    expect(answer.code == 420 and unknown == struct.pack("!H", ACCESS_TOKEN), f"{answer.code}, unknown are {unknown}")
    client.close()
    server.config.write_text(with_tokens(lab))
    expect("reloaded" in server.reload(), "no reload")
    allocated(lab, mint(lab))
    server.check()


@case
def tokens_end_their_allocations_unless_a_newer_one_comes(lab):
    """Not more than DELTA_S later than the token itself, whatever lifetime was asked for."""
    server = lab.server(with_tokens(lab))
    began = time.monotonic()
    short, renewed = allocated(lab, mint(lab, "4s")), allocated(lab, mint(lab, "4s"))
    expect(short.lifetime <= 4, f"an allocation of {short.lifetime} s by a token of 4 s")
    # A Refresh without a token asks for more and gets no more; one with the token that it has likewise.
    for short.sends_token in (False, True):
        answer = short.refresh(3600)
        lifetime = struct.unpack("!I", answer.attributes[stun.LIFETIME])[0] if answer.code == 0 else 0
        expect(answer.code == 0 and lifetime <= 4, f"Refresh: {answer.code}, {lifetime} s")
    first = Token(KID, renewed.token, renewed.mac_key)
    time.sleep(1)  # time stamps tell which of two is newer
    renewed.take(mint(lab, "1h"))
    answer = renewed.refresh(3600)
    lifetime = struct.unpack("!I", answer.attributes[stun.LIFETIME])[0] if answer.code == 0 else 0
    expect(lifetime > 3500, f"Refresh with a newer token: {answer.code}, {lifetime} s")
    second = Token(KID, renewed.token, renewed.mac_key)
    renewed.take(first)  # comes late
    renewed.refresh(600)
    renewed.take(second)
    renewed.sends_token = False
    until(lambda: scrape()[0]['turnpike_allocations_active{transport="udp",family="ipv4"}'] == 1, 4 + DELTA_S + 3,
          "the allocation outlives its token")
    took = time.monotonic() - began
    expect(3 < took, f"the allocation ended after {took:.1f} s, its token was good for 4 s")
    time.sleep(max(0, 4 + DELTA_S + 1 - took))
    peer, port = listening_peer()
    peer.sendto(b"too late", short.relayed)
    expect(short.receive(0.3) is None, "media after the end")
    expect(short.refresh().code in (401, 437), "a Refresh after the end")
    expect(code_of(lab, Token(KID, short.token, short.mac_key)) == 401, "a new allocation with the token that has ended")
    relays(renewed, peer, port)
    expect(renewed.refresh(600).code == 0, "what was prolonged has ended")
    peer.close()
    server.check()


@case
def tokens_revoked_by_id_or_by_kid_end(lab):
    oauth = OAUTH.replace("]\n", f', {{ kid: k2, key: "{KEY}" }}]\n')
    server = lab.server(with_tokens(lab, oauth))
    tokens = {"stolen": mint(lab), "good": mint(lab), "other kid": mint(lab, kid="k2")}
    clients = {name: allocated(lab, token) for name, token in tokens.items()}

    def alive():
        return {name for name, client in clients.items() if client.refresh().code == 0}
    for words, left in ((("--token", tokens["stolen"].id), {"good", "other kid"}), (("--user", KID), {"other kid"})):
        ctl(lab, "revoke", *words)
        until(lambda expected=left: alive() == expected, 5, lambda: f"after revoke {words} these go on: {alive()}")
        for name, token in tokens.items():
            expect(code_of(lab, token) == (0 if name in left else 401), f"{name} after revoke {words}")
    expect(failures()["revoked"] >= 3 and set(failures()) == {"revoked"}, f"{failures()}")
    expect(code_of(lab, mint(lab)) == 401, "a new token of a revoked kid")
    ctl(lab, "revoke", "--user", KID, "--undo")
    until(lambda: code_of(lab, tokens["good"]) == 0, 5, "what was taken back still holds")
    expect(code_of(lab, tokens["stolen"]) == 401, "the token's own revocation has gone with it")
    server.check()


def add_keys(redis, keys, **more):
    """As coturn's admin page writes them; turnadmin cannot."""
    fields = [word for pair in more.items() for word in pair]
    for kid, (algorithm, key) in keys.items():
        redis.ask("HMSET", f"turn/oauth/kid/{kid}", "ikm_key", key, "as_rs_alg", algorithm, *fields)


def with_redis_tokens(lab, database=0, password=CANARY):
    auth = f"  redis_oauth_keys: true\n  key_negative_ttl: 1s\n  key_ttl: 1s\n  oauth: {{ server_name: {NAME} }}\n"
    return with_tokens(lab, auth) + f'redis: {{ url: "redis://:{password}@127.0.0.1:{PORT}/{database}" }}\n'


def cut(algorithm, key):
    """A key of UCLIENT_KEYS as both servers use it: without the line end behind it."""
    return base64.b64encode(base64.b64decode(key)[:16 if algorithm == "A128GCM" else 32]).decode()


@case
def tokens_of_keys_in_redis(lab):
    """In coturn's layout, and through coturn as well: both algorithms, windows of time, keys that go and come."""
    redis = lab.start(Redis)
    add_keys(redis, UCLIENT_KEYS)
    now = int(time.time())
    for kid, begins, lifetime in (("now", now - 60, 3600), ("over", now - 3600, 1800), ("later", now + 3600, 0)):
        add_keys(redis, {kid: ("A256GCM", KEY)}, timestamp=begins, lifetime=lifetime)
    add_keys(redis, {"tenant": ("A256GCM", KEY)}, realm="other.test")
    server = lab.server(with_redis_tokens(lab))
    until(lambda: "redis_up" in server.output(), 10, "no Redis")
    places = (("127.0.0.1", 3478), coturn(lab, 3578, "--lt-cred-mech", "--oauth", "--server-name", NAME))
    for kid, (algorithm, key) in UCLIENT_KEYS.items():
        token = mint_by_coturn(now, kid=kid, key=cut(algorithm, key), algorithm=algorithm)
        expect(code_of(lab, token) == 0, f"a token of {kid}: {code_of(lab, token)}")
        # coturn signs with the first 16 bytes, as if it were an MD5 key.
        token.mac_key = token.mac_key[:16]
        codes = [code_of(lab, token, place) for place in places]
        expect(codes == [0, 0], f"a token of {kid}: {codes} of turnpike and coturn")
    expect(code_of(lab, mint(lab, kid="north", key=cut(*UCLIENT_KEYS["north"]))) == 0, "a token of turnpikectl")
    for kid, code in (("now", 0), ("over", 401), ("later", 401), ("tenant", 401), ("nobody", 401)):
        expect(code_of(lab, mint(lab, kid=kid)) == code, f"{kid}: not {code}")
    expect(set(failures()) == {"kid_unknown"}, f"{failures()}")
    redis.ask("DEL", "turn/oauth/kid/now")
    add_keys(redis, {"nobody": ("A256GCM", KEY)})
    until(lambda: code_of(lab, mint(lab, kid="now")) == 401, 5, "a key that was taken away is good")
    until(lambda: code_of(lab, mint(lab, kid="nobody")) == 0, 5, "a new key does not count")
    for word in (KEY, *(key for _, key in UCLIENT_KEYS.values())):
        expect(word not in server.output(), "a key in the log")
    server.check()


def page(link, method, path, form=""):
    """One page of coturn's admin pages, which know who has logged in by the connection."""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    link.sendall(f"{head}Content-Length: {len(form)}\r\n\r\n{form}".encode())
    text = b""
    while b"</html>" not in text and (more := link.recv(65536)):
        text += more
    return text.decode(errors="replace")


def written_by_coturn(lab, kid):
    """A key that coturn's own admin page puts into Redis; where that coturn is."""
    cert, key = lab.folder / "cert.pem", lab.folder / "key.pem"
    run_command("openssl", "req", "-x509", *certificates.KEY, "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost")
    run_command("turnadmin", "-A", "-u", "admin", "-p", "pages", "-N", DATABASE)
    place = coturn(lab, 3578, "-a", "--oauth", "--server-name", NAME, "--web-admin", "--web-admin-port", "8080", "--cert", cert, "--pkey", key, no_tls=False)
    # Not checked: it is a certificate of a moment.
    context = ssl._create_unverified_context()  # pylint: disable=protected-access
    with context.wrap_socket(socket.create_connection(("127.0.0.1", 8080), timeout=10)) as link:
        page(link, "GET", "/")
        time.sleep(0.3)  # it hands the connection over to another thread
        expect("/oauth" in page(link, "POST", "/logon", "uname=admin&pwd=pages"), "coturn does not let its admin in")
        form = f"oauth_kid={kid}&oauth_ikm={urllib.parse.quote(KEY, safe='')}&oauth_tea=A256GCM&oauth_ts=0&oauth_lt=0&oauth_realm={REALM}"
        expect(kid in page(link, "GET", f"/oauth?{form}"), "coturn has not written the key")
    return place


@case
def tokens_of_a_key_that_coturn_has_written(lab):
    redis = lab.start(Redis)
    place = written_by_coturn(lab, "page")
    expect(redis.ask("EXISTS", "turn/oauth/kid/page") == b":1", "it stands elsewhere")
    server = lab.server(with_redis_tokens(lab))
    until(lambda: "redis_up" in server.output(), 10, "no Redis")
    token = mint(lab, kid="page")
    expect(code_of(lab, token) == 0, "a token of coturn's key is refused")
    token.mac_key = token.mac_key[:16]
    expect(code_of(lab, token, place) == 0, "coturn refuses a token of turnpikectl's")
    expect(code_of(lab, mint(lab, kid="page", key=base64.b64encode(bytes(32)).decode())) == 401, "a token of another key is taken")
    server.check()


@case
def tokens_of_the_database_that_debian_ships(lab):
    """Debian's coturn has a script that fills a Redis; what it writes is served as it is, users and keys of two realms."""
    lab.start(Redis, password="turn")
    run_command("sh", "/usr/share/coturn/testredisdbsetup.sh")
    listen = "listen: [{ proto: udp, addr: 127.0.0.1, port: 3478, realms: [north.gov, crinna.org] }]\n"
    sources = f"redis_users: true, redis_secrets: true, redis_oauth_keys: true, oauth: {{ server_name: {NAME} }}"
    text = with_redis_tokens(lab, 2, "turn").replace(REALM, "north.gov").replace("  redis_oauth", "  redis_users: true\n  redis_oauth", 1)
    server = lab.server(text + listen + f"realms: [{{ name: crinna.org, {sources} }}]\n")
    until(lambda: "redis_up" in server.output(), 10, "no Redis")
    for realm, user, password in (("north.gov", "ninefingers", "youhavetoberealistic"), ("crinna.org", "whirrun", "sword")):
        client = lab.client(user=user, password=password)
        client.bind_channel(0x4000, "127.0.0.1", 9)  # takes the challenge
        client.realm = realm.encode()
        expect(client.allocate().code == 0, f"{user} of {realm}")
        for kid, owner in (("north", "crinna.org"), ("union", "north.gov"), ("oldempire", realm)):
            algorithm, key = UCLIENT_KEYS[kid]
            client = connect(lab, mint_by_coturn(time.time(), kid=kid, key=cut(algorithm, key), algorithm=algorithm))
            client.request(stun.REFRESH)
            client.realm = realm.encode()
            code = client.allocate().code
            expect(code == (0 if owner == realm else 401), f"{kid} in {realm}: {code}")
            client.close()
    server.check()
