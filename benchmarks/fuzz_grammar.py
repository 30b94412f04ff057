"""Hostile request streams: well-formed and ill-formed seeds, damaged by edits that matter to HTTP framing.

Sources of the seeds: RFC 9112 (sections 2.2, 5, 6, 7, 9, 11.2), and the families CL.TE, TE.CL, TE.TE, CL.0, 0.CL that
are known from published request smuggling.
"""

import random
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

H: Final = b"Host: x\r\n"
P: Final = b"POST /v1/x HTTP/1.1\r\n" + H
INNER: Final = b"GET /v1/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
JSON: Final = b'{"model":"m","stream":true}'

SEEDS: Final = (
    b"GET /v1/models HTTP/1.1\r\n" + H + b"\r\n",
    b"GET /v1/models HTTP/1.0\r\n\r\n",
    P + b"Content-Length: 2\r\n\r\n{}",
    P + b"Content-Length: %d\r\nContent-Type: application/json\r\n\r\n%b" % (len(JSON), JSON),
    P + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    P + b'Transfer-Encoding: chunked\r\n\r\n1;a=b\r\n{\r\n1;c="d"\r\n}\r\n0\r\nX-T: 1\r\n\r\n',
    P + b"Transfer-Encoding: chunked\r\n\r\n40\r\n" + b"a" * 64 + b"\r\n40\r\n" + b"b" * 64 + b"\r\n0\r\n\r\n",
    P + b"Content-Length: 200\r\n\r\n" + b"c" * 200,
    P + b"Content-Length: %d\r\n\r\n" % len(INNER) + INNER,
    P + b"Content-Length: 0\r\n\r\n" + INNER,
    P + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
    P + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\n" + INNER + b"\r\n0\r\n\r\n",
    P + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + INNER,
    P + b"Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}",
    b"GET /v1/x HTTP/1.1\r\n" + H + b"Content-Length: %d\r\n\r\n" % len(INNER) + INNER,
    b"HEAD /v1/models HTTP/1.1\r\n" + H + b"\r\n",
    b"DELETE /v1/files/a HTTP/1.1\r\n" + H + b"Content-Length: 3\r\n\r\nabc",
    b"OPTIONS * HTTP/1.1\r\n" + H + b"\r\n",
    b"CONNECT x:443 HTTP/1.1\r\n" + H + b"\r\n" + INNER,
    b"TRACE /v1/x HTTP/1.1\r\n" + H + b"\r\n",
    b"GET http://169.254.169.254/v1/models HTTP/1.1\r\n" + H + b"\r\n",
    b"GET /v1/x HTTP/1.1\r\n" + H + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: A\r\n\r\n",
    P + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\n{}" + INNER,
    P + b"Connection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n" + INNER,
    b"GET /v1/x HTTP/1.1\r\n" + H + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: A\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    b"GET /v1/models\r\n",
    P + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
    P + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}" + INNER,
    P + b"Connection: content-length, host, x-a\r\nX-A: 1\r\nContent-Length: 2\r\n\r\n{}",
    P + b"Content_Length: 9\r\nTransfer_Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}",
    P + b"Authorization: Bearer sk-fuzz-0123456789\r\nX-Penstock-Team: a\r\nContent-Length: 2\r\n\r\n{}",
)

LINES: Final = (
    b"Content-Length: 2\r\n", b"Content-Length: 0\r\n", b"Content-Length: 44\r\n", b"Content-Length: +2\r\n",
    b"Content-Length: 0x2\r\n", b"Content-Length: 2,2\r\n", b"Content-Length: 2 2\r\n", b"Content-Length: \r\n",
    b"Content-Length: -1\r\n", b"Content-Length: 00000000000000000002\r\n", b"Content-Length:2\t\r\n",
    b"Content-Length: 18446744073709551617\r\n", b"Content-Length : 2\r\n", b"Content_Length: 44\r\n",
    b" Content-Length: 44\r\n", b"X: y\r\n Content-Length: 44\r\n", b"X: y\rContent-Length: 44\r\n",
    b"X: y\nContent-Length: 44\r\n", b"Content-Length\x00: 44\r\n", b"Content-Length: 4\x0b4\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: Chunked\r\n", b"Transfer-Encoding:\tchunked\r\n",
    b"Transfer-Encoding: xchunked\r\n", b"Transfer-Encoding: chunked, identity\r\n", b"Transfer-Encoding: gzip\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n", b"Transfer-Encoding:\r\n", b"Transfer-Encoding: \"chunked\"\r\n",
    b"Transfer-Encoding: chunked;a=b\r\n", b"Transfer-Encoding: ,chunked\r\n", b"Transfer-Encoding:\x0bchunked\r\n",
    b"Transfer-Encoding : chunked\r\n", b"Transfer-Encoding: chunked\r\n chunked\r\n",
    b"Transfer_Encoding: chunked\r\n",
    b"Connection: close\r\n", b"Connection: keep-alive\r\n", b"Connection: transfer-encoding\r\n",
    b"Connection: Upgrade\r\n", b"Upgrade: h2c\r\n", b"Upgrade: websocket\r\n", b"Expect: 100-continue\r\n",
    b"Expect: x\r\n", b"Host: y\r\n", b"Host:\r\n", b"X-A: \xff\xfe\r\n", b"X-A: a\x7fb\r\n", b"X-A: a\x01b\r\n",
    b"\xc3\xa4: 1\r\n", b": 1\r\n", b"X-A\r\n", b"X A: 1\r\n", b"Trailer: Content-Length\r\n", b"TE: trailers\r\n",
    b"Content-Encoding: gzip\r\n", b"X-Forwarded-Host: 169.254.169.254\r\n",
)  # fmt: skip
TOKENS: Final = (
    b"\r\n", b"\n", b"\r", b"\x00", b"\x0b", b"\x0c", b"\x85", b" ", b"\t", b":", b";", b",", b"0", b"1", b"a",
    b"+", b"-", b"_", b"0x", b"\r\n\r\n", b"\n\n", b"0\r\n\r\n", b"1\r\na\r\n", b"ffffffffffffffff\r\n",
    b"\xff", b"\x7f", b"\xa0",
    b"HTTP/1.1", b"HTTP/1.0", b" HTTP/0.9", b"HTTP/2.0", b"GET ", b"//", b"\\", b"/../", b"%2e%2e/", b"?", b"#", b"@",
    b"http://y/", INNER,
)  # fmt: skip
TARGETS: Final = (
    b"/v1/x", b"/openai/v1/x", b"//y/v1/x", b"http://y/v1/x", b"http://u:p@y/v1/x", b"https://y", b"*", b"y:80", b"/",
    b"/v1/../x", b"/v1/%2e%2e/x", b"/v1/x?a=b#c", b"/v1\\x", b"\\\\y\\v1", b"/v1/x\x7f", b"/v1/\xc3\xa4", b"/v1/x y",
    b"ftp://y/v1/x", b"http:/y", b"/v1/x?http://y", b"@y/v1", b"/v1/x%0d%0aX:%20y", b"/v1/x?\xff", b"/v1/" + b"a" * 300,
)  # fmt: skip


class Grammar:
    """Cases from a seed; the same seed gives the same cases."""

    def __init__(self, seed: int, seeds: Sequence[bytes] = SEEDS) -> None:
        self._random = random.Random(seed)
        self._seeds = seeds

    def case(self) -> bytes:
        """One stream of a client."""
        rng = self._random
        streams = [rng.choice(self._seeds)]
        while rng.random() < 0.25 and len(streams) < 4:
            streams.append(rng.choice(self._seeds))
        place = rng.randrange(len(streams))
        for _ in range(rng.choice((0, 1, 1, 1, 2, 2, 3, 5))):
            streams[place] = self._edit(streams[place])
        return b"".join(streams)

    def pieces(self, data: bytes) -> list[bytes]:
        """`data` as a socket might give it."""
        rng = self._random
        if rng.random() < 0.5 or len(data) < 2:
            return [data]
        if rng.random() < 0.05 and len(data) < 400:
            return [data[at : at + 1] for at in range(len(data))]
        cuts = sorted({0, len(data), *(rng.randrange(len(data)) for _ in range(rng.randint(1, 4)))})
        return [data[start:end] for start, end in pairwise(cuts)]

    def _edit(self, data: bytes) -> bytes:
        rng = self._random
        lines = data.split(b"\r\n")
        match rng.randrange(9):
            case 0:
                at = rng.randint(1, max(1, data.count(b"\r\n")))
                parts = data.split(b"\r\n", at)
                return b"\r\n".join(parts[:-1]) + b"\r\n" + rng.choice(LINES) + parts[-1]
            case 1:
                at = rng.randrange(len(data) + 1)
                return data[:at] + rng.choice(TOKENS) + data[at:]
            case 2:
                at = rng.randrange(len(data) + 1)
                return data[:at] + data[at + rng.randint(1, 3) :]
            case 3 if len(lines) > 2:
                at = rng.randrange(len(lines))
                return b"\r\n".join([*lines[:at], lines[at], *lines[at:]])
            case 4 if len(lines) > 2:
                at = rng.randrange(len(lines))
                return b"\r\n".join([*lines[:at], *lines[at + 1 :]])
            case 5:
                return data.replace(b"\r\n", rng.choice((b"\n", b"\r", b"\r\r\n", b" \r\n")), rng.randint(1, 3))
            case 6:
                method, space, rest = data.partition(b" ")
                return method + space + rng.choice(TARGETS) + rest[rest.find(b" ") :]
            case 7:
                at = rng.randrange(len(data) or 1)
                return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
            case _:
                at = rng.randrange(len(data) or 1)
                return data[:at] + data[at : at + 8].swapcase() + data[at + 8 :]
