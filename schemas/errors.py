"""Every error that Penstock raises on purpose.

    PenstockError
    ├── UsageError             wrong use: a flag, an argument, a path                        exit code 2
    │   ├── SettingsError      penstock.yaml is wrong (says which key, and what to do)
    │   └── PolicyError        policy.yaml is wrong
    ├── ServiceUnavailable     Kafka, ClickHouse or a child process is not there             exit code 3
    │   └── StoreDamaged       the store answers: files of its own cannot be read
    ├── ContractError          bytes that do not follow the contract
    │   ├── FrameError         a traffic record that is not a batch of events
    │   └── EventError         one event of a record that cannot be read
    ├── TopicLayoutError       a topic is missing or has another partition count             exit code 3
    ├── OffsetLostError        a committed offset lies below the start of the log            exit code 3
    ├── JournalError           the tap's journal cannot be used as it is                      exit code 3
    └── TrailError             the trail contradicts itself: sealing stops                   exit code 1

A retry is sensible for `ServiceUnavailable` alone. No message carries a prompt, a completion or a credential.
"""

from typing import ClassVar


class PenstockError(Exception):
    """Base of the tree. The message says what is wrong, where, and what to do."""

    exit_code: ClassVar[int] = 1


class UsageError(PenstockError):
    """The command was called wrongly."""

    exit_code = 2


class SettingsError(UsageError):
    """penstock.yaml, or a PENSTOCK_ variable, holds something that cannot be used."""


class PolicyError(UsageError):
    """policy.yaml holds something that cannot be used."""


class ServiceUnavailable(PenstockError):
    """A service did not answer, or a child did not start; trying again may help."""

    exit_code = 3


class StoreDamaged(ServiceUnavailable):
    """The store answers, and says that its own files are damaged. `where` names the part of the table."""

    def __init__(self, message: str, where: str) -> None:
        super().__init__(message)
        self.where = where


class ContractError(PenstockError):
    """Bytes do not follow the contract; trying again will not help."""


class FrameError(ContractError):
    """A traffic record is not a JSON array of events."""


class EventError(ContractError):
    """One event cannot be read."""


class TopicLayoutError(PenstockError):
    """A topic is missing, or its partition count is not the configured one."""

    exit_code = 3


class OffsetLostError(PenstockError):
    """The log no longer holds what a worker has yet to read: `penstock gap accept` must say so first."""

    exit_code = 3


class JournalError(PenstockError):
    """The tap's journal is held by another process, cannot be written, or is not one that this version reads."""

    exit_code = 3


class TrailError(PenstockError):
    """What is stored contradicts what was signed."""
