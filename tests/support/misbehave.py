# SPDX-License-Identifier: BSD-3-Clause
"""A next hop and a client that misbehave at every step, as tables.

A misbehaviour ("way") is a function. A next hop's gets the connection, the stage and
what would be said there, and either says something else and returns NOTHING, or raises
what ends the connection (peers.Die, Mute, Stall). A client's gets the Wire and
the line that would be sent, and returns False when there is nothing more to be said.

      hop_cells()     [(stage, way name, hooks for NextHop.on)]
      client_cells()  [(step, way name, function)]

Both only make the table; what must hold in each cell is for the case to judge
(tests/e2e/case_misbehaviour.py). A cell that makes no sense (no reply is due in the
middle of a body) is not in the table; `at` of each way says where it is.
"""

import contextlib
import os
import socket
import ssl
import time

from peers import NOTHING, Client, Die, Mute, Stall, reset

ALERT = b"\x15\x03\x03\x00\x02\x02\x28"  # handshake_failure, fatal, in clear
RUBBISH = b"\x80\xff\x00\x01 this is not what was asked for \r\n"
HOP_STAGES = ("banner", "ehlo", "starttls", "handshake", "ehlo2", "mail", "rcpt", "data", "body",
              "dot", "rset", "quit")
REPLIES = tuple(s for s in HOP_STAGES if s not in ("handshake", "body"))
CLEAR = ("banner", "ehlo", "starttls", "handshake")
UNDER_TLS = tuple(s for s in HOP_STAGES if s not in CLEAR)


def raw(sock):
    """The TCP socket below, for what does not go through TLS."""
    return socket.socket(fileno=os.dup(sock.fileno()))


def send_raw(sock, data):
    with raw(sock) as s:
        s.setblocking(True)
        s.sendall(data)


def truncate(sock):
    """FIN without close_notify."""
    with raw(sock) as s, contextlib.suppress(OSError):
        s.shutdown(socket.SHUT_WR)


def lines(text):
    """A reply as NextHop.say writes it."""
    out = text.split("\n")
    out = [ln[:3] + ("-" if i + 1 < len(out) else " ") + ln[4:] for i, ln in enumerate(out)]
    return "".join(ln + "\r\n" for ln in out).encode()


# ---- the next hop's ways ----

def said(data):
    """NOTHING more to say, and what the code was: after a 354 a message follows."""
    return NOTHING + data[:3].decode("latin-1")


def says(make):
    """A way that sends make(usual reply as bytes) in one write."""
    def way(c, _stage, usual):
        data = make(lines(usual))
        c.sock.sendall(data)
        return said(data)
    return way


def ends(make, how):
    """The same, and then the connection ends in that manner."""
    def way(c, _stage, usual):
        c.sock.sendall(make(lines(usual)))
        raise how
    return way


def close(c, _stage, _usual):
    """The polite end: close_notify where TLS is, then FIN."""
    if isinstance(c.sock, ssl.SSLSocket):
        c.sock.settimeout(2)
        with contextlib.suppress(OSError):
            c.sock.unwrap()
    raise Die()


def cut(c, _stage, _usual):
    truncate(c.sock)
    raise Mute()


def flood(data, limit=8 << 20):
    """Says it until the gateway has had enough."""
    def way(c, _stage, _usual):
        c.sock.settimeout(10)
        with contextlib.suppress(OSError):
            for _ in range(limit // len(data)):
                c.sock.sendall(data)
        raise Die()
    return way


def drip(c, _stage, usual):
    """Nothing wrong but slow: the one way that must succeed."""
    for b in lines(usual):
        c.sock.sendall(bytes([b]))
        time.sleep(0.0005)
    return said(lines(usual))


def below_tls(data):
    def way(c, _stage, _usual):
        send_raw(c.sock, data)
        raise Mute()
    return way


def wrong_class(c, stage, _usual):
    """A 3xx belongs to DATA alone, and a 2xx does not (RFC 5321 4.2.1)."""
    c.sock.sendall(b"250 2.0.0 no need\r\n" if stage == "data" else b"354 go on\r\n")
    return NOTHING


def raises(e):
    def way(*_):
        raise e
    return way


HOP_WAYS = {
    # name: (stages, way)
    "silence": (HOP_STAGES, raises(Mute())),
    "stall": (("body",), raises(Stall())),
    "garbage": (REPLIES, says(lambda _: RUBBISH)),
    "nul": (REPLIES, says(lambda u: u.replace(b" ", b" \0", 1))),
    "bare_cr": (REPLIES, says(lambda u: u.replace(b" ", b" \r250 2.0.0 ", 1))),
    "bare_lf": (REPLIES, says(lambda u: u.replace(b" ", b" x\n250 2.0.0 ", 1))),
    "lf_only": (REPLIES, says(lambda u: u.replace(b"\r\n", b"\n"))),
    "empty_line": (REPLIES, says(lambda u: b"\r\n" + u)),
    "huge_line": (REPLIES, flood(b"250 " + b"x" * 65536)),
    "endless_continuation": (REPLIES, flood(b"250-and another one\r\n" * 1000)),
    "mixed_codes": (REPLIES, says(lambda _: b"250-one\r\n550 two\r\n")),
    "no_such_code": (REPLIES, says(lambda _: b"999 what\r\n")),
    "wrong_class": (REPLIES, wrong_class),
    "4xx": (REPLIES, says(lambda _: b"450 4.2.0 not now\r\n")),
    "5xx": (REPLIES, says(lambda _: b"550 5.7.1 not you\r\n")),
    "421": (REPLIES, ends(lambda _: b"421 4.3.2 going\r\n", Die())),
    "421_in_body": (("body",), ends(lambda _: b"421 4.3.2 going\r\n", Die())),
    "early_yes": (("body",), says(lambda _: b"250 2.0.0 taken\r\n")),
    "early_no": (("body",), says(lambda _: b"550 5.7.1 no\r\n")),
    "early_garbage": (("body",), says(lambda _: RUBBISH)),
    "close": (HOP_STAGES, close),
    "reset": (HOP_STAGES, raises(Die(rst=True))),
    "partial_line": (REPLIES, ends(lambda u: u[:2], Mute())),
    "partial_line_close": (REPLIES, ends(lambda u: u[:-2], Die())),
    "surplus_yes": (REPLIES, says(lambda u: u + b"250 2.0.0 and more\r\n")),
    "surplus_no": (REPLIES, says(lambda u: u + b"550 5.7.1 no\r\n")),
    "surplus_garbage": (REPLIES, says(lambda u: u + RUBBISH)),
    "alert": (("handshake", *UNDER_TLS), below_tls(ALERT)),
    "clear_text": (("handshake", *UNDER_TLS), below_tls(b"250 2.0.0 never mind TLS\r\n" * 9)),
    "broken_record": (UNDER_TLS, below_tls(b"\x17\x03\x03\x00\x30" + b"\xaa" * 0x30)),
    "truncation": (("handshake", *UNDER_TLS), cut),
    "drip": (REPLIES, drip),
}


def usual(hop, c, stage):
    """What NextHop says when nothing is wrong."""
    if stage in ("ehlo", "ehlo2"):
        extra = ["STARTTLS"] if c.tls is None else []
        return "\n".join(f"250 {x}" for x in (hop.name, *hop.keywords, *extra))
    return {"banner": f"220 {hop.name} ESMTP", "starttls": "220 2.0.0 go ahead",
            "mail": "250 2.1.0 ok", "rcpt": "250 2.1.5 ok", "data": "354 go on",
            "dot": "250 2.0.0 taken", "rset": "250 2.0.0 ok", "quit": "221 2.0.0 bye"}.get(stage, "")


def hop_hooks(hop, stage, way):
    """NextHop.on for one cell. The two EHLOs are told by TLS; a body's way comes once."""
    done = []

    def hook(c, _arg=""):
        if stage in ("ehlo", "ehlo2") and (c.tls is None) != (stage == "ehlo"):
            return None
        if stage == "body" and c in done:
            return None
        done.append(c)
        answer = way(c, stage, usual(hop, c, stage))
        return None if stage == "body" else answer
    where = {"handshake": "tls", "ehlo2": "ehlo"}.get(stage, stage)
    return {where: hook}


def hop_cells():
    return [(s, name, way) for s in HOP_STAGES for name, (at, way) in HOP_WAYS.items() if s in at]


# ---- the client ----

CLIENT_STEPS = ("connect", "ehlo", "starttls", "handshake", "ehlo2", "mail", "rcpt", "data",
                "body", "dot", "rset", "quit")
COMMANDS = tuple(s for s in CLIENT_STEPS if s not in ("connect", "handshake", "body", "dot"))
LINES = {"ehlo": b"EHLO client.example.com\r\n", "starttls": b"STARTTLS\r\n",
         "ehlo2": b"EHLO client.example.com\r\n", "mail": b"MAIL FROM:<a@example.com>\r\n",
         "rcpt": b"RCPT TO:<b@%s>\r\n", "data": b"DATA\r\n", "body": None, "dot": b".\r\n",
         "rset": b"RSET\r\n", "quit": b"QUIT\r\n"}
C_TLS = tuple(s for s in CLIENT_STEPS if s not in ("connect", "ehlo", "starttls", "handshake"))


class Wire(Client):
    """A client that goes its way step by step, and keeps every reply it is given."""

    def __init__(self, *a, **kw):
        super().__init__(*a, greet=False, **kw)
        self.replies = []

    def hear(self, timeout=0.15):
        """All replies that come before a silence; False when the gateway has closed."""
        self.sock.settimeout(timeout)
        try:
            while True:
                self.replies.append(self.reply())
        except TimeoutError:
            return True
        except (EOFError, OSError):
            return False
        finally:
            with contextlib.suppress(OSError):
                self.sock.settimeout(10)


def c_send(make, more=True):
    """Sends make(the line), and goes on or does not."""
    def way(w, line):
        w.send(make(line))
        return more
    return way


def c_silence(w, _line):
    """Waits for the gateway's patience to end."""
    w.sock.settimeout(10)
    with contextlib.suppress(OSError, EOFError):
        while True:
            w.replies.append(w.reply())
    return False


def c_close(w, _line):
    if isinstance(w.sock, ssl.SSLSocket):
        w.sock.settimeout(2)
        with contextlib.suppress(OSError, ValueError):
            w.sock.unwrap()
    w.close()
    return False


def c_reset(w, _line):
    w.reset()
    return False


def c_truncate(w, _line):
    truncate(w.sock)
    w.hear(2)
    return False


def c_partial(w, line):
    w.send((line or b"half a li")[:-1])
    truncate(w.sock)
    w.hear(2)
    return False


def c_flood(data, limit=4 << 20):
    def way(w, _line):
        w.sock.settimeout(5)
        with contextlib.suppress(OSError):
            for _ in range(limit // len(data)):
                w.send(data)
        w.hear(1)
        return False
    return way


def c_below_tls(data):
    def way(w, _line):
        send_raw(w.sock, data)
        with raw(w.sock) as s, contextlib.suppress(OSError):
            s.settimeout(2)
            while got := s.recv(65536):
                # An alert, or records, but nothing that SMTP would say.
                assert not got[:1].isdigit(), got
        return False
    return way


def c_drip(w, line):
    """Slow but right: this must succeed."""
    for b in line:
        w.send(bytes([b]))
        time.sleep(0.002)
    w.hear()
    return None  # the step itself is done


def c_reset_hard(w, _line):
    """Half of a command and a reset behind it."""
    with contextlib.suppress(OSError):
        w.send(b"MAIL FRO")
    reset(raw(w.sock))
    w.close()
    return False


ANYWHERE = COMMANDS
CLIENT_WAYS = {
    "silence": (CLIENT_STEPS, c_silence),
    "early": (("connect", "ehlo", "starttls", "ehlo2", "data"), c_send(lambda ln: (ln or b"") + b"NOOP\r\n")),
    "garbage": (ANYWHERE, c_send(lambda _: RUBBISH)),
    "control_bytes": (ANYWHERE, c_send(lambda ln: ln[:4] + b"\0\x01\x7f" + ln[4:])),
    "bare_cr": (ANYWHERE, c_send(lambda ln: ln[:-2] + b"\rQUIT" + ln[-2:])),
    "bare_lf": (ANYWHERE, c_send(lambda ln: ln[:-2] + b"\nMAIL FROM:<evil@x>" + ln[-2:])),
    "huge_line": (ANYWHERE, c_send(lambda ln: ln[:-2] + b" " + b"x" * 300000 + b"\r\n")),
    "endless_line": (ANYWHERE, c_flood(b"NOOP " + b"x" * 65536)),
    "junk_commands": (ANYWHERE, c_flood(b"FROBNICATE\r\n" * 1000, 1 << 19)),
    "surplus_argument": (ANYWHERE, c_send(lambda ln: ln[:-2] + b" SURPLUS=1 X\r\n")),
    "out_of_order": (ANYWHERE, c_send(lambda _: b"DATA\r\n")),
    "bdat": (ANYWHERE, c_send(lambda _: b"BDAT 18446744073709551615 LAST\r\nQUIT\r\n")),
    "http": (("connect", *ANYWHERE), c_send(lambda _: b"POST / HTTP/1.1\r\nHost: x\r\n\r\n")),
    "bare_newline": (("body",), c_send(lambda _: b"evil\n.\nMAIL FROM:<evil@x>\r\n")),
    "smuggle": (("body",), c_send(lambda _: b"x\r\n.\r\r\nMAIL FROM:<evil@x>\r\n")),
    "close": (CLIENT_STEPS, c_close),
    "reset": (CLIENT_STEPS, c_reset),
    "reset_in_command": (ANYWHERE, c_reset_hard),
    "partial_line": (tuple(s for s in CLIENT_STEPS if s not in ("connect", "handshake")), c_partial),
    "truncation": (C_TLS, c_truncate),
    "alert": (("handshake", *C_TLS), c_below_tls(ALERT)),
    "clear_text": (("handshake", *C_TLS), c_below_tls(b"MAIL FROM:<evil@x>\r\n" * 9)),
    "broken_record": (("handshake", *C_TLS),
                      c_below_tls(b"\x17\x03\x03\x00\x30" + b"\xaa" * 0x30)),
    "second_hello": (("handshake",), c_below_tls(b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03")),
    "drip": (ANYWHERE, c_drip),
}


def client_cells():
    return [(s, name, way) for s in CLIENT_STEPS for name, (at, way) in CLIENT_WAYS.items()
            if s in at]


def client_step(w, step, line):
    """One step as it should be; the reply, if one is due."""
    w.sock.settimeout(10)
    if step == "handshake":
        w.tls()
        return None
    if line is not None:
        w.send(line)
    if step == "body" or (step == "connect" and w.replies):
        return None
    w.replies.append(w.reply())
    return w.replies[-1]


def client_walk(w, step, way, body, domain):
    """A whole session (mail, RSET, QUIT) in which `way` is done at `step`. The reply to the
    final dot, or None when it did not come to that."""
    last = None
    for s in CLIENT_STEPS:
        line = LINES.get(s)
        if s == "rcpt":
            line = line % domain.encode()
        if s == "body":
            line = body
        if s == step:
            go = way(w, line)
            if go is False or not w.hear():
                return last
            if go is None:
                continue
        try:
            r = client_step(w, s, line)
        except (OSError, EOFError, ValueError):
            return last
        if s == "dot":
            last = r
        if s == "data" and r.code != 354:
            return last
    return last
