# SPDX-License-Identifier: BSD-3-Clause
"""explain --live: a next hop is tried as far as STARTTLS and its certificate, and no mail is
begun; what it finds is what a client hears next."""

import ssl
import threading
import time

from dns import Dns
from harness import case
from lablib import make_ca, make_cert
from peers import Mute

WAIT = 2  # seconds a silent next hop is waited for

# state of the next hop, level: (does it work, code, fault, TLS, what is said of the certificate)
LIVE = [
    ("good", "may", True, 250, "", "TLSv1.3", "trusted"),
    ("good", "encrypt", True, 250, "", "TLSv1.3", "trusted"),
    ("good", "verify", True, 250, "", "TLSv1.3", "verified"),
    ("good", "none", True, 250, "", "none", "none"),
    ("untrusted", "may", True, 250, "", "TLSv1.3", "untrusted"),
    ("untrusted", "encrypt", True, 250, "", "TLSv1.3", "untrusted"),
    ("untrusted", "verify", False, 451, "tls_failed", "", ""),
    ("broken", "may", False, 451, "tls_failed", "", ""),
    ("broken", "encrypt", False, 451, "tls_failed", "", ""),
    ("broken", "none", True, 250, "", "none", "none"),
    ("none", "may", True, 250, "", "none", "none"),
    ("none", "encrypt", False, 451, "tls_not_offered", "", ""),
    ("none", "verify", False, 451, "tls_not_offered", "", ""),
    ("dead", "may", False, 451, "connect", "", ""),
    ("dead", "verify", False, 451, "connect", "", ""),
    ("nowhere", "may", False, 451, "connect", "", ""),
    ("implicit", "verify", True, 250, "", "TLSv1.3", "verified"),
    ("silent", "may", False, 451, "timeout", "", ""),
    ("silent", "encrypt", False, 451, "timeout", "", ""),
]
ADDRESSES = {"none": "192.0.2.21", "good": "192.0.2.22", "untrusted": "192.0.2.23",
             "broken": "192.0.2.24", "dead": "192.0.2.25", "silent": "192.0.2.26",
             "implicit": "192.0.2.27", "nowhere": "192.0.2.99"}


def servers(t):
    certs = f"{t.lab.dir}/certs"
    make_ca(certs, "stranger")
    bad = make_cert(certs, "untrusted", ["mail.example.org"], ca="stranger")
    hops = {"none": t.hop(addr=ADDRESSES["none"], tls="none"),
            "good": t.hop(addr=ADDRESSES["good"]),
            "untrusted": t.hop(addr=ADDRESSES["untrusted"], cert=bad),
            "broken": t.hop(addr=ADDRESSES["broken"]),
            "implicit": t.hop(addr=ADDRESSES["implicit"], port=465, tls="implicit"),
            "silent": t.hop(addr=ADDRESSES["silent"], on={"connect": Mute})}
    hops["broken"].ctx.set_ciphers("ALL:@SECLEVEL=0")
    hops["broken"].ctx.minimum_version = hops["broken"].ctx.maximum_version = \
        ssl.TLSVersion.TLSv1_1
    return hops


def configure(t):
    conf = t.times(t.conf(), connect=WAIT, banner=WAIT)
    conf["next_hops"], conf["routes"] = {}, []
    for state, level in {(row[0], row[1]) for row in LIVE}:
        name = f"{state}-{level}"
        implicit = state == "implicit"
        conf["next_hops"][name] = {
            "hosts": [{"name": "mail.example.org", "address": ADDRESSES[state],
                       "port": 465 if implicit else 25}],
            "tls": "implicit" if implicit else "starttls", "level": level, "ca_file": t.ca}
        conf["routes"].append({"domain": f"{name}.example", "next_hop": name})
    return conf


def ask(t, domain, **kw):
    return t.gw.call("explain", **{"from": "a@client.example", "to": f"b@{domain}", "tls": True,
                                   **kw})


@case(timeout=90)
def explain_live_says_what_a_client_hears_next_and_begins_no_mail(t):
    hops = servers(t)
    t.gateway(configure(t))
    wrong = []
    for state, level, ok, code, fault, tls, verify in LIVE:
        domain = f"{state}-{level}.example"
        began = time.monotonic()
        x = ask(t, domain, live=True)
        live = x["hosts"][0]["live"]
        took = time.monotonic() - began
        got = tuple(live[k] for k in ("ok", "code", "fault", "tls", "verify"))
        if got != (ok, code, fault, tls, verify):
            wrong.append(f"{domain}: {live}")
        if took > WAIT + 3:
            wrong.append(f"{domain}: {took:.1f} s")
        t.note(f"{domain:26} {live['code']} {live['fault'] or live['verify']:16} {live['detail']}")
        if state in hops and state != "silent":
            conn = hops[state].conns[-1]
            conn.ended.wait(5)
            commands = conn.lines()
            if any(c.startswith(("MAIL", "RCPT", "DATA")) for c in commands) or (
                    ok and commands[-1] != "QUIT"):
                wrong.append(f"{domain}: the next hop heard {commands}")
        with t.client(ca=t.ca) as c:
            c.begin()
            c.cmd("MAIL FROM:<a@client.example>", 250)
            r = c.cmd(f"RCPT TO:<b@{domain}>")
        said = x["replies"]["rcpt"]
        if r.code != live["code"] or said["code"] != r.code or \
                (r.code != 250 and r.lines != [f"{said['enhanced']} {said['text']}"]):
            wrong.append(f"{domain}: a client heard {r}, not {live}, {said}")
    assert not wrong, "\n".join(wrong)


@case(timeout=40)
def mail_flows_while_explain_live_waits_for_a_silent_next_hop(t):
    servers(t)
    t.gateway(configure(t))
    heard = []
    asker = threading.Thread(
        target=lambda: heard.append(ask(t, "silent-may.example", live=True)), daemon=True)
    asker.start()
    sent = 0
    while asker.is_alive():
        with t.client(ca=t.ca) as c:
            c.begin()
            assert c.mail("a@client.example", ["b@good-may.example"], b"x\r\n").code == 250
        sent += asker.is_alive()
    assert heard and heard[0]["hosts"][0]["live"]["fault"] == "timeout", heard
    assert sent >= 3, f"{sent} mails in {WAIT} s"
    t.note(f"{sent} mails meanwhile")


@case(timeout=40)
def explain_live_tries_the_hosts_in_turn_and_stops_at_the_first_that_works(t):
    hops = servers(t)
    conf = configure(t)
    conf["next_hops"]["three"] = {"ca_file": t.ca, "level": "encrypt", "hosts": [
        {"name": n, "address": ADDRESSES[n], "priority": 10 * i}
        for i, n in enumerate(("none", "broken", "good", "untrusted"))]}
    conf["routes"].append({"domain": "three.example", "next_hop": "three"})
    t.gateway(conf)
    x = ask(t, "three.example", live=True)
    assert [h.get("live", {}).get("fault") for h in x["hosts"]] == \
        ["tls_not_offered", "tls_failed", "", None], x["hosts"]
    assert not hops["untrusted"].conns
    out = t.gw.ctl("explain", "--from", "a@client.example", "--to", "b@three.example", "--tls",
                   "--live")
    lines = [ln.strip() for ln in out.splitlines() if ln.strip().startswith("live:")]
    assert len(lines) == 3 and lines[2].startswith("live: good, a client gets 250 tls=TLSv1.3"), out
    assert lines[0].startswith("live: not good, a client gets 451 fault=tls_not_offered"), out


@case(timeout=40)
def explain_live_knows_that_broken_tls_may_end_in_clear(t):
    hops = servers(t)
    conf = configure(t)
    conf["policy"] = {"broken_tls": {"enabled": True}}
    t.gateway(conf)
    for level, code in (("may", 250), ("encrypt", 451)):
        x = ask(t, f"broken-{level}.example", live=True)
        live = x["hosts"][0]["live"]
        assert (live["ok"], live["code"], live["fault"]) == (False, code, "tls_failed"), live
        assert x["replies"]["rcpt"]["code"] == code, x["replies"]
        with t.client(ca=t.ca) as c:
            c.begin()
            c.cmd("MAIL FROM:<a@client.example>", 250)
            c.cmd(f"RCPT TO:<b@broken-{level}.example>", code)
    assert sum(1 for c in hops["broken"].conns if any("MAIL" in ln for ln in c.clear)) == 1


@case(timeout=40)
def a_kept_connection_in_clear_does_not_outlive_the_memory_of_broken_tls(t):
    hop = servers(t)["broken"]
    conf = configure(t)
    conf["policy"] = {"broken_tls": {"enabled": True}}
    t.gateway(conf)

    def send():
        with t.client(ca=t.ca) as c:
            c.begin()
            r = c.mail("a@client.example", ["b@broken-may.example"], b"x\r\n")
            assert r.code == 250, r
        return [c.tls is not None for c in hop.conns for _ in c.messages]

    assert send() == [False]
    assert send() == [False, False]
    assert len(hop.conns) == 2, "the second mail takes the connection of the first"
    hop.ctx.maximum_version = ssl.TLSVersion.TLSv1_3  # it was repaired, and the operator says so
    assert t.gw.ctl("broken-tls", "flush").split()[0] == "1"
    assert send() == [False, False, True]


@case(timeout=40)
def a_map_entry_of_an_address_holds_for_a_host_that_dns_gave(t):
    """Its TLS settings too: the next hop's own are made before the address is known."""
    h = t.hop(addr=ADDRESSES["good"])
    with Dns("127.0.0.1", 0, {"mail.example.org": {"A": [h.addr]}}, ns=t.lab.gw) as dns:
        conf = t.conf()
        conf["dns"] = {"servers": [dns.server], "client_names": False}
        conf["next_hops"]["inside"] = {"hosts": [{"name": "mail.example.org"}], "ca_file": t.ca}
        conf["policy"] = {"map": {f"[{h.addr}]": {"level": "encrypt", "protocols": "!TLSv1.3"}}}
        t.gateway(conf)
        with t.client(ca=t.ca) as c:
            c.begin()
            r = c.mail("a@client.example", ["b@example.org"], b"x\r\n")
        assert r.code == 250, r
    assert [c.tls[0] for c in h.conns] == ["TLSv1.2"], [c.tls for c in h.conns]
