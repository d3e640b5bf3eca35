"""Browsers and libnice, each with both ends of a call in one process, and nothing between them but the relay.

The address is one of a public host on an interface of its own, and allow_peers is empty: that the two ends reach each
other's relayed address is the exception for live relayed ports. A browser is started here, as any process of a case is,
and driven over its own debugging protocol by the packages of browser/package-lock.json.
"""
import functools
import http.server
import json
import os
import pathlib
import re
import shutil
import subprocess
import threading

from harness import PASSWORD, REALM, USER, Failed, Process, case, expect, until
from process import public_interface

HERE = pathlib.Path(__file__).resolve().parent / "browser"
MODULES = HERE.parent.parent.parent / "build/interop-browser"
ADDRESS, HOST = "198.18.0.1", "turn.test"  # Firefox takes no address in a URL of turns
CONFIG = f"""\
realm: {REALM}
public_ip: [{ADDRESS}]
auth: {{ users: [{{ name: {USER}, password: {PASSWORD} }}] }}
"""
ICE_SERVER = {"urls": f"turn:{ADDRESS}:3478?transport=udp", "username": USER, "credential": PASSWORD}
MESSAGES = {"count": 200, "size": 1000}
SECONDS, CLASSIFIED_SECONDS = 10, 4
START_SECONDS, CALL_SECONDS = 40, 75
FIREFOX = "/usr/lib/firefox-esr/firefox-esr"
CHROMIUM_FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-default-browser-check",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic",
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", "--autoplay-policy=no-user-gesture-required",
    "--log-level=3", "--remote-debugging-port=0", f"--host-resolver-rules=MAP {HOST} {ADDRESS}"]
FIREFOX_PREFERENCES = {
    "media.navigator.permission.disabled": True,
    "media.navigator.streams.fake": True,
    "media.autoplay.default": 0,
    "datareporting.policy.dataSubmissionEnabled": False,
    "toolkit.telemetry.enabled": False,
    "app.update.disabledForTesting": True,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "network.dns.forceResolve": ADDRESS,
}


def install_packages():
    """The packages of the lock file in build/, where they stay until the file changes."""
    MODULES.mkdir(parents=True, exist_ok=True)
    installed, lock = MODULES / "installed", (HERE / "package-lock.json").read_text()
    if installed.exists() and installed.read_text() == lock:
        return
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(HERE / name, MODULES)
    try:
        result = subprocess.run(["npm", "ci"], cwd=MODULES, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, errors="replace", timeout=120, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failed(f"npm ci: {error}") from error
    expect(result.returncode == 0, f"npm ci: exit code {result.returncode}\n{result.stdout[-3000:]}")
    installed.write_text(lock)


class Page(http.server.SimpleHTTPRequestHandler):
    """Loopback is a secure context, where a page may use the camera."""

    def __init__(self, *arguments):
        super().__init__(*arguments, directory=str(HERE))

    def log_message(self, *_):
        pass


def serve_page():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/call.html"


def start_browser(lab, name, command):
    """Starts it, and returns the address that it prints for its driver."""
    home = {"HOME": str(lab.folder), "XDG_RUNTIME_DIR": str(lab.folder)}
    process = lab.start(Process, name, command, env={**os.environ, **home})

    def listening():
        expect(process.popen.poll() is None, f"{name} ended with {process.popen.returncode}")
        return re.search(r" listening on (ws://\S+)\n", process.output())
    return until(listening, START_SECONDS, f"{name} does not say where it listens")[1]


def start_chromium(lab):
    profile = f"--user-data-dir={lab.folder / 'profile'}"
    return start_browser(lab, "chromium", ["chromium", *CHROMIUM_FLAGS, profile, "about:blank"])


def start_firefox(lab):
    profile = lab.folder / "profile"
    profile.mkdir(exist_ok=True)
    (profile / "user.js").write_text("".join(f"user_pref({json.dumps(name)}, {json.dumps(value)});\n"
                                             for name, value in FIREFOX_PREFERENCES.items()))
    return start_browser(lab, "firefox", [FIREFOX, "--headless", "--no-remote", "--profile", profile,
                                          "--remote-debugging-port", "0", "about:blank"]) + "/session"


START = {"chromium": start_chromium, "firefox": start_firefox}


def call(lab, browser, name, options, server=ICE_SERVER, protocol="udp"):
    """Makes the call in a new browser, over a relay that it must reach by `protocol`; returns what the page says of it."""
    endpoint = START[browser](lab)
    command = ["node", HERE / "drive.mjs", browser, endpoint, serve_page(), name, json.dumps(server), json.dumps(options)]
    driver = lab.start(Process, "driver", command, env={**os.environ, "MODULES": str(MODULES)})
    try:
        code = driver.popen.wait(CALL_SECONDS)
    except subprocess.TimeoutExpired as late:
        raise Failed(f"no result within {CALL_SECONDS} s") from late
    expect(code == 0, f"the driver ended with {code}\n{driver.output()}")
    result = json.loads(driver.output().splitlines()[-1])
    for pair in result["pairs"]:
        expect(pair == {"local": "relay", "remote": "relay", "protocol": protocol}, f"the selected pair is {pair}")
    for candidate in result["candidates"]:
        expect(f" {ADDRESS} " in candidate and " typ relay " in candidate, f"a candidate is not ours: {candidate}")
    return result


# What a client sends before the far end has made its permission, and what is on its way when a call ends.
DROPPED_AT_ENDS = {f'reason="{r}"' for r in ("no_permission", "peer_port_not_live", "relay_closed", "no_allocation_media",
                                            "connection_gone")}


def requests(values, method):
    return values["turnpike_requests_received_total"][f'method="{method}"']


def ends_cleanly(server, gone=("deleted",)):
    """All allocations were deleted by their clients, a call lost nothing, and the checks of every case; returns counters."""
    def deleted():
        values = server.counters()
        allocations = values["turnpike_allocations_total"]
        ended = sum(allocations[f'result="{what}"'] for what in gone)
        return values if allocations['result="created"'] == ended >= 2 else None
    values = until(deleted, 10, lambda: f"allocations left: {server.counters()['turnpike_allocations_total']}")
    dropped = {label for label, count in values["turnpike_packets_dropped_total"].items() if count}
    expect(dropped <= DROPPED_AT_ENDS, f"dropped for {dropped - DROPPED_AT_ENDS}")
    server.check()
    return values


def check_media_form(browser, values):
    """Chromium binds channels; Firefox never does, so that all it sent came as Send indications."""
    binds, relayed = requests(values, "channel_bind"), values["turnpike_packets_total"]['leg="peer",direction="out"']
    expect(relayed > 0, "nothing was relayed")
    expect(binds == 0 if browser == "firefox" else binds >= 2, f"{binds} ChannelBind requests")


def browser_data_channel(lab, browser):
    public_interface(f"{ADDRESS}/24")
    server = lab.server(CONFIG, ready=(ADDRESS, 3478))
    result = call(lab, browser, "data", MESSAGES)
    expect((result["echoed"], result["different"]) == (MESSAGES["count"], 0), f"echoes: {result}")
    check_media_form(browser, ends_cleanly(server))


def browser_video_call(lab, browser):
    public_interface(f"{ADDRESS}/24")
    server = lab.server(CONFIG, ready=(ADDRESS, 3478))
    result = call(lab, browser, "video", {"seconds": SECONDS})
    for inbound in result["inbound"]:
        expect(inbound["lost"] == 0 and inbound["decoded"] > 0 and inbound["packets"] > 0, f"video: {result}")
    check_media_form(browser, ends_cleanly(server))


def chromium_call_passes_classify(lab):
    """Media and messages of two ends, none of it dropped as no media, and of every kind that they send some."""
    public_interface(f"{ADDRESS}/24")
    server = lab.server(CONFIG + "srtp: classify\n", ready=(ADDRESS, 3478))
    result = call(lab, "chromium", "everything", {"seconds": CLASSIFIED_SECONDS, **MESSAGES})
    expect((result["echoed"], result["different"]) == (MESSAGES["count"], 0), f"echoes: {result}")
    for inbound in result["inbound"]:
        expect(inbound["lost"] == 0 and inbound["decoded"] > 0 and inbound["packets"] > 0, f"video: {result}")
    values = ends_cleanly(server)
    seen = {kind: values["turnpike_media_packets_total"][f'kind="{kind}"'] for kind in ("stun", "dtls", "rtp", "rtcp", "channel", "other")}
    print(f"between the ends: {seen}")
    expect(all(seen[kind] > 0 for kind in ("stun", "dtls", "rtp", "rtcp")), f"a kind is missing: {seen}")
    expect(seen["channel"] == seen["other"] == 0, f"what no browser sends: {seen}")
    dropped = {label: count for label, count in values["turnpike_guard_dropped_total"].items() if count}
    expect(not dropped, f"dropped by the guard: {dropped}")


@case
def libnice_echoes(lab):
    public_interface(f"{ADDRESS}/24")
    server = lab.server(CONFIG, ready=(ADDRESS, 3478))
    program = pathlib.Path(lab.daemon).parent.parent / "tests/interop/nice/nice_echo"
    client = lab.start(Process, "libnice", [program, ADDRESS, USER, PASSWORD, MESSAGES["count"]])
    code = client.popen.wait(60)
    lines = client.output().splitlines()
    expect(code == 0 and lines[-1:] == [f"echoed {MESSAGES['count']} of {MESSAGES['count']}"], f"exit code {code}")
    expect(lines[:-1] == [f"candidate relay {ADDRESS}"] * 2 + ["pair relay relay"] * 2, "not relayed, or not by us")
    check_media_form("libnice", ends_cleanly(server))


def browser_case(function, browser):
    @functools.wraps(function)
    def run(lab):
        function(lab, browser)
    run.__name__ = function.__name__.replace("browser", browser)
    case(run, prepare=install_packages)


case(chromium_call_passes_classify, prepare=install_packages)
for one in ("chromium", "firefox"):
    browser_case(browser_data_channel, one)
    browser_case(browser_video_call, one)
