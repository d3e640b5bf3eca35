"""turnutils_uclient, read strictly: it ends with 0 at 100 % loss, and reports no loss when it has sent nothing."""
import re
import subprocess

from harness import CONFIG, PASSWORD, PEER_PORT, SECRET, USER, Failed, Process, case, expect, listening_peer

TOTALS = re.compile(r"start_mclient: tot_send_msgs=(\d+), tot_recv_msgs=(\d+)$", re.M)
LOST = re.compile(r"Total lost packets (\d+) \([^)]*\), total send dropped (\d+) ")
COLLISION = re.compile(r"exit code .*channel bind: error 400 ", re.S)
TO_PEER = ("-e", "127.0.0.1", "-r", str(PEER_PORT))
TO_PEER6 = ("-e", "::1", "-r", str(PEER_PORT))


def command(flags, server="127.0.0.1", credential=("-u", USER, "-w", PASSWORD)):
    return ["turnutils_uclient", *credential, *flags, server]


def sessions(flags):
    """How many sessions the flags make: -m counts those for RTCP too, and is rounded up to whole clients and pairs of them."""
    clients = int(flags[flags.index("-m") + 1]) if "-m" in flags else 1
    group = (2 if "-y" in flags else 1) * (1 if "-c" in flags or "-Z" in flags else 2)
    return clients + -clients % group


def check_output(output, expected):
    totals, lost = TOTALS.findall(output), LOST.findall(output)
    expect(len(totals) == 1 and len(lost) == 1, f"no result:\n{output[-3000:]}")
    sent, received = map(int, totals[0])
    expect((sent, received) == (expected, expected), f"sent {sent}, received {received} of {expected}\n{output[-3000:]}")
    expect(lost[0] == ("0", "0"), f"lost {lost[0][0]}, dropped {lost[0][1]}\n{output[-3000:]}")


def run(flags, seconds=60, **options):
    """Runs it to its end and demands that every message came back."""
    try:
        result = subprocess.run(command(flags, **options), stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as late:
        raise Failed(f"no end within {seconds} s\n{(late.output or b'')[-3000:].decode(errors='replace')}") from late
    output = result.stdout.decode(errors="replace")
    expect(result.returncode == 0, f"exit code {result.returncode}\n{output[-3000:]}")
    messages = int(flags[flags.index("-n") + 1])
    check_output(output, messages * sessions(flags))


def background(lab, flags):
    """Starts it; finish() waits for it and demands that every message came back."""
    process = lab.start(Process, "uclient", command(flags))

    def finish(seconds=60):
        try:
            code = process.popen.wait(seconds)
        except subprocess.TimeoutExpired as late:
            raise Failed(f"no end within {seconds} s\n{process.output()[-3000:]}") from late
        expect(code == 0, f"exit code {code}")
        check_output(process.output(), int(flags[flags.index("-n") + 1]) * sessions(flags))
    return process, finish


def drew_a_number_twice(server, failure):
    """Whether a run failed because turnutils_uclient bound one channel number to two peers of one allocation.

    It binds a number drawn from 0x4000-0x7FFF to the peer's port + 1, then draws anew for the peer, with -c as well: once in
    16384 sessions both are the same, and 400 is the right answer (RFC 8656 section 12.2). The proof is twofold: the client ended
    because it was refused a channel, and the server refused one because of that conflict and, but for the first challenges,
    nothing for another reason.
    """
    refused = {name: value for name, value in server.refusals().items() if name.startswith("turnpike_requests_refused_total")}
    conflict = refused.pop('turnpike_requests_refused_total{reason="channel_conflict"}', 0)
    refused.pop('turnpike_requests_refused_total{reason="no_integrity"}', 0)
    return COLLISION.match(str(failure)) is not None and conflict >= 1 and not refused


def run_proven(lab, flags, config=lambda _: CONFIG, **options):
    """run() with a server and a peer of its own; returns the server. `config(lab)` is what it is started with.

    After a proven collision of the client's own random numbers it runs once more, from nothing. That retries no flake away:
    without the proof the first failure stands, and a server that refused what it should not would do so again.
    """
    server = lab.server(config(lab))
    lab.peer()
    try:
        run(flags, **options)
        return server
    except Failed as failure:
        if lab.kind != "turnpike" or not drew_a_number_twice(server, failure):
            raise
    lab.renew()
    server = lab.server(config(lab))
    lab.peer()
    run(flags, **options)
    return server


def row(name, *flags, coturn=True, **options):
    """A case that runs one command line against the server."""
    def run_row(lab):
        server = run_proven(lab, list(flags), **options)
        if lab.kind == "turnpike":
            used = server.counters()["turnpike_reservations_total"]['result="used"']
            rtcp = "-c" not in flags and "-Z" not in flags
            expect((used > 0) == rtcp, f"{used} reservations used, with{'' if rtcp else 'out'} RTCP")
        server.check()
    run_row.__name__ = f"uclient_{name}"
    case(run_row, coturn=coturn)


N = ("-n", "20")
row("channels", *TO_PEER, *N)
row("channels_no_rtcp", "-c", *TO_PEER, *N)
row("send_indications", "-s", *TO_PEER, *N)
row("send_indications_no_rtcp", "-s", "-c", *TO_PEER, *N)
row("client_to_client", "-y", *N)
row("client_to_client_no_rtcp", "-y", "-c", *N)
row("client_to_client_send_indications", "-y", "-s", *N)
row("ipv4_relay", "-X", *TO_PEER, *N)
row("ipv4_relay_no_rtcp", "-X", "-c", *TO_PEER, *N)
row("ipv6_relay_of_ipv4_client", "-x", *TO_PEER6, *N)
row("ipv6_relay_of_ipv4_client_no_rtcp", "-x", "-c", *TO_PEER6, *N)
row("ipv6_relay_of_ipv6_client", "-x", *TO_PEER6, *N, server="::1")
row("ipv4_relay_of_ipv6_client", "-X", *TO_PEER, *N, server="::1")
# Debian's sends 0x8032 for ADDITIONAL-ADDRESS-FAMILY (0x8000): to anyone but coturn an unknown optional attribute. The real one is
# in relaying.py.
row("dual_allocation_flag", "-Z", *TO_PEER, *N)
row("dont_fragment", "-g", *TO_PEER, *N)
row("dont_fragment_no_rtcp", "-g", "-c", *TO_PEER, *N)
row("channel_padding", "-D", *TO_PEER, *N)
row("extra_requests", "-G", "-c", *TO_PEER, *N)
row("long_messages", "-l", "1200", *TO_PEER, *N)
row("rest_secret", *TO_PEER, *N, credential=("-u", USER, "-W", SECRET))
row("rest_secret_no_rtcp", "-c", *TO_PEER, *N, credential=("-u", USER, "-W", SECRET))
row("hundred_clients", "-c", "-m", "100", "-n", "200", "-z", "40", *TO_PEER, seconds=90)


@case(coturn=True)
def uclient_loss_is_seen(lab):
    """Without a peer nothing comes back: the reading of turnutils' output must say so."""
    lab.server()
    try:
        run(["-c", *TO_PEER, *N])
    except Failed as failure:
        expect("received 0 of 20" in str(failure), f"another failure: {failure}")
        return
    raise Failed("a run without a peer passed")


@case
def uclient_collision_takes_both_proofs(lab):
    """A second run is for nothing but a channel number that the client itself used twice."""
    server, client = lab.server(), lab.client()
    _, port = listening_peer()
    client.allocate()
    refused = Failed("exit code 255\n0: : channel bind: error 400 (Bad Request)")
    answer = client.bind_channel(0x4001, "127.0.0.1", port)
    expect(answer and answer.code == 0, f"ChannelBind: {answer and answer.code}")
    expect(not drew_a_number_twice(server, refused), "the server refused nothing, and a run was excused")
    answer = client.bind_channel(0x4001, "127.0.0.1", port + 1)
    expect(answer and answer.code == 400, f"ChannelBind of a bound number: {answer and answer.code}")
    expect(drew_a_number_twice(server, refused), f"no collision seen in {server.refusals()}")
    expect(not drew_a_number_twice(server, Failed("sent 20, received 19 of 20")), "a loss was excused")
    client.bind_channel(0x1, "127.0.0.1", port)
    expect(not drew_a_number_twice(server, refused), "another refusal was excused")
    server.check()


@case
def uclient_secret_that_rotates(lab):
    """turnutils_uclient -W with the secret of today, the one of yesterday beside it, and one that is retired."""
    secrets = "secrets: [{ id: today, secret: s1 }, { id: yesterday, secret: s2 }, { id: before, secret: s3, retired: true }]"
    # Refused, it tries again and again: it must not be locked out, and wait for an answer that does not come.
    config = CONFIG.replace(f"secrets: [{{ id: a, secret: {SECRET} }}]", secrets).replace("limits: { ", "limits: { guesses_per_source: 0, ")
    server = lab.server(config)
    lab.peer()
    flags = ["-c", *TO_PEER, "-n", "20"]
    for secret in ("s1", "s2"):
        run(flags, credential=("-u", "carol", "-W", secret))
    for secret, reason in (("s3", "secret_retired"), ("s4", "secret_unknown")):
        try:
            run(flags, credential=("-u", "carol", "-W", secret))
        except Failed as refused:
            expect("exit code" in str(refused), f"another failure: {refused}")
        else:
            raise Failed(f"{secret} is let in")
        count = server.counters()["turnpike_auth_failures_total"].get(f'reason="{reason}"', 0)
        expect(count > 0, f"{secret} was not refused as {reason}")
    server.check()


@case
def uclient_access_tokens(lab):
    """turnutils_uclient -J makes tokens of its own, with three kids and keys that coturn's documentation knows; it draws a new
    one, of any of the three, for each Allocate and Refresh. With RTCP an allocation uses what one of another kid reserved."""
    keys = ("oauth: { server_name: turn.turnpike.test, keys: ["
            "{ kid: north, key: MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE= }, "
            "{ kid: union, algorithm: A128GCM, key: MTIzNDU2Nzg5MDEyMzQ1Ng== }, "
            "{ kid: oldempire, key: MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI= }] }")
    users = f"users: [{{ name: {USER}, password: {PASSWORD} }}]"
    for flags in (["-J", "-c", "-m", "4"], ["-J", "-m", "8"], ["-J", "-s", "-y", "-m", "4"], ["-J", "-t", "-m", "4"]):
        server = run_proven(lab, [*flags, *TO_PEER, *N], credential=(),
                            config=lambda _: CONFIG.replace(users, keys).replace(f"  secrets: [{{ id: a, secret: {SECRET} }}]\n", ""))
        failures = server.counters()["turnpike_auth_failures_total"]
        expect(sum(failures.values()) == 0, f"failures of authentication: {failures}")
        server.check()
        lab.renew()
