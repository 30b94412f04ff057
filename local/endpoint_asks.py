"""Pure: what a request asks of the local endpoint beside its answer, for tests and the demo.

A directive stands in a header (`x-endpoint-tokens: 500`) or in the prompt's text (`{{endpoint tokens=500 rate=50}}`);
the header wins. Anything that cannot be read is left out, as a real endpoint would ignore it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_IN_TEXT: Final = re.compile(r"\{\{endpoint ([^{}]{1,200})\}\}")
_PREFIX: Final = "x-endpoint-"
_MAX: Final = 10_000_000


@dataclass(frozen=True, slots=True)
class Asks:
    """`None` and False: as the endpoint likes.

    `tokens`: length of the reply. `rate`: stream events a second (0: as fast as they go). `error`: answer with this
    status. `cut`: reset the connection after so many events (or half a plain body). `hang`: send nothing more after so
    many events. `mute`: leave out all usage figures (written `usage=off`).
    """

    tokens: int | None = None
    rate: int | None = None
    error: int | None = None
    cut: int | None = None
    hang: int | None = None
    mute: bool = False


def read_asks(headers: Mapping[str, str], text: str) -> Asks:
    """The directives of a request. `headers` have lower-case names; `text` is the request's body as text."""
    found = dict[str, str]()
    for inside in _IN_TEXT.findall(text):
        found.update(word.split("=", 1) for word in inside.split() if "=" in word)
    found.update((name.removeprefix(_PREFIX), value) for name, value in headers.items() if name.startswith(_PREFIX))
    error = _number(found.get("error"))
    return Asks(
        tokens=_number(found.get("tokens")),
        rate=_number(found.get("rate")),
        error=error if error is not None and 400 <= error < 600 else None,
        cut=_number(found.get("cut")),
        hang=_number(found.get("hang")),
        mute=found.get("usage") == "off",
    )


def _number(text: str | None) -> int | None:
    if text is None or not text.isascii() or not text.isdigit():
        return None
    return min(int(text), _MAX) if len(text) < 12 else _MAX
