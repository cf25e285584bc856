# SPDX-License-Identifier: BSD-3-Clause
"""The servers that are compared: how each is started, and where it is spoken to.

A server has a name, a `shape` (what it does with TLS on each leg, for a figure is worth
nothing without it), `ways` (what a client finds at which port), and a group whose CPU
time and memory are its account. Configurations are in conf/.
"""

import json
import os
import re
import shutil
import signal
import socket
import time

from lablib import GW4, HOP4, LabError, netns, run, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGES = {"nginx": ["nginx-light", "libnginx-mod-mail"], "haproxy": ["haproxy"],
            "postfix": ["postfix"]}


class Way:
    """How a client reaches a server: address, port, TLS (starttls, implicit), domain of the
    recipients."""

    def __init__(self, addr, port, tls="starttls", domain="example.org"):
        self.addr, self.port, self.tls, self.domain = addr, port, tls, domain


def fill(name, path, **subst):
    """A configuration of conf/ with its @NAME@ filled in."""
    with open(f"{HERE}/conf/{name}", encoding="utf-8") as f:
        text = f.read()
    for key, value in subst.items():
        text = text.replace(f"@{key.upper()}@", str(value))
    left = re.findall(r"@[A-Z]+@", text.replace("@NAME@", ""))
    if left:
        raise LabError(f"{HERE}/conf/{name}: nothing is known of {', '.join(left)}")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def merged(doc, patch):
    """A JSON merge patch (RFC 7396): what it says replaces, null takes away."""
    if not isinstance(doc, dict) or not isinstance(patch, dict):
        return patch
    out = {**doc}
    for key, value in patch.items():
        out[key] = merged(doc.get(key, {}) if isinstance(value, dict) else None, value)
    return {k: v for k, v in out.items() if v is not None}


class Server:
    """One row of the comparison. Several rows may be one process (`of`): Postern with and
    without reuse of connections, Postfix with and without its queue."""

    name = title = shape = ""
    kernel = True
    workloads = ("handshake", "message", "bulk", "idle", "latency")

    def __init__(self, lab):
        self.lab, self.proc = lab, None
        self.group = lab.group(self.name)
        self.dir = f"{lab.dir}/peers/{self.name}"
        self.ways = {}

    def prepare(self):
        os.makedirs(self.dir, exist_ok=True)
        self.certs = f"{self.lab.dir}/certs"

    def spawn(self, ns, cmd):
        with self.lab.placing(self.group, self.lab.server_core):
            self.proc = self.lab.spawn(ns, cmd, f"peer-{self.name}.out")

    def alive(self):
        """Raises with the place to look at when it has ended."""
        if self.proc and self.proc.poll() is not None:
            raise LabError(f"{self.title} ended with {self.proc.returncode}; see {self.dir}, "
                           f"{self.lab.dir}/peer-{self.name}.out")

    def settled(self):
        """True when nothing of the load is under way inside any more."""
        return True

    def pause(self):
        """Out of the way while another one is measured."""

    def resume(self):
        """Back from pause()."""

    def idle_sessions(self, wanted):
        """How many it can hold."""
        return wanted

    def live_bytes(self):
        """Bytes it says it holds for its sessions, None where it does not tell."""
        return None

    def own_time(self):
        """Microseconds by its own account: `busy` with work, with `empty` polls, CPU time of
        going to sleep, `sleep_cpu`; and the CPU time of its `worker` threads by the system's.
        None where it keeps none."""
        return None


class Nginx(Server):
    name, title = "nginx", "nginx"
    shape = "STARTTLS with clients; next hop in clear; asks an HTTP service where mail goes"

    def start(self):
        self.prepare()
        ns, addr = self.lab.add_host(30)
        subst = {"dir": self.dir, "certs": self.certs, "hop": HOP4}
        fill("nginx.conf", f"{self.dir}/nginx.conf", **subst)
        fill("nginx-auth.conf", f"{self.dir}/nginx-auth.conf", **subst)
        with self.lab.placing(self.lab.group("load"), self.lab.load_core):
            self.lab.spawn(self.lab.nexthop, ["nginx", "-c", f"{self.dir}/nginx-auth.conf", "-e",
                                              f"{self.dir}/auth-error.log"], "nginx-auth.out")
        self.spawn(ns, ["nginx", "-c", f"{self.dir}/nginx.conf", "-e", f"{self.dir}/error.log"])
        self.ways = {"ecdsa": Way(addr, 25), "rsa": Way(addr, 2526)}

    @staticmethod
    def version():
        return re.search(r"nginx/(\S+)", run("nginx", "-v")).group(1)


class Haproxy(Server):
    name, title = "haproxy", "HAProxy"
    shape = "TLS from the first byte on both legs, passes bytes on; no STARTTLS, no SMTP"

    def start(self):
        self.prepare()
        ns, addr = self.lab.add_host(31)
        fill("haproxy.cfg", f"{self.dir}/haproxy.cfg", dir=self.dir, certs=self.certs, hop=HOP4)
        self.spawn(ns, ["haproxy", "-db", "-f", f"{self.dir}/haproxy.cfg"])
        self.ways = {"ecdsa": Way(addr, 465, "implicit"), "rsa": Way(addr, 2527, "implicit")}

    @staticmethod
    def version():
        return re.search(r"version (\S+)", run("haproxy", "-v")).group(1)


class PostfixQueue(Server):
    name, title = "postfix", "Postfix"
    shape = "STARTTLS on both legs; the message waits in its queue and has been synced to disk"

    def start(self):
        self.prepare()
        ns, addr = self.lab.add_host(32)
        for sub in ("queue", "data"):
            os.makedirs(f"{self.dir}/{sub}", exist_ok=True)
        shutil.chown(f"{self.dir}/data", "postfix")
        for part in ("main.cf", "master.cf"):
            fill(f"postfix-{part}", f"{self.dir}/{part}", dir=self.dir, certs=self.certs,
                 hop=HOP4, addr=addr)
            os.utime(f"{self.dir}/{part}", (1, 1))  # Postfix waits for what changed just now
        self.spawn(ns, ["postfix", "-c", self.dir, "start-fg"])
        if not wait_for(lambda: os.path.exists(f"{self.dir}/queue/pid/master.pid"), 15):
            raise LabError(f"Postfix did not start; see {self.lab.dir}/peer-postfix.out")
        self.ways = {"ecdsa": Way(addr, 25), "rsa": Way(addr, 2526)}
        self.filter_way = Way(addr, 2528)

    def idle_sessions(self, wanted):
        return min(wanted, 100)  # a process each

    def settled(self):
        for part in ("maildrop", "incoming", "active", "deferred"):
            for _, _, files in os.walk(f"{self.dir}/queue/{part}"):
                if files:
                    return False
        return True

    @staticmethod
    def version():
        return run("postconf", "-d", "-h", "mail_version").strip()


class PostfixFilter(Server):
    name, title = "postfix-filter", "Postfix, no queue"
    shape = "STARTTLS with clients; smtpd_proxy_filter hands the message on in clear, no queue"
    workloads = ("message", "bulk", "latency")
    of = "postfix"

    def start(self, owner):
        self.owner, self.group, self.dir = owner, owner.group, owner.dir
        self.ways = {"ecdsa": owner.filter_way}

    def settled(self):
        return self.owner.settled()

    version = staticmethod(PostfixQueue.version)


class Postern(Server):
    name, title = "postern", "Postern, reuse"
    shape = "STARTTLS on both legs, verified; connections to the next hop are kept"
    kernel = False
    stopped = False

    def start(self):
        self.prepare()
        port = self.lab.port_conf()
        path = f"{self.dir}/postern.json"
        fill("postern.json", path, dir=self.dir, certs=self.certs, hop=HOP4,
             core=self.lab.server_core, device=port["device"], iface=port["iface"])
        with open(path, encoding="utf-8") as f:
            conf = merged(json.load(f), self.lab.postern_set)
        with self.lab.placing(self.group, self.lab.server_core):
            self.gw = self.lab.start_gateway(conf)
        self.proc = self.gw.proc
        self.ways = {"ecdsa": Way(GW4, 25), "rsa": Way(GW4, 2526)}
        if not wait_for(lambda: os.path.exists(conf["control"]["socket"]), 10):
            raise LabError(f"the gateway has no control socket; see {self.gw.logs}")
        self.says = self.gw.call("status")["version"]

    def pause(self):
        """Stopped: its polls, seldom as they are when it idles, would be on the same core."""
        if not self.stopped:
            self.signal(signal.SIGSTOP)
        self.stopped = True

    def resume(self):
        if self.stopped:
            self.signal(signal.SIGCONT)
            time.sleep(0.1)  # it catches up with its timers and with what came meanwhile
        self.stopped = False

    def signal(self, sig):
        for pid in self.group.pids():
            os.kill(pid, sig)

    def own_time(self):
        m = self.metrics()
        return {name: m[f"postern_worker_{key}_seconds_total"] * 1e6 for name, key in
                (("busy", "busy"), ("empty", "empty"), ("sleep_cpu", "sleep_cpu"),
                 ("worker", "cpu"))}

    def live_bytes(self):
        """OpenSSL's heap and our records; TCP's are of a fixed size."""
        m = self.metrics()
        return m["postern_tls_heap_bytes"] + \
            m["postern_sessions_live"] * m["postern_session_record_bytes"] + \
            m["postern_tcp_connections"] * self.gw.call("stats")["workers"][0]["tcb_bytes"]

    def metrics(self):
        """Samples of /metrics, added up over their labels."""
        with netns(self.lab.gw):
            s = socket.create_connection(("127.0.0.1", 9464), 5)
        with s:
            s.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            text = s.makefile("r", encoding="utf-8").read()
        sums = {}
        for ln in text.splitlines():
            m = re.match(r"(postern_\w+)(?:\{[^}]*\})? (\S+)", ln)
            if m:
                sums[m.group(1)] = sums.get(m.group(1), 0) + float(m.group(2))
        return sums

    def version(self):
        return self.says


class PosternAnew(Server):
    name, title = "postern-anew", "Postern, no reuse"
    shape = "STARTTLS on both legs, verified; each message has a connection, TLS is resumed"
    kernel = False
    workloads = ("message", "bulk", "latency")
    of = "postern"

    def start(self, owner):
        self.owner, self.group, self.dir = owner, owner.group, owner.dir
        self.ways = {k: Way(w.addr, w.port, w.tls, "example.net") for k, w in owner.ways.items()}

    def pause(self):
        self.owner.pause()

    def resume(self):
        self.owner.resume()

    def own_time(self):
        return self.owner.own_time()

    def version(self):
        return self.owner.version()
