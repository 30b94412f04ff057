"""How the benchmarks say what they measured: tables with their spread, the machine, and how busy it was. Pure but for
reads of /proc."""

import math
import os
import platform
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

NOISY_SPREAD = 0.25
BUSY_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Figure:
    """The median of several rounds, with the lowest and highest of them."""

    median: float
    low: float
    high: float
    rounds: int

    @property
    def spread(self) -> float:
        """How far the rounds lie apart, as a share of the median."""
        return (self.high - self.low) / self.median if self.median else 0.0

    def __str__(self) -> str:
        shown = number(self.median)
        return shown if self.rounds < 2 else f"{shown} ({number(self.low)}–{number(self.high)})"


@dataclass(slots=True)
class Table:
    """One table of results; a row is a name and its figures."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, list[Figure | str]]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, *figures: Figure | str) -> None:
        self.rows.append((name, list(figures)))

    def text(self) -> str:
        """As Markdown, so that what is printed can be kept as it is."""
        lines = [("", *self.columns), *((name, *map(str, found)) for name, found in self.rows)]
        widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
        made = [
            "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
            for line in lines
        ]
        made.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
        return "\n".join([f"## {self.title}", "", *made, *(f"\n{note}" for note in self.notes), ""])

    def json(self) -> dict[str, Any]:
        rows = [
            {
                "name": name,
                **{
                    column: asdict(found) if isinstance(found, Figure) else found
                    for column, found in zip(self.columns, figures, strict=True)
                },
            }
            for name, figures in self.rows
        ]
        return {"title": self.title, "rows": rows, "notes": self.notes}

    def spreads(self) -> list[float]:
        return [found.spread for _, figures in self.rows for found in figures if isinstance(found, Figure)]


def of_rounds(values: Iterable[float]) -> Figure:
    """One value per round."""
    found = list(values)
    return Figure(statistics.median(found), min(found), max(found), len(found))


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of `values` lie (nearest rank); NaN of nothing."""
    found = sorted(values)
    return found[max(0, math.ceil(share * len(found)) - 1)] if found else math.nan


def number(value: float) -> str:
    """Three figures that matter, or more where the value is large."""
    if math.isnan(value):
        return "–"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def machine() -> dict[str, Any]:
    """What the figures were measured on. Takes a second: it looks how busy others keep the machine."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    busy = _busy_s()
    time.sleep(1)
    cores = len(os.sched_getaffinity(0))
    return {
        "cores": cores,
        "cpu": models[0].partition(":")[2].strip() if models else platform.machine(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "at": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "busy_before": round((_busy_s() - busy) / cores, 3),
        "load_before": round(os.getloadavg()[0], 2),
    }


def noise(tables: Sequence[Table], facts: dict[str, Any]) -> str:
    """One sentence on how far the figures can be trusted."""
    spreads = [spread for table in tables for spread in table.spreads() if not math.isnan(spread)]
    middle, worst = (statistics.median(spreads), max(spreads)) if spreads else (0.0, 0.0)
    quiet = facts["busy_before"] < BUSY_SHARE and middle < NOISY_SPREAD
    return (
        f"{'Quiet' if quiet else 'NOISY'}: before the run {facts['busy_before']:.0%} of the processors were busy (load "
        f"{facts['load_before']}); a figure's rounds lie {middle:.0%} of its median apart in the middle, {worst:.0%} "
        "at worst."
    )


def _busy_s() -> float:
    user, nice, system, _, _, *more = map(int, Path("/proc/stat").read_text().splitlines()[0].split()[1:])
    return (user + nice + system + sum(more[:3])) / os.sysconf("SC_CLK_TCK")
