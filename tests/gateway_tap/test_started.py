from penstock.gateway_tap.started import started_event
from penstock.schemas.events import TapStarted, TrafficEvent
from penstock.schemas.frames import read_event


def test_the_first_event_of_a_partition_follows_the_contract() -> None:
    raw = started_event("tap-1", 7, 3, 1_795_502_209_158_128)
    contract = TrafficEvent.model_validate_json(raw)
    assert (contract.id, contract.exchangeid, contract.seq, contract.origin) == ("tap/tap-1/7/3", "", 0, "tap")
    event = read_event(raw)
    assert event.kind == "tap"
    body = TapStarted.model_validate_json(event.body)
    assert (body.tap, body.epoch, body.started_at_us) == ("tap-1", 7, 1_795_502_209_158_128)
