"""Pure: the figures of several processes as one Prometheus text: each family once, each sample with its tap's id."""

import re
from collections.abc import Mapping
from typing import Final

_SAMPLE: Final = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)")


def merged(texts: Mapping[str, str]) -> bytes:
    """`texts` by tap id, as `gauges.exposition` writes them."""
    about: dict[str, list[str]] = {}
    samples: dict[str, list[str]] = {}
    for tap, text in texts.items():
        for line in text.splitlines():
            if line.startswith("# "):
                name = line.split(" ", 3)[2]
                if line not in about.setdefault(name, []):
                    about[name].append(line)
            elif found := _SAMPLE.fullmatch(line):
                name, labels, value = found.groups()
                own = f'tap="{tap}"' + (f",{labels}" if labels else "")
                samples.setdefault(name, []).append(f"{name}{{{own}}} {value}")
    lines = [line for name, heads in about.items() for line in [*heads, *samples.get(name, [])]]
    return ("\n".join(lines) + "\n").encode() if lines else b""
