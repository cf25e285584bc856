# SPDX-License-Identifier: BSD-3-Clause
"""What cannot start says why, where, and leaves nothing behind."""

import contextlib
import copy
import json
import os
import socket
import subprocess
import tempfile

from harness import Skip, case
from lablib import LabError, run

BODY = b"Subject: x\r\n\r\nhello\r\n"


def traces(t):
    """What a start may leave: interfaces of its namespace, namespaces, files in the lab's
    directory, processes."""
    links = run("ip", "-n", t.lab.gw, "-br", "link").split("\n")
    pids = run("ip", "netns", "pids", t.lab.gw, check=False).split()
    return {ln.split()[0] for ln in links if ln} | set(os.listdir(t.lab.dir)) | set(pids) | {
        n for n in os.listdir("/run/netns") if n.startswith(t.lab.name)}


def own(conf):
    """A configuration that shares nothing with a running gateway."""
    conf = copy.deepcopy(conf)
    conf["dataplane"]["ports"][0]["iface"] = "lan8"
    for section, key in (("log", "file"), ("control", "socket")):
        conf[section][key] += ".2"
    return conf


def start(t, conf, timeout=30):
    """Runs a gateway that is not meant to come up: (exit status, output)."""
    path = f"{t.lab.dir}/start.json"
    with open(path, "w", encoding="utf-8") as f:
        json.dump(conf, f)
    try:
        p = subprocess.run(["ip", "netns", "exec", t.lab.gw,
                            f"{t.lab.build}/app/postern/postern", "-c", path],
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                           stderr=subprocess.STDOUT, timeout=timeout)
    finally:
        os.unlink(path)
    return p.returncode, p.stdout


def refused(t, conf, *words):
    """Exit status 1, a message with these words on one line, and no trace."""
    before = traces(t)
    status, out = start(t, conf)
    with contextlib.suppress(OSError):
        with open(conf["log"]["file"], encoding="utf-8") as f:
            out += f.read()  # what was said after the log was open
        if conf["log"]["file"] not in before:
            os.unlink(conf["log"]["file"])  # of all traces the log is the one to keep
    line = next((ln for ln in out.splitlines() if all(w in ln for w in words)), None)
    assert line, f"no line with {words}: {out}"
    assert len(line) < 400, line
    assert status == 1, f"exit {status}: {out}"
    assert traces(t) == before, traces(t) ^ before
    t.note(line.removeprefix("postern: ").replace(t.lab.dir, "DIR"))


def faulty(t, change, *words):
    """The lab's configuration with one change."""
    conf = own(t.conf([("192.0.2.21", 25)]))
    change(conf)
    refused(t, conf, *words)


@case(timeout=60)
def a_second_instance_says_whose_socket_it_is(t):
    t.scripted()
    conf = own(t.gw.conf)
    conf["control"]["socket"] = t.gw.conf["control"]["socket"]
    refused(t, conf, conf["control"]["socket"], "in use")
    # The first did not notice: neither its socket nor its mail.
    assert t.gw.call("status")["pid"]
    with t.client(ca=t.ca) as c:
        c.begin()
        assert c.mail("a@example.com", ["b@example.org"], BODY).code == 250


@case(timeout=60)
def a_stale_socket_is_taken_over(t):
    h = t.hop()
    conf = t.conf([(h.addr, h.port)])
    s = socket.socket(socket.AF_UNIX)
    s.bind(conf["control"]["socket"])
    s.close()  # the file stays, nobody answers
    t.gateway(conf)
    assert t.gw.call("status")["pid"]
    assert t.gw.stop() == 0
    assert not os.path.exists(conf["control"]["socket"])


@case(timeout=60)
def a_file_in_the_sockets_place_is_not_removed(t):
    conf = own(t.conf([("192.0.2.21", 25)]))
    path = conf["control"]["socket"]
    with open(path, "w", encoding="ascii") as f:
        f.write("precious")
    try:
        refused(t, conf, path, "not a socket")
        with open(path, encoding="ascii") as f:
            assert f.read() == "precious"
    finally:
        os.unlink(path)


@case(timeout=60)
def files_that_are_not_there_are_named(t):
    gone = f"{t.lab.dir}/gone"

    def cert(conf, **kw):
        conf["certificates"]["mx-ecdsa"].update(kw)
    faulty(t, lambda c: cert(c, chain=f"{gone}.pem"), "/certificates/mx-ecdsa", f"{gone}.pem",
           "No such file")
    faulty(t, lambda c: cert(c, key=f"{gone}.key"), "/certificates/mx-ecdsa", f"{gone}.key",
           "No such file")
    faulty(t, lambda c: c["next_hops"]["inside"].update(ca_file=f"{gone}.ca"),
           "/next_hops/inside", f"{gone}.ca")
    faulty(t, lambda c: c["log"].update(file=f"{gone}/postern.log"), f"{gone}/postern.log",
           "No such file")
    faulty(t, lambda c: c["control"].update(socket=f"{gone}/deep/control.sock"),
           f"{gone}/deep", "No such file")


@case(timeout=60)
def a_configuration_that_is_not_there_is_named(t):
    p = subprocess.run([f"{t.lab.build}/app/postern/postern", "-c", f"{t.lab.dir}/no.json"],
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                       stderr=subprocess.STDOUT, timeout=20)
    assert p.returncode == 1 and f"{t.lab.dir}/no.json" in p.stdout and \
        "No such file" in p.stdout, p


@case(timeout=60)
def hugepages_that_are_not_there_are_named(t):
    def free():
        total = 0
        for d in os.listdir("/sys/kernel/mm/hugepages"):
            with open(f"/sys/kernel/mm/hugepages/{d}/free_hugepages", encoding="ascii") as f:
                total += int(f.read())
        return total
    if free():
        raise Skip("this machine has free hugepages")
    faulty(t, lambda c: c["dataplane"].update(hugepages="on"), "hugepages")


@case(timeout=90)
def ports_that_cannot_be_are_named(t):
    def port(conf, **kw):
        conf["dataplane"]["ports"][0].update(kw)

    def twice(conf):
        p = copy.deepcopy(conf["dataplane"]["ports"][0])
        p.update(addresses=["198.51.100.1/24"], iface="lan9")
        conf["dataplane"]["ports"].append(p)
    faulty(t, lambda c: port(c, device="net_af_packet", iface="nonic0"), "nonic0")
    faulty(t, lambda c: port(c, device="net_af_xdp", iface="nonic0"), "nonic0")
    # A NIC by its PCI address; it needs hugepages or none of them, but first of all itself.
    faulty(t, lambda c: (port(c, device="0000:fe:1f.7"), c["dataplane"].update(hugepages="auto"),
                         c["dataplane"]["ports"][0].pop("iface")), "0000:fe:1f.7")
    faulty(t, lambda c: port(c, device="net_frobnicate0"), "net_frobnicate0")
    faulty(t, twice, "lan", "/dataplane/ports/1")


@case(timeout=60)
def cores_that_are_not_there_are_named(t):
    faulty(t, lambda c: c["dataplane"].update(cores=[1000]), "core 1000")
    faulty(t, lambda c: c["dataplane"].update(main_core=999), "core 999")


# ---- postern -t ----

CONFIG = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))),
                      "config")
SAMPLES = ("postern.example", "public-internet", "public-internet-optional", "intranet", "one-rule")


def judged(t, conf, *args):
    """postern -t: (exit status, what it said)."""
    path = f"{t.lab.dir}/judged.json"
    with open(path, "w", encoding="utf-8") as f:
        json.dump(conf, f)
    try:
        p = subprocess.run([f"{t.lab.build}/app/postern/postern", "-t", *args, "-c", path],
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, timeout=20)
    finally:
        os.unlink(path)
    return p.returncode, p.stdout


def expect_fault(t, conf, *words, args=()):
    status, out = judged(t, conf, *args)
    line = next((ln for ln in out.splitlines() if all(w in ln for w in words)), None)
    assert line and status == 1 and "valid" not in out, (words, status, out)
    t.note(line.replace(t.lab.dir, "DIR"))


def plain_profile(conf, **profile):
    """pfs none in the lab's profile: what a model without forward secrecy needs."""
    conf["tls_profiles"]["mx"].update(sender={"pfs": "none"}, recipient={"pfs": "none"}, **profile)
    return conf


def at_home(conf, d):
    """A sample as this machine can take it: its cards become TAP devices, its files are made."""
    from lablib import make_cert
    dp = conf["dataplane"]
    for key in ("cores", "main_core"):
        dp.pop(key, None)
    dp["hugepages"] = "off"
    for backend in conf.get("crypto", {}).get("backends", {}).values():
        backend.pop("cores", None)
    for i, port in enumerate(dp["ports"]):
        port.update(device="net_tap", iface=f"smp{i}")
    for cert in conf["certificates"].values():
        name = cert["chain"].removesuffix(".pem")
        make_cert(d, name, ["mx.example.com"], "rsa" if "rsa" in name else "ecdsa")
    for section in ("next_hops", "tls_profiles"):
        for thing in conf.get(section, {}).values():
            if isinstance(thing, dict) and "ca_file" in thing:
                thing["ca_file"] = "lab-ca.pem"
    return conf


@case(timeout=60)
def every_sample_passes_the_test(t):
    from lablib import make_ca
    with tempfile.TemporaryDirectory(dir=t.lab.dir) as d:
        make_ca(d)
        for name in SAMPLES:
            with open(f"{CONFIG}/{name}.json", encoding="utf-8") as f:
                conf = at_home(json.load(f), d)
            path = f"{d}/{name}.json"
            with open(path, "w", encoding="utf-8") as f:
                json.dump(conf, f)
            p = subprocess.run([f"{t.lab.build}/app/postern/postern", "-t", "-c", path],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, timeout=20)
            assert p.returncode == 0 and "is valid" in p.stdout, p.stdout
            t.note(f"{name}: {len(p.stdout.splitlines()) - 1} warnings")


@case(timeout=60)
def a_model_without_forward_secrecy_is_named_with_the_key(t):
    conf = t.conf([("192.0.2.21", 25)])
    expect_fault(t, {**conf, "model": "T10"}, "/tls_profiles/mx/sender/pfs", "model T10")
    expect_fault(t, conf, "/tls_profiles/mx/recipient/pfs", "model T10", args=("--model", "T10"))
    # The option outranks the file, both ways.
    expect_fault(t, {**conf, "model": "generic"}, "model XTM33", args=("--model", "XTM33"))
    status, out = judged(t, {**conf, "model": "T10"}, "--model", "generic")
    assert status == 0, out
    expect_fault(t, conf, "/model", "T11", "generic, T10, T30, T50, XTM25, XTM26, XTM33",
                 args=("--model", "T11"))
    # Said by name, it is fine: static RSA under TLS 1.2.
    status, out = judged(t, plain_profile(conf), "--model", "T10")
    assert status == 0 and "warning" not in out, out


@case(timeout=60)
def static_rsa_without_an_rsa_key_is_a_fault(t):
    conf = plain_profile(t.conf([("192.0.2.21", 25)]), certificates=["mx-ecdsa"])
    expect_fault(t, conf, "/tls_profiles/mx", "RSA")


@case(timeout=60)
def warnings_have_a_place_and_do_not_fail_the_test(t):
    conf = t.conf([("192.0.2.21", 25)])
    status, out = judged(t, conf)
    assert status == 0 and "warning" not in out, out
    conf["tls_profiles"]["mx"]["min"] = "1.0"
    conf["policy"] = {"outbound": "encrypt", "rules": [
        {"id": "all", "to": "*", "recipient": "required"},
        {"id": "never", "to": "example.org", "recipient": "none"}]}
    status, out = judged(t, conf)
    assert status == 0 and "is valid" in out, out
    lines = out.splitlines()
    assert any(ln.startswith("warning: /tls_profiles/mx/min: ") for ln in lines), out
    assert any(ln.startswith("warning: /policy/rules/1") for ln in lines), out
    assert any(ln.startswith("warning: /policy/outbound") for ln in lines), out


@case(timeout=60)
def faults_of_the_policy_have_their_place(t):
    def policy(**p):
        return {**t.conf([("192.0.2.21", 25)]), "policy": p}

    def rule(n, **r):
        return {"id": f"r{n}", "to": "*", **r}
    long = ".".join(["a" * 60] * 3)
    expect_fault(t, policy(rules=[rule(1), rule(1, to="a.example")]), "/policy/rules/1/id")
    expect_fault(t, policy(rules=[rule(1), rule(2, to=long, sender="required",
                                                recipient="preferred")]),
                 "/policy/rules/1", "200")
    expect_fault(t, policy(tls_before_mail=True), "/policy/tls_before_mail")
    expect_fault(t, policy(starttls_never=["a.example"], starttls_required=["b.example", "A.example"]),
                 "/policy/starttls_required/1")
    expect_fault(t, policy(map={"a.example": {"level": "may"}, "A.example": {"level": "none"}}),
                 "/policy/map/A.example")
    expect_fault(t, policy(map={"a.example": {"level": "fingerprint", "match": ["no-digest"]}}),
                 "/policy/map/a.example/match")
    expect_fault(t, policy(map={"a.example": {"level": "may", "protocols": ">=TLSv9"}}),
                 "/policy/map/a.example/protocols")
    expect_fault(t, policy(map={"a.example": {"level": "dane"}}), "/policy/map/a.example/level",
                 "not yet available")
    conf = t.conf([("192.0.2.21", 25)])
    conf["tls_profiles"]["mx"]["allow_sslv3"] = True
    expect_fault(t, conf, "/tls_profiles/mx/allow_sslv3", "unsupported_by_crypto_library",
                 "OpenSSL 3.")


@case(timeout=60)
def the_models_option_holds_for_what_is_pushed_later(t):
    conf = plain_profile(t.conf([("192.0.2.21", 25)]))
    t.gateway(conf, args=("--model", "T30"))
    other = copy.deepcopy(conf)
    other["model"] = "generic"
    other["tls_profiles"]["mx"].update(sender={"pfs": "allowed"})
    try:
        t.gw.call("config.push", config=other)
    except LabError as e:
        assert "model T30" in str(e) and "/tls_profiles/mx/sender/pfs" in str(e), e
    else:
        raise AssertionError("T30 took forward secrecy")
    # A warning comes with what is taken.
    other["tls_profiles"]["mx"].update(sender={"pfs": "none"}, min="1.1")
    r = t.gw.call("config.push", config=other)
    assert r["published"] and [w["pointer"] for w in r["warnings"]] == ["/tls_profiles/mx/min"], r
    assert t.gw.call("config.show")["model"] == "generic"  # the document, as it was written
    assert "standard" not in t.gw.call("config.show")["tls_profiles"]
