# SPDX-License-Identifier: BSD-3-Clause
"""Attacks on both TLS legs of a live gateway. T numbers are those of docs/testing.md."""

import contextlib
import re
import ssl
import threading
import time

from case_attacks import BODY, alive
from case_misbehaviour import MAY_BE_CLEAR
from flooder import ALERT, DATA, HANDSHAKE, Forger, Gone, Raw, hello, record
from harness import case, wait_for
from lablib import GW4, HOP4
from mitm import Cut, Mitm
from peers import NOTHING, stuff

FORGED = b"250-mail.example.org\r\n250-FORGED\r\n250 SIZE 1\r\n550 5.1.1 FORGED\r\n"


def refused(t, code, enh, *domains):
    """RCPT is put off with this code and nobody reads what the next hop's side made up."""
    for d in domains or ("example.org",):
        with t.client(ca=t.ca) as c:
            c.begin()
            c.cmd("MAIL FROM:<a@example.com>", 250)
            r = c.cmd(f"RCPT TO:<b@{d}>")
            assert r.code == code and r.text.startswith(enh) and "FORGED" not in r.text, (d, r)
            assert c.cmd("DATA").code in (503, 554)
            c.quit()


# ---- T2: response injection, the next hop's side (CVE-2021-38371) ----

def t2_ways():
    def behind_220(c, _):
        c.sock.sendall(b"220 2.0.0 go\r\n" + FORGED)
        return NOTHING

    def before_220(c, _):
        return None if c.tls else behind_ehlo(c, b"220 2.0.0 go\r\n")

    def behind_ehlo(c, more):
        c.sock.sendall(b"250-mail.example.org\r\n250 STARTTLS\r\n" + more)
        return NOTHING

    def ehlo_and_all(c, _):
        return None if c.tls else behind_ehlo(c, b"220 2.0.0 go\r\n" + FORGED)

    def banner(c, _):
        c.sock.sendall(b"220 mail.example.org\r\n" + FORGED)
        return NOTHING

    def in_handshake(c, _):
        c.sock.sendall(FORGED)

    def after_handshake(c, _):
        """In the first record, with the answer to an EHLO that is still to come."""
        if c.tls is None:
            return None
        c.sock.sendall(b"250 mail.example.org\r\n250 2.1.0 FORGED\r\n550 5.1.1 FORGED\r\n")
        return NOTHING

    return {"behind the 220": {"starttls": behind_220}, "a 220 before STARTTLS": {"ehlo": before_220},
            "all at once": {"ehlo": ehlo_and_all}, "behind the banner": {"banner": banner},
            "in the handshake": {"tls": in_handshake}, "behind EHLO under TLS": {"ehlo": after_handshake}}


@case(timeout=60)
def T2_what_a_next_hop_says_before_it_is_asked_answers_nothing(t):
    h = t.scripted(reuse="off")
    for name, on in t2_ways().items():
        h.on = on
        conns = len(h.conns)
        refused(t, 451, "4.")
        assert len(h.conns) > conns, name
        for c in h.conns[conns:]:
            assert {ln.split(" ")[0] for ln in c.lines()} <= MAY_BE_CLEAR | {"MAIL"}, (name, c.lines())
            assert not any(ln.startswith("MAIL") for ln in c.clear), (name, c.clear)
        h.on = {}
        alive(t)
    assert t.counter("starttls_injection") >= 1
    assert len(h.complete()) == len(t2_ways())


@case(timeout=60)
def T2_text_before_an_implicit_handshake_answers_nothing(t):
    h = t.hop(port=465, tls="implicit")
    conf = t.conf([(h.addr, 465)], tls="implicit", reuse="off")
    t.gateway(conf)

    def banner(c, _):
        c.sock.sendall(b"220 mail.example.org\r\n" + FORGED)
        return NOTHING
    for on in ({"connect": lambda c, _: c.sock.sendall(b"220 mail.example.org\r\n" + FORGED)},
               {"connect": lambda c, _: c.sock.sendall(b"220 x\r\n")}, {"banner": banner}):
        h.on = on
        refused(t, 451, "4.")
        assert not any(c.clear for c in h.conns)
        h.on = {}
        alive(t)
    assert len(h.complete()) == 3


# ---- T3: stripping ----

def no_keyword(call, data):
    return data.replace(b"250-STARTTLS\r\n", b"").replace(b"250 STARTTLS\r\n", b"250 NOOP\r\n")


def spoilt_keyword(call, data):
    return data.replace(b"STARTTLS", b"XXXXXXXX")


def answers_454(call, data):
    if data == b"STARTTLS\r\n":
        call.near.sendall(b"454 4.7.0 TLS not available\r\n")
        return b""
    return data


def answers_502(call, data):
    if data == b"STARTTLS\r\n":
        call.near.sendall(b"502 5.5.1 what?\r\n")
        return b""
    return data


def rst_in_handshake(call, data):
    if data[:1] == b"\x16":
        raise Cut()
    return data


def alert_in_handshake(call, data):
    if data[:1] == b"\x16":
        call.near.sendall(b"\x15\x03\x03\x00\x02\x02\x28")
        return b""
    return data


def text_in_handshake(call, data):
    if data[:1] == b"\x16":
        call.near.sendall(b"454 4.7.0 TLS not available due to temporary reason\r\n")
        return b""
    return data


def rst_in_the_server_hello(call, data):
    if data[:1] == b"\x16":
        raise Cut()
    return data


def old_version(call, data):
    """Spoils the ClientHello, as a box that knows only TLS 1.0 might."""
    if data[:1] == b"\x16":
        call.near.sendall(b"\x15\x03\x01\x00\x02\x02\x46")  # protocol_version
        return b""
    return data


# name: (Mitm's functions, enhanced code for a demand, mail at `may`)
STRIP = {
    "keyword deleted": ({"from_hop": no_keyword}, "4.7.4", True),
    "keyword spoilt": ({"from_hop": spoilt_keyword}, "4.7.4", True),
    "454 to STARTTLS": ({"from_gw": answers_454}, "4.7.4", None),
    "502 to STARTTLS": ({"from_gw": answers_502}, "4.7.4", None),
    "RST at the ClientHello": ({"from_gw": rst_in_handshake}, "4.7.5", False),
    "RST at the ServerHello": ({"from_hop": rst_in_the_server_hello}, "4.7.5", False),
    "alert": ({"from_gw": alert_in_handshake}, "4.7.5", False),
    "version alert": ({"from_gw": old_version}, "4.7.5", False),
    "text for a ServerHello": ({"from_gw": text_in_handshake}, "4.7.5", False),
}


def in_the_middle(t, levels):
    """A gateway whose way to Postfix leads through 192.0.2.25, with a next hop for each level."""
    conf = t.conf([("192.0.2.25", 25)])
    first = conf["next_hops"].pop("inside")
    conf["routes"] = []
    for name, keys in levels.items():
        conf["next_hops"][name] = {k: v for k, v in {**first, "reuse": "off", **keys}.items()
                                   if v is not None}
        conf["routes"].append({"domain": f"{name}.example", "next_hop": name})
    return conf


@case(timeout=120)
def T3_nobody_in_the_middle_talks_a_demand_for_tls_away(t):
    levels = {"encrypt": {"level": "encrypt"}, "verify": {"level": "verify"},
              "secure": {"level": "secure"}}
    t.gateway(in_the_middle(t, {**levels, "may": {"level": "may"}}))
    # Untouched, the way works: what Postfix then says to a stranger's domain is its own.
    with Mitm(t.lab, "192.0.2.25", (HOP4, 25)) as m:
        for name in levels:
            with t.client(ca=t.ca) as c:
                c.begin()
                c.cmd("MAIL FROM:<a@example.com>", 250)
                r = c.cmd(f"RCPT TO:<b@{name}.example>")
                assert r.code == 554 and "elay" in r.text, r
        assert all(b"MAIL" not in c.clear() and b"\x16\x03" in c.seen for c in m.calls)
    for way, (hooks, enh, may) in STRIP.items():
        with Mitm(t.lab, "192.0.2.25", (HOP4, 25), **hooks) as m:
            refused(t, 451, enh, *(f"{n}.example" for n in levels))
            assert len(m.calls) >= len(levels), way
            for c in m.calls:
                assert not re.search(rb"MAIL|RCPT|b@", c.seen), (way, c.seen[:300])
            # The way to do it is one that works where nobody demands TLS.
            n = len(m.calls)
            with t.client(ca=t.ca) as c:
                c.begin()
                c.cmd("MAIL FROM:<a@example.com>", 250)
                r = c.cmd("RCPT TO:<b@may.example>")
                went = any(b"MAIL FROM:<a@example.com>" in x.seen for x in m.calls[n:])
            if may is not None:
                assert went is may and r.code == (554 if may else 451), (way, r)
            t.note(f"{way}: 451 {enh}; at `may`: {r.code}, {'in clear' if went else 'not sent'}")


@case(timeout=60)
def T3_what_was_offered_in_clear_is_forgotten_under_tls(t):
    """RFC 3207 4.2: "The client MUST discard any knowledge obtained from the server" before."""
    h = t.scripted(reuse="off", hop={"keywords": ("8BITMIME", "DSN")})
    # In clear somebody adds keywords, and a size that nothing fits.
    h.on = {"ehlo": lambda c, _: None if c.tls else
            "250 mail\n250 STARTTLS\n250 SMTPUTF8\n250 SIZE 1\n250 PIPELINING"}
    with t.client(ca=t.ca) as c:
        c.begin()
        c.cmd("MAIL FROM:<\u00fc@example.com> SMTPUTF8", 250)
        r = c.cmd("RCPT TO:<b@example.org>")
        assert r.code == 550 and r.text.startswith("5.6.7"), r
        c.cmd("RSET", 250)
        c.cmd("MAIL FROM:<a@example.com> SIZE=1000 RET=HDRS", 250)
        c.cmd("RCPT TO:<b@example.org>", 250)
        c.cmd("DATA", 354)
        c.send(stuff(BODY))
        assert c.reply().code == 250
    assert [ln.split(" ")[0] for ln in h.conns[-1].lines()[:4]] == ["EHLO", "STARTTLS", "EHLO", "MAIL"]
    assert h.conns[-1].clear == h.conns[-1].lines()[:2]
    assert "SIZE" not in h.complete()[-1].sender and "RET=HDRS" in h.complete()[-1].sender


# ---- T8: ALPN ----

def s_client(t, *args, port=465, hold=0.4, name="mx.example.org"):
    """openssl s_client, which waits for tickets and then says quit (in lower case: a Q would
    be for s_client itself); all its output."""
    starttls = "-starttls smtp" if port in (25, 2525) else ""
    sni = f"-servername {name}" if name else "-noservername"
    cmd = (f"(sleep {hold}; printf 'quit\\r\\n'; sleep {hold}) | openssl s_client -connect "
           f"{GW4}:{port} {sni} {starttls} {' '.join(args)} 2>&1")
    return t.run("sh", "-c", cmd, check=False, timeout=20)


@case(timeout=60)
def T8_alpn_without_smtp_is_refused_with_the_alert_for_it(t):
    t.scripted()
    for port in (465, 25):
        for alpn, good in ((None, True), ("smtp", True), ("h2,smtp", True), ("h2", False),
                           ("http/1.1", False), ("smtp2", False), ("imap", False)):
            out = s_client(t, *(["-alpn", alpn] if alpn else []), port=port, hold=0.2)
            assert ("221 2.0.0" in out) == good, (port, alpn, out)
            # 120: RFC 7301 3.2
            assert ("alert number 120" in out) == (not good), (port, alpn, out)
            assert ("ALPN protocol: smtp" in out) == (good and alpn is not None), (port, alpn, out)
    alive(t)


@case(timeout=30)
def T8_a_strict_profile_refuses_who_was_led_here_from_another_server(t):
    h = t.hop()
    conf = t.conf([(h.addr, h.port)])
    table = {None: True, "mx.example.org": True, "www.example.org": False}
    t.gateway(conf)
    for strict in (False, True):
        conf["tls_profiles"]["mx"]["strict_names"] = strict
        t.gw.call("config.push", config=conf)
        for port in (465, 25):
            for name, ours in table.items():
                out = s_client(t, port=port, hold=0.2, name=name)
                good = ours or not strict
                assert ("221 2.0.0" in out) == good, (strict, port, name, out)
                # 112: RFC 6066 3
                assert ("alert number 112" in out) == (not good), (strict, port, name, out)
    alive(t)


# ---- T9: floods of records and messages ----

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


def forged(t, version, make, n):
    """n times what `make` makes of an open session."""
    c = Forger(t.lab.client, GW4, version)
    return c, (make(c) for _ in range(n))


def raw(t, pieces, **kw):
    return Raw(t.lab.client, GW4, **kw), pieces


def octets_and_empties(c):
    return b"".join(c.seal(DATA) for _ in range(30)) + c.seal(DATA, b"x")


def floods(t):
    """name: (a way to begin it, cause in the log, most octets that it may take)"""
    crumbs = [record(HANDSHAKE, bytes([b])) for b in hello()]
    endless = [b"\x16\x03\x01\x40\0\x01\0\xff\xf0\x03\x03" + bytes(16378)] + \
        [record(HANDSHAKE, bytes(16384)) for _ in range(64)]
    ways = {}
    for v, name in ((TLS12, "1.2"), (TLS13, "1.3")):
        ways[f"empty records, {name}"] = (
            lambda v=v: forged(t, v, lambda c: c.seal(DATA), 20000), "idle", 1 << 18)
        ways[f"an octet a record, {name}"] = (
            lambda v=v: forged(t, v, lambda c: c.seal(DATA, b"x"), 20000), "records", 1 << 19)
        ways[f"empty records between octets, {name}"] = (
            lambda v=v: forged(t, v, octets_and_empties, 2000), "records", 1 << 19)
    ways["attempts to renegotiate"] = (
        lambda: forged(t, TLS12, lambda c: c.seal(HANDSHAKE, b"\1\0\0\x28" + b"\3" * 40), 20000),
        "renegotiation", 1 << 18)
    ways["warning alerts"] = (
        lambda: forged(t, TLS12, lambda c: c.seal(ALERT, b"\1\x5a"), 20000), "alerts", 1 << 18)
    ways["warning alerts between octets"] = (
        lambda: forged(t, TLS12, lambda c: c.seal(ALERT, b"\1\x5a") + c.seal(DATA, b"x"), 20000),
        "alerts", 1 << 18)
    ways["key updates"] = (lambda: forged(t, TLS13, Forger.key_update, 20000), "key_update", 1 << 18)
    ways["change_cipher_spec"] = (
        lambda: forged(t, TLS13, lambda c: record(20, b"\1"), 20000), None, 1 << 18)
    ways["a hello without end"] = (lambda: raw(t, endless), "hello", 1 << 20)
    ways["a hello in crumbs"] = (lambda: raw(t, crumbs * 40), "handshake", 1 << 18)
    ways["a hello in crumbs behind STARTTLS"] = (
        lambda: raw(t, crumbs * 40, port=25, starttls=True), "handshake", 1 << 18)
    return ways


def flood(begin):
    """(octets until the gateway ended it, whether it did)"""
    c, pieces = begin()
    try:
        for piece in pieces:
            c.put(piece)
        over = c.ends()
    except Gone:
        over = True
    c.close()
    return c.sent, over


@case(timeout=120)
def T9_floods_inside_tls_end_and_mail_goes_on(t):
    """Four at a time, while somebody sends mail."""
    t.scripted()
    for name, (begin, cause, most) in floods(t).items():
        before = t.gw.log().count(f"tls_flood={cause}")
        got = []
        ts = [threading.Thread(target=lambda begin=begin, got=got: got.append(flood(begin)))
              for _ in range(4)]
        for th in ts:
            th.start()
        began = time.monotonic()
        alive(t)
        took = time.monotonic() - began
        for th in ts:
            th.join(30)
        assert len(got) == 4 and all(over for _, over in got), (name, got)
        # What is in flight when the gateway ends it counts too.
        assert all(sent <= most for sent, _ in got), (name, got)
        assert took < 5, (name, took)
        if cause:
            assert wait_for(lambda: t.gw.log().count(f"tls_flood={cause}") >= before + 4, 10, 0.1), \
                (name, t.gw.log()[-2000:])
        t.note(f"{name}: ended after {max(s for s, _ in got)} octets at most; "
               f"a mail meanwhile took {took * 1000:.0f} ms")
    alive(t)


@case(timeout=60)
def T9_what_real_clients_do_is_no_flood(t):
    """Lines flushed one by one, a few key updates, large and cut hellos: all welcome."""
    h = t.scripted()
    body = b"Subject: lines\r\n\r\n" + b"short\r\n\r\n" * 3000
    for version in (TLS12, TLS13):
        c = Forger(t.lab.client, GW4, version)
        lines = [b"EHLO x\r\n", b"MAIL FROM:<a@example.com>\r\n", b"RCPT TO:<b@example.org>\r\n",
                 b"DATA\r\n"]
        for ln in lines:
            if version == TLS13:
                c.put(c.key_update())
            # As a 1/n-1 split does.
            c.ask(c.seal(DATA, ln[:1]) + c.seal(DATA, ln[1:]))
        for ln in body.splitlines(keepends=True):
            c.put(c.seal(DATA, ln))
        n = len(h.complete())
        c.put(c.seal(DATA, b".\r\n"))
        assert wait_for(lambda n=n: len(h.complete()) > n, 20, 0.05), t.gw.log()[-1000:]
        with contextlib.suppress(Gone):
            c.put(c.seal(DATA, b"QUIT\r\n"))
            assert c.ends()
        c.close()
    assert "tls_flood" not in t.gw.log()


# ---- T18: resumption across policies ----

@case(timeout=90)
def T18_a_session_is_resumed_under_its_own_policy_alone(t):
    """s_client takes a session at each listener and offers it at each: only where the profile
    is the same may it be taken up again."""
    h = t.hop()
    conf = t.conf([(h.addr, h.port)])
    prof = conf["tls_profiles"]
    prof["mx"]["tickets"] = 2
    prof["other"] = {**prof["mx"]}
    prof["rsa"] = {**prof["mx"], "certificates": ["mx-rsa"]}
    ports = {465: "mx", 4650: "mx", 4651: "other", 4652: "rsa"}
    for name in ("other", "rsa"):
        conf["actions"][name] = {**conf["actions"]["inbound"], "implicit_profile": name}
    conf["listeners"] += [{**conf["listeners"][1], "name": f"p{p}", "port": p,
                           "action": "inbound" if prof_ == "mx" else prof_}
                          for p, prof_ in ports.items() if p != 465]
    t.gateway(conf)
    seen = {}
    for version in ("-tls1_2", "-tls1_3"):
        for a, pa in ports.items():
            sess = f"{t.lab.dir}/session-{a}.pem"
            out = s_client(t, version, "-sess_out", sess, port=a, hold=0.15)
            assert "New, TLSv1." in out, out
            for b, pb in ports.items():
                out = s_client(t, version, "-sess_in", sess, port=b, hold=0.05)
                reused = "Reused, TLSv1." in out
                assert reused or "New, TLSv1." in out, out
                seen[version, a, b] = reused
                # A profile of the same content under another name is another policy: no more
                # than a new handshake is lost.
                assert not reused or pa == pb, (version, a, b)
            assert seen[version, a, a], f"{version}: nothing is resumed at {a}"
    t.note(f"{sum(seen.values())} of {len(seen)} were resumed")
    alive(t)


@case(timeout=60)
def T18_a_session_does_not_stand_for_a_client_certificate(t):
    """Taken where nobody asks for one, offered where one is required, and the other way."""
    h = t.hop()
    conf = t.conf([(h.addr, h.port)])
    conf["tls_profiles"]["mx"]["tickets"] = 2
    conf["tls_profiles"]["strict"] = {**conf["tls_profiles"]["mx"], "client_certificate": "required",
                                      "client_ca_file": t.ca}
    conf["actions"]["strict"] = {**conf["actions"]["inbound"], "implicit_profile": "strict"}
    conf["listeners"].append({**conf["listeners"][1], "name": "strict", "port": 4650,
                              "action": "strict"})
    t.gateway(conf)
    cert = ("-cert", f"{t.lab.dir}/certs/mail.pem", "-key", f"{t.lab.dir}/certs/mail.key")
    sess = f"{t.lab.dir}/session-open.pem"
    for version in ("-tls1_2", "-tls1_3"):
        out = s_client(t, version, "-sess_out", sess)
        assert "220 " in out, out
        out = s_client(t, version, "-sess_in", sess)
        assert "Reused, " in out, out
        # 116 is certificate_required (RFC 8446), 40 handshake_failure.
        for args in ((), ("-sess_in", sess)):
            out = s_client(t, version, *args, port=4650)
            assert "220 " not in out and re.search(r"alert number (116|40)", out), (version, out)
        out = s_client(t, version, *cert, "-sess_in", sess, port=4650)
        assert "220 " in out and "New, " in out, (version, out)
