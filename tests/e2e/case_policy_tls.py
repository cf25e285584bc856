# SPDX-License-Identifier: BSD-3-Clause
"""Listeners and TLS profiles as others see them: W1-W5, W10-W12, S1."""

import copy
import re

from harness import case
from lablib import HOP4, run
from outside import (IMPLICIT, STARTTLS, Capture, Swaks, SServer, certificate, check, cipher_of,
                     ctl, exchanges, hosts, nmap, push, routed, s_client, sslscan, suites,
                     talks, testssl)


def one_listener(conf, support):
    """The lab's two listeners as one with `tls_support`."""
    conf["listeners"] = [{"name": "smtp", "address": "any", "port": 25, "implicit_port": 465,
                          "tls_support": support, "action": "inbound",
                          "hostname": "mx.example.org"}]
    return conf


@case(timeout=60)
def tls_support_is_which_ports_nmap_finds_open(t):
    conf = one_listener(t.conf(level="may"), "enabled")
    opened, closed = ("open", "syn-ack"), ("closed", "reset")
    t.gateway(conf)
    assert nmap(t, 25, 465, 587) == {25: opened, 465: opened, 587: closed}
    assert talks(s_client(t, *STARTTLS)) and talks(s_client(t, *IMPLICIT))
    push(t, one_listener(t.conf(level="may"), "disabled"))
    assert nmap(t, 25, 465) == {25: opened, 465: closed}
    # Disabled is about the port of implicit TLS: STARTTLS is the action's.
    assert talks(s_client(t, *STARTTLS))
    code, out = ctl(t, "action", "show", "inbound")
    assert code == 0 and re.search(r"^listener smtp\s+tls_support=disabled\s.*!", out, re.M), out
    push(t, one_listener(t.conf(level="may"), "required"))
    assert nmap(t, 25, 465) == {25: closed, 465: opened}
    s = Swaks(t, "--tls-on-connect", port=465)
    assert s.sent, s
    # "SMTP proxy listens on ports 25 and 465 (default)": who says nothing has both.
    conf["listeners"] = [{"name": "smtp", "action": "inbound", "hostname": "mx.example.org"}]
    push(t, conf)
    assert nmap(t, 25, 465) == {25: opened, 465: opened}
    push(t, one_listener(t.conf(level="may"), "required"))
    code, out = ctl(t, "action", "show", "inbound")
    assert re.search(r"^listener smtp\s+tls_support=required\s", out, re.M) and "!" not in out, out


@case(timeout=30)
def without_inspection_starttls_is_not_offered_and_mail_goes_on_in_clear(t):
    conf = routed(t.conf(), {"example.org": hosts(("mail.example.org", HOP4, 25))})
    conf["listeners"].pop()
    t.gateway(copy.deepcopy(conf))
    s = Swaks(t, "--tls", "--header", "Subject: w1-inspected")
    assert s.offered and s.sent, s
    assert b"using TLS" in t.lab.postfix.wait_stored("w1-inspected").split(b"Subject:")[0]
    conf["actions"]["inbound"]["inspect"] = False
    push(t, copy.deepcopy(conf))
    s = Swaks(t, "--tls")
    assert not s.offered and not s.sent and "STARTTLS" in s.out, s
    with t.client() as c:
        c.ehlo()
        r = c.cmd("STARTTLS", 502)
        assert "5.5.1" in r.text, r
    # The next hop offers STARTTLS, and nobody asks for it.
    s = Swaks(t, "--header", "Subject: w1-plain")
    assert s.sent, s
    assert b"using TLS" not in t.lab.postfix.wait_stored("w1-plain")
    line = t.gw.wait_log("status=sent", "server_tls=none")
    assert "client_tls=none" in line, line
    # Who demands it all the same is told so; a next hop that always has TLS is asked nothing.
    conf["next_hops"]["example.org"]["level"] = "encrypt"
    conf["next_hops"]["example.net"] = hosts(("mail.example.org", HOP4, 465), tls="implicit",
                                             level="encrypt")
    conf["routes"].append({"domain": "example.net", "next_hop": "example.net"})
    push(t, copy.deepcopy(conf))
    s = Swaks(t)
    assert s.refused and s.refused.startswith("451 4.7.5"), s
    t.gw.wait_log("policy_conflict")
    assert Swaks(t, to="b@example.net").sent
    # What depends on it: a warning for what has no effect, an error for what cannot be met.
    code, out = check(t, conf)
    assert code == 0 and "/actions/inbound/starttls_profile" in out and "no effect" in out, out
    conf["policy"] = {"rules": [{"id": "r", "from": "*", "to": "*", "sender": "required"}]}
    code, out = check(t, conf)
    assert code == 1 and "/policy/rules/0/sender" in out, out
    conf.pop("policy")
    conf["listeners"][0].update(tls="implicit", port=465)
    code, out = check(t, conf)
    assert code == 1 and "/listeners/0/tls" in out and "inspect" in out, out


@case(timeout=30)
def a_listener_without_a_usable_certificate_is_refused(t):
    certificate(t, "gone-by", "mx.example.org", days=-1)
    for support in ("enabled", "required"):
        conf = one_listener(t.conf(), support)
        conf["tls_profiles"]["mx"] = {"certificates": []}
        code, out = check(t, conf)
        assert code == 1 and "certificate" in out, out
        conf = one_listener(t.conf(), support)
        conf["certificates"]["mx-rsa"]["key"] = f"{t.lab.dir}/certs/mx-ecdsa.key"
        code, out = check(t, conf)
        assert code == 1 and "/certificates/mx-rsa" in out, out
        conf = one_listener(t.conf(), support)
        conf["certificates"]["mx-rsa"] = {"chain": f"{t.lab.dir}/certs/gone-by.crt",
                                          "key": f"{t.lab.dir}/certs/gone-by.key"}
        code, out = check(t, conf)
        assert code == 1 and "/certificates/mx-rsa" in out and "expired" in out, out
        conf = one_listener(t.conf(), support)
        conf["actions"]["inbound"] = {"inspect": False}
        code, out = check(t, conf)
        assert code == 1 and "/listeners/0" in out, out


@case(timeout=30)
def the_action_drop_resets_who_begins_with_tls(t):
    conf = t.conf(level="may")
    t.gateway(conf)
    assert talks(s_client(t, *IMPLICIT))
    conf["actions"]["inbound"]["tls_action"] = "drop"
    push(t, conf)
    out = s_client(t, *IMPLICIT)
    assert "errno=104" in out and "New, TLS" not in out, out
    assert talks(s_client(t, *STARTTLS))
    code, out = ctl(t, "action", "show", "inbound")
    assert code == 0 and "drop" in out, out
    assert re.search(r"^listener smtp\s+tls=starttls\s+ports 25$", out, re.M), out
    assert re.search(r"^listener smtps\s+tls=implicit\s+ports 465$", out, re.M), out


@case(timeout=30)
def a_shared_profile_is_changed_once_and_both_listeners_follow(t):
    t.gateway(t.conf(level="may"))
    old = ("-tls1_2",)
    for where in (STARTTLS, IMPLICIT):
        assert talks(s_client(t, *where, *old))
    code, out = ctl(t, "profile", "set", "mx", "min=1.3")
    assert code == 0 and "generation 2" in out, out
    for where in (STARTTLS, IMPLICIT):
        out = s_client(t, *where, *old)
        assert "alert protocol version" in out and not talks(out), out
        assert talks(s_client(t, *where, "-tls1_3"))
    # Two of an action's own: one behind STARTTLS, one for implicit TLS.
    conf = t.conf(level="may")
    conf["tls_profiles"]["new"] = {"certificates": ["mx-ecdsa"], "min": "1.3"}
    conf["actions"]["inbound"]["implicit_profile"] = "new"
    push(t, conf)
    assert talks(s_client(t, *STARTTLS, *old)) and not talks(s_client(t, *IMPLICIT, *old))


@case(timeout=30)
def client_certificates_are_asked_for_as_the_profile_says(t):
    d = f"{t.lab.dir}/certs"
    certificate(t, "sender", "sender.example.com")
    certificate(t, "stranger", "sender.example.com", ca="foreign")
    certificate(t, "late", "sender.example.com", days=-1)
    conf = t.conf(level="may")
    good, bad, late = (("-cert", f"{d}/{n}.crt", "-key", f"{d}/{n}.key")
                       for n in ("sender", "stranger", "late"))
    # What s_client's certificate leads to, by the profile's word.
    table = {"off": {(): True, good: True, bad: True},
             "optional": {(): True, good: True, bad: False, late: False},
             "required": {(): False, good: True, bad: False, late: False}}
    t.gateway(copy.deepcopy(conf))
    for word, expected in table.items():
        profile = conf["tls_profiles"]["mx"]
        profile["client_certificate"] = word
        if word != "off":
            profile["client_ca_file"] = t.ca
        push(t, copy.deepcopy(conf))
        for cert, ok in expected.items():
            for version in ("-tls1_2", "-tls1_3"):
                out = s_client(t, *IMPLICIT, version, *cert)
                assert talks(out) == ok, (word, cert, version, out)
                asked = "Acceptable client certificate CA names" in out
                assert asked == (word != "off"), (word, cert, out)
                if not ok:
                    assert re.search(r"alert (certificate required|handshake failure|unknown ca|"
                                     r"certificate expired|bad certificate)", out), out
    assert talks(s_client(t, *STARTTLS, *good))


# ---- protocol versions (W5) ----

OLD = ("SSLv2", "SSLv3", "TLSv1.0", "TLSv1.1")


@case(timeout=60)
def sslscan_finds_the_protocol_floor(t):
    conf = t.conf(level="may")
    t.gateway(copy.deepcopy(conf))
    for port in (25, 465):
        protocols, _ = sslscan(t, port)
        assert protocols == {**dict.fromkeys(OLD, False), "TLSv1.2": True, "TLSv1.3": True}, protocols
    legacy = ("-tls1", "-cipher", "ALL:@SECLEVEL=0")
    out = s_client(t, *IMPLICIT, *legacy)
    assert "alert protocol version" in out and not talks(out), out
    # An opt-in, with a loud warning.
    conf["tls_profiles"]["mx"]["min"] = "1.0"
    code, out = check(t, conf)
    assert code == 0 and "/tls_profiles/mx/min" in out and "broken" in out, out
    push(t, copy.deepcopy(conf))
    protocols, _ = sslscan(t, 465)
    assert protocols == {"SSLv2": False, "SSLv3": False, "TLSv1.0": True, "TLSv1.1": True,
                         "TLSv1.2": True, "TLSv1.3": True}, protocols
    for where in (STARTTLS, IMPLICIT):
        out = s_client(t, *where, *legacy)
        assert talks(out) and cipher_of(out)[0] == "TLSv1", out


@case(timeout=30)
def an_old_next_hop_gets_tls_10_only_if_it_is_allowed_to(t):
    t.gateway(t.conf([("192.0.2.21", 465)], tls="implicit", reuse="off", level="encrypt"))
    old = ("-tls1", "-cipher", "ALL:@SECLEVEL=0")
    SServer(t, *old)
    s = Swaks(t)
    assert s.refused and s.refused.startswith("451 4.7.5"), s
    conf = t.conf([("192.0.2.22", 465)], tls="implicit", reuse="off", level="encrypt", min="1.0")
    hop = SServer(t, *old, addr="192.0.2.22")
    code, out = check(t, conf)
    assert code == 0 and "/next_hops/inside/min" in out and "broken" in out, out
    push(t, conf)
    assert Swaks(t).sent and hop.cipher, hop.out
    assert "server_tls=TLSv1 " in t.gw.wait_log("status=sent")


@case(timeout=10)
def sslv2_and_sslv3_are_errors_that_name_the_library(t):
    library = run("openssl", "version").split()[1]
    for key in ("allow_sslv3", "allow_sslv2"):
        for section, name in (("tls_profiles", "mx"), ("next_hops", "inside")):
            conf = t.conf()
            conf[section][name][key] = True
            code, out = check(t, conf)
            assert code == 1 and f"/{section}/{name}/{key}" in out, out
            assert "unsupported_by_crypto_library" in out and library in out, out
            # What it is without being said may be said.
            conf[section][name][key] = False
            assert check(t, conf)[0] == 0


@case(timeout=290)
def testssl_finds_neither_ssl_nor_old_tls(t):
    t.gateway(t.conf(level="may"))
    found = testssl(t, "-p")
    for old in ("SSLv2", "SSLv3", "TLS1", "TLS1_1"):
        assert found[old].startswith("not offered"), found
    assert found["TLS1_2"].startswith("offered") and found["TLS1_3"].startswith("offered"), found


@case(timeout=290, long=True)
def testssl_finds_no_weakness_on_either_port(t):
    t.gateway(t.conf(level="may"))
    for port in (25, 465):
        found = testssl(t, "-p", "-s", "-f", "-S", port=port)
        for old in ("SSLv2", "SSLv3", "TLS1", "TLS1_1"):
            assert found[old].startswith("not offered"), (port, found)
        weak = {k: v for k, v in found.items() if k.startswith("cipherlist_")
                and k not in ("cipherlist_STRONG_NOFS", "cipherlist_STRONG_FS",
                              "cipherlist_STRONG", "cipherlist_AVERAGE", "cipherlist_OBSOLETED")}
        assert weak and all(v.startswith("not offered") for v in weak.values()), (port, weak)


# ---- forward secrecy (W10, W11) ----

def kinds(ciphers):
    """Key exchanges among OpenSSL names: "any" is TLS 1.3's."""
    by_name = dict(suites().values())
    return {by_name[c] for _, c in ciphers}


@case(timeout=60)
def sslscan_lists_the_key_exchanges_of_each_pfs_mode(t):
    conf = t.conf(level="may")
    t.gateway(copy.deepcopy(conf))
    expected = {"none": {"RSA"}, "allowed": {"any", "ECDH", "RSA"}, "required": {"any", "ECDH"}}
    for mode, want in expected.items():
        conf["tls_profiles"]["mx"]["sender"] = {"pfs": mode}
        push(t, copy.deepcopy(conf))
        for port in (25, 465) if mode == "none" else (465,):
            protocols, ciphers = sslscan(t, port, "--no-groups")
            assert kinds(ciphers) == want, (mode, port, ciphers)
            assert protocols["TLSv1.3"] == (mode != "none") and protocols["TLSv1.2"], protocols
        for kind, args in (("RSA", ("-tls1_2", "-cipher", "AES128-GCM-SHA256")),
                           ("ECDH", ("-tls1_2", "-cipher", "ECDHE")),
                           ("any", ("-tls1_3",)),
                           # FFDHE never, of neither version.
                           ("DH", ("-tls1_2", "-cipher", "DHE")),
                           ("FFDHE", ("-tls1_3", "-groups", "ffdhe2048:ffdhe3072"))):
            out = s_client(t, *STARTTLS, *args)
            assert talks(out) == (kind in want), (mode, kind, out)
    # Static RSA needs an RSA key.
    conf["tls_profiles"]["mx"].update(certificates=["mx-ecdsa"], sender={"pfs": "none"})
    code, out = check(t, conf)
    assert code == 1 and "/tls_profiles/mx" in out and "RSA" in out, out


@case(timeout=40)
def tshark_sees_the_pfs_mode_in_our_client_hello(t):
    at = {"none": "192.0.2.21", "allowed": "192.0.2.22", "required": "192.0.2.23"}
    for addr in at.values():
        t.hop(addr=addr)
    profiled = t.hop(addr="192.0.2.24", port=465, tls="implicit")
    conf = routed(t.conf(), {f"{m}.example": hosts((f"{m}.example", a, 25), pfs=m)
                             for m, a in at.items()})
    # The profile's word counts where the next hop has none, and comes in by the listener.
    conf["next_hops"]["profile.example"] = hosts(("profile.example", profiled.addr, 465))
    conf["next_hops"]["profile.example"]["tls"] = "implicit"
    conf["routes"].append({"domain": "profile.example", "next_hop": "profile.example"})
    conf["tls_profiles"]["mx"]["recipient"] = {"pfs": "required"}
    t.gateway(conf)
    with Capture(t) as capture:
        for domain in conf["next_hops"]:
            s = Swaks(t, to=f"b@{domain}")
            # A Python server has no RSA key here, so static RSA cannot succeed.
            assert s.sent == (domain != "none.example"), s
        hellos = capture.hellos()
    for addr, want, newest in ((at["none"], {"RSA"}, 0x0303),
                               (at["allowed"], {"RSA", "ECDH", "any"}, 0x0304),
                               (at["required"], {"ECDH", "any"}, 0x0304),
                               (profiled.addr, {"ECDH", "any"}, 0x0304)):
        for hello in hellos[addr]:
            assert exchanges(hello) == want, (addr, hello)
            assert max(hello["versions"]) == newest and min(hello["versions"]) == 0x0303, hello
            # RFC 7919: 256 and above are finite fields.
            assert not any(256 <= g < 512 for g in hello["groups"]), hello
            assert bool(hello["groups"]) == (want != {"RSA"}), hello


@case(timeout=20)
def a_model_without_forward_secrecy_refuses_other_than_none(t):
    conf = t.conf()
    code, out = check(t, conf, "--model", "generic")
    assert code == 0, out
    for model in ("T10", "T30", "T50", "XTM25", "XTM26", "XTM33"):
        code, out = check(t, conf, "--model", model)
        assert code == 1 and model in out, out
        assert "/tls_profiles/mx/sender/pfs" in out and "/tls_profiles/mx/recipient/pfs" in out, out
    code, out = check(t, conf, "--model", "T1000")
    assert code == 1 and "T1000" in out, out
    conf["tls_profiles"]["mx"].update(sender={"pfs": "none"}, recipient={"pfs": "none"})
    code, out = check(t, conf, "--model", "T10")
    assert code == 0, out
    conf["model"] = "T10"
    t.gateway(conf, args=("--model", "T10"))
    out = s_client(t, *IMPLICIT)
    version, cipher = cipher_of(out)
    assert talks(out) and version == "TLSv1.2" and kinds([("", cipher)]) == {"RSA"}, out
    # Either name of a channel: the peer's, or what it is for mail.
    for key in ("sender.pfs", "client.pfs", "recipient.pfs", "server.pfs"):
        code, out = ctl(t, "profile", "set", "mx", f"{key}=allowed")
        assert code != 0 and "T10" in out, out


# ---- what the log says (W12) ----

@case(timeout=30)
def the_log_has_the_ciphers_that_s_client_and_s_server_saw(t):
    pairs = ((("-tls1_2", "-cipher", "ECDHE-RSA-AES256-GCM-SHA384"), ("-tls1_3",)),
             (("-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"),
              ("-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305")))
    conf = t.conf([("192.0.2.21", 465)], tls="implicit", level="may", reuse="off")
    t.gateway(conf)
    for i, (client, server) in enumerate(pairs):
        hop = SServer(t, *server)
        out = s_client(t, *IMPLICIT, *client, say=(
            "EHLO c.example.com", f"mail from:<a{i}@example.com>", "rcpt to:<b@example.org>",
            "data", "x\n.", "quit"))
        assert "250 2.0.0 taken" in out or "2.0.0" in out, out
        line = t.gw.wait_log("status=sent", f"from=<a{i}@example.com>")
        said = dict(re.findall(r"(\w+)=(\S+)", line))
        names = cipher_of(out)[1], hop.cipher
        assert (said["client_tls"], said["client_cipher"]) == cipher_of(out), (said, out)
        assert said["server_cipher"] == names[1], (said, hop.out)
        assert said["server_tls"] == ("TLSv1.3" if i == 0 else "TLSv1.2"), said
        table = {m[1]: m[0] for m in re.findall(
            r"^(\S+) +- (\S+) ", run("openssl", "ciphers", "-stdname", "ALL"), re.M)}
        assert [said["client_iana"], said["server_iana"]] == [table[n] for n in names], said
        assert "Server Temp Key: X25519" in out, out
        assert said["client_group"] == said["server_group"] == "x25519", said
        assert [said["client_bits"], said["server_bits"]] == (
            ["256", "128"] if i == 0 else ["128", "256"]), said
        assert said["client_resumed"] == said["resumed"] == "0", said
        # RFC 8314 7.4: the Received field has the registered name.
        iana = re.search(r"\n\ttls (\S+?);?\s", hop.out)
        assert iana and iana.group(1) == table[names[0]], hop.out
