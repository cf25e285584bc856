# SPDX-License-Identifier: BSD-3-Clause
"""Messages from a seed: what SMTP may carry, and where relays go wrong."""

import random

CRLF = b"\r\n"
MIB = 1 << 20
_EIGHT = bytes(b for b in range(1, 256) if b not in (10, 13))


def _dots(r):
    """Lines that begin with dots, and look like ends."""
    lines = [r.choice([b".", b"..", b"...", b".x", b"x.", b"", b". ", b".\t.", b"." * 70])
             for _ in range(r.randrange(1, 60))]
    return CRLF.join(lines) + CRLF


def _text(r, size):
    words = [bytes(r.choices(b"abcdefghijklmnopqrstuvwxyz", k=r.randrange(1, 12)))
             for _ in range(50)]
    out, n = [], 0
    while n < size:
        line = b" ".join(r.choices(words, k=r.randrange(0, 14)))
        out.append(line)
        n += len(line) + 2
    return CRLF.join(out)[:size].rstrip(b"\r") + CRLF


def _eight(r, size):
    """Any byte but CR and LF, in lines of any length."""
    out, n = [], 0
    while n < size:
        line = bytes(r.choices(_EIGHT, k=r.randrange(0, 400)))
        out.append(line)
        n += len(line) + 2
    return CRLF.join(out) + CRLF


def _long(r):
    """One line far beyond the 998 octets of RFC 5321."""
    return bytes(r.choices(b"0123456789abcdef. ", k=64)) * r.randrange(20, 3000) + CRLF


def _big(r, size):
    """Cheap to make, hard to shift: blocks that repeat at no power of two."""
    block = _eight(r, 9973)
    return block * (size // len(block)) + _text(r, size % len(block) + 1)


def body(r, k, big):
    """Message content number k; each 30th is one of the big ones, while there are any."""
    kind = r.random()
    if k % 30 == 0 and k // 30 < len(big):
        return _big(r, big[k // 30])
    if kind < 0.03:
        return b""
    if kind < 0.06:
        return CRLF * r.randrange(1, 5)
    if kind < 0.20:
        return _dots(r)
    if kind < 0.35:
        return _eight(r, int(2 ** r.uniform(0, 15)))
    if kind < 0.42:
        return _long(r)
    if kind < 0.45:
        # Ends around the sizes where buffers end.
        edge = r.choice([1460, 2048, 4096, 8192, 16384, 32768, 65536]) + r.randrange(-6, 7)
        return b"e" * (edge - 2) + CRLF
    return _text(r, int(2 ** r.uniform(0, 16)))


def make(seed, count, big, header=False):
    """Yields (number, content). Content ends with CRLF or is empty, except some
    that only BDAT can carry (no_eol). With header, each begins with a header section."""
    for k in range(count):
        r = random.Random(f"{seed}/{k}")
        data = body(r, k, big)
        if header:
            data = b"Subject: bulk\r\nX-Bulk: %d\r\n\r\n" % k + data
        yield k, data


def no_eol(k):
    """Whether message k loses its last CRLF, for BDAT."""
    return k % 7 == 3
