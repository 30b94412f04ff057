"""The largest request that passes, and the smallest that does not."""

import pytest

from penstock.gateway_tap.bounds import head_problem, size_problem
from penstock.gateway_tap.request import Request
from penstock.schemas.tap_settings import Tap

TAP = Tap(header_max_bytes=1024, header_max_count=20, target_max_bytes=256, body_max_bytes=2048, parse_max_bytes=1024)


def made(target: int = 1, headers: int = 0, value: int = 0, length: int | None = None) -> Request:
    request = Request(0, 0.0)
    request.target = b"a" * target
    request.headers = [(b"name", b"v" * value)] * headers
    request.content_length = length
    return request


@pytest.mark.parametrize(
    ("request_", "read_bytes", "status"),
    [
        (made(target=256), 300, None),
        (made(target=257), 300, 414),
        (made(headers=20), 300, None),
        (made(headers=21), 300, 431),
        (made(headers=1, value=1015), 90_000, None),
        (made(headers=1, value=1016), 90_000, 431),
        (made(length=2048), 300, None),
        (made(length=2049), 300, 413),
    ],
)
def test_bounds(request_: Request, read_bytes: int, status: int | None) -> None:
    problem = size_problem(request_, read_bytes, TAP)
    assert (problem and problem.status) == status


def test_what_has_come_of_a_head_counts_before_it_is_complete() -> None:
    assert head_problem(made(), 1024, TAP) is None
    problem = head_problem(made(), 1025, TAP)
    assert problem is not None
    assert problem.status == 431
