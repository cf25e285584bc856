# SPDX-License-Identifier: BSD-3-Clause
"""What the end-to-end cases stand on.

A case is a function of one argument, a Ctx, in one of the case_*.py files:

    @case(timeout=30)
    def names_what_it_proves(t): ...

`ports` says over which kinds of port it runs; one lab (with its Postfix) is made
for each kind and shared, a gateway is started by each case with its own
configuration. After a case the gateway must end with status 0 on SIGTERM and
have no complaint of a sanitizer in its output.
"""

import contextlib
import copy
import os
import re
import shutil
import signal
import sys
import time
import traceback

import lablib
from lablib import GW4, Lab, wait_for
from peers import Client, NextHop

CASES = []


class Skip(Exception):
    """The case cannot run on this kernel; the text says why."""


def case(timeout=30, ports=("tap",), long=False):
    def add(f):
        for p in ports:
            suffix = f"_over_{p}" if ports != ("tap",) else ""
            CASES.append({"name": f.__name__ + suffix, "func": f, "port": p, "timeout": timeout,
                          "long": long})
        return f
    return add


class TimedOut(Exception):
    pass


class Labs:
    """One lab for each kind of port, made when first asked for."""

    def __init__(self, build, name="pstt"):
        self.build, self.name = build, name
        self.lab = None

    def get(self, port):
        if self.lab and self.lab.port == port:
            return self.lab
        self.down()
        lab = self.lab = Lab(port, self.name, self.build)
        lab.up()
        try:
            lab.postfix = lab.start_postfix()
        except BaseException:
            self.down()
            raise
        return lab

    def down(self):
        if self.lab:
            self.lab.down()
            self.lab = None


class Ctx:
    """One case's view of the lab."""

    def __init__(self, lab):
        self.lab = lab
        self.gw = None
        self.hops = []
        self.procs = []
        self.ca = f"{lab.dir}/certs/lab-ca.pem"

    # -- configuration --

    def conf(self, hops=None, workers=1, **next_hop):
        """The lab's configuration; hops: [(address, port)], next_hop: keys of the next hop."""
        c = copy.deepcopy(self.lab.config(workers))
        nh = c["next_hops"]["inside"]
        if hops:
            nh["hosts"] = [{"name": "mail.example.org", "address": a, "port": p, "priority": 10 + i}
                           for i, (a, p) in enumerate(hops)]
        nh.update(next_hop)
        if nh["tls"] == "none":
            for key in ("level", "match", "ca_file"):
                nh.pop(key, None)
        return c

    def times(self, conf, **seconds):
        conf.setdefault("limits", {}).setdefault("timeouts", {}).update(seconds)
        return conf

    def gateway(self, conf=None, **kw):
        self.gw = self.lab.start_gateway(conf or self.conf(), wait=False, **kw)
        self.lab.wait_gateway(self.gw)
        return self.gw

    def hop(self, **kw):
        h = NextHop(self.lab, **kw)
        self.hops.append(h)
        return h

    def scripted(self, on=None, workers=1, times=None, hop=None, **next_hop):
        """A gateway in front of one scripted next hop."""
        h = self.hop(on=on, **(hop or {}))
        conf = self.conf([(h.addr, h.port)], workers, tls=h.tls, **next_hop)
        self.gateway(self.times(conf, **(times or {})))
        return h

    def client(self, addr=GW4, port=25, **kw):
        return Client(self.lab.client, addr, port, **kw)

    def run(self, *cmd, check=True, timeout=60, ns=None, env=None):
        full = ["env", *(f"{k}={v}" for k, v in (env or {}).items()), *cmd] if env else cmd
        return self.lab.exec(ns or self.lab.client, *full, check=check, timeout=timeout)

    # -- what the gateway says about itself --

    def stats(self):
        return self.gw.call("stats")

    # What the stats answer has for each worker, under names that do not clash with counters.
    GAUGES = {"live_sessions": "sessions", "pooled_connections": "pooled_connections",
              "mbufs_in_use": "mbufs_in_use"}

    def per_worker(self, name):
        """A counter or gauge of each worker."""
        s = self.stats()
        if name in self.GAUGES:
            return [w[self.GAUGES[name]] for w in s["workers"]]
        for group in s["counters"].values():
            if name in group:
                return group[name]["workers"]
        raise KeyError(f"stats has no {name}")

    def counter(self, name):
        return sum(self.per_worker(name))

    def counters_reach(self, timeout=10, **want):
        """Waits until each counter has at least its value (exactly, for 0)."""
        last = {}

        def there():
            last.update({k: self.counter(k) for k in want})
            return all(last[k] >= v if v else last[k] == 0 for k, v in want.items())
        assert wait_for(there, timeout, 0.1), f"wanted {want}, have {last}"

    def note(self, text):
        print(f"    {text}", flush=True)

    # -- the end --

    def finish(self, failed):
        """Stops everything; complains when the gateway did not end as it should."""
        for h in self.hops:
            with contextlib.suppress(Exception):
                h.stop()
        for p in self.procs:
            self.lab.end(p)
        if not self.gw:
            return
        died = self.gw.proc.poll()
        status = self.gw.stop()
        out = self.gw.output()
        if re.search(r"AddressSanitizer|UndefinedBehavior|runtime error:|LeakSanitizer", out):
            raise AssertionError("a sanitizer complained: " + out[:3000])
        if failed:
            return
        # What libraries say at the start is a few lines; a line a packet or a sleep is a fault.
        if out.count("\n") > 60:
            raise AssertionError(f"{out.count(chr(10))} lines on standard error: {out[-300:]}")
        if died not in (None, 0):
            raise AssertionError(f"the gateway died with {died}: {out[-2000:]}")
        if status != 0:
            raise AssertionError(f"the gateway ended with {status}: {out[-2000:]}")

    def save(self, where):
        """Logs of a failed case."""
        os.makedirs(where, exist_ok=True)
        if self.gw:
            for path in (self.gw.path, self.gw.logs, self.gw.conf["log"]["file"]):
                with contextlib.suppress(OSError):
                    shutil.copy(path, where)
        for part in ("postfix", "sender"):
            with contextlib.suppress(OSError):
                shutil.copy(f"{self.lab.dir}/{part}/maillog", f"{where}/{part}.maillog")
        with open(f"{where}/nexthops.txt", "w", encoding="utf-8") as f:
            for h in self.hops:
                for c in h.conns:
                    f.write(f"{h.addr}:{h.port} from {c.peer} tls={c.tls} end={c.end}\n")
                    f.writelines(f"  {t:.3f} {ln}\n" for t, ln in c.commands)
                    f.writelines(f"  message {len(m.wire)} bytes complete={m.complete}\n"
                                 for m in c.messages)


def run_case(c, labs, logs):
    """None, a Skip, or the text of the failure."""
    def alarm(*_):
        raise TimedOut(f"not done in {c['timeout']} s")
    ctx, why = None, None
    signal.signal(signal.SIGALRM, alarm)
    try:
        signal.alarm(60)
        ctx = Ctx(labs.get(c["port"]))
        signal.alarm(c["timeout"])
        c["func"](ctx)
    except Skip as e:
        why = e
    except Exception:
        why = traceback.format_exc()
    finally:
        signal.alarm(0)
    if ctx is None:
        return why
    try:
        ctx.finish(isinstance(why, str))
    except AssertionError as e:
        why = f"{why}\nand {e}" if why else str(e)
    if isinstance(why, str):
        where = f"{logs}/{c['name']}"
        ctx.save(where)
        with open(f"{where}/failure.txt", "w", encoding="utf-8") as f:
            f.write(why)
    return why


def claimed(claims, name):
    """Of several runners with one directory of claims, exactly one runs each case."""
    if claims is None:
        return True
    try:
        os.close(os.open(f"{claims}/{name}", os.O_CREAT | os.O_EXCL))
        return True
    except FileExistsError:
        return False


def main(argv):
    import argparse
    p = argparse.ArgumentParser(description="End-to-end cases. Prints `ok NAME`, "
                                "`skipped NAME: why` or `FAILED NAME: where` a line.")
    p.add_argument("--build", required=True)
    p.add_argument("--logs", default="/tmp/postern-e2e-logs")
    p.add_argument("--only", default=".")
    p.add_argument("--name", default="pstt", help="prefix of the lab's namespaces")
    p.add_argument("--claims", help="directory that runners side by side share")
    p.add_argument("--long", action="store_true")
    p.add_argument("--list", action="store_true")
    a = p.parse_args(argv)
    cases = [c for c in CASES if re.search(a.only, "e2e/" + c["name"]) and (a.long or not c["long"])]
    order = {p: i for i, p in enumerate(lablib.PORTS)}
    cases.sort(key=lambda c: order[c["port"]])
    if a.list:
        print("\n".join(c["name"] for c in cases))
        return 0
    for sig in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, lambda *_: sys.exit(1))
    labs = Labs(a.build, a.name)
    failed = 0
    try:
        for c in cases:
            if not claimed(a.claims, c["name"]):
                continue
            begin = time.monotonic()
            why = run_case(c, labs, a.logs)
            took = f"{time.monotonic() - begin:.1f} s"
            if why is None:
                print(f"ok e2e/{c['name']} ({took})", flush=True)
            elif isinstance(why, Skip):
                print(f"skipped e2e/{c['name']}: {why}", flush=True)
            else:
                failed += 1
                last = why.strip().splitlines()[-1]
                print(f"FAILED e2e/{c['name']} ({took}): {last}: {a.logs}/{c['name']}", flush=True)
    finally:
        labs.down()
    return 1 if failed else 0
