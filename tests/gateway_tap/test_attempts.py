"""When an upstream is asked again."""

import itertools
from typing import Any

import pytest

from penstock.gateway_tap.attempts import BACKOFF_MAX_S, Cause, again_after_s
from penstock.schemas.tap_settings import Retries

ALL = ("connect", "reset", "timeout", 429, 503)
USUAL: dict[str, Any] = {"method": "POST", "keyed": False, "sent": True, "kept": False, "whole": True}


def again(retries: Retries, cause: Cause, attempts: int = 1, **members: Any) -> float | None:
    return again_after_s(retries, attempts, cause, **USUAL | members)


CAUSES: tuple[Cause, ...] = ("connect", "reset", "timeout", "answer", "total", 429, 503)


@pytest.mark.parametrize("cause", CAUSES)
def test_by_default_nothing_is_asked_again(cause: Cause) -> None:
    for method, sent, kept in itertools.product(("POST", "GET"), (True, False), (True, False)):
        stale = cause == "reset" and method == "GET" and sent and kept
        expected = 0.0 if stale else None
        assert again(Retries(), cause, method=method, sent=sent, kept=sent and kept) == expected


@pytest.mark.parametrize("posts", ["unsent", "keyed", "always"])
@pytest.mark.parametrize("keyed", [True, False])
def test_a_post_that_was_sent_is_sent_again_only_where_a_setting_says_so(posts: Any, keyed: bool) -> None:
    retries = Retries(attempts=3, after=ALL, posts=posts)
    allowed = posts == "always" or (posts == "keyed" and keyed)
    for cause in ALL:
        assert (again(retries, cause, keyed=keyed) is not None) == allowed
        assert again(retries, cause, keyed=keyed, sent=False) is not None
        assert again(retries, cause, keyed=keyed, method="PUT") is not None


def test_a_body_that_is_gone_is_not_sent_again() -> None:
    retries = Retries(attempts=3, after=ALL, posts="always")
    assert again(retries, "reset", whole=False) is None
    assert again(retries, "connect", whole=False, sent=False) is not None
    assert again(Retries(), "reset", method="GET", kept=True, whole=False) is None


@pytest.mark.parametrize("cause", ["answer", "total", 500, 502])
def test_what_the_setting_does_not_name_stands(cause: Cause) -> None:
    assert again(Retries(attempts=3, after=ALL, posts="always"), cause) is None


def test_attempts_are_counted_and_come_ever_later() -> None:
    retries = Retries(attempts=4, after=("connect",), backoff_s=0.5)
    waits = [again(retries, "connect", attempts, sent=False) for attempts in range(1, 6)]
    assert waits == [0.5, 1.0, 2.0, None, None]
    assert again(Retries(attempts=10, backoff_s=60), "connect", 5, sent=False) == BACKOFF_MAX_S


def test_a_kept_connection_excuses_one_failure_alone() -> None:
    assert again(Retries(), "reset", 1, method="GET", kept=True) == 0.0
    assert again(Retries(), "reset", 2, method="GET", kept=True) is None
