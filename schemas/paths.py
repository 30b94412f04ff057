"""First path segments by which a request names an API, and so may go to the first upstream without that one's name.

Anything else (`/antropic/v1/messages`, one letter short) must name its upstream: a guess would hand one provider's
credential to another. Sources: the API references of the providers, and the paths that their SDKs build from a base URL
with and without its version.
"""

import re
from typing import Final

from .events import Dialect

VERSION: Final = re.compile(r"v\d+(?:(?:alpha|beta)\d*)?")
"""`v1`, `v1beta`, `v1beta1`: any dialect's."""

_TEXTS: Final[dict[Dialect, str]] = {
    "openai": """
        agents api assistants audio batches beta chat classify completions containers conversations detokenize edits
        embeddings engines evals files fim fine_tuning fine-tunes graders images invocations models moderations ocr
        openai organization pooling realtime rerank responses score threads tokenize uploads user vector_stores videos
    """,
    "anthropic": "complete files messages models organizations skills",
    "gemini": """
        cachedContents corpora download files models operations projects publishers tunedModels upload
    """,
    "bedrock": "async-invoke foundation-models guardrail inference-profiles model",
    "ollama": "api audio chat completions embeddings images models responses",
    "cohere": """
        chat classify connectors datasets detokenize embed embed-jobs generate models rerank tokenize
    """,
}
_BY_DIALECT: Final = {dialect: frozenset(text.split()) for dialect, text in _TEXTS.items()}
_NONE: Final[frozenset[str]] = frozenset()
_RESERVED: Final = _NONE.union(*_BY_DIALECT.values()) - {"openai"}


def belongs_to(segment: str, dialect: Dialect) -> bool:
    """Whether a path that begins with `segment` is one of the dialect's. `opaque` knows versions alone."""
    return segment in _BY_DIALECT.get(dialect, _NONE) or VERSION.fullmatch(segment) is not None


def reserved(name: str) -> bool:
    """Whether an upstream of this name would hide paths of the first one. (`openai`, where it is a name, is meant.)"""
    return name in _RESERVED or VERSION.fullmatch(name) is not None
