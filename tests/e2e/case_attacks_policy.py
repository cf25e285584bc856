# SPDX-License-Identifier: BSD-3-Clause
"""Attacks on what policy stands on: demands for TLS from each source, and names from DNS.
T numbers are those of docs/testing.md."""

import re

from case_attacks import BODY, EVIL, until_closed, untouched
from case_attacks_tls import STRIP, in_the_middle, refused
from dns import Dns
from harness import case
from lablib import CLIENT4, GW4, HOP4
from mitm import Mitm
from peers import stuff

# Each source of a mandatory demand, alone: keys of the next hop, and what policy says.
SOURCES = {
    "level": {"level": "encrypt"},
    "secure": {"level": "secure"},
    "rule": {},
    "allowed": {},
    "map": {},
    "list": {},
}


def policy():
    return {
        "rules": [
            {"id": "rule", "from": "*", "to": "rule.example", "sender": "optional",
             "recipient": "required"},
            # As the client came: over TLS here.
            {"id": "allowed", "from": "*", "to": "allowed.example", "sender": "optional",
             "recipient": "allowed"}],
        "default_rule": {"sender": "optional", "recipient": "preferred"},
        "map": {"[map.hop.example]": {"level": "encrypt"}},
        "starttls_required": ["list.hop.example"],
        "broken_tls": {"enabled": True},
    }


def stripped(t, conf, names):
    """Every way of stripping against every one of these demands; what the gateway told the
    man in the middle."""
    t.gateway(conf)
    for way, (hooks, enh, _) in STRIP.items():
        with Mitm(t.lab, "192.0.2.25", (HOP4, 25), **hooks) as m:
            # First somebody's mail that may go in clear, so that the memory of broken TLS
            # knows this host: no help against a demand (S4).
            with t.client() as c:
                c.ehlo()
                c.cmd("MAIL FROM:<open@example.com>", 250)
                may = c.cmd("RCPT TO:<b@may.example>").code if "may" in conf["next_hops"] else 0
            n = len(m.calls)
            refused(t, 451, enh, *(f"{name}.example" for name in names))
            assert len(m.calls) >= n + len(names), (way, len(m.calls))
            for call in m.calls[n:]:
                assert not re.search(rb"MAIL|RCPT|b@", call.seen), (way, call.seen[:300])
            t.note(f"{way}: {len(names)} demands hold; at `may` Postfix said {may}")
            t.gw.ctl("broken-tls", "flush")


@case(timeout=120)
def T3_a_demand_of_any_source_holds_and_broken_tls_is_no_way_round(t):
    conf = in_the_middle(t, {n: {"level": None, "ca_file": None, **keys}
                             for n, keys in {**SOURCES, "may": {}}.items()})
    conf["next_hops"]["secure"]["ca_file"] = t.ca
    for name, nh in conf["next_hops"].items():
        nh["hosts"] = [{**nh["hosts"][0], "name": f"{name}.hop.example"}]
    stripped(t, {**conf, "policy": policy()}, list(SOURCES))


@case(timeout=120)
def T3_a_demand_for_all_holds(t):
    names = ("one", "two")
    conf = in_the_middle(t, {n: {"level": None, "ca_file": None} for n in names})
    for p in ({"outbound": "encrypt"}, {"default_rule": {"sender": "optional", "recipient": "required"}}):
        if t.gw:
            assert t.gw.stop() == 0
        stripped(t, {**conf, "policy": {**p, "broken_tls": {"enabled": True}}}, names)


@case(timeout=60)
def T3_the_way_in_is_not_talked_down_either(t):
    """P6: with `inbound` encrypt nothing but the way to TLS is served in clear."""
    h = t.hop()
    t.gateway({**t.conf([(h.addr, h.port)]), "policy": {"inbound": "encrypt"}})
    with t.client(ca=t.ca) as c:
        assert "STARTTLS" in c.ehlo().lines
        for line, code in (("NOOP", 250), ("RSET", 250), ("MAIL FROM:<evil@example.com>", 530),
                           ("RCPT TO:<evil@example.org>", 530), ("DATA", 530), ("VRFY evil", 530),
                           ("HELP", 530), ("AUTH PLAIN AGEAYg==", 530), ("FROBNICATE", 530),
                           ("XCLIENT ADDR=127.0.0.1", 530), ("STARTTLS now", 501)):
            r = c.cmd(line)
            assert r.code == code, (line, r)
            assert code != 530 or r.text == "5.7.0 Must issue a STARTTLS command first", r
        c.send(b"BDAT %d LAST\r\n" % len(EVIL) + EVIL + b"NOOP\r\n")
        assert [c.reply().code, c.reply().code] == [530, 250]
        c.starttls()
        c.ehlo()
        assert c.mail("a@example.com", ["b@example.org"], BODY).code == 250
    out = t.run("swaks", "--server", GW4, "--from", "evil@example.com", "--to", "b@example.org",
                check=False)
    assert "530 5.7.0 Must issue a STARTTLS command first" in out, out
    t.run("swaks", "--server", GW4, "--tls", "--from", "a@example.com", "--to", "b@example.org")
    untouched(h)
    assert len(h.complete()) == 2


# ---- T6: names that DNS feeds us (CVE-2026-28753 is one that was believed) ----

CLEAN = re.compile(r"[A-Za-z0-9._-]{1,253}|unknown")


@case(timeout=90)
def T6_a_hostile_ptr_writes_into_no_log_and_no_header(t):
    """The reverse name is even confirmed by its own address record."""
    h = t.hop()
    bad = [b"evil\r\nMAIL FROM:<evil@x>.example", b"evil\nx.example", b"evil\0x.example",
           b"evil) (mx.example.org [192.0.2.99]).example", b"evil tls=TLSv1.3.example",
           b'evil"x\\.example', b"evil<b@c>.example", b"evil;x=.example", b"evil\x1b[31m.example",
           b"evil\xff\xfe.example", b"evil\xc3\xbc.example", b"e" * 63 + b"." + b"v" * 63 + b"\r\n.example",
           b"evil\t.example", b"evil\x7f.example"]
    good = b"client.clients.example"
    zone = {n: {"A": [CLIENT4]} for n in (*bad, good)}
    with Dns(zone={**zone, CLIENT4: {"PTR": [good], "ttl": 0}}, ns=t.lab.gw) as dns:
        conf = t.conf([(h.addr, h.port)])
        conf["dns"] = {"servers": [dns.server], "timeout": 2, "max_ttl": 1, "negative_ttl": 1,
                       "failure_ttl": 1}
        t.gateway(conf)

        def field():
            with t.client(timeout=20) as c:
                c.ehlo()
                r = c.mail("a@example.com", ["b@example.org"], BODY)
                assert r.code == 250, r
            m = h.complete()[-1]
            assert m.split() == stuff(BODY), m.wire
            return m.received.decode()
        seen = field()
        assert f"({good.decode()} [{CLIENT4}])" in seen, seen
        names = set()
        for n, name in enumerate([*bad, bad]):
            dns.set(CLIENT4, {"PTR": name if isinstance(name, list) else [name], "ttl": 0})
            t.gw.stop()
            t.gateway(conf)  # with an empty cache
            seen = field()
            word = re.match(r"Received: from client\.example\.com\s+\(([^\[]*) \[192\.0\.2\.10\]\)", seen)
            assert word and CLEAN.fullmatch(word.group(1)), (name, seen)
            assert "evil" not in seen and "192.0.2.99" not in seen, (name, seen)
            names.add(word.group(1))
            log = t.gw.log()
            assert not re.search(r"[\0-\x09\x0b-\x1f\x7f]|evil", log), (name, log[-600:])
            assert dns.count(CLIENT4, "PTR") > n, "the name was never asked for"
        t.note(f"{len(bad)} hostile names became {names}")
    untouched(h)


@case(timeout=60)
def T6_a_hostile_mx_is_no_host(t):
    """What an MX record names is asked for as a name and nothing else: not written, not dialled."""
    h = t.hop(addr="192.0.2.22")
    evil = b"evil\r\nx.hop.example"
    zone = {"bad.example": {"MX": [(10, evil)]}, evil: {"A": ["192.0.2.22"]},
            "mixed.example": {"MX": [(10, evil), (20, b"evil x.hop.example"), (30, b"ok.hop.example")]},
            b"evil x.hop.example": {"A": ["192.0.2.22"]}, "ok.hop.example": {"A": ["192.0.2.22"]}}
    with Dns(zone=zone, ns=t.lab.gw) as dns:
        conf = t.conf([(h.addr, h.port)])
        conf["next_hops"]["direct"] = {"mx": True, "tls": "starttls", "level": "encrypt"}
        conf["routes"] += [{"domain": d, "next_hop": "direct"} for d in ("bad.example", "mixed.example")]
        conf["dns"] = {"servers": [dns.server], "timeout": 2}
        t.gateway(conf)
        with t.client(ca=t.ca, timeout=20) as c:
            c.begin()
            c.cmd("MAIL FROM:<a@example.com>", 250)
            r = c.cmd("RCPT TO:<b@bad.example>")
            assert r.code >= 400 and "evil" not in r.text, r
            c.cmd("RSET", 250)
            assert c.mail("a@example.com", ["b@mixed.example"], BODY).code == 250
        assert all(s is None or "evil" not in s for s in h.snis), h.snis
        assert not re.search(r"[\0-\x09\x0b-\x1f\x7f]|evil\r", t.gw.log())
    alive_on(t, h)


def alive_on(t, h):
    assert len(h.complete()) == 1
    with t.client() as c:
        c.send(b"QUIT\r\n")
        assert c.reply().code == 221 and until_closed(c) == b""
