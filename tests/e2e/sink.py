#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A raw sink: takes mail and writes down what came over the wire.

  sink.py ADDRESS PORT CERT OUT

One JSON object a line in OUT for each message whose dot arrived: the envelope, how
many Received fields the first header field makes, and the SHA-256 and length of the
exact wire bytes behind it, dots and final dot included. A process of its own, so
that it does not share an interpreter lock with the load.
"""
import hashlib
import json
import os
import re
import signal
import socket
import ssl
import sys
import threading

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../scripts")]
from peers import split_received  # noqa: E402

RECEIVED = re.compile(rb"^Received: from \S+ .*by mx\.example\.org .*with E?SMTPS? id \S+", re.S)


class Sink:
    def __init__(self, addr, port, cert, out):
        self.out = open(out, "w", encoding="utf-8", buffering=1)
        self.lock = threading.Lock()
        self.ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ctx.load_cert_chain(cert)
        self.sock = socket.socket(socket.AF_INET6 if ":" in addr else socket.AF_INET)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind((addr, port))
        self.sock.listen(256)

    def run(self):
        while True:
            s, _ = self.sock.accept()
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def serve(self, s):
        try:
            self.session(s)
        except (OSError, EOFError):
            pass

    def session(self, s):
        buf = bytearray()
        tls, mail, rcpts = False, None, []
        s.sendall(b"220 sink.example.org\r\n")
        while True:
            while (at := buf.find(b"\r\n")) < 0:
                got = s.recv(65536)
                if not got:
                    raise EOFError
                buf += got
            line = bytes(buf[:at])
            del buf[:at + 2]
            verb = line[:4].upper()
            if verb == b"EHLO":
                s.sendall(b"250-sink.example.org\r\n250-PIPELINING\r\n250-8BITMIME\r\n"
                          b"250-SIZE 104857600\r\n250-SMTPUTF8\r\n" +
                          (b"" if tls else b"250-STARTTLS\r\n") + b"250 ENHANCEDSTATUSCODES\r\n")
            elif verb == b"STAR":
                s.sendall(b"220 2.0.0 go\r\n")
                s = self.ctx.wrap_socket(s, server_side=True)
                tls = True
                buf.clear()
            elif verb == b"MAIL":
                mail, rcpts = line, []
                s.sendall(b"250 2.1.0 ok\r\n")
            elif verb == b"RCPT":
                rcpts.append(line)
                s.sendall(b"250 2.1.5 ok\r\n")
            elif verb == b"DATA":
                s.sendall(b"354 go on\r\n")
                wire = self.body(s, buf)
                self.note(mail, rcpts, wire)
                s.sendall(b"250 2.0.0 taken\r\n")
            elif verb == b"QUIT":
                s.sendall(b"221 2.0.0 bye\r\n")
                return
            else:
                s.sendall(b"250 2.0.0 ok\r\n")

    def body(self, s, buf):
        from_ = 0
        while True:
            if buf.startswith(b".\r\n"):
                end = 3
                break
            at = buf.find(b"\r\n.\r\n", max(0, from_ - 4))
            if at >= 0:
                end = at + 5
                break
            from_ = len(buf)
            got = s.recv(262144)
            if not got:
                raise EOFError
            buf += got
        wire = bytes(buf[:end])
        del buf[:end]
        return wire

    def note(self, mail, rcpts, wire):
        received, rest = split_received(wire)
        row = {"mail": mail.decode(), "rcpts": [r.decode() for r in rcpts],
               "received": bool(RECEIVED.match(received)),
               "sha": hashlib.sha256(rest).hexdigest(), "len": len(rest)}
        with self.lock:
            self.out.write(json.dumps(row) + "\n")


signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
Sink(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]).run()
