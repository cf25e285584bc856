# SPDX-License-Identifier: BSD-3-Clause
"""A thousand sessions whose one side moves a byte a second: memory stays where it is, and
others notice nothing."""

import contextlib
import json
import os
import statistics
import time

from harness import case, wait_for
from lablib import GW4
from peers import Background, Client, client_context

BODY = b"Subject: ordinary\r\n\r\n" + b"0123456789abcde\r\n" * 200
SLOW_HOP, FIRST_PORT = "192.0.2.22", 3001
MIB = 1 << 20


class Crowd:
    """slow.py, from here."""

    def __init__(self, t, *args):
        self.path = f"{t.lab.dir}/slow-{args[0]}.jsonl"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        here = os.path.dirname(os.path.abspath(__file__))
        ns = t.lab.client if args[0] == "clients" else t.lab.nexthop
        # More than a thousand descriptors in one process.
        self.proc = t.lab.spawn(ns, ["prlimit", "--nofile=8192", "/usr/bin/python3", "-B",
                                     f"{here}/slow.py", args[0], ns, *args[1:], self.path],
                                f"slow-{args[0]}.out")
        t.procs.append(self.proc)

    def last(self):
        with contextlib.suppress(FileNotFoundError, IndexError, ValueError):
            with open(self.path, encoding="ascii") as f:
                return json.loads(f.read().splitlines()[-1])
        return {"there": 0, "cut": 0, "moved": 0}


class Ordinary(Background):
    """A mail every 200 ms, as any client would send it."""

    def __init__(self, t):
        super().__init__(1)
        self.t, self.took, self.errors = t, [], []
        self.ctx = client_context(t.ca)

    def one(self):
        began = time.monotonic()
        with Client(self.t.lab.client, GW4, timeout=30) as c:
            c.ehlo()
            c.starttls(self.ctx)
            c.ehlo()
            r = c.mail("o@example.com", ["o@example.org"], BODY)
            assert r.code == 250, r
            c.quit()
        self.took.append(time.monotonic() - began)

    def _run(self, _k):
        while not self.over.wait(0.2):
            try:
                self.one()
            except Exception as e:  # the case fails with it
                self.errors.append(f"{type(e).__name__}: {e}")

    def __str__(self):
        ms = sorted(1000 * x for x in self.took)
        return (f"{len(ms)} mails, {statistics.median(ms):.0f} ms p50, "
                f"{ms[len(ms) * 99 // 100]:.0f} ms p99, {ms[-1]:.0f} ms at most")


def memory(t):
    """What the gateway holds, each in its unit."""
    with open(f"/proc/{t.gw.proc.pid}/status", encoding="ascii") as f:
        rss = next(int(ln.split()[1]) for ln in f if ln.startswith("VmRSS"))
    s, w = json.loads(t.gw.ctl("--json", "status")), t.stats()["workers"]
    return {"rss": rss * 1024, "tls": s["memory"]["tls_live_bytes"], "sessions": s["sessions"],
            "mbufs": sum(x["mbufs_in_use"] for x in w)}


def shown(m):
    return (f"RSS {m['rss'] / MIB:.0f} MiB, OpenSSL {m['tls'] / MIB:.1f} MiB, "
            f"{m['mbufs']} mbufs, {m['sessions']} sessions")


def config(t, hop, count):
    conf = t.conf([(hop.addr, hop.port)])
    inside = conf["next_hops"]["inside"]
    for k in range(count):
        conf["next_hops"][f"d{k}"] = {**inside, "hosts": [
            {"name": "mail.example.org", "address": SLOW_HOP, "port": FIRST_PORT + k}]}
        conf["routes"].append({"domain": f"d{k}.example", "next_hop": f"d{k}"})
    # Sized for them: what all may have in buffers is half of what the pool holds (docs/tcp.md).
    conf["dataplane"].update(mbufs=32768, tcp={"rcv_buf": 16384, "snd_buf": 16384})
    conf.setdefault("limits", {}).update(sessions_per_address=0, handshakes_per_address=0)
    # Here nobody is to be cut off for being slow.
    return t.times(conf, client_command=3600, client_data=3600, block=3600)


def slow_peers(t, count, seconds):
    hop = t.hop()
    hops = Crowd(t, "hops", t.lab.dir, SLOW_HOP, FIRST_PORT, count)
    assert wait_for(lambda: os.path.exists(hops.path), 60, 0.2), "the next hops did not start"
    t.gateway(config(t, hop, count))
    with Ordinary(t) as alone:
        time.sleep(3)
    assert not alone.errors, alone.errors[:3]
    before = memory(t)
    t.note(f"before: {shown(before)}; ordinary: {alone}")
    with Ordinary(t) as others:
        clients = Crowd(t, "clients", t.ca, GW4, count, count)
        assert wait_for(lambda: clients.last()["there"] + clients.last()["cut"] >= 2 * count and
                        hops.last()["there"] >= count, 150, 0.5), (clients.last(), hops.last())
        time.sleep(seconds / 3)
        early, bytes_ = memory(t), clients.last()["moved"]
        t.note(f"after {seconds / 3:.0f} s: {shown(early)}")
        time.sleep(seconds * 2 / 3)
        late = memory(t)
        t.note(f"after {seconds} s: {shown(late)}; {clients.last()}, {hops.last()}")
    t.note(f"ordinary meanwhile: {others}")
    assert not others.errors, f"{len(others.errors)} of {len(others.took)}: {others.errors[:3]}"
    assert clients.last()["cut"] == 0 and hops.last()["cut"] == 0, (clients.last(), hops.last())
    assert clients.last()["moved"] > bytes_, "nobody moved a byte"
    bounds(t, before, early, late, count)
    for crowd in (clients, hops):
        t.lab.end(crowd.proc)
    t.counters_reach(60, live_sessions=0)
    again(t, before)


def bounds(t, before, early, late, count):
    """What a session may hold is known beforehand, and it is reached soon, once."""
    tcp = t.gw.conf["dataplane"]["tcp"]
    each = tcp["rcv_buf"] + tcp["snd_buf"]
    used = (late["mbufs"] - before["mbufs"]) * 2048
    t.note(f"in mbufs {used / MIB:.0f} MiB of {2 * count * each / MIB:.0f} MiB that "
           f"{2 * count} sessions may have in buffers")
    assert late["sessions"] >= 2 * count
    assert late["tls"] - before["tls"] < 2 * count * 64 * 1024, "OpenSSL's share is not bounded"
    assert late["tls"] <= early["tls"] + MIB, "OpenSSL's share goes on growing"
    assert late["rss"] <= early["rss"] + 16 * MIB, "RSS goes on growing"
    assert late["mbufs"] <= early["mbufs"] * 1.1 + 2000, "mbufs go on growing"


def again(t, before):
    """All of it comes back."""
    assert wait_for(lambda: memory(t)["mbufs"] <= before["mbufs"] + 1000, 30, 0.5), memory(t)
    after = memory(t)
    t.note(f"afterwards: {shown(after)}")
    assert after["tls"] <= before["tls"] + 4 * MIB, "OpenSSL's memory did not come back"


@case(timeout=300)
def a_thousand_slow_peers_harm_nobody(t):
    slow_peers(t, 500, 30)


@case(timeout=900, long=True)
def a_thousand_slow_peers_harm_nobody_for_long(t):
    slow_peers(t, 500, 420)
