"""Pure: the tap's figures as Prometheus text (exposition format 0.0.4). Labels hold outcomes alone: no name, no key."""

from collections.abc import Iterable, Mapping
from typing import Literal

Sample = tuple[Mapping[str, str], float]
"""Labels and value."""
Family = tuple[str, Literal["counter", "gauge"], str, Iterable[Sample]]


def exposition(families: Iterable[Family]) -> bytes:
    """The families, each with its help and type."""
    lines: list[str] = []
    for name, kind, help_text, samples in families:
        lines += [f"# HELP {name} {help_text}", f"# TYPE {name} {kind}"]
        lines += [f"{name}{_labels(labels)} {value}" for labels, value in samples]
    return ("\n".join(lines) + "\n").encode()


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}" if labels else ""
