"""What the daemon gives up: whom it becomes, and with which of root's privileges."""
import json
import os
import pathlib

import certificates
from admin import turnpikectl, with_admin
from harness import CONFIG, case, expect, until
from process import refused

NOBODY = 65534
BIND_SERVICE = 1 << 10


def may_become(uid):
    """False in a user namespace that has only one user."""
    return any(int(first) <= uid < int(first) + int(count)
               for first, _, count in map(str.split, pathlib.Path("/proc/self/uid_map").read_text().splitlines()))


def threads(server):
    """What /proc says of each thread, as dictionaries."""
    return [dict(line.split(":\t", 1) for line in (task / "status").read_text().splitlines() if ":\t" in line)
            for task in pathlib.Path(f"/proc/{server.pid}/task").iterdir()]


def own_folder(lab, *files):
    """A folder as an operator should make it: its files can be read by a group, and the user is in it."""
    os.chown(lab.folder, -1, NOBODY)
    lab.folder.chmod(0o750)
    for file in files:
        os.chown(file, -1, NOBODY)
        pathlib.Path(file).chmod(0o640)


def as_nobody(certificate):
    return CONFIG.replace("user: root", "user: nobody") + f"tls: {{ cert: {certificate.cert}, key: {certificate.key} }}\n"


@case
def threat_27_started_as_root_it_becomes_another_user(lab):
    authority = certificates.Authority(lab.folder)
    certificate = authority.issue("turn.test")
    config, path = as_nobody(certificate), lab.folder / "turnpike.yaml"
    path.write_text(config)
    refused(lab, ["cannot become 'no-such-user'"], "--config", write(lab, "bad.yaml", config.replace("nobody", "no-such-user")))
    if not may_become(NOBODY):
        return refused(lab, ["cannot become 'nobody'"], "--config", path)
    own_folder(lab, certificate.cert)
    path.chmod(0o600)
    refused(lab, [str(path), "the user that turnpike runs as"], "--config", path)
    own_folder(lab, path)
    os.chown(authority.folder, -1, NOBODY)
    authority.folder.chmod(0o750)
    pathlib.Path(certificate.key).chmod(0o600)
    refused(lab, ["tls.key", str(certificate.key), "the user that turnpike runs as"], "--config", path)
    own_folder(lab, path, certificate.cert, certificate.key)
    server = lab.server(config)
    own_folder(lab, server.config)
    for thread in threads(server):
        expect(set(thread["Uid"].split()) == {str(NOBODY)} and set(thread["Gid"].split()) == {str(NOBODY)},
               f"{thread['Name']}: {thread['Uid']} {thread['Gid']}")
        expect(int(thread["CapPrm"], 16) == int(thread["CapEff"], 16) == BIND_SERVICE, f"{thread['Name']}: {thread['CapPrm']}")
        expect(thread["NoNewPrivs"] == "1", f"{thread['Name']}: new privileges")
        expect(thread["Seccomp"] == "2", f"{thread['Name']}: no filter of system calls")
    server.config.write_text(config + "listen: [{ proto: udp, port: 3478 }, { proto: tcp, addr: 127.0.0.1, port: 82 }]\n")
    expect("reloaded" in server.reload(), "a reload reads what the group may read")
    until(lambda: "addr=127.0.0.1:82" in server.output(), 5, "a reload binds a port below 1024")
    pathlib.Path(certificate.key).chmod(0o600)
    said = server.reload()
    expect("reload_failed" in said and "the user that turnpike runs as" in said and "running=" in said, said)
    server.check()


@case
def threat_27_a_reload_reads_nothing_outside_the_sandbox(lab):
    inside, outside = (certificates.Authority(lab.folder, name).issue("turn.test") for name in ("authority", "elsewhere"))
    config = with_admin(lab, CONFIG + "sandbox: required\n") + f"tls: {{ cert: {inside.cert}, key: {inside.key} }}\n"
    server = lab.server(config)
    seen = json.loads(turnpikectl(lab, "status", "--json", "--socket", lab.folder / "control.sock")[1])["sandbox"]
    expect(seen["user"] == "root" and seen["seccomp"] and seen["landlock"] >= 1, f"{seen}")
    inside.cert.rename(inside.cert.with_suffix(".old"))
    inside.cert.write_text(inside.cert.with_suffix(".old").read_text())
    said = server.reload()
    expect("reloaded" in said, f"a certificate that was replaced is read: {said}")
    secret = lab.folder.parent / f"{lab.folder.name}-outside"
    secret.write_text(outside.cert.read_text())
    try:
        server.config.write_text(config.replace(str(inside.cert), str(secret)))
        said = server.reload()
    finally:
        secret.unlink()
    expect("reload_failed" in said and "outside the sandbox" in said and "running=" in said, said)
    server.config.write_text(config + f"usage: {{ file: {secret}.jsonl }}\n")
    said = server.reload()
    expect("reload_failed" in said and "usage.file" in said and "outside the sandbox" in said, said)
    server.check()


def write(lab, name, text):
    path = lab.folder / name
    path.write_text(text)
    return path
