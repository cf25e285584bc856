# SPDX-License-Identifier: BSD-3-Clause
"""The kill matrix: whatever dies, wherever it dies, nothing is acknowledged that the next hop
does not have, and nothing is stored that is not whole.

Rows are places in a transaction, columns are deaths. The next hop is a process of its own
(victim.py) that stops at the place; then the death; then everybody goes on as if nothing were.
"""

import contextlib
import hashlib
import json
import os
import random
import re
import select
import socket
import threading
import time

from harness import case, wait_for
from lablib import LabError, run
from peers import stuff

HOP = "192.0.2.21"
OUTAGE = 1.5  # seconds without a link


class Hop:
    """victim.py, from here."""

    def __init__(self, t):
        self.t = t
        self.store = f"{t.lab.dir}/victim.jsonl"
        self.path = f"{t.lab.dir}/victim.sock"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.store)
        self.start()

    def start(self):
        here = os.path.dirname(os.path.abspath(__file__))
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        self.proc = self.t.lab.spawn(self.t.lab.nexthop, [
            "/usr/bin/python3", "-B", f"{here}/victim.py", self.t.lab.nexthop, self.t.lab.dir, HOP,
            self.path, self.store], "victim.out")
        self.sock = socket.socket(socket.AF_UNIX)

        def there():
            with contextlib.suppress(OSError):
                self.sock.connect(self.path)
                return True
            return False
        assert wait_for(there, 20), "the next hop did not start"
        self.lines = self.sock.makefile("rb")

    def arm(self, stage):
        self.sock.sendall(f"arm {stage}\n".encode())

    def reached(self, stage, timeout=15):
        assert select.select([self.sock], [], [], timeout)[0], f"it never got to {stage}"
        assert self.lines.readline() == f"reached {stage}\n".encode()

    def go(self):
        self.sock.sendall(b"go\n")

    def kill(self):
        self.proc.kill()
        self.proc.wait(10)
        self.sock.close()

    def stored(self, sender):
        with contextlib.suppress(FileNotFoundError):
            with open(self.store, encoding="utf-8") as f:
                rows = [json.loads(ln) for ln in f]
            return [r for r in rows if f"<{sender}>" in r["mail"]]
        return []

    def stop(self):
        self.sock.close()
        self.t.lab.end(self.proc)


def message(cell):
    """256 KiB that no other cell sends."""
    r = random.Random(cell)
    lines = [b"%064x" % r.getrandbits(256) for _ in range(4000)]
    return b"Subject: " + cell.encode() + b"\r\n\r\n" + b"\r\n".join(lines) + b"\r\n"


class Sender:
    """A client that takes a message to a stage, and later to its end."""

    def __init__(self, t, stage, sender, data):
        self.stage, self.sender, self.data = stage, sender, data
        self.wire = stuff(data)
        self.half = len(data) // 2
        self.code = None  # of the message's verdict
        self.c = t.client(ca=t.ca, timeout=30)
        self.c.begin()

    def begin(self):
        c = self.c
        c.cmd(f"MAIL FROM:<{self.sender}>", 250)
        c.send(b"RCPT TO:<b@example.org>\r\n")
        if self.stage in ("connect", "tls"):
            return
        assert c.reply().code == 250
        if self.stage == "rcpt":
            return
        if self.stage == "chunk":
            c.send(b"BDAT %d\r\n" % self.half + self.data[:self.half])
            return
        c.cmd("DATA", 354)
        c.send(self.wire[:self.half] if self.stage == "body" else self.wire)

    def between(self):
        """The next hop is where it should be: so is the client."""
        if self.stage == "chunk":
            assert self.c.reply().code == 250  # of the chunk, not of the message

    def go_on(self):
        """To the end: the verdict on the message, or on the recipient if that is as far as it
        gets; None: no verdict came."""
        with contextlib.suppress(EOFError, OSError):
            self.code = self._rest()

    def _rest(self):
        c = self.c
        if self.stage in ("connect", "tls"):
            if (r := c.reply().code) != 250:
                return r
        if self.stage in ("connect", "tls", "rcpt"):
            if (r := c.cmd("DATA").code) != 354:
                return r
            c.send(self.wire)
        elif self.stage == "body":
            c.send(self.wire[self.half:])
        elif self.stage == "chunk":
            rest = self.data[self.half:]
            c.send(b"BDAT %d LAST\r\n" % len(rest) + rest)
        return c.reply().code


# ---- deaths: each ends with the sender's last word and a next hop and a gateway that run ----

def hop_killed(t, hop, s):
    hop.kill()
    s.go_on()
    hop.start()


def client_fin(t, hop, s):
    s.c.close()
    hop.go()


def client_rst(t, hop, s):
    s.c.reset()
    hop.go()


def gateway_killed(t, hop, s):
    conf = t.gw.conf
    t.gw.proc.kill()
    t.gw.proc.wait(10)
    s.c.sock.settimeout(1)  # nobody is there to say anything, not even RST
    hop.go()
    s.go_on()
    t.gateway(conf)


def link(dev):
    def outage(t, hop, s):
        """Both sides go on sending into nothing, then it is back."""
        ns = ("ip", "-n", t.lab.gw, "link", "set", dev)
        run(*ns, "down")
        try:
            hop.go()
            th = threading.Thread(target=s.go_on, daemon=True)
            th.start()
            time.sleep(OUTAGE)
            early = s.code
        finally:
            run(*ns, "up")
        th.join(40)
        assert not th.is_alive(), "no verdict came after the outage"
        assert early is None, f"a verdict while the link was down: {early}"
    return outage


COLUMNS = {"next hop killed": hop_killed, "client FIN": client_fin, "client RST": client_rst,
           "gateway killed": gateway_killed, "port down": link("lan0"),
           "next hop's link": link("n0")}
# Name: (stage of the client, stage of the next hop).
ROWS = {"connect": ("connect", "connect"), "in TLS": ("tls", "tls"), "after RCPT": ("rcpt", "rcpt"),
        "in the body": ("body", "body"), "between chunks": ("chunk", "body"),
        "after the dot": ("dot", "dot"), "stored, no 250": ("dot", "stored")}

AFTER_DOT = ("after the dot", "stored, no 250")


def statuses(row, column):
    """What the log may say of the transaction."""
    if column == "next hop killed":
        return ("uncertain",) if row in AFTER_DOT else ("deferred",)
    if column.startswith("client"):
        # Once it has the dot the gateway awaits the verdict even without its client.
        return ("sent",) if row in AFTER_DOT else ("aborted",)
    return ("sent",)


def log_says(t, row, column, sender):
    """The status of the transaction in the gateway's log, and beside it whose fault it was."""
    # Of the transaction, or of its only recipient.
    line = t.gw.wait_log(f"from=<{sender}>", "status=", timeout=15)
    status = re.search(r"status=(\S+)", line).group(1)
    assert status in statuses(row, column), f"the log says {line}"
    sid = re.search(r"(\S+)\.\d+: (?:client|from)=", line).group(1)
    if column == "next hop killed":
        fault = t.gw.wait_log(f"{sid}: event=nexthop-fault", HOP)
        assert 'fault="connection lost"' in fault or 'fault="TLS failed"' in fault, fault
    elif column.startswith("client"):
        end = t.gw.wait_log(f"{sid}: event=disconnect", timeout=15)
        assert "reason=" in end and "reason=quit" not in end, end
    return status


def cell(t, hop, row, column):
    """One cell; its outcome in a word or two."""
    name = re.sub(r"[^a-z]+", "-", f"{row} {column}".lower())
    sender, data = f"{name}@example.com", message(name)
    want = hashlib.sha256(stuff(data)).hexdigest()
    client_stage, hop_stage = ROWS[row]
    hop.arm(hop_stage)
    s = Sender(t, client_stage, sender, data)
    try:
        s.begin()
        hop.reached(hop_stage)
        s.between()
        COLUMNS[column](t, hop, s)
        status = None if column == "gateway killed" else log_says(t, row, column, sender)
        time.sleep(0.1)  # a dot that should not be there would be by now
        rows = hop.stored(sender)
        assert all(r["sha"] == want for r in rows), f"not the whole message is stored: {rows}"
        assert len(rows) <= 1, f"stored {len(rows)} times"
        assert s.code != 250 or rows, "acknowledged, but the next hop does not have it"
        assert status != "sent" or rows, "the log says sent, but the next hop does not have it"
        if column == "gateway killed":
            assert s.code is None, f"who said {s.code}?"
        if column.startswith("next hop k"):
            assert s.code == 451, f"the client was told {s.code}"
        if status == "aborted":
            assert not rows
        if column in ("port down", "next hop's link"):
            assert s.code == 250, f"the client was told {s.code}"
    finally:
        s.c.close()
    fresh(t, hop, f"fresh-{name}@example.com")
    said = "-" if s.code is None else s.code
    return f"{said} {status or 'no log'}{' +stored' if rows else ''}"


def fresh(t, hop, sender):
    """Afterwards mail flows as before."""
    data = b"Subject: fresh\r\n\r\nfresh\r\n"
    with t.client(ca=t.ca, timeout=30) as c:
        c.begin()
        r = c.mail(sender, ["b@example.org"], data)
        assert r.code == 250, f"a fresh message got {r}"
    assert len(hop.stored(sender)) == 1


def table(cells):
    width = 1 + max(len(c) for row in cells.values() for c in [*row.values(), *COLUMNS])
    first = max(len(r) for r in ROWS) + 1
    out = ["".ljust(first) + "".join(c.ljust(width) for c in COLUMNS)]
    for row, got in cells.items():
        out.append(row.ljust(first) + "".join(got.get(c, "").ljust(width) for c in COLUMNS))
    return [ln.rstrip() for ln in out]


@case(timeout=400)
def kill_matrix(t):
    hop = Hop(t)
    conf = t.conf([(HOP, 25)], reuse="off")
    t.gateway(conf)
    cells, faults = {row: {} for row in ROWS}, []
    try:
        for column in COLUMNS:
            for row in ROWS:
                try:
                    cells[row][column] = cell(t, hop, row, column)
                except (AssertionError, EOFError, OSError, LabError) as e:
                    cells[row][column] = "WRONG"
                    faults.append(f"{row}, {column}: {type(e).__name__}: {e}")
                    with contextlib.suppress(OSError):
                        hop.go()
                    if hop.proc.poll() is not None:
                        hop.start()
    finally:
        hop.stop()
        for ln in table(cells):
            t.note(ln)
        t.note("a cell: what the client was told of the message, what the log says, whether "
               "the next hop has it")
    assert not faults, "; ".join(faults)
