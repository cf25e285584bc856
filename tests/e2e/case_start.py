# SPDX-License-Identifier: BSD-3-Clause
"""What cannot start says why, where, and leaves nothing behind."""

import contextlib
import copy
import json
import os
import socket
import subprocess

from harness import Skip, case
from lablib import run

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
