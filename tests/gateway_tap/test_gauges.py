from penstock.gateway_tap.gauges import exposition


def test_families_are_written_in_prometheus_text() -> None:
    text = exposition(
        [("a_total", "counter", "Help.", [({"outcome": "completed"}, 12_345_678)]), ("b", "gauge", "B.", [({}, 0.5)])]
    )
    assert text == (
        b'# HELP a_total Help.\n# TYPE a_total counter\na_total{outcome="completed"} 12345678\n'
        b"# HELP b B.\n# TYPE b gauge\nb 0.5\n"
    )
