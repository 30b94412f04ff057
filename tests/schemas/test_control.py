"""Who may give orders: the MAC covers every member."""

import json

import pytest

from penstock.schemas.control import Order, check_order, sign_order
from penstock.schemas.errors import EventError
from penstock.schemas.generate import example_path

OLD, NEW = bytes(32), bytes(range(32))
ORDER = Order.model_validate_json(example_path("order").read_text())


def test_any_of_the_secrets_may_have_signed() -> None:
    for secret in (OLD, NEW):
        check_order(sign_order(ORDER, secret), [NEW, OLD])
    with pytest.raises(EventError, match="wrong MAC"):
        check_order(sign_order(ORDER, b"x" * 32), [NEW, OLD])


@pytest.mark.parametrize("member", [name for name in Order.model_fields if name not in ("mac", "v")])
def test_the_mac_covers(member: str) -> None:
    content = json.loads(sign_order(ORDER, NEW).model_dump_json())
    value = content[member]
    content[member] = "block" if member == "action" else value + 1 if isinstance(value, int) else f"{value}x"
    with pytest.raises(EventError):
        check_order(Order.model_validate(content), [NEW])


def test_the_mac_survives_the_wire() -> None:
    signed = sign_order(ORDER, NEW)
    check_order(Order.model_validate_json(signed.model_dump_json()), [NEW])
    assert signed.key == f"{ORDER.scope}|meter|team-day|"
