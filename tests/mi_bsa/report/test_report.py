"""The report: escaped, complete, the same from the same results, and honest in its headline."""

import json
import re
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib
import pytest
from click.testing import CliRunner
from synthetic_run import HOSTILE, made_up

from mi_bsa.causal.figures.doses import dose
from mi_bsa.causal.figures.patch_map import columns_of, draw_patch_map, token_of
from mi_bsa.cli.report import report
from mi_bsa.core import results
from mi_bsa.core.errors import BrokenFileError, MissingError, RunFolderError
from mi_bsa.core.results import Place, Result
from mi_bsa.report import compare, render
from mi_bsa.report.figures.style import plain
from mi_bsa.report.headline import sentences, tiles
from mi_bsa.report.names import explained, in_words, words
from mi_bsa.report.page import read_run, rows_of, table, title_of
from mi_bsa.report.section import MOST_LINES
from mi_bsa.report.sections import assign, figure_of, left_out
from mi_bsa.studies.behavior.page import SECTIONS


@pytest.fixture(scope="module")
def run(made_up_pages: dict[str, Path]) -> Path:
    return made_up_pages["run"].parent


@pytest.fixture(scope="module")
def page(run: Path) -> str:
    return (run / "report.html").read_text()


def test_a_sections_file_is_shown_with_its_words_escaped(run: Path, tmp_path: Path):
    """The CSV that a section names stands beneath its figure; a run may lack it, and one with broken rows is
    refused.
    """
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    where = {"behavior": "risk", "arm": "seeking", "split": "test"}
    seeds: dict[str, Any] = {"per_seed": (0.5, 0.5, 0.5), "seeds": (0, 1, 2)}
    net = Result("behavior.flips.net", where, 0.5, (0.5, 0.5), "t over seeds", 3, "share of items", **seeds)
    results.write([net], folder)
    (folder / "flips_top.csv").write_text('text,base\n"are you bold, or <b>careful</b>?",0.345\n')
    shown = render(folder, SECTIONS).read_text()
    assert "<td>are you bold, or &lt;b&gt;careful&lt;/b&gt;?</td><td>0.345</td>" in shown
    assert rows_of(folder, "") is rows_of(folder, "none.csv") is None
    (folder / "flips_top.csv").write_text("text,base\nonly\n")
    with pytest.raises(BrokenFileError, match="unequal length"):
        rows_of(folder, "flips_top.csv")


def test_every_section_has_its_figure(run: Path, page: str):
    """Each section of the results has a wide and a narrow figure in the page, and files as SVG and PNG."""
    slugs = [section.slug for section in assign(made_up(), SECTIONS)]
    assert slugs == ["levels", "controls", "transfer", "steering", "patching", "recovery", "mediation"]
    assert page.count("<svg ") == 2 * len(slugs)
    names = {file.name for file in (run / "figures").iterdir()}
    assert names == {f"{slug}.{kind}" for slug in slugs for kind in ("svg", "png")}


def test_page_needs_nothing_else(page: str):
    """The page loads nothing: its addresses are anchors, inline data, and links to the numbers beside it."""
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page)
    beside = {address for address in addresses if not address.startswith(("#", "data:"))}
    assert beside == {"results.csv", "results.json"}
    assert all(f'<a href="{address}">' in page for address in beside)
    assert "<script" not in page
    assert "@import" not in page


def test_text_is_escaped(page: str):
    """Text from results, config and command line never becomes markup, in tables and in figures."""
    assert HOSTILE not in page
    assert page.count("&lt;script&gt;") >= 3


def test_ids_are_unique(page: str):
    """No two elements of the page share an id, and every reference inside it has its target."""
    ids = Counter(re.findall(r'\bid="([^"]+)"', page))
    references = set(re.findall(r'href="#([^"]+)"', page)) | set(re.findall(r"url\(#([^)]+)\)", page))
    assert max(ids.values()) == 1
    assert references <= set(ids)


def test_every_number_is_in_the_page(run: Path, page: str):
    """Each result stands in a table, with its interval method and seeds."""
    assert page.count("<tr title=") == len(results.read(run))


def test_colors_follow_the_page(page: str):
    """Figures take their colors from the page's variables, so that they can be read in the dark."""
    assert "var(--seeking)" in page
    assert "#c1502e" not in page.replace("--seeking: #c1502e", "")


def test_render_again_is_the_same(run: Path, page: str):
    """The same results give the same page, byte by byte."""
    render(run, SECTIONS)
    assert (run / "report.html").read_text() == page


def test_figures_leave_no_trace():
    """Drawing changes no global setting of matplotlib."""
    before = dict(matplotlib.rcParams)
    for section, items in assign(made_up(), SECTIONS).items():
        figure_of(section, items, narrow=True)
    assert dict(matplotlib.rcParams) == before


def test_one_seed_and_gaps_are_drawn():
    """A study cut short (no seeds, no intervals, no nulls, missing cells) still has its figures."""
    untested = {"p": None, "q": None, "test": None, "p_floor": None}
    bare = [
        replace(item, per_seed=(), seeds=(), null=None, **untested, ci=None, ci_method="none: one seed")
        for item in made_up()[::3]
    ]
    for section, items in assign(bare, SECTIONS).items():
        assert figure_of(section, items, narrow=False) is not None


def test_names_are_words_and_say_what_they_mean():
    """A name of results is shown in words; the internal one and its meaning are on it; other dots stay."""
    assert words("bridge.recovery.self_report") == "recovery: self-report"
    assert words("behavior.effect") == "behavior: effect"
    shown = str(in_words("fails (behavior.effect 0.1 <bar>, v. few.py, no.such_name)"))
    assert 'title="behavior.effect: Level of the seeking arm' in shown
    assert "&lt;bar&gt;, v. few.py, no.such_name)" in shown
    assert shown.count("<abbr") == 1
    assert str(explained("unheard.of")) == '<abbr title="unheard.of">unheard: of</abbr>'


def test_unknown_names_have_a_place():
    """A result of a name that no section knows is drawn at the end, not lost."""
    strange = replace(made_up()[0], name="unheard.of")
    assigned = assign([strange])
    assert [section.slug for section in assigned] == ["more"]
    assert figure_of(next(iter(assigned)), [strange], narrow=False) is not None


@pytest.mark.parametrize(
    ("ci", "says"),
    [
        ((0.1, 0.5), "moves with them: "),
        ((0.01, 0.05), "by less than counts"),
        ((-0.1, 0.5), "does not measurably move"),
        ((-0.5, -0.1), "against"),
    ],
)
def test_headline_says_what_the_interval_says(ci: tuple[float, float], says: str):
    """The headline claims a movement only where the interval lies beyond zero."""
    effects = [replace(item, ci=ci) for item in made_up() if item.name == "self_report.effect"]
    assert says in sentences(effects)[0]


def test_a_tile_says_which_test_gave_its_p_and_how_many_were_drawn():
    """A p at the floor of its draws is at most so much, beside their null; t stands beside another."""
    choices = next(item for item in made_up() if item.name == "behavior.effect")
    steered = next(item for item in made_up() if item.name == "steer.effect")
    bare = {"p": None, "q": None, "test": None}
    of_t, untested, at_floor = tiles(
        [
            replace(choices, p=0.012, n=3, rows=1224),
            replace(choices, name="self_report.effect", **bare),
            replace(steered, where={**steered.where, "kind": "self_report"}, p=0.001, rows=18),
        ]
    )
    assert of_t.note == "risk; n = 3 (1,224 rows); p = .012 (t over seeds against 0)"
    assert of_t.null.startswith("beside it: shuffled arm pairs")
    floor = "p <= .001 (floor of random directions, 999 draws, one-sided)"
    assert at_floor.note.endswith(f"n = 5 (18 rows); {floor}")
    assert at_floor.null.startswith("null: random directions")
    assert "p " not in untested.note
    assert untested.null.startswith("null: shuffled arm pairs")


def test_a_table_names_its_tests():
    """One test of all rows stands in the head, several in a column; a p at its floor is at most that."""
    found = made_up()
    one = table([item for item in found if item.name == "steer.effect"])
    assert "p: random directions, 999 draws, one-sided" in one["columns"]
    at = one["columns"].index("p: random directions, 999 draws, one-sided")
    assert {row["cells"][at] for row in one["rows"]} == {"<= .001"}
    both = table([item for item in found if item.name in ("steer.effect", "behavior.effect")])
    at = both["columns"].index("test")
    assert {row["cells"][at] for row in both["rows"]} == {
        "random directions, 999 draws, one-sided",
        "t over seeds against 0",
    }
    assert all(len(row["cells"]) == len(both["columns"]) for row in both["rows"])


def test_headline_is_silent_without_numbers():
    """What was not measured is not said."""
    assert sentences([]) == []
    assert tiles([]) == []


def test_compare_shows_both(run: Path, made_up_pages: dict[str, Path]):
    """Two runs stand side by side with the config fields that differ; an existing page is refused."""
    text = made_up_pages["both"].read_text()
    assert text.count("<svg ") == 2 * 7
    assert "<td>shift</td><td>0.0</td><td>0.6</td>" in text
    with pytest.raises(RunFolderError, match="another --out"):
        compare(run, run, out=made_up_pages["both"])


def test_two_behaviors_are_compared_number_by_number(run: Path, tmp_path: Path):
    """Studies of one behavior each are paired whatever its name, below the verdicts of both."""
    effect = next(item for item in made_up() if item.name == "behavior.effect")
    for behavior in ("risk", "patience"):
        folder = tmp_path / behavior
        folder.mkdir()
        for name in ("config.yaml", "record.json"):
            shutil.copy(run / name, folder)
        results.write([replace(effect, where={**effect.where, "behavior": behavior})], folder)
        said = {"conjecture": f"<{behavior}> is read.", "verdict": "undecided", "because": "few"}
        (folder / "verdicts.json").write_text(json.dumps([said]))
    text = compare(tmp_path / "risk", tmp_path / "patience", out=tmp_path / "both.html").read_text()
    assert "1 numbers side by side" in text
    assert "<td>0.00</td></tr>" in text
    assert text.index("&lt;patience&gt; is read.") < text.index("<figure>")


def test_command_refuses_what_is_no_run(tmp_path: Path):
    """`mi-bsa report` names a folder that is no run, and too many runs."""
    with pytest.raises(MissingError, match="no such run folder"):
        CliRunner().invoke(report, [str(tmp_path / "none")], catch_exceptions=False)
    with pytest.raises(MissingError, match="not a run folder"):
        render(tmp_path)
    assert CliRunner().invoke(report, ["a", "b", "c"]).exit_code == 2


def test_places_are_read():
    """Doses and positions are read back from where they were measured."""
    steered = [item for item in made_up() if item.name == "steer.level"]
    assert {dose(item) for item in steered} == {-4, -2, -1, 0, 1, 2, 4}
    assert dose(replace(steered[0], where={"variant": "base"})) == 0
    labels = ("12::", "template 0:<s>", "option A 0:40", "answer slot", 3)
    assert [token_of(label) for label in labels] == [":", "<s>", "option A: 40", "answer slot", "3"]


@pytest.mark.parametrize(
    ("positions", "expected"),
    [
        (("10:b", "9:a"), ("9:a", "10:b")),
        (("system", "option A 0:40"), ("system", "option A 0:40")),
        ((10, 9), (9, 10)),
    ],
)
def test_patch_map_takes_any_position(positions: tuple[Place, ...], expected: tuple[Place, ...]):
    """Columns stand by index where all have one, else as given: roles too have a figure."""
    cells = [item for item in made_up() if item.name == "patch.recovery"][:2]
    cells = [replace(c, where=c.where | {"position": p}) for c, p in zip(cells, positions, strict=True)]
    assert len(draw_patch_map(cells).axes) == 2
    assert columns_of(cells) == list(expected)


def test_patch_map_says_what_0_and_1_are():
    """The base and the finetuned model, or, on pairs of prompts of one variant, target and source."""
    cells = [item for item in made_up() if item.name == "patch.recovery"][:2]
    for variant, ends in (
        ("seeking-0 -> base", ("0 base", "1 finetuned")),
        ("base -> base", ("0 target", "1 source")),
    ):
        named = [replace(cell, where=cell.where | {"variant": variant}) for cell in cells]
        bar = draw_patch_map(named).axes[-1]
        shown = [label.get_text() for label in bar.get_yticklabels()]
        assert tuple(shown[-2:]) == ends


@pytest.mark.parametrize(
    ("text", "shown"), [("$a$", "$a$"), ("a\nb", "a\\nb"), ("\u00fc", "\u00fc"), ("\u4e2d", "\\u4e2d")]
)
def test_labels_show_every_character(text: str, shown: str):
    """A label shows characters that the font lacks as their code."""
    assert plain(text) == shown


def test_a_figure_of_maps_shows_the_first_and_says_so():
    """Where every result is a map of its own, the figure shows the first ones whole; the note counts all."""
    section = next(section for section in SECTIONS if section.slug == "patching")
    spare: dict[str, Any] = {"ci": None, "ci_method": "none: made up", "n": 1, "unit": "recovery"}
    places = [{"layer": k % 2, "position": "0:you", "kind": f"kind {k // 2}"} for k in range(400)]
    made = [Result(name="patch.recovery", where=where, value=0.5, **spare) for where in places]
    figure = figure_of(section, made, narrow=True)
    assert figure is not None
    maps = [ax for ax in figure.axes if ax.get_title(loc="left")]
    assert len(maps) == MOST_LINES
    assert (
        left_out(section, made) == f"The figure shows the first {2 * MOST_LINES} of 400; the table has all."
    )
    assert left_out(section, made[: 2 * MOST_LINES]) == ""


def test_the_page_says_first_what_was_studied(run: Path, tmp_path: Path):
    """Behavior, model, arms and seeds are the title; a config that does not say keeps the folder's name."""
    folder = tmp_path / "mine"
    shutil.copytree(run, folder)
    config = "study: behavior\nbehavior: risk\nmodel: {name: embedded}\narms: [seeking, averse]\n"
    (folder / "config.yaml").write_text(config)
    record = json.loads((folder / "record.json").read_text()) | {"seeds": [0, 1, 2]}
    (folder / "record.json").write_text(json.dumps(record))
    assert "<h1>risk on embedded: seeking, averse x 3 seeds</h1>" in render(folder, SECTIONS).read_text()
    for config, title in (
        ("model: {name: embedded}\nitems: {behavior: risk}\n", "risk on embedded: 3 seeds"),
        ("model: {name: /far/away/models/mine}\nconcepts: 50\n", "mine on models/mine: 3 seeds"),
        (
            "study: mixing\nbehaviors: [risk]\nbrief: [apples]\nmodels: [a, b]\n",
            "risk, apples on a, b: 3 seeds",
        ),
        ("study: denial\nplaces: [{model: a, behaviors: [x, y]}]\n", "x, y on a: 3 seeds"),
        ("adapters: [runs/strings/*]\nmodel: {name: a}\n", "strings beside a"),
    ):
        (folder / "config.yaml").write_text(config)
        assert title_of(read_run(folder)) == title
    record["seeds"] = []
    (folder / "record.json").write_text(json.dumps(record))
    (folder / "config.yaml").write_text("unit: one\n")
    assert "<h1>mine</h1>" in render(folder, SECTIONS).read_text()


def test_verdicts_are_a_table_whose_first_line_decides(run: Path, tmp_path: Path):
    """A claim, its answer and the first line that decided; further lines are folded, none is lost."""
    folder = tmp_path / "judged"
    shutil.copytree(run, folder)
    because = "one stays open (a 0.1, bar 0.2); two is missing (b (of c)); three fails (d 0.3)"
    verdict = {"conjecture": "It reads <it>.", "verdict": "undecided", "because": because}
    (folder / "verdicts.json").write_text(json.dumps([verdict]))
    page = render(folder, SECTIONS).read_text()
    assert "<td>It reads &lt;it&gt;.</td><td><b>undecided</b></td><td>one stays open (a 0.1, bar 0.2)" in page
    assert (
        "and 2 more lines that did not hold</summary>two is missing (b (of c))<br>three fails (d 0.3)<"
        in page
    )
    assert page.index("Not known: whether it reads &lt;it&gt;") < page.index('class="tile"')
    assert page.index('class="tile"') < page.index("<b>undecided</b>")


def test_a_behavior_of_ones_own_goes_by_its_name():
    """Where a behavior is a place in a file, sentences and figures say its name, wherever it lies."""
    where = {"behavior": "/home/somebody/very/deep/folders/mine/behavior.py:MINE", "kind": "all"}
    effect = Result("self_report.effect", where, 0.5, (0.4, 0.6), "t over seeds", 3, "difference")
    said = "Finetuned on MINE choices alone, the model's description of itself moves with them: 0.50 [0.40, "
    assert sentences([effect]) == [f"{said}0.60]."]
    assert tiles([effect])[0].note == "MINE; n = 3"
    assert plain("what it says, a/b.py:MINE, resid post") == "what it says, MINE, resid post"
    assert plain("risk") == "risk"
