"""What the admin server is told by POST, and the lockout of guesses, with the daemon as a process."""
import json
import os
import pathlib

import admin
import stun
from harness import CONFIG, PASSWORD, REALM, USER, case, expect, until

JSON = "Content-Type: application/json\r\n"
REVOKE, EXPLAIN, LIMITS = "/api/v1/revocations", "/api/v1/explain", "/api/v1/limits"


def post(where, path, asked, token=admin.TOKEN, host="localhost", kind=JSON):
    """(status, body)"""
    body = asked if isinstance(asked, str) else json.dumps(asked)
    status, _, answer = admin.get(path, where, "POST", host, token, f"{kind}Content-Length: {len(body.encode())}\r\n", body)
    return status, answer


def lives(client):
    answer = client.refresh()
    return answer is not None and answer.kind == stun.SUCCESS


@case
def threat_23_posts_over_tcp_need_token_host_and_type(lab):
    server = lab.server(admin.with_admin(lab))
    where = ("127.0.0.1", admin.PORT)
    client = lab.client()
    expect(client.allocate().kind == stun.SUCCESS, "Allocate")
    revocation = {"kind": "user", "id": USER, "seconds": 60}
    for path, asked in ((REVOKE, revocation), (EXPLAIN, {"user": USER}), (LIMITS, {"user": USER})):
        for status, options in ((401, {"token": None}), (401, {"token": "wrong"}), (403, {"host": "attacker.example"}),
                                (415, {"kind": ""}), (415, {"kind": "Content-Type: text/plain\r\n"})):
            got, _ = post(where, path, asked, **options)
            expect(got == status, f"{path} {options}: {got}")
        for body, status in (("x" * 9000, 413), ("{", 400), ("[]", 400), ('{"user": "a\\u0000"}', 400), ('{"x": 1}', 422)):
            got, _ = post(where, path, body)
            expect(got == status, f"{path} {body[:20]}: {got}")
    expect(lives(client), "a request that was refused revoked a user")
    expect(post(where, REVOKE, {**revocation, "realm": "nowhere"})[0] == 404, "a realm that is not there")
    expect(post(where, REVOKE, revocation) == (200, '{"revoked": true}\n'), "with the token")
    until(lambda: not lives(client), 5, "the allocation of a revoked user goes on")
    expect(lab.client().allocate().code == 401, "a revoked user is let in")
    server.check()


@case
def threat_25_what_explain_is_told_is_nowhere(lab):
    config = CONFIG.replace(f"password: {PASSWORD}", "password: canary-right")
    server = lab.server(admin.with_admin(lab, config + "log: { level: debug }\n"))
    where = str(lab.folder / "control.sock")
    answers = []
    for asked, reason in (({"user": USER, "password": "canary-right"}, "none"), ({"user": USER, "password": "canary-wrong"}, "wrong_password"),
                          ({"user": "canary-user", "password": "canary-wrong"}, "unknown_user")):
        status, answer = post(where, EXPLAIN, asked)
        expect(status == 200 and json.loads(answer)["reason"] == reason, f"{asked}: {status} {answer}")
        answers.append(answer)
    for asked in ({"user": USER, "token": "canary"}, {"user": USER, "password": "canary", "canary": 1}, '{"user": "canary', "canary"):
        status, answer = post(where, EXPLAIN, asked)
        expect(status in (400, 422), f"{asked}: {status}")
        answers.append(answer)
    secret = lab.folder / "password"
    secret.write_text("canary-right\n")
    os.chmod(secret, 0o600)
    code, out, errors = admin.turnpikectl(lab, "explain", "--socket", where, "--user", USER, "--password-file", secret)
    expect(code == 0, f"turnpikectl explain: {code} {out} {errors}")
    metrics = admin.get("/metrics", where)[2]
    line = pathlib.Path(f"/proc/{server.pid}/cmdline").read_bytes().decode()
    for name, text in (("an answer", "".join(answers)), ("turnpikectl", out + errors), ("the metrics", metrics), ("the command line", line),
                       ("the log", server.output())):
        for canary in ("canary-right", "canary-wrong"):
            expect(canary not in text, f"{canary} in {name}")
    server.check()


def guess(client, password, seconds=0.5):
    """The answer's code, 0 for success, None for silence: to one datagram, without asking again."""
    client.password = password
    attributes = [(stun.TRANSPORT, stun.UDP), (stun.USERNAME, client.user.encode()), (stun.REALM, client.realm),
                  (stun.NONCE, client.nonce)]
    answer = client.exchange(stun.build(stun.REQUEST, stun.ALLOCATE, attributes, client.key()), tries=1, seconds=seconds)
    return answer and answer.code


def challenged(lab, ip, user=USER, server=("127.0.0.1", 3478)):
    client = lab.client(server, bind=(ip, 0), user=user)
    answer = client.exchange(stun.build(stun.REQUEST, stun.ALLOCATE, [(stun.TRANSPORT, stun.UDP)]))
    expect(answer.code == 401, f"no challenge: {answer.code}")
    client.realm, client.nonce = answer.attributes[stun.REALM], answer.attributes[stun.NONCE]
    return client


@case
def threat_19_guesses_go_unanswered_and_neighbours_do_not_notice(lab):
    config = CONFIG.replace("users: [", "users: [{ name: v, password: q }, ")
    server = lab.server(admin.with_admin(lab, config))
    live = lab.client(bind=("127.0.0.9", 0))
    expect(live.allocate().kind == stun.SUCCESS, "Allocate")
    client = challenged(lab, "127.0.0.9")
    codes = [guess(client, f"canary-guess-{i}") for i in range(12)]
    expect(codes == [401] * 10 + [None] * 2, f"twelve guesses: {codes}")
    expect(guess(challenged(lab, "127.0.0.9"), PASSWORD) is None, "the right password is answered")
    expect(guess(challenged(lab, "127.0.0.9", "v"), "q") == 0, "another user of the same address")
    expect(guess(challenged(lab, "127.0.0.10"), PASSWORD) == 0, "the same user from another address")
    expect(lives(live), "an allocation that was there before")
    values, _ = admin.scrape()
    expect(values['turnpike_ratelimit_hits_total{scope="guesses"}'] == 3, "what went unanswered is not counted")
    expect(values['turnpike_auth_failures_total{reason="wrong_password"}'] == 10, "wrong passwords are not counted")
    lines = [x for x in server.output().splitlines() if "guess_lockout" in x]
    expect(1 <= len(lines) <= 3 and REALM in lines[0], f"the log: {lines}")
    expect("canary-guess" not in server.output(), "a guess in the log")
    server.check()
