"""Provider usage objects as one figure (OpenTelemetry GenAI: input includes cache reads and writes, output reasoning)."""

from dataclasses import dataclass
from typing import Any

from penstock.schemas.events import Api


@dataclass(frozen=True, slots=True)
class Usage:
    """What the provider reported. None: it did not say. The parts are contained in `input_tokens`/`output_tokens`."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None


def merge_usage(api: Api, objects: list[dict[str, Any]]) -> Usage | None:
    """The exchange's figure from its usage objects in order of arrival; None where the provider reported nothing."""
    raise NotImplementedError
