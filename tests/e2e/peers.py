# SPDX-License-Identifier: BSD-3-Clause
"""Peers of the tests' own: an SMTP client that may misbehave, and a next hop that
does what its script says and keeps what it saw, byte by byte.

Both run in the test's process on kernel sockets that belong to the lab's client
and next-hop namespaces.
"""

import contextlib
import re
import select
import socket
import ssl
import struct
import threading
import time

from lablib import netns


def reset(sock):
    """Closes with RST instead of FIN."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def connect(ns, addr, port, timeout=15, source=None):
    """A TCP connection out of a namespace."""
    family = socket.AF_INET6 if ":" in addr else socket.AF_INET
    with netns(ns):
        s = socket.socket(family)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s.settimeout(timeout)
        if source:
            s.bind((source, 0))
        s.connect((addr, port))
    return s


def client_context(ca=None, **kw):
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca:
        ctx.load_verify_locations(ca)
    else:
        ctx.check_hostname = False
        ctx.verify_mode = ssl.CERT_NONE
    for key, value in kw.items():
        setattr(ctx, key, value)
    return ctx


def stuff(data):
    """Message bytes as DATA carries them: dot-stuffed, closed by CRLF.CRLF."""
    if data.startswith(b"."):
        data = b"." + data
    data = data.replace(b"\r\n.", b"\r\n..")
    if data and not data.endswith(b"\r\n"):
        data += b"\r\n"
    return data + b".\r\n"


OURS = re.compile(rb"Received: from .*?;\s+\w{3}, +\d+ \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}\r\n",
                  re.S)


def split_received(wire):
    """(the Received field the gateway put in front, what follows). The field ends with its
    date: a message that begins with a blank would look like its continuation."""
    m = OURS.match(wire)
    return (m.group(), wire[m.end():]) if m else (b"", wire)


class Reply:
    def __init__(self, code, lines):
        self.code, self.lines = code, lines

    @property
    def text(self):
        return "\n".join(self.lines)

    def __repr__(self):
        return f"{self.code} {self.lines}"


class Client:
    """An SMTP client with nothing between the test and the wire."""

    def __init__(self, ns, addr, port=25, implicit=False, ca=None, timeout=15, greet=True,
                 source=None):
        self.ca = ca
        self.sock = connect(ns, addr, port, timeout, source)
        self.buf = b""
        if implicit:
            self.tls()
        self.banner = self.reply() if greet else None

    def tls(self, ctx=None, name="mx.example.org"):
        ctx = ctx or client_context(self.ca)
        self.sock = ctx.wrap_socket(self.sock, server_hostname=name)

    def send(self, data):
        self.sock.sendall(data)

    def fill(self):
        got = self.sock.recv(65536)
        if not got:
            raise EOFError("closed by the gateway")
        self.buf += got

    def reply(self):
        lines = []
        while True:
            while b"\n" not in self.buf:
                self.fill()
            line, self.buf = self.buf.split(b"\n", 1)
            if not line.endswith(b"\r"):
                raise AssertionError(f"reply line without CR: {line!r}")
            line = line[:-1].decode("utf-8")
            lines.append(line[4:])
            if line[3:4] != "-":
                return Reply(int(line[:3]), lines)

    def cmd(self, line, expect=None):
        self.send(line.encode("utf-8") + b"\r\n")
        r = self.reply()
        if expect is not None and r.code != expect:
            raise AssertionError(f"{line}: wanted {expect}, got {r}")
        return r

    def ehlo(self, name="client.example.com"):
        return self.cmd(f"EHLO {name}", 250)

    def starttls(self, ctx=None):
        self.cmd("STARTTLS", 220)
        self.tls(ctx)

    def begin(self, tls=True):
        """EHLO, and STARTTLS with another EHLO."""
        r = self.ehlo()
        if tls:
            self.starttls()
            r = self.ehlo()
        return r

    def envelope(self, sender, *rcpts):
        self.cmd(f"MAIL FROM:<{sender}>", 250)
        for r in rcpts:
            self.cmd(f"RCPT TO:<{r}>", 250)

    def mail(self, sender, rcpts, data):
        """One message by DATA; the reply to its dot."""
        self.envelope(sender, *rcpts)
        self.cmd("DATA", 354)
        self.send(stuff(data))
        return self.reply()

    def silent(self, seconds):
        """True when nothing comes within the time."""
        if self.buf or (isinstance(self.sock, ssl.SSLSocket) and self.sock.pending()):
            return False
        return not select.select([self.sock], [], [], seconds)[0]

    def eof(self, timeout=10):
        """True when the gateway closes (by FIN or RST) without another byte."""
        self.sock.settimeout(timeout)
        try:
            return not self.buf and self.sock.recv(1) == b""
        except (ConnectionResetError, ssl.SSLEOFError):
            return True
        except TimeoutError:
            return False

    def quit(self):
        self.cmd("QUIT", 221)
        self.close()

    def close(self):
        self.sock.close()

    def reset(self):
        sock = self.sock
        if isinstance(sock, ssl.SSLSocket):
            fd = sock.detach()
            sock = socket.socket(fileno=fd)
        reset(sock)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Background:
    """Threads that do something, each its `_run(k)` until `over` is set, while a case does another."""

    def __init__(self, n):
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(k,), daemon=True)
                        for k in range(n)]

    def _run(self, k):
        raise NotImplementedError

    def __enter__(self):
        for th in self.threads:
            th.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for th in self.threads:
            th.join(40)


# ---- the next hop ----

class Die(Exception):
    """Close the connection, with FIN or (rst=True) RST."""

    def __init__(self, rst=False):
        super().__init__("die")
        self.rst = rst


class Mute(Exception):
    """Say nothing more, and keep the connection until the other side ends it."""


NOTHING = "\0"  # an answer that begins so: the hook has said it itself, by the code behind it


class Stall(Exception):
    """Read nothing more and say nothing more: the window closes."""


class Message:
    def __init__(self, sender):
        self.sender = sender  # the whole MAIL argument
        self.rcpts = []
        self.wire = b""	      # as it came, with the final dot
        self.complete = False # the dot arrived
        self.received = b""

    def split(self):
        self.received, rest = split_received(self.wire)
        return rest


class Conn:
    """One connection that the next hop saw."""

    def __init__(self, sock, peer):
        self.sock, self.peer = sock, peer
        self.commands = []  # (time, line)
        self.clear = []	    # those that came before TLS
        self.rest = b""	    # what came while it was mute, below TLS decoded
        self.messages = []
        self.tls = None	    # (version, cipher, resumed, sni)
        self.ended = threading.Event()
        self.end = None	    # "quit", "eof", "reset", "died"
        self.buf = b""

    def lines(self):
        return [c for _, c in self.commands]

    def readline(self):
        while b"\r\n" not in self.buf:
            got = self.sock.recv(65536)
            if not got:
                raise EOFError
            self.buf += got
        line, self.buf = self.buf.split(b"\r\n", 1)
        return line.decode("utf-8", "surrogateescape")

    def say(self, text):
        """A reply; lines are separated by newline, `CODE text` each."""
        if text.startswith(NOTHING):
            return
        out = text.split("\n")
        out = [ln[:3] + ("-" if i + 1 < len(out) else " ") + ln[4:] for i, ln in enumerate(out)]
        self.sock.sendall("".join(ln + "\r\n" for ln in out).encode())


class NextHop:
    """A scripted server. `on` maps a stage to what is done there: a reply, a
    callable(conn, argument) giving a reply or None for the usual one, or an
    exception to raise. Stages: connect, banner, ehlo, starttls, tls, mail, rcpt, data,
    body (callable gets the bytes so far, at each read), dot, rset, noop, quit.
    """

    KEYWORDS = ("PIPELINING", "SIZE 104857600", "8BITMIME", "ENHANCEDSTATUSCODES", "SMTPUTF8",
                "DSN", "CHUNKING")

    def __init__(self, lab, addr="192.0.2.21", port=25, tls="starttls", cert=None, on=None,
                 keywords=KEYWORDS, name="mail.example.org", rcvbuf=None):
        self.on, self.keywords, self.name, self.tls = on or {}, keywords, name, tls
        self.conns = []
        self.addr, self.port = addr, port
        self.ctx = None
        if tls != "none":
            self.ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.ctx.load_cert_chain(cert or f"{lab.dir}/certs/mail.pem")
            self.ctx.sni_callback = self._sni
        self.snis = []
        family = socket.AF_INET6 if ":" in addr else socket.AF_INET
        with netns(lab.nexthop):
            self.sock = socket.socket(family)
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if rcvbuf:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
            self.sock.bind((addr, port))
            self.sock.listen(128)
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _sni(self, _sock, name, _ctx):
        self.snis.append(name)

    @property
    def messages(self):
        return [m for c in self.conns for m in c.messages]

    def complete(self):
        return [m for m in self.messages if m.complete]

    def wait(self, cond, timeout=10):
        end = time.monotonic() + timeout
        while not cond(self):
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        return True

    def stop(self):
        """No more connections are accepted (they get RST); running ones end by RST."""
        self.close_listener()
        for c in self.conns:
            if not c.ended.is_set():
                with contextlib.suppress(OSError):
                    c.sock.shutdown(socket.SHUT_RDWR)

    def close_listener(self):
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _accept(self):
        while True:
            try:
                sock, peer = self.sock.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            c = Conn(sock, peer)
            self.conns.append(c)
            threading.Thread(target=self._serve, args=(c,), daemon=True).start()

    def _at(self, stage, conn, arg=""):
        """What the script says for a stage: a reply or None."""
        act = self.on.get(stage)
        if callable(act) and not isinstance(act, type):
            act = act(conn, arg)
        if isinstance(act, Exception) or (isinstance(act, type) and issubclass(act, Exception)):
            raise act
        return act

    def _serve(self, c):
        try:
            self._session(c)
            c.end = "quit"
        except Die as d:
            c.end = "died"
            if d.rst:
                if isinstance(c.sock, ssl.SSLSocket):
                    c.sock = socket.socket(fileno=c.sock.detach())
                reset(c.sock)
        except Mute:
            with contextlib.suppress(OSError):
                while got := c.sock.recv(65536):
                    c.rest += got
            c.end = "eof"
        except Stall:
            p = select.poll()
            p.register(c.sock, select.POLLRDHUP)
            p.poll(60000)
            c.end = "stalled"
        except EOFError:
            c.end = "eof"
        except OSError:
            c.end = "reset"
        finally:
            with contextlib.suppress(OSError):
                c.sock.close()
            c.ended.set()

    def _start_tls(self, c):
        c.sock = self.ctx.wrap_socket(c.sock, server_side=True)
        c.tls = (c.sock.version(), c.sock.cipher()[0], c.sock.session_reused)
        c.buf = b""

    def _session(self, c):
        self._at("connect", c)
        if self.tls == "implicit":
            self._start_tls(c)
        c.say(self._at("banner", c) or f"220 {self.name} ESMTP")
        msg = None
        while True:
            line = c.readline()
            c.commands.append((time.monotonic(), line))
            if c.tls is None:
                c.clear.append(line)
            verb = line.split(" ")[0].upper()
            if verb in ("EHLO", "HELO"):
                kw = list(self.keywords)
                if self.tls == "starttls" and c.tls is None:
                    kw.append("STARTTLS")
                c.say(self._at("ehlo", c, line) or "\n".join([f"250 {self.name}"] +
                                                             [f"250 {k}" for k in kw]))
            elif verb == "STARTTLS":
                c.say(self._at("starttls", c) or "220 2.0.0 go ahead")
                self._at("tls", c)
                self._start_tls(c)
            elif verb == "MAIL":
                msg = Message(line)
                c.say(self._at("mail", c, line) or "250 2.1.0 ok")
            elif verb == "RCPT":
                answer = self._at("rcpt", c, line) or "250 2.1.5 ok"
                if answer.lstrip(NOTHING).startswith("2"):
                    msg.rcpts.append(line)
                c.say(answer)
            elif verb == "DATA":
                answer = self._at("data", c) or "354 go on"
                c.say(answer)
                if answer.lstrip(NOTHING).startswith("354"):
                    c.messages.append(msg)
                    self._body(c, msg)
                    c.say(self._at("dot", c, msg) or "250 2.0.0 taken")
                    msg = None
            elif verb in ("RSET", "NOOP"):
                c.say(self._at(verb.lower(), c) or "250 2.0.0 ok")
            elif verb == "QUIT":
                c.say(self._at("quit", c) or "221 2.0.0 bye")
                return
            else:
                c.say("500 5.5.1 what?")

    def _body(self, c, msg):
        data = bytearray(c.buf)
        c.buf = b""
        from_ = 0
        try:
            while True:
                if data.startswith(b".\r\n"):
                    end = 3
                    break
                at = data.find(b"\r\n.\r\n", max(0, from_ - 4))
                if at >= 0:
                    end = at + 5
                    break
                from_ = len(data)
                self._at("body", c, data)
                got = c.sock.recv(262144)
                if not got:
                    raise EOFError
                data += got
        except BaseException:
            msg.wire = bytes(data)
            raise
        msg.wire, msg.complete = bytes(data[:end]), True
        c.buf = bytes(data[end:])
