"""The first screen, of a page and of a terminal: model, behavior, the answer with its number, what is not
known, in at most 90 words.
"""

import json
import re
import shutil
from html import unescape
from pathlib import Path

import pytest
from click.testing import CliRunner

from mi_bsa.causal.verdict import CONJECTURES
from mi_bsa.core.results import Result
from mi_bsa.report import render
from mi_bsa.report.first import AROUND, MOST, first, words
from mi_bsa.report.page import first_of, read_run
from mi_bsa.studies.behavior.page import SECTIONS

CLAIMS = [*CONJECTURES.values()]
REGISTERED = "registered 2026-11-29, lock 020a7147b5ae, committed 2026-11-29"


def judged(*answers: str, registration: str = "exploratory: no lock at its start") -> list[dict[str, str]]:
    """Verdicts on the first claims."""
    told = zip(CLAIMS, answers, strict=False)
    return [
        {"conjecture": claim, "verdict": answer, "because": "x (a 1)", "registration": registration}
        for claim, answer in told
    ]


def effects(*behaviors: str, low: float = 0.84) -> list[Result]:
    """The self-report of some behaviors."""
    return [
        Result(
            "self_report.effect",
            {"behavior": behavior, "kind": "all"},
            0.87,
            ci=(low, 0.89),
            ci_method="t over seeds",
            n=3,
            unit="probability",
        )
        for behavior in behaviors
    ]


def test_all_of_it_is_there():
    """Behavior and model, the number with its interval, every claim that is open, and the bases not asked."""
    found = first("risk on embedded: 3 seeds", effects("risk"), judged("undecided", "supported", "undecided"))
    text = "\n".join(found.lines)
    assert found.title == "risk on embedded: 3 seeds"
    assert "0.87 [0.84, 0.89]" in text
    assert "Supported (exploratory): later layers observe what the adapter did in earlier ones." in text
    assert "Not known (exploratory): whether the self-report reads the state" in text
    assert "whether other bases answer alike" in text
    assert words(found.lines) <= MOST - AROUND


@pytest.mark.parametrize("behaviors", [1, 2, 5, 20])
@pytest.mark.parametrize("answer", ["undecided", "supported", "not supported"])
def test_it_is_never_longer(behaviors: int, answer: str):
    """Whatever was studied; what did not fit is counted."""
    many = effects(*(f"behavior{n}" for n in range(behaviors)), low=-0.5)
    found = first("a, b, c and 17 more on d: x, y, z x 5 seeds", many, judged(*[answer] * 3) * behaviors)
    assert words(found.lines) <= MOST - AROUND
    told = "\n".join(found.lines)
    shown = sum("0.87" in one for one in found.answers)
    assert shown == behaviors or f"And {behaviors - shown} more." in told
    assert "claims (exploratory)" in told or told.count("whether") + told.count("the report follows") >= 1


def test_a_study_without_verdicts_or_sentence_says_so():
    """Numbers without a rule: the first ones, and that no rule reads them."""
    one = Result("mixing.x", {}, 0.1, ci=(0.0, 0.2), ci_method="t over seeds", n=3, unit="probability")
    found = first("mixing on embedded", [one], [])
    assert "1 are given" in found.answers[0]
    assert found.claims[0].startswith(
        "Not known: whether other bases answer alike; any claim beyond these numbers"
    )


def test_on_a_page(made_up_pages: dict[str, Path], tmp_path: Path):
    """All that stands above the first number's tile."""
    folder = tmp_path / "risk_a_long_name_of_a_run"
    shutil.copytree(made_up_pages["run"].parent, folder)
    config = "study: behavior\nbehavior: risk\nmodel: {name: embedded}\narms: [seeking, averse, shuffled]\n"
    (folder / "config.yaml").write_text(config)
    record = json.loads((folder / "record.json").read_text())
    record |= {"seeds": [0, 1, 2, 3, 4], "registration": {"said": REGISTERED}}
    (folder / "record.json").write_text(json.dumps(record))
    verdicts = judged("undecided", "undecided", "undecided", registration=REGISTERED)
    (folder / "verdicts.json").write_text(json.dumps(verdicts))
    page = render(folder, SECTIONS).read_text()
    top = unescape(re.sub(r"<[^>]+>", " ", page[page.index("<header>") : page.index('class="tile"')]))
    assert 40 < words([top]) <= MOST
    for text in ("risk on embedded", "5 seeds", "moves with them: ", "Not known (registered): whether"):
        assert text in " ".join(top.split())


def test_in_a_terminal(smallest, tmp_path: Path):
    """The last lines of a study, over its paths: what the screen shows when it is done."""
    from mi_bsa.cli.study import study

    made = smallest("behavior")
    folder = tmp_path / "run"
    shutil.copytree(made.finished, folder)
    config = tmp_path / "given.yaml"
    config.write_text(json.dumps({"study": "behavior", **made.given}))
    done = CliRunner().invoke(study, [str(config), "--out", str(folder), "--resume"])
    assert done.exit_code == 0, done.output
    block = done.output.rstrip().rpartition("\n\n")[2]
    said, paths = block[: block.index("report: ")], block[block.index("report: ") :]
    assert [line.partition(":")[0] for line in paths.splitlines()] == ["report", "results"]
    assert words([said]) <= MOST
    assert " ".join(said.split()) == " ".join(" ".join(first_of(read_run(folder)).lines).split())
