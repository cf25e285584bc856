# SPDX-License-Identifier: BSD-3-Clause
"""What is measured of each server, and how a run is judged.

Every figure is per unit of work (a handshake, a message, a megabyte), and CPU time is the
one to compare: it hardly depends on how busy the load kept the server. It is that of all
the server's processes, by their control group.

The load is `postern-bench load` over kernel sockets, the next hop `postern-bench sink`;
both on the other core, the same for every server.
"""

import json
import statistics
import subprocess
import time

from lab import Cores
from lablib import LabError, wait_for


class Workload:
    def __init__(self, name, kind, title, unit, way="ecdsa", concurrency=16, **load):
        self.name, self.kind, self.title, self.unit = name, kind, title, unit
        self.way, self.concurrency, self.load = way, concurrency, load


WORKLOADS = [
    Workload("handshake-ecdsa", "handshake", "Full handshake, TLS 1.3, ECDSA P-256", "handshake",
             messages=0),
    Workload("handshake-rsa", "handshake", "Full handshake, TLS 1.3, RSA-2048", "handshake",
             way="rsa", messages=0),
    Workload("message-1", "message", "4 KiB message, 1 per connection", "message", messages=1,
             size=4096),
    Workload("message-10", "message", "4 KiB message, 10 per connection", "message", messages=10,
             size=4096),
    Workload("bulk", "bulk", "10 MiB messages", "MB", concurrency=4, messages=1, size=10 << 20),
]
IDLE = Workload("idle", "idle", "Idle session after STARTTLS and EHLO", "session", messages=0)
LATENCY = Workload("latency", "latency", "Sessions of one 4 KiB message, at half of the capacity",
                   "session", messages=1, size=4096, concurrency=2000)

# A second in which somebody else had more than so much of a core is no measurement.
FOREIGN_MAX, STEAL_MAX = 0.05, 0.02


class Load:
    """Runs of the generator."""

    def __init__(self, lab, program):
        self.lab, self.program = lab, program
        self.group = lab.group("load")

    def _start(self, way, concurrency, opts):
        self.out = f"{self.lab.dir}/load.json"
        cmd = [self.program, "load", "--to", f"{way.addr}:{way.port}", "--tls", way.tls,
               "--recipient", f"bench@{way.domain}", "--json", self.out]
        for k, v in {"concurrency": concurrency, **opts}.items():
            cmd += [f"--{k}"] if v is True else [f"--{k}", str(v)]
        with self.lab.placing(self.group, self.lab.load_core):
            prefix = self.lab.prefix
        return subprocess.Popen([*prefix, "ip", "netns", "exec", self.lab.client, *cmd],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    def _end(self, p, timeout):
        try:
            _, err = p.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            p.kill()
            p.wait(5)
            raise LabError(f"the load did not end within {timeout} s")
        if p.returncode != 0:
            raise LabError(f"the load ended with {p.returncode}: {err.strip()}")
        with open(self.out, encoding="utf-8") as f:
            return json.load(f)

    def run(self, way, concurrency, seconds=None, **opts):
        if seconds:
            opts["seconds"] = seconds
        return self._end(self._start(way, concurrency, opts), 120 + (seconds or 60))

    def hold(self, way, n, during):
        """Opens n sessions, calls during(), closes them."""
        p = self._start(way, n, {"hold": True, "sessions": n, "messages": 0})
        line = p.stdout.readline()
        held = json.loads(line)["held"] if line else 0
        result = during(held) if held else None
        self._end(p, 120)
        if held < n * 0.99:
            raise LabError(f"only {held} of {n} sessions could be opened")
        return result


class Account:
    """Everything that is read before and after a run."""

    def __init__(self, server, load):
        self.server, self.load = server, load
        self.time = time.monotonic()
        self.cores = Cores()
        self.cpu, self.load_cpu = server.group.cpu_us(), load.group.cpu_us()
        self.own = server.own_time()

    def since(self, b, core):
        """What it came to since b: microseconds, and shares of one core."""
        took = (self.time - b.time) * 1e6
        cpu, load_cpu = self.cpu - b.cpu, self.load_cpu - b.load_cpu
        all_busy, all_steal = self.cores.since(b.cores)
        core_busy, _ = self.cores.since(b.cores, core)
        d = {"cpu": cpu, "core": core_busy, "server_share": cpu / took,
             "load_share": load_cpu / took, "steal_share": all_steal / took,
             # /proc/stat counts ticks: over a short run the difference may come out below 0.
             "foreign_share": max(0, (all_busy - cpu - load_cpu) / took)}
        if self.own:
            d.update({k: self.own[k] - b.own[k] for k in self.own})
        return d


def units_of(w, result):
    c = result["results"][0]["counts"]
    if w.kind == "handshake":
        return c["full"] + c["resumed"]
    return c["bytes"] / 1e6 if w.kind == "bulk" else c["messages"]


RATES = {"handshake": "handshakes_per_s", "message": "messages_per_s", "bulk": "mb_per_s",
         "latency": "sessions_per_s"}


def one_run(lab, load, server, w, seconds, rate=None):
    """One repetition of a workload: a row for `runs` of the result."""
    opts = dict(w.load)
    if rate:
        opts["rate"] = rate
    server.resume()
    before = Account(server, load)
    result = load.run(server.ways[w.way], w.concurrency, seconds, **opts)
    if not wait_for(server.settled, 60, 0.02):
        raise LabError(f"{server.title} still has messages of the load after a minute")
    after = Account(server, load)
    server.alive()
    units, d = units_of(w, result), after.since(before, lab.server_core)
    r = result["results"][0]
    if not units:
        raise LabError(f"{server.title}, {w.title}: nothing was done; {r.get('last_failure')}")
    metrics = {"cpu_us": d["cpu"] / units, "core_us": d["core"] / units,
               "rate_per_s": r["metrics"][RATES[w.kind]]["median"], "failures": r["counts"]["failed"],
               **{k: round(d[k], 4) for k in ("server_share", "load_share")}}
    if "busy" in d:
        own = d["busy"] + d["empty"] + d["sleep_cpu"]
        metrics.update(busy_us=d["busy"] / units, empty_us=d["empty"] / units,
                       sleep_us=d["sleep_cpu"] / units, worker_us=d["worker"] / units,
                       busy_ratio=d["busy"] / d["cpu"],
                       agreement=own / d["cpu"])
    why = [f"{text} took {d[key]:.0%} of a core" for key, text, most in
           (("foreign_share", "other programs", FOREIGN_MAX),
            ("steal_share", "the host", STEAL_MAX)) if d[key] > most]
    return {"metrics": metrics, "units": units, "disturbed": bool(why), "why": "; ".join(why),
            "foreign_share": round(d["foreign_share"], 4), "counted": True,
            "latency": r["latency"], "offered_per_s": rate}


def idle_run(load, server, n):
    """Bytes that a session costs which does nothing."""
    server.resume()
    way = server.ways[IDLE.way]
    load.run(way, 8, sessions=min(100, n), messages=0)
    time.sleep(0.5)
    before, live = server.group.memory(), server.live_bytes()

    def look(held):
        time.sleep(2)  # what was a buffer of the handshake is given back
        after, live2 = server.group.memory(), server.live_bytes()
        m = {"rss_bytes": (after[0] - before[0]) / held}
        if after[1] is not None:
            m["kernel_bytes"] = (after[1] - before[1]) / held
        m["total_bytes"] = sum(m.values())
        if live is not None:
            m["live_bytes"] = (live2 - live) / held
        return m
    m = load.hold(way, n, look)
    return {"metrics": m, "units": n, "disturbed": False, "why": "", "counted": True}


# ---- from runs to a result ----

def summary(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def add_up(runs, server, w):
    """One entry of `results`, as bench/harness/result.h has them, with group and server."""
    counted = [r for r in runs if r["counted"]]
    metrics = {k: summary([r["metrics"][k] for r in counted]) for k in counted[0]["metrics"]}
    first = next(iter(metrics.values()))
    disturbed = sum(r["disturbed"] for r in counted)
    out = {"case": f"{w.name}/{server.name}", "group": w.name, "server": server.name,
           "title": w.title, "unit": w.unit, "units": statistics.median(
               r["units"] for r in counted),
           "metrics": metrics,
           "runs": [{k: v for k, v in r.items() if k not in ("latency", "offered_per_s")}
                    for r in runs],
           "noise": {"spread": (first["max"] - first["min"]) / first["median"]
                     if first["median"] else 0,
                     "disturbed": disturbed, "repeated": len(runs) - len(counted),
                     "quiet": not disturbed}}
    if w.kind == "latency":
        # Of several repetitions the one in the middle: percentiles cannot be averaged.
        mid = sorted(counted, key=lambda r: r["latency"]["session"]["p99_us"])[len(counted) // 2]
        out["latency"], out["offered_per_s"] = mid["latency"], mid["offered_per_s"]
        for name in ("session", "message"):
            for p in ("p50_us", "p99_us"):
                out["metrics"][f"{name}_{p}"] = summary([r["latency"][name][p] for r in counted])
    return out
