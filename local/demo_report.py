"""Pure: what the demo found, as `report.json` has it."""

from dataclasses import dataclass
from typing import Any

from penstock.trail.spend import Spend

from .demo_checks import Check, Evidence, identical


@dataclass(frozen=True, slots=True)
class Report:
    """All that the demo shows. `ok` only if every check holds."""

    evidence: Evidence
    checks: list[Check]
    spend: list[Spend]
    leaves: int
    duration_s: float

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)

    def json(self) -> dict[str, Any]:
        """The content of `report.json`. Money is text: to most readers a number is a float."""
        return {
            "ok": self.ok,
            "exchanges": len(self.evidence.outcomes),
            "identical": identical(self.evidence),
            "killed": [
                {"scope": kill.scope, "overshoot_tokens": kill.overshoot_tokens, "cut_ms": kill.cut_ms}
                for kill in self.evidence.kills
            ],
            "spend": [
                {
                    "team": row.group["team"],
                    "model": row.group["model"],
                    "input_tokens": row.input_tokens,
                    "output_tokens": row.output_tokens,
                    "cost_usd": None if row.cost_usd is None else f"{row.cost_usd:f}",
                }
                for row in self.spend
            ],
            "verify": {"ok": self.evidence.verified, "leaves": self.leaves},
            "duration_s": round(self.duration_s, 1),
            "checks": [{"claim": check.claim, "ok": check.ok, "against": check.against} for check in self.checks],
        }
