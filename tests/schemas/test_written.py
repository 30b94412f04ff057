"""The fast forms say what the contract says, member by member and byte by byte."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from penstock.schemas.events import AppliedOrder, Completion, Identity, PromptHead
from penstock.schemas.written import End, Head, identity_json, order_members

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAMES = st.dictionaries(TEXT, TEXT, max_size=4)
COUNT = st.integers(0, 2**53 - 1)
USAGE = st.dictionaries(
    TEXT, COUNT | TEXT | st.none() | st.booleans() | st.dictionaries(TEXT, COUNT, max_size=2), max_size=3
)
ORDERS = st.builds(
    AppliedOrder,
    order_id=TEXT,
    scope=TEXT,
    reason=TEXT,
    epoch=COUNT,
    decided_at_us=COUNT,
    received_at_us=COUNT,
    applied_at_us=COUNT,
    crossed_at_us=st.none() | COUNT,
    allowed_output_tokens=st.none() | COUNT,
    observed=st.booleans(),
)
OUTCOMES = st.sampled_from(["completed", "killed", "blocked", "client_disconnected", "upstream_error", "tap_error"])


@pytest.mark.parametrize(("fast", "contract"), [(Head, PromptHead), (End, Completion)])
def test_both_forms_have_the_same_members_in_one_order(fast: type[msgspec.Struct], contract: type[BaseModel]) -> None:
    assert list(fast.__struct_fields__) == list(contract.model_fields)
    for field in msgspec.structs.fields(fast):
        other = contract.model_fields[field.name]
        if field.required:
            assert other.is_required(), field.name
        else:
            made = field.default_factory is not msgspec.NODEFAULT
            default = field.default_factory() if made else field.default
            assert default == other.get_default(call_default_factory=True), field.name


@given(
    st.fixed_dictionaries({"method": TEXT, "path": TEXT, "upstream": TEXT, "tap": TEXT, "policy_version": TEXT}),
    NAMES,
    st.builds(Identity, key_id=TEXT, team=TEXT, authenticated=st.booleans(), claimed=NAMES),
    st.booleans(),
)
def test_a_head_is_written_as_the_contract_writes_it(
    texts: dict[str, str], headers: dict[str, str], identity: Identity, stream: bool
) -> None:
    members: dict[str, Any] = {
        **texts,
        "headers": headers,
        "stream": stream,
        "dialect": "openai",
        "api": "openai.chat",
        "mode": "enforce",
        "audit": "strict",
    }
    expected = PromptHead(identity=identity, **members).model_dump_json().encode()
    assert Head(identity=identity_json(identity), **members).json() == expected


@given(
    st.fixed_dictionaries(
        {
            "outcome": OUTCOMES,
            "reason": TEXT,
            "finish_reason": TEXT,
            "model": TEXT,
            "response_id": TEXT,
            "headers": NAMES,
            "usage": st.lists(USAGE, max_size=2),
            "retried": st.lists(TEXT, max_size=2),
            "status": st.integers(0, 599),
            "started_at_us": COUNT,
            "ended_at_us": COUNT,
            "ttft_us": st.none() | COUNT,
        }
    ),
    st.none() | ORDERS,
    st.lists(ORDERS, max_size=2),
)
def test_an_end_is_written_as_the_contract_writes_it(
    members: dict[str, Any], killed_by: AppliedOrder | None, observed: list[AppliedOrder]
) -> None:
    expected = Completion(killed_by=killed_by, observed=observed, **members).model_dump_json().encode()
    killed = order_members(killed_by) if killed_by else None
    assert End(killed_by=killed, observed=[order_members(order) for order in observed], **members).json() == expected
