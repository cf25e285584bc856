# SPDX-License-Identifier: BSD-3-Clause
"""The lab in which servers are compared, and the accounts that are kept of them.

      NAME-client            NAME-gw                           NAME-nexthop
      eth0 --------- c0 |         br0           | n0 --------- eth0
      the load          |  lan0 = lan1  s30 ... |              the sink
                           Postern's    veth to NAME-s30 ...
                           port         one namespace a kernel server

The lab of the end-to-end cases (scripts/lablib.py), with a namespace more for each
server that runs on the kernel's network, so that a frame takes the same way to each
of them: client, veth, bridge, veth.

Cores. One belongs to the server under measurement, another to load and sink. A packet on
a veth is received in the context of who sent it: left alone, the kernel would do the
server's share of TCP on the load's account. Receive packet steering therefore hands what
arrives at a server's interface to the server's core, and all else to the load's.

Accounts. Each server has a control group (v1 or v2, whatever the system has): CPU time
of all its processes, those that have ended too, and its memory with what the kernel holds
for it. Load and sink have one too, so that what is left of the machine's time is other
people's: that is how a disturbed run is told.
"""

import contextlib
import os

import lablib
from lablib import LabError, run

TICK = os.sysconf("SC_CLK_TCK")


class Group:
    """A control group of ours, empty at first; remove() when its processes have ended."""

    V1 = ("/sys/fs/cgroup/cpuacct", "/sys/fs/cgroup/memory")
    V2 = "/sys/fs/cgroup"

    def __init__(self, name):
        self.v2 = os.path.exists(f"{self.V2}/cgroup.controllers")
        roots = [self.V2] if self.v2 else [r for r in self.V1 if os.path.isdir(r)]
        self.dirs = [f"{r}/{name}" for r in roots]
        if not self.dirs or (not self.v2 and not os.path.isdir(self.V1[0])):
            raise LabError("there are no control groups here: neither v2 in /sys/fs/cgroup nor "
                           "v1's cpuacct")
        if self.v2:
            with contextlib.suppress(OSError), \
                    open(f"{self.V2}/cgroup.subtree_control", "w", encoding="ascii") as f:
                f.write("+cpu +memory")
        for d in self.dirs:
            os.makedirs(d, exist_ok=True)

    def _read(self, name):
        for d in self.dirs:
            with contextlib.suppress(OSError), open(f"{d}/{name}", encoding="ascii") as f:
                return f.read()
        return None

    def _stat(self, name):
        return {k: int(v) for k, v in (ln.split() for ln in (self._read(name) or "").splitlines())}

    def cpu_us(self):
        """CPU time of all that ever ran in it."""
        if self.v2:
            return float(self._stat("cpu.stat")["usage_usec"])
        return int(self._read("cpuacct.usage")) / 1000

    def memory(self):
        """(bytes of the processes' own, bytes the kernel holds for them or None)."""
        st = self._stat("memory.stat")
        if self.v2:
            kernel = st.get("kernel")
            if kernel is not None:
                kernel += st.get("sock", 0)
            return st.get("anon"), kernel
        kernel = self._read("memory.kmem.usage_in_bytes")
        tcp = self._read("memory.kmem.tcp.usage_in_bytes")
        return st.get("rss"), None if kernel is None else int(kernel) + int(tcp or 0)

    def pids(self):
        return [int(p) for p in (self._read("cgroup.procs") or "").split()]

    def remove(self):
        for d in self.dirs:
            with contextlib.suppress(OSError):
                os.rmdir(d)


class Cores:
    """What the machine's cores have done, from /proc/stat (sampled by the kernel's tick)."""

    NAMES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")

    def __init__(self):
        self.cores = {}
        with open("/proc/stat", encoding="ascii") as f:
            for ln in f:
                word, *rest = ln.split()
                if word.startswith("cpu"):
                    self.cores[word[3:]] = dict(zip(self.NAMES, map(int, rest)))

    def since(self, before, core=""):
        """Microseconds: (busy, stolen) of one core, or of all."""
        a, b = before.cores[str(core)], self.cores[str(core)]
        d = {k: (b[k] - a[k]) * 1e6 / TICK for k in self.NAMES}
        return sum(d[k] for k in ("user", "nice", "system", "irq", "softirq")), d["steal"]


class PeersLab(lablib.Lab):
    def __init__(self, port, name, build, server_core, load_core, steer=True):
        super().__init__(port, name, build)
        self.server_core, self.load_core, self.steering = server_core, load_core, steer
        self.hosts, self.ends = [], []  # namespaces; their veth ends in the bridge
        self.groups = {}
        self.postern_set = {}  # what the operator wants otherwise in Postern's configuration

    # -- processes: on a core, in a group --

    @contextlib.contextmanager
    def placing(self, group, core):
        """What spawn() starts meanwhile is of that group and on that core."""
        # Before `ip netns exec`, which has a /sys of its own.
        enter = 'for d in $0; do echo $$ >"$d/cgroup.procs" || exit 1; done; exec "$@"'
        self.prefix = ("sh", "-c", enter, " ".join(group.dirs), "taskset", "-c", str(core))
        try:
            yield
        finally:
            self.prefix = ()

    def group(self, name):
        if name not in self.groups:
            self.groups[name] = Group(f"{self.name}-{name}")
        return self.groups[name]

    # -- hosts --

    def add_host(self, octet):
        """A namespace for a kernel server, 192.0.2.OCTET."""
        ns, end = f"{self.name}-s{octet}", f"s{octet}"
        lablib.netns_delete(ns)
        run("ip", "netns", "add", ns)
        self.hosts.append(ns)
        self.ends.append(end)
        run("ip", "-n", ns, "link", "set", "lo", "up")
        run("ip", "-n", self.gw, "link", "add", end, "type", "veth", "peer", "name", "eth0",
            "netns", ns)
        run("ip", "-n", self.gw, "link", "set", end, "master", "br0", "up")
        run("ip", "-n", ns, "addr", "add", f"192.0.2.{octet}/24", "dev", "eth0")
        run("ip", "-n", ns, "link", "set", "eth0", "up")
        self._plain_frames(ns, "eth0")
        self._plain_frames(self.gw, end)
        for ns_ in (ns, self.nexthop):
            self.many_ports(ns_)
        return ns, f"192.0.2.{octet}"

    def many_ports(self, ns):
        """Short connections by the thousand: ports come back at once, queues are long."""
        run("ip", "netns", "exec", ns, "sysctl", "-qw", "net.ipv4.ip_local_port_range=2000 65000",
            "net.ipv4.tcp_tw_reuse=1", "net.core.somaxconn=4096",
            "net.ipv4.tcp_max_syn_backlog=8192")

    def steer(self):
        """Receive packet steering; called when every interface is there."""
        if not self.steering:
            return
        mine, theirs = (format(1 << c, "x") for c in (self.server_core, self.load_core))
        for ns in self.hosts:
            self._rps(ns, "eth0", mine)
        for ns in (self.client, self.nexthop):
            self._rps(ns, "eth0", theirs)
        for dev in ("c0", "n0", "lan0", *self.ends):
            self._rps(self.gw, dev, theirs)
        if self.port != "tap":
            self._rps(self.gw, "lan1", mine)

    def _rps(self, ns, dev, mask):
        # TAP's kernel side may have more queues than one.
        run("ip", "netns", "exec", ns, "sh", "-c",
            f"for q in /sys/class/net/{dev}/queues/rx-*/rps_cpus; do echo {mask} >$q; done")

    def offload(self, on):
        """Checksum and segmentation offload of all that is between two kernel stacks."""
        word = "on" if on else "off"
        pairs = [(self.client, "eth0"), (self.nexthop, "eth0"), (self.gw, "c0"), (self.gw, "n0")]
        pairs += [(ns, "eth0") for ns in self.hosts] + [(self.gw, e) for e in self.ends]
        for ns, dev in pairs:
            run("ip", "netns", "exec", ns, "ethtool", "-K", dev, "rx", word, "tx", word, "tso",
                word, "gso", word, "gro", word)

    def down(self):
        super().down()
        for ns in self.hosts:
            lablib.netns_delete(ns)
        for g in self.groups.values():
            g.remove()
        self.hosts, self.groups = [], {}
