"""Figures of several processes are one text that Prometheus reads."""

from penstock.gateway_tap.gauges import exposition
from penstock.gateway_tap.merged import merged


def text(running: int, outcomes: dict[str, int]) -> str:
    return exposition(
        [
            ("running", "gauge", "Now.", [({}, running)]),
            ("ended_total", "counter", "Then.", [({"outcome": name}, count) for name, count in outcomes.items()]),
        ]
    ).decode()


def test_each_family_stands_once_and_each_sample_names_its_tap() -> None:
    got = merged({"tap-1-1": text(1, {"completed": 3}), "tap-1-2": text(2, {"completed": 4, "killed": 1})})
    assert got.decode().splitlines() == [
        "# HELP running Now.",
        "# TYPE running gauge",
        'running{tap="tap-1-1"} 1',
        'running{tap="tap-1-2"} 2',
        "# HELP ended_total Then.",
        "# TYPE ended_total counter",
        'ended_total{tap="tap-1-1",outcome="completed"} 3',
        'ended_total{tap="tap-1-2",outcome="completed"} 4',
        'ended_total{tap="tap-1-2",outcome="killed"} 1',
    ]


def test_no_process_is_no_text() -> None:
    assert merged({}) == b""
