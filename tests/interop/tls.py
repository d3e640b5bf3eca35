"""TLS as openssl s_client sees it: versions, names, resumption, certificates of clients, and a certificate that is renewed."""
import os
import re
import subprocess
import time

import stun
import uclient
from certificates import PAST, Authority
from harness import case, expect, until
from process import refused
from streams import HOST, TLS, all_closed, allocates, closed_for, relays_and_ends, secure, success, tls_client
from transports import tls_context

OLD = ("-cipher", "DEFAULT@SECLEVEL=0")  # else the client itself refuses what is older than TLS 1.2


def s_client(*arguments, server=TLS, say=b"", until_said=b"", seconds=5):
    """Runs it until it has printed `until_said`, the server ends the connection, or the time is over: its output, as bytes."""
    command = ["openssl", "s_client", "-connect", f"{server[0]}:{server[1]}", *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        os.set_blocking(process.stdout.fileno(), False)
        output, end = b"", time.monotonic() + seconds
        try:
            process.stdin.write(say)
            process.stdin.flush()
            while time.monotonic() < end and not (until_said and until_said in output):
                data = process.stdout.read()
                if data == b"":
                    break
                output += data or b""
                time.sleep(0.01)
            process.stdin.close()
            process.wait(2)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            pass
        finally:
            process.kill()
        return output + (process.stdout.read() or b"")


def served(*arguments, **options):
    """Whether a Binding request gets its answer; and the output."""
    transaction = os.urandom(12)
    request = stun.build(stun.REQUEST, stun.BINDING, transaction=transaction)
    output = s_client(*arguments, say=request, until_said=transaction, **options)
    return transaction in output, output


def expect_served(*arguments, words=(), **options):
    good, output = served(*arguments, **options)
    expect(good, f"{arguments}: not served\n{output.decode(errors='replace')[-1500:]}")
    for word in words:
        expect(word in output, f"{arguments}: {word} is missing in\n{output.decode(errors='replace')}")
    return output


def expect_refused(*arguments, words=(), **options):
    good, output = served(*arguments, **options)
    expect(not good, f"{arguments}: served")
    for word in words:
        expect(word in output, f"{arguments}: {word} is missing in\n{output.decode(errors='replace')}")


@case
def tls_versions(lab):
    config = secure(lab)
    server = lab.server(config)
    for flag, version in (("-tls1_2", b"TLSv1.2"), ("-tls1_3", b"TLSv1.3")):
        expect_served(flag, "-CAfile", lab.authority.cert, "-verify_hostname", HOST, words=[version, b"Verify return code: 0 (ok)"])
    for flag in ("-tls1", "-tls1_1"):
        expect_refused(flag, *OLD, words=[b"alert protocol version"])
    closed_for(server, "tls_handshake_failed", 2)
    all_closed(server)
    server.check()
    server = lab.server(config.replace("tls: {", 'tls: { min_version: "1.3",'), name="newer")
    expect_served("-tls1_3")
    expect_refused("-tls1_2", words=[b"alert protocol version"])
    server.check()


def shown(*arguments):
    """The name in the certificate that the server shows."""
    return re.search(rb"^subject=CN ?= ?(\S+)", s_client(*arguments, until_said=b"Verify return code"), re.M)[1].decode()


def with_other_names(lab, config):
    wild = lab.authority.issue("wild", ["*.wild.test"])
    other = lab.authority.issue("other.test", ["other.test", "third.test"])
    more = ", ".join(f"{{ cert: {c.cert}, key: {c.key} }}" for c in (wild, other))
    return config.replace("tls: {", f"tls: {{ certificates: [{more}],")


@case
def tls_certificate_by_name(lab):
    server = lab.server(with_other_names(lab, secure(lab)))
    names = {HOST: HOST, "other.test": "other.test", "THIRD.test": "other.test", "a.wild.test": "wild", "a.b.wild.test": HOST,
             "wild.test": HOST, "unknown.test": HOST}
    for flag in ("-tls1_2", "-tls1_3"):
        for name, expected in names.items():
            got = shown(flag, "-servername", name)
            expect(got == expected, f"{flag} {name}: the certificate of {got}, not of {expected}")
        expect(shown(flag, "-noservername") == HOST, "without a name another certificate than the first")
    server.check()


@case
def tls_sessions_are_resumed(lab):
    config = secure(lab)
    server = lab.server(config)
    for flag, version in (("-tls1_2", b"TLSv1.2"), ("-tls1_3", b"TLSv1.3")):
        kept = lab.folder / f"session{flag}"
        expect_served(flag, "-sess_out", kept, words=[b"New, " + version])
        expect_served(flag, "-sess_in", kept, words=[b"Reused, " + version])
    server.config.write_text(config.replace("5000/s", "4000/s"))
    server.reload()
    expect_served("-tls1_3", "-sess_in", kept, words=[b"Reused, TLSv1.3"])
    server.check()


@case
def tls_application_protocols(lab):
    """RFC 7443's names are agreed on; who offers none, as browsers do, is served as well."""
    server = lab.server(secure(lab))
    for name in ("stun.turn", "stun.nat-discovery"):
        expect_served("-alpn", name, words=[f"ALPN protocol: {name}".encode()])
    expect_served("-alpn", "h2,stun.turn", words=[b"ALPN protocol: stun.turn"])
    expect_served(words=[b"No ALPN negotiated"])
    server.check()


# Certificates of clients

def with_clients(lab, crl, more=""):
    """Demands certificates of lab.authority's on 5349."""
    config = secure(lab, '  - { proto: tls, addr: "::", port: 5349, client_certificate: true }\n')
    lists = f", client_crl: {crl(lab.authority)}" if crl else ""
    return config.replace("tls: {", f"tls: {{ client_ca: {lab.authority.cert}{lists}{more},")


def with_certificate(certificate):
    return ("-cert", certificate.cert, "-key", certificate.key)


@case
def tls_client_certificates(lab):
    lists = lab.folder / "authority/crl.pem"
    config = with_clients(lab, lambda _: lists, ", client_names: [client.test]")
    issue, stranger = lab.authority.issue, Authority(lab.folder, "stranger")
    good = issue("good", ["client.test"], "clientAuth")
    bad = {"revoked": issue("revoked", ["client.test"], "clientAuth"),
           "expired": issue("expired", ["client.test"], "clientAuth", PAST),
           "wrong name": issue("wrong-name", ["another.test"], "clientAuth"),
           "wrong extended key usage": issue("wrong-usage", ["client.test"], "serverAuth"),
           "another authority's": stranger.issue("foreign", ["client.test"], "clientAuth")}
    lab.authority.revoke(bad["revoked"])
    lab.authority.revocations()
    server = lab.server(config)
    count = 0
    for flag in ("-tls1_2", "-tls1_3"):
        expect_served(flag, *with_certificate(good))
        for what, certificate in bad.items():
            expect_refused(flag, *with_certificate(certificate), words=[b"alert"])
            count += 1
            closed_for(server, "tls_client_certificate_refused", count)
            expect(server.connections()[2]["tls_client_certificate_refused"] == count, f"{what}: counted more than once")
        expect_refused(flag, words=[b"alert"])
    closed_for(server, "tls_no_client_certificate", 2)
    client = tls_client(lab, tls=known(lab, good))
    relays_and_ends(client)
    client.close()
    all_closed(server)
    server.check()


def known(lab, certificate):
    context = tls_context(lab.authority.cert)
    context.load_cert_chain(certificate.cert, certificate.key)
    return context


@case
def tls_revocation_lists_that_are_missing_or_stale_refuse(lab):
    stranger = Authority(lab.folder, "stranger")
    config = with_clients(lab, lambda _: stranger.revocations())
    good = with_certificate(lab.authority.issue("good", ["client.test"], "clientAuth"))
    server = lab.server(config)
    expect_refused(*good, words=[b"alert"])
    for path, accepted in ((lab.authority.revocations("stale.pem", PAST), False), (lab.authority.revocations(), True)):
        server.config.write_text(config.replace(str(stranger.folder / "crl.pem"), str(path)))
        server.reload()
        until(lambda: served(*good)[0] == accepted, 5, f"{path.name}: a good certificate is {'refused' if accepted else 'served'}")
    closed_for(server, "tls_client_certificate_refused", 2)
    server.check()
    refused_config = lab.folder / "none.yaml"
    refused_config.write_text(re.sub(r", client_crl: \S+,", ",", config))
    refused(lab, ("client_crl",), "--config", refused_config)


def serial(lab):
    client = tls_client(lab)
    try:
        return client.socket.getpeercert()["serialNumber"]
    finally:
        client.close()


@case(alone=True)
def tls_certificate_is_renewed_under_traffic(lab):
    """60 clients send 50 messages a second each, while the files are replaced and SIGHUP is sent, six times."""
    server = lab.server(secure(lab))
    lab.peer()
    _, finish = uclient.background(lab, ["-t", "-S", "-p", "5349", "-c", "-m", "60", "-n", "400", "-z", "20", *uclient.TO_PEER])
    serials = [serial(lab)]
    before = tls_client(lab)
    allocates(before)

    def relayed():
        return server.counters()["turnpike_packets_total"]['leg="peer",direction="out"']

    def rate(during):
        first, began = relayed(), time.monotonic()
        during()
        return (relayed() - first) / (time.monotonic() - began)
    until(lambda: rate(lambda: time.sleep(0.2)) > 2500, 30, "no traffic")  # they do not begin all at once

    def renew():
        for _ in range(6):
            renewed = lab.authority.issue(HOST)
            expect(renewed.serial() not in serials, "the same certificate again")
            server.reload()
            until(lambda new=renewed.serial(): serial(lab) == new, 5, "the old certificate is shown")
            serials.append(renewed.serial())
            time.sleep(0.3)
    under = rate(renew)
    print(f"{under:.0f} messages a second in each direction during {len(serials) - 1} renewals")
    expect(under >= 2000, f"{under:.0f} messages a second: the traffic was over before the renewals")
    finish()
    expect(success(before.refresh(0)), "a connection of before has ended")
    server.check()
