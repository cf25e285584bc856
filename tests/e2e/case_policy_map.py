# SPDX-License-Identifier: BSD-3-Clause
"""The policy map and the global levels against real servers, P1-P9: Postfix and OpenSSL as next
hops, posttls-finger, postmap and tshark as witnesses."""

import copy
import itertools
import re

from dns import Dns
from harness import case
from outside import (Capture, Fleet, SServer, Swaks, certificate, check, ctl, exchanges, finger,
                     fingerprint, hosts, key_fingerprint, postmap, push, routed, suites)

UNTRUSTED = "451 4.7.5"
NOT_OFFERED = "451 4.7.4"


def to(domain):
    return f"b@{domain}"


def deliver(t, domain, *args):
    return Swaks(t, *args, to=to(domain))


def mail(t, domain):
    """What our own client is answered: 250, or the refusal of its recipient."""
    with t.client(ca=t.ca) as c:
        c.begin()
        c.cmd("MAIL FROM:<a@example.com>", 250)
        r = c.cmd(f"RCPT TO:<{to(domain)}>")
        if r.code != 250:
            return f"{r.code} {r.text}"
        c.cmd("DATA", 354)
        c.send(b"Subject: x\r\n\r\nx\r\n.\r\n")
        r = c.reply()
        c.quit()
        return f"{r.code} {r.text}"


# ---- levels against certificates (P1, P3, P4) ----

# What a server shows, by address; and what posttls-finger makes of it.
SERVERS = {"right": "192.0.2.21", "wrong": "192.0.2.22", "expired": "192.0.2.23",
           "foreign": "192.0.2.24", "plain": "192.0.2.25"}
LEVELS = ("none", "may", "encrypt", "verify", "secure", "fingerprint")


def make_servers(t):
    certificate(t, "wrong", "other.example.org")
    certificate(t, "expired", "mail.example.org", days=-1)
    certificate(t, "foreign", "mail.example.org", ca="foreign")
    return Fleet(t, {a: {"cert": "mail" if n == "right" else n} if n != "plain" else
                     {"smtpd_tls_security_level": "none"} for n, a in SERVERS.items()})


def expected(level, server):
    """(answer begins with, server_tls is none, verify)."""
    word = {"right": "verified", "wrong": "trusted"}.get(server, "untrusted")
    if level == "none" or (level == "may" and server == "plain"):
        return "250", True, "none"
    if server == "plain":
        return NOT_OFFERED, True, None
    if level in ("may", "encrypt"):
        # Nobody asked for a name: the best that can be said is that the chain is good.
        return "250", False, "trusted" if word == "verified" else word
    good = server == "right" if level != "fingerprint" else server in ("right", "expired")
    return ("250" if good else UNTRUSTED), False, None


@case(timeout=90)
def each_level_takes_the_certificates_that_posttls_finger_takes(t):
    fleet = make_servers(t)
    # Of a public key and of a certificate, for which time does not count: expired is right.
    prints = [key_fingerprint(t, "mail"), fingerprint(t, "expired")]
    next_hops, table = {}, {}
    for server, level in itertools.product(SERVERS, LEVELS):
        name = f"{server}-{level}.example"
        next_hops[name] = hosts((name, SERVERS[server], 25), ca_file=t.ca)
        entry = table[f"[{name}]"] = {"level": level}
        if level in ("verify", "secure"):
            entry["match"] = ["mail.example.org"]
        elif level == "fingerprint":
            entry["match"] = prints
    conf = routed(t.conf(), next_hops)
    conf["policy"] = {"map": table}
    t.gateway(conf)
    print(f"    {'':12}" + "".join(f"{lv:13}" for lv in LEVELS))
    for server, addr in SERVERS.items():
        row = []
        for level in LEVELS:
            code, clear, verify = expected(level, server)
            got = mail(t, f"{server}-{level}.example")
            assert got.startswith(code), (server, level, got)
            row.append(got[:9] if code != "250" else "250")
            if code == "250":
                line = t.gw.wait_log("status=sent", f"to=<{to(f'{server}-{level}.example')}>",
                                     f"demand={level}")
                assert ("server_tls=none" in line) == clear, line
                assert verify is None or f" verify={verify} " in line, line
            # The witness: what Postfix's client makes of the same server.
            names = {"fingerprint": prints}.get(level, ["mail.example.org"])
            seen = finger(t, level, addr, *names)
            if level in ("verify", "secure", "fingerprint"):
                assert (seen == "Verified") == (code == "250"), (server, level, seen)
            elif level == "encrypt":
                assert (seen is not None) == (code == "250"), (server, level, seen)
        print(f"    {server:12}" + "".join(f"{r:13}" for r in row))
    # The servers saw TLS where the log says so, and clear text where not.
    for level in ("may", "encrypt"):
        assert fleet.encrypted(SERVERS["foreign"]), level


@case(timeout=30)
def an_untrusted_certificate_is_accepted_at_may_and_logged(t):
    # P1's own check: s_server with a certificate of nobody. Nobody has a `level`.
    certificate(t, "self", "mail.example.org", ca="self")
    conf = routed(t.conf(), {"example.org": hosts(("mail.example.org", "192.0.2.21", 465))})
    conf["next_hops"]["example.org"]["tls"] = "implicit"
    t.gateway(copy.deepcopy(conf))
    hop = SServer(t, cert="self")
    s = Swaks(t)
    assert s.sent, s
    line = t.gw.wait_log("status=sent")
    assert " verify=untrusted " in line and f"server_cipher={hop.cipher}" in line, line
    assert " demand=may " in line, line
    SServer(t, cert="self", addr="192.0.2.22")
    conf["next_hops"]["example.org"].update(level="encrypt")
    conf["next_hops"]["example.org"]["hosts"][0]["address"] = "192.0.2.22"
    push(t, copy.deepcopy(conf))
    assert Swaks(t).sent
    conf["next_hops"]["example.org"].update(level="verify")
    conf["next_hops"]["example.org"]["hosts"][0]["address"] = "192.0.2.23"
    SServer(t, cert="self", addr="192.0.2.23")
    push(t, copy.deepcopy(conf))
    s = Swaks(t)
    assert s.refused and s.refused.startswith(UNTRUSTED), s


# Domain, its MX, the name in the certificate of that host, level, is it good?
DEFAULT_MATCHES = (
    ("va.example", "mx.va.example", "mx.va.example", "verify", True),
    ("vb.example", "mx.vb.example", "vb.example", "verify", False),
    # secure: an MX answer that nobody signed proves nothing.
    ("sa.example", "mx.provider.test", "mx.provider.test", "secure", False),
    ("sb.example", "mx.sb.test", "sb.example", "secure", True),
    ("sc.example", "mx.sc.test", "deep.mail.sc.example", "secure", True),
    ("sd.example", "mx.sd.test", "*.sd.example", "secure", True),
    ("se.example", "mx.se.test", "notse.example", "secure", False),
)


@case(timeout=40)
def names_that_nobody_gave_are_hostname_of_verify_and_nexthop_of_secure(t):
    zone, services = {}, {}
    for n, (domain, mx, name, _, _) in enumerate(DEFAULT_MATCHES):
        certificate(t, f"default-{n}", name)
        services[f"192.0.2.{21 + n}"] = {"cert": f"default-{n}"}
        zone[domain], zone[mx] = {"MX": [(10, mx)]}, {"A": [f"192.0.2.{21 + n}"]}
    Fleet(t, services)
    with Dns(zone=zone, ns=t.lab.gw) as dns:
        conf = t.conf()
        conf["dns"] = {"servers": [dns.server], "timeout": 3, "client_names": False}
        conf["next_hops"] = {"out": {"mx": True, "reuse": "off", "ca_file": t.ca}}
        conf["routes"] = [{"domain": "*", "next_hop": "out"}]
        conf["policy"] = {"map": {d: {"level": lv} for d, _, _, lv, _ in DEFAULT_MATCHES}}
        t.gateway(conf)
        for domain, mx, name, level, good in DEFAULT_MATCHES:
            got = mail(t, domain)
            assert got.startswith("250" if good else UNTRUSTED), (domain, level, name, got)
            # posttls-finger, told the same names.
            names = [mx] if level == "verify" else [domain, "." + domain]
            addr = zone[mx]["A"][0]
            assert (finger(t, "secure", addr, *names) == "Verified") == good, (domain, names)


# ---- keys (P2, P5) ----

@case(timeout=40)
def the_scenario_of_the_source_ciphermail_and_tls_example_com(t):
    certificate(t, "cm", "mail.ciphermail.com")
    certificate(t, "alt", "alternative.com")
    certificate(t, "own", "tls.example.com")
    fleet = Fleet(t, {"192.0.2.21": {"cert": "cm"}, "192.0.2.22": {"cert": "alt"},
                      "192.0.2.23": {"cert": "own"}})
    with Dns(zone={"ciphermail.com": {"MX": [(10, "mail.ciphermail.com")]},
                   "mail.ciphermail.com": {"A": ["192.0.2.21"]},
                   "tls.example.com": {"A": ["192.0.2.22"]},
                   # The same domain in the wrong hands.
                   "tls2.example.com": {"A": ["192.0.2.23"]}}, ns=t.lab.gw) as dns:
        conf = t.conf()
        conf["dns"] = {"servers": [dns.server], "timeout": 3, "client_names": False}
        conf["next_hops"] = {
            "out": {"mx": True, "reuse": "off", "ca_file": t.ca},
            "transport": hosts(("tls.example.com", None, 25), ca_file=t.ca),
            "same-host": hosts(("tls.example.com", "192.0.2.23", 25), ca_file=t.ca)}
        conf["routes"] = [{"domain": "*", "next_hop": "out"},
                          {"domain": "other.com", "next_hop": "transport"},
                          {"domain": "third.com", "next_hop": "same-host"}]
        t.gateway(conf)
        path = f"{t.lab.dir}/tls_policy"
        with open(path, "w", encoding="ascii") as f:
            f.write("# of the source\nciphermail.com verify\n"
                    "[tls.example.com]\tverify\n  match=alternative.com\n")
        code, out = ctl(t, "policy", "import", path)
        assert code == 0, out
        s = deliver(t, "ciphermail.com")
        assert s.sent and fleet.encrypted("192.0.2.21"), s
        line = t.gw.wait_log("to=<b@ciphermail.com>", "status=sent")
        assert "nexthop=mail.ciphermail.com[192.0.2.21:25]" in line and "verify=verified" in line
        s = deliver(t, "other.com")
        assert s.sent and fleet.encrypted("192.0.2.22"), s
        line = t.gw.wait_log("to=<b@other.com>", "status=sent")
        assert "nexthop=tls.example.com[192.0.2.22:25]" in line and "verify=verified" in line
        # "will only be established if the TLS certificate was issued to alternative.com": its own
        # name is not enough.
        s = deliver(t, "third.com")
        assert s.refused and s.refused.startswith(UNTRUSTED), s
        # Another domain by the same MX has no policy: looked up is the next hop, not the host.
        dns.set("other2.example", {"MX": [(10, "tls2.example.com")]})
        assert deliver(t, "other2.example").sent


TABLE = """\
# A table as Postfix has it.
example.com          secure match=nexthop:.example.net:mx.example.org
.example.com         encrypt protocols=>=TLSv1.3
[mail.example.net]   verify match=alternative.com ciphers=high
[mail.example.net]:587  encrypt
    exclude=aNULL:3DES
example.org:465      may
[192.0.2.25]         none
[127.0.0.1]:10025    none
# Of two entries for one destination Postfix takes the first, and says so.
[192.0.2.25]         encrypt
prints.example       fingerprint
    match=AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99
"""
# Destinations that are asked for; Postfix's client asks for the parents of a bare domain itself.
ASKED = ("example.com", "sub.example.com", "a.b.example.com", "example.com:587", "example.net",
         "[mail.example.net]", "[mail.example.net]:587", "[mail.example.net]:465",
         "mail.example.net", "example.org", "example.org:465", "[192.0.2.25]", "[127.0.0.1]:10025",
         "[127.0.0.1]", "prints.example", "EXAMPLE.com", "com")


def postfix_keys(destination):
    """What Postfix's SMTP client looks for: a key with brackets or a port once, as it is written;
    a bare domain with its parents."""
    keys = [destination.lower()]
    if "[" not in destination and ":" not in destination:
        labels = keys[0].split(".")
        keys += ["." + ".".join(labels[i:]) for i in range(1, len(labels))]
    return keys


def attributes(line):
    """Level and attributes of a policy line, without regard to their order."""
    words = line.split()
    return words[0], sorted(w.lower() for w in words[1:])


@case(timeout=40)
def an_imported_table_answers_as_postmap_does(t):
    t.gateway(t.conf(level="may"))
    path = f"{t.lab.dir}/tls_policy"
    with open(path, "w", encoding="ascii") as f:
        f.write(TABLE)
    before = t.gw.call("config.show")
    code, out = ctl(t, "policy", "import", "--dry-run", path)
    assert code == 0 and t.gw.call("config.show") == before, out
    code, out = ctl(t, "policy", "import", path)
    assert code == 0 and "same destination again" in out, out
    found = postmap(t, path, [k for d in ASKED for k in postfix_keys(d)])
    assert len(found) == 8, found
    for destination in ASKED:
        want = next((found[k] for k in postfix_keys(destination) if k in found), None)
        code, out = ctl(t, "policy", "show", destination)
        if want is None:
            assert code != 0, (destination, out)
            continue
        assert code == 0, (destination, out)
        assert attributes(out) == attributes(want), (destination, out, want)
    # The one deviation: the port that SMTP has anyway.
    for destination in ("example.com:25", "[mail.example.net]:25"):
        code, out = ctl(t, "policy", "show", destination)
        assert code == 0, (destination, out)


@case(timeout=20)
def a_table_with_a_fault_changes_nothing_and_names_its_line(t):
    t.gateway(t.conf(level="may"))
    path = f"{t.lab.dir}/tls_policy"
    good = "example.com secure\n"
    with open(path, "w", encoding="ascii") as f:
        f.write(good)
    assert ctl(t, "policy", "import", path)[0] == 0
    generation = t.gw.call("status")["generation"]
    for bad, word in (("example.net secure\nexample.com sekure\n", "sekure"),
                      ("example.net verify match\n", "match"),
                      ("example.net verify frobnicate=1\n", "frobnicate"),
                      ("example.net dane\n", "dane")):
        with open(path, "w", encoding="ascii") as f:
            f.write(bad)
        code, out = ctl(t, "policy", "import", path)
        assert code != 0 and word in out, (bad, out)
        assert t.gw.call("status")["generation"] == generation
        code, out = ctl(t, "policy", "show", "example.com")
        assert code == 0 and "secure" in out, out
        assert ctl(t, "policy", "show", "example.net")[0] != 0


# ---- attributes, as they leave (P4) ----

@case(timeout=40)
def tshark_sees_protocols_ciphers_exclude_and_servername_in_our_client_hello(t):
    at = {"plainest": "192.0.2.21", "old": "192.0.2.22", "new": "192.0.2.23",
          "picky": "192.0.2.24", "named": "192.0.2.25", "nexthop": "192.0.2.26"}
    hops = {n: t.hop(addr=a) for n, a in at.items()}
    zone = {"nexthop.example": {"MX": [(10, "mx.nexthop.test")]},
            "mx.nexthop.test": {"A": [at["nexthop"]]}}
    with Dns(zone=zone, ns=t.lab.gw) as dns:
        conf = routed(t.conf(), {f"{n}.example": hosts((f"mx.{n}.example", a, 25))
                                 for n, a in at.items() if n != "nexthop"})
        conf["dns"] = {"servers": [dns.server], "timeout": 3, "client_names": False}
        conf["next_hops"]["nexthop.example"] = {"mx": True, "reuse": "off"}
        conf["routes"].append({"domain": "nexthop.example", "next_hop": "nexthop.example"})
        conf["policy"] = {"map": {
            "[mx.old.example]": {"level": "encrypt", "protocols": "<=TLSv1.2"},
            "[mx.new.example]": {"level": "encrypt", "protocols": "!TLSv1.2"},
            "[mx.picky.example]": {"level": "may", "protocols": "TLSv1.2:TLSv1.3",
                                   "ciphers": "high", "exclude": "kRSA, AES256"},
            "[mx.named.example]": {"level": "encrypt", "servername": "sni.example.net"},
            "nexthop.example": {"level": "encrypt", "servername": "nexthop"}}}
        t.gateway(conf)
        with Capture(t) as capture:
            for domain in conf["next_hops"]:
                assert deliver(t, domain).sent, domain
            hellos = {n: capture.hellos()[a][0] for n, a in at.items()}
    both, names = [0x0303, 0x0304], {n: [suites()[c][0] for c in h["suites"]]
                                     for n, h in hellos.items()}
    for name, versions in (("plainest", both), ("old", [0x0303]), ("new", [0x0304]),
                           ("picky", both)):
        assert sorted(hellos[name]["versions"]) == versions, hellos[name]
    assert exchanges(hellos["old"]) == {"ECDH", "RSA"} and exchanges(hellos["new"]) == {"any"}
    # What is excluded was there before. TLS 1.3's suites are not of the list.
    for gone in ("kRSA", "AES256"):
        def hit(n, gone=gone):
            return [c for c in names[n] if not c.startswith("TLS_") and
                    (gone in c if gone == "AES256" else dict(suites().values())[c] == "RSA")]
        assert hit("plainest") and not hit("picky"), names
    for name, sni in (("plainest", "mx.plainest.example"), ("named", "sni.example.net"),
                      ("nexthop", "nexthop.example")):
        assert hellos[name]["sni"] == sni, hellos[name]
        # And the server heard it so.
        assert hops[name].snis == [sni], hops[name].snis


# ---- global levels (P6-P8) ----

@case(timeout=30)
def inbound_encrypt_lets_nothing_but_the_way_to_tls_pass_in_clear(t):
    conf = t.conf(level="may")
    t.gateway(copy.deepcopy(conf))
    assert Swaks(t).sent
    conf["policy"] = {"inbound": "encrypt"}
    push(t, copy.deepcopy(conf))
    s = Swaks(t)
    assert s.refused and s.refused.startswith("530 5.7.0"), s
    assert Swaks(t, "--tls").sent and Swaks(t, "--tls-on-connect", port=465).sent
    with t.client() as c:
        c.ehlo()
        for line, code in (("NOOP", 250), ("RSET", 250), ("MAIL FROM:<>", 530), ("HELP", 530),
                           ("VRFY x", 530), ("DATA", 530), ("BDAT 0 LAST", 530), ("EXPN x", 530),
                           ("EHLO again.example.com", 250), ("QUIT", 221)):
            assert c.cmd(line).code == code, line
    code, out = check(t, conf)
    assert code == 0 and "/policy/inbound" in out and "warning" in out.lower(), out


@case(timeout=40)
def outbound_encrypt_spares_the_next_hop_that_the_map_exempts(t):
    # Two services that offer STARTTLS, one that does not; the exemption is for a port.
    fleet = Fleet(t, {"192.0.2.21:10025": {"cert": "mail"}, "192.0.2.21:25": {"cert": "mail"},
                      "192.0.2.22": {"smtpd_tls_security_level": "none"}})
    conf = routed(t.conf(), {
        "inner.example": hosts(("192.0.2.21", "192.0.2.21", 10025)),
        "outer.example": hosts(("192.0.2.21", "192.0.2.21", 25)),
        "clear.example": hosts(("clear.example", "192.0.2.22", 25)),
        "local.example": hosts(("127.0.0.1", "127.0.0.1", 10025))})
    for hop in ("inner.example", "outer.example", "local.example"):
        conf["next_hops"][hop]["hosts"][0].pop("name")
    conf["policy"] = {"outbound": "encrypt",
                      "map": {"[192.0.2.21]:10025": {"level": "none"},
                              "[127.0.0.1]:10025": {"level": "none"}}}
    t.gateway(copy.deepcopy(conf))
    for domain in ("inner.example", "outer.example"):
        assert deliver(t, domain).sent
    assert not fleet.said("192.0.2.21:10025", "TLS connection"), fleet.log()
    assert fleet.encrypted("192.0.2.21:25"), fleet.log()
    s = deliver(t, "clear.example")
    assert s.refused and s.refused.startswith(NOT_OFFERED), s
    # The source's own key: nothing of the lab listens there, so it is asked for.
    code, out = ctl(t, "explain", "--from", "a@example.com", "--to", "b@local.example")
    assert code == 0 and re.search(r"host .*\[127\.0\.0\.1:10025\] demand=none", out), out
    # P8, and what it warns of.
    code, out = check(t, conf)
    assert code == 0 and "/policy/outbound" in out, out
    conf["policy"]["outbound"] = "may"
    push(t, copy.deepcopy(conf))
    assert deliver(t, "clear.example").sent
    code, out = check(t, conf)
    assert code == 0 and "/policy/outbound" not in out, out
