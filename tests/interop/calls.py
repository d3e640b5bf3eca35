"""SRTP through the relay, between two endpoints on libsrtp2: what passes is what was sent, and what is forged does not."""
import base64
import json
import time

import stun
from admin import with_admin
from harness import CONFIG, REALM, USER, case, expect, until
from media_call import DIRECTIONS, SUITES, Caller, Counts, Keys, allocated, allocation_id, deposit, post_key, take_back, taken, whole

# What libsrtp2 says of a faulty packet at the far end, and what it would say if nothing had come before it.
FAULTS = {"header": ("auth_fail", "auth_fail"), "payload": ("auth_fail", "auth_fail"), "tag": ("auth_fail", "auth_fail"),
          "truncated": ("auth_fail", "auth_fail"), "wrong_key": ("auth_fail", "auth_fail"),
          "wrong_direction": ("auth_fail", "auth_fail"), "reflected": ("no_ctx", "auth_fail"), "replay": ("replay_fail", "ok"),
          "old": ("replay_old", "ok"), "forged": ("replay_fail", "auth_fail")}
# What the relay calls them, where replays are dropped: the reason, and the counter of verdicts.
DROPPED = {**dict.fromkeys(FAULTS, ("srtp_failed", "failed")), "replay": ("srtp_replayed", "replayed"),
           "old": ("srtp_too_old", "replayed"), "forged": ("srtp_replayed", "replayed"), "reflected": ("srtp_unverified", "unverified")}
ONLY_RTP = ("old", "reflected")
EACH, CALL = 5, 10000
SSRC = {"a": 0x1000, "b": 0x2000}
OTHER_WAY = {"a": "b", "b": "a"}


def begin(lab, suite, name="caller", client=None, peer=None, ssrc=SSRC, **options):  # pylint: disable=dangerous-default-value
    """A caller with a stream each way, each with keys of its own."""
    caller = lab.start(Caller, name, client, peer)
    for stream, direction in (("a", "to_peer"), ("b", "to_client")):
        caller.stream(stream, direction, ssrc[stream], Keys(suite), **options)
    return caller


def summed(pairs):
    """An object of JSON in which names may stand twice."""
    found = {}
    for name, value in pairs:
        found[name] = value + found[name] if name in found else value
    return found


def make(caller, fault, kind="", streams="ab"):
    """EACH of the fault, and whole packets behind them: when these have arrived, those have been judged."""
    for stream in streams:
        caller.tell("fault", f"{stream},{OTHER_WAY[stream]}", fault, EACH, kind)
    caller.tell("send", "a,b", EACH)


@case
def srtp_faults_are_what_they_say(lab):
    """The endpoints back to back: what every case of faults relies on."""
    for suite in SUITES:
        caller = begin(lab, suite, suite, seq=65000, roc=7)
        caller.tell("send", "a,b", 2000, "rtcp=50")
        expect(whole(caller.report()) == 4000, f"{suite}: another number")
        for fault, (received, alone) in FAULTS.items():
            for kind in ("", "rtcp")[:1 if fault in ONLY_RTP else 2]:
                make(caller, fault, kind, "a")
                report = caller.report()
                expect(whole(report) == 2 * EACH, "another number")
                one = report["to_peer"][f"{fault}_{kind}" if kind else fault]
                if fault == "truncated" and kind:  # the bits before the tag are read elsewhere
                    one = json.loads(json.dumps(one).replace("cant_check", "auth_fail"), object_pairs_hook=summed)
                wanted = {"sent": EACH, "arrived": EACH, "received": {received: EACH}, "alone": {alone: EACH}}
                expect(one == wanted, f"{suite}, {fault} {kind}: {one}, not {wanted}")
        expect(caller.end() == 0, caller.output())


def config(lab, level="verify_required", more=""):
    return with_admin(lab, f"{CONFIG}srtp: {level}\n{more}")


def control(lab):
    return str(lab.folder / "control.sock")


def call_of_each_suite(lab, server, **options):
    """Callers on allocations of their own, whose keys the relay has."""
    callers = []
    for suite in SUITES:
        client, peer = allocated(lab)
        caller = begin(lab, suite, suite, client, peer, **options)
        whose = allocation_id(server, client)
        for stream, direction in zip("ab", DIRECTIONS):
            deposit(control(lab), caller.keys[stream], direction, allocation=whose)
        callers.append(caller)
    taken(control(lab), 2 * len(callers))
    return callers


def reports(callers):
    """Of all of them, at the same time."""
    for caller in callers:
        caller.ask_report()
    return [caller.report(asked=True) for caller in callers]


def real_call(callers, counts, packets):
    for caller in callers:
        caller.tell("send", "a,b", packets, f"rtcp={packets // 100}")
    sent = sum(whole(report) for report in reports(callers))
    expect(sent == len(callers) * 2 * packets, f"{sent} sent")
    counts.expect("whole packets", verified=sent)


def make_faults(callers, counts, faults, forwarded=()):
    """Each of the faults in every call, both ways; `faults`: {fault: (reason, verdict)}."""
    for fault, (reason, verdict) in faults.items():
        for kind in ("", "rtcp")[:1 if fault in ONLY_RTP else 2]:
            for caller in callers:
                make(caller, fault, kind)
            said = reports(callers)
            label = f"{fault}_{kind}" if kind else fault
            arrives = EACH if fault in forwarded else 0
            for report, direction in ((r, d) for r in said for d in DIRECTIONS):
                one = report[direction][label]
                expect((one["sent"], one["arrived"]) == (EACH, arrives), f"{label} {direction}: {one}")
            sent, faulty = sum(whole(report) for report in said), 2 * EACH * len(callers)
            counts.expect(label, verified=sent, **{verdict: faulty}, **({} if arrives else {reason: faulty}))


@case
def srtp_call_is_verified_and_faults_are_dropped(lab):
    """10 000 packets each way for each suite, over a roll-over of the sequence, and then what nobody with the keys has sent."""
    server = lab.server(config(lab))
    callers = call_of_each_suite(lab, server, seq=60000)
    counts = Counts(control(lab))
    began = time.monotonic()
    real_call(callers, counts, CALL)
    print(f"{len(callers)} calls of {CALL} packets each way in {time.monotonic() - began:.1f} s")
    make_faults(callers, counts, DROPPED)
    server.check()


@case
def srtp_exact_replays_pass_where_they_are_counted(lab):
    """And nothing else does under an index that was seen."""
    server = lab.server(config(lab, more="srtp_verify: { replay: count }\n"))
    callers = call_of_each_suite(lab, server)
    counts = Counts(control(lab))
    real_call(callers, counts, 1200)
    make_faults(callers, counts, {"replay": (None, "replayed")}, forwarded=("replay",))
    make_faults(callers, counts, {"forged": ("srtp_failed", "failed"), "old": ("srtp_too_old", "replayed")})
    server.check()


@case
def srtp_two_sessions_of_one_user_have_their_own_keys(lab):
    """Keys by user and SSRC, those of the second with an MKI; each deposited before its session is there."""
    server = lab.server(config(lab))
    ssrcs = [{"a": 0x1000, "b": 0x2000}, {"a": 0x3000, "b": 0x4000}]
    suites = ("AES_CM_128_HMAC_SHA1_80", "AEAD_AES_256_GCM")
    callers = []
    for number in range(2):
        keys = {direction: Keys(suites[number], mki=bytes((number, 7)) if number else None) for direction in DIRECTIONS}
        for stream, direction in zip("ab", DIRECTIONS):
            deposit(control(lab), keys[direction], direction, user=USER, realm=REALM, ssrc=ssrcs[number][stream])
        caller = lab.start(Caller, f"caller{number}", *allocated(lab))
        for stream, direction in zip("ab", DIRECTIONS):
            caller.stream(stream, direction, ssrcs[number][stream], keys[direction])
        callers.append(caller)
    taken(control(lab), 8)  # both sessions are of the user
    # Each may also make packets under the key of the other session.
    for caller, other in (callers, callers[::-1]):
        caller.stream("x", "to_peer", 0x9000, other.keys["a"])
    counts = Counts(control(lab))
    real_call(callers, counts, 1000)
    for caller in callers:
        caller.tell("fault", "a,x", "wrong_direction", EACH)
        caller.tell("send", "a,b", EACH)
    said = reports(callers)
    for report in said:
        one = report["to_peer"]["wrong_direction"]
        expect((one["sent"], one["arrived"]) == (EACH, 0), f"under the key of the other session: {one}")
    counts.expect("the other's key", verified=sum(whole(report) for report in said), failed=2 * EACH, srtp_failed=2 * EACH)
    server.check()


def refused(lab, whose, crypto, words, seconds=600):
    status, body = post_key(control(lab), **whose, direction="to_peer", crypto=crypto, seconds=seconds)
    expect(status in (400, 422), f"{crypto[:40]}: {status} {body}")
    for word in words:
        expect(word in body.lower(), f"{crypto[:40]}: {word!r} is not in {body}")
    for text in crypto.replace(":", " ").replace("|", " ").split():
        expect(len(text) < 20 or not text.isalnum() or text not in body, f"the answer repeats the key: {body}")


@case
def srtp_bad_key_material_is_refused_and_media_goes_on(lab):
    server = lab.server(config(lab))
    client, peer = allocated(lab)
    caller = begin(lab, "AES_CM_128_HMAC_SHA1_80", client=client, peer=peer)
    whose = {"allocation": allocation_id(server, client)}
    for stream, direction in zip("ab", DIRECTIONS):
        deposit(control(lab), caller.keys[stream], direction, **whose)
    taken(control(lab), 2)
    counts = Counts(control(lab))
    real_call([caller], counts, 100)
    suite, good = "AES_CM_128_HMAC_SHA1_80", Keys().inline()
    for crypto, words in (
            (f"{suite} inline:{base64.b64encode(bytes(29)).decode()}", ("key",)),
            (f"{suite} inline:{base64.b64encode(bytes(31)).decode()}", ("key",)),
            (f"AEAD_AES_128_GCM inline:{good}", ("key",)),
            (f"{suite} inline:{good[:-3]}!!!", ("base64",)),
            (f"{suite} inline:", ()),
            (f"AES_CM_128_HMAC_MD5 inline:{good}", ("suite",)),
            (f"{suite} outline:{good}", ()),
            (f"{suite} inline:{good}|2^99", ("lifetime",)),
            (f"{suite} inline:{good}|2^20|1:200", ("mki",)),
            (f"{suite} inline:{good} UNENCRYPTED_SRTCP", ("session parameter",)),
            ("", ()), ("x" * 2000, ())):
        refused(lab, whose, crypto, words)
    for seconds in (-1, 86400 * 2 + 1):
        refused(lab, whose, f"{suite} inline:{good}", (), seconds)
    for more in ({"allocation": "0"}, {"allocation": "xyz"}, {}, {**whose, "user": USER, "realm": REALM, "ssrc": 1},
                 {"user": USER, "realm": REALM}, {**whose, "roc": -1}, {**whose, "roc": 1 << 32}, {**whose, "canary": 1}):
        status, body = post_key(control(lab), **more, direction="to_peer", crypto=f"{suite} inline:{good}", seconds=600)
        expect(status in (400, 422), f"{more}: {status} {body}")
    status, body = post_key(control(lab), **whose, direction="both", crypto=f"{suite} inline:{good}", seconds=600)
    expect(status in (400, 422), f"an unknown direction: {status} {body}")
    status, body = post_key(control(lab), user=USER, realm="nowhere", ssrc=1, direction="to_peer", crypto=f"{suite} inline:{good}",
                            seconds=600)
    expect(status in (404, 422), f"an unknown realm: {status} {body}")
    real_call([caller], counts, 100)
    expect(good not in server.output(), "a key in the log")
    server.check()


def ended(caller, counts):
    """Whole packets are dropped for want of a key, from some moment on."""
    def none_arrives():
        caller.tell("send", "a", 1)
        return caller.report()["to_peer"]["plain"]["arrived"] == 0
    until(none_arrives, 5, "packets pass whose key was taken back")
    counts.since()
    caller.tell("send", "a", EACH)
    report = caller.report()
    expect(report["to_peer"]["plain"]["arrived"] == 0, f"without a key: {report}")
    counts.expect("without a key", unverified=EACH, srtp_unverified=EACH)


@case
def srtp_keys_are_replaced_and_taken_back(lab):
    """The key before goes on for a grace, beside the one that replaces it; one that is taken back does not."""
    server = lab.server(config(lab, more="srtp_verify: { key_grace: 30s }\n"))
    client, peer = allocated(lab)
    caller = begin(lab, "AES_CM_128_HMAC_SHA1_80", client=client, peer=peer, seq=65500)
    whose = {"allocation": allocation_id(server, client)}
    for stream, direction in zip("ab", DIRECTIONS):
        deposit(control(lab), caller.keys[stream], direction, **whose)
    taken(control(lab), 2)
    counts = Counts(control(lab))
    real_call([caller], counts, 100)
    new = {stream: Keys("AES_CM_128_HMAC_SHA1_80") for stream in "ab"}
    for stream, direction in zip("ab", DIRECTIONS):
        deposit(control(lab), new[stream], direction, **whose)
    taken(control(lab), 4)
    real_call([caller], counts, 100)
    for stream in "ab":
        caller.rekey(stream, new[stream])
    real_call([caller], counts, 100)
    take_back(control(lab), "to_peer", **whose)
    ended(caller, counts)
    server.check()


@case
def srtp_late_join_after_roll_overs_is_verified(lab):
    """A deposit with a ROC is at once right; one without tries for it, and lets nothing through meanwhile."""
    server = lab.server(config(lab))
    callers, known = [], {"with": {"roc": 300}, "without": {}}
    for name, more in known.items():
        client, peer = allocated(lab)
        caller = begin(lab, "AES_CM_128_HMAC_SHA1_80", name, client, peer, roc=300, seq=65000)
        whose = {"allocation": allocation_id(server, client)}
        for stream, direction in zip("ab", DIRECTIONS):
            deposit(control(lab), caller.keys[stream], direction, **whose, **more)
        callers.append(caller)
    taken(control(lab), 4)
    counts = Counts(control(lab))
    real_call(callers[:1], counts, 1000)
    make_faults(callers[:1], counts, {"reflected": ("srtp_failed", "failed")})
    callers[1].tell("send", "a", 100)
    callers[1].report()
    seen = counts.since()
    expect(seen["verified"] >= 50 and seen["verified"] + seen["srtp_unverified"] == 100 and "failed" not in seen, f"a late join: {seen}")
    callers[1].tell("send", "a", 1000)
    expect(whole(callers[1].report()) == 1000, "after a late join")
    counts.expect("after a late join", verified=1000)
    server.check()


def dns_query(number):
    """For the address of example.org."""
    return number.to_bytes(2, "big") + bytes.fromhex("0100000100000000000007") + b"example\x03org\x00\x00\x01\x00\x01"


@case
def classify_refuses_what_is_no_media(lab):
    """An SSH banner and DNS queries through a permission; STUN, DTLS, RTP and RTCP pass."""
    server = lab.server(config(lab, "classify"))
    client, peer = allocated(lab)
    peer.settimeout(5)
    counts = Counts(control(lab))
    ip, port = peer.getsockname()
    good = [bytes.fromhex(text) for text in ("80600001000000000000100100", "80c9000100001001", "16fefd000000000000000000010001ff")]
    good.append(stun.build(stun.REQUEST, stun.BINDING))
    bad = {b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n": "guard_not_media", dns_query(0x1234): "guard_not_media",
           dns_query(0xC0DE): "guard_not_media", dns_query(0x0001): "guard_stun_malformed",
           b"GET / HTTP/1.1\r\n\r\n": "guard_channel_malformed"}
    for data in [*bad, *good]:
        client.send_channel(0x4000, data)
    expect([peer.recv(2048) for _ in good] == good, "what is media does not reach the peer")
    for data in bad:
        client.send_to(ip, port, data)
    client.send_to(ip, port, good[0])
    expect(peer.recv(2048) == good[0], "what is media does not reach the peer")
    for data in [*bad, *good]:
        peer.sendto(data, client.relayed)
    got = [client.receive(5) for _ in good]
    expect([g and g[0][4:4 + len(d)] for g, d in zip(got, good)] == good, f"what is media does not reach the client: {got}")
    reasons = list(bad.values())
    wanted = {reason: 3 * reasons.count(reason) for reason in set(reasons)}
    seen = counts.since()
    expect(seen == {**wanted, "other": 9, "stun": 5, "dtls": 2, "rtp": 3, "rtcp": 2, "channel": 3}, f"counted {seen}")
    server.check()
