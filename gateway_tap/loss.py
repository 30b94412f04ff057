"""What happens while control orders no longer arrive: what the policy says, in mode enforce."""

from typing import Final

from penstock.schemas.policy import Failures

from .core import Core

WHY: Final = "it does not hear orders any more, and the policy ends requests until it does"


def heed_loss(core: Core, failures: Failures, silent_s: float) -> None:
    """`silent_s`: since Kafka last answered. deny_new: the gate refuses new requests; deny_all: what runs ends too."""
    silent = silent_s > failures.control_loss_after_s
    core.gate.loss = failures.on_control_loss if silent else "allow"
    if core.gate.enforcing and core.gate.loss == "deny_all":
        for relay in list(core.running.values()):
            relay.stop(WHY)
