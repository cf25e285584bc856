# SPDX-License-Identifier: BSD-3-Clause
"""Configurations pushed into a running gateway: mail does not notice, and every session is of
exactly one generation."""

import copy
import json
import os
import random
import re
import shutil
import socket
import ssl
import threading
import time

from harness import case, wait_for
from lablib import GW4, make_cert
from peers import Background, Client, client_context

BODY = b"Subject: x\r\n\r\nhello\r\n"
MIB = 1 << 20


def call(t, method, **params):
    """(result, error) of one request; one of them is None."""
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(t.gw.conf["control"]["socket"])
        s.settimeout(30)
        s.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
                  .encode() + b"\n")
        answer = json.loads(s.makefile("rb").readline())
    return answer.get("result"), answer.get("error")


def push(t, conf, **params):
    result, error = call(t, "config.push", config=conf, **params)
    assert error is None, error
    return result


def named(conf, name):
    """The configuration with both ends of every session under one name."""
    c = copy.deepcopy(conf)
    for ln in c["listeners"]:
        ln["hostname"] = name
    for hop in c["next_hops"].values():
        hop["helo"] = name
    return c


def banner(c):
    return c.banner.text.split()[0]


# ---- configurations that are refused, and where ----

def bad_port(c):
    c["listeners"][1]["port"] = 0
    return "/listeners/1/port"


def bad_reference(c):
    c["routes"][1]["next_hop"] = "nowhere"
    return "/routes/1/next_hop"


def bad_key(c):
    c["next_hops"]["inside"]["frobnicate"] = True
    return "/next_hops/inside/frobnicate"


def bad_certificate(c):
    c["certificates"]["mx-rsa"]["chain"] += ".gone"
    return "/certificates/mx-rsa"


def bad_cipher(c):
    c["tls_profiles"]["mx"]["ciphers"] = "NO-SUCH-CIPHER"
    return "/tls_profiles/mx"


def bad_authority(c):
    c["next_hops"]["inside"]["ca_file"] = "/nonexistent/ca.pem"
    return "/next_hops/inside"


def bad_route(c):
    c["routes"].append(dict(c["routes"][0]))
    return "/routes"


def bad_log(c):
    c["log"]["file"] = "/nonexistent/postern.log"
    return "/log/file"


def bad_dataplane(c):
    c["dataplane"]["memory_mb"] += 64
    return "/dataplane/memory_mb"


BAD = (bad_port, bad_reference, bad_key, bad_certificate, bad_cipher, bad_authority, bad_route,
       bad_log, bad_dataplane)


def push_bad(t, conf, spoil):
    """Refused, with the pointer to what is wrong; and nothing has changed."""
    c = named(conf, "bad.example")
    where = spoil(c)
    result, error = call(t, "config.push", config=c)
    assert result is None, f"{spoil.__name__} was accepted: {result}"
    pointers = [f["pointer"] for f in error["data"]["faults"]]
    assert any(p.startswith(where) for p in pointers), (spoil.__name__, error)
    assert (error["data"]["reason"] == "restart_required") == (spoil is bad_dataplane), error


# ---- the load ----

class Sessions(Background):
    """Clients whose sessions live across publications, each with two mails and two greetings."""

    def __init__(self, t, n):
        super().__init__(n)
        self.t = t
        self.ctx = client_context(t.ca)
        self.names, self.errors = {}, []  # sender: the name its session was greeted with
        self.lock = threading.Lock()

    def _run(self, k):
        r, n = random.Random(k), 0
        while not self.over.is_set():
            n += 1
            try:
                self._session(f"{k}-{n}", r)
            except Exception as e:  # the case fails with it
                self.errors.append(f"session {k}-{n}: {type(e).__name__}: {e}")

    def _session(self, sid, r):
        with Client(self.t.lab.client, GW4, timeout=30) as c:
            name = banner(c)
            for part in range(2):
                time.sleep(r.random() * 0.2)
                said = c.ehlo().lines[0].split()[0]
                assert said == name, f"greeted as {name}, EHLO answered as {said}"
                if part == 0:
                    c.starttls(self.ctx)
                    said = c.ehlo().lines[0].split()[0]
                    assert said == name, f"greeted as {name}, behind TLS {said}"
                sender = f"s{sid}-{part}@example.com"
                r_ = c.mail(sender, ["b@example.org"], BODY)
                assert r_.code == 250, r_
                with self.lock:
                    self.names[sender] = name
            c.quit()

def judge(h, sessions):
    """At the next hop each mail came once, over a connection and with a Received of its name."""
    seen = {}
    for conn in h.conns:
        ehlo = [ln.split()[1] for ln in conn.lines() if ln.startswith("EHLO ")]
        for m in conn.messages:
            assert m.complete
            m.split()
            sender = re.search(r"<(.*?)>", m.sender).group(1)
            by = re.search(rb"\bby (\S+)", m.received).group(1).decode()
            assert sender not in seen, f"{sender} came twice"
            seen[sender] = by
            assert set(ehlo) == {by}, f"EHLO {ehlo}, but Received by {by}"
    wrong = {s: (n, seen.get(s)) for s, n in sessions.names.items() if seen.get(s) != n}
    assert not wrong, f"(greeted as, received by): {list(wrong.items())[:5]}"
    assert "bad.example" not in seen.values()
    return len(set(seen.values()))


def memory(t):
    with open(f"/proc/{t.gw.proc.pid}/status", encoding="ascii") as f:
        rss = next(int(ln.split()[1]) for ln in f if ln.startswith("VmRSS"))
    return rss * 1024, t.gw.call("status")["memory"]["tls_live_bytes"]


def settled(t):
    """Nobody is on an old generation."""
    return wait_for(lambda: t.gw.call("status")["old_generations_in_use"] == 0, 20, 0.1)


def thousand(t, count, seconds):
    h = t.hop()
    # One session is to say nothing until all is over.
    conf = t.times(t.conf([(h.addr, h.port)], workers=2), client_command=3600)
    t.gateway(named(conf, "g1.example"))
    # The history keeps what it may keep, and every code path has been here.
    warm = 1000
    for n in range(2, warm + 1):
        push(t, named(conf, f"g{n}.example"))
        if n % 20 == 0:
            push_bad(t, conf, BAD[n // 20 % len(BAD)])
    assert settled(t)
    generation = t.gw.call("status")["generation"]
    assert generation == warm, generation
    rss, tls = memory(t)
    old = Client(t.lab.client, GW4, timeout=30)  # it lives through all of them
    old.begin()
    good = slowest = halfway = 0
    began = time.monotonic()
    with Sessions(t, 6) as sessions:
        for n in range(count):
            due = began + seconds * n / count
            time.sleep(max(0, due - time.monotonic()))
            at = time.monotonic()
            if n % 2:
                push_bad(t, conf, BAD[n // 2 % len(BAD)])
            else:
                good += 1
                result = push(t, named(conf, f"g{generation + good}.example"))
                assert result["generation"] == generation + good, result
            slowest = max(slowest, time.monotonic() - at)
            if n == count // 2:
                halfway = memory(t)[0]
            if sessions.errors:
                break
        took = time.monotonic() - began
    assert not sessions.errors, sessions.errors[:3]
    assert t.gw.call("status")["generation"] == generation + good
    assert old.mail("old@example.com", ["b@example.org"], BODY).code == 250
    sessions.names["old@example.com"] = banner(old)
    assert banner(old) == f"g{warm}.example"
    assert t.gw.call("status")["old_generations_in_use"] >= 1
    old.quit()
    old.close()
    names = judge(h, sessions)
    t.note(f"{count} publications in {took:.0f} s, {good} good; the slowest {1000 * slowest:.0f} ms; "
           f"{len(sessions.names)} mails of {names} generations; "
           f"sessions by worker {t.per_worker('sessions')}")
    assert names > 20, "hardly any generation saw a mail"
    assert min(t.per_worker("sessions")) > 0
    assert settled(t), t.gw.call("status")["old_generations_in_use"]
    after = memory(t)
    t.note(f"RSS {rss / MIB:.0f} -> {halfway / MIB:.0f} -> {after[0] / MIB:.0f} MiB, OpenSSL {tls / MIB:.2f} -> "
           f"{after[1] / MIB:.2f} MiB")
    assert after[1] <= tls + 256 * 1024, (tls, after[1])
    # Mail touches pages of the packet pools for the first time; what leaks goes on growing.
    assert after[0] <= rss + 48 * MIB and after[0] <= halfway + 8 * MIB, (rss, halfway, after[0])


@case(timeout=200)
def a_thousand_publications_under_load(t):
    thousand(t, 1000, 25)


@case(timeout=900, long=True)
def ten_thousand_publications_under_load(t):
    thousand(t, 10000, 300)


# ---- one at a time ----

@case(timeout=60)
def what_is_shown_is_what_was_pushed(t):
    h = t.hop()
    conf = t.conf([(h.addr, h.port)])
    t.gateway(conf)
    shown, error = call(t, "config.show")
    assert error is None and shown == conf
    # Members of an object have an order for people who read it.
    assert json.dumps(shown) == json.dumps(conf)
    # Itself again is no change, and no generation.
    result = push(t, shown)
    assert result["published"] is False and result["generation"] == 1, result
    second = named(conf, "second.example")
    result = push(t, second, if_generation=1, note="the second")
    assert result["published"] is True and result["generation"] == 2, result
    assert call(t, "config.show")[0] == second
    # Who looked at the first one does not overwrite the second.
    assert call(t, "config.push", config=conf, if_generation=1)[1], "if_generation was not obeyed"
    result, error = call(t, "config.diff", **{"from": 1, "to": 2})
    assert error is None and "second.example" in json.dumps(result), (result, error)
    # What is saved starts a gateway with the same configuration.
    result, error = call(t, "config.save")
    assert error is None, error
    with open(t.gw.path, encoding="utf-8") as f:
        assert json.load(f) == second
    rows = call(t, "config.history")[0]["generations"]
    assert [r["generation"] for r in rows] == [2, 1] and rows[0]["note"] == "the second", rows


@case(timeout=60)
def rollback_brings_the_one_before(t):
    h = t.hop()
    conf = t.conf([(h.addr, h.port)])
    t.gateway(named(conf, "g1.example"))
    assert call(t, "config.rollback")[1], "there was nothing to go back to"
    push(t, named(conf, "g2.example"))
    push_bad(t, conf, bad_cipher)
    result, error = call(t, "config.rollback")
    assert error is None and result["generation"] == 3, (result, error)
    with t.client(ca=t.ca) as c:
        assert banner(c) == "g1.example"
        c.begin()
        assert c.mail("a@example.com", ["b@example.org"], BODY).code == 250
    assert call(t, "config.show")[0] == named(conf, "g1.example")


def peer(c):
    return c.sock.getpeercert(binary_form=True)


@case(timeout=60)
def a_renewed_certificate_is_served_after_a_reload(t):
    h = t.hop()
    conf = t.conf([(h.addr, h.port)])
    d = f"{t.lab.dir}/certs"
    mine = {}
    for kind in ("ecdsa", "rsa"):
        mine[f"mx-{kind}"] = {"chain": f"{d}/mine-{kind}.pem", "key": f"{d}/mine-{kind}.key"}
        for end in ("pem", "key"):
            shutil.copy(f"{d}/mx-{kind}.{end}", f"{d}/mine-{kind}.{end}")
    conf["certificates"] = mine
    t.gateway(conf)
    old = t.client(ca=t.ca)
    old.begin()
    make_cert(d, "renewed", ["mx.example.org"])
    for end in ("pem", "key"):
        os.replace(f"{d}/renewed.{end}", f"{d}/mine-ecdsa.{end}")
    with t.client(ca=t.ca) as c:  # nobody said reload
        c.begin()
        assert peer(c) == peer(old)
    result, error = call(t, "config.reload")
    assert error is None and result["tls_built"] >= 1, (result, error)
    with t.client(ca=t.ca) as c:
        c.begin()
        assert peer(c) != peer(old), "the old certificate is still served"
        assert c.mail("n@example.com", ["b@example.org"], BODY).code == 250
    assert old.mail("o@example.com", ["b@example.org"], BODY).code == 250
    old.close()
    # A broken one is refused, by its name, and the one before stays.
    with open(f"{d}/mine-ecdsa.pem", "w", encoding="ascii") as f:
        f.write("-----BEGIN CERTIFICATE-----\nbroken\n")
    result, error = call(t, "config.reload")
    assert error and error["data"]["faults"][0]["pointer"].startswith("/certificates/mx-ecdsa"), error
    with t.client(ca=t.ca) as c:
        c.begin()
        assert c.mail("p@example.com", ["b@example.org"], BODY).code == 250
    assert settled(t)


@case(timeout=60)
def resumption_survives_a_publication(t):
    h = t.hop()
    conf = t.conf([(h.addr, h.port)])
    conf["tls_profiles"]["mx"]["tickets"] = 2
    t.gateway(named(conf, "g1.example"))
    ctx = client_context(t.ca)

    def visit(session):
        """One mail; (resumed, the session for next time)."""
        with t.client() as c:
            c.ehlo()
            c.cmd("STARTTLS", 220)
            c.sock = ctx.wrap_socket(c.sock, server_hostname="mx.example.org", session=session)
            c.ehlo()
            assert c.mail("a@example.com", ["b@example.org"], BODY).code == 250
            return c.sock.session_reused, c.sock.session
    for version in (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2):
        ctx = client_context(t.ca, maximum_version=version)
        resumed, session = visit(None)
        assert not resumed
        resumed, session = visit(session)
        assert resumed, "no resumption at all"
        # The contexts stay, and then they are built anew.
        result = push(t, named(conf, f"g2-{version}.example"))
        assert result["tls_built"] == 0, result
        resumed, session = visit(session)
        assert resumed, (version, "lost by a publication")
        conf["tls_profiles"]["mx"]["tickets"] = 3 - conf["tls_profiles"]["mx"]["tickets"]
        result = push(t, named(conf, f"g3-{version}.example"))
        assert result["tls_built"] >= 1, result
        resumed, session = visit(session)
        assert resumed, (version, "lost by new contexts")
        # T18: under other rules for the handshake a session is worth nothing.
        conf["tls_profiles"]["mx"]["groups"] = f"X25519:P-256{':P-384' if version == 772 else ''}"
        push(t, named(conf, f"g4-{version}.example"))
        resumed, session = visit(session)
        assert not resumed, (version, "kept under other rules")
