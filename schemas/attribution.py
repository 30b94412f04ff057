"""Settled attribution on `penstock.attribution.v1`: the facts of one exchange, written once at its end."""

from decimal import Decimal
from typing import Any, Literal

from pydantic import Field

from .events import Api, AppliedOrder, Contract, Dialect, Identity, Outcome

TYPE = "penstock.attribution.v1"
Source = Literal["reported", "counted", "estimated", "none"]


class TokenCount(Contract):
    """Tokens of one side, and where the number comes from.

    `reported`: the provider's usage object. `counted`: the model's own tokenizer over the text. `estimated`:
    a calibrated rule. `none`: nothing to count. `method` names the tokenizer or rule: `o200k_base`,
    `cl100k_base*1.084+3`.
    """

    tokens: int
    source: Source
    method: str = ""


class Kill(Contract):
    """A kill that was applied: the order with the tap's times, and what was given beyond the limit."""

    order: AppliedOrder
    overshoot_tokens: int
    cut_us: int | None = Field(
        default=None, description="from the tap's receipt of the crossing chunk to its last byte written"
    )


class Attribution(Contract):
    """Tokens and cost of one exchange, charged to one identity (OpenTelemetry GenAI: input includes cache reads and
    writes, output includes reasoning; the parts stand beside them)."""

    v: Literal[1] = 1
    exchange_id: str
    parent_id: str = ""
    identity: Identity
    upstream: str
    dialect: Dialect
    api: Api
    path: str
    model: str = Field(description="as the provider named it, else as requested")
    requested_model: str = ""
    stream: bool = False
    status: int = 0
    outcome: Outcome
    reason: str = ""
    finish_reason: str = ""
    started_at_us: int
    ended_at_us: int
    ttft_us: int | None = None
    duration_us: int = 0
    chunk_count: int = 0
    request_bytes: int = 0
    response_bytes: int = 0
    input: TokenCount
    output: TokenCount
    cached_tokens: int = Field(default=0, description="cache reads, contained in input")
    cache_write_tokens: int = Field(default=0, description="cache writes, contained in input")
    reasoning_tokens: int = Field(default=0, description="contained in output")
    counted_output_tokens: int | None = Field(default=None, description="our own count beside a reported figure")
    usage_raw: list[dict[str, Any]] = Field(default_factory=list)
    cost_usd: Decimal | None = Field(default=None, description="None: no price is known for the model")
    price_source: str = Field(default="", description="`genai-prices 0.2.3`, and the model it matched")
    lower_bound: bool = Field(default=False, description="hidden tokens may have been used that nobody reported")
    trace_id: str = Field(default="", description="W3C trace context, as the exchange's prompt says it")
    span_id: str = ""
    parent_span_id: str = ""
    prefix_unseen: bool = False
    kill: Kill | None = None
    policy_version: str = ""

    @property
    def usage_source(self) -> Source:
        """The weaker of both sides' sources: one word for a table."""
        order: dict[Source, int] = {"reported": 0, "none": 1, "counted": 2, "estimated": 3}
        return max(self.input.source, self.output.source, key=lambda source: order[source])
