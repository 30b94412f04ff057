"""One request in is at most one request out. The 34 plain cases stand in `test_downstream.py`; these are the families
of published request smuggling, each with what arrives at the upstream."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
HOST = b"Host: x\r\n"
POST = b"POST /v1/x HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n"
INNER = b"GET /v1/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
UPGRADE = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"

REFUSED = {
    "CL.TE": (400, POST + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG" + INNER),
    "TE.CL": (400, CHUNKED + b"Content-Length: 4\r\n\r\n2c\r\n" + INNER + b"\r\n0\r\n\r\n"),
    "TE.TE": (400, CHUNKED + b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n" + INNER),
    "TE.TE in another case": (400, CHUNKED + b"transfer-encoding: x\r\n\r\n0\r\n\r\n" + INNER),
    "TE.TE with the plain one last": (
        400,
        POST + b"TRANSFER-Encoding: gzip\r\n" + CHUNKED[len(POST) :] + b"\r\n0\r\n\r\n",
    ),
    "TE identity": (400, POST + b"Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}" + INNER),
    "TE identity alone": (400, POST + b"Transfer-Encoding: identity\r\n\r\n" + INNER),
    "TE empty": (400, POST + b"Transfer-Encoding:\r\n\r\n" + INNER),
    "TE with a parameter": (400, POST + b"Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n" + INNER),
    "TE quoted": (400, POST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n' + INNER),
    "TE after a comma": (400, POST + b"Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n" + INNER),
    "TE with a space before the colon": (400, POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + INNER),
    "TE on a folded line": (400, POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + INNER),
    "TE behind a bare LF": (400, POST + b"X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + INNER),
    "TE behind a bare CR": (400, POST + b"X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + INNER),
    "TE behind NUL": (400, POST + b"X: y\x00Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + INNER),
    "TE in HTTP/1.0 with CL": (
        400,
        b"POST /v1/x HTTP/1.0\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}",
    ),
    "CL empty": (400, POST + b"Content-Length:\r\n\r\n" + INNER),
    "CL of spaces": (400, POST + b"Content-Length:   \r\n\r\n" + INNER),
    "CL of two numbers": (400, POST + b"Content-Length: 2 2\r\n\r\n{}" + INNER),
    "CL decimal": (400, POST + b"Content-Length: 2.0\r\n\r\n{}" + INNER),
    "CL beyond 64 bits": (400, POST + b"Content-Length: 18446744073709551618\r\n\r\n{}" + INNER),
    "CL of 6000 digits": (400, POST + b"Content-Length: " + b"0" * 6000 + b"2\r\n\r\n{}" + INNER),
    "CL in a trailer": (400, CHUNKED + b"\r\n0\r\nContent-Length: 44\r\n\r\n" + INNER),
    "TE in a trailer": (400, CHUNKED + b"\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + INNER),
    "chunk size behind a space": (400, CHUNKED + b"\r\n 2\r\n{}\r\n0\r\n\r\n" + INNER),
    "chunk size beyond 64 bits": (400, CHUNKED + b"\r\n10000000000000002\r\n{}\r\n0\r\n\r\n" + INNER),
    "chunk size with an underscore": (400, CHUNKED + b"\r\n0_2\r\n{}\r\n0\r\n\r\n" + INNER),
    "negative chunk size": (400, CHUNKED + b"\r\n-2\r\n{}\r\n0\r\n\r\n" + INNER),
    "chunk without its end": (400, CHUNKED + b"\r\n2\r\n{}XX0\r\n\r\n" + INNER),
    "CR in a chunk extension": (400, CHUNKED + b"\r\n2;a\rb\r\n{}\r\n0\r\n\r\n" + INNER),
    "two Hosts of different names": (400, b"GET /v1/x HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"),
    "no name": (400, POST + b": 2\r\n\r\n"),
    "no colon": (400, POST + b"Content-Length\r\n\r\n" + INNER),
    "a line before the first field": (400, b"GET /v1/x HTTP/1.1\r\n X: y\r\n" + HOST + b"\r\n"),
    "HTTP/0.9": (505, b"GET /v1/x\r\n\r\n"),
    "HTTP/1.10": (400, b"GET /v1/x HTTP/1.10\r\n" + HOST + b"\r\n"),
    "CONNECT that offers h2c": (501, b"CONNECT x:443 HTTP/1.1\r\n" + HOST + UPGRADE + b"\r\n" + INNER),
    "CONNECT with a body": (501, b"CONNECT x:443 HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\n\r\n{}" + INNER),
    "TRACE": (501, b"TRACE /v1/x HTTP/1.1\r\n" + HOST + b"\r\n" + INNER),
    "h2c and WebSocket": (501, POST + b"Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n\r\n" + INNER),
    "h2c with both framings": (400, POST + UPGRADE + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}"),
}

SERVED = {
    "CL.0": ([INNER], POST + b"Content-Length: %d\r\n\r\n" % len(INNER) + INNER),
    "0.CL": ([b"", b""], POST + b"Content-Length: 0\r\n\r\n" + INNER),
    "CL with a tab behind it": ([INNER], POST + b"Content-Length: %d\t\r\n\r\n" % len(INNER) + INNER),
    "CL with spaces around it": ([INNER], POST + b"Content-Length: \t %d  \r\n\r\n" % len(INNER) + INNER),
    "CL with zeros before it": ([b"{}"], POST + b"Content-Length: 0002\r\n\r\n{}"),
    "GET with a body": ([INNER], b"GET /v1/x HTTP/1.1\r\n" + HOST + b"Content-Length: 38\r\n\r\n" + INNER),
    "chunk extensions": ([b"{}"], CHUNKED + b'\r\n1;a=b\r\n{\r\n1;c="d"\r\n}\r\n0;e\r\n\r\n'),
    "chunk sizes with zeros": ([b"{}"], CHUNKED + b"\r\n0000002\r\n{}\r\n000\r\n\r\n"),
    "coding in another case": ([b"{}"], POST + b"transfer-ENCODING:\tChUnKeD\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
    "h2c with a body and a request behind": ([b"{}", b""], POST + UPGRADE + b"Content-Length: 2\r\n\r\n{}" + INNER),
    "h2c without a body": ([b"", b""], b"GET /v1/x HTTP/1.1\r\n" + HOST + UPGRADE + b"\r\n" + INNER),
    "underscores": ([b"{}"], POST + b"Content_Length: 9\r\nTransfer_Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}"),
    "framing named by Connection": ([b"{}"], POST + b"Connection: content-length, host\r\nContent-Length: 2\r\n\r\n{}"),
    "two spaces before the version": ([b""], b"GET /v1/x  HTTP/1.1\r\n" + HOST + b"\r\n"),
    "empty lines before a request": ([b"{}"], b"\r\n\r\n" + POST + b"Content-Length: 2\r\n\r\n{}"),
}


async def fine(call, reader, writer):
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")


@pytest.mark.parametrize("cut", [False, True], ids=["whole", "in two reads"])
@pytest.mark.parametrize("name", REFUSED)
async def test_doubtful_framing_is_refused_and_the_connection_ends(upstream, tap, answer, name, cut):
    status, data = REFUSED[name]
    up = await upstream(fine)
    gate = await tap(up.url)
    reader, writer = await gate.connect()
    if cut:
        writer.write(data[: len(data) // 2])
        await asyncio.sleep(0.005)
        data = data[len(data) // 2 :]
    writer.write(data)
    got, headers, _ = await answer(reader)
    assert (got, headers["connection"]) == (status, "close")
    assert headers["x-penstock-exchange-id"] == gate.ids()[0]
    assert await asyncio.wait_for(reader.read(), 5) == b""
    assert up.calls == []


@pytest.mark.parametrize("name", SERVED)
async def test_what_is_served_arrives_with_its_own_body_and_nothing_else(upstream, tap, answer, name):
    bodies, data = SERVED[name]
    up = await upstream(fine)
    gate = await tap(up.url)
    reader, writer = await gate.connect()
    writer.write(data)
    for _ in bodies:
        assert (await answer(reader))[0] == 200
    assert [call.body for call in up.calls] == bodies
    for call in up.calls:
        names = [key.lower().replace("_", "-") for key, _ in call.headers]
        assert names.count("content-length") + names.count("transfer-encoding") <= 1
        assert names.count("host") == 1


async def test_a_thousand_offers_of_h2c_in_one_read_are_a_thousand_requests(upstream, tap, answer):
    up = await upstream(fine)
    gate = await tap(up.url)
    reader, writer = await gate.connect()
    writer.write((b"GET /v1/x HTTP/1.1\r\n" + HOST + UPGRADE + b"\r\n") * 1000)
    for _ in range(1000):
        assert (await answer(reader))[0] == 200
    assert len(up.calls) == 1000


@pytest.mark.parametrize("seed", [3, 4])
def test_h11_behind_the_tap_reads_what_the_tap_has_read(seed):
    command = [sys.executable, str(ROOT / "benchmarks" / "fuzz.py"), "--cases", "4000", "--seed", str(seed), "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)
    assert found["differences"] == [], done.stderr
    assert found["cases"] == 4000
    assert found["forwarded"] > 800


def test_h11_before_the_tap_reads_one_answer_for_each_request():
    command = [
        sys.executable,
        str(ROOT / "benchmarks" / "fuzz_answers.py"),
        "--cases",
        "3000",
        "--seed",
        "3",
        "--quiet",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)
    assert found["differences"] == [], done.stderr
    assert found["whole"] > 3000
