"""The API as its own document describes it: inputs that fit it and inputs that do not, over the unix socket and over TCP; and what
operators ask for through it, credentials that clients are let in with among it."""
import json
import pathlib

import admin
import openapi
import stun
from harness import CONFIG, REALM, SECRET, case, expect, until
from posts import JSON

DOCUMENT = pathlib.Path(__file__).resolve().parent.parent.parent / "admin/openapi.json"
TCP = ("127.0.0.1", admin.PORT)
SEED, ROUNDS = 8489, 12
# What would end the case rather than show anything: of these only what does not fit is sent.
NOT_DONE = {"/api/v1/drain"}
REFUSED = {400, 413, 415, 422}


def send(where, path, method, body=b"", kind=JSON):
    """(status, type, body) of any bytes."""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {admin.TOKEN}\r\n"
    head += f"{kind}Content-Length: {len(body)}\r\n" if body else ""
    answer = admin.exchange(where, head.encode() + b"\r\n" + body)
    head, _, text = answer.partition(b"\r\n\r\n")
    expect(head.startswith(b"HTTP/1.1 "), f"{method} {path} {body[:300]!r}: no answer: {answer[:100]!r}")
    fields = dict(line.lower().split(": ", 1) for line in head.decode().split("\r\n")[1:])
    return int(head.split(b" ")[1]), fields["content-type"].split(";")[0], text


def judge(document, operation, asked, answer):
    """The answer is one that the document has."""
    status, kind, text = answer
    schema = document.answer_schema(operation, status, kind)
    expect(schema and status != 500, f"{asked}: {status} {kind} is not in the document: {text[:300]!r}")
    if kind != "text/plain":
        value = json.loads(text)
        faults = document.faults(schema, value)
        expect(not faults, f"{asked}: {faults[:3]} in {text[:600]!r}")
        expect(status == 200 or value["status"] == status, f"{asked}: {text!r}")


@case
def the_api_fuzzed_from_its_document(lab):
    server = lab.server(admin.with_admin(lab))
    lab.client().allocate()
    places = [str(lab.folder / "control.sock"), TCP]
    document = openapi.Document(send(places[0], "/api/v1/openapi.json", "GET")[2])
    expect(document.json == json.loads(DOCUMENT.read_text()), "another document is served than the one of the tree")
    sent = [0]

    def try_one(path, method, operation, body, refused, kind=JSON):
        where = places[sent[0] % 2]
        sent[0] += 1
        answer = send(where, path, method, body, kind)
        judge(document, operation, f"{method} {path} {body[:300]!r} (seed {SEED})", answer)
        expect(not refused or answer[0] in REFUSED, f"{method} {path}: {answer[0]} for {body[:300]!r} (seed {SEED})")
        return answer[0]

    for path, method, operation in document.operations():
        schema, examples = document.body(operation)
        if not schema:
            expect(try_one(path, method, operation, b"", False) == 200, f"{method} {path} is refused")
            try_one(path, method, operation, b"{}", True)
            continue
        inputs = openapi.Inputs(document, operation, f"{SEED}{path}")
        for example in examples if path not in NOT_DONE else ():
            expect(not document.faults(schema, example), f"{path}: an example does not fit: {example}")
            status = try_one(path, method, operation, json.dumps(example).encode(), False)
            expect(status not in REFUSED, f"{path}: an example is refused with {status}: {example}")
        try_one(path, method, operation, b"{}", True, kind="Content-Type: text/plain\r\n")
        try_one(path, method, operation, b"x" * 8193, True)
        for _ in range(ROUNDS):
            if path not in NOT_DONE:
                try_one(path, method, operation, json.dumps(inputs.good(), ensure_ascii=False).encode(), False)
            try_one(path, method, operation, json.dumps(inputs.bad()).encode(), True)
            try_one(path, method, operation, inputs.broken(), True)
    for path in document.json["paths"]:
        expect(send(places[0], path, "DELETE")[0] == 405, f"DELETE {path}")
        expect(send(TCP, path + "x", "GET")[0] == 404, f"GET {path}x")
    print(f"{sent[0]} requests")
    server.check()


def credentials(lab, *arguments):
    code, out, errors = admin.turnpikectl(lab, "credentials", "--socket", lab.folder / "control.sock", "--user", "alice", *arguments)
    expect(code == 0, f"turnpikectl credentials {arguments}: {code} {errors}")
    return json.loads(out)


def is_let_in(lab, user, password):
    answer = lab.client(user=user, password=password).allocate()
    expect(answer.kind == stun.SUCCESS, f"{user}: {answer.code}")


@case
def credentials_of_the_daemon_are_let_in(lab):
    server = lab.server(admin.with_admin(lab, CONFIG + "log: { level: warn }\n"))
    where = str(lab.folder / "control.sock")
    uris = ["turn:127.0.0.1:3478?transport=udp", "turn:[::1]:3478?transport=udp", "turn:127.0.0.1:3478?transport=tcp",
            "turn:[::1]:3478?transport=tcp"]
    for shape in ("uberti", "matrix"):
        made = credentials(lab, "--format", shape, "--ttl", "1h")
        expect(made["uris"] == uris and made["ttl"] == 3600, made)
        is_let_in(lab, made["username"], made["password"])
    [ice] = credentials(lab, "--format", "ice")["iceServers"]
    expect(ice["urls"] == uris, ice)
    is_let_in(lab, ice["username"], ice["credential"])
    twilio = credentials(lab, "--format", "twilio", "--ttl", "90s")
    expect(twilio["ttl"] == "90" and [s["url"] for s in twilio["ice_servers"]] == [s["urls"] for s in twilio["ice_servers"]] == uris, twilio)
    is_let_in(lab, twilio["ice_servers"][0]["username"], twilio["ice_servers"][0]["credential"])
    status, _, _ = send(TCP, "/api/v1/credentials", "POST", b'{"user": "alice"}')
    expect(status == 200, f"with the token, on loopback: {status}")
    code, out, errors = admin.turnpikectl(lab, "config", "--socket", where)
    expect(code == 0 and f'realm: "{REALM}"' in out and SECRET not in out and admin.TOKEN not in out and "***" in out, f"{code} {out} {errors}")
    expect("log_level" not in server.output(), "a change of the level before there was one")
    code, out, _ = admin.turnpikectl(lab, "loglevel", "--socket", where, "debug", "--for", "1s")
    expect((code, out) == (0, "debug for 1 s, then warn\n"), out)
    until(lambda: server.output().count("log_level level=") == 2, 5, lambda: f"it does not go back:\n{server.output()}")
    expect(json.loads(send(where, "/api/v1/log-level", "GET")[2]) == {"level": "warn", "configured": "warn", "seconds": None}, "the level")
    server.check()
