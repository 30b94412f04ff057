"""What a reply says, read event by event or as a whole: texts, usage objects, finish reason, model, response id."""

from typing import Any

from penstock.schemas.events import Api


class ChunkReader:
    """Collects what one reply says. Never raises, whatever the bytes are.

    `usage` holds the provider's usage objects in order of arrival, for `usage.merge_usage`.
    """

    def __init__(self, api: Api) -> None:
        self.api = api
        self.usage: list[dict[str, Any]] = []
        self.finish_reason = ""
        self.model = ""
        self.response_id = ""
        self.has_error = False

    def feed_event(self, event: bytes) -> None:
        """One SSE event."""
        raise NotImplementedError

    def feed_body(self, whole: bytes) -> None:
        """A whole JSON answer."""
        raise NotImplementedError

    def new_text(self) -> list[tuple[str, str]]:
        """(channel, text) pairs since the last call, in order.

        Channels: `<choice>/content`, `<choice>/refusal`, `<choice>/reasoning`, `<choice>/tool/<index>/name`,
        `<choice>/tool/<index>/arguments`; for Anthropic the choice is 0 and the index is the content block's.
        """
        raise NotImplementedError
