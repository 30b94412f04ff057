"""Pure: whether a request is larger than the settings of the tap allow."""

from penstock.schemas.tap_settings import Tap

from .request import Problem, Request


def head_problem(request: Request, head_bytes: int, tap: Tap) -> Problem | None:
    """Of a head that may not be complete yet; `head_bytes` of it have come."""
    if len(request.target) > tap.target_max_bytes:
        return Problem(414, "the request's path is too long", "uri_too_long")
    if head_bytes > tap.header_max_bytes or len(request.headers) > tap.header_max_count:
        return Problem(431, "the request's head is too large", "headers_too_large")
    return None


def size_problem(request: Request, read_bytes: int, tap: Tap) -> Problem | None:
    """Of a head that is complete. `read_bytes` is what was read since it began, perhaps more than the head: only where
    that is too much is the head itself counted."""
    head_bytes = read_bytes
    if head_bytes > tap.header_max_bytes:
        head_bytes = len(request.target) + sum(len(name) + len(value) + 4 for name, value in request.headers)
    problem = head_problem(request, head_bytes, tap)
    if problem is None and (request.content_length or 0) > tap.body_max_bytes:
        problem = Problem(413, "the request's body is too large", "request_too_large")
    return problem
