#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A next hop that stops where it is told to, so that something can be killed just there.

  victim.py NETNS LABDIR ADDRESS CONTROL STORE

A process of its own: it is the one that gets SIGKILL. STORE gets one JSON object a
line for each message it has taken (its dot arrived), written before the 250; what
is not there, this next hop does not have. Over CONTROL, a Unix socket, it is told
`arm STAGE` and answers `reached STAGE` when a connection gets there; that connection
then waits for `go`. Stages: connect, tls, rcpt, body, dot (nothing is stored yet), stored
(the 250 is not sent yet).
"""
import hashlib
import json
import os
import signal
import socket
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, f"{HERE}/../../scripts"]
from peers import NextHop  # noqa: E402


class Victim:
    ENOUGH = 60000  # bytes of a body that count as being in it

    def __init__(self, netns, labdir, addr, control, store):
        self.nexthop, self.dir = netns, labdir  # what NextHop wants of a lab
        self.store = os.open(store, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.armed, self.told = None, None
        self.lock = threading.Lock()
        self.go = threading.Event()
        self.listener = socket.socket(socket.AF_UNIX)
        self.hop = NextHop(self, addr=addr, on={
            "connect": lambda *_: self.at("connect"),
            "tls": lambda *_: self.at("tls"),
            "rcpt": lambda *_: self.at("rcpt", hold=False),
            "body": lambda _c, data: self.at("body") if len(data) > self.ENOUGH else None,
            "dot": self.dot,
        })
        self.listener.bind(control)
        self.listener.listen(1)

    def at(self, stage, hold=True):
        with self.lock:
            if self.armed != stage:
                return
            self.armed = None
            self.told.sendall(f"reached {stage}\n".encode())
        if hold:
            self.go.wait()

    def dot(self, _conn, msg):
        self.at("dot")
        body = msg.split()
        row = {"mail": msg.sender, "sha": hashlib.sha256(body).hexdigest(), "len": len(body),
               "helo": next((ln for ln in reversed(_conn.lines()) if ln[:4] == "EHLO"), ""),
               "received": msg.received.decode("utf-8", "replace")}
        os.write(self.store, json.dumps(row).encode() + b"\n")
        self.at("stored")

    def run(self):
        while True:
            s, _ = self.listener.accept()
            for line in s.makefile("r"):
                word, _, stage = line.strip().partition(" ")
                with self.lock:
                    if word == "arm":
                        self.go.clear()
                        self.armed, self.told = stage, s
                    else:
                        self.armed = None
                        self.go.set()


signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
Victim(*sys.argv[1:6]).run()
