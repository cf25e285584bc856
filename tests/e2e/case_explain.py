# SPDX-License-Identifier: BSD-3-Clause
"""explain against the wire: what it foretells is what a real client then hears.

Random configurations are pushed into one running gateway, each with a few envelopes: explain
is asked, then a client says the same things. See policies.py for what is random and for the
model of the next hops, whose state explain cannot know.
"""

import collections
import hashlib
import json
import os
import random
import re
import ssl
import time

from dns import Dns
from harness import case
from lablib import GW4, GW6, make_ca, make_cert, run
from peers import Client, client_context, stuff
import policies

ENVELOPES = 2  # for each configuration
PORTS = {"smtp": 25, "smtps": 465, "machines": 2525}


# ---- the world ----

def digests(certs, name):
    """SHA-256 of a certificate and of its public key, as fingerprints are written."""
    def hexed(der):
        h = hashlib.sha256(der).hexdigest().upper()
        return ":".join(h[i:i + 2] for i in range(0, 64, 2))
    with open(f"{certs}/{name}.crt", encoding="ascii") as f:
        cert = ssl.PEM_cert_to_DER_cert(f.read())
    pem = run("openssl", "x509", "-in", f"{certs}/{name}.crt", "-noout", "-pubkey")
    key = ssl.PEM_cert_to_DER_cert(pem.replace("PUBLIC KEY", "CERTIFICATE"))
    return [hexed(cert), hexed(key)]


def next_hops(t, certs):
    make_ca(certs, "stranger")
    pem = {"good": make_cert(certs, "explain", policies.NAMES),
           "untrusted": make_cert(certs, "stranger", policies.NAMES, ca="stranger")}
    pem["broken"] = pem["good"]
    hops = {}
    for (addr, port), server in policies.SERVERS.items():
        tls = "none" if server == "none" else "implicit" if port == 465 else "starttls"
        h = hops[addr, port] = t.hop(addr=addr, port=port, tls=tls, cert=pem.get(server))
        if server == "broken":
            h.ctx.set_ciphers("ALL:@SECLEVEL=0")
            h.ctx.minimum_version = h.ctx.maximum_version = ssl.TLSVersion.TLSv1_1
    return hops


def base(t, dns):
    conf = t.times(t.conf(), connect=4, client_command=20)
    conf["dns"] = {"servers": [dns.server], "timeout": 2}
    conf["actions"]["blind"] = {"inspect": False}
    conf["listeners"].append({"name": "machines", "address": "any", "port": 2525, "tls": "none",
                              "action": "blind", "hostname": "mx.example.org"})
    conf["limits"].update(errors=1000, sessions_per_address=1000)
    return conf


# ---- a client ----

def connect(t, env):
    gw = GW6 if ":" in env["client"] else GW4
    return Client(t.lab.client, gw, PORTS[env["listener"]], implicit=env["listener"] == "smtps",
                  source=env["client"], ca=t.ca)


def says(c, line):
    r = c.cmd(line)
    enh, _, text = r.lines[0].partition(" ")
    if not enh[:2] in ("2.", "4.", "5."):
        enh, text = "", r.lines[0]
    return {"code": r.code, "enhanced": enh, "text": text}


def wire(t, env, ctx, subject):
    """What this client is answered: {"offered", "starttls", "mail", "rcpt", "data", "dot"}."""
    with connect(t, env) as c:
        got = {"offered": "STARTTLS" in c.ehlo().lines}
        if env["tls"] and env["listener"] == "smtp":
            got["starttls"] = says(c, "STARTTLS")
            if got["starttls"]["code"] != 220:
                return got
            c.tls(ctx)
            c.ehlo()
        sender = "" if env["from"] == "<>" else env["from"]
        utf8 = "" if (sender + env["to"]).isascii() else " SMTPUTF8"
        got["mail"] = says(c, f"MAIL FROM:<{sender}>{utf8}")
        got["rcpt"] = says(c, f"RCPT TO:<{env['to']}>")
        got["data"] = says(c, "DATA")
        if got["data"]["code"] == 354:
            c.send(stuff(f"Subject: {subject}\r\n\r\nx\r\n".encode()))
            got["dot"] = c.reply().code
        c.cmd("QUIT")
        return got


def spoil(t, env):
    """A client whose handshake fails, which the broken-TLS memory may keep."""
    with connect(t, {**env, "listener": "smtp"}) as c:
        if "STARTTLS" in c.ehlo().lines and c.cmd("STARTTLS").code == 220:
            c.send(b"this is no ClientHello\r\n")
            c.eof(5)


# ---- the comparison ----

def asked(t, env):
    """explain's answer; or None and why it has none."""
    keys = {k: env[k] for k in ("from", "to", "client", "listener", "tls")}
    try:
        return t.gw.call("explain", **keys), ""
    except Exception as e:  # LabError with the gateway's words
        return None, str(e)


def same(said, heard, texts=True):
    keys = ("code", "enhanced", "text") if texts and said["code"] >= 400 and "text" in said \
        else ("code", "enhanced") if said["code"] >= 400 else ("code",)
    return all(said[k] == heard[k] for k in keys)


def disagreements(conf, env, x, why, got, taken, prints):
    """What explain foretold wrongly; and in which class of cells the envelope was."""
    if x is None:
        said = "does not offer STARTTLS" in why or "takes a client with TLS" in why
        no = said and not got["offered"] and got["starttls"]["code"] >= 500 and "mail" not in got
        return ([] if no else [f"explain: {why}; the wire: {got}"]), "no STARTTLS"
    out = []
    if env["listener"] == "smtp" and x["starttls_offered"] != got["offered"]:
        out.append(f"starttls_offered {x['starttls_offered']}, EHLO {got['offered']}")
    if "mail" not in got:
        return [*out, f"explain did not see that STARTTLS is refused: {got['starttls']}"], "?"
    if not same(x["replies"]["mail"], got["mail"]):
        out.append(f"MAIL {x['replies']['mail']}, not {got['mail']}")
    if x["replies"]["mail"]["code"] != 250:
        if got["rcpt"]["code"] < 500 or x["replies"]["rcpt"] is not None:
            out.append(f"RCPT after a refused MAIL: {x['replies']['rcpt']}, {got['rcpt']}")
        if not same(x["replies"]["data"], got["data"]):
            out.append(f"DATA {x['replies']['data']}, not {got['data']}")
        return out, f"MAIL {got['mail']['code']}"
    rcpt, channel, state = policies.rcpt(conf, x, prints)
    if not same(rcpt, got["rcpt"]):
        out.append(f"RCPT {rcpt} ({state}), not {got['rcpt']}")
    data = x["replies"]["data"]
    if (rcpt["code"] == 250) != (x["replies"]["rcpt"]["code"] == 250):
        data = {"code": 354} if rcpt["code"] == 250 else {"code": 554, "enhanced": "5.5.1"}
    if not same(data, got["data"]):
        out.append(f"DATA {data}, not {got['data']}")
    if rcpt["code"] == 250 and not out and taken != [channel]:
        out.append(f"the message should have come by {channel}: {taken}, dot {got.get('dot')}")
    return out, f"RCPT {rcpt['code']} {rcpt.get('enhanced', '')}".strip() \
        if rcpt["code"] >= 400 else channel


class Trial:
    def __init__(self, t, seed, configurations):
        self.t, self.configurations = t, configurations
        self.rng = random.Random(seed)
        self.certs = f"{t.lab.dir}/certs"
        self.hops = next_hops(t, self.certs)
        self.prints = digests(self.certs, "explain")
        self.world = policies.World(self.rng, self.prints, {"ca_file": t.ca})
        self.ctx = client_context(t.ca)
        self.dns = Dns("127.0.0.1", 0, policies.zone(), ns=t.lab.gw).start()
        self.base = base(t, self.dns)
        self.refused, self.last, self.n = 0, "", 0
        self.wrong, self.seen = [], collections.Counter()

    def push(self):
        """The next random configuration that is a valid one."""
        while True:
            conf = self.world.configuration(self.base)
            try:
                self.t.gw.call("config.push", config=conf)
                return conf
            except Exception as e:
                self.refused += 1
                faults = re.findall(r"'pointer': '([^']*)', 'text': '([^']*)'", str(e))
                self.last = ": ".join(faults[0]) if faults else str(e)
                assert self.refused <= self.configurations, self.last

    def taken(self, subject):
        """How each copy of the message came to a next hop."""
        want = f"Subject: {subject}\r\n".encode()
        return ["tls" if c.tls else "plain" for h in self.hops.values() for c in h.conns
                for m in c.messages if m.complete and want in m.wire]

    def envelope(self, conf):
        env = self.world.envelope(conf)
        t, policy = self.t, conf["policy"]
        if policy["broken_tls"]["enabled"] and self.world.often(0.15):
            spoil(t, env)
        if policy["mirror_receiver"]:
            connect(t, {**env, "listener": "smtp", "tls": False}).close()  # who asks the next hop
        x, why = asked(t, env)
        if self.n % 25 == 0:
            self.command(env, x)
        self.n += 1
        subject = f"explain-{self.n}"
        got = wire(t, env, self.ctx, subject)
        bad, what = disagreements(conf, env, x, why, got, self.taken(subject), self.prints)
        self.seen[what] += 1
        if bad:
            self.wrong.append({"n": self.n, "wrong": bad, "envelope": env, "explain": x or why,
                               "wire": got, "next_hops": conf["next_hops"],
                               "policy": policy, "routes": conf["routes"]})

    def command(self, env, x):
        """The command says what the method says."""
        args = ["--from", env["from"], "--to", env["to"], "--client", env["client"],
                "--listener", env["listener"], "--tls" if env["tls"] else "--plain"]
        try:
            out = json.loads(self.t.gw.ctl("--json", "explain", *args))
        except Exception:
            out = None
        assert out == x, (out, x)


    def run(self):
        self.t.gateway(self.base)
        began = time.monotonic()
        for _ in range(self.configurations):
            if self.world.often(0.3):
                self.t.gw.call("broken_tls.flush")
            conf = self.push()
            for _ in range(ENVELOPES):
                self.envelope(conf)
        took = time.monotonic() - began
        self.t.note(f"{self.n} envelopes under {self.configurations} configurations in {took:.0f} s"
                    f"; {self.refused} others were refused, the last: {self.last}")
        for what, n in sorted(self.seen.items()):
            self.t.note(f"{n:4} {what}")


def foretell(t, seed, configurations):
    trial = Trial(t, seed, configurations)
    try:
        trial.run()
    finally:
        trial.dns.stop()
    assert not trial.wrong, f"{len(trial.wrong)} disagreements\n" + "\n".join(
        json.dumps(w) for w in trial.wrong[:10])
    # Every sort of answer was among them.
    for what in ("plain", "tls", "no STARTTLS", "MAIL 530", "RCPT 530 5.7.0", "RCPT 451 4.7.4",
                 "RCPT 451 4.7.5", "RCPT 550 5.7.1"):
        assert trial.seen[what] >= 5, f"only {trial.seen[what]} of `{what}`"


@case(timeout=180)
def explain_foretells_what_500_clients_then_hear(t):
    foretell(t, 20240404, 250)


@case(timeout=1800, long=True)
def explain_foretells_what_10000_clients_then_hear(t):
    foretell(t, int(os.environ.get("PST_SEED", "7")), 5000)
