import re

from penstock.gateway_tap.trace_ids import BATCH, TraceIds


def test_ids_are_hex_and_never_given_twice() -> None:
    ids = TraceIds()
    given = [ids() for _ in range(3 * BATCH + 1)]
    assert all(re.fullmatch("[0-9a-f]{32}", trace) and re.fullmatch("[0-9a-f]{16}", span) for trace, span in given)
    assert len({trace for trace, _ in given}) == len({span for _, span in given}) == len(given)
