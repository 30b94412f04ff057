"""Pure: the event with which a tap announces its epoch in a partition."""

import base64
from importlib.metadata import version

import orjson

from penstock.schemas.events import TapStarted
from penstock.schemas.frames import TAP, data_member
from penstock.schemas.ids import new_salt, rfc3339


def started_event(tap: str, epoch: int, partition: int, started_at_us: int) -> bytes:
    """The encoded `tap` event: exchanges of this tap's older epochs that have no completion will get none."""
    body = TapStarted(tap=tap, epoch=epoch, version=version("penstock"), started_at_us=started_at_us)
    members = {
        "type": TAP,
        "id": f"tap/{tap}/{epoch}/{partition}",
        "seq": 0,
        "time": rfc3339(started_at_us),
        "origin": "tap",
        "salt": base64.b64encode(new_salt()).decode(),
        "specversion": "1.0",
        "source": f"/tap/{tap}",
        "subject": f"tap:{tap}",
        "exchangeid": "",
    }
    return orjson.dumps(members)[:-1] + b"," + data_member(body.model_dump_json().encode()) + b"}"
