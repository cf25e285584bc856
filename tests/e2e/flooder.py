# SPDX-License-Identifier: BSD-3-Clause
"""A client that floods inside TLS: records of any type and content, under the keys of a session
that Python's ssl has opened. TLS 1.2 with AES-128-GCM, TLS 1.3 with AES-GCM. It goes on until the gateway ends the
connection or it has sent all that it was told to."""

import contextlib
import hmac
import os
import select
import ssl
import struct
import tempfile

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from peers import connect

HANDSHAKE, ALERT, DATA = 22, 21, 23


def expand_label(secret, label, n):
    """RFC 8446 7.1 with an empty context; one block. A secret is as long as its hash."""
    label = b"tls13 " + label
    info = struct.pack("!HB", n, len(label)) + label + b"\0"
    return hmac.digest(secret, info + b"\1", f"sha{8 * len(secret)}")[:n]


def prf12(secret, seed, n):
    """RFC 5246 5."""
    out, a = b"", seed
    while len(out) < n:
        a = hmac.digest(secret, a, "sha256")
        out += hmac.digest(secret, a + seed, "sha256")
    return out[:n]


def context(version, keylog=None):
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ctx.check_hostname, ctx.verify_mode = False, ssl.CERT_NONE
    ctx.minimum_version = ctx.maximum_version = version
    ctx.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256")
    if keylog:
        ctx.keylog_filename = keylog
    return ctx


def hello(version=ssl.TLSVersion.TLSv1_3):
    """The octets of a ClientHello without its record header."""
    out = ssl.MemoryBIO()
    ctx = context(version)
    ctx.set_alpn_protocols(["smtp"] * 40)  # more than 300 octets
    tls = ctx.wrap_bio(ssl.MemoryBIO(), out, server_hostname="mx.example.org")
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return out.read()[5:]


def record(kind, data):
    return struct.pack("!BHH", kind, 0x0303, len(data)) + data


class Gone(Exception):
    """The gateway has ended the connection."""


class Raw:
    """A TCP connection behind STARTTLS, or to an implicit port."""

    def __init__(self, lab_ns, addr, port=465, starttls=False):
        self.sock = connect(lab_ns, addr, port)
        self.sent = 0
        self.heard = b""
        if starttls:
            self.sock.recv(1000)
            for line in (b"EHLO x\r\n", b"STARTTLS\r\n"):
                self.sock.sendall(line)
                self.sock.recv(10000)

    def put(self, data):
        try:
            self.sock.sendall(data)
            self.sent += len(data)
            while select.select([self.sock], [], [], 0)[0]:
                got = self.sock.recv(65536)
                if not got:
                    raise Gone
                self.heard += got
        except OSError as e:
            raise Gone from e

    def ask(self, data):
        """Sends it and waits until something comes back."""
        before = len(self.heard)
        self.put(data)
        if len(self.heard) == before:
            self.heard += self.sock.recv(65536)
        assert len(self.heard) > before

    def ends(self, timeout=10):
        """Does the gateway end the connection when nothing more comes?"""
        self.sock.settimeout(timeout)
        try:
            while got := self.sock.recv(65536):
                self.heard += got
        except TimeoutError:
            return False
        except OSError:
            pass
        return True

    def close(self):
        self.sock.close()


class Forger(Raw):
    """TLS is up and the greeting has come; from here on all records are hand-made."""

    def __init__(self, lab_ns, addr, version, port=465):
        super().__init__(lab_ns, addr, port)
        self.tls13 = version == ssl.TLSVersion.TLSv1_3
        fd, path = tempfile.mkstemp()
        os.close(fd)
        try:
            flight = self.handshake(context(version, path))
            with open(path, encoding="ascii") as f:
                self.keys(f.read(), flight)
        finally:
            os.unlink(path)

        # In TLS 1.2 the server speaks last, and its greeting may have come along.
        if self.tls13 or b"\x17\x03\x03" not in flight:
            assert self.sock.recv(10000), "no greeting"

    def handshake(self, ctx):
        """What the server sent, as it came."""
        inp, out, flight = ssl.MemoryBIO(), ssl.MemoryBIO(), b""
        tls = ctx.wrap_bio(inp, out, server_hostname="mx.example.org")
        while True:
            try:
                tls.do_handshake()
                self.sock.sendall(out.read())
                return flight
            except ssl.SSLWantReadError:
                if out.pending:
                    self.sock.sendall(out.read())
                got = self.sock.recv(65536)
                assert got, "the gateway closed in the handshake"
                flight += got
                inp.write(got)

    def keys(self, log, flight):
        line = {ln.split()[0]: ln.split()[1:] for ln in log.splitlines() if ln[:1] != "#"}
        if self.tls13:
            self.secret = bytes.fromhex(line["CLIENT_TRAFFIC_SECRET_0"][1])
            self.next_keys()
            return
        client, master = (bytes.fromhex(x) for x in line["CLIENT_RANDOM"])
        server = flight[5 + 4 + 2:5 + 4 + 2 + 32]
        block = prf12(master, b"key expansion" + server + client, 40)
        self.gcm, self.iv, self.seq = AESGCM(block[:16]), block[32:36], 1

    def next_keys(self):
        # TLS_AES_256_GCM_SHA384 or TLS_AES_128_GCM_SHA256
        self.gcm = AESGCM(expand_label(self.secret, b"key", 32 if len(self.secret) == 48 else 16))
        self.iv, self.seq = expand_label(self.secret, b"iv", 12), 0

    def seal(self, kind, data=b""):
        """One record."""
        seq = struct.pack("!Q", self.seq)
        self.seq += 1
        if self.tls13:
            head = struct.pack("!BHH", DATA, 0x0303, len(data) + 17)
            nonce = bytes(a ^ b for a, b in zip(self.iv, b"\0" * 4 + seq))
            return head + self.gcm.encrypt(nonce, data + bytes([kind]), head)
        aad = seq + struct.pack("!BHH", kind, 0x0303, len(data))
        return (struct.pack("!BHH", kind, 0x0303, len(data) + 24) + seq +
                self.gcm.encrypt(self.iv + seq, data, aad))

    def key_update(self):
        """RFC 8446 4.6.3; the keys behind it are the next ones."""
        out = self.seal(HANDSHAKE, b"\x18\0\0\1\0")
        self.secret = expand_label(self.secret, b"traffic upd", len(self.secret))
        self.next_keys()
        return out
