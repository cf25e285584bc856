# SPDX-License-Identifier: BSD-3-Clause
"""Attacks on the SMTP of a live gateway. T numbers are those of docs/testing.md, where the
table says which attack is tried where; the attacks on TLS are in case_attacks_tls.py."""

import base64
import os
import re
import socket
import ssl
import time

from harness import case
from lablib import GW4, netns
from peers import Client, stuff

BODY = b"Subject: x\r\n\r\nhello\r\n"
EVIL = b"MAIL FROM:<evil@example.com>\r\nRCPT TO:<evil@example.org>\r\n"


def alive(t):
    """An ordinary mail gets through."""
    with t.client(ca=t.ca, timeout=20) as c:
        c.begin()
        r = c.mail("a@example.com", ["b@example.org"], BODY)
        assert r.code == 250, r
        c.quit()


def untouched(*hops):
    """Nothing of what was injected got to a next hop."""
    for h in hops:
        for c in h.conns:
            assert not any("evil" in ln for ln in c.lines()), c.lines()
        assert not any(b"evil" in m.sender.encode() for m in h.messages)


def until_closed(c, timeout=5):
    """Everything that the gateway still says, decoded below TLS."""
    got, c.buf = c.buf, b""
    c.sock.settimeout(timeout)
    try:
        while data := c.sock.recv(65536):
            got += data
    except (ConnectionResetError, ssl.SSLError):
        pass
    return got


def client_hello():
    """The first bytes of a TLS client, by OpenSSL."""
    out = ssl.MemoryBIO()
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ctx.check_hostname, ctx.verify_mode = False, ssl.CERT_NONE
    tls = ctx.wrap_bio(ssl.MemoryBIO(), out, server_hostname="mx.example.org")
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


# ---- T1: what is sent in clear behind STARTTLS (CVE-2011-0411) ----

@case(timeout=90)
def T1_a_starttls_injection_cut_at_every_place_reaches_nobody(t):
    h = t.scripted()
    wire = b"STARTTLS\r\n" + EVIL
    for cut in range(1, len(wire)):
        with t.client() as c:
            c.ehlo()
            c.send(wire[:cut])
            time.sleep(0.005)
            c.send(wire[cut:])
            try:
                r = c.reply()
                if r.code == 220:  # the cut was behind the line: the rest meets the handshake
                    assert cut >= len(b"STARTTLS\r\n"), cut
                    c.tls()
                    raise AssertionError(f"a handshake with text in it, cut at {cut}")
                assert r.code == 554, (cut, r)
                assert until_closed(c) == b"", cut
            except (EOFError, OSError):
                pass
    assert t.counter("starttls_injection") >= len(b"STARTTLS\r\n") - 1
    alive(t)
    untouched(h)


@case()
def T1_starttls_that_is_none_is_not_answered_with_220(t):
    h = t.scripted()
    for line in (b"STARTTLS\n", b"STARTTLS\r", b"STARTTLS\n" + EVIL, b"STARTTLS\r\r\n",
                 b"STARTTLS\0\r\n", b" STARTTLS\r\n", b"STARTTLS x\r\n",
                 b"STARTTLS\r\0\n"):
        with t.client() as c:
            c.ehlo()
            c.send(line)
            time.sleep(0.05)
            c.send(b"\r\nNOOP\r\n")
            got = b""
            while not got.endswith(b"250 2.0.0 ok\r\n"):
                got += c.sock.recv(4096)
            assert b"220" not in got and got.startswith((b"500 ", b"501 ")), (line, got)
    alive(t)
    untouched(h)


@case()
def T1_a_client_hello_in_the_segment_of_starttls_is_no_handshake(t):
    t.scripted()
    with t.client() as c:
        c.ehlo()
        c.send(b"STARTTLS\r\n" + client_hello())
        assert c.reply().code == 554
        assert until_closed(c) == b"", "a byte of TLS"
    assert t.counter("starttls_injection") == 1
    # The same hello after the 220 is one.
    with t.client() as c:
        c.ehlo()
        c.cmd("STARTTLS", 220)
        c.send(client_hello())
        assert c.sock.recv(5)[:2] == b"\x16\x03"
    alive(t)


# ---- T4: smuggling ----

SMUGGLE = (b"\n.\n", b"\n.\r", b"\r.\n", b"\r.\r", b"\n.\r\n", b"\r.\r\n", b"\r\n\0.\r\n",
           b"\r\n.\r\r\n", b"\r\r\n.\r\r\n", b"\r\n.\n", b"\r\n.\r", b"\r\n.\0\r\n", b"\r\n. \r\n")
BEFORE, AFTER = b"Subject: s\r\n\r\nx", b"DATA\r\nevil\r\n"


def normal(data):
    """What `normalize` makes of a body: a bare LF is CRLF, a bare CR a space."""
    return b"\r\n".join(part.replace(b"\r", b" ") for ln in data.split(b"\r\n")
                        for part in ln.split(b"\n"))


def bare(data):
    return re.search(rb"\r(?!\n)|(?<!\r)\n", data)


def two_listeners(t):
    h = t.hop()
    conf = t.conf([(h.addr, h.port)])
    conf["listeners"].append({**conf["listeners"][0], "name": "lenient", "port": 2525,
                              "bare_newline": "normalize"})
    for ln in conf["listeners"]:
        ln["received"] = False
    t.gateway(conf)
    return h


@case(timeout=200)
def T4_no_end_of_data_variant_ends_data_wherever_it_is_cut(t):
    """Inbound, both settings: the sequence cut at each place, the octets compared at a sink."""
    h = two_listeners(t)
    tried = 0
    for seq in SMUGGLE:
        body = BEFORE + seq + EVIL + AFTER
        # The dot of the reference: only one at the begin of a line that CRLF began is stuffing.
        wire = body + b".\r\n"
        unstuffed = re.sub(rb"\r\n\.", b"\r\n", body)
        at = len(BEFORE)
        for port in (25, 2525):
            refuse = bool(bare(body)) and port == 25
            for cut in range(at - 1, at + len(seq) + 2):
                have = len(h.messages)
                with t.client(port=port) as c:
                    c.ehlo()
                    c.envelope("a@example.com", "b@example.org")
                    c.cmd("DATA", 354)
                    c.send(wire[:cut])
                    time.sleep(0.002)
                    c.send(wire[cut:])
                    r = c.reply()
                    assert r.code == (550 if refuse else 250), (seq, port, cut, r)
                    if refuse:
                        assert until_closed(c) == b"", (seq, cut)
                    else:
                        assert c.cmd("NOOP").code == 250 and c.silent(0)
                new = [m for m in h.messages[have:] if m.complete]
                assert len(new) == (not refuse), (seq, port, cut)
                want = stuff(unstuffed if not bare(body) else b"")
                if new and not bare(body):
                    assert new[0].wire == want, (seq, cut, new[0].wire)
                if new and bare(body):
                    lines = new[0].wire[:-3].split(b"\r\n")
                    assert not bare(new[0].wire), (seq, cut, new[0].wire)
                    assert not any(ln == b"." for ln in lines), new[0].wire
                    assert b"evil" in new[0].wire
                tried += 1
    untouched(h)
    t.note(f"{tried} messages, {len(SMUGGLE)} sequences")


@case(timeout=200)
def T4_what_a_chunk_brings_is_framed_anew_towards_the_next_hop(t):
    """Outbound: octets by count, where even CRLF.CRLF is text, cut into two chunks at every
    place, compared at a sink byte by byte."""
    h = two_listeners(t)
    tried = 0
    with t.client(port=2525, timeout=20) as c:
        c.ehlo()
        for seq in (*SMUGGLE, b"\r\n.\r\n", b"\r\n.\r\n.\r\n", b"\r\n..\r\n"):
            body = BEFORE + seq + EVIL + AFTER
            for cut in range(len(BEFORE) - 1, len(BEFORE) + len(seq) + 2):
                c.send(b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\nBDAT %d\r\n" % cut +
                       body[:cut] + b"BDAT %d LAST\r\n" % (len(body) - cut) + body[cut:])
                codes = [c.reply().code for _ in range(4)]
                assert codes == [250] * 4, (seq, cut, codes)
                got = h.complete()[-1].wire
                assert got == stuff(normal(body)), (seq, cut, got)
                tried += 1
        assert c.cmd("NOOP").code == 250 and c.silent(0.1)
    assert len(h.messages) == tried
    untouched(h)


# ---- T5: BDAT arithmetic ----

@case(timeout=60)
def T5_a_chunk_size_that_is_no_number_ends_the_session(t):
    h = t.scripted()
    for size in (b"-1", b"+1", b"0x10", b"1e3", b"1.0", b"", b"LAST", b"9223372036854775808",
                 b"18446744073709551615", b"18446744073709551616 LAST", b"9" * 60, b"6\t",
                 b"6\0", b"6 FIRST", b"6,6", b"0" * 3000 + b"6", b"\xd9\xa6"):
        with t.client(ca=t.ca) as c:
            c.begin()
            c.envelope("a@example.com", "b@example.org")
            c.send(b"BDAT " + size + b"\r\n" + EVIL + b"NOOP\r\n")
            assert c.reply().code == 501, size
            assert until_closed(c) == b"", size
    alive(t)
    untouched(h)
    assert len(h.complete()) == 1


@case(timeout=60)
def T5_octets_of_a_refused_chunk_are_never_commands(t):
    h = t.hop()
    conf = t.conf([(h.addr, h.port)])
    conf["limits"] = {"message_size": 1000}
    t.gateway(conf)
    bdat = b"BDAT %d" % len(EVIL)
    tables = (
        # (what is said before, the lines and octets, the codes)
        ((), bdat + b" LAST\r\n" + EVIL, [503]),
        (("MAIL FROM:<a@example.com>",), bdat + b"\r\n" + EVIL, [503]),
        (("MAIL FROM:<a@example.com>", "RCPT TO:<b@elsewhere.example>"), bdat + b"\r\n" + EVIL, [554]),
        (("MAIL FROM:<a@example.com>", "RCPT TO:<b@example.org>"),
         b"BDAT 900\r\n" + b"x" * 900 + b"BDAT 101\r\n" + (EVIL * 9)[:101] + bdat + b" LAST\r\n" + EVIL,
         [250, 552, 503]),
        (("MAIL FROM:<a@example.com>", "RCPT TO:<b@example.org>"),
         b"BDAT 3\r\nabcRCPT TO:<c@example.org>\r\nMAIL FROM:<c@example.org>\r\nRSET\r\n",
         [250, 503, 503, 250]),
    )
    for before, wire, codes in tables:
        with t.client(ca=t.ca) as c:
            c.begin()
            for line in before:
                c.cmd(line)
            c.send(wire + b"NOOP\r\n")
            got = [c.reply().code for _ in range(len(codes) + 1)]
            assert got == [*codes, 250], (before, wire, got)
            assert c.silent(0.05)
    with t.client() as c:
        c.ehlo()
        c.envelope("a@example.com", "b@example.org")
        c.send(b"BDAT 3\r\nabc")
        assert [c.reply().code, c.cmd("DATA").code, c.cmd("RSET").code] == [250, 503, 250]
    alive(t)
    untouched(h)
    assert len(h.complete()) == 1


@case()
def T5_an_empty_last_chunk_is_a_whole_message(t):
    h = t.scripted()
    with t.client(ca=t.ca) as c:
        c.begin()
        for wire, body in ((b"BDAT 0 LAST\r\n", b""),
                           (b"BDAT 0\r\nBDAT 3 LAST\r\nab\nBDAT 0 LAST\r\n", None)):
            c.envelope("a@example.com", "b@example.org")
            c.send(wire)
            r = c.reply()
            if body is None:
                assert [r.code, c.reply().code] == [250, 550]
                assert until_closed(c) == b""
            else:
                assert r.code == 250 and h.complete()[-1].split() == stuff(body)
    assert len(h.complete()) == 1


# ---- T6: control bytes ----

@case(timeout=60)
def T6_control_bytes_in_a_command_are_501_and_go_no_further(t):
    h = t.scripted()
    bad = bytes([*range(0, 10), 11, 12, *range(14, 32), 127])
    with t.client() as c:
        c.ehlo()
        refused = 0
        for line in (b"HELO a%sb", b"EHLO a%sb", b"MAIL FROM:<a%s@example.com>",
                     b"MAIL FROM:<a@example.com> ENVID=x%s", b'MAIL FROM:<"a%s"@example.com>',
                     b"RCPT TO:<b%s@example.org>", b"RCPT TO:<b@example.org> ORCPT=rfc822;b%s",
                     b"VRFY %s", b"XCLIENT NAME=a%s"):
            for n in (*bad, 13):
                if refused % 15 == 14:  # too many errors end a session
                    c.close()
                    c.__init__(t.lab.client, GW4)
                    c.ehlo()
                if line.startswith(b"RCPT"):
                    c.cmd("RSET", 250)
                    c.cmd("MAIL FROM:<a@example.com>", 250)
                byte = bytes([n])
                c.send(line % (byte + b"evil") + b"\r\n")
                r = c.reply()
                assert r.code == (500 if line.startswith(b"XCLIENT") else 501), (line, n, r)
                refused += 1
    # A line break inside a command is never a second command.
    for brk in (b"\n", b"\r", b"\0\n", b"\n\r"):
        with t.client() as c:
            c.ehlo()
            c.send(b"MAIL FROM:<a@example.com>" + brk + b"RCPT TO:<evil@example.org>\r\n")
            assert c.reply().code == 501 and c.silent(0.1), brk
            assert c.cmd("RCPT TO:<b@example.org>").code == 503
    alive(t)
    untouched(h)
    assert not re.search(r"[\0-\x09\x0b-\x1f\x7f]", t.gw.log())


@case()
def T6_a_helo_name_cannot_write_into_received_or_the_log(t):
    h = t.scripted()
    for name in ("x)(evil [192.0.2.99])", "x\u00fc\u2028y", "a;b,c<d>", '"quoted"', "x" * 400,
                 "x by mx.example.org (Postern) with"):
        with t.client() as c:
            c.ehlo(name)
            c.envelope("a@example.com", "b@example.org")
            c.cmd("DATA", 354)
            c.send(stuff(BODY))
            assert c.reply().code == 250, name
        m = h.complete()[-1]
        assert m.split() == stuff(BODY), name
        field = m.received.decode()
        word = re.match(r"Received: from (\S+)\s+\(\S+ \[192\.0\.2\.10\]\)", field)
        assert word and re.fullmatch(r"[A-Za-z0-9._:?\[\]-]{1,255}", word.group(1)), repr(field)
        assert "192.0.2.99" not in field, field


# ---- T7: talking out of turn ----

@case()
def T7_who_talks_before_its_turn_is_told_and_closed(t):
    h = t.scripted()
    envelope = ("MAIL FROM:<a@example.com>", "RCPT TO:<b@example.org>")
    for before, wire in (((), b"EHLO x\r\nMAIL FROM:<evil@example.com>\r\n"),
                         ((), b"HELO x\r\nNOOP\r\n"),
                         (("EHLO x", *envelope), b"DATA\r\nSubject: evil\r\n\r\n.\r\n")):
        with t.client() as c:
            for line in before:
                c.cmd(line, 250)
            c.send(wire)
            assert c.reply().code == 554, wire
            assert until_closed(c) == b"", wire
    assert not h.messages
    # Pipelining as RFC 2920 has it is welcome, by a client that is not ours.
    t.run("swaks", "--server", GW4, "--tls", "--pipeline", "--from", "a@example.com", "--to",
          "b@example.org,c@example.org", "--body", "hello")
    assert len(h.complete()) == 1 and len(h.complete()[0].rcpts) == 2
    untouched(h)


@case()
def T7_a_client_that_talks_first_gets_no_mail_through_on_that(t):
    """Bytes right behind the SYN: before the banner, or at once behind it."""
    h = t.scripted()
    for _ in range(20):
        with netns(t.lab.client), socket.socket() as s:
            s.settimeout(5)
            s.connect((GW4, 25))
            s.sendall(b"EHLO evil\r\n" + EVIL + b"DATA\r\nSubject: evil\r\n\r\n.\r\nQUIT\r\n")
            got = b""
            try:
                while data := s.recv(65536):
                    got += data
            except ConnectionResetError:
                pass
            assert re.fullmatch(rb"(220 [^\r\n]*\r\n)?554 5\.5\.0 [^\r\n]*\r\n", got), got
    alive(t)
    untouched(h)


# ---- T8: another protocol (ALPACA) ----

@case(timeout=60)
def T8_a_browser_is_shown_the_door(t):
    h = t.scripted()
    post = f"{t.lab.dir}/post.txt"
    with open(post, "wb") as f:
        f.write(b"\r\nEHLO x\r\n" + EVIL + b"DATA\r\nevil\r\n.\r\nQUIT\r\n")
    out = t.run("curl", "-sS", "--http0.9", "-m", "10", "--data-binary", f"@{post}",
                f"http://{GW4}:25/", check=False)
    said = re.findall(r"^\d\d\d[ -].*", out, re.M)
    assert [ln[:3] for ln in said] in (["220", "554"], ["554"]), out
    for args in (("-k",), ("-k", "--no-alpn")):
        out = t.run("curl", "-sS", "--http0.9", "-m", "10", *args, "--data-binary", f"@{post}",
                    f"https://{GW4}:465/", check=False)
        said = re.findall(r"^\d\d\d[ -].*", out, re.M)
        if "--no-alpn" in args:
            assert [ln[:3] for ln in said] in (["220", "554"], ["554"]), out
        else:
            assert not said and "alert" in out, out
    for first in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"CONNECT x:25 HTTP/1.1\r\n\r\n",
                  b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"Host: x\r\n", b"Cookie: a=b\r\nEHLO x\r\n"):
        with t.client() as c:
            c.send(first + EVIL)
            assert c.reply().code == 554 and until_closed(c) == b"", first
    alive(t)
    untouched(h)


# ---- T11: oversized lines ----

@case(timeout=60)
def T11_an_oversized_line_is_skipped_up_to_its_own_end(t):
    h = t.scripted()
    for line in (b"NOOP " + b"x" * 4096, b"MAIL FROM:<" + b"a" * 5000 + b"@example.com>",
                 b"EHLO " + b"x" * 65536, b"AUTH PLAIN " + b"A" * 12288,
                 b"RCPT TO:<b@example.org> ORCPT=rfc822;" + b"x" * 3000,
                 b"x" * 2043 + b"\n" + EVIL[:-2], b"x" * 2047 + b"\r" + EVIL[:-2].replace(b"\r\n", b"\n"),
                 b"\xff" * 100000):
        with t.client() as c:
            c.ehlo()
            c.send(line + b"\r\nNOOP\r\n")
            lines = line.count(b"\r\n")
            codes = [c.reply().code for _ in range(2 + lines)]
            assert codes[0] == 500 and codes[-1] == 250, (line[:20], codes)
            assert not lines or codes[1:-1] == [503] * lines, codes
    # 8 bits in a command that is short enough.
    with t.client() as c:
        c.ehlo()
        for line, code in ((b"MAIL FROM:<\xff@example.com>", 501), (b"\xe9\xe8", 500),
                           (b"MAIL FROM:<\xc3\xbc@example.com>", 553)):
            c.send(line + b"\r\n")
            assert c.reply().code == code, line
    # A line of a message may be long: RFC 5321 4.5.3.1.6 asks for 1000 at least.
    with t.client() as c:
        c.ehlo()
        for n in (998, 1000, 1001, 65537, 1 << 20):
            assert c.mail("a@example.com", ["b@example.org"], b"x" * n).code == 250
            assert h.complete()[-1].split() == b"x" * n + b"\r\n.\r\n", n
    untouched(h)


# ---- T12: credentials ----

@case(timeout=60)
def T12_auth_is_never_offered_and_credentials_are_nowhere_in_the_logs(t):
    h = t.hop()
    for fmt in ("text", "json"):
        conf = t.conf([(h.addr, h.port)])
        conf["log"].update(level="debug", format=fmt)
        if t.gw:
            assert t.gw.stop() == 0
        t.gateway(conf)
        secret = f"S3cret-{fmt}-{os.getpid()}"
        b64 = base64.b64encode(f"\0user\0{secret}".encode()).decode()
        only = base64.b64encode(secret.encode()).decode()
        for tls in (False, True):
            with t.client(ca=t.ca) as c:
                assert "AUTH" not in c.begin(tls).text
                want = (502, "5.5.1") if tls else (538, "5.7.11")
                for line in (f"AUTH PLAIN {b64}", "AUTH LOGIN", f"auth cram-md5 {b64}", f"AUTH {secret}",
                             "AUTH"):
                    r = c.cmd(line)
                    assert (r.code, r.text.split()[0]) == want and secret not in r.text, r
                for line in (only, b64, f"PASS {secret}", f"{secret}", "x" * 3000 + secret):
                    assert c.cmd(line).code == 500
                c.cmd(f"MAIL FROM:<a@example.com> AUTH={secret}", 555)
                c.cmd("NOOP", 250)
        t.run("swaks", "--server", GW4, "--tls", "--auth", "PLAIN", "--auth-user", "user",
              "--auth-password", secret, "--from", "a@example.com", "--to", "b@example.org",
              check=False)
        t.counters_reach(live_sessions=0)
        t.gw.wait_log("disconnect")
        everything = t.gw.log() + t.gw.output() + t.gw.ctl("status") + str(t.gw.call("stats"))
        for word in (secret, b64, only, b64.rstrip("=")):
            assert word not in everything, f"{fmt}: {word} is in a log"
    assert not any("AUTH" in ln for c in h.conns for ln in c.lines())


# ---- T10: slow senders ----

@case(timeout=90)
def T10_slow_senders_of_every_kind_meet_a_deadline_of_their_own(t):
    """An octet now and then does not buy time: limits are for a command, a handshake, a body."""
    h = t.scripted(times={"client_command": 1.5, "client_data": 1.5, "client_tls": 1.5})
    slow = {}

    def trickle(name, c, data, every=0.3):
        slow[name] = (c, iter(data), every)
    for n in range(6):
        trickle(f"command{n}", t.client(), b"NOOP " + b"x" * 500)
        c = t.client()
        c.ehlo()
        c.cmd("STARTTLS", 220)
        trickle(f"starttls{n}", c, client_hello())
        trickle(f"implicit{n}", t.client(port=465, greet=False), client_hello())
    # A record that never ends, and a hello of one octet a record.
    trickle("record", t.client(port=465, greet=False), b"\x16\x03\x01\x40\x00" + b"\x01" * 500)
    began, ended = time.monotonic(), {}
    while len(ended) < len(slow) and time.monotonic() - began < 15:
        for name, (c, data, _) in slow.items():
            if name in ended:
                continue
            try:
                c.send(bytes([next(data)]))
                if not c.silent(0):
                    got = c.sock.recv(4096)
                    if not got or got.startswith(b"421") or got[:1] == b"\x15":
                        ended[name] = time.monotonic() - began
            except (OSError, StopIteration):
                ended[name] = time.monotonic() - began
        alive(t)
        time.sleep(0.2)
    for c, _, _ in slow.values():
        c.close()
    assert len(ended) == len(slow), set(slow) - set(ended)
    t.note(f"{len(ended)} slow senders, the last one ended after {max(ended.values()):.1f} s")
    assert max(ended.values()) < 8
    t.counters_reach(live_sessions=0)
    assert all(m.complete for m in h.messages)


@case(timeout=60)
def T10_one_address_cannot_take_all_sessions(t):
    h = t.hop()
    conf = t.conf([(h.addr, h.port)])
    conf["limits"] = {"sessions_per_address": 5}
    t.gateway(conf)
    held = [t.client(source="192.0.2.11") for _ in range(5)]
    for _ in range(3):
        with t.client(source="192.0.2.11") as c:
            assert c.banner.code == 421, c.banner
            assert until_closed(c) == b""
    alive(t)  # from the other address
    for c in held:
        c.close()
    t.counters_reach(live_sessions=0)
    with t.client(source="192.0.2.11") as c:
        assert c.banner.code == 220


# ---- T20: loops and backscatter ----

@case(timeout=60)
def T20_the_gateway_writes_no_mail_of_its_own(t):
    """No refusal, lost client or lost next hop makes a bounce: every MAIL that a next hop sees
    is one that a client said."""
    h = t.scripted()
    ways = ({"rcpt": "550 5.1.1 unknown"}, {"data": "554 5.7.1 no"}, {"dot": "550 5.7.1 spam"},
            {"dot": "451 4.3.0 later"}, {})
    said = 0
    for on in ways:
        h.on = on
        for sender in ("a@example.com", "", "postmaster@example.org"):
            with t.client() as c:
                c.ehlo()
                said += 1
                c.cmd(f"MAIL FROM:<{sender}>", 250)
                if c.cmd("RCPT TO:<b@example.org>").code == 250 and c.cmd("DATA").code == 354:
                    c.send(stuff(BODY))
                    c.reply()
    h.on = {}
    time.sleep(1)
    mails = [ln for c in h.conns for ln in c.lines() if ln.startswith("MAIL")]
    assert len(mails) == said, mails
    assert sum("<>" in ln for ln in mails) == len(ways)
    t.counters_reach(live_sessions=0)


@case(timeout=60)
def T20_mail_in_a_circle_comes_to_an_end(t):
    """The next hop sends everything back, and says what it was told. The gateway's own token
    ends it; where somebody on the way takes that out, the number of Received fields does."""
    h = t.hop()
    conf = t.conf([(h.addr, h.port)])
    conf["limits"] = {"received": 6}
    t.gateway(conf)

    def back(change):
        def hook(_c, m):
            with Client(t.lab.nexthop, GW4, timeout=20) as c:
                c.ehlo("mail.example.org")
                c.envelope("a@example.com", "b@example.org")
                c.cmd("DATA", 354)
                c.send(change(m.wire))
                r = c.reply()
                return f"{r.code} {r.text}"
        return hook
    for change, rounds in ((lambda w: w, (2, 3)),
                           (lambda w: re.sub(rb"by mx\.example\.org[^\r]*", b"by x.example", w), (6, 7))):
        h.on = {"dot": back(change)}
        n = len(h.complete())
        with t.client(timeout=40) as c:
            c.ehlo()
            r = c.mail("a@example.com", ["b@example.org"], BODY)
        assert r.code == 554 and r.text.startswith("5.4.6"), r
        took = len(h.complete()) - n
        assert rounds[0] <= took <= rounds[1], took
        t.note(f"ended in round {took + 1}: {r}")
    h.on = {}
    alive(t)
    t.counters_reach(live_sessions=0)
