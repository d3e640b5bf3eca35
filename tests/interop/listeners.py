"""Listeners and certificates as the configuration names them: what stops a start, what a reload changes and what it keeps."""
import json
import os
import re
import socket
import ssl
import time

import transports
from admin import get, scrape, with_admin
from certificates import PAST, Authority
from harness import CONFIG, case, expect, until
from process import refused, start, success

TCP = ("127.0.0.1", 3478)
TLS = ("127.0.0.1", 443)
DAY_S = 86400
LISTENING = re.compile(r" listening proto=(\w+) addr=(\S+)")


def with_certificate(certificate, config=CONFIG, more=""):
    return f"{config}tls: {{ cert: {certificate.cert}, key: {certificate.key}{more} }}\n"


def stream_client(lab, server=TCP, tls=False):
    client = transports.Tcp(server, tls=transports.tls_context() if tls else None)
    lab.clients.append(client)
    return client


def shown(server=TLS):
    """The certificate that a new client is shown, DER."""
    with socket.create_connection(server, 10) as plain, transports.tls_context().wrap_socket(plain) as client:
        return client.getpeercert(binary_form=True)


def der(certificate):
    return ssl.PEM_cert_to_DER_cert(certificate.cert.read_text())


def key_lines(certificate):
    """What of a key must be nowhere: its lines of base64."""
    return [line for line in certificate.key.read_text().splitlines() if len(line) > 30 and "-" not in line]


def occupied(port, address="127.0.0.9"):
    taken = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # it would share; we must not
    taken.bind((address, port))
    taken.listen()
    return taken


def says(server, what):
    """Waits until the log has it: lines of the start come after the first answers."""
    until(lambda: what in server.output(), 5, lambda: f"no line with {what!r}:\n{server.output()}")


@case
def built_in_list_serves_tcp(lab):
    server = lab.server()
    expect(success(stream_client(lab).allocate()), "Allocate over TCP")
    expect(success(stream_client(lab, ("::1", 3478)).allocate()), "Allocate over TCP and IPv6")
    says(server, " started ")
    seen = set(LISTENING.findall(server.output()))
    for wanted in (("udp", "0.0.0.0:3478"), ("udp", "[::]:3481"), ("tcp", "0.0.0.0:3478"), ("tcp", "[::]:3478")):
        expect(wanted in seen, f"{wanted} is not said to listen: {seen}")
    expect(all(proto in ("udp", "tcp") for proto, _ in seen), f"TLS without a certificate: {seen}")
    server.check()


@case
def named_tcp_port_in_use_ends_with_one_line_and_2(lab):
    path = lab.folder / "turnpike.yaml"
    for text in (CONFIG, CONFIG + "listen: [{ proto: tcp, port: 3478 }]\n"):
        path.write_text(text)
        for address, named in (("127.0.0.9", "tcp 0.0.0.0:3478"), ("::1", "tcp [::]:3478")):
            with occupied(3478, address):
                refused(lab, (named, "in use"), "--config", path)


@case
def reload_opens_a_new_listener_and_keeps_an_old_one(lab):
    server = lab.server(CONFIG + "listen: [{ proto: udp, port: 3478 }, { proto: tcp, port: 3478 }]\n")
    old = stream_client(lab)
    expect(success(old.allocate()), "Allocate")
    server.config.write_text(CONFIG + "listen: [{ proto: udp, port: 3478 }, { proto: tcp, addr: 127.0.0.1, port: 80 }]\n")
    said = server.reload()
    says(server, "info listening proto=tcp addr=127.0.0.1:80")
    expect("listeners_kept" in said, f"no word about the listener that was taken away:\n{said}")
    expect(success(stream_client(lab, ("127.0.0.1", 80)).allocate()), "Allocate at the new listener")
    expect(success(old.refresh()), "the connection was dropped")
    with occupied(81):
        server.config.write_text(CONFIG + "listen: [{ proto: udp, port: 3478 }, { proto: tcp, port: 81 }]\n")
        said = server.reload()
        expect("reload_failed" in said and "tcp 0.0.0.0:81" in said, f"a port in use was taken:\n{said}")
    expect(success(stream_client(lab, ("127.0.0.1", 80)).allocate()), "the failed reload has changed a listener")
    server.check()


@case
def certificate_adds_tls_to_the_built_in_list(lab):
    certificate = Authority(lab.folder).issue("relay.test")
    server = lab.server(with_certificate(certificate, with_admin(lab)))
    for port in (443, 5349):
        expect(success(stream_client(lab, ("127.0.0.1", port), tls=True).allocate()), f"Allocate over TLS at {port}")
    for port in (3478, 5349):
        expect(success(lab.client(("127.0.0.1", port), kind=transports.Dtls).allocate()), f"Allocate over DTLS at {port}")
    listeners = json.loads(get("/api/v1/status", where=str(lab.folder / "control.sock"))[2])["listeners"]
    for proto, port in (("udp", 3478), ("tcp", 3478), ("tls", 443), ("tls", 5349), ("dtls", 5349)):
        shown = {"proto": proto, "address": f"[::]:{port}", "configured": True, "proxied": False, "client_certificate": False}
        expect(shown in listeners, f"{proto} {port}: {listeners}")
    says(server, f"info certificate file={certificate.cert} names=relay.test serial={certificate.serial()} expires=20")
    says(server, f"warn certificate_expires_soon file={certificate.cert} names=relay.test")
    expiry = scrape()[0]["turnpike_tls_cert_expiry_seconds"]
    expect(abs(expiry - time.time() - 2 * DAY_S) < 600, f"turnpike_tls_cert_expiry_seconds {expiry}")
    server.check()


@case
def built_in_tls_port_in_use_costs_a_warning(lab):
    certificate = Authority(lab.folder).issue("relay.test")
    path = lab.folder / "named.yaml"
    path.write_text(with_certificate(certificate, CONFIG + "listen: [{ proto: tls, port: 443 }]\n"))
    with occupied(443):
        server = lab.server(with_certificate(certificate))
        says(server, "warn not_listening proto=tls addr=0.0.0.0:443")
        expect(success(stream_client(lab, ("127.0.0.1", 5349), tls=True).allocate()), "Allocate over TLS at 5349")
        refused(lab, ("tls 0.0.0.0:443", "in use"), "--config", path)
    server.check()


def broken_certificates(authority, folder):
    """(configuration, words): what must be named."""
    good, other = authority.issue("relay.test"), authority.issue("other.test")
    torn = folder / "torn.pem"
    torn.write_text(good.cert.read_text()[:200])
    missing, pipe = folder / "missing.pem", folder / "pipe.pem"
    os.mkfifo(pipe)
    pairs = [(good.cert, other.key, other.key), (missing, good.key, missing), (good.cert, missing, missing),
             (good.cert, folder, folder), (pipe, good.key, pipe), (good.cert, pipe, pipe), (torn, good.key, torn),
             (good.cert, torn, torn), (good.key, good.key, good.key)]
    for cert, key, named in pairs:
        yield f"tls: {{ cert: {cert}, key: {key} }}\n", str(named)
    for more, named in ((f"certificates: [{{ cert: {other.cert}, key: {good.key} }}]", good.key),
                        (f"client_ca: {torn}, client_crl_check: false", torn),
                        (f"client_ca: {authority.cert}, client_crl: {missing}", missing)):
        yield f"tls: {{ cert: {good.cert}, key: {good.key}, {more} }}\n", str(named)


@case
def threat_03_broken_certificate_ends_with_one_line_and_2(lab):
    authority = Authority(lab.folder)
    path = lab.folder / "bad.yaml"
    for text, named in broken_certificates(authority, lab.folder):
        path.write_text(CONFIG + text)
        for mode in (["--config", path], ["--config", path, "--check-config"]):
            refused(lab, (named,), *mode)


@case
def reload_takes_a_renewed_certificate_and_drops_no_connection(lab):
    authority = Authority(lab.folder)
    first, second = authority.issue("first.test"), authority.issue("second.test")
    cert, key = lab.folder / "fullchain.pem", lab.folder / "privkey.pem"

    def install(certificate):
        cert.write_text(certificate.cert.read_text())
        key.write_text(certificate.key.read_text())
    install(first)
    server = lab.server(f"{CONFIG}tls: {{ cert: {cert}, key: {key} }}\n")
    old = stream_client(lab, TLS, tls=True)
    expect(success(old.allocate()), "Allocate over TLS")
    expect(shown() == der(first), "another certificate than the first")
    install(second)
    said = server.reload()  # the configuration itself has not changed
    until(lambda: shown() == der(second), 5, lambda: f"the renewed certificate is not shown:\n{said}")
    says(server, "names=second.test")
    expect(success(old.refresh()), "the reload has dropped a connection")
    for broken in ("", "no certificate", cert.read_text()[:300]):
        cert.write_text(broken)
        said = server.reload()
        expect("reload_failed" in said and str(cert) in said, f"no word about the file:\n{said}")
        expect(shown() == der(second), "another certificate after a failed reload")
    install(first)
    key.write_text(second.key.read_text())
    said = server.reload()
    expect("reload_failed" in said and str(key) in said, f"a key of another certificate was taken:\n{said}")
    expect(shown() == der(second), "another certificate after a failed reload")
    expect(success(old.refresh()), "a failed reload has dropped a connection")
    server.check()


@case
def reload_turns_a_tcp_port_into_a_tls_port(lab):
    certificate = Authority(lab.folder).issue("relay.test")
    before = CONFIG + "listen: [{ proto: udp, port: 3478 }, { proto: tcp, port: 443 }]\n"
    server = lab.server(with_certificate(certificate, before))
    old = stream_client(lab, TLS)
    expect(success(old.allocate()), "Allocate over TCP")
    server.config.write_text(with_certificate(certificate, before.replace("tcp", "tls")))
    expect("listeners_kept" not in server.reload(), "the port is said to be kept")
    fresh = until(lambda: tls_or_none(lab), 5, "no TLS after the reload")
    expect(success(fresh.allocate()), "Allocate over TLS")
    expect(success(old.refresh()), "the connection over TCP was dropped")
    server.config.write_text(before)
    server.reload()
    until(lambda: success(stream_client(lab, TLS).allocate()), 5, "no TCP after the second reload")
    expect(success(fresh.refresh()), "the connection over TLS was dropped with the certificate")
    server.check()


@case
def reload_that_takes_the_certificate_away_keeps_connections_and_makes_no_new_one(lab):
    certificate = Authority(lab.folder).issue("relay.test")
    server = lab.server(with_certificate(certificate))
    old = stream_client(lab, TLS, tls=True)
    expect(success(old.allocate()), "Allocate over TLS")
    server.config.write_text(CONFIG)
    expect("listeners_kept count=6" in server.reload(), "no word about the listeners that cannot serve any more")
    until(lambda: tls_or_none(lab) is None, 5, "TLS without a certificate")
    expect(success(old.refresh()), "the reload has dropped a connection")
    expect(success(stream_client(lab).allocate()), "no TCP after the reload")
    server.check()


def tls_or_none(lab):
    try:
        return stream_client(lab, TLS, tls=True)
    except (ssl.SSLError, ConnectionError):
        return None


@case
def expired_certificate_is_shown_and_warned_about(lab):
    certificate = Authority(lab.folder).issue("relay.test", valid=PAST)
    server = lab.server(with_certificate(certificate, with_admin(lab)))
    says(server, f"warn certificate_expired file={certificate.cert} names=relay.test expires=2020-02-01T00:00:00Z")
    expect(scrape()[0]["turnpike_tls_cert_expiry_seconds"] == 1580515200, scrape()[1])
    expect(shown() == der(certificate), "the certificate is not shown")
    server.check()


@case
def threat_25_keys_of_certificates_stay_out_of_log_and_dump(lab):
    authority = Authority(lab.folder)
    certificate, other = authority.issue("relay.test"), authority.issue("other.test")
    text = with_certificate(certificate, CONFIG + "log: { level: debug }\n")
    server = lab.server(text)
    expect(success(stream_client(lab, TLS, tls=True).allocate()), "Allocate over TLS")
    server.config.write_text(text.replace(str(certificate.key), str(other.key)))
    expect("reload_failed" in server.reload(), "a key of another certificate was taken")
    _, dump, errors = start(lab, "--config", server.config, "--dump-config")
    _, _, refusal = start(lab, "--config", server.config)
    server.check()
    expect(str(other.key) in dump, f"no path of a key in the dump:\n{dump}")
    lines = key_lines(certificate) + key_lines(other)
    expect(len(lines) >= 4, "no keys to look for")
    for line in lines:
        expect(line not in server.output() + dump + errors + refusal, "a key in the log, the dump or an error")
