"""HAProxy and nginx in front of the relay, with the configurations of deploy/, on a network of their own:

    client 198.51.100.7 -- 198.51.100.1 balancer 10.0.0.4 -- 10.0.0.5 relay (this namespace)

The client and the balancer are namespaces that end with the process that holds them.
"""
import pathlib
import socket

import stun
import uclient
from certificates import Authority
from harness import CONFIG, Process, case, expect, run_command, until
from namespaces import inside, link, namespace, up
from streams import all_closed, clients_in_log, relays_and_ends, success
from transports import Tcp, tls_context

DEPLOY = pathlib.Path(__file__).resolve().parent.parent.parent / "deploy"
CLIENT, BALANCER, INSIDE, RELAY = "198.51.100.7", "198.51.100.1", "10.0.0.4", "10.0.0.5"
HOST = "turn.example.com"
LISTEN = f"""\
listen:
  - {{ proto: udp, addr: "::", port: 3478 }}
  - {{ proto: tcp, addr: {RELAY}, port: 4478, proxy_from: [{INSIDE}] }}
"""
LISTEN_TLS = f"  - {{ proto: tls, addr: {RELAY}, port: 4443, proxy_from: [{INSIDE}] }}\n"


class Network:
    def __init__(self, lab):
        self.client, self.balancer = namespace(lab, "client"), namespace(lab, "balancer")
        link("relay0", "eth1", self.balancer)
        up("relay0", RELAY)
        with inside(self.balancer):
            link("eth0", "client0", self.client)
            up("eth0", BALANCER)
            up("eth1", INSIDE)
        with inside(self.client):
            up("client0", CLIENT)
            run_command("ip", "route", "add", "default", "via", BALANCER)
        run_command("ip", "route", "add", "default", "via", INSIDE)


def haproxy(lab, network, name, places=()):
    """Starts it with one of deploy/haproxy/, where only files lie elsewhere: `places`, [(there, here)]."""
    text = (DEPLOY / "haproxy" / name).read_text()
    for there, here in places:
        expect(there in text, f"the example does not name {there}")
        text = text.replace(there, str(here))
    config = lab.folder / name
    config.write_text(text)
    with inside(network.balancer):
        process = lab.start(Process, "haproxy", ["haproxy", "-db", "-f", config])

    def listens():
        expect(process.popen.poll() is None, f"haproxy ended with {process.popen.returncode}")
        with inside(network.client), socket.socket() as s:
            return s.connect_ex((BALANCER, 443)) == 0
    until(listens, 10, "haproxy does not listen")


def relays_through(lab, network, server, authority):
    """Our own client and turnutils' from the client's namespace; the relay knows the client's address, not the balancer's."""
    with inside(network.client):
        client = lab.client((BALANCER, 443), kind=Tcp, tls=tls_context(authority.cert), name=HOST)
    relays_and_ends(client)
    answer = client.request(stun.BINDING)
    expect(answer and answer.address(stun.MAPPED) == client.local, f"mapped to {answer and answer.addresses(stun.MAPPED)}")
    lab.peer()
    with inside(network.client):
        uclient.run(["-t", "-S", "-p", "443", "-m", "10", "-n", "50", *uclient.TO_PEER], server=BALANCER)
    seen = {address.rsplit(":", 1)[0] for address in clients_in_log(server)}
    expect(seen == {CLIENT} and len(clients_in_log(server)) >= 11, f"clients in the log: {seen}")


def with_certificates(lab, listen):
    authority = Authority(lab.folder)
    certificate = authority.issue(HOST)
    return authority, certificate, CONFIG + listen + f"tls: {{ cert: {certificate.cert}, key: {certificate.key} }}\n"


def ends_well(lab, server, balancer):
    for client in lab.clients:
        client.close()
    balancer.end()
    reasons = all_closed(server)
    # turnutils tries older versions of TLS as well.
    expect(set(reasons) <= {"closed_by_client", "connection_reset", "http_probe", "tls_handshake_failed"}, f"closed for {reasons}")
    expect(reasons.get("http_probe", 0) > 0, f"no health check was answered: {reasons}")
    server.check()


@case
def haproxy_passes_tls_through_by_name(lab):
    network = Network(lab)
    authority, _, config = with_certificates(lab, LISTEN + LISTEN_TLS)
    server = lab.server(config)
    haproxy(lab, network, "pass-through.cfg")
    relays_through(lab, network, server, authority)
    accepted = server.connections()[0]
    with inside(network.client):
        try:
            lab.client((BALANCER, 443), kind=Tcp, tls=tls_context(), name="www.example.com", seconds=1)
            expect(False, "another name comes to the relay")
        except OSError:
            pass
    ends_well(lab, server, lab.processes[-2])
    expect(accepted >= 11, f"{accepted} connections")


# turnutils takes one message of a TLS record and waits for the next record: on a busy machine HAProxy puts two into one.
@case(alone=True)
def haproxy_ends_tls_and_names_the_client(lab):
    network = Network(lab)
    authority, certificate, _ = with_certificates(lab, "")
    server = lab.server(CONFIG + LISTEN)
    bundle = certificate.bundle(lab.folder / "haproxy.pem")
    haproxy(lab, network, "terminate.cfg", [("/etc/haproxy/turn.example.com.pem", bundle)])
    relays_through(lab, network, server, authority)
    ends_well(lab, server, lab.processes[-2])


@case
def nginx_forwards_udp_transparently(lab):
    network = Network(lab)
    server = lab.server(CONFIG)
    config = DEPLOY / "nginx/udp-transparent.conf"
    for line in config.read_text().splitlines():
        if line.startswith("#   ip "):
            with inside(network.balancer):
                run_command(*line[1:].split())
    with inside(network.balancer):
        nginx = lab.start(Process, "nginx", ["nginx", "-e", "stderr", "-p", lab.folder, "-c", config, "-g",
                                             f"daemon off; pid {lab.folder}/nginx.pid;"])
    with inside(network.client):
        client = lab.client((BALANCER, 3478))
    until(lambda: success(client.exchange(stun.build(stun.REQUEST, stun.BINDING), 1, 0.2)), 10, "no answer through nginx")
    relays_and_ends(client)
    lab.peer()
    with inside(network.client):
        uclient.run(["-m", "10", "-n", "50", *uclient.TO_PEER], server=BALANCER)
    seen = {address.rsplit(":", 1)[0] for address in clients_in_log(server)}
    expect(seen == {CLIENT} and len(clients_in_log(server)) >= 11, f"clients in the log: {seen}")
    expect(nginx.end() == 0, "nginx did not end well")
    server.check()
