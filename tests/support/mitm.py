# SPDX-License-Identifier: BSD-3-Clause
"""Somebody on the path between the gateway and its next hop.

A Mitm listens where the gateway thinks that its next hop is, connects each caller to the
real one, and passes the bytes on through two functions that may change them, hold them
back (return b""), or raise Cut. What the gateway sent is kept as it came.
"""

import contextlib
import socket
import threading

from lablib import netns
from peers import reset


class Cut(Exception):
    """Both connections end here, by RST."""


class Call:
    """One connection of the gateway's."""

    def __init__(self, near, far):
        self.near, self.far = near, far
        self.seen = b""	 # from the gateway
        self.told = b""	 # to the gateway
        self.notes = {}	 # the functions' own

    def clear(self):
        """What the gateway said before its first TLS record."""
        at = self.seen.find(b"\x16\x03")
        return self.seen if at < 0 else self.seen[:at]


class Mitm:
    """from_gw(call, data) and from_hop(call, data) give what is passed on."""

    def __init__(self, lab, addr, target, from_gw=None, from_hop=None, port=25):
        self.lab, self.addr, self.target = lab, addr, target
        self.from_gw, self.from_hop = from_gw, from_hop
        self.calls = []
        with netns(lab.nexthop):
            self.sock = socket.socket()
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.sock.bind((addr, port))
            self.sock.listen(32)
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self):
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
                near, _ = self.sock.accept()
            except OSError:
                return
            with netns(self.lab.nexthop):
                far = socket.create_connection(self.target, 5)
            far.settimeout(30)
            near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            call = Call(near, far)
            self.calls.append(call)
            for args in ((near, far, self.from_gw, True), (far, near, self.from_hop, False)):
                threading.Thread(target=self._pump, args=(call, *args), daemon=True).start()

    @staticmethod
    def _pump(call, src, dst, change, from_gw):
        try:
            while data := src.recv(65536):
                if from_gw:
                    call.seen += data
                data = change(call, data) if change else data
                if not from_gw:
                    call.told += data
                if data:
                    dst.sendall(data)
            dst.shutdown(socket.SHUT_WR)
        except Cut:
            for s in (call.near, call.far):
                with contextlib.suppress(OSError):
                    s.shutdown(socket.SHUT_RD)
                reset(s)
        except OSError:
            with contextlib.suppress(OSError):
                dst.shutdown(socket.SHUT_RDWR)
