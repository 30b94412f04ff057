"""Which rule counts a model's tokens: published vocabularies, and calibrated families for all others.

The calibrated rules were fitted once to recorded exchanges with the providers' own figures; docs/tokens.md has the
method and the errors that remain.
"""

import re
from dataclasses import dataclass
from typing import Final

from penstock.schemas.events import Api


@dataclass(frozen=True, slots=True)
class Method:
    """How a model's text is counted: `round(tokens in encoding * factor) + offset` for each reply.

    `exact`: the vocabulary is the model's own and nothing is hidden, so the number is `counted`, else `estimated`.
    `hidden`: the model may think in tokens that its text does not show, so a count is a lower bound.
    `calls`: framing of tool calls in one reply: tokens for a single call; for several, a base and so much each.
    """

    name: str
    exact: bool
    encoding: str
    factor: float = 1.0
    offset: int = 0
    hidden: bool = False
    calls: tuple[int, int, int] = (7, 0, 7)

    @property
    def thinks(self) -> bool:
        """A reasoning model of OpenAI: the text of its prompts is counted exactly all the same."""
        return self.hidden and self.encoding == "o200k_base"


def _exact(encoding: str) -> Method:
    return Method(encoding, True, encoding, calls=(7, 20, 4))


def _fitted(
    encoding: str,
    factor: float,
    offset: int,
    *,
    hidden: bool = False,
    calls: tuple[int, int, int] = (7, 0, 7),
) -> Method:
    times = f"*{factor:g}" if factor != 1 else ""
    plus = f"+{offset}" if offset else ""
    return Method(f"{encoding}{times}{plus}", False, encoding, factor, offset, hidden, calls)


_O200K: Final = _exact("o200k_base")
_CL100K: Final = _exact("cl100k_base")
_OPENAI_THINKS: Final = _fitted("o200k_base", 1, 9, hidden=True, calls=(7, 20, 4))
_CLAUDE: Final = _fitted("cl100k_base", 1.084, 3, calls=(39, 0, 39))
_CLAUDE_NEW: Final = _fitted("cl100k_base", 1.388, 3, hidden=True, calls=(39, 0, 39))
_GEMINI: Final = _fitted("cl100k_base", 1.04, 0, hidden=True)
_OTHER: Final = _fitted("cl100k_base", 1.0, 1)
_USUAL: Final[dict[Api, Method]] = {
    "anthropic.messages": _CLAUDE,
    "gemini.generate": _GEMINI,
    "gemini.embed": _GEMINI,
}

_MAKER: Final = r"^(?:[\w.-]+/)*(?:openai[-.])?(?:ft:)?"
_FAMILIES: Final = tuple(
    (re.compile(shape), method)
    for shape, method in (
        (_MAKER + r"(?:gpt-4o|chatgpt-4o|gpt-4\.1|gpt-4\.5)", _O200K),
        (_MAKER + r"(?:gpt-5|o[134](?:$|-)|codex-|computer-use)", _OPENAI_THINKS),
        (r"gpt-oss", _fitted("o200k_base", 1, 10, calls=(11, 0, 11))),
        (_MAKER + r"(?:gpt-4(?:$|-)|gpt-3\.5|gpt-35|text-embedding-|davinci-002|babbage-002)", _CL100K),
        (r"^(?:text-|code-)?(?:davinci|curie|babbage|ada)(?:$|-)", _fitted("cl100k_base", 1.0, 0)),
        (r"gpt-", _OPENAI_THINKS),
        (r"llama", _OTHER),
        (r"gemini|gemma", _GEMINI),
        (r"mi[sx]tral|ministral|magistral|codestral|devstral|pixtral|voxtral", _fitted("cl100k_base", 1.053, 1)),
        (r"nova-", _fitted("cl100k_base", 0.98, 1)),
        (r"deepseek|glm|kimi|moonshot", _fitted("cl100k_base", 1.0, 2)),
        (r"command|cohere|aya-", _fitted("cl100k_base", 1.02, 2)),
        (r"grok", _fitted("cl100k_base", 1.0, 1, hidden=True)),
    )
)
_RESPONSES: Final = {
    _O200K: Method("o200k_base+1", True, "o200k_base", 1, 1, calls=(8, 20, 4)),
    _OPENAI_THINKS: _fitted("o200k_base", 1, 6, hidden=True, calls=(8, 20, 4)),
}
"""The Responses API counts a little more around a text than chat completions do (docs/tokens.md)."""
_CLAUDE_VERSION: Final = re.compile(r"claude\D*?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")


def encoding_for(model: str, api: Api) -> Method:
    """The method for a model, by its name; where the name says nothing, by what `api` usually serves."""
    name = model.lower()
    if "claude" in name or (api == "anthropic.messages" and not name):
        return _claude(name)
    for shape, method in _FAMILIES:
        if shape.search(name):
            return _RESPONSES.get(method, method) if api == "openai.responses" else method
    return _USUAL.get(api, _OTHER)


def known(model: str) -> bool:
    """Whether the model's name says how its tokens are counted: a deployment's own name does not."""
    name = model.lower()
    return "claude" in name or any(shape.search(name) for shape, _ in _FAMILIES)


def _claude(name: str) -> Method:
    """Claude's vocabulary changed with 4.7: `claude-3-5-haiku`, `claude-opus-4-8`, `claude-4.5-sonnet`."""
    found = _CLAUDE_VERSION.search(name)
    version = (int(found[1]), int(found[2] or 0)) if found else (0, 0)
    return _CLAUDE_NEW if version >= (4, 7) else _CLAUDE
