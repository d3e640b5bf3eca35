"""Two instances behind a balancer that keeps the client's address and port, as pass-through balancers do:

    client 198.51.100.7 -- 198.51.100.1 balancer 10.0.1.1 -- 10.0.1.5 instance a
                                                 10.0.2.1 -- 10.0.2.5 instance b

Both instances have the service's address 203.0.113.1 on lo and answer from it. All four are namespaces; relayed addresses are
each instance's own. The balancer has no memory: the first datagram of a flow goes to a, all others to b.
"""
import stun
from harness import CONFIG, Process, case, expect, run_command, until
from namespaces import inside, link, namespace, up

CLIENT, BALANCER, SERVICE = "198.51.100.7", "198.51.100.1", "203.0.113.1"
NETS = {"a": "10.0.1", "b": "10.0.2"}
FORWARD = f"""\
import socket, sys
SERVICE = socket.inet_aton("{SERVICE}")
ways, seen = [], set()
for argument in sys.argv[1:]:
    interface, mac = argument.split("=")
    out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    out.bind((interface, 0))
    ways.append((out, bytes.fromhex(mac.replace(":", "")) + out.getsockname()[4] + b"\\x08\\x00"))
receive = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
receive.bind(("eth0", 0x0800))
print("forwards", flush=True)
while True:
    frame, source = receive.recvfrom(65536)
    ip = frame[14:]
    udp = (ip[0] & 15) * 4
    if source[2] == socket.PACKET_OUTGOING or ip[9] != socket.IPPROTO_UDP or ip[16:20] != SERVICE:
        continue
    flow = ip[12:16] + ip[udp:udp + 2]
    out, head = ways[flow in seen]
    seen.add(flow)
    # The sender's kernel leaves checksums to a network card that is not there: zero says that there is none.
    out.send(head + ip[:udp + 6] + bytes(2) + ip[udp + 8:])
"""


def route(*words):
    run_command("ip", "route", "add", *words)


class Cluster:
    """The network, and the balancer in it."""

    def __init__(self, lab):
        self.lab = lab
        self.client, self.balancer = namespace(lab, "client"), namespace(lab, "balancer")
        self.instances = {name: namespace(lab, name) for name in NETS}
        macs = {name: self.connect(name) for name in NETS}
        with inside(self.balancer):
            link("eth0", "client0", self.client)
            up("eth0", BALANCER)
            route("blackhole", SERVICE)  # else the kernel tells the client that there is no such host
            run_command("sysctl", "-qw", "net.ipv4.ip_forward=1")
        with inside(self.client):
            up("client0", CLIENT)
            route("default", "via", BALANCER)
        script = lab.folder / "balancer.py"
        script.write_text(FORWARD)
        with inside(self.balancer):
            process = lab.start(Process, "balancer", ["python3", script, *(f"{name}0={mac}" for name, mac in macs.items())])
        until(lambda: "forwards" in process.output(), 5, process.output)

    def connect(self, name):
        """Cables an instance to the balancer; returns the address that its end of the cable has."""
        with inside(self.balancer):
            link(f"{name}0", "eth0", self.instances[name])
            up(f"{name}0", f"{NETS[name]}.1")
        with inside(self.instances[name]):
            up("eth0", f"{NETS[name]}.5")
            route("default", "via", f"{NETS[name]}.1")
            run_command("ip", "address", "add", f"{SERVICE}/32", "dev", "lo")
            return run_command("ip", "-o", "link", "show", "eth0").split("link/ether ")[1].split()[0]

    def server(self, name, config):
        with inside(self.instances[name]):
            return self.lab.server(config, ready=(f"{NETS[name]}.5", 3478), name=f"turnpike-{name}")

    def new_client(self, **options):
        with inside(self.client):
            return self.lab.client((SERVICE, 3478), **options)


def config(name, more=""):
    """An instance of its own relayed address. `more`: lines of `auth`."""
    text = CONFIG.replace('public_ip: [127.0.0.1, "::1"]', f"public_ip: [{NETS[name]}.5]").replace("auth:\n", f"auth:\n{more}")
    return text.replace("allow_peers: [", "allow_peers: [10.0.0.0/8, ")


def nonce_secrets(lab, **secrets):
    """Files, and the lines that name them: nonce_secret="text"."""
    lines = []
    for key, text in secrets.items():
        path = lab.folder / f"{key}-{abs(hash(text))}"
        path.write_text(text)
        lines.append(f"  {key}_file: {path}\n")
    return "".join(lines)


def refused(server, reason):
    return server.counters()["turnpike_requests_refused_total"].get(f'reason="{reason}"', 0)


def challenged_by_one_served_by_the_other(cluster, servers):
    """One client: its first datagram draws a challenge of a, its second an allocation of b."""
    client = cluster.new_client()
    before = {name: refused(server, "no_integrity") for name, server in servers.items()}
    answer = client.exchange(stun.build(stun.REQUEST, stun.ALLOCATE, [(stun.TRANSPORT, stun.UDP)]))
    expect(answer and answer.code == 401, f"no challenge: {answer and answer.code}")
    challenges = {name: refused(server, "no_integrity") - before[name] for name, server in servers.items()}
    expect(challenges == {"a": 1, "b": 0}, f"challenged by {challenges}")
    client.realm, client.nonce = answer.attributes[stun.REALM], answer.attributes[stun.NONCE]
    attributes = [(stun.TRANSPORT, stun.UDP), (stun.USERNAME, client.user.encode()), (stun.REALM, client.realm),
                  (stun.NONCE, client.nonce)]
    return client, client.exchange(stun.build(stun.REQUEST, stun.ALLOCATE, attributes, client.key()))


@case
def cluster_accepts_a_nonce_of_another_instance(lab):
    cluster = Cluster(lab)
    shared = nonce_secrets(lab, nonce_secret="one secret of all the instances")
    servers = {name: cluster.server(name, config(name, shared)) for name in NETS}
    client, answer = challenged_by_one_served_by_the_other(cluster, servers)
    expect(answer and answer.kind == stun.SUCCESS, f"the other instance answers {answer and answer.code}")
    expect(answer.address(stun.RELAYED)[0] == f"{NETS['b']}.5", f"relayed at {answer.address(stun.RELAYED)}")
    expect(answer.source == SERVICE and answer.address(stun.MAPPED)[0] == CLIENT, f"from {answer.source}, mapped to "
                                                                                  f"{answer.address(stun.MAPPED)}")
    expect(refused(servers["b"], "foreign_nonce") + refused(servers["b"], "stale_nonce") == 0, "438 by the other instance")
    expect(client.refresh(0).kind == stun.SUCCESS, "no Refresh")
    for server in servers.values():
        server.check()


@case
def cluster_without_a_common_secret_challenges_again(lab):
    """What the case before would see if instances did not share their nonces."""
    cluster = Cluster(lab)
    servers = {name: cluster.server(name, config(name)) for name in NETS}
    _, answer = challenged_by_one_served_by_the_other(cluster, servers)
    expect(answer and answer.code == 438 and refused(servers["b"], "foreign_nonce") == 1, f"{answer and answer.code}")
    for server in servers.values():
        server.check()


@case
def cluster_nonce_secret_is_renewed_without_a_438(lab):
    """Instance by instance: the new secret is first accepted by all, then used by all, then the old one goes."""
    cluster = Cluster(lab)
    old, new = "the secret of last year", "the secret of this year"
    before = nonce_secrets(lab, nonce_secret=old, nonce_secret_old=new)  # makes nonces of the old one, knows the new one
    after = nonce_secrets(lab, nonce_secret=new, nonce_secret_old=old)
    servers = {"a": cluster.server("a", config("a", after)), "b": cluster.server("b", config("b", before))}
    for step in ("a has changed over", "b has as well"):
        _, answer = challenged_by_one_served_by_the_other(cluster, servers)
        expect(answer and answer.kind == stun.SUCCESS, f"{step}: {answer and answer.code}")
        servers["b"].config.write_text(config("b", after))
        expect("reloaded" in servers["b"].reload(), f"no reload:\n{servers['b'].output()}")
    servers["b"].config.write_text(config("b", nonce_secrets(lab, nonce_secret="a third secret, alone")))
    expect("reloaded" in servers["b"].reload(), f"no reload:\n{servers['b'].output()}")
    _, answer = challenged_by_one_served_by_the_other(cluster, servers)
    expect(answer and answer.code == 438, f"a nonce of a secret that is gone draws {answer and answer.code}")
    for server in servers.values():
        server.check()
