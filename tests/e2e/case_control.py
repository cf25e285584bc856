# SPDX-License-Identifier: BSD-3-Clause
"""Hostile clients of the control socket, and draining under load: mail never notices."""

import contextlib
import json
import os
import select
import signal
import socket
import threading
import time

from harness import case, wait_for
from lablib import GW4, LabError
from peers import Background, Client, client_context, stuff

BODY = b"Subject: x\r\n\r\nhello\r\n"
STATUS = b'{"jsonrpc":"2.0","id":7,"method":"status"}\n'


class Mails(Background):
    """Mail in the background, lock-step; every one of them has to get through."""

    def __init__(self, t, pause=0.05):
        super().__init__(1)
        self.t, self.pause = t, pause
        self.sent, self.errors = 0, []
        self.ctx = client_context(t.ca)

    def _run(self, _k):
        while not self.over.wait(self.pause):
            try:
                with Client(self.t.lab.client, GW4, timeout=20) as c:
                    c.ehlo()
                    c.starttls(self.ctx)
                    c.ehlo()
                    r = c.mail("a@example.com", ["b@example.org"], BODY)
                    assert r.code == 250, r
                    c.quit()
                self.sent += 1
            except Exception as e:  # the case fails with it
                self.errors.append(f"{type(e).__name__}: {e}")

    def flow(self):
        """True when a mail that is sent from now on gets through."""
        n = self.sent
        return wait_for(lambda: self.sent >= n + 2 or self.errors, 20) and not self.errors


def connect(t, timeout=10):
    s = socket.socket(socket.AF_UNIX)
    s.connect(t.gw.conf["control"]["socket"])  # waits its turn, which with a timeout it would not
    s.settimeout(timeout)
    return s


def line(s):
    out = b""
    while not out.endswith(b"\n"):
        got = s.recv(65536)
        if not got:
            break
        out += got
    return json.loads(out) if out else None


def ask(t, data=STATUS):
    with connect(t) as s:
        s.sendall(data)
        return line(s)


def answers(t):
    """The control socket answers somebody new, soon: who is told that there are too many asks
    again."""
    began = time.monotonic()
    assert wait_for(lambda: (quiet(t) or {}).get("result", {}).get("pid"), 5), ask(t)
    return time.monotonic() - began


def quiet(t):
    with contextlib.suppress(OSError):
        return ask(t)
    return None


def gone(s, timeout=10):
    """The gateway has closed it."""
    s.settimeout(timeout)
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        while s.recv(65536):
            pass
    return True


# ---- what they send ----

def garbage(t):
    for data in (os.urandom(4096) + b"\n", b"\xff\xfe\x00\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                 b"\n" * 1000, b"null\ntrue\n42\n\"x\"\n", b'{"jsonrpc":"2.0","id":1,'
                 b'"method":"status","method":"stop"}\n', b"\x16\x03\x01\x02\x00\x01\x00\n"):
        with connect(t) as s:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            assert gone(s)
    # After a bad line the next good one is answered.
    with connect(t) as s:
        s.sendall(b"rubbish\n" + STATUS)
        f = s.makefile("rb")
        assert json.loads(f.readline())["error"]["code"] == -32700
        assert json.loads(f.readline())["result"]["pid"]


def half_objects(t):
    held = []
    for cut in range(0, len(STATUS) - 1, 3):
        s = connect(t)
        s.sendall(STATUS[:cut])
        held.append(s)
        answers(t)
    for s in held[::2]:
        s.close()
    # The others finish what they began, and are answered.
    for cut, s in list(zip(range(0, len(STATUS) - 1, 3), held))[1::2]:
        s.sendall(STATUS[cut:])
        assert line(s)["id"] == 7
        s.close()


def hundred_megabytes(t):
    s = connect(t, 20)
    piece, sent = b'"' + b"x" * (1 << 20), 0
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        while sent < 100 << 20:
            s.sendall(piece)
            sent += len(piece)
    assert sent < 24 << 20, f"{sent} bytes of one line were taken"
    assert gone(s)


def deep(t):
    for text in (b"[" * 500000, b'{"a":' * 100000):
        with connect(t) as s, contextlib.suppress(BrokenPipeError, ConnectionResetError):
            s.sendall(text + b"\n")
            assert "error" in (line(s) or {"error": 1})


def a_large_push(t):
    """One that is too large, and one that is as large as may be and wrong."""
    with connect(t, 30) as s, contextlib.suppress(BrokenPipeError, ConnectionResetError):
        s.sendall(b'{"jsonrpc":"2.0","id":1,"method":"config.push","params":{"config":{"version":1,'
                  b'"routes":[' + b'{"domain":"a.example","next_hop":"x"},' * 20000 + b"]}}}\n")
        got = line(s)
        assert got is None or "error" in got, got


def never_reads(t):
    """Asks and asks and does not take the answers."""
    held = [connect(t) for _ in range(8)]
    for s in held:
        s.setblocking(False)
    sent = 0
    end = time.monotonic() + 4
    while time.monotonic() < end:
        for s in held:
            with contextlib.suppress(BlockingIOError):
                sent += s.send(b'{"jsonrpc":"2.0","id":1,"method":"stats"}\n' * 100)
        time.sleep(0.05)
        answers(t)
    for s in held:
        assert select.select([], [s], [], 0)[1] == [], "everything it asks is read"
        s.close()


def follower_never_reads(t):
    """Subscribed to log and counters, and never reads."""
    held = []
    for _ in range(4):
        s = connect(t)
        s.sendall(b'{"jsonrpc":"2.0","id":1,"method":"subscribe","params":{"topics":["log","stats"],'
                  b'"interval":1}}\n')
        held.append(s)
    time.sleep(3)
    answers(t)
    for s in held:
        s.close()


def ten_thousand(t):
    for k in range(10000):
        with connect(t) as s, contextlib.suppress(BrokenPipeError, ConnectionResetError):
            # It may have been turned away already.
            s.sendall((b"", b"{", STATUS)[k % 3])


def two_hundred_at_once(t):
    held = [connect(t) for _ in range(200)]
    try:
        # Who is too many is told so; nobody waits.
        with connect(t) as s:
            assert line(s)["error"]["code"] == -32000
    finally:
        for s in held:
            s.close()


HOSTILE = (garbage, half_objects, hundred_megabytes, deep, a_large_push, never_reads,
           follower_never_reads, ten_thousand, two_hundred_at_once)


def vm(t):
    with open(f"/proc/{t.gw.proc.pid}/status", encoding="ascii") as f:
        return next(int(ln.split()[1]) for ln in f if ln.startswith("VmRSS"))


@case(timeout=180)
def hostile_control_clients_harm_nobody(t):
    t.scripted()
    fds = len(os.listdir(f"/proc/{t.gw.proc.pid}/fd"))
    with Mails(t) as mails:
        assert mails.flow(), mails.errors[:3]
        rss = vm(t)
        for attack in HOSTILE:
            began = time.monotonic()
            attack(t)
            took, n = time.monotonic() - began, mails.sent
            waited = answers(t)
            assert mails.flow(), (attack.__name__, mails.errors[:3])
            t.note(f"{attack.__name__}: {took:.1f} s, {n} mails so far; then an answer in "
                   f"{1000 * waited:.0f} ms")
        grown = vm(t) - rss
    assert not mails.errors, mails.errors[:3]
    assert grown < 32 << 10, f"RSS rose by {grown} KiB"
    assert wait_for(lambda: len(os.listdir(f"/proc/{t.gw.proc.pid}/fd")) <= fds + 1, 5), \
        "descriptors are left open"


# ---- draining under load ----

class Load(Background):
    """Senders of mails that take a while: connect, one message in pieces, QUIT; again."""

    def __init__(self, t, n=8):
        super().__init__(n)
        self.t, self.n = t, n
        self.ctx = client_context(t.ca)
        self.acked, self.turned_away, self.errors = [], 0, []
        self.lock = threading.Lock()

    def _run(self, k):
        n = 0
        while not self.over.is_set():
            n += 1
            sender = f"s{k}-{n}@example.com"
            try:
                self._one(sender)
            except (EOFError, OSError, AssertionError) as e:
                self.errors.append(f"{sender}: {type(e).__name__}: {e}")

    def _one(self, sender):
        try:
            c = Client(self.t.lab.client, GW4, timeout=4)
            c.sock.settimeout(20)
        except (OSError, EOFError):
            with self.lock:
                self.turned_away += 1
            time.sleep(0.1)
            return
        with c:
            if c.banner.code == 421 or not self._said(c, sender):
                with self.lock:
                    self.turned_away += 1
                time.sleep(0.1)

    def _said(self, c, sender):
        """False: told to come back, before there was a message."""
        try:
            c.ehlo()
            c.starttls(self.ctx)
            c.ehlo()
            c.envelope(sender, "b@example.org")
        except (AssertionError, EOFError, OSError) as e:
            if isinstance(e, AssertionError) and "421" not in str(e):
                raise
            return False
        c.cmd("DATA", 354)
        wire = stuff(b"Subject: drain\r\n\r\n" + b"0123456789abcdef\r\n" * 2000)
        for at in range(0, len(wire), 6000):
            c.send(wire[at:at + 6000])
            time.sleep(0.05)
        r = c.reply()
        assert r.code == 250, f"a running message got {r}"
        with self.lock:
            self.acked.append(sender)
        with contextlib.suppress(EOFError, OSError, AssertionError):
            c.cmd("QUIT")
        return True

def judged(h, load):
    """What was acknowledged is there, once; what is there is whole."""
    assert not load.errors, load.errors[:3]
    stored = [m.sender for m in h.complete()]
    assert len(stored) == len(set(stored))
    missing = [s for s in load.acked if f"MAIL FROM:<{s}>" not in {x.split(" SIZE")[0].split(
        " BODY")[0] for x in stored}]
    assert not missing, missing[:5]
    assert all(m.complete for m in h.messages), "a message was cut"


@case(timeout=60)
def a_drain_by_signal_under_load_cuts_nobody(t):
    h = t.scripted(workers=2)
    with Load(t) as load:
        assert wait_for(lambda: len(load.acked) >= 16 or load.errors, 30)
        t.gw.proc.send_signal(signal.SIGTERM)
        status = t.gw.proc.wait(30)
        n = len(load.acked)
    t.note(f"{n} mails acknowledged, {load.turned_away} attempts turned away")
    assert status == 0, status
    judged(h, load)
    assert load.turned_away


@case(timeout=90)
def drain_undrain_and_stop_over_the_socket_cut_nobody(t):
    h = t.scripted(workers=2)
    with Load(t) as load:
        for _ in range(3):
            n = len(load.acked)
            assert wait_for(lambda n=n: len(load.acked) >= n + 8 or load.errors, 30), load.errors
            t.gw.ctl("drain")
            assert wait_for(lambda: t.gw.call("status")["sessions"] == 0, 20, 0.1)
            assert t.gw.call("status")["draining"] is True
            time.sleep(0.5)  # what the senders were told has reached their books
            # Nobody new while it drains, for as long as that lasts.
            n, away = len(load.acked), load.turned_away
            assert wait_for(lambda away=away: load.turned_away >= away + 8, 20)
            assert len(load.acked) == n, "mail went through a draining gateway"
            late = t.gw.call("sessions.list")["sessions"]
            assert not late, f"sessions of a draining gateway: {late}"
            t.gw.ctl("undrain")
        n = len(load.acked)
        assert wait_for(lambda: len(load.acked) >= n + 8 or load.errors, 30)
        t.gw.ctl("stop")
        status = t.gw.proc.wait(30)
    t.note(f"{len(load.acked)} mails acknowledged, {load.turned_away} attempts turned away")
    assert status == 0, status
    judged(h, load)
    assert not os.path.exists(t.gw.conf["control"]["socket"])


@case(timeout=40)
def an_undrain_comes_too_late_for_a_stop(t):
    t.scripted()
    with t.client(ca=t.ca) as c:
        c.begin()
        c.envelope("a@example.com", "b@example.org")
        c.cmd("DATA", 354)
        t.gw.ctl("stop")
        try:
            t.gw.ctl("undrain")
            raise AssertionError("undrain was accepted")
        except LabError as e:
            assert "stopping" in str(e), e
        c.send(stuff(BODY))
        assert c.reply().code == 250
    assert t.gw.proc.wait(20) == 0
