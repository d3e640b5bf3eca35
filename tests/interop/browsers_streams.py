"""Browsers whose only way to the relay is TCP, or TLS on 443 with a certificate of an authority that they trust."""
from browsers import ADDRESS, CONFIG, HOST, ICE_SERVER, MESSAGES, browser_case, call, check_media_form, ends_cleanly
from certificates import Authority
from harness import Failed, expect, run_command
from process import public_interface
from streams import all_closed

LISTEN = f"""\
listen:
  - {{ proto: udp, addr: {ADDRESS}, port: 3478 }}
  - {{ proto: tcp, addr: {ADDRESS}, port: 3478 }}
"""
WITH_TLS = """\
  - {{ proto: tls, addr: {address}, port: 443 }}
tls: {{ cert: {one.cert}, key: {one.key} }}
"""


def trust(database, authority):
    """Into the NSS database of a user (Chromium) or of a profile (Firefox)."""
    database.mkdir(parents=True)
    run_command("certutil", "-N", "-d", f"sql:{database}", "--empty-password")
    run_command("certutil", "-A", "-d", f"sql:{database}", "-n", "an authority of tests", "-t", "C,,", "-i", authority.cert)


def database(lab, browser):
    return lab.folder / (".pki/nssdb" if browser == "chromium" else "profile")


def browser_relays_over(lab, browser, protocol, config):
    server = lab.server(config, ready=(ADDRESS, 3478))
    port, scheme = (443, "turns") if protocol == "tls" else (3478, "turn")
    ice = {**ICE_SERVER, "urls": f"{scheme}:{HOST}:{port}?transport=tcp"}
    result = call(lab, browser, "data", MESSAGES, ice, protocol)
    expect((result["echoed"], result["different"]) == (MESSAGES["count"], 0), f"echoes: {result}")
    accepted = server.counters()["turnpike_connections_total"][f'transport="{protocol}"']
    expect(accepted >= 2, f"{accepted} connections over {protocol}")
    all_closed(server)
    # Firefox ends the connection, and with it the allocation.
    check_media_form(browser, ends_cleanly(server, ("deleted", "ended")))


def browser_over_tcp(lab, browser):
    public_interface(f"{ADDRESS}/24")
    browser_relays_over(lab, browser, "tcp", CONFIG + LISTEN)


def browser_over_tls_on_443(lab, browser):
    public_interface(f"{ADDRESS}/24")
    authority = Authority(lab.folder)
    trust(database(lab, browser), authority)
    one = authority.issue(HOST)
    browser_relays_over(lab, browser, "tls", CONFIG + LISTEN + WITH_TLS.format(address=ADDRESS, one=one))


def browser_refuses_an_unknown_authority(lab, browser):
    """That the browser verifies at all: without it the case above would prove less."""
    public_interface(f"{ADDRESS}/24")
    one = Authority(lab.folder).issue(HOST)
    try:
        browser_relays_over(lab, browser, "tls", CONFIG + LISTEN + WITH_TLS.format(address=ADDRESS, one=one))
    except Failed as failure:
        expect("has no candidate" in str(failure) or "no result" in str(failure), f"another failure: {failure}")
        return
    raise Failed("it relays over a certificate of nobody")


for one in ("chromium", "firefox"):
    browser_case(browser_over_tcp, one)
    browser_case(browser_over_tls_on_443, one)
    browser_case(browser_refuses_an_unknown_authority, one)
