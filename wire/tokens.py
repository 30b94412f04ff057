"""Counting tokens of text: exact where the model's vocabulary is published, by calibrated rule elsewhere."""

from dataclasses import dataclass

from penstock.schemas.events import Api


@dataclass(frozen=True, slots=True)
class Method:
    """How a model's text is counted: `ceil(tokens in encoding * factor) + offset`, exact or calibrated.

    `hidden`: the model may think in tokens that its text does not show, so a count is a lower bound.
    """

    name: str
    exact: bool
    encoding: str
    factor: float = 1.0
    offset: int = 0
    hidden: bool = False


def encoding_for(model: str, api: Api) -> Method:
    """The method for a model; a calibrated one where its vocabulary is not published."""
    raise NotImplementedError


def count_text(method: Method, text: str) -> int:
    """Tokens of one text."""
    raise NotImplementedError


class RunningCount:
    """Tokens of a reply while it streams; always what `count_text` says of the joined texts (plus tool-call framing)."""

    def __init__(self, method: Method) -> None:
        self.method = method
        self.tokens = 0

    def add(self, channel: str, text: str) -> None:
        """More text of one channel."""
        raise NotImplementedError
