# SPDX-License-Identifier: BSD-3-Clause
"""Two thousand messages: each arrives exactly once and byte for byte."""

import collections
import hashlib
import json
import os
import random
import re
import threading
import time

import mails
from harness import case, wait_for
from lablib import GW4, GW6
from peers import stuff

MIB = mails.MIB
BIG = [10 * MIB, 10 * MIB - 1, 5 * MIB, 3 * MIB, *[MIB + 7919 * k for k in range(12)],
       *[200000 + 37 * k for k in range(40)]]
SENDERS = 6


def bdat(data, r):
    """The content as BDAT commands: chunks of odd sizes, the last one may be empty."""
    out, at = [], 0
    while r.random() < 0.7 and at < len(data):
        n = min(len(data) - at, r.choice([1, 2, 3, 1000, 4096, 65536, len(data) // 2]))
        out.append(b"BDAT %d\r\n" % n + data[at:at + n])
        at += n
    out.append(b"BDAT %d LAST\r\n" % (len(data) - at) + data[at:])
    return out


def send_one(c, k, data, manner, domain, r):
    """One message in one of four manners; raises unless it was taken."""
    head = b"MAIL FROM:<s%d@example.com> BODY=8BITMIME\r\nRCPT TO:<m%d@%s>\r\n" % (k, k, domain)
    if manner == "data":
        c.envelope(f"s{k}@example.com", f"m{k}@{domain.decode()}")
        c.cmd("DATA", 354)
        c.send(stuff(data))
        want = [250]
    elif manner == "data_pipelined":
        c.send(head + b"DATA\r\n")
        for code in (250, 250, 354):
            expect(c, code, k)
        c.send(stuff(data))
        want = [250]
    elif manner == "bdat":
        c.envelope(f"s{k}@example.com", f"m{k}@{domain.decode()}")
        for chunk in bdat(data, r):
            c.send(chunk)
            expect(c, 250, k)
        return
    else:
        chunks = bdat(data, r)
        c.send(head + b"".join(chunks))
        want = [250, 250] + [250] * len(chunks)
    for code in want:
        expect(c, code, k)


def expect(c, code, k):
    r = c.reply()
    if r.code != code:
        raise AssertionError(f"message {k}: wanted {code}, got {r}")


class Load:
    """Parallel senders over all client legs and manners."""

    def __init__(self, t, domain, todo):
        self.t, self.domain = t, domain
        self.todo = collections.deque(todo)
        self.errors, self.sent, self.bytes = [], 0, 0
        self.lock = threading.Lock()

    def run(self, patience):
        threads = [threading.Thread(target=self._sender, args=(n,), daemon=True)
                   for n in range(SENDERS)]
        for th in threads:
            th.start()
        end = time.monotonic() + patience
        for th in threads:
            th.join(max(0.1, end - time.monotonic()))
        assert not self.errors, self.errors[:3]
        assert not any(th.is_alive() for th in threads), f"only {self.sent} sent in time"

    def _sender(self, n):
        r = random.Random(n)
        legs = [(GW4, 25, False), (GW4, 25, True), (GW6, 25, True), (GW4, 465, True),
                (GW6, 465, True)]
        manners = ("data", "data_pipelined", "bdat", "bdat_pipelined")
        try:
            while self.todo and not self.errors:
                addr, port, tls = legs[n % len(legs)]
                n += 1
                with self.t.client(addr, port, implicit=port == 465, timeout=60) as c:
                    c.begin(tls and port == 25)
                    for _ in range(r.randrange(1, 25)):
                        try:
                            k, data = self.todo.popleft()
                        except IndexError:
                            break
                        manner = "bdat" if mails.no_eol(k) else r.choice(manners)
                        send_one(c, k, data, manner, self.domain, r)
                        with self.lock:
                            self.sent += 1
                            self.bytes += len(data)
                    c.quit()
        except Exception as e:  # the case fails with it
            self.errors.append(f"sender {n}: {type(e).__name__}: {e}")


def prepared(count, big, header):
    """[(k, content)], those for BDAT alone without their last CRLF."""
    out = []
    for k, data in mails.make("2026", count, big, header):
        if mails.no_eol(k) and data.endswith(b"\r\n") and not header:
            data = data[:-2]
        out.append((k, data))
    return out


def report(t, load, seconds):
    t.note(f"{load.sent} messages, {load.bytes / MIB:.0f} MiB in {seconds:.1f} s: "
           f"{load.sent / seconds:.0f} messages/s, {load.bytes / MIB / seconds:.1f} MiB/s")


def bulk_to_sink(t, conf, count, big, patience):
    out = f"{t.lab.dir}/sink-{time.monotonic_ns()}.jsonl"
    here = os.path.dirname(os.path.abspath(__file__))
    t.procs.append(t.lab.spawn(t.lab.nexthop, [
        "/usr/bin/python3", "-B", f"{here}/sink.py", "192.0.2.23", 25,
        f"{t.lab.dir}/certs/mail.pem", out], "sink.out"))
    assert wait_for(lambda: os.path.exists(out), 10)
    t.gateway(conf)
    todo = prepared(count, big, False)
    want = {f"RCPT TO:<m{k}@example.org>": (hashlib.sha256(stuff(d)).hexdigest(), len(stuff(d)))
            for k, d in todo}
    load = Load(t, b"example.org", todo)
    began = time.monotonic()
    load.run(patience)
    report(t, load, time.monotonic() - began)
    with open(out, encoding="utf-8") as f:
        rows = [json.loads(ln) for ln in f]
    seen = collections.Counter(r["rcpts"][0] for r in rows)
    assert len(rows) == count and set(seen) == set(want), (len(rows), len(seen), count)
    assert all(len(r["rcpts"]) == 1 for r in rows)
    # One Received added, and it is ours; behind it what the client meant, and no more.
    assert all(r["received"] for r in rows), [r for r in rows if not r["received"]][:3]
    wrong = [(r["rcpts"][0], r["len"], want[r["rcpts"][0]][1]) for r in rows
             if (r["sha"], r["len"]) != want[r["rcpts"][0]]]
    assert not wrong, f"{len(wrong)} differ (recipient, length, wanted): {wrong[:5]}"
    assert t.counter("transactions_sent") == count
    t.counters_reach(live_sessions=0)


@case(timeout=240)
def bulk_2000_messages_to_a_raw_sink(t):
    conf = t.conf([("192.0.2.23", 25)])
    bulk_to_sink(t, conf, 2000, BIG, 200)


@case(timeout=120, ports=("af_packet",))
def bulk_300_messages_to_a_raw_sink_by_two_workers(t):
    conf = t.conf([("192.0.2.23", 25)], workers=2)
    bulk_to_sink(t, conf, 300, [5 * MIB, MIB, MIB], 100)
    assert t.counter("steer_wrong_owner") == 0


@case(timeout=300)
def bulk_2000_messages_to_postfix(t):
    """Postfix stores them; its own trace fields and LF for CRLF are the only changes."""
    count = 2000
    box = t.lab.postfix
    for path in box.stored():
        os.unlink(path)
    t.gateway()
    todo = prepared(count, BIG[2:30], True)
    want = {k: hashlib.sha256(d.replace(b"\r\n", b"\n")).hexdigest() for k, d in todo}
    load = Load(t, b"example.org", todo)
    began = time.monotonic()
    load.run(200)
    report(t, load, time.monotonic() - began)
    assert wait_for(lambda: len(box.stored()) >= count, 60, 0.5), len(box.stored())
    time.sleep(0.5)
    seen, wrong = collections.Counter(), []
    for path in box.stored():
        with open(path, "rb") as f:
            data = f.read()
        at = data.index(b"Subject: bulk\n")
        k = int(re.match(rb"Subject: bulk\nX-Bulk: (\d+)\n", data[at:]).group(1))
        seen[k] += 1
        fields = re.findall(rb"^([A-Za-z-]+):", data[:at], re.M)
        if sorted(fields) != [b"Delivered-To", b"Received", b"Received", b"Return-Path",
                              b"X-Original-To"] or \
                hashlib.sha256(data[at:]).hexdigest() != want[k]:
            wrong.append((k, fields, len(data)))
    assert not wrong, f"{len(wrong)} differ: {wrong[:5]}"
    assert len(seen) == count and set(seen.values()) == {1}, \
        ([k for k in want if k not in seen][:5], [k for k in seen if seen[k] > 1][:5])
    for path in box.stored():
        os.unlink(path)
