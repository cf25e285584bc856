# SPDX-License-Identifier: BSD-3-Clause
"""Random policies, random envelopes, and a small model of what a next hop is to a demand.

The model knows the servers of the test and nothing of Postern's policy: who listens where,
who signed which certificate, which names are in it. explain says what is demanded and
what becomes of the mail if the next hop is in this state or that; the model says which
state it is in.
"""

# ---- the world: servers, names ----

# address, port: what listens there. Port 465 begins with TLS.
SERVERS = {
    ("192.0.2.21", 25): "none",
    ("192.0.2.22", 25): "good", ("192.0.2.22", 465): "good",
    ("192.0.2.23", 25): "untrusted", ("192.0.2.23", 465): "untrusted",
    ("192.0.2.24", 25): "broken", ("192.0.2.24", 465): "broken",
    ("2001:db8::22", 25): "good",
}
HOSTS = {"mx-none.hop.example": ["192.0.2.21"], "mx-good.hop.example": ["192.0.2.22"],
         "mx-untrusted.hop.example": ["192.0.2.23"], "mx-broken.hop.example": ["192.0.2.24"],
         "mx-dead.hop.example": ["192.0.2.25"], "mx-six.hop.example": ["2001:db8::22"]}
# In the certificates of `good` and `untrusted` alike.
NAMES = ["mx-good.hop.example", "mail.corp.example", "mx-six.hop.example", "bank.example",
         "in.mxgood.test"]
MX = {"mxgood.test": [(10, "mx-good.hop.example")], "mxnone.test": [(10, "mx-none.hop.example")],
      "mxtwo.test": [(10, "mx-broken.hop.example"), (20, "mx-good.hop.example")],
      "mxdown.test": [(10, "mx-dead.hop.example"), (20, "mx-none.hop.example"),
                      (30, "mx-untrusted.hop.example")],
      "mxbad.test": [(10, "mx-untrusted.hop.example"), (20, "mx-broken.hop.example")],
      "mxnull.test": [(0, ".")], "mxvoid.test": [(10, "nowhere.hop.example")]}
CLIENTS = {"192.0.2.10": "client10.clients.example", "192.0.2.11": None,
           "2001:db8::10": "six.clients.example", "2001:db8::11": "liar.clients.example"}


def zone():
    z = {h: {"AAAA" if ":" in a else "A": [a] for a in addrs} for h, addrs in HOSTS.items()}
    z.update({d: {"MX": mx} for d, mx in MX.items()})
    z["mxa.test"] = {"A": ["192.0.2.22"]}  # no MX: RFC 5321 5.1, the address of the domain itself
    z["mxfail.test"] = "SERVFAIL"
    for addr, name in CLIENTS.items():
        if name:
            z[addr] = {"PTR": [name]}
            if not name.startswith("liar"):  # which its own name does not confirm
                z[name] = {"AAAA" if ":" in addr else "A": [addr]}
    return z


# ---- words to choose from ----

SENDERS = ["client.example", "news.client.example", "bank.example", "b\u00fccher.example",
           "[192.0.2.77]", "[IPv6:2001:db8::77]", ""]
RECIPIENTS = ["corp.example", "sub.corp.example", "a.sub.corp.example", "bank.example",
              "b\u00fccher.example", "other.example", "[192.0.2.22]", *MX, "mxa.test",
              "mxfail.test", "mxgone.test", "in.mxgood.test"]
ROUTES = ["corp.example", "*.corp.example", "bank.example", "xn--bcher-kva.example", "*",
          "[192.0.2.22]", "*.test", *MX]
FROM = ["*", "*", "<>", "client.example", "*.client.example", "BANK.example",
        "xn--bcher-kva.example", "[192.0.2.77]", "*.example", "b\u00fccher.example"]
TO = ["*", "*", "corp.example", "*.corp.example", "bank.example", "b\u00fccher.example",
      "mxgood.test", "*.test", "mxtwo.test", "[192.0.2.22]", "other.example"]
LISTED = ["192.0.2.10", "192.0.2.0/28", "192.0.2.20/30", "2001:db8::/64", "2001:db8::10",
          "client10.clients.example", "*.clients.example", ".clients.example",
          "mx-good.hop.example", "*.hop.example", "192.0.2.22", "192.0.2.24/31", "corp.example",
          "*.corp.example", "mxgood.test", "192.0.2.77"]
MAPPED = ["mxgood.test", ".test", "mxtwo.test", "mxnone.test:25", "mxbad.test", "[192.0.2.22]",
          "[192.0.2.21]:25", "[mx-good.hop.example]", "[mx-good.hop.example]:465",
          "[mx-untrusted.hop.example]", "[mx-none.hop.example]", "[mx-broken.hop.example]",
          "[2001:db8::22]", "in.mxgood.test", "[192.0.2.24]:465", "corp.example"]
LEVELS = ["none", "may", "may", "encrypt", "encrypt", "verify", "secure", "fingerprint"]
MATCHES = ["hostname", "nexthop", "dot-nexthop", "mail.corp.example", ".corp.example",
           "wrong.example", ".hop.example", "MX-GOOD.hop.example"]


class World:
    """prints: SHA-256 digests of the good certificate and of its key, as the map writes them;
    hop: keys of every next hop."""

    def __init__(self, rng, prints, hop):
        self.rng, self.prints, self.hop = rng, prints, hop

    def often(self, p):
        return self.rng.random() < p

    def one(self, of):
        return self.rng.choice(of)

    # -- a demand in the words of map and next hop --

    def demand(self, level):
        out = {"level": level}
        if level == "fingerprint":
            good = self.one(self.prints)
            out["match"] = self.one([[good], ["00:" * 31 + "00"], ["11:" * 31 + "11", good]])
        elif level in ("verify", "secure") and self.often(0.6):
            out["match"] = self.rng.sample(MATCHES, self.rng.randint(1, 3))
        return out

    def entry(self):
        out = self.demand(self.one(LEVELS))
        if out["level"] != "none":
            if self.often(0.3):
                out["protocols"] = self.one([">=TLSv1.2", "!TLSv1.3", "TLSv1.2:TLSv1.3", "TLSv1.3"])
            if self.often(0.2):
                out["ciphers"] = self.one(["high", "medium"])
            if self.often(0.1):
                out["exclude"] = "aNULL, MD5"
            if self.often(0.2):
                out["servername"] = self.one(["hostname", "nexthop", "sni.corp.example"])
        return out

    # -- next hops --

    def hosts(self, tls):
        port = 465 if tls == "implicit" else 25
        out = []
        some = self.rng.sample(list(HOSTS), self.rng.choice((1, 1, 2, 3)))
        for priority, name in enumerate(some):
            # mx-six has no 465: there it is one more dead host.
            host = {"name": name, "port": port, "priority": 10 * priority}
            if self.often(0.7):
                host["address"] = HOSTS[name][0]
                if self.often(0.2):
                    del host["name"]
            out.append(host)
        return out

    def next_hop(self):
        tls = self.one(["starttls"] * 6 + ["implicit"] * 2 + ["none"])
        out = {"tls": tls}
        if self.often(0.35):
            out["mx"] = True
            if self.often(0.3):
                out["mx_domain"] = self.one([*MX, "in.mxgood.test"])
            if tls == "implicit":
                out["port"] = 465
        else:
            out["hosts"] = self.hosts(tls)
        if tls != "none" and self.often(0.3):
            out.update(self.demand(self.one(LEVELS if tls == "starttls" else LEVELS[3:])))
        if tls != "none":
            out.update(self.hop)
            if self.often(0.1):
                out["pfs"] = self.one(["none", "required"])
        if self.often(0.1):
            out["max_tries"] = self.rng.randint(1, 2)
        if "mx" in out or len(out["hosts"]) > 1:
            # A connection to the second host, kept from when the first failed, would serve what
            # the first can carry by now: fine, but not to be foretold.
            out["reuse"] = "off"
        return out

    # -- policy --

    def rule(self, n):
        out = {"id": f"r{n}", "from": self.one(FROM), "to": self.one(TO)}
        side = self.rng.randint(1, 3)
        if side & 1:
            out["sender"] = self.one(["required", "none", "optional", "optional"])
        if side & 2:
            out["recipient"] = self.one(["required", "none", "preferred", "allowed"])
        if self.often(0.2):
            out["enabled"] = False
        return out

    def lists(self):
        some = self.rng.sample(LISTED, self.rng.choice((0, 0, 0, 1, 2, 4)))
        cut = self.rng.randint(0, len(some))
        return some[:cut], some[cut:]

    def policy(self, hops):
        out = {"rules": [self.rule(n) for n in range(self.rng.choice((0, 1, 2, 5, 9)))]}
        out["map"] = {d: self.entry()
                      for d in self.rng.sample(MAPPED, self.rng.choice((0, 0, 1, 3, 6)))}
        out["starttls_never"], out["starttls_required"] = self.lists()
        if self.often(0.5):
            out["default_rule"] = {
                "sender": self.one(["required", "none", "optional", "optional"]),
                "recipient": self.one(["required", "none", "preferred", "allowed"])}
        if self.often(0.15):
            out["inbound"] = self.one(["may", "encrypt"])
        if self.often(0.3):
            out["outbound"] = self.one(["none", "may", "encrypt"])
        demands = any(r.get("sender") == "required" and r.get("enabled", True)
                      for r in [*out["rules"], out.get("default_rule", {})])
        out["tls_before_mail"] = demands and self.often(0.5)
        out["mirror_receiver"] = len(hops) == 1 and self.often(0.5)
        out["broken_tls"] = {"enabled": self.often(0.4), "ttl": 600}
        return out

    def configuration(self, base):
        """base with other routes, next hops and policy, and sometimes a blind listener."""
        hops = {f"h{n}": self.next_hop() for n in range(self.rng.choice((1, 2, 3, 4)))}
        conf = {**base, "next_hops": hops}
        routes = self.rng.sample(ROUTES, self.rng.randint(4, len(ROUTES)))
        conf["routes"] = [{"domain": d, "next_hop": self.one(list(hops))} for d in routes]
        conf["policy"] = self.policy(hops)
        listeners = [dict(ln) for ln in base["listeners"]]
        if self.often(0.05):
            listeners[0]["discard_keywords"] = ["STARTTLS"]
        elif self.often(0.05):
            listeners[0]["action"] = "blind"
        conf["listeners"] = listeners
        return conf

    def envelope(self, conf):
        """What a client says, and how it comes."""
        listener = self.one(["smtp", "smtp", "smtp", "smtp", "smtps", "machines"])
        tls = listener == "smtps" or (listener == "smtp" and self.often(0.5))
        known = [r["domain"].replace("*.", "in.") for r in conf["routes"] if r["domain"] != "*"]
        domain = self.one(RECIPIENTS + known)
        sender, local = self.one(SENDERS), self.one(["b", "B.C", '"a@b"', '"x y"'])
        case = self.one([str, str, str.upper])
        return {"listener": listener, "tls": tls, "client": self.one(list(CLIENTS)),
                "from": case(f"a@{sender}") if sender else "<>",
                "to": "postmaster" if self.often(0.03) else f"{local}@{case(domain)}"}


# ---- the model ----

def covers(pattern, name):
    """Does a name of the demand (".d": anything below d) cover one of the certificate?"""
    pattern, name = pattern.lower(), name.lower()
    return name.endswith(pattern) if pattern.startswith(".") else name == pattern


def state(conf, x, host, prints):
    """In which of explain's four states a host is for what is demanded of it; None: dead."""
    addr, port = host["address"].rsplit(":", 1)
    server = SERVERS.get((addr.strip("[]"), int(port)))
    hop = conf["next_hops"][x["next_hop"]]
    if server in (None, "none"):
        return {"none": "no_starttls"}.get(server)
    # Static RSA is what this server does not do.
    if server == "broken" or hop.get("pfs") == "none":
        return "broken"
    match = host["match"].split(",") if host["match"] else []
    if host["demand"] == "fingerprint":
        return "good" if server == "good" and set(match) & set(prints) else "untrusted"
    if host["demand"] in ("verify", "secure"):
        named = any(covers(m, n) for m in match for n in NAMES)
        return "good" if server == "good" and named else "untrusted"
    return server


DEAD = {"code": 451, "enhanced": "4.4.1"}


def rcpt(conf, x, prints):
    """(reply to RCPT, channel of the message, state of the host that decided)."""
    last = (x["replies"]["rcpt"], "", "")
    for host in x["hosts"]:
        st = state(conf, x, host, prints)
        if st is None and host["demand"] != "conflict":
            last = (DEAD, "", "dead")
            continue
        o = host["outcomes"][st or "good"]
        last = (o["rcpt"], o["channel"], st)
        if o["rcpt"]["code"] == 250:
            break
    return last
