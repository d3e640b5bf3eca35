"""The admin server: metrics, health, status, who may ask, and what hostile clients of it can do."""
import json
import os
import pathlib
import re
import resource
import socket
import stat
import subprocess
import time

import stun
import uclient
from harness import CONFIG, COUNTER, REALM, SECRET, USER, case, expect, until
from process import refused

PORT = 9641
TOKEN = "canary-token-0123456789"
NOBODY = 65534
DUAL = [(stun.ADDITIONAL_FAMILY, b"\x02\0\0\0")]
IPV6 = [(stun.FAMILY, b"\x02\0\0\0")]
ADMIN = re.compile(r"^admin: .*$", re.M)


def with_admin(lab, config=CONFIG, token=TOKEN, **places):
    """The configuration with an admin server of this lab's own."""
    keys = {"listen": f"127.0.0.1:{PORT}", "socket": lab.folder / "control.sock", **places}
    keys.update({"token": token} if token else {})
    return ADMIN.sub("admin: { " + ", ".join(f"{k}: {v}" for k, v in keys.items()) + " }", config)


def connect(where):
    client = socket.socket(socket.AF_UNIX if isinstance(where, str) else socket.AF_INET)
    client.settimeout(10)
    client.connect(where)
    return client


def exchange(where, data):
    """Everything that comes back until the connection ends; b"" where it is cut."""
    with connect(where) as client:
        chunks = []
        try:
            client.sendall(data)
            while chunk := client.recv(65536):
                chunks.append(chunk)
        except ConnectionError:
            pass
        return b"".join(chunks)


def get(path, where=("127.0.0.1", PORT), method="GET", host="localhost", token=None, extra="", sent=""):
    """(status, headers, body)"""
    lines = [f"{method} {path} HTTP/1.1"] + [f"Host: {host}"] * (host is not None)
    lines += [f"Authorization: Bearer {token}"] * (token is not None)
    answer = exchange(where, ("\r\n".join(lines) + "\r\n" + extra + "\r\n" + sent).encode()).decode()
    head, _, body = answer.partition("\r\n\r\n")
    match = re.match(r"HTTP/1\.1 (\d+)", head)
    expect(match, f"{method} {path}: no answer of HTTP: {answer[:200]!r}")
    return int(match[1]), head, body


def scrape():
    """{name{labels}: value} of /metrics, and its text."""
    status, _, text = get("/metrics")
    expect(status == 200, f"/metrics: {status}")
    return {f"{name}{{{labels}}}" if labels else name: float(value) if "." in value else int(value)
            for name, labels, value in COUNTER.findall(text)}, text


def turnpikectl(lab, *arguments):
    """(exit code, stdout, stderr)"""
    program = pathlib.Path(lab.daemon).parent.parent / "cli/turnpikectl"
    result = subprocess.run([program, *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                            timeout=20, check=False)
    return result.returncode, result.stdout, result.stderr


def active(family):
    return scrape()[0][f'turnpike_allocations_active{{transport="udp",family="{family}"}}']


@case
def metrics_are_live_and_clean(lab):
    server = lab.server(with_admin(lab))
    clients = [lab.client() for _ in range(3)]
    before, _ = scrape()
    for client, attributes in zip(clients, ((), IPV6, DUAL)):
        answer = client.allocate(attributes)
        expect(answer.kind == stun.SUCCESS, f"Allocate: {answer.code}")
    values, text = scrape()
    expect([active(f) for f in ("ipv4", "ipv6", "dual")] == [1, 1, 1], "the gauges do not show the allocations")
    expect(values['turnpike_requests_total{method="allocate",code="success"}'] == 3, "requests by method and code")
    expect(values['turnpike_requests_total{method="allocate",code="401"}'] == 3, "challenges by method and code")
    expect(values.keys() == before.keys() and len(values) <= 500, f"{len(before)} series became {len(values)}")
    clean(text)
    dumped = {f"{n}{{{k}}}" if k else n for n, series in server.counters().items() for k in series}
    expect(dumped == values.keys(), f"SIGUSR1 and /metrics differ by {dumped ^ values.keys()}")
    for client in clients:
        client.refresh(0)
    expect([active(f) for f in ("ipv4", "ipv6", "dual")] == [0, 0, 0], "the gauges keep what has ended")
    stranger = lab.client(user="canary-user", password="x")
    expect(stranger.allocate().code == 401, "a stranger is let in")
    values, text = scrape()
    expect(values['turnpike_auth_failures_total{reason="unknown_user"}'] == 1, "failed authentication is not counted")
    for word in ("canary", USER + '"', "127.0.0.1", REALM):
        expect(word not in text, f"{word} in the metrics")
    server.check()


def clean(text):
    """promtool has nothing to say about it."""
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    expect(checked.returncode == 0 and not checked.stderr, f"promtool: {checked.stdout}{checked.stderr}")


@case
def histograms_see_real_traffic(lab):
    server = lab.server(with_admin(lab))
    lab.peer()
    names = ["turnpike_client_rtt_seconds", "turnpike_relay_delay_seconds"]
    before, _ = scrape()
    expect([before[f"{name}_count"] for name in names] == [0] * len(names), "something was observed before anything happened")
    # Send indications: with channels turnutils may bind one number to two peers, see uclient.py.
    uclient.run(["-s", "-c", "-m", "4", *uclient.TO_PEER, "-n", "100"])
    values, text = scrape()
    clean(text)
    for name in names:
        buckets = [v for k, v in values.items() if k.startswith(f"{name}_bucket")]
        expect(values[f"{name}_count"] > 0, f"{name}: nothing observed")
        expect(buckets == sorted(buckets) and buckets[-1] == values[f"{name}_count"], f"{name}: {buckets}")
        mean = values[f"{name}_sum"] / values[f"{name}_count"]
        expect(0 <= mean < 1, f"{name}: {mean} s on loopback")
    allocations = values['turnpike_allocations_total{result="created"}']
    expect(values["turnpike_client_rtt_seconds_count"] == allocations >= 4, f"answers to challenges, of {allocations} allocations")
    expect(values.keys() == before.keys() and len(values) <= 500, f"{len(before)} series became {len(values)}")
    server.check()


@case
def status_over_the_socket_and_by_turnpikectl(lab):
    server = lab.server(with_admin(lab))
    path = str(lab.folder / "control.sock")
    lab.client().allocate()
    status, head, body = get("/api/v1/status", where=path)
    seen = json.loads(body)
    expect(status == 200 and seen["ready"] and seen["state"] == "running", f"status: {status} {body}")
    expect("application/json" in head and "no-store" in head and "ibwebsockets" not in head, head)
    expect(seen["allocations"] == {"active": 1, "created": 1}, body)
    expect(seen["workers"]["count"] == seen["workers"]["polling"] > 0, body)
    expect(seen["config"] == {"file": str(server.config), "version": 1, "reloading": False}, body)
    expect({"proto": "udp", "address": "0.0.0.0:3478", "configured": True, "proxied": False,
             "client_certificate": False} in seen["listeners"], body)
    expect({"public": "127.0.0.1", "local": "127.0.0.1"} in seen["relayed"], body)
    for word in ("canary", SECRET, "password"):
        expect(word not in body, f"{word} in the status")
    code, out, _ = turnpikectl(lab, "status", "--json", "--socket", path)
    expect(code == 0 and json.loads(out)["version"] == seen["version"], f"turnpikectl --json: {code} {out}")
    code, out, _ = turnpikectl(lab, "--socket", path, "status")
    expect(code == 0 and "running, ready" in out and "1 now" in out, f"turnpikectl: {code} {out}")
    server.config.write_text(with_admin(lab, CONFIG.replace("5000/s", "4000/s")))
    server.reload()
    until(lambda: json.loads(get("/api/v1/status", where=path)[2])["config"]["version"] == 2, 5, "the version stays")
    for arguments, expected in ((("status", "--socket", "/nowhere"), 3), (("status", "more"), 2), (("nonsense",), 2), ((), 2),
                                (("status", "--nonsense"), 2), (("--help",), 0), (("--version",), 0)):
        code, _, errors = turnpikectl(lab, *arguments)
        expect(code == expected, f"turnpikectl {arguments}: {code}, not {expected}\n{errors}")
    server.check()
    expect(not os.path.exists(path), "the socket is left behind")


@case
def health_is_answered_on_both(lab):
    server = lab.server(with_admin(lab, token=None))
    for where in (("127.0.0.1", PORT), str(lab.folder / "control.sock")):
        until(lambda w=where: get("/ready", where=w)[0] == 200, 5, "never ready")
        expect(get("/live", where=where)[::2] == (200, "live\n"), "/live")
        status, head, body = get("/ready", where=where, method="HEAD")
        expect(status == 200 and not body and "content-length: 6" in head, f"HEAD: {head}")
    server.check()


@case
def configured_places_are_had_or_the_start_fails(lab):
    path = lab.folder / "bad.yaml"
    sock = lab.folder / "control.sock"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", PORT))
        taken.listen()
        path.write_text(with_admin(lab))
        refused(lab, ("admin.listen", str(PORT), "in use"), "--config", path)
    sock.write_text("a file")
    path.write_text(with_admin(lab, listen="none"))
    refused(lab, ("admin.socket", "in the way"), "--config", path)
    expect(sock.read_text() == "a file", "a file of others was replaced")
    sock.unlink()
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(sock))
    server = lab.server(with_admin(lab))
    expect(stat.S_IMODE(os.stat(sock).st_mode) == 0o660, "the socket's mode")
    path.write_text(with_admin(lab, CONFIG + "listen: [{ proto: udp, addr: 127.0.0.1, port: 5000 }]\n", listen="none"))
    refused(lab, ("admin.socket", "in use"), "--config", path)
    expect(get("/live", where=str(sock))[0] == 200, "the first one lost its socket")
    server.check()


@case
def built_in_places_that_are_taken_cost_a_warning(lab):
    config = ADMIN.sub("", CONFIG)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", PORT))
        taken.listen()
        server = lab.server(config)
        expect("admin_not_listening" in server.output(), "no word about the admin server")
        server.check()


@case
def threat_01_the_admin_server_is_never_a_peer(lab):
    server = lab.server(with_admin(lab, token=None))
    client = lab.client()
    expect(client.allocate().kind == stun.SUCCESS, "Allocate")
    answer = client.bind_channel(0x4000, "127.0.0.1", PORT + 1)
    expect(answer.kind == stun.SUCCESS, f"a port beside it: {answer.code}")
    answer = client.bind_channel(0x4001, "127.0.0.1", PORT)
    expect(answer.code == 403, f"the admin server as a peer: {answer.kind} {answer.code}")
    before = server.dropped("peer_denied")
    client.send_to("127.0.0.1", PORT, b"x")
    until(lambda: server.dropped("peer_denied") == before + 1, 5, "what is sent to it is not refused")
    server.check()


@case
def threat_23_no_token_or_foreign_host_is_refused(lab):
    server = lab.server(with_admin(lab))
    status = "/api/v1/status"
    expect(get(status, token=TOKEN)[0] == 200, "the right token is refused")
    for token in (None, "", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "x" * 600):
        code, head, body = get(status, token=token)
        expect(code == 401 and "www-authenticate: Bearer realm=" in head and "version" not in body, f"token {token!r}: {code}")
    for host in (None, "attacker.example", "localhost.attacker.example", "192.0.2.1", "x" * 300):
        expect(get(status, host=host, token=TOKEN)[0] == 403, f"Host {host}")
    twice = f"GET {status} HTTP/1.1\r\nHost: localhost\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    expect(b" 403 " in exchange(("127.0.0.1", PORT), twice.encode()), "two Hosts")
    for path, code in (("/", 404), ("/etc/passwd", 404), ("/../../etc/passwd", 404), ("/api/v1/status/", 404),
                       ("/%2e%2e/%2e%2e/etc/passwd", 404), ("/api/v1", 404)):
        expect(get(path, token=TOKEN)[0] == code, f"{path} is not {code}")
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        expect(get(status, method=method, token=TOKEN)[0] == 405, f"{method} is served")
    expect(get(status, token=TOKEN, extra="Content-Length: 3\r\n")[0] == 413, "a body is taken")
    expect(get(status, token=TOKEN, extra="Transfer-Encoding: chunked\r\n")[0] == 413, "a body in pieces is taken")
    values, text = scrape()
    expect(values['turnpike_admin_requests_total{code="401"}'] == 6, "refusals are not counted")
    expect(TOKEN not in text + server.output(), "the token is told")
    server.config.write_text(with_admin(lab, token="another-token-9876543210"))
    server.reload()
    until(lambda: get(status, token=TOKEN)[0] == 401, 5, "a token that was taken out is good")
    expect(get(status, token="another-token-9876543210")[0] == 200, "the new token is refused")
    server.check()


@case
def threat_23_other_users_of_the_machine_are_refused(lab):
    expect(os.geteuid() == 0, "needs root, to become somebody else")
    server = lab.server(with_admin(lab))
    path = lab.folder / "control.sock"
    expect(stat.S_IMODE(os.stat(path).st_mode) == 0o660, "the socket's mode")

    def as_nobody():
        os.chmod(lab.folder, 0o755)
        return subprocess.run(["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "/usr/bin/python3", "-c",
                               "import socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.settimeout(5)\n"
                               "s.connect(sys.argv[1])\ns.sendall(b'GET /api/v1/status HTTP/1.1\\r\\n\\r\\n')\n"
                               "print(s.recv(100))", path], capture_output=True, text=True, check=False)
    result = as_nobody()
    expect("PermissionError" in result.stderr, f"nobody can connect: {result.stdout}{result.stderr}")
    os.chmod(path, 0o666)
    result = as_nobody()
    expect(" 403 " in result.stdout, f"nobody is served: {result.stdout}{result.stderr}")
    server.check()


def cut(data, seconds=4):
    """True if the server ends the connection in time, whatever it says."""
    with connect(("127.0.0.1", PORT)) as client:
        client.settimeout(seconds)
        try:
            client.sendall(data)
            while client.recv(65536):
                pass
        except ConnectionError:
            pass
        except TimeoutError:
            return False
        return True


@case(alone=True)
def threat_23_hostile_clients_hold_up_nothing(lab):
    server = lab.server(with_admin(lab))
    files = len(server.open_files())
    hostile = [b"GET /live HTTP/1.1\r\nX: " + b"a" * 1000000, b"a" * 1000000, b"\r\n" * 5000, bytes(range(256)) * 400,
               b"GET " + b"/a" * 100000, b"GET /live HTTP/1.1\r\n" + b"A: b\r\n" * 3000 + b"\r\n",
               b"CONNECT x:1 HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET /%00 HTTP/1.1\r\n\r\n",
               b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: a\r\n\r\n",
               b"GET / HTTP/1.1\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nHTTP2-Settings: AAAA\r\n\r\n"]
    for data in hostile:
        expect(cut(data), f"{data[:40]} keeps its connection")
    flood = b"GET /metrics HTTP/1.1\r\n\r\n" * 2000  # pipelined, and never read
    silent = [connect(("127.0.0.1", PORT)) for _ in range(300)]
    for number, client in enumerate(silent):
        try:
            client.setblocking(False)
            client.send((b"", b"GET /li", flood, b"POST /live HTTP/1.1\r\nContent-Length: 9999999\r\n\r\nabc")[number % 4])
        except OSError:
            pass
    slowest = 0
    for _ in range(20):
        began = time.monotonic()
        expect(get("/live")[0] == 200, "/live")
        slowest = max(slowest, time.monotonic() - began)
    expect(slowest < 1, f"/live took {slowest:.2f} s")
    expect(len(server.open_files()) < files + 100, "connections are not capped")
    before = cpu(server)
    time.sleep(1)
    expect(cpu(server) - before < 0.5, f"the server spins: {cpu(server) - before:.2f} s of 1 s")
    until(lambda: len(server.open_files()) <= files, 10, lambda: f"{len(server.open_files()) - files} descriptors stay")
    closed = {k: v for k, v in scrape()[0].items() if "connections_closed" in k}
    expect(closed['turnpike_admin_connections_closed_total{cause="full"}'] > 100, f"{closed}")
    expect(closed['turnpike_admin_connections_closed_total{cause="late"}'] > 0, f"{closed}")
    expect(closed['turnpike_admin_connections_closed_total{cause="broken"}'] > 5, f"{closed}")
    for client in silent:
        client.close()
    server.check()


@case
def threat_25_secrets_stay_out_of_the_admin_server_and_the_command_line(lab):
    config = CONFIG.replace("password: p", "password: canary-password").replace(SECRET, "canary-secret")
    server = lab.server(with_admin(lab, config + "log: { level: debug }\n"))
    client = lab.client(password="canary-password")
    expect(client.allocate().kind == stun.SUCCESS, "Allocate")
    expect(lab.client(password="canary-guess").allocate().code == 401, "a wrong password was let in")
    for path in ("/metrics", "/live", "/ready", "/api/v1/status"):
        code, head, body = get(path, token=TOKEN)
        expect(code == 200 and "canary" not in head + body, f"{path}: {code}\n{body[:500]}")
    code, head, body = get("/api/v1/status", token="canary-wrong-token")
    expect(code == 401 and "canary" not in head + body, f"a wrong token: {code}\n{body}")
    line = pathlib.Path(f"/proc/{server.pid}/cmdline").read_bytes()
    expect(b"turnpike" in line and b"canary" not in line, line)
    expect("canary" not in server.output(), "a canary in the log")
    server.check()


def cpu(server):
    fields = pathlib.Path(f"/proc/{server.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@case
def no_descriptor_left_makes_nothing_spin(lab):
    server = lab.server(with_admin(lab))
    server.limit_files(max(server.open_files()) + 1)
    waiting = [connect(("127.0.0.1", PORT)) for _ in range(5)]
    before = cpu(server)
    time.sleep(1.5)
    expect(cpu(server) - before < 0.5, "accepting spins")
    server.limit_files(1000)
    until(lambda: get("/live")[0] == 200, 10, "does not come back")
    for client in waiting:
        client.close()
    server.check()


@case(alone=True)
def threat_24_scrape_of_5000_allocations_takes_20_ms(lab):
    count = 5000
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    expect(hard == resource.RLIM_INFINITY or hard >= 2 * count, f"the file limit of {hard} is too low")
    resource.setrlimit(resource.RLIMIT_NOFILE, (2 * count, hard))
    config = re.sub(r"^limits: .*$", "limits: { unauthenticated_per_address: unlimited, unauthenticated_per_prefix: unlimited }",
                    CONFIG, flags=re.M)
    server = lab.server(with_admin(lab, config))
    series = scrape()[0].keys()
    for number in range(count):
        name, password = stun.rest_credential(SECRET, f"user{number}")
        answer = lab.client(user=name, password=password).allocate()
        expect(answer and answer.kind == stun.SUCCESS, f"Allocate {number}")
    took = []
    for _ in range(10):
        began = time.monotonic()
        values, _ = scrape()
        took.append(time.monotonic() - began)
    expect(values['turnpike_allocations_active{transport="udp",family="ipv4"}'] == count, "not all of them are counted")
    expect(values.keys() == series, "allocations make series")
    expect(sorted(took)[len(took) // 2] <= 0.020, f"a scrape takes {sorted(took)[len(took) // 2] * 1000:.1f} ms")
    server.check()


