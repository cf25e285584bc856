# SPDX-License-Identifier: BSD-3-Clause
"""Real programs on both sides, over each kind of port, IPv4 and IPv6."""

import itertools
import os
import re
import subprocess
import time

from harness import Skip, case, wait_for
from lablib import GW4, GW6, HOPS, LabError
from peers import Client

REAL = ("tap", "af_packet")


def subject(word):
    return f"{word}-{os.getpid()}-{time.monotonic_ns()}"


@case(timeout=90, ports=REAL)
def swaks_sends_every_way_to_every_kind_of_next_hop(t):
    t.gateway(t.lab.config_all_ways())
    ways = itertools.cycle([(GW4, 25, ("--tls",)), (GW6, 465, ("--tls-on-connect",)),
                            (GW6, 25, ("--tls",)), (GW4, 25, ()), (GW4, 465, ("--tls-on-connect",)),
                            (GW6, 25, ())])
    want = []
    for domain in HOPS:
        for _ in range(2):
            addr, port, tls = next(ways)
            name = subject("swaks")
            t.run("swaks", "--server", addr, "--port", port, *tls, "--from", "a@example.com",
                  "--to", f"b@{domain}", "--header", f"Subject: {name}", "--body", "hello\n.\nx")
            want.append(name)
        next(ways)
    for name in want:
        mail = t.lab.postfix.wait_stored(name).decode()
        assert mail.count("Received: ") == 2, mail
        assert "\nhello\n.\nx\n" in mail, mail
    assert t.counter("transactions_sent") == len(want)


@case(timeout=60, ports=REAL)
def every_client_leg_meets_every_next_hop_leg(t):
    t.gateway(t.lab.config_all_ways())
    for addr, (tls, port) in itertools.product((GW4, GW6), ((False, 25), (True, 25), (True, 465))):
        with t.client(addr, port, implicit=port == 465, ca=t.ca) as c:
            c.begin(tls and port == 25)
            for domain in HOPS:
                name = subject("leg")
                r = c.mail("a@example.com", [f"b@{domain}"],
                           f"Subject: {name}\r\n\r\n.dot\r\n".encode())
                assert r.code == 250, r
                mail = t.lab.postfix.wait_stored(name).decode()
                assert mail.endswith("\n\n.dot\n"), mail
                # RFC 3848: ESMTPS says that TLS was used.
                with_ = "ESMTPS" if tls else "ESMTP"
                assert f"with {with_} " in mail.split("Received: ")[2], mail
            c.quit()


@case(timeout=30)
def the_log_line_names_both_ciphers(t):
    t.gateway()
    name = subject("log")
    t.run("swaks", "--server", GW4, "--tls", "--from", "a@example.com", "--to", "b@example.org",
          "--header", f"Subject: {name}")
    line = t.gw.wait_log("status=sent")
    for part in ("from=<a@example.com>", "to=<b@example.org>", "client_tls=", "server_tls=",
                 "client_cipher=TLS_AES_", "client_iana=TLS_AES_", "server_cipher=TLS_AES_",
                 "server_iana=TLS_AES_"):
        assert part in line, line


@case(timeout=60, ports=REAL)
def posttls_finger_verifies_the_gateway(t):
    t.gateway()
    conf = f"{t.lab.dir}/finger"
    os.makedirs(conf, exist_ok=True)
    with open(f"{conf}/main.cf", "w", encoding="ascii") as f:
        f.write("compatibility_level = 3.6\n")
    for addr in (GW4, f"IPv6:{GW6}"):
        for level, word in (("may", "TLS connection established"),
                            ("encrypt", "TLS connection established"),
                            ("secure", "Verified TLS connection established")):
            out = t.run("posttls-finger", "-c", "-l", level, "-F", t.ca, "-L", "summary",
                        f"[{addr}]:25", "mx.example.org", env={"MAIL_CONFIG": conf})
            assert word in out, out
    # And it notices a certificate for another name.
    out = t.run("posttls-finger", "-c", "-l", "secure", "-F", t.ca, f"[{GW4}]:25",
                "other.example.org", env={"MAIL_CONFIG": conf}, check=False)
    assert "TLS connection established" in out and "Verified" not in out, out


def s_client(t, *args):
    """Connects, waits for the first reply inside TLS, says QUIT; the whole output."""
    p = subprocess.Popen(["ip", "netns", "exec", t.lab.client, "openssl", "s_client", "-CAfile",
                          t.ca, "-verify_hostname", "mx.example.org", "-crlf", "-ign_eof", *args],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         text=True)
    out = ""
    with p:
        for line in p.stdout:
            out += line
            if re.match("2[25]0 ", line):
                p.stdin.write("QUIT\n")
                p.stdin.flush()
    return out


@case(timeout=60, ports=REAL)
def s_client_sees_tls_12_and_13_with_both_certificates(t):
    t.gateway()
    for where in (("-starttls", "smtp", "-connect", f"{GW4}:25"), ("-connect", f"[{GW6}]:465"),
                  ("-connect", f"{GW4}:465")):
        for args, proto, kind in (
                (("-tls1_3",), "TLSv1.3", "ECDSA"),
                (("-tls1_3", "-sigalgs", "RSA-PSS+SHA256"), "TLSv1.3", "RSA-PSS"),
                (("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"), "TLSv1.2", "ECDSA"),
                (("-tls1_2", "-cipher", "ECDHE-RSA-AES256-GCM-SHA384"), "TLSv1.2", "RSA")):
            out = s_client(t, *where, *args)
            assert "Verify return code: 0 (ok)" in out, out
            assert f"New, {proto}" in out, out
            assert f"Peer signature type: {kind}" in out, out
            assert "\n221 " in out, out


@case(timeout=30)
def old_tls_is_refused(t):
    t.gateway()
    for old in ("-tls1", "-tls1_1"):
        out = s_client(t, "-connect", f"{GW4}:465", old, "-cipher", "DEFAULT@SECLEVEL=0")
        assert "alert protocol version" in out or "(NONE)" in out, out


@case(timeout=60, ports=REAL)
def postfix_sends_through_the_gateway(t):
    t.gateway()
    for relay, level in ((f"[{GW4}]", "encrypt"), (f"[{GW6}]", "encrypt")):
        sender = t.lab.start_sender(relay, level)
        try:
            names = [subject("postfix") for _ in range(3)]
            with Client(t.lab.client, "127.0.0.1") as c:
                c.begin(tls=False)
                for i, name in enumerate(names):
                    rcpts = [f"r{i}-{k}@example.org" for k in range(1 + 2 * i)]
                    r = c.mail("a@example.com", rcpts, f"Subject: {name}\r\n\r\nx\r\n".encode())
                    assert r.code == 250, r
            for name in names:
                mail = t.lab.postfix.wait_stored(name).decode()
                # Sending Postfix, the gateway, receiving Postfix.
                assert mail.count("Received: ") == 3, mail
            assert wait_for(lambda s=sender: s.log().count("status=sent") >= 9, 10), sender.log()
            assert "TLS connection established to 192.0.2.1" in sender.log() or \
                "TLS connection established to 2001:db8::1" in sender.log(), sender.log()
        finally:
            sender.stop()


@case(timeout=60)
def aiosmtpd_takes_mail_as_the_next_hop(t):
    box = f"{t.lab.dir}/aiosmtpd"
    c = f"{t.lab.dir}/certs"
    for addr in ("192.0.2.22", "2001:db8::22"):
        t.procs.append(t.lab.spawn(
            t.lab.nexthop, ["/usr/bin/python3", "-m", "aiosmtpd", "-n", "-l", f"{addr}:25",
                            "--tlscert", f"{c}/mail.crt", "--tlskey", f"{c}/mail.key",
                            "-c", "aiosmtpd.handlers.Mailbox", f"{box}-{len(t.procs)}"],
            "aiosmtpd.out"))
    conf = t.conf([("192.0.2.22", 25)])
    conf["next_hops"]["six"] = {**conf["next_hops"]["inside"], "hosts": [
        {"name": "mail.example.org", "address": "2001:db8::22"}]}
    conf["routes"] = [{"domain": "example.org", "next_hop": "inside"},
                      {"domain": "example.net", "next_hop": "six"}]
    assert wait_for(lambda: answers(t, "192.0.2.22") and answers(t, "2001:db8::22"), 15, 0.2)
    t.gateway(conf)
    body = b"Subject: aio\r\n\r\n.one\r\n..two\r\n.\r\nend\r\n"
    for k, domain in enumerate(("example.org", "example.net")):
        with t.client(ca=t.ca) as cl:
            cl.begin()
            for _ in range(2):
                r = cl.mail("a@example.com", [f"b@{domain}", f"c@{domain}"], body)
                assert r.code == 250, r
        new = f"{box}-{k}/new"
        assert wait_for(lambda n=new: os.path.isdir(n) and len(os.listdir(n)) == 2, 5)
        for name in os.listdir(new):
            with open(f"{new}/{name}", "rb") as f:
                # The handler puts its X- fields in and writes LF.
                got = f.read()
            assert got.startswith(b"Received: from client.example.com"), got
            assert got.endswith(b"\n\n.one\n..two\n.\nend\n"), got


def answers(t, addr, port=25):
    try:
        Client(t.lab.nexthop, addr, port, timeout=1).close()
        return True
    except OSError:
        return False


@case(timeout=40, ports=("af_xdp",))
def mail_crosses_where_the_kernel_gives_xdp(t):
    try:
        t.gateway(t.lab.config_all_ways())
    except LabError as e:
        out = str(e)
        no_xdp = ("xsk_socket", "Failed to create xsk", "xdp", "XDP", "ulimit", "memlock")
        if t.lab.ngateways and any(w in out for w in no_xdp):
            raise Skip("the kernel gives no AF_XDP socket here") from e
        raise
    for addr, port, domain in ((GW4, 25, "starttls6.example"), (GW6, 465, "implicit4.example"),
                               (GW4, 465, "plain4.example"), (GW6, 25, "starttls4.example")):
        name = subject("xdp")
        with t.client(addr, port, implicit=port == 465, ca=t.ca) as c:
            c.begin(port == 25)
            r = c.mail("a@example.com", [f"b@{domain}"],
                       f"Subject: {name}\r\n\r\n".encode() + b"x" * 70 + b"\r\n" * 20000)
            assert r.code == 250, r
        t.lab.postfix.wait_stored(name)


@case(timeout=30, ports=REAL)
def ping_is_answered(t):
    t.gateway()
    for addr in (GW4, GW6):
        out = t.run("ping", "-n", "-c", 3, "-i", 0.2, "-W", 2, "-s", 1000, addr)
        assert " 0% packet loss" in out, out


