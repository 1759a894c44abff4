"""Planted reports: each world is told as what it is, and the table is resumed and written."""

import pytest

from mi_bsa.studies.planted.introspection import WORLDS, judged, page


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """One debugging instance of each world."""
    path = tmp_path_factory.mktemp("planted") / "table.csv"
    judged.READ, before = 0, judged.READ
    judged.run(path, first=10_040, instances=1)
    judged.READ = before
    return path


@pytest.mark.slow
def test_each_world_is_told_as_what_it_is(table):
    """State, input, anomaly and guess, by the controls alone."""
    assert {r["world"]: r["told"] for r in judged.read(table)} == {world: world for world in WORLDS}


def test_a_killed_run_goes_on_where_it_was(table):
    """What the table holds is not judged again, and half a line is no line."""
    before = table.read_text()
    judged.run(table, first=10_040, instances=1)
    assert table.read_text() == before
    half = table.with_name("half.csv")
    half.write_text(before[: before.rindex(",")])
    assert len(judged.read(half)) == len(WORLDS) - 1


def test_the_section_takes_the_place_of_the_old_one(table, tmp_path):
    """The rest of the page stays, and marks are told."""
    out = tmp_path / "page.md"
    out.write_text(f"before\n\n{page.BEGIN}\nold\n{page.END}\nafter\n")
    page.write(out, judged.read(table))
    text = out.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert f"{page.BEGIN}\nold" not in text
    assert "or less): met. 4 instances" in text
    wrong = [{**r, "told": "state"} for r in judged.read(table)]
    assert not page.holds(wrong)
