import pytest

from penstock.gateway_tap.request import Request


def read(headers: list[tuple[bytes, bytes]], version: str = "1.1", upgrade: bool = False) -> Request:
    request = Request(1, 0.0, b"/", headers=headers)
    request.head("POST", version, keep_alive=True, upgrade=upgrade)
    return request


HOST = (b"Host", b"x")


@pytest.mark.parametrize(
    ("headers", "version", "upgrade", "status"),
    [
        ([HOST], "1.1", False, None),
        ([], "1.0", False, None),
        ([], "1.1", False, 400),
        ([HOST, HOST], "1.1", False, 400),
        ([HOST, (b"Transfer-Encoding", b"Chunked ")], "1.1", False, None),
        ([HOST, (b"Transfer-Encoding", b"gzip")], "1.1", False, 400),
        ([HOST, (b"Transfer-Encoding", b"chunked")], "1.0", False, 400),
        ([HOST, (b"Expect", b"100-Continue")], "1.1", False, None),
        ([HOST, (b"Expect", b"tea")], "1.1", False, 417),
        ([HOST, (b"Upgrade", b"WebSocket")], "1.1", True, 501),
        ([HOST, (b"Upgrade", b"h2c")], "1.1", True, None),
        ([HOST], "1.1", True, 501),
        ([HOST], "2.0", False, 505),
    ],
)
def test_what_cannot_be_served(
    headers: list[tuple[bytes, bytes]], version: str, upgrade: bool, status: int | None
) -> None:
    problem = read(headers, version, upgrade).problem
    assert (problem.status if problem else None) == status


def test_only_a_body_is_waited_for() -> None:
    assert read([HOST, (b"content-length", b"0"), (b"expect", b"100-continue")]).expects is False
    assert read([HOST, (b"content-length", b"1"), (b"expect", b"100-continue")]).expects is True
    assert read([HOST]).bodiless


def test_http10_connections_are_not_kept() -> None:
    assert not read([HOST], "1.0").keep_alive
    assert read([HOST]).keep_alive


def test_a_declined_upgrade_is_read_again_without_its_offer() -> None:
    request = read([HOST, (b"Upgrade", b"h2c"), (b"Connection", b"Upgrade"), (b"content-length", b"2")], upgrade=True)
    assert request.again() == b"POST / HTTP/1.1\r\nHost: x\r\ncontent-length: 2\r\n\r\n"


def test_nothing_of_a_head_is_shown() -> None:
    assert "secret" not in repr(read([HOST, (b"authorization", b"secret")]))
