"""An administrator of the store who alters, adds or removes what was said, or what an event is."""

import pytest

from penstock.schemas.commitment import commitment

from .deployment import TRAFFIC, Deployment, at, replaced

pytestmark = pytest.mark.services


def named(kind: str, *places: tuple[int, int]) -> list[tuple[str, str]]:
    return [(kind, f"{TRAFFIC}/0/{offset}/{index}") for offset, index in places]


async def test_content_altered_together_with_its_commitment(sealed: Deployment) -> None:
    """The row is sealed, so a matching commitment in it does not help."""
    ((salt, subject, attributes, body),) = sealed.ask(
        f"SELECT hex(salt), subject, attributes, body FROM penstock.content WHERE {at(1, 1)}"
    )
    made = commitment(bytes.fromhex(salt), subject, attributes, body.replace("word", "ward").encode())
    sealed.alter(
        replaced("content", at(1, 1), "replaceOne(body, 'word', 'ward') AS body"),
        replaced("events_log", at(1, 1), f"CAST(unhex('{made.hex()}') AS FixedString(32)) AS commitment"),
    )
    assert await sealed.faults() == [
        ("row_altered", f"leaf 5 ({TRAFFIC}/0/1/1)"),
        ("chain", f"{TRAFFIC}/0/1/2"),
    ]


CHANGES = (
    "'key:k2' AS subject",
    "replaceOne(attributes, 'upstream', 'tap') AS attributes",
    "'tap' AS origin",
    "toUInt32(1) AS part",
    "'0-3' AS redacted",
    "true AS duplicate",
    "'' AS salt",
    "'' AS body",
    "addMicroseconds(occurred_at, 1) AS occurred_at",
    "'prompt' AS kind",
)
CHUNKS = ((0, 2), (1, 0), (1, 1), (1, 2), (2, 0), (4, 2), (5, 0), (5, 1), (5, 2), (6, 0))


async def test_every_column_of_content_is_covered(sealed: Deployment) -> None:
    sealed.alter(*(replaced("content", at(*place), change) for place, change in zip(CHUNKS, CHANGES, strict=True)))
    assert sorted(await sealed.faults()) == named("content_altered", *CHUNKS)


KEYS = {
    (1, 0): ("exchange_id", "'another'"),
    (1, 1): ("seq", "toUInt32(77)"),
    (1, 2): ("event_id", "'x/9'"),
    (2, 0): ("frame_index", "toUInt32(9)"),
}


async def test_content_added_beside_the_genuine_one(sealed: Deployment) -> None:
    """It would be shown by `show` and panels, in the same exchange or in another."""
    sealed.alter(*(replaced("content", at(*place), f"{value} AS {name}") for place, (name, value) in KEYS.items()))
    faults = await sealed.faults()
    assert [found for found in faults if found[0] == "content_added"] == named(
        "content_added", (1, 0), (1, 1), (1, 2), (2, 9)
    )


async def test_content_put_in_place_of_the_genuine_one(sealed: Deployment) -> None:
    for place, (name, value) in KEYS.items():
        sealed.alter(
            replaced("content", at(*place), f"{value} AS {name}"),
            f"ALTER TABLE penstock.content DELETE WHERE {at(*place)} AND {name} != {value} SETTINGS mutations_sync = 2",
        )
    faults = await sealed.faults()
    assert {where for _, where in faults} >= {where for _, where in named("", *KEYS)}
    assert {kind for kind, _ in faults} == {"content_altered", "content_missing", "content_added"}


async def test_bodies_of_two_chunks_swapped(sealed: Deployment) -> None:
    first, second = (
        sealed.ask(f"SELECT body, hex(salt) FROM penstock.content WHERE {at(1, index)}")[0] for index in (0, 1)
    )
    for index, (body, salt) in ((0, second), (1, first)):
        sealed.alter(
            f"ALTER TABLE penstock.content UPDATE body = unhex('{body.encode().hex()}'), salt = unhex('{salt}') "
            f"WHERE {at(1, index)} SETTINGS mutations_sync = 2"
        )
    assert await sealed.faults() == named("content_altered", (1, 0), (1, 1))


async def test_the_places_of_two_chunks_swapped(sealed: Deployment) -> None:
    """Whole rows trade places, so that each body still fits its salt and its number."""
    sealed.alter(
        replaced("content", f"{at(1, 0)} OR {at(1, 1)}", "toUInt32(1 - frame_index) AS frame_index"),
        f"ALTER TABLE penstock.content DELETE WHERE ({at(1, 0)} AND seq = 3) OR ({at(1, 1)} AND seq = 4) "
        "SETTINGS mutations_sync = 2",
    )
    faults = await sealed.faults()
    assert set(named("content_altered", (1, 0), (1, 1))) <= set(faults)


async def test_content_hidden_behind_erased_content(sealed: Deployment) -> None:
    """Each row that was erased for good must not make room for one that was added."""
    (exchange,) = sealed.ask(f"SELECT exchange_id FROM penstock.events_log WHERE {at(1, 1)}")[0]
    sealed.record(sealed.act(act="erased", exchange_id=exchange))
    sealed.alter(
        f"ALTER TABLE penstock.content DELETE WHERE exchange_id = '{exchange}' SETTINGS mutations_sync = 2",
        replaced("content", at(5, 1), "toUInt32(77) AS seq"),
    )
    await sealed.seal()
    assert await sealed.faults() == named("content_added", (5, 1))


async def test_content_beyond_all_rows_is_named_where_kafka_never_gave_its_offset(sealed: Deployment) -> None:
    sealed.alter(replaced("content", at(1, 1), "toUInt64(1000000) AS offset"))
    assert await sealed.faults() == [("content_added", f"{TRAFFIC}/0/1000000")]


async def test_unmerged_versions_of_a_fine_trail_are_no_fault(sealed: Deployment) -> None:
    """A worker that was thought dead writes everything a second time; nothing is merged in between."""
    sealed.alter("SYSTEM STOP MERGES penstock.events_log", "SYSTEM STOP MERGES penstock.content")
    try:
        later = "addSeconds(recorded_at, 60) AS recorded_at"
        sealed.alter(replaced("events_log", "1", later), replaced("content", "1", "salt AS salt"))
        assert await sealed.faults() == []
        sealed.alter("INSERT INTO penstock.leaves SELECT * FROM penstock.leaves")
        report = await sealed.verify()
        assert (report.ok, report.rows, report.content_present) == (True, 36, 36)
    finally:
        sealed.alter("SYSTEM START MERGES penstock.events_log", "SYSTEM START MERGES penstock.content")


async def test_an_older_version_cannot_hide_behind_a_newer_one(sealed: Deployment) -> None:
    """What readers with FINAL see is the last version, and that is the one that is checked, merged or not."""
    sealed.alter(replaced("events_log", at(1, 1), "addYears(recorded_at, -9) AS recorded_at, 't9' AS tap_id"))
    unmerged = await sealed.faults()
    assert ("row_altered", f"leaf 5 ({TRAFFIC}/0/1/1)") in unmerged
    sealed.alter("OPTIMIZE TABLE penstock.events_log FINAL")
    assert await sealed.faults() == unmerged


async def test_a_lightweight_delete(sealed: Deployment) -> None:
    sealed.alter(f"DELETE FROM penstock.content WHERE {at(1, 1)}", f"DELETE FROM penstock.events_log WHERE {at(1, 2)}")
    faults = await sealed.faults()
    assert faults[0] == ("row_missing", f"leaf 6 ({TRAFFIC}/0/1/2)")
    assert set(faults) >= {*named("content_missing", (1, 1)), *named("content_added", (1, 2))}
