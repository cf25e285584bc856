# SPDX-License-Identifier: BSD-3-Clause
"""Eyes that are not ours: what nmap, sslscan, testssl.sh, swaks, openssl, tshark, Postfix and its
posttls-finger and postmap say about the gateway and its connections, as plain values."""

import contextlib
import functools
import json
import os
import re
import subprocess
import threading
import time

from harness import wait_for
from lablib import GW4, Postfix, end_process, make_ca, make_cert, run, start_time

# ---- the gateway's configuration ----


def push(t, conf):
    """Runs conf from now on."""
    result = t.gw.call("config.push", config=conf)
    t.gw.conf = conf
    return result


def check(t, conf, *args):
    """`postern -t`: exit status and what it said."""
    path = f"{t.lab.dir}/check.json"
    with open(path, "w", encoding="utf-8") as f:
        json.dump(conf, f)
    p = subprocess.run([f"{t.lab.build}/app/postern/postern", *args, "-t", "-c", path], text=True,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30, check=False)
    return p.returncode, p.stdout


def ctl(t, *args):
    """posternctl: exit status and what it said."""
    p = subprocess.run([f"{t.lab.build}/app/posternctl/posternctl", "-s",
                        t.gw.conf["control"]["socket"], *args], text=True, timeout=60,
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       check=False)
    return p.returncode, p.stdout


def hosts(*where, **keys):
    """A next hop of (name, address or None, port) each."""
    rows = [{"name": n, "port": p, "priority": 10 + i, **({"address": a} if a else {})}
            for i, (n, a, p) in enumerate(where)]
    return {"hosts": rows, "tls": "starttls", "reuse": "off", **keys}


def routed(conf, next_hops):
    """conf with only these next hops, one for the domain of each name."""
    conf["next_hops"] = next_hops
    conf["routes"] = [{"domain": d, "next_hop": d} for d in next_hops]
    return conf


# ---- swaks ----

class Swaks:
    """One run: `out` is its transcript."""

    def __init__(self, t, *args, to="b@example.org", sender="a@example.com", server=GW4, port=25):
        self.out = t.run("swaks", "--server", server, "--port", port, "--helo",
                         "client.example.com", "--from", sender, "--to", to, *args, check=False)

    def first(self, pattern):
        m = re.search(pattern, self.out, re.M)
        return m.group(1) if m else None

    @property
    def refused(self):
        """The first reply that swaks takes for a failure, or None."""
        return self.first(r"^<(?:\*\*|~\*) (\d{3}.*)$")

    @property
    def sent(self):
        """The message was taken: the reply to its dot was positive."""
        return re.search(r"^ [-~]> \.\n<[-~]  250 ", self.out, re.M) is not None and not self.refused

    @property
    def offered(self):
        """STARTTLS is among the keywords that came in clear."""
        return re.search(r"^<-  250[- ]STARTTLS$", self.out, re.M) is not None

    def __repr__(self):
        return self.out


def greeted(t, source=None, **kw):
    """What EHLO is answered in clear."""
    args = ("--local-interface", source) if source else ()
    return Swaks(t, "--quit-after", "EHLO", *args, **kw)


# ---- openssl ----

def s_client(t, *args, say=("QUIT",), ca=None):
    """Connects, says one line after each reply, and gives the whole output."""
    say = list(say)
    p = subprocess.Popen(["ip", "netns", "exec", t.lab.client, "openssl", "s_client", "-CAfile",
                          ca or t.ca, "-crlf", "-ign_eof", *map(str, args)], text=True,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    out = ""
    with p:
        for line in p.stdout:
            out += line
            if re.match(r"\d{3} ", line) and say:
                with contextlib.suppress(BrokenPipeError):
                    p.stdin.write(say.pop(0) + "\n")
                    p.stdin.flush()
    return out


STARTTLS = ("-starttls", "smtp", "-connect", f"{GW4}:25")
IMPLICIT = ("-connect", f"{GW4}:465")


def talks(out):
    """A whole conversation took place inside TLS."""
    return "\n221 " in out


def cipher_of(out):
    """(version, cipher) that s_client says it got."""
    m = re.search(r"^New, \S+, Cipher is (\S+)$", out, re.M)
    v = re.search(r"^\s*Protocol\s*: (\S+)$", out, re.M) or re.search(r"^New, (\S+?),", out, re.M)
    return (v.group(1) if v else None), (m.group(1) if m else None)


class SServer:
    """`openssl s_server` with implicit TLS as a next hop: its input is fed with SMTP replies."""

    REPLIES = {"EHLO": "250 mail.example.org", "DATA": "354 go on", "QUIT": "221 bye"}

    def __init__(self, t, *args, addr="192.0.2.21", port=465, cert="mail"):
        d = f"{t.lab.dir}/certs"
        self.out, self.lock = "", threading.Lock()
        self.proc = subprocess.Popen(
            ["ip", "netns", "exec", t.lab.nexthop, "openssl", "s_server", "-accept",
             f"{addr}:{port}", "-cert", f"{d}/{cert}.crt", "-key", f"{d}/{cert}.key", "-crlf",
             "-naccept", "1", *args], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        with open(f"{t.lab.dir}/pids", "a", encoding="ascii") as f:
            f.write(f"{self.proc.pid} {start_time(self.proc.pid)} 1\n")
        t.procs.append(self.proc)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()
        assert wait_for(lambda: "ACCEPT" in self.out, 5), self.out

    def _say(self, text):
        with contextlib.suppress(OSError):
            self.proc.stdin.write(text + "\n")
            self.proc.stdin.flush()

    def _serve(self):
        body = False
        for line in self.proc.stdout:
            with self.lock:
                self.out += line
            line = line.rstrip("\r\n")
            verb = line[:4].upper()
            if body:
                body = line != "."
                if not body:
                    self._say("250 2.0.0 taken")
            elif line.startswith("CIPHER is "):
                self._say("220 mail.example.org ESMTP")
            elif verb in ("EHLO", "MAIL", "RCPT", "DATA", "RSET", "QUIT"):
                self._say(self.REPLIES.get(verb, "250 2.0.0 ok"))
                body = verb == "DATA"

    @property
    def cipher(self):
        m = re.search(r"^CIPHER is (\S+)$", self.out, re.M)
        return m.group(1) if m else None


@functools.cache
def suites():
    """Number of a cipher suite to (name, key exchange), as the openssl command has them."""
    table = {}
    for line in run("openssl", "ciphers", "-V", "ALL:COMPLEMENTOFALL:@SECLEVEL=0").splitlines():
        m = re.match(r"\s*0x(..),0x(..) - (\S+)\s.*Kx=(\S+)", line)
        table[int(m.group(1) + m.group(2), 16)] = (m.group(3), m.group(4))
    return table


# ---- scanners ----

def nmap(t, *ports, addr=GW4):
    """{port: (state, reason)} of a SYN scan."""
    out = t.run("nmap", "-n", "-Pn", "-sS", "--reason", "--max-retries", "2", "-p",
                ",".join(map(str, ports)), *(["-6"] if ":" in addr else []), addr)
    return {int(m[0]): (m[1], m[2])
            for m in re.findall(r"^(\d+)/tcp\s+(\w+)\s+\S+\s+(\S+)", out, re.M)}


def sslscan(t, port, *args):
    """({protocol: enabled}, [(protocol, cipher)])."""
    how = ["--starttls-smtp"] if port == 25 else []
    out = t.run("sslscan", "--no-colour", "--no-check-certificate", "--no-fallback",
                "--no-heartbleed", "--no-renegotiation", "--no-compression", *how, *args,
                f"{GW4}:{port}", timeout=120)
    protocols = {p: s == "enabled" for p, s in
                 re.findall(r"^((?:SSL|TLS)v[\d.]+)\s+(enabled|disabled)", out, re.M)}
    ciphers = re.findall(r"^(?:Preferred|Accepted)\s+((?:SSL|TLS)v[\d.]+)\s+\d+ bits\s+(\S+)", out,
                         re.M)
    assert protocols and ciphers, out
    return protocols, ciphers


def testssl(t, *args, port=25):
    """{id: finding} of testssl.sh."""
    path = f"{t.lab.dir}/testssl.json"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    how = ["-t", "smtp"] if port == 25 else []
    t.run("testssl", "--warnings", "batch", "--color", "0", "--nodns", "min", "--ip", GW4,
          "--jsonfile", path, *args, *how, f"{GW4}:{port}", check=False, timeout=280)
    with open(path, encoding="utf-8") as f:
        return {row["id"]: row["finding"] for row in json.load(f)}


# ---- what leaves the gateway for its next hops ----

class Capture:
    """tcpdump at the next hops' port; hellos() is tshark's reading of our ClientHellos."""

    FIELDS = {"to": "ip.dst", "suites": "tls.handshake.ciphersuite",
              "groups": "tls.handshake.extensions_supported_group",
              "versions": "tls.handshake.extensions.supported_version",
              "version": "tls.handshake.version", "sni": "tls.handshake.extensions_server_name"}

    def __init__(self, t, what="tcp"):
        self.t, self.path = t, f"{t.lab.dir}/capture-{time.monotonic_ns()}.pcap"
        log = self.path + ".log"
        self.proc = t.lab.spawn(t.lab.nexthop, ["tcpdump", "-i", "eth0", "-U", "-Z", "root",
                                                "--immediate-mode", "-s", "0", "-w", self.path,
                                                what], os.path.basename(log))
        t.procs.append(self.proc)
        assert wait_for(lambda: os.path.exists(log) and "listening on" in open(log).read(), 5)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.t.lab.end(self.proc)

    def tshark(self, *args):
        self.t.lab.end(self.proc)
        return run("tshark", "-n", "-r", self.path, *args, env={**os.environ, "HOME": "/nonexistent"})

    def hellos(self):
        """{address: [ClientHello]}, each with versions, suites and groups as numbers, and sni."""
        out = self.tshark("-d", "tcp.port==465,tls", "-Y", "tls.handshake.type == 1", "-T", "fields",
                          "-E", "separator=;", "-E", "occurrence=a", "-E", "aggregator=,",
                          *[a for f in self.FIELDS.values() for a in ("-e", f)])
        found = {}
        for line in out.splitlines():
            if line.count(";") != len(self.FIELDS) - 1:
                continue
            row = dict(zip(self.FIELDS, line.split(";")))
            for key in ("suites", "groups", "versions", "version"):
                row[key] = [int(n, 0) for n in row[key].split(",") if n]
            # RFC 5746: the signalling suite is none.
            row["suites"] = [n for n in row["suites"] if n != 0xff]
            row["versions"] = row["versions"] or row["version"]
            found.setdefault(row["to"], []).append(row)
        return found


def exchanges(hello):
    """The key exchanges that a ClientHello would accept: "any" is TLS 1.3's."""
    return {suites()[n][1] for n in hello["suites"]}


# ---- next hops by Postfix ----

FLEET_MAIN = """\
myhostname = mail.example.org
inet_interfaces = all
mynetworks = 192.0.2.0/24
smtpd_relay_restrictions = permit_mynetworks, reject
default_transport = discard:
smtpd_tls_security_level = may
"""


class Fleet(Postfix):
    """One Postfix with a service, and so a certificate, for each address.

    services: {address: {option of main.cf: value}}; `cert` is the chain file of that name. Under
    the address as its name each service logs what it saw."""

    def __init__(self, t, services):
        d = f"{t.lab.dir}/certs"
        rows = []
        for at, options in services.items():
            addr, port = (at.rsplit(":", 1) if at.count(":") == 1 else (at, 25))
            options = {"syslog_name": f"at-{at}", **options}
            if "cert" in options:
                options["smtpd_tls_chain_files"] = f"{d}/{options.pop('cert')}.pem"
            rows.append(f"{addr}:{port} inet n - n - - smtpd\n" +
                        "".join(f"  -o {k}={v}\n" for k, v in options.items()))
        super().__init__(t.lab, t.lab.nexthop, f"fleet-{time.monotonic_ns()}", FLEET_MAIN,
                         "".join(rows))
        with open(f"{self.dir}/queue/pid/master.pid", encoding="ascii") as f:
            self.master = int(f.read())
        self.born = start_time(self.master)
        assert self.born and wait_for(lambda: "daemon started" in self.log(), 5), self.log()
        t.hops.append(self)

    conns = ()

    def stop(self):
        # What was started is a script; the sockets are the master's.
        end_process(self.master, self.born, 5)
        super().stop()

    def said(self, at, text, wait=0):
        """Lines of a service that have text in them."""
        def look():
            return [ln for ln in self.log().splitlines() if f" at-{at}/" in ln and text in ln]
        wait_for(look, wait)
        return look()

    def encrypted(self, at):
        """The service has seen TLS."""
        return self.said(at, "TLS connection established", 3) != []


def certificate(t, name, *dns, ca="lab", days=30):
    """Makes NAME.pem of the lab's certificates once; its path."""
    d = f"{t.lab.dir}/certs"
    if ca != "lab" and not os.path.exists(f"{d}/{ca}-ca.pem"):
        make_ca(d, ca)
    if not os.path.exists(f"{d}/{name}.pem"):
        make_cert(d, name, list(dns), ca=ca, days=days)
    return f"{d}/{name}.pem"


def fingerprint(t, name):
    """SHA-256 of a certificate, as openssl prints it."""
    out = run("openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in",
              f"{t.lab.dir}/certs/{name}.crt")
    return out.strip().split("=")[1]


def key_fingerprint(t, name):
    """SHA-256 of a certificate's public key, as RFC 7469 and Postfix take it."""
    path = f"{t.lab.dir}/certs/{name}"
    with open(f"{path}.pub", "w", encoding="ascii") as f:
        f.write(run("openssl", "x509", "-noout", "-pubkey", "-in", f"{path}.crt"))
    run("openssl", "pkey", "-pubin", "-in", f"{path}.pub", "-outform", "DER", "-out", f"{path}.der")
    return run("openssl", "dgst", "-sha256", "-c", f"{path}.der").split("= ")[1].strip().upper()


def postfix_conf(t):
    """A directory for Postfix's programs; they wait while main.cf is younger than a second."""
    conf = f"{t.lab.dir}/programs"
    os.makedirs(conf, exist_ok=True)
    with open(f"{conf}/main.cf", "w", encoding="ascii") as f:
        f.write("compatibility_level = 3.6\n")
    os.utime(f"{conf}/main.cf", (1, 1))
    return conf


def finger(t, level, addr, *names):
    """posttls-finger's word for a next hop: Verified, Trusted, Untrusted, Anonymous, or None."""
    conf = postfix_conf(t)
    out = t.run("posttls-finger", "-c", "-l", level, "-d", "sha256", "-F", t.ca, "-L", "summary",
                f"[{addr}]", *names, env={"MAIL_CONFIG": conf}, check=False)
    m = re.search(r"(\w+) TLS connection established", out)
    return m.group(1) if m else None


def postmap(t, path, keys):
    """{key: value} of those that `postmap -q` finds in a table of Postfix's."""
    p = subprocess.run(["postmap", "-q", "-", f"texthash:{path}"], input="\n".join(keys) + "\n",
                       text=True, timeout=20, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                       env={**os.environ, "MAIL_CONFIG": postfix_conf(t)}, check=False)
    return dict(line.split("\t", 1) for line in p.stdout.splitlines())
