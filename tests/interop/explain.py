"""turnpikectl explain and revoke against a running relay: what is explained is what a request meets, and no secret shows."""
import base64
import hmac
import json
import pathlib
import subprocess
import time

from admin import get, scrape, with_admin
from harness import CONFIG, PASSWORD, USER, case, expect, until

CANARIES = {"new": "canary-secret-new", "old": "canary-secret-old"}
SECRETS = f"""  secrets:
    - {{ id: new, secret: {CANARIES["new"]}, hash: sha256 }}
    - {{ id: old, secret: {CANARIES["old"]}, retired: true }}
"""


KEY = base64.b64encode(b"canary-canary-canary-canary-0123").decode()
OAUTH = f"""  oauth:
    server_name: turn.test
    keys: [{{ kid: k1, key: "{KEY}" }}]
"""


def begin(lab, extra=""):
    lines = [line for line in CONFIG.splitlines(keepends=True) if "secrets:" not in line]
    config = "".join(lines).replace("limits:", SECRETS + extra + "limits:")
    return lab.server(with_admin(lab, config=config))


def made(name, secret):
    kind = "sha1" if secret == "old" else "sha256"
    return base64.b64encode(hmac.new(CANARIES.get(secret, "x").encode(), name.encode(), kind).digest()).decode()


def ctl(lab, *arguments, given=None):
    """(exit code, JSON); `given` goes to standard input."""
    program = pathlib.Path(lab.daemon).parent.parent / "cli/turnpikectl"
    command = [str(c) for c in (program, "--socket", lab.folder / "control.sock", "--json", *arguments)]
    result = subprocess.run(command, input=given or "", capture_output=True, text=True, timeout=20, check=False)
    expect(result.returncode in (0, 1), f"{arguments}: {result.returncode} {result.stderr}")
    return result.returncode, json.loads(result.stdout) if result.stdout else None


def explain(lab, user, password=None):
    code, answer = ctl(lab, "explain", "--user", user, *(["--password-stdin"] if password else []), given=password)
    expect(answer is not None and (code == 0) == answer["accepted"], f"{user}: {code} {answer}")
    return answer


@case
def explained_is_what_a_request_meets(lab):
    server = begin(lab)
    now = int(time.time())
    good, late, far = f"{now + 600}:ann", f"{now - 90}:ann", f"{now + 180 * 3600}:ann"
    rows = [
        (USER, PASSWORD, "none", "static", "password right"),
        (USER, "canary-wrong", "wrong_password", "static", "password wrong"),
        ("nobody", "canary-wrong", "unknown_user", "none", "no source"),
        (good, made(good, "new"), "none", "rest", 'the secret "new"'),
        (good, made(good, "old"), "secret_retired", "rest", 'the retired secret "old"'),
        (good, made(good, "none"), "secret_unknown", "none", "no secret of the realm"),
        (late, made(late, "new"), "credential_expired", "rest", "expired 9"),
        (far, made(far, "new"), "credential_lifetime", "rest", "over the ceiling of 48 h"),
        ("a\tb", "canary-wrong", "name_not_preparable", "none", "OpaqueString refuses the name"),
    ]
    for user, password, reason, source, text in rows:
        answer = explain(lab, user, password)
        expect((answer["reason"], answer["source"]) == (reason, source) and text in answer["text"], f"{user}: {answer}")
        shown = json.dumps(answer)
        expect(password not in shown.replace('"password ', "") or password == PASSWORD, f"a password in {shown}")
    values, text = scrape()
    expect(not any("auth_failures_total" in k and v for k, v in values.items()), "a question counts as a failed authentication")
    for user, password, reason, _, _ in rows:
        code = lab.client(user=user, password=password).allocate().code
        expect(code == (0 if reason == "none" else 401), f"{user}, explained as {reason}: {code}")
    values, text = scrape()
    for _, _, reason, _, _ in rows:
        if reason != "none":
            expect(values[f'turnpike_auth_failures_total{{reason="{reason}"}}'] == 1, f"{reason} is not what a request met")
    for where in (text, server.output()):
        for canary in ("canary", *(made(n, s) for n in (good, late, far) for s in CANARIES)):
            expect(canary not in where, f"{canary} in the log or the metrics")
    server.check()


@case
def explained_are_names_alone_and_revocations(lab):
    server = begin(lab)
    now = int(time.time())
    ann, bob = f"{now + 600}:ann", f"{now + 600}:bob"
    expect(explain(lab, USER)["accepted"] and not explain(lab, "nobody")["accepted"], "names alone")
    answer = explain(lab, ann)
    expect(answer["accepted"] and answer["expires_at"] == now + 600 and answer["credential"] is None, f"{answer}")
    clients = {n: lab.client(user=n, password=made(n, "new")) for n in (ann, bob)}
    for name, client in clients.items():
        expect(client.allocate().code == 0, f"{name} is not let in")
    expect(ctl(lab, "revoke", "--user", "ann", "--for", "1h")[0] == 0, "not revoked")
    until(lambda: clients[ann].refresh().code != 0, 5, "the allocation of a revoked user goes on")
    expect(clients[bob].refresh().code == 0, "another user's allocation has ended")
    answer = explain(lab, ann, made(ann, "new"))
    expect(answer["reason"] == "revoked" and answer["text"].startswith("revoked until 2"), f"{answer}")
    expect(explain(lab, ann, made(ann, "none"))["reason"] == "secret_unknown", "who has no secret learns of revocations")
    expect(ctl(lab, "revoke", "--user", "ann", "--undo")[0] == 0, "not taken back")
    until(lambda: explain(lab, ann, made(ann, "new"))["accepted"], 5, "what was taken back still holds")
    expect(ctl(lab, "revoke", "--secret", "new")[0] == 0, "not revoked")
    until(lambda: clients[bob].refresh().code != 0, 5, "what a revoked secret has signed goes on")
    for arguments in (("revoke", "--user", "x", "--realm", "nowhere"), ("explain", "--user", "x", "--realm", "nowhere")):
        expect(ctl(lab, *arguments) == (1, None), f"{arguments}: a realm that is not there")
    expect(get("/live")[0] == 200, "the admin server is gone")
    server.check()


@case
def explained_are_access_tokens(lab):
    server = begin(lab, OAUTH)
    key, file = lab.folder / "key", lab.folder / "token"
    key.write_text(KEY)

    def token(kid="k1", server_name="turn.test", lifetime="1h"):
        made_of = ("--kid", kid, "--key-file", key, "--server-name", server_name, "--lifetime", lifetime)
        _, answer = ctl(lab, "token", *made_of)
        file.write_text(answer["access_token"] + "\n")
        return answer

    def judged(kid="k1"):
        return ctl(lab, "explain", "--user", kid, "--token-file", file)[1]

    minted = token()
    answer = judged()
    expect(answer["accepted"] and answer["source"] == "oauth" and answer["credential"] == minted["id"], f"{answer}")
    expect(answer["text"].startswith("token opened, expires in "), f"{answer}")
    expect(judged("k2")["reason"] == "kid_unknown", "another kid")
    expect(ctl(lab, "revoke", "--token", minted["id"])[0] == 0, "not revoked")
    until(lambda: judged()["reason"] == "revoked", 5, "a revoked token is good")
    token()
    expect(judged()["accepted"], "one token was revoked, and another is refused")
    token(server_name="another.test")
    expect(judged()["reason"] == "token_invalid", "a token for another server")
    token(lifetime="30d")
    expect(judged()["reason"] == "credential_lifetime", "a token over the ceiling")
    expect("canary" not in server.output() and minted["access_token"] not in server.output(), "a secret in the log")
    server.check()
