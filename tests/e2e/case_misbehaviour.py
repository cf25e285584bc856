# SPDX-License-Identifier: BSD-3-Clause
"""Every step of a session times everything a peer can do wrong there, on both sides.

The tables are in tests/support/misbehave.py. In each cell: nothing is lost (a client
hears 250 only when the next hop has the message whole, byte for byte, and what the
next hop has whole the client knows of or must doubt), nothing goes in clear where TLS is
demanded, and the gateway serves an ordinary mail afterwards.
"""

import re
import threading

from harness import case
from misbehave import (CLIENT_STEPS, CLIENT_WAYS, HOP_STAGES, HOP_WAYS, Wire, client_cells,
                       client_walk, hop_cells, hop_hooks)
from peers import Client, client_context, stuff

LANES = 4  # cells run side by side, each lane with a next hop of its own
MAY_BE_CLEAR = {"EHLO", "HELO", "STARTTLS", "RSET", "QUIT", "NOOP"}
VERBS = MAY_BE_CLEAR | {"MAIL", "RCPT", "DATA"}


def demand(conf, level):
    """The next hops want this level of TLS."""
    for nh in conf["next_hops"].values():
        nh["level"] = level
    return conf


class Lane:
    """One next hop, its routes (hN.example keeps no connection, pN.example does)."""

    def __init__(self, t, n):
        self.t, self.n = t, n
        self.hop = t.hop(addr=f"192.0.2.{21 + n}")
        self.ctx = client_context(t.ca)
        self.codes, self.faults = {}, []

    def client(self, cls=Client, **kw):
        return cls(self.t.lab.client, "192.0.2.1", ca=self.t.ca, timeout=20, **kw)

    def mail(self, domain, body):
        """The code that decides: of RCPT, of DATA or of the dot."""
        with self.client() as c:
            c.ehlo()
            c.starttls(self.ctx)
            c.ehlo()
            for line in ("MAIL FROM:<a@example.com>", f"RCPT TO:<b@{domain}{self.n}.example>", "DATA"):
                r = c.cmd(line)
                if r.code >= 400:
                    assert c.cmd("NOOP").code == 250
                    return r.code
            c.send(stuff(body))
            r = c.reply()
            assert c.cmd("NOOP").code == 250
            return r.code

    def check(self, name, body, code, before, doubt):
        """The rules of every cell. doubt: the next hop may have it though we said 4xx."""
        new = [m for m in self.hop.complete() if m not in before]
        if code == 250:
            assert new, f"{name}: 250 for a message that nobody has"
        elif new:
            assert doubt, f"{name}: {code} for a message that arrived"
        assert all(m.split() == stuff(body) for m in new), f"{name}: not what was sent"
        assert code is None or code == 250 or 400 <= code < 600, f"{name}: {code}"
        for conn in self.hop.conns:
            clear = {ln.split(" ")[0].upper() for ln in conn.clear}
            assert clear <= MAY_BE_CLEAR, f"{name}: in clear: {conn.clear}"
            assert b"MAIL" not in conn.rest or conn.tls, f"{name}: in clear: {conn.rest[:200]}"
            for ln in conn.lines():
                assert ln.split(" ")[0] in VERBS and not re.search(r"[\0-\x1f\x7f]|evil", ln), \
                    f"{name}: {ln!r}"

    def hop_cell(self, stage, name, way):
        body = f"Subject: {stage} {name}\r\n\r\nhello\r\n".encode() + b"line\r\n" * 3000
        kept = "p" if stage == "rset" else "h"
        if stage == "rset":
            self.hop.on = {}
            assert self.mail(kept, b"first\r\n") == 250  # this connection is kept
        self.hop.on = hop_hooks(self.hop, stage, way)
        before = self.hop.complete()
        code = self.mail(kept, body)
        self.codes[stage, name] = code
        self.check(f"{stage} {name}", body, code, before, doubt=stage == "dot")
        if name == "drip" or stage == "quit":
            assert code == 250, f"{stage} {name}: {code}"
        self.hop.on = {}
        code = self.mail("h", b"afterwards\r\n")
        assert code == 250, f"after {stage} {name}: {code}"

    def client_cell(self, step, name, way):
        body = f"Subject: {step} {name}\r\n\r\nhello\r\n".encode()
        before = self.hop.complete()
        with self.client(Wire) as w:
            r = client_walk(w, step, way, body, f"h{self.n}.example")
        self.codes[step, name] = r and r.code
        self.check(f"{step} {name}", body, r and r.code, before, doubt=False)
        if name == "drip":
            assert r and r.code == 250, f"{step} {name}: {w.replies}"
        code = self.mail("h", b"afterwards\r\n")
        assert code == 250, f"after {step} {name}: {code}"

    def run(self, cells, one):
        for cell in cells:
            try:
                one(self, *cell)
            except Exception as e:  # all cells are tried; the case fails with the list
                self.hop.on = {}
                self.faults.append(f"{cell[0]} {cell[1]}: {type(e).__name__}: {e}")


def lanes(t, cells, one, **seconds):
    """Runs the cells; one Lane's table for all."""
    all_ = [Lane(t, n) for n in range(LANES)]
    conf = t.conf([("192.0.2.21", 25)])
    first = conf["next_hops"].pop("inside")
    conf["routes"] = []
    for n, lane in enumerate(all_):
        host = {"name": "mail.example.org", "address": lane.hop.addr, "port": 25}
        for d, reuse in (("h", "off"), ("p", "class")):
            conf["next_hops"][f"{d}{n}"] = {**first, "hosts": [host], "reuse": reuse}
            conf["routes"].append({"domain": f"{d}{n}.example", "next_hop": f"{d}{n}"})
    t.gateway(t.times(demand(conf, "verify"), **seconds))
    threads = [threading.Thread(target=a.run, args=(cells[n::LANES], one), daemon=True)
               for n, a in enumerate(all_)]
    for th in threads:
        th.start()
    for th in threads:
        th.join()
    t.counters_reach(20, live_sessions=0)
    assert t.gw.proc.poll() is None
    return {k: v for a in all_ for k, v in a.codes.items()}, [f for a in all_ for f in a.faults]


def table(t, codes, rows, columns):
    t.note("".ljust(21) + " ".join(c[:6].ljust(6) for c in columns))
    for r in rows:
        cells = ["" if (c, r) not in codes else "left" if codes[c, r] is None else str(codes[c, r])
                 for c in columns]
        t.note(r.ljust(21) + " ".join(c.ljust(6) for c in cells))


@case(timeout=240)
def a_next_hop_that_misbehaves_at_any_step_loses_no_mail(t):
    cells = hop_cells()
    codes, faults = lanes(t, cells, Lane.hop_cell, connect=1, tls=1, banner=1, ehlo=1, mail=1,
                          rcpt=1, data=1, block=1, dot=1)
    table(t, codes, HOP_WAYS, HOP_STAGES)
    assert not faults, "\n".join(faults)
    assert len(codes) == len(cells)


@case(timeout=240)
def a_client_that_misbehaves_at_any_step_harms_nobody_but_itself(t):
    cells = client_cells()
    codes, faults = lanes(t, cells, Lane.client_cell, client_command=1.5, client_data=1.5,
                          client_tls=1.5)
    table(t, codes, CLIENT_WAYS, CLIENT_STEPS)
    assert not faults, "\n".join(faults)
    assert len(codes) == len(cells)
