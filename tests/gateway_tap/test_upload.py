import hashlib

from penstock.gateway_tap.request import Request
from penstock.gateway_tap.routes import Routes
from penstock.gateway_tap.upload import Upload
from penstock.schemas.tap_settings import Timeouts, Upstream

CHOSEN = Routes([Upstream(name="a", url="http://a.example")], Timeouts()).choose(b"/v1/x")


def request(headers: list[tuple[bytes, bytes]]) -> Request:
    made = Request(1, 0.0, b"/v1/x", headers=[(b"host", b"tap"), *headers])
    made.head("POST", "1.1", keep_alive=True, upgrade=False)
    return made


def start(upload: Upload) -> bytes:
    assert CHOSEN is not None
    return upload.start(CHOSEN, [])


def test_a_whole_body_gets_its_length() -> None:
    upload = Upload(request([(b"transfer-encoding", b"chunked")]), b"abc")
    assert start(upload) == b"POST /v1/x HTTP/1.1\r\nhost: a.example\r\ncontent-length: 3\r\n\r\nabc"
    assert upload.complete
    assert upload.figures() == {"request_bytes": 3, "request_sha256": hashlib.sha256(b"abc").hexdigest()}


def test_no_body_gets_no_length_unless_the_client_said_so() -> None:
    assert b"content-length" not in start(Upload(request([]), b""))
    assert b"content-length: 0\r\n\r\n" in start(Upload(request([(b"content-length", b"0")]), b""))


def test_a_passing_body_keeps_the_clients_kind_of_framing() -> None:
    chunked = Upload(request([(b"transfer-encoding", b"chunked")]), None)
    chunked.waiting = chunked.piece(b"abc")
    assert start(chunked).endswith(b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
    assert chunked.piece(b"de") == b"2\r\nde\r\n"
    assert chunked.end() == b"0\r\n\r\n"
    known = Upload(request([(b"content-length", b"5")]), None)
    assert start(known).endswith(b"content-length: 5\r\n\r\n")
    assert (known.piece(b"abcde"), known.end()) == (b"abcde", b"")
    assert known.figures()["request_bytes"] == 5
    assert known.figures()["request_sha256"] == chunked.figures()["request_sha256"]
