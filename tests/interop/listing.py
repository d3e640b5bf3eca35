"""turnpikectl sessions: allocations of all workers, and what was lost of a stream that passes through one of them."""
import json
import struct

import stun
from admin import DUAL, IPV6, connect, turnpikectl, with_admin
from harness import CONFIG, USER, case, expect, until
from media_call import allocated

CHANNEL, SSRC, PACKETS, GAP = 0x4000, 0x1a2b3c4d, 60, range(20, 26)


def ask(lab, *arguments):
    return turnpikectl(lab, "--socket", lab.folder / "control.sock", "sessions", "--json", *arguments)


def listed(lab, *arguments):
    code, out, errors = ask(lab, *arguments)
    expect(code == 0, f"turnpikectl sessions {arguments}: {code} {errors}")
    return json.loads(out)["sessions"]


def rtp(number):
    """PCMU, 20 ms each."""
    return struct.pack("!BBHII", 0x80, 0, number, number * 160, SSRC) + bytes(160)


@case
def sessions_show_who_is_there_and_what_is_lost(lab):
    server = lab.server(with_admin(lab, CONFIG + "\nworkers: 2\n"))
    expect(not listed(lab), "sessions before anybody came")
    caller, peer = allocated(lab, channel=CHANNEL)
    others = [lab.client() for _ in range(40)]
    for number, client in enumerate(others):
        answer = client.allocate(((), IPV6, DUAL)[number % 3])
        expect(answer.kind == stun.SUCCESS, f"Allocate: {answer.code}")
    for number in range(PACKETS):
        if number not in GAP:
            caller.send_channel(CHANNEL, rtp(number))
            expect(peer.recv(2048) == rtp(number), "another packet")
    found = listed(lab, "--media")
    expect(len(found) == len({s["id"] for s in found}) == 41, f"{len(found)} sessions")
    expect({s["id"][:2] for s in found} == {"00", "01"}, "not of both workers")
    expect(sorted(len(s["relayed"]) for s in found).count(2) == 13, "those of both families")
    [mine] = [s for s in found if s["streams"]]
    expect(mine["relayed"] == ["%s:%d" % caller.relayed] and mine["user"] == USER and mine["guard"] == "observe", mine)
    expect(mine["to_peer"]["packets"] == PACKETS - len(GAP) and mine["channels"] == 1, mine)
    [stream] = mine["media"]
    expect((stream["ssrc"], stream["direction"], stream["clock_rate"]) == (SSRC, "to_peer", 8000), stream)
    expect((stream["packets"], stream["expected"], stream["lost"]) == (PACKETS - len(GAP), PACKETS, len(GAP)), stream)
    expect(listed(lab, "--id", mine["id"])[0]["id"] == mine["id"], "by its id")
    expect(len(listed(lab, "--user", USER)) == 41 and not listed(lab, "--user", "nobody"), "by user")
    code, out, _ = turnpikectl(lab, "--socket", lab.folder / "control.sock", "sessions", "--media", "--id", mine["id"])
    expect(code == 0 and f"ssrc {SSRC:08x}" in out and "lost 6 (10.0 %)" in out and len(out.splitlines()) == 3, out)
    leave_while_asking(lab)
    until(lambda: ask(lab)[0] == 0, 5, "whoever has left is asking still")
    caller.refresh(0)
    until(lambda: len(listed(lab)) == 40, 5, "one that has ended is listed")
    kick_everybody(lab, others[0])
    expect(server.counters()["turnpike_allocations_ended_total"]['reason="kicked"'] == 41, "the reason of their end")
    server.check()


def kick_everybody(lab, client):
    """First one, which comes back, then all of its user's, on both workers."""
    def kick(*arguments):
        code, out, errors = turnpikectl(lab, "--socket", lab.folder / "control.sock", "kick", *arguments)
        expect(code == 0, f"turnpikectl kick {arguments}: {code} {errors}")
        return out
    mine = f"127.0.0.1:{client.socket.getsockname()[1]}"
    [one] = [s["id"] for s in listed(lab) if s["client"] == mine]
    expect(kick("--id", one) == "1 allocation ended\n" and kick("--id", one) == "0 allocations ended\n", "by its id")
    expect(client.refresh(600).code == 437, "the allocation is there still")
    expect(client.allocate(()).kind == stun.SUCCESS, "who was kicked may not come back")
    expect(kick("--user", USER) == "40 allocations ended\n" and not listed(lab), "by user")


def leave_while_asking(lab):
    """Nobody waits for the answer any more when it comes."""
    body = json.dumps({"media": True})
    for _ in range(50):
        with connect(str(lab.folder / "control.sock")) as client:
            client.sendall(f"POST /api/v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                           f"Content-Length: {len(body)}\r\n\r\n{body}".encode())
