"""What stands inside traffic events: the models behind `frames`, and the contract that JSON Schema is made from."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Outcome = Literal["completed", "killed", "blocked", "client_disconnected", "upstream_error", "tap_error"]
Dialect = Literal["openai", "anthropic", "gemini", "bedrock", "ollama", "cohere", "opaque"]
Api = Literal[
    "openai.chat",
    "openai.completions",
    "openai.responses",
    "embeddings",
    "anthropic.messages",
    "anthropic.count_tokens",
    "gemini.generate",
    "gemini.embed",
    "gemini.count_tokens",
    "opaque",
]
Micros = Annotated[int, Field(ge=0, lt=2**53)]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Status = Annotated[int, Field(ge=0, lt=2**16)]


class Contract(BaseModel):
    """Base of all models on the wire: frozen, and tolerant of members that a later version adds."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Identity(Contract):
    """Who is charged. `authenticated` lists what the credential proved; everything else was claimed."""

    key_id: str = Field(description="`anonymous` without a credential, `h-…` for a credential that no key record knows")
    org: str = ""
    team: str = ""
    app: str = ""
    user: str = ""
    service_account: str = ""
    authenticated: bool = Field(default=False, description="the credential matched a key record or a key of the policy")
    claimed: dict[str, str] = Field(
        default_factory=dict, description="identity headers as sent; never charged from untrusted callers"
    )


class PromptHead(Contract):
    """Part 0 of a prompt: the request without its body."""

    v: Literal[1] = 1
    method: str
    path: str = Field(description="path with query; values that authenticate are masked")
    upstream: str
    dialect: Dialect
    api: Api
    model: str = ""
    stream: bool = False
    headers: dict[str, str] = Field(default_factory=dict, description="names from the published allow-list alone")
    identity: Identity
    tap: str
    mode: Literal["observe", "enforce"]
    audit: Literal["journal", "strict", "besteffort"]
    policy_version: str = ""
    added: list[str] = Field(default_factory=list, description="what the tap added to the request, by member")
    trace_id: str = Field(default="", description="W3C trace id: the caller's, or a new one")
    parent_span_id: str = Field(default="", description="the caller's span; empty where the trace begins here")
    span_id: str = Field(default="", description="our own span: what the upstream was told as its parent")


class AppliedOrder(Contract):
    """The order that ended or refused an exchange, with the tap's own times (UTC, µs since the epoch)."""

    order_id: str
    scope: str
    limit_id: str = ""
    reason: str
    epoch: int
    decided_at_us: Micros
    received_at_us: Micros
    applied_at_us: Micros = Field(description="when the last byte of the ending was written")
    crossed_at_us: Micros | None = Field(
        default=None, description="the tap's receipt of the chunk that crossed the limit"
    )
    allowed_output_tokens: Count | None = Field(
        default=None, description="output tokens of this exchange that the limit still covered"
    )
    observed: bool = Field(default=False, description="mode observe: recorded as what would have been done")


class Completion(Contract):
    """The end of an exchange. Digests are SHA-256 of the bodies after transfer decoding; durations are monotonic."""

    v: Literal[1] = 1
    outcome: Outcome
    status: Status = Field(description="status line that the client got; 0 where it got none")
    upstream_status: Status = 0
    reason: str = Field(default="", description="what ended it, in a few words: `connect timeout`, `client closed`")
    finish_reason: str = ""
    model: str = Field(default="", description="the model that the provider says answered")
    response_id: str = ""
    headers: dict[str, str] = Field(default_factory=dict)
    content_type: str = ""
    content_encoding: str = ""
    request_encoding: str = Field(default="", description="the Content-Encoding of the request's body")
    usage: list[dict[str, Any]] = Field(
        default_factory=list, description="the provider's usage objects, in order of arrival"
    )
    chunk_count: Annotated[int, Field(ge=0, lt=2**32)] = 0
    request_bytes: Count = 0
    request_sha256: str = ""
    response_bytes: Count = 0
    response_sha256: str = Field(default="", description="the upstream's body, what the tap withheld included")
    client_bytes: Count = 0
    client_sha256: str = Field(default="", description="the body that was written to the client")
    started_at_us: Micros
    ended_at_us: Micros
    ttft_us: Count | None = None
    duration_us: Count = 0
    killed_by: AppliedOrder | None = None
    observed: list[AppliedOrder] = Field(default_factory=list, description="orders that mode observe did not apply")
    attempts: Annotated[int, Field(ge=1)] = Field(default=1, description="how often the upstream was asked")
    retried: list[str] = Field(default_factory=list, description="why it was asked again, as `reason`, one entry each")
    recovered: bool = Field(
        default=False,
        description="written from the journal after the tap's end: counts, digests and status are not known",
    )


class TapStarted(Contract):
    """A tap's first event in each partition: exchanges of its older epochs that have no completion will get none."""

    v: Literal[1] = 1
    tap: str
    epoch: int
    version: str
    started_at_us: int


class TrafficEvent(Contract):
    """One event of `penstock.traffic.v1`, as CloudEvents 1.0 JSON (the contract of `frames.Event`)."""

    specversion: Literal["1.0"] = "1.0"
    id: str = Field(description="`<exchange id>/<seq>`: the same after a replay")
    source: str = Field(description="`/tap/<tap id>`")
    type: Literal["penstock.prompt.v1", "penstock.chunk.v1", "penstock.completion.v1", "penstock.tap.v1"]
    subject: str = Field(description="the charged key, `key:<key id>`")
    time: str = Field(description="RFC 3339, UTC, microseconds: when the tap had the bytes")
    exchangeid: str
    seq: Annotated[int, Field(ge=0)]
    origin: Literal["client", "upstream", "tap"]
    salt: str = Field(description="base64 of 16 random bytes")
    part: Annotated[int, Field(ge=0)] = 0
    withheld: bool = False
    redacted: str = ""
    coding: str = Field(default="", description="the Content-Encoding of the body that this chunk is a read of")
    start: int | None = None
    data: str | None = None
    data_base64: str | None = None
