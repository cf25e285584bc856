#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Peers that move one byte a second, many of them in one process.

  slow.py hops NETNS LABDIR ADDRESS FIRST_PORT COUNT OUT
      Next hops, one a port, that take mail as usual up to DATA's 354 and then read one
      byte a second from the wire.
  slow.py clients NETNS CA GATEWAY FAST SLOW OUT
      FAST clients that push a message without end to b@dK.example as fast as it is taken,
      and SLOW ones that send one byte a second: of a command, of a body in clear, of a
      body inside TLS, in turn.

OUT gets one JSON object a line: how many are there, how many were cut off, bytes moved.
"""
import concurrent.futures
import contextlib
import json
import os
import select
import signal
import socket
import ssl
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, f"{HERE}/../../scripts"]
from lablib import CLIENT4  # noqa: E402
from peers import Client, NextHop, client_context  # noqa: E402


def report(path, **row):
    with open(path, "a", encoding="ascii") as f:
        f.write(json.dumps(row) + "\n")


class Hops:
    def __init__(self, netns, labdir, addr, first, count, out):
        self.nexthop, self.dir, self.out = netns, labdir, out
        self.moved, self.there, self.cut = 0, 0, 0
        self.lock = threading.Lock()
        threading.stack_size(256 * 1024)
        # A small receive buffer: what they do not read is to be the gateway's trouble.
        self.hops = [NextHop(self, addr=addr, port=int(first) + k, rcvbuf=8192,
                             on={"body": self.crawl}) for k in range(int(count))]

    def crawl(self, conn, _data):
        """Never comes back but when the gateway ends the connection."""
        raw = socket.socket(fileno=conn.sock.detach())
        raw.setblocking(True)
        with self.lock:
            self.there += 1
        try:
            while raw.recv(1):
                with self.lock:
                    self.moved += 1
                time.sleep(1)
        except OSError:
            pass
        with self.lock:
            self.cut += 1
        raw.close()
        raise EOFError

    def run(self):
        while True:
            report(self.out, there=self.there, cut=self.cut, moved=self.moved)
            time.sleep(1)


class Clients:
    def __init__(self, netns, ca, gateway, fast, slow, out):
        self.netns, self.gateway, self.out = netns, gateway, out
        self.ctx = client_context(ca)
        self.nfast, self.nslow = int(fast), int(slow)
        self.fast, self.slow = [], []
        self.cut, self.moved = 0, 0
        self.sources = [CLIENT4, "192.0.2.11"]

    def open(self, k):
        return Client(self.netns, self.gateway, timeout=60, source=self.sources[k % 2])

    def body(self, k, to, tls):
        c = self.open(k)
        c.ehlo()
        if tls:
            c.cmd("STARTTLS", 220)
            c.tls(self.ctx)
            c.ehlo()
        c.envelope(f"s{k}@example.com", to)
        c.cmd("DATA", 354)
        c.send(b"Subject: slow\r\n\r\n")
        return c

    def make_fast(self, k):
        c = self.body(k, f"b@d{k}.example", True)
        c.sock.setblocking(False)
        return c

    def make_slow(self, k):
        if k % 3 == 0:
            c = self.open(k)
            c.send(b"EHLO ")
        else:
            c = self.body(k, "b@example.org", k % 3 == 2)
        return c

    def step(self):
        """A second's worth; what the gateway ended is counted and dropped."""
        for crowd, move in ((self.slow, self.crawl), (self.fast, self.push)):
            for c in list(crowd):
                try:
                    if select.select([c.sock], [], [], 0)[0]:
                        self.lost(c)
                    move(c)
                except (OSError, EOFError):
                    crowd.remove(c)
                    self.cut += 1
                    c.close()

    def lost(self, c):
        """Something came: a ticket of TLS is no message."""
        try:
            c.sock.setblocking(False)
            got = c.sock.recv(65536)
        except (ssl.SSLWantReadError, BlockingIOError):
            return
        raise EOFError(got)

    def crawl(self, c):
        c.send(b"x")
        self.moved += 1

    def push(self, c):
        line = b"y" * 70 + b"\r\n"
        with contextlib.suppress(BlockingIOError, ssl.SSLWantWriteError):
            while True:
                self.moved += c.sock.send(line * 200)

    def run(self):
        # Four at a time: what limits handshakes in flight is another test's.
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            self.slow += pool.map(self.make_slow, range(self.nslow))
            self.fast += pool.map(self.make_fast, range(self.nfast))
        while True:
            began = time.monotonic()
            self.step()
            report(self.out, there=len(self.fast) + len(self.slow), cut=self.cut, moved=self.moved)
            time.sleep(max(0, began + 1 - time.monotonic()))


signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
{"hops": Hops, "clients": Clients}[sys.argv[1]](*sys.argv[2:]).run()
