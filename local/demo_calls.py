"""Pure: who asks what in the demo, and what came of it."""

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["chat", "completion", "embedding", "message"]

LIMITED: Final = "research"
LIMIT_TOKENS: Final = 400
"""Output tokens that the limited team may use in a day."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `tokens` is the length of the reply, `rate` its pace in events a second (0: at once)."""

    team: str
    kind: Kind
    model: str
    prompt: str
    tokens: int = 60
    rate: int = 0
    stream: bool = False
    usage: bool = True

    @property
    def headers(self) -> dict[str, str]:
        """What the local endpoint is asked for; a real one would ignore it."""
        return {"x-endpoint-tokens": str(self.tokens), "x-endpoint-rate": str(self.rate)}


@dataclass(slots=True)
class Outcome:
    """What the team's program saw: the text that its SDK gave, and the exception that it raised (its class, or empty).

    `exchange_id` and `request_id` are response headers: the tap's and the endpoint's name of the exchange.
    """

    call: Call
    exchange_id: str = ""
    request_id: str = ""
    status: int = 0
    text: str = ""
    error: str = ""
    message: str = ""
    body: bytes = b""
    """The body of a refusal."""


def conversations() -> list[list[Call]]:
    """Each inner list is one program that asks one thing after the other; all programs run at the same time."""
    return [_research(), *_support(), *_billing(), *_search()]


def _research() -> list[Call]:
    """Passes its limit in the middle of the third reply, and then asks again."""
    return [
        Call(LIMITED, "chat", "gpt-4.1-mini", "Summarise the survey of the upper river.", 110),
        Call(LIMITED, "chat", "gpt-4.1-mini", "Which gauges moved since yesterday?", 90, stream=True),
        Call(LIMITED, "chat", "gpt-4.1-mini", "Write the whole history of the dam.", 4000, 100, stream=True),
        Call(LIMITED, "chat", "gpt-4.1-mini", "And now the same again, shorter.", 50),
    ]


def _support() -> list[list[Call]]:
    model = "claude-sonnet-4-6"
    return [
        [Call("support", "message", model, "Draft a reply to the flooded customer.", 260, 15, stream=True)],
        [
            Call("support", "message", model, "Classify ticket 4711.", 30),
            Call("support", "message", model, "Translate the notice for the north valley.", 120, 60, stream=True),
            Call("support", "message", model, "Shorten it to three sentences.", 45, stream=True),
            Call("support", "message", "claude-haiku-4-5", "Is the tone friendly?", 12),
        ],
    ]


def _billing() -> list[list[Call]]:
    model = "gpt-4o-mini"
    return [
        [Call("billing", "chat", model, "Explain invoice 88 to the mill.", 180, 30, stream=True, usage=False)],
        [
            Call("billing", "chat", model, "Read the meter number from this line: 7730-22.", 15),
            Call("billing", "chat", model, "Which tariff fits 900 kWh?", 70, stream=True, usage=False),
            Call("billing", "completion", "gpt-3.5-turbo-instruct", "The amount due is", 25),
            Call("billing", "chat", model, "List the open reminders.", 85),
        ],
    ]


def _search() -> list[list[Call]]:
    model = "text-embedding-3-small"
    return [
        [
            Call("search", "embedding", model, "the turbine hall in winter", 0),
            Call("search", "embedding", model, "rights of way along the penstock", 0),
            Call("search", "chat", "gpt-4o", "Rerank: gate, pipe, wheel — für Müller 水.", 40, 30, stream=True),
            Call("search", "chat", "gpt-4o", "Name the page that answers best.", 20),
        ]
    ]
