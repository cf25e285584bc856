# SPDX-License-Identifier: BSD-3-Clause
"""The lab: a gateway, a client host and a next-hop host on one Ethernet.

      NAME-client             NAME-gw                     NAME-nexthop
      eth0 --------- c0 | br0 | n0 ---------------------- eth0
      .10                 |                               .20 ... .29
                          lan0   the gateway's port, .1

Three network namespaces; a bridge in the middle one carries one subnet,
192.0.2.0/24 and 2001:db8::/64. The gateway process runs in the middle
namespace, for it creates its TAP there itself: a TAP that is moved to another
namespace afterwards no longer answers the driver's ioctls.

      tap        lan0 is the kernel's side of the gateway's TAP
      af_packet  lan0 and lan1 are a veth pair; the gateway holds lan1
      af_xdp     as af_packet

Life cycle: Lab(...).up(), then start_postfix(), start_gateway(), ... and at the
end down(), which may be called at any point and any number of times. Everything
the lab makes is in one directory, in those namespaces, or is a process whose
pid is in the directory's pids file, with its start time, so that down() also
works from another process (scripts/lab down) and never hits a stranger.

A lab that its owner left behind (killed with -9) is removed by the next up().
"""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
GW4, CLIENT4, HOP4 = "192.0.2.1", "192.0.2.10", "192.0.2.20"
GW6, CLIENT6, HOP6 = "2001:db8::1", "2001:db8::10", "2001:db8::20"
PORTS = ("tap", "af_packet", "af_xdp")
RUN = "/run/postern-lab"
# Domains that Postfix also takes, one for each way to reach it: tls, address, port.
HOPS = {
    "starttls4.example": ("starttls", HOP4, 25), "starttls6.example": ("starttls", HOP6, 25),
    "implicit4.example": ("implicit", HOP4, 465), "implicit6.example": ("implicit", HOP6, 465),
    "plain4.example": ("none", HOP4, 2525), "plain6.example": ("none", HOP6, 2525),
}


class LabError(Exception):
    """Something of the lab did not work; the text says what and where to look."""


def run(*cmd, check=True, timeout=60, **kw):
    """Runs a command to its end; its output is in the exception if it fails."""
    p = subprocess.run([str(c) for c in cmd], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, timeout=timeout, **kw)
    if check and p.returncode != 0:
        raise LabError(f"{' '.join(map(str, cmd))}: exit {p.returncode}\n{p.stdout.strip()}")
    return p.stdout


# ---- namespaces ----

_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def netns(name):
    """The calling thread is in the namespace; sockets made inside stay there."""
    with open("/proc/thread-self/ns/net", encoding="ascii") as home, \
            open(f"/run/netns/{name}", encoding="ascii") as there:
        if _libc.setns(there.fileno(), 0x40000000):
            raise OSError(ctypes.get_errno(), f"setns {name}")
        try:
            yield
        finally:
            _libc.setns(home.fileno(), 0x40000000)


def netns_exists(name):
    return os.path.exists(f"/run/netns/{name}")


def netns_delete(name):
    """Ends what still runs in the namespace, by pid, then removes it."""
    if not netns_exists(name):
        return
    for sig in (signal.SIGTERM, signal.SIGKILL):
        pids = [int(p) for p in run("ip", "netns", "pids", name, check=False).split()
                if p.isdigit()]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sig)
        wait_for(lambda: not run("ip", "netns", "pids", name, check=False).strip(), 3)
    run("ip", "netns", "del", name, check=False)


def wait_for(cond, timeout, step=0.05):
    """True as soon as cond() holds, False when it does not within the time."""
    end = time.monotonic() + timeout
    while not cond():
        if time.monotonic() > end:
            return False
        time.sleep(step)
    return True


# ---- processes, known by pid and start time ----

def start_time(pid):
    """The kernel's start time of a process; None when it is gone or a zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            fields = f.read().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else fields[19]


def end_process(pid, born, grace):
    """SIGTERM, then after the grace SIGKILL, if pid is still the process born then."""
    for sig, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, 5)):
        if start_time(pid) != born or born is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, sig)
        wait_for(lambda: _reap(pid) or start_time(pid) != born, patience)


def _reap(pid):
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return False


# ---- certificates ----

def make_ca(d, name="lab"):
    key, crt = f"{d}/{name}-ca.key", f"{d}/{name}-ca.pem"
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
        "-nodes", "-days", "30", "-subj", f"/O=Postern lab/CN={name} CA", "-keyout", key,
        "-out", crt, "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    return crt


def make_cert(d, name, dns, kind="ecdsa", ca="lab", days=30):
    """NAME.pem holds key, certificate and CA, in the order Postfix's chain files want."""
    new = ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"] if kind == "ecdsa" else ["rsa:2048"]
    base = f"{d}/{name}"
    run("openssl", "req", "-newkey", *new, "-nodes", "-subj", f"/CN={dns[0]}", "-keyout",
        f"{base}.key", "-out", f"{base}.csr", "-addext",
        "subjectAltName=" + ",".join("DNS:" + n for n in dns))
    run("openssl", "x509", "-req", "-in", f"{base}.csr", "-CA", f"{d}/{ca}-ca.pem", "-CAkey",
        f"{d}/{ca}-ca.key", "-CAcreateserial", "-days", days, "-copy_extensions", "copy",
        "-out", f"{base}.crt")
    # It holds the key: for root alone.
    with open(os.open(f"{base}.pem", os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w",
              encoding="ascii") as out:
        for part in (f"{base}.key", f"{base}.crt", f"{d}/{ca}-ca.pem"):
            with open(part, encoding="ascii") as f:
                out.write(f.read())
    os.unlink(f"{base}.csr")
    return f"{base}.pem"


# ---- Postfix ----

MASTER_COMMON = """\
pickup    unix  n - n 60 1 pickup
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
verify    unix  - - n - 1 verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n - - proxymap
smtp      unix  - - n - - smtp
relay     unix  - - n - - smtp
error     unix  - - n - - error
retry     unix  - - n - - error
discard   unix  - - n - - discard
virtual   unix  - n n - - virtual
anvil     unix  - - n - 1 anvil
scache    unix  - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
"""

MAIN_COMMON = """\
compatibility_level = 3.6
mail_owner = postfix
queue_directory = {d}/queue
data_directory = {d}/data
maillog_file = {d}/maillog
maillog_file_prefixes = {d}
mydestination =
local_recipient_maps =
alias_maps =
inet_protocols = all
smtpd_peername_lookup = no
disable_dns_lookups = yes
smtp_host_lookup = native
message_size_limit = 62914560
mailbox_size_limit = 0
virtual_mailbox_limit = 0
smtpd_client_connection_count_limit = 0
smtpd_error_sleep_time = 0
smtpd_tls_loglevel = 1
smtp_tls_loglevel = 1
"""

MAIN_NEXTHOP = """\
myhostname = mail.example.org
inet_interfaces = {addrs}
mynetworks =
smtpd_relay_restrictions = reject_unauth_destination
virtual_mailbox_domains = example.org, example.net, {domains}
virtual_mailbox_base = {d}/mail
virtual_mailbox_maps = static:inbox/
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
smtpd_tls_chain_files = {cert}
smtpd_tls_security_level = may
smtpd_tls_received_header = yes
"""
MASTER_NEXTHOP = """\
25        inet  n - n - - smtpd
465       inet  n - n - - smtpd
  -o smtpd_tls_wrappermode=yes -o smtpd_tls_security_level=encrypt
2525      inet  n - n - - smtpd
  -o smtpd_tls_security_level=none
"""

MAIN_SENDER = """\
myhostname = sender.example.com
inet_interfaces = 127.0.0.1
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
relayhost = {relayhost}
smtp_tls_CAfile = {ca}
smtp_tls_security_level = {level}
smtp_address_preference = any
minimal_backoff_time = 5s
queue_run_delay = 5s
"""
MASTER_SENDER = "25 inet n - n - - smtpd\n"


class Postfix:
    """A Postfix instance of its own: configuration, queue, data and log under one directory."""

    def __init__(self, lab, ns, name, main, master, **subst):
        self.lab, self.ns, self.dir = lab, ns, f"{lab.dir}/{name}"
        for sub in ("", "/queue", "/data", "/mail"):
            os.makedirs(self.dir + sub, exist_ok=True)
        shutil.chown(f"{self.dir}/data", "postfix")
        os.chown(f"{self.dir}/mail", 65534, 65534)
        with open(f"{self.dir}/main.cf", "w", encoding="ascii") as f:
            f.write((MAIN_COMMON + main).format(d=self.dir, **subst))
        with open(f"{self.dir}/master.cf", "w", encoding="ascii") as f:
            f.write(master + MASTER_COMMON)
        # A file that changed this second makes each of Postfix's programs wait, in case it is
        # being written.
        for part in ("main.cf", "master.cf"):
            os.utime(f"{self.dir}/{part}", (1, 1))
        self.proc = lab.spawn(ns, ["postfix", "-c", self.dir, "start-fg"], f"{name}.out")
        pidfile = f"{self.dir}/queue/pid/master.pid"
        if not wait_for(lambda: os.path.exists(pidfile) or self.proc.poll() is not None, 15):
            raise LabError(f"Postfix did not start; see {lab.dir}/{name}.out")
        if self.proc.poll() is not None:
            raise LabError(f"Postfix ended at once; see {lab.dir}/{name}.out, {self.dir}/maillog")

    def log(self):
        with contextlib.suppress(FileNotFoundError):
            with open(f"{self.dir}/maillog", encoding="utf-8", errors="replace") as f:
                return f.read()
        return ""

    def stored(self):
        """Paths of the mails that were delivered."""
        new = f"{self.dir}/mail/inbox/new"
        return sorted(f"{new}/{n}" for n in os.listdir(new)) if os.path.isdir(new) else []

    def wait_stored(self, text, timeout=20):
        """The bytes of the delivered mail that contains text."""
        found = []
        seen = set()

        def look():
            for path in self.stored():
                if path in seen:
                    continue
                seen.add(path)
                with open(path, "rb") as f:
                    data = f.read()
                if text.encode() in data:
                    found.append(data)
            return bool(found)
        if not wait_for(look, timeout, 0.1):
            raise LabError(f"no mail with '{text}' was stored; see {self.dir}/maillog")
        return found[0]

    def stop(self):
        self.lab.end(self.proc)


# ---- the gateway ----

class Gateway:
    """A running gateway."""

    def __init__(self, lab, proc, conf, path, logs):
        self.lab, self.proc, self.conf, self.path, self.logs = lab, proc, conf, path, logs

    def ctl(self, *args):
        """posternctl's output."""
        return run(f"{self.lab.build}/app/posternctl/posternctl", "-s",
                   self.conf["control"]["socket"], *args, timeout=10)

    def call(self, method, **params):
        """One JSON-RPC request on the control socket; the result."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(self.conf["control"]["socket"])
            req = {"jsonrpc": "2.0", "id": 1, "method": method}
            if params:
                req["params"] = params
            s.sendall(json.dumps(req).encode() + b"\n")
            answer = json.loads(s.makefile("rb").readline())
        if "error" in answer:
            raise LabError(f"{method}: {answer['error']}")
        return answer["result"]

    def log(self):
        with contextlib.suppress(FileNotFoundError):
            with open(self.conf["log"]["file"], encoding="utf-8", errors="replace") as f:
                return f.read()
        return ""

    def wait_log(self, *words, timeout=5):
        """The first log line with all the words."""
        hit = []

        def look():
            hit.extend(ln for ln in self.log().splitlines() if all(w in ln for w in words))
            return bool(hit)
        if not wait_for(look, timeout):
            raise LabError(f"no log line with {words}; see {self.conf['log']['file']}")
        return hit[0]

    def output(self):
        with open(self.logs, encoding="utf-8", errors="replace") as f:
            return f.read()

    def stop(self, timeout=20):
        """SIGTERM and wait; the exit status (negative: a signal)."""
        if self.proc.poll() is None:
            self.proc.send_signal(signal.SIGTERM)
        try:
            return self.proc.wait(timeout)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait(5)
            return -signal.SIGKILL


class Lab:
    def __init__(self, port="tap", name="pst", build=None, dir=None, keep=False):
        if port not in PORTS:
            raise LabError(f"port {port}: one of {', '.join(PORTS)}")
        self.port, self.name, self.dir = port, name, dir
        self.build = build or os.environ.get("PST_BUILD") or f"{ROOT}/build"
        self.gw, self.client, self.nexthop = (f"{name}-{n}" for n in ("gw", "client", "nexthop"))
        self.keep = keep
        self.ngateways = 0
        self.prefix = ()  # the command that spawn() starts programs by

    # -- up and down --

    def up(self):
        self._claim()
        try:
            self._namespaces()
            certs = f"{self.dir}/certs"
            os.makedirs(certs)
            make_ca(certs)
            make_cert(certs, "mx-ecdsa", ["mx.example.org"])
            make_cert(certs, "mx-rsa", ["mx.example.org"], "rsa")
            make_cert(certs, "mail", ["mail.example.org", "mail2.example.org"])
        except BaseException:
            self.down()
            raise
        return self

    def _claim(self):
        """Takes the lab's name; removes what a dead or finished owner left."""
        old = Lab.find(self.name)
        if old and not old.keep and start_time(old.owner["pid"]) == old.owner["born"] \
                and old.owner["pid"] != os.getpid():
            raise LabError(f"lab {self.name} is in use by process {old.owner['pid']}")
        (old or self).down()
        if not self.dir:
            self.dir = tempfile.mkdtemp(prefix=f"postern-{self.name}.")
        os.chmod(self.dir, 0o755)  # Postfix's processes are not root
        self.owner = {"pid": os.getpid(), "born": start_time(os.getpid())}
        self.save()

    def save(self):
        state = {"dir": self.dir, "port": self.port, "build": self.build, "keep": self.keep,
                 "owner": self.owner}
        os.makedirs(RUN, exist_ok=True)
        with open(f"{RUN}/{self.name}", "w", encoding="utf-8") as f:
            json.dump(state, f)

    @staticmethod
    def find(name):
        """The lab of that name that is up, or None."""
        try:
            with open(f"{RUN}/{name}", encoding="utf-8") as f:
                st = json.load(f)
        except (FileNotFoundError, ValueError):
            return None
        lab = Lab(st["port"], name, st["build"], st["dir"], st["keep"])
        lab.owner = st["owner"]
        return lab

    def _namespaces(self):
        for ns in (self.gw, self.client, self.nexthop):
            run("ip", "netns", "add", ns)
            run("ip", "netns", "exec", ns, "sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0",
                "net.ipv6.conf.default.accept_ra=0", "net.ipv6.conf.all.accept_dad=0")
            run("ip", "-n", ns, "link", "set", "lo", "up")
        g = ("ip", "-n", self.gw)
        # No IPv6 of the kernel's own beside the gateway: it would answer in its place.
        run("ip", "netns", "exec", self.gw, "sysctl", "-qw",
            "net.ipv6.conf.default.disable_ipv6=1")
        run(*g, "link", "add", "br0", "type", "bridge", "forward_delay", "0", "mcast_snooping", "0")
        run(*g, "link", "set", "br0", "up")
        for ns, end, hosts in ((self.client, "c0", [10, 11]), (self.nexthop, "n0", range(20, 30))):
            run(*g, "link", "add", end, "type", "veth", "peer", "name", "eth0", "netns", ns)
            run(*g, "link", "set", end, "master", "br0", "up")
            for h in hosts:
                run("ip", "-n", ns, "addr", "add", f"192.0.2.{h}/24", "dev", "eth0")
                run("ip", "-n", ns, "addr", "add", f"2001:db8::{h}/64", "dev", "eth0", "nodad")
            run("ip", "-n", ns, "link", "set", "eth0", "up")
            self._plain_frames(ns, "eth0")
            self._plain_frames(self.gw, end)
        # Many clients from one address: let ports come back at once.
        run("ip", "netns", "exec", self.client, "sysctl", "-qw",
            "net.ipv4.ip_local_port_range=2000 65000", "net.ipv4.tcp_tw_reuse=1")
        if self.port != "tap":
            run(*g, "link", "add", "lan0", "type", "veth", "peer", "name", "lan1")
            for end in ("lan0", "lan1"):
                self._plain_frames(self.gw, end)
            run(*g, "link", "set", "lan1", "addrgenmode", "none")
            run(*g, "link", "set", "lan1", "arp", "off", "up")
            run(*g, "link", "set", "lan0", "master", "br0", "up")

    @staticmethod
    def _plain_frames(ns, dev):
        """A veth leaves checksums and segmentation to a NIC that is not there."""
        run("ip", "netns", "exec", ns, "ethtool", "-K", dev, "rx", "off", "tx", "off", "tso", "off",
            "gso", "off", "gro", "off")

    def down(self):
        for pid, born, grace in reversed(self._pids()):
            end_process(pid, born, grace)
        for ns in (self.gw, self.client, self.nexthop):
            netns_delete(ns)
        if self.dir and os.path.isdir(self.dir):
            shutil.rmtree(self.dir, ignore_errors=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{RUN}/{self.name}")
        with contextlib.suppress(OSError):
            os.rmdir(RUN)

    # -- processes --

    def _pids(self):
        """What pids says, oldest first: (pid, start time, grace)."""
        try:
            with open(f"{self.dir}/pids", encoding="ascii") as f:
                rows = [ln.split() for ln in f]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [(int(p), b, float(g)) for p, b, g in rows]

    def spawn(self, ns, cmd, out, grace=10):
        """Starts a long-lived process in a namespace; its output goes to a file of the lab."""
        with open(f"{self.dir}/{out}", "ab") as f:
            p = subprocess.Popen([*self.prefix, "ip", "netns", "exec", ns, *map(str, cmd)],
                                 stdin=subprocess.DEVNULL, stdout=f, stderr=f,
                                 start_new_session=True)
        with open(f"{self.dir}/pids", "a", encoding="ascii") as f:
            f.write(f"{p.pid} {start_time(p.pid)} {grace}\n")
        return p

    def end(self, proc, grace=10):
        """SIGTERM, then SIGKILL, to a process of spawn(); its exit status."""
        end_process(proc.pid, start_time(proc.pid), grace)
        with contextlib.suppress(subprocess.TimeoutExpired):
            proc.wait(5)
        return proc.returncode

    def exec(self, ns, *cmd, check=True, timeout=60):
        return run("ip", "netns", "exec", ns, *cmd, check=check, timeout=timeout)

    # -- the parts --

    def start_postfix(self):
        """The next hop: 25 with STARTTLS, 465 with implicit TLS, 2525 in clear."""
        return Postfix(self, self.nexthop, "postfix", MAIN_NEXTHOP, MASTER_NEXTHOP,
                       addrs=f"{HOP4}, {HOP6}", domains=", ".join(HOPS), cert=f"{self.dir}/certs/mail.pem")

    def start_sender(self, relayhost=f"[{GW4}]", level="encrypt"):
        """A Postfix in the client's namespace that sends all mail to the gateway."""
        return Postfix(self, self.client, "sender", MAIN_SENDER, MASTER_SENDER,
                       relayhost=relayhost, level=level, ca=f"{self.dir}/certs/lab-ca.pem")

    def port_conf(self):
        dev = {"tap": "net_tap", "af_packet": "net_af_packet", "af_xdp": "net_af_xdp"}[self.port]
        # One MAC for all gateways of a lab: the hosts' neighbour tables stay true.
        return {"name": "lan", "device": dev, "mac": "02:00:5e:00:53:01", "iface": "lan0" if self.port == "tap" else "lan1",
                "addresses": [f"{GW4}/24", f"{GW6}/64"]}

    def config(self, workers=1):
        """A configuration to start from: both listeners, everything to Postfix on 25."""
        c = f"{self.dir}/certs"
        return {
            "version": 1,
            "dataplane": {"workers": workers, "memory_mb": 512, "hugepages": "off",
                          "ports": [self.port_conf()]},
            "log": {"file": f"{self.dir}/postern.log", "level": "info"},
            "control": {"socket": f"{self.dir}/control.sock"},
            "certificates": {
                "mx-ecdsa": {"chain": f"{c}/mx-ecdsa.pem", "key": f"{c}/mx-ecdsa.key"},
                "mx-rsa": {"chain": f"{c}/mx-rsa.pem", "key": f"{c}/mx-rsa.key"}},
            "tls_profiles": {"mx": {"certificates": ["mx-ecdsa", "mx-rsa"]}},
            "actions": {"inbound": {"inspect": True, "starttls_profile": "mx",
                                    "implicit_profile": "mx"}},
            "listeners": [
                {"name": "smtp", "address": "any", "port": 25, "tls": "starttls",
                 "action": "inbound", "hostname": "mx.example.org"},
                {"name": "smtps", "address": "any", "port": 465, "tls": "implicit",
                 "action": "inbound", "hostname": "mx.example.org"}],
            "routes": [{"domain": d, "next_hop": "inside"}
                       for d in ("example.org", "example.net")],
            "next_hops": {"inside": {
                "hosts": [{"name": "mail.example.org", "address": HOP4, "port": 25}],
                "tls": "starttls", "level": "verify",
                "ca_file": f"{c}/lab-ca.pem"}},
        }

    def config_all_ways(self, workers=1):
        """The same, with each domain of HOPS on its own way to Postfix."""
        conf = self.config(workers)
        for domain, (tls, addr, port) in HOPS.items():
            hop = {"hosts": [{"name": "mail.example.org", "address": addr, "port": port}],
                   "tls": tls}
            if tls != "none":
                hop.update(level="verify", ca_file=f"{self.dir}/certs/lab-ca.pem")
            conf["next_hops"][domain] = hop
            conf["routes"].append({"domain": domain, "next_hop": domain})
        return conf

    def start_gateway(self, conf=None, wait=True, env=None, args=()):
        conf = conf or self.config()
        self.ngateways += 1
        path = f"{self.dir}/postern-{self.ngateways}.json"
        with open(path, "w", encoding="utf-8") as f:
            json.dump(conf, f, indent="\t")
            f.write("\n")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(conf["log"]["file"])
        out = f"gateway-{self.ngateways}.out"
        cmd = [f"{self.build}/app/postern/postern", *args, "-c", path]
        if env:
            cmd = ["env", *(f"{k}={v}" for k, v in env.items()), *cmd]
        gw = Gateway(self, self.spawn(self.gw, cmd, out, 15), conf, path, f"{self.dir}/{out}")
        if wait:
            self.wait_gateway(gw)
        return gw

    def wait_gateway(self, gw):
        """Until it greets on its first listener."""
        if self.port == "tap":
            self._bridge_tap(gw)
        port = gw.conf["listeners"][0]["port"]

        def up():
            if gw.proc.poll() is not None:
                raise LabError(f"the gateway ended with {gw.proc.returncode}; see {gw.logs}:\n"
                               + gw.output()[-2000:] + gw.log()[-2000:])
            with netns(self.client):
                s = socket.socket()
            with s:
                s.settimeout(1)
                with contextlib.suppress(OSError):
                    s.connect((GW4, port))
                    return s.recv(3) != b"x" if port == 465 else s.recv(3) == b"220"
            return False
        if not wait_for(up, 30, 0.1):
            raise LabError(f"the gateway does not answer on {GW4}:{port}; see {gw.logs} and "
                           f"{gw.conf['log']['file']}")

    def _bridge_tap(self, gw):
        """The kernel's side of the TAP joins the bridge, under a MAC of its own: with the
        port's MAC the bridge would keep the port's frames to itself."""
        # Not before it says so: until then the driver sets the MAC itself.
        if not wait_for(lambda: gw.proc.poll() is not None or " is ready" in gw.log(), 20) or \
                gw.proc.poll() is not None:
            raise LabError(f"the gateway did not start; see {gw.logs}:\n"
                           + gw.output()[-2000:] + gw.log()[-2000:])
        g = ("ip", "-n", self.gw, "link", "set", "lan0")
        run(*g, "address", "02:00:5e:00:53:fe")
        run(*g, "addrgenmode", "none")
        run(*g, "master", "br0")
        run(*g, "up")
