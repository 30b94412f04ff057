"""The table of topics holds together."""

from penstock.schemas import topics


def test_names_are_ours_versioned_and_single() -> None:
    names = [topic.name for topic in topics.TOPICS]
    assert len(names) == len(set(names)) == 17
    assert all(name.startswith("penstock.") and name.endswith(".v1") for name in names)


def test_standing_topics_are_compacted_and_never_expire() -> None:
    assert {topics.CONTROL, topics.KEYS, topics.BUDGETS} == topics.COMPACTED
    for name in topics.COMPACTED:
        config = topics.topic(name).config()
        assert config["retention.ms"] == "-1"
        assert config["cleanup.policy"] == "compact"


def test_what_is_recorded_exists() -> None:
    assert {topics.topic(name).name for name in topics.RECORDED} == set(topics.RECORDED)
    assert all("record" in topics.topic(name).readers for name in topics.RECORDED)
    assert topics.topic(topics.CONTROL).partitions == topics.topic(topics.KEYS).partitions == 1
