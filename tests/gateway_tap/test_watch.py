"""Changed content is noticed however it came; the same content in another file is no change."""

from pathlib import Path

from penstock.gateway_tap.watch import Watch


def test_a_write_a_rename_and_a_turned_link_are_changes(tmp_path: Path) -> None:
    plain, linked, data = tmp_path / "plain", tmp_path / "linked", tmp_path / "..data"
    for name in ("v1", "v2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "policy").write_text(name)
    plain.write_text("a")
    data.symlink_to("v1")
    linked.symlink_to("..data/policy")
    watch = Watch([plain, linked])
    assert not watch.changed()
    plain.write_text("b")
    assert watch.changed() and not watch.changed()
    (tmp_path / "fresh").write_text("c")
    (tmp_path / "fresh").replace(plain)
    assert watch.changed() and not watch.changed()
    (tmp_path / "turned").symlink_to("v2")
    (tmp_path / "turned").replace(data)
    assert watch.changed() and not watch.changed()


def test_the_same_content_is_no_change_and_a_lost_file_is_one(tmp_path: Path) -> None:
    path = tmp_path / "one"
    path.write_text("a")
    watch = Watch([path])
    (tmp_path / "fresh").write_text("a")
    (tmp_path / "fresh").replace(path)
    assert not watch.changed()
    path.unlink()
    assert watch.changed()
    path.write_text("a")
    watch.follow([path, tmp_path / "two"])
    assert watch.changed()
