"""The grid: settings, order, resumption, and the page that says what the verdicts are worth."""

from collections import Counter
from pathlib import Path

import pytest

from mi_bsa.core.errors import ConfigError
from mi_bsa.studies.planted import GridConfig, PlantedCell, grid, kept
from mi_bsa.studies.planted.__main__ import main
from mi_bsa.studies.planted.marks import MARKS, Rate
from mi_bsa.studies.planted.page import BEGIN, END, holds, render, write
from mi_bsa.studies.planted.runs import ALIKE, DRAWS, judged, records, rules, run
from mi_bsa.studies.planted.settings import DEFAULT, Draws, Selection
from probes.validity.page import BESIDE

ROOT = Path(__file__).parents[4]
WRONG = PlantedCell("grid", 0.0, 1.0, 0.6, 5)
RIGHT = PlantedCell("grid", 1.0, 1.0, 0.6, 5)


def small(**beside):
    """A grid of two cells."""
    return GridConfig(share=(0, 1), cowriting=(1,), effect=(0.6,), seeds=(5,), worlds=("separate",), **beside)


def record(cell, number, answer, *, share=None, error=False):
    """A judged instance."""
    lines = {"there is a behavior": "holds", "there is a report": "open"}
    share = cell.share if share is None else share
    return {
        "cell": cell.name,
        "number": number,
        "rules": "abc",
        "answer": answer,
        "reason": "the handle moves the report holds",
        "error": error,
        "lines": lines,
        "truth": {"share": share, "carried": share, "choices": 1.0, "report": 0.5},
        "effect": 0.6,
        "seconds": 8.0,
    }


def test_the_shipped_grid_has_the_cells_that_matter_first():
    """240 cells and ten worlds; what a mark is about has 50 instances, 36 where it is one of error, 108 where
    that error is possible at all, power at half a share before all; no instance comes twice.
    """
    config = grid(ROOT / "configs" / "planted" / "grid.yaml")
    cells = config.cells()
    assert len(cells) == len({cell.name for cell in cells}) == 250
    plan = list(config.plan())
    assert len(plan) == len(set(plan))
    of = Counter(cell for cell, _ in plan)
    for cell in cells:
        marked = [mark for mark in MARKS if mark.holds(cell)]
        error = cell.world != "grid" or any(mark.least is None for mark in marked)
        most = 36 if error and cell.world == "grid" else 54 if error else 50 if marked else 10
        assert of[cell] == (108 if cell.share == 0.1 and cell.effect >= 0.6 else most)
    assert all(MARKS[2].holds(cell) for cell, _ in plan[: 8 * 6])
    assert plan[:1] == [(PlantedCell("grid", 0.5, 0.0, 0.6, 5), 40_000)]
    assert set(Counter(cell for cell, _ in config.of_each(2).plan()).values()) == {2}


def test_cells_are_chosen_by_their_axes():
    """`axis=value,value`; a named axis chooses no other world; what is no axis is refused."""
    config = small()
    chosen = Selection.parse("share=0 seeds=5")
    assert [cell for cell, _ in config.plan(chosen)][:1] == [WRONG]
    assert {cell.world for cell, _ in config.plan(chosen)} == {"grid"}
    assert {cell.world for cell, _ in config.plan(Selection.parse("world=separate"))} == {"separate"}
    with pytest.raises(ConfigError, match="axis=value"):
        Selection.parse("share")
    with pytest.raises(ConfigError, match="share"):
        Selection.parse("shares=0")


def test_processes_share_the_grid_and_a_killed_one_goes_on(tmp_path):
    """A line that was cut short is left out; a folder of other draws is refused."""
    (tmp_path / "judged-0-of-1.jsonl").write_text('{"cell": "shared", "num')
    run(tmp_path, small(), most=0)
    assert records(tmp_path) == []
    assert (tmp_path / DRAWS).is_file()
    with pytest.raises(ConfigError, match="another folder"):
        run(tmp_path, small(draws=Draws(hint=(0.0, 0.5))), most=0)


def test_the_short_grid_is_judged_and_is_not_judged_twice(tmp_path, capsys):
    """The whole path, from settings to the page, on one instance a cell; a second run finds all there."""
    config = grid(ROOT / "configs" / "planted" / "short.yaml")
    run(tmp_path, config)
    found = records(tmp_path)
    assert [r["cell"] for r in found] == sorted(cell.name for cell in config.cells())
    assert not any(r["error"] for r in found)
    before = (tmp_path / "judged-0-of-1.jsonl").read_text()
    run(tmp_path, config)
    assert (tmp_path / "judged-0-of-1.jsonl").read_text() == before
    by_cell = {r["cell"]: r for r in found}
    assert by_cell["prompt_only"]["answer"] == "not supported"
    assert by_cell["share1-co1-effect0.6-seeds3"]["truth"]["share"] == pytest.approx(1, abs=0.2)
    assert "3 of 3 instances (0 left)" in render(config, found)


def test_intervals_are_exact():
    """0 of 50 and 3 of 4, by hand: 1 - .025 ** (1 / 50); and the roots of the binomial tails."""
    low, high = Rate(0, 50).ends
    assert low == 0
    assert high == pytest.approx(1 - 0.025 ** (1 / 50))
    assert Rate(3, 4).ends == pytest.approx((0.1941, 0.9937), abs=1e-4)


def test_false_support_is_judged_in_every_cell():
    """50 without one meet the mark, 20 are too few, one in ten misses it."""
    mark = MARKS[0]
    none = [record(WRONG, n, "not supported") for n in range(50)]
    assert mark.says(none) == "met"
    assert mark.says(none[:20]) == "too few"
    some = [record(WRONG, n, "supported" if n % 10 == 0 else "undecided") for n in range(50)]
    assert mark.says(some) == "**missed** so far"
    assert mark.says([record(WRONG, n, "supported") for n in range(9)]) == "**missed**"
    assert not holds(small(), some)
    assert holds(small(), none)


def test_the_page_says_what_was_reached_and_what_is_left(tmp_path):
    """Rates, true shares, examples of wrong support, instances left; the rest of the page stays."""
    config = small()
    found = [record(WRONG, n, "supported" if n == 3 else "undecided") for n in range(10)]
    found += [record(RIGHT, n, "supported") for n in range(20)]
    text = render(config, found)
    assert "Judged: 30 of 150 instances (120 left)" in text
    assert "| 1 | 0 | 1 | 0.6 | 5 | 0.00 [0.00, 0.00] | 0.60 | 10 | 0.10 [0.00, 0.45]" in text
    assert f"{WRONG.name}, 3: the handle moves the report holds" in text
    assert "No study stopped with an error." in " ".join(text.split())
    assert "1.00 [0.83, 1.00]" in text
    page = tmp_path / "validity.md"
    page.write_text(f"# Validity\n\n{BEGIN}\nyesterday\n{END}\n\n## After\n")
    write(page, config, found)
    assert page.read_text().startswith("# Validity")
    assert "yesterday" not in page.read_text()
    assert page.read_text().rstrip().endswith("## After")


def test_a_study_that_stopped_is_counted_and_its_reason_shown():
    """An error is no verdict, and is told with how often it came."""
    text = render(small(), [record(WRONG, n, "undecided", error=n < 2) for n in range(3)])
    assert "- stopped with an error: 2 x the handle moves the report holds" in text
    assert "No study stopped" not in text


def test_the_command_renders_what_is_there_and_refuses_what_it_cannot_read(tmp_path, monkeypatch, capsys):
    """`--most 0` judges nothing; a grid of another file is its own; a mistake is one line and exit code 2."""
    settings = tmp_path / "own.yaml"
    settings.write_text(small().to_yaml())
    page = tmp_path / "validity.md"
    command = ["planted", "--settings", str(settings), "--runs", str(tmp_path / "runs"), "--most", "0"]
    monkeypatch.setattr("sys.argv", [*command, "--out", str(page)])
    assert main() == 0
    assert "Judged: 0 of 150 instances (150 left)" in page.read_text()
    monkeypatch.setattr("sys.argv", [*command, "--cells", "shares=0"])
    assert main() == 2
    assert "share" in capsys.readouterr().err
    settings.write_text("share: [2]\n")
    monkeypatch.setattr("sys.argv", command)
    assert main() == 2


def test_the_page_of_intervals_keeps_the_grid():
    """The grid stands behind the mark from which `probes.validity` leaves the page alone."""
    text = (ROOT / "docs" / "validity.md").read_text()
    assert -1 < text.find(BESIDE) < text.find(BEGIN) < text.find(END)


def test_a_table_goes_on_elsewhere(tmp_path):
    """What is kept makes the same page, is not judged again, and holds no instance of other rules."""
    path, config = tmp_path / "kept" / "planted.csv", small(first=0, instances=2)
    found = [record(WRONG, 0, "undecided"), record(RIGHT, 0, "supported"), record(RIGHT, 1, "supported")]
    found = [{**r, "rules": rules()} for r in found]
    kept.write(path, [*found, {**record(WRONG, 1, "supported"), "rules": "older"}])
    again = kept.read(path)
    assert render(config, again) == render(config, kept.together(found))
    stale = [{**r, "rules": "older", "answer": "supported"} for r in found]
    for places in ((again, stale), (stale, again)):  # a folder of older runs takes nothing from the table
        assert [r["rules"] for r in kept.together(*places)] == [rules()] * len(again)
    known = {(r["cell"], r["number"]) for r in again}
    assert known == {(r["cell"], r["number"]) for r in found}
    run(tmp_path / "runs", config, only=Selection.parse("share=1"), known=known)
    assert records(tmp_path / "runs") == []
    assert kept.read(tmp_path / "none.csv") == []
    (tmp_path / "other.csv").write_text("a,b\n")
    with pytest.raises(ConfigError, match="no table of judged instances"):
        kept.read(tmp_path / "other.csv")


@pytest.mark.slow
@pytest.mark.parametrize("first", [0, 1, 2])
def test_rules_that_are_said_to_judge_alike_do(first):
    """Instances of the kept table that other code judged, judged again: every number and the answer agree."""
    table = [r for r in kept.read(ROOT / "docs" / "planted.csv") if r["rules"] in ALIKE]
    if not table:
        pytest.skip("all of the table was judged by the code of today")
    config = grid(DEFAULT)
    cells = sorted({r["cell"] for r in table})
    for name in cells[first::9]:  # three a case: a quarter of a minute each, and a table of hundreds
        before = next(r for r in table if r["cell"] == name)
        cell = next(one for one, _ in config.plan() if one.name == name)
        again = judged(cell, before["number"], config.draws)
        assert again["answer"] == before["answer"], name
        assert kept.stopped(again) == before["reason"]
        told = [again["truth"]["share"], again["truth"]["carried"], again["effect"]]
        kept_as = [before["truth"]["share"], before["truth"]["carried"], before["effect"]]
        assert [f"{x:.4f}" for x in told] == [f"{x:.4f}" for x in kept_as], name
