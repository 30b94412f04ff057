"""Writes what follows from the models: `schemas/json/NAME.schema.json` (JSON Schema 2020-12, as pydantic makes it).

Run `python -m penstock.schemas.generate` after changing a model; a test fails while a file is out of date. The golden
examples beside them (`schemas/examples/NAME.json`, one per model) are written by hand and never again: every later
version of a model must still read them.
"""

import json
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from . import attribution, audit, control, events, keys, policy, settings, usage, violations

MODELS: Final[dict[str, type[BaseModel]]] = {
    "attribution": attribution.Attribution,
    "audit": audit.AuditEvent,
    "budget-snapshot": usage.BudgetSnapshot,
    "completion": events.Completion,
    "coverage": violations.Coverage,
    "gap": audit.Gap,
    "key": keys.KeyRecord,
    "meter-position": usage.MeterPosition,
    "order": control.Order,
    "policy": policy.Policy,
    "prompt-head": events.PromptHead,
    "response-charge": usage.ResponseCharge,
    "settings": settings.Settings,
    "tap-started": events.TapStarted,
    "traffic-event": events.TrafficEvent,
    "usage-total": usage.UsageTotal,
    "violation": violations.Violation,
}
HERE: Final = Path(__file__).parent


def schema_files() -> dict[Path, str]:
    """Path and text of every generated file."""
    return {HERE / "json" / f"{name}.schema.json": _text(model) for name, model in MODELS.items()}


def example_path(name: str) -> Path:
    """The golden example of a model."""
    return HERE / "examples" / f"{name}.json"


def _text(model: type[BaseModel]) -> str:
    content: dict[str, Any] = {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema()}
    if model is settings.Settings:
        del content["properties"]["base"]
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Writes every file that has changed, and says which."""
    for path, text in schema_files().items():
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            print(f"wrote {path.name}")


if __name__ == "__main__":
    main()
