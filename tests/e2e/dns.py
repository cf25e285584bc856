# SPDX-License-Identifier: BSD-3-Clause
"""An authoritative DNS server that says what its zone says, over UDP and TCP.

    dns = Dns("127.0.0.1", 5353, {
        "example.com":  {"MX": [(10, "mx1.example.com"), (20, "mx2.example.com")]},
        "mx1.example.com": {"A": ["192.0.2.25"], "AAAA": ["2001:db8::25"]},
        "nomail.example": {"MX": [(0, ".")]},                  # RFC 7505
        "www.example.com": {"CNAME": "mx1.example.com"},
        "192.0.2.7":    {"PTR": ["client.example.com"]},       # an address stands for its reverse
        "broken.example": "SERVFAIL",                          # or REFUSED, NXDOMAIN, SILENCE
        "half.example": {"A": ["192.0.2.9"], "AAAA": "SERVFAIL"},
        "slow.example": {"A": ["192.0.2.8"], "delay": 0.5, "ttl": 1},
    })
    dns.start(); ...; dns.stop()          or: with Dns(...) as dns:

What is not in the zone is NXDOMAIN, unless it has something below it. A name is str or bytes;
its labels are cut at dots and may have any other character in them: "evil\\r\\nHELO x.example".
Port 0 takes a free one: dns.port. `ns`: a namespace of the lab to bind in.
dns.log is a list of (name, type, "udp" or "tcp"); dns.count(name, type) counts in it.
dns.set(name, value) changes the zone while it runs; None takes the name away.
"""

import ipaddress
import select
import socket
import struct
import threading
import time

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28}
TYPE_NAMES = {v: k for k, v in TYPES.items()}
RCODES = {"FORMERR": 1, "SERVFAIL": 2, "NXDOMAIN": 3, "NOTIMP": 4, "REFUSED": 5}
OPT, IN = 41, 1
AA, TC, QR, RD = 0x0400, 0x0200, 0x8000, 0x0100


def text(name):
    """A name as a key: str, lower case, no trailing dot; an address: its reverse."""
    if isinstance(name, bytes):
        name = name.decode("latin-1")
    try:
        name = ipaddress.ip_address(name).reverse_pointer
    except ValueError:
        pass
    return name.lower().rstrip(".")


def wire(name):
    if isinstance(name, bytes):
        name = name.decode("latin-1")
    name = name.removesuffix(".")
    out = b""
    for label in name.split(".") if name else []:
        raw = label.encode("latin-1")
        out += bytes([len(raw)]) + raw
    return out + b"\0"


def rdata(rtype, value):
    if rtype == "A":
        return ipaddress.IPv4Address(value).packed
    if rtype == "AAAA":
        return ipaddress.IPv6Address(value).packed
    if rtype == "MX":
        return struct.pack("!H", value[0]) + wire(value[1])
    if rtype == "TXT":
        raw = value.encode() if isinstance(value, str) else value
        return b"".join(bytes([len(raw[i:i + 255])]) + raw[i:i + 255]
                        for i in range(0, len(raw) or 1, 255))
    return wire(value)  # PTR, CNAME, NS


def record(name, rtype, ttl, data):
    return wire(name) + struct.pack("!HHIH", TYPES[rtype], IN, ttl, len(data)) + data


class Query:
    def __init__(self, packet):
        self.id, self.flags, questions, _, _, extra = struct.unpack("!6H", packet[:12])
        if questions != 1 or self.flags & QR:
            raise ValueError("no question")
        at, labels = 12, []
        while packet[at]:
            labels.append(packet[at + 1:at + 1 + packet[at]].decode("latin-1"))
            at += 1 + packet[at]
        self.question = packet[12:at + 5]
        self.name = ".".join(labels)
        number, = struct.unpack("!H", packet[at + 1:at + 3])
        self.type = TYPE_NAMES.get(number, str(number))
        # Room for the answer: RFC 6891 6.2.3; the OPT record follows the question.
        rest = packet[at + 5:]
        self.edns = extra > 0 and len(rest) >= 11 and rest[0] == 0 and \
            struct.unpack("!H", rest[1:3])[0] == OPT
        self.room = max(512, struct.unpack("!H", rest[3:5])[0]) if self.edns else 512


class Dns:
    def __init__(self, address="127.0.0.1", port=0, zone=None, ns=None):
        self.address, self.port, self.ns = address, port, ns
        self.zone = {text(k): v for k, v in (zone or {}).items()}
        self.log = []
        self.lock = threading.Lock()
        self.running = False
        self.thread = None

    # ---- life ----

    def start(self):
        if self.ns:
            from lablib import netns
            with netns(self.ns):
                self._open()
        else:
            self._open()
        self.running = True
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        return self

    def _open(self):
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        for _ in range(20):
            self.udp = socket.socket(family, socket.SOCK_DGRAM)
            self.tcp = socket.socket(family, socket.SOCK_STREAM)
            self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.udp.bind((self.address, self.port))
            port = self.udp.getsockname()[1]
            try:
                self.tcp.bind((self.address, port))
            except OSError:  # a free UDP port need not be a free TCP port
                self.udp.close()
                self.tcp.close()
                if self.port:
                    raise
                continue
            self.port = port
            self.tcp.listen(64)
            return
        raise OSError("no port is free for UDP and TCP")

    def stop(self):
        self.running = False
        if self.thread:
            self.thread.join()
            self.udp.close()
            self.tcp.close()
            self.thread = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.stop()

    # ---- what a test does with it ----

    def set(self, name, value):
        with self.lock:
            if value is None:
                self.zone.pop(text(name), None)
            else:
                self.zone[text(name)] = value

    def count(self, name=None, rtype=None):
        with self.lock:
            return sum((name is None or text(name) == n) and rtype in (None, t)
                       for n, t, _ in self.log)

    @property
    def server(self):
        """As "dns": {"servers": [...]} has it."""
        return f"{self.address}@{self.port}"

    # ---- answers ----

    def _find(self, name):
        """(value, is there such a name). Also a name that only has others below it is one."""
        value = self.zone.get(name)
        below = any(k.endswith("." + name) for k in self.zone)
        return value, value is not None or below

    def _answer(self, q, room):
        """The packet, or None for silence; and how long it takes."""
        name, rcode, records, delay = q.name.lower(), 0, [], 0
        for _ in range(8):  # along CNAMEs, which may be a circle
            value, there = self._find(name)
            if not there:
                rcode = RCODES["NXDOMAIN"]
            if value is None:
                break
            if isinstance(value, str):
                value = {q.type: value}
            delay = max(delay, value.get("delay", 0))
            ttl = value.get("ttl", 60)
            got = value.get(q.type, [])
            if isinstance(got, str) and (got in RCODES or got == "SILENCE"):
                if got == "SILENCE":
                    return None, delay
                rcode, records = RCODES[got], []
                break
            got = [got] if isinstance(got, (str, bytes)) else got
            records += [record(name, q.type, ttl, rdata(q.type, v)) for v in got]
            if got or "CNAME" not in value:
                break
            records.append(record(name, "CNAME", ttl, wire(value["CNAME"])))
            name = text(value["CNAME"])
        return self._packet(q, rcode, records, room), delay

    def _packet(self, q, rcode, records, room):
        authority, flags = [], QR | AA | (q.flags & RD) | 0x80 | rcode
        if not records and rcode in (0, RCODES["NXDOMAIN"]):
            soa = wire("ns.invalid") + wire("postmaster.invalid") + \
                struct.pack("!5I", 1, 3600, 600, 86400, 60)
            authority.append(record("", "SOA", 60, soa))
        opt = b"\0" + struct.pack("!HHIH", OPT, 1232, 0, 0) if q.edns else b""

        def build(flags, records, authority):
            head = struct.pack("!6H", q.id, flags, 1, len(records), len(authority), bool(opt))
            return head + q.question + b"".join(records + authority) + opt

        whole = build(flags, records, authority)
        return whole if len(whole) <= room else build(flags | TC, [], [])

    # ---- sockets ----

    def _note(self, packet, proto):
        try:
            q = Query(packet)
        except (ValueError, IndexError, struct.error):
            return None
        self.log.append((q.name.lower(), q.type, proto))
        return q

    def _run(self):
        later, streams = [], {}  # (when, send, packet); socket: bytes so far
        while self.running:
            now = time.monotonic()
            for item in [i for i in later if i[0] <= now]:
                later.remove(item)
                item[1](item[2])
            wait = min([0.1] + [max(0, i[0] - now) for i in later])
            ready, _, _ = select.select([self.udp, self.tcp, *streams], [], [], wait)
            for s in ready:
                if s is self.tcp:
                    streams[s.accept()[0]] = b""
                elif s is self.udp:
                    packet, peer = s.recvfrom(4096)
                    self._serve(packet, "udp", later,
                                lambda p, peer=peer: self.udp.sendto(p, peer))
                else:
                    self._stream(s, streams, later)
        for s in streams:
            s.close()

    def _stream(self, s, streams, later):
        try:
            got = s.recv(4096)
        except OSError:
            got = b""
        if not got:
            del streams[s]
            s.close()
            return
        buf = streams[s] + got
        while len(buf) >= 2 and len(buf) >= 2 + struct.unpack("!H", buf[:2])[0]:
            n, = struct.unpack("!H", buf[:2])
            self._serve(buf[2:2 + n], "tcp", later,
                        lambda p, s=s: s.sendall(struct.pack("!H", len(p)) + p))
            buf = buf[2 + n:]
        streams[s] = buf

    def _serve(self, packet, proto, later, send):
        with self.lock:
            q = self._note(packet, proto)
            if q is None:
                return
            answer, delay = self._answer(q, 65535 if proto == "tcp" else q.room)

        def quietly(p):
            try:
                send(p)
            except OSError:  # the asker is gone
                pass

        if answer is None:
            return
        if delay:
            later.append((time.monotonic() + delay, quietly, answer))
        else:
            quietly(answer)
