"""The admin server beyond loopback: TLS, tokens, client certificates, and who is not let in."""
import itertools
import json
import resource
import socket
import ssl
import subprocess
import time

import admin
import stun
from certificates import PAST, Authority
from harness import CONFIG, expect, case, run_command, until
from process import refused

ADDRESS = "192.0.2.10"
WHERE = (ADDRESS, admin.PORT)
STATUS = "/api/v1/status"
NETWORKS = itertools.cycle(range(250))


def client_context(authority, certificate=None, version=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(authority.cert)
    if version:
        context.minimum_version = context.maximum_version = version
    if certificate:
        context.load_cert_chain(certificate.cert, certificate.key)
    return context


def dial():
    """Each from another /24, of which no more than so many a second are let in."""
    return socket.create_connection(WHERE, 10, (f"198.18.{next(NETWORKS)}.1", 0))


def connect(context, name=ADDRESS):
    return context.wrap_socket(dial(), server_hostname=name)


def ask(context, path=STATUS, host=ADDRESS, token=None, method="GET"):
    """(status, answer), or (None, why not) where no answer of HTTP comes."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"] + [f"Authorization: Bearer {token}"] * (token is not None)
    answer = b""
    try:
        with connect(context) as client:
            client.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
            while chunk := client.recv(65536):
                answer += chunk
    except (ssl.SSLError, ConnectionError) as error:
        return None, str(error)
    return int(answer.split()[1]), answer.decode()


def with_tls(lab, own, more="", token=admin.TOKEN, hosts="relay.test", crl="crl.pem", listen=f"0.0.0.0:{admin.PORT}"):
    keys = (f"{{ cert: {own.cert}, key: {own.key}, client_ca: {lab.operators.cert}, "
            f"client_crl: {lab.operators.folder / crl}{more} }}")
    return admin.with_admin(lab, CONFIG, token, listen=f'"{listen}"', hosts=f"[{hosts}]", tls=keys)


def prepared(lab):
    """An address that is none of loopback, and an authority of the relays and one of the operators."""
    run_command("ip", "address", "add", f"{ADDRESS}/32", "dev", "lo")
    run_command("ip", "address", "add", "198.18.0.1/16", "dev", "lo")
    lab.authority, lab.operators = Authority(lab.folder), Authority(lab.folder, "operators")
    return lab.authority.issue("relay", ["relay.test", ADDRESS])


def operators(lab):
    """(a good certificate, {what is wrong: a bad one})"""
    issue, stranger = lab.operators.issue, Authority(lab.folder, "stranger")
    bad = {"revoked": issue("revoked", usage="clientAuth"), "expired": issue("expired", usage="clientAuth", valid=PAST),
           "wrong extended key usage": issue("server", usage="serverAuth"),
           "a stranger's": stranger.issue("stranger-ops", usage="clientAuth")}
    lab.operators.revoke(bad["revoked"])
    lab.operators.revocations()
    return issue("ops", usage="clientAuth"), bad


def closed(context, cause):
    _, text = ask(context, "/metrics")
    return int(text.split(f'turnpike_admin_connections_closed_total{{cause="{cause}"}} ')[1].split()[0])


def reloaded(lab, server, config, word="reloaded"):
    server.config.write_text(config)
    said = server.reload()
    expect(word in said, f"no '{word}' after SIGHUP:\n{said}")


@case
def threat_23_beyond_loopback_without_tls_or_credentials_the_start_fails(lab):
    own = prepared(lab)
    lab.operators.revocations()
    path = lab.folder / "bad.yaml"
    plain = admin.with_admin(lab, listen=f"{ADDRESS}:{admin.PORT}")
    open_to_all = admin.with_admin(lab, CONFIG, None, listen=f"{ADDRESS}:{admin.PORT}", tls=f"{{ cert: {own.cert}, key: {own.key} }}")
    other_key = with_tls(lab, own).replace(str(own.key), str(lab.authority.key))
    for config, words in ((plain, ("admin.listen", ADDRESS, "admin.tls.cert")), (open_to_all, ("admin.listen", "admin.token_file")),
                          (other_key, ("admin.tls.key", "does not match")), (with_tls(lab, own, crl="none"), ("admin.tls.client_crl", "No such file"))):
        path.write_text(config)
        refused(lab, words, "--config", path)
    refused(lab, ("admin.tls.client_crl", "No such file"), "--check-config", "--config", path)


@case
def threat_23_admin_over_tls_lets_in_who_may_and_nobody_else(lab):
    own = prepared(lab)
    good, bad = operators(lab)
    server = lab.server(with_tls(lab, own))
    anybody = client_context(lab.authority)

    def who_may():
        expect(ask(anybody, token=admin.TOKEN)[0] == 200, "the right token is refused")
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            status, answer = ask(client_context(lab.authority, good, version))
            expect(status == 200 and json.loads(answer.split("\r\n\r\n")[1])["ready"], f"a good certificate: {status} {answer}")
    who_may()
    for token in (None, "", admin.TOKEN[:-1], admin.TOKEN.upper()):
        status, answer = ask(anybody, token=token)
        expect(status == 401 and "application/problem+json" in answer, f"token {token!r}: {status}")
    for host, status in (("relay.test", 200), (f"{ADDRESS}:1", 200), ("localhost", 200), ("attacker.test", 403), ("192.0.2.11", 403)):
        expect(ask(anybody, host=host, token=admin.TOKEN)[0] == status, f"Host {host} is not {status}")
        expect(ask(client_context(lab.authority, good), host=host)[0] == status, f"Host {host} with a certificate is not {status}")
    for count, (what, certificate) in enumerate(bad.items()):
        status, answer = ask(client_context(lab.authority, certificate), token=admin.TOKEN)
        expect(status is None, f"{what}: {status} {answer}")
        expect(closed(anybody, "certificate") == count + 1, f"{what}: not counted")
    expect(ask(anybody, "/ready")[0] == 200 and ask(anybody, "/no")[0] == 404, "what is free, and what is not there")
    plain = admin.exchange(WHERE, f"GET {STATUS} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {admin.TOKEN}\r\n\r\n".encode())
    expect(b"HTTP/1.1 200" not in plain and b"version" not in plain, f"in clear: {plain[:80]}")
    old = run_old_version()
    expect("Protocol  : TLSv1.1" not in old and "handshake failure" in old or "alert" in old, f"TLS 1.1: {old[-300:]}")
    client = lab.client()
    expect(client.allocate().kind == stun.SUCCESS and client.bind_channel(0x4000, ADDRESS, admin.PORT).code == 403,
           "the admin server is a peer")
    what_a_reload_changes(lab, server, own, good, who_may)
    server.check()


def run_old_version():
    """What openssl says that tries TLS 1.1."""
    return subprocess.run(["openssl", "s_client", "-connect", f"{ADDRESS}:{admin.PORT}", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=10, check=False).stdout


def what_a_reload_changes(lab, server, own, good, who_may):
    anybody, ops = client_context(lab.authority), client_context(lab.authority, good)
    lab.operators.revocations("stale.pem", PAST)
    reloaded(lab, server, with_tls(lab, own, crl="stale.pem"))
    expect(ask(ops)[0] is None and ask(anybody, token=admin.TOKEN)[0] == 200, "a list past its date")
    reloaded(lab, server, with_tls(lab, own, crl="none"), "reload_failed")
    expect(ask(ops)[0] is None and ask(anybody, token=admin.TOKEN)[0] == 200, "a reload that failed changed something")
    new = lab.authority.issue("renewed", ["relay.test", ADDRESS])
    reloaded(lab, server, with_tls(lab, new, hosts="other.test"))
    who_may()
    with connect(anybody) as client:
        expect(client.getpeercert()["serialNumber"].lstrip("0") == new.serial().lstrip("0"), "the old certificate is shown")
    expect(ask(anybody, host="relay.test", token=admin.TOKEN)[0] == 403, "a host that was taken out")
    expect(ask(anybody, host="other.test", token=admin.TOKEN)[0] == 200, "a host that is new")
    reloaded(lab, server, with_tls(lab, new, ", client_required: true"))
    expect(ask(anybody, "/live", token=admin.TOKEN)[0] is None and ask(ops, "/live")[0] == 200, "certificates are not required")
    # Without TLS nothing is served beyond loopback, though the socket is kept until the next start.
    reloaded(lab, server, admin.with_admin(lab))
    expect("admin_unreachable" in server.output(), "no word about who cannot come in any more")
    said = admin.exchange(WHERE, f"GET /live HTTP/1.1\r\nHost: {ADDRESS}\r\n\r\n".encode())
    expect(said == b"", f"in clear after a reload: {said[:80]}")
    expect(admin.get("/live")[0] == 200, "loopback in clear after a reload")


@case
def threat_23_hostile_clients_of_tls_hold_up_nothing(lab):
    own = prepared(lab)
    good = lab.operators.issue("ops", usage="clientAuth")
    lab.operators.revocations()
    server = lab.server(with_tls(lab, own))
    ops = client_context(lab.authority, good)
    hello = ssl.MemoryBIO()
    half = client_context(lab.authority).wrap_bio(ssl.MemoryBIO(), hello, server_hostname=ADDRESS)
    try:
        half.do_handshake()
    except ssl.SSLWantReadError:
        pass
    hello = hello.read()
    hanging = []
    for number in range(200):
        client = dial() if number < 100 else socket.create_connection(WHERE, 10)
        try:
            client.sendall(hello[:number] if number % 2 else hello)
        except ConnectionError:
            pass  # its network has had as many as it may
        hanging.append(client)
    began = time.monotonic()
    expect(ask(ops)[0] == 200, "a good client behind 200 that do not go on")
    # Long before the first of them would be too late.
    expect(time.monotonic() - began < 3, f"a good client waits {time.monotonic() - began:.1f} s")
    refused_ones = closed(client_context(lab.authority), "rate")
    expect(refused_ones > 20, f"one network is let in as often as it likes: {refused_ones} of 100 are not")
    for client in hanging:
        client.close()
    # Many at once, each with its own answer.
    clients = [connect(ops) for _ in range(32)]
    for client in clients:
        client.sendall(f"GET /live HTTP/1.1\r\nHost: {ADDRESS}\r\n\r\n".encode())
    answers = [client.recv(4096) for client in clients]
    expect(all(b" 200 " in answer for answer in answers), f"answered: {sum(b' 200 ' in a for a in answers)} of {len(answers)}")
    for client in clients:
        client.close()
    idle = server.open_files()
    until(lambda: len(server.open_files()) <= len(idle), 5, "descriptors are left")
    expect(json.loads(ask(ops)[1].split("\r\n\r\n")[1])["state"] == "running", "the state")
    server.check()


@case
def threat_23_clients_of_tls_take_no_files_of_the_relay(lab):
    own = prepared(lab)
    lab.operators.revocations()
    resource.setrlimit(resource.RLIMIT_NOFILE, (600, 600))
    config = with_tls(lab, own)
    server = lab.server("workers: 1\n" + config)
    clients = [lab.client() for _ in range(250)]
    codes = [client.allocate().code for client in clients]
    expect(codes[0] == 0 and codes[-1] == 508, f"allocations have all files: {codes.count(0)} of {len(codes)}")
    # Each has three for some seconds.
    anybody = client_context(lab.authority)
    held = [connect(anybody) for _ in range(60)]
    reloaded(lab, server, "workers: 1\n" + config)
    for client in held:
        client.close()
    server.check()


@case
def threat_23_tls_that_a_reload_brings_takes_no_files_of_the_relay(lab):
    own = prepared(lab)
    lab.operators.revocations()
    resource.setrlimit(resource.RLIMIT_NOFILE, (600, 600))
    server = lab.server("workers: 1\n" + admin.with_admin(lab))
    config = "workers: 1\n" + with_tls(lab, own, listen=f"127.0.0.1:{admin.PORT}")
    for _ in range(2):  # reserved once
        reloaded(lab, server, config)
    clients = [lab.client() for _ in range(250)]
    codes = [client.allocate().code for client in clients]
    expect(codes[0] == 0 and codes[-1] == 508, f"allocations have all files: {codes.count(0)} of {len(codes)}")
    server.check()
