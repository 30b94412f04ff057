"""Pure: whether an upstream is asked again after an attempt has failed.

Asking twice may cost twice, and may do twice what the request asks for. So by default only one thing leads to a second
attempt: a safe request on a kept connection that its server was just closing (RFC 9110, 9.2.2). All else is a setting,
`upstreams[].retries`. Nothing of a failed attempt has gone to the client.
"""

from typing import Final, Literal

from penstock.schemas.tap_settings import Retries

Cause = Literal["connect", "reset", "timeout", "answer", "total"] | int
"""What ended an attempt: no connection, its loss, a deadline, bytes that are no answer, the time in all, a status."""

IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
SAFE: Final = IDEMPOTENT - {"PUT", "DELETE"}
KEY: Final = b"idempotency-key"
BACKOFF_MAX_S: Final = 10.0


def again_after_s(
    retries: Retries, attempts: int, cause: Cause, *, method: str, keyed: bool, sent: bool, kept: bool, whole: bool
) -> float | None:
    """After how long to ask again; None: the failure stands.

    `attempts` were made so far. `keyed`: the request has an idempotency key. `sent`: some of it was written, on a
    connection that was `kept`. `whole`: all of its body is at hand, so that it can be sent again.
    """
    if sent and not whole:
        return None
    if cause == "reset" and attempts == 1 and kept and method in SAFE:
        return 0.0
    if attempts >= retries.attempts or cause not in retries.after:
        return None
    if sent and method not in IDEMPOTENT and retries.posts != "always" and not (retries.posts == "keyed" and keyed):
        return None
    return min(retries.backoff_s * 2.0 ** (attempts - 1), BACKOFF_MAX_S)
