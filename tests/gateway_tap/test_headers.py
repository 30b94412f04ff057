from hypothesis import given
from hypothesis import strategies as st

from penstock.gateway_tap.headers import HOP, end_to_end, fields_of, find_all, request_head, response_head

NAMES = st.sampled_from(
    [b"Connection", b"Keep-Alive", b"TE", b"Upgrade", b"X-One", b"x-two", b"Authorization", b"Transfer-Encoding"]
)
VALUES = st.sampled_from([b"a", b"close", b"x-one", b"X-Two, te", b"keep-alive"])


@given(st.lists(st.tuples(NAMES, VALUES), max_size=12))
def test_hop_by_hop_fields_end_here(headers: list[tuple[bytes, bytes]]) -> None:
    named = {name.strip().lower() for key, value in headers if key == b"Connection" for name in value.split(b",")}
    expected = [pair for pair in headers if pair[0].lower() not in HOP | named]
    assert end_to_end(headers) == expected


def test_a_request_head_is_built_anew() -> None:
    headers = [
        (b"Host", b"tap.internal"),
        (b"Content-Length", b"999"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Expect", b"100-continue"),
        (b"X-Penstock-Team", b"research"),
        (b"x-penstock-org", b"acme"),
        (b"Connection", b"X-Hop"),
        (b"X-Hop", b"1"),
        (b"Authorization", b"Bearer k"),
        (b"Accept-Encoding", b"gzip"),
    ]
    head = request_head("POST", b"/v1/x?y=1", b"api.example", headers, 3, chunked=False)
    assert head == (
        b"POST /v1/x?y=1 HTTP/1.1\r\nhost: api.example\r\nAuthorization: Bearer k\r\nAccept-Encoding: gzip\r\n"
        b"content-length: 3\r\n\r\n"
    )
    assert b"transfer-encoding: chunked\r\n\r\n" in request_head("POST", b"/", b"h", [], 3, chunked=True)
    assert request_head("GET", b"/", b"h", [], None, chunked=False) == b"GET / HTTP/1.1\r\nhost: h\r\n\r\n"


def test_a_response_head_keeps_what_is_end_to_end() -> None:
    headers = [(b"X-Penstock-Exchange-Id", b"theirs"), (b"Trailer", b"x"), (b"Set-Cookie", b"a"), (b"Set-Cookie", b"b")]
    head = response_head(200, b"", headers, [(b"x-penstock-exchange-id", b"ours")])
    assert head == b"HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nx-penstock-exchange-id: ours\r\n\r\n"
    assert response_head(299, b"Odd", [], []) == b"HTTP/1.1 299 Odd\r\n\r\n"


def test_headers_are_found_whatever_their_case() -> None:
    headers = [(b"X-A", b"1"), (b"x-a", b"2")]
    assert fields_of(headers) == {b"x-a": b"1"}
    assert find_all(headers, b"x-a") == [b"1", b"2"]
