"""How the tap speaks to a client in its provider's own words: the ending of a cut stream, and a refusal."""

from penstock.schemas.events import Api, Dialect

Header = tuple[str, str]


def kill_ending(api: Api, message: str, code: str) -> bytes:
    """SSE bytes that end a running stream so that the provider's SDK raises; write them at an event border.

    Empty for apis whose streams have no such ending.
    """
    raise NotImplementedError


def refusal(
    api: Api,
    dialect: Dialect,
    status: int,
    message: str,
    code: str,
    retry_after_s: int | None = None,
) -> tuple[list[Header], bytes]:
    """Headers and body of a refused request in the provider's error format.

    Content-Length is among the headers; `x-should-retry: false` stops the SDKs' own retries.
    """
    raise NotImplementedError


def stream_terminal(api: Api, event: bytes) -> bool:
    """Whether `event` is the protocol's own last one (`[DONE]`, `message_stop`)."""
    raise NotImplementedError
