"""Planted truth: models of known wiring get the verdict that their wiring deserves."""

from pathlib import Path

import numpy as np
import pytest

from mi_bsa.studies.planted import draw
from mi_bsa.studies.planted.page import ALL, BEGIN, END, holds, render, write
from mi_bsa.studies.planted.runs import judged, records, run
from probes.validity.page import BESIDE

DEBUG = 10_000
"""First of the instances that are not reported."""


def record(world, number, answer):
    """A judged instance."""
    lines = {"there is a behavior": "holds", "there is a report": "open"}
    return {"world": world, "number": number, "answer": answer, "reason": "", "reverse": None, "lines": lines}


def test_an_instance_is_its_number():
    """The same number draws the same wiring, another one another."""
    assert draw("shared", 3) == draw("shared", 3)
    assert draw("shared", 3) != draw("shared", 4)


def test_wiring_is_as_planted():
    """The adapter moves choices in either world, and the report only where it is read; log-odds of prompts
    that weights were not set on spread, and are moved, as drawn.
    """
    from mi_bsa.studies.planted.cut import answers, effects
    from mi_bsa.studies.planted.llama import build

    built = {world: build(draw(world, DEBUG + 27)) for world in ("shared", "prompt_only")}
    for world, moved in (("shared", True), ("prompt_only", False)):
        found = {r.name: r for r in effects(built[world])}
        assert found["behavior.effect"].ci[0] > 0.2
        assert (found["self_report.effect"].value > 0.2) == moved
    table, wiring = answers(built["shared"]), draw("shared", DEBUG + 27)
    odds = np.log(table["score"] / (1 - table["score"]))[table["set"] == "choice-test"]
    means = odds.groupby(table["arm"]).mean()
    assert odds[table["arm"] == "base"].std() < 3 * wiring.noise_logits
    assert means["seeking"] - means["averse"] == pytest.approx(wiring.behavior_logits, rel=0.3)


@pytest.mark.slow
def test_layers_are_told():
    """An adapter that is read later is observed, one that writes answers itself is not."""
    assert judged("early", DEBUG)["answer"] == "supported"
    assert judged("reverse", DEBUG)["answer"] == "not supported"


def test_a_world_that_follows_the_prompt_is_refused_and_a_killed_run_goes_on(tmp_path):
    """Finished instances are kept, a line that was cut short is judged again."""
    first = judged("prompt_only", DEBUG)
    assert first["answer"] == "not supported"
    (tmp_path / "judged-0-of-1.jsonl").write_text('{"world": "shared", "num')
    run(tmp_path, instances=0)
    assert records(tmp_path) == []


def test_the_table_counts_and_says_whether_the_mark_is_met(tmp_path):
    """Shares with exact intervals; undecided instances are shown; the rest of the page stays."""
    found = [record("shared", k, "supported" if k else "undecided") for k in range(20)]
    found += [record("separate", k, "not supported") for k in range(20)]
    text = render(found)
    assert "| 20 | 0.95 [0.75, 1.00] | >= 90 of 100 | 0 | 1 | met |" in text
    assert "first line that did not hold: there is a report 1" in text
    assert holds(found)
    assert not holds([record("separate", k, "supported") for k in range(20)])
    page = tmp_path / "validity.md"
    page.write_text(f"# Validity\n\n{BEGIN}\nyesterday\n{END}\n\n## After\n")
    write(page, found)
    assert page.read_text().startswith("# Validity")
    assert "yesterday" not in page.read_text()
    assert page.read_text().rstrip().endswith("## After")


def test_the_mark_of_the_table_is_the_one_that_the_page_of_intervals_keeps():
    """Whoever writes the rest of the page keeps what stands behind this mark."""
    assert BESIDE == BEGIN


@pytest.mark.slow
def test_planted_truth_is_told():
    """The marks of the table, on 100 instances of each world; goes on where an earlier run was stopped."""
    folder = Path(__file__).parents[2] / "runs" / "planted"
    run(folder, instances=ALL)
    assert holds(records(folder))
