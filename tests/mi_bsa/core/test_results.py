"""Results: what may be written down, and that it is read back equal."""

import csv
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mi_bsa.core.errors import MissingError, ResultError
from mi_bsa.core.results import UNTOLD, Null, Result, check, read, write

UNTESTED = {"p": None, "test": None, "p_floor": None}


def result(**changes: Any) -> Result:
    base = Result(
        name="bridge.transfer.auroc",
        where={"behavior": "risk", "layer": 2},
        value=0.9,
        ci=(0.8, 0.95),
        ci_method="t over seeds",
        n=40,
        unit="AUROC",
        null=Null("shuffled labels", 200, 0.5, 0.4, 0.6),
        p=0.005,
        test="shuffled labels, 200 draws, one-sided",
        p_floor=1 / 201,
        per_seed=(0.9, 0.9),
        seeds=(0, 1),
    )
    return replace(base, **changes)


def test_round_trip(tmp_path: Path):
    """What is written is read back equal, in JSON, and stands in the CSV once a row."""
    results = [result(), result(where={"behavior": "risk", "layer": 3}, null=None, **UNTESTED, notes="a,\nb")]
    write(results, tmp_path)
    assert read(tmp_path) == results
    rows = list(csv.DictReader((tmp_path / "results.csv").read_text().splitlines(keepends=True)))
    assert [row["layer"] for row in rows] == ["2", "3"]
    assert rows[0]["null_kind"] == "shuffled labels"
    assert rows[1]["notes"] == "a,\nb"


def test_keys_are_the_contract(tmp_path: Path):
    """A record has exactly the keys of the public contract."""
    write([result()], tmp_path)
    record = json.loads((tmp_path / "results.json").read_text())[0]
    names = "name where value ci ci_method n unit rows null p q test p_floor per_seed seeds notes"
    assert list(record) == names.split()
    assert list(record["null"]) == ["kind", "n", "mean", "low", "high"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"value": math.nan}, "finite"),
        ({"value": math.inf}, "finite"),
        ({"value": True}, "finite"),
        ({"ci": (0.1, math.nan)}, "finite"),
        ({"per_seed": (math.nan, 1.0)}, "finite"),
        ({"ci": (0.9, 0.1)}, "upside down"),
        ({"ci": None}, "none: <reason>"),
        ({"n": 0}, "rests on nothing"),
        ({"p": 1.2}, r"p is 1\.2; a probability lies in \[0, 1\]"),
        ({"q": -0.1}, r"q is -0\.1; a probability"),
        ({"q": 0.1} | UNTESTED, "q without p"),
        ({"test": None}, "p without test"),
        ({"test": ""}, "p without test"),
        ({"p": None}, "a test or a floor without p"),
        ({"p": None, "test": None}, "a test or a floor without p"),
        ({"p": 1 / 202}, "no p below it"),
        ({"p_floor": 0.0}, r"a floor lies in \(0, 1\]"),
        ({"test": "random directions, 200 draws"}, "p and null of the same draws"),
        ({"rows": 0}, "leave rows out"),
        ({"name": "Effect"}, "dotted"),
        ({"where": {"place": 1}}, "its keys are behavior"),
        ({"where": {"arm": True}}, "leave out a key"),
        ({"unit": ""}, "may not be empty"),
        ({"seeds": (0,)}, "one a seed"),
    ],
)
def test_bad_numbers_are_refused(changes: dict[str, Any], message: str):
    """A number without n, interval or sense is no result."""
    with pytest.raises(ResultError, match=message):
        result(**changes)


def test_interval_may_be_missing_with_a_reason():
    """An exact count has no interval, and says so."""
    assert result(ci=None, ci_method="none: exact count").ci is None


@pytest.mark.parametrize("changes", [{"n": 0}, {"low": 2.0}, {"mean": math.nan}])
def test_bad_nulls_are_refused(changes: dict[str, Any]):
    """A null needs draws, finite numbers and ends in order."""
    with pytest.raises(ResultError):
        replace(Null("random directions", 10, 0.5, 0.4, 0.6), **changes)


def test_names_and_places_are_unique(tmp_path: Path):
    """The same name at the same place, keys in any order, is refused."""
    twice = [result(where={"layer": 2, "behavior": "risk"}), result()]
    with pytest.raises(ResultError, match="given twice"):
        check(twice)
    assert len(check([result(), result(where={"layer": 2})])) == 2


def test_reading_what_is_not_there(tmp_path: Path):
    """A folder without results, and a file that is none, are refused with the remedy."""
    with pytest.raises(MissingError, match="finished"):
        read(tmp_path)
    (tmp_path / "results.json").write_text("{")
    with pytest.raises(ResultError, match="--resume"):
        read(tmp_path)


def test_the_least_that_is_a_result(tmp_path: Path):
    """One unit, one draw, ends that meet, a p of 0: all allowed, and read back, with q and without ci."""
    least = result(
        n=1, ci=(0.9, 0.9), null=Null("shuffled labels", 1, 0.5, 0.5, 0.5), p=0.0, q=1.0, p_floor=None
    )
    write([least, result(where={"layer": 3}, ci=None, ci_method="none: exact count")], tmp_path)
    first, second = read(tmp_path)
    assert (first.n, first.ci, first.p, first.q) == (1, (0.9, 0.9), 0.0, 1.0)
    assert (second.ci, second.ci_method) == (None, "none: exact count")
    assert json.loads((tmp_path / "results.json").read_text())[1]["ci"] is None


def test_a_mirrored_null_of_counts():
    """Draws without a sign of their own have both, whatever type they come in."""
    null = Null.of("draws", np.array([1, 2], dtype=np.uint8), mirrored=True)
    assert (null.n, null.mean) == (4, 0.0)
    assert null.low == pytest.approx(-null.high)


@pytest.mark.parametrize(("low", "high"), [(0.5 + 0.8e-9, 0.5), (1e6 + 8e-4, 1e6), (-1e6 + 8e-4, -1e6)])
def test_ends_that_cross_in_their_last_digits_are_turned(low: float, high: float):
    """By no more than 1e-9 of 1 or their size; more than that is a mistake."""
    assert result(ci=(low, high)).ci == (high, low)
    with pytest.raises(ResultError, match="upside down"):
        result(ci=(high + 1.5 * (low - high), high))


def test_the_table_is_the_records(tmp_path: Path):
    """Every column by name and every cell by value; what is not there is an empty cell."""
    results = [
        result(q=0.01, notes="seen", rows=80, p_floor=0.004),
        result(where={"layer": 3}, ci=None, ci_method="none: exact count", null=None, **UNTESTED),
    ]
    write(results, tmp_path)
    text = (tmp_path / "results.csv").read_bytes().decode()
    assert "\r" not in text
    head = "name behavior base arm variant site layer position method kind trigger split value ci_low ci_high"
    tail = "ci_method n rows unit null_kind null_n null_mean null_low null_high p q test p_floor"
    tail += " per_seed seeds notes"
    first, *rows = csv.reader(text.splitlines())
    assert first == f"{head} {tail}".split()
    name = "bridge.transfer.auroc"
    assert rows == [
        [
            name,
            "risk",
            "",
            "",
            "",
            "",
            "2",
            *[""] * 5,
            "0.9",
            "0.8",
            "0.95",
            "t over seeds",
            "40",
            "80",
            "AUROC",
        ]
        + ["shuffled labels", "200", "0.5", "0.4", "0.6", "0.005", "0.01"]
        + ["shuffled labels, 200 draws, one-sided", "0.004", "0.9 0.9", "0 1", "seen"],
        [name, "", "", "", "", "", "3", *[""] * 5, "0.9", "", "", "none: exact count", "40", "", "AUROC"]
        + [*[""] * 9, "0.9 0.9", "0 1", ""],
    ]


def test_a_file_that_holds_no_records(tmp_path: Path):
    """A record that is no object is named by its place."""
    (tmp_path / "results.json").write_text("[{}, 3]")
    with pytest.raises(ResultError, match="record 1 is no object"):
        read(tmp_path / "results.json")
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(ResultError, match="a list of records, not dict"):
        read(tmp_path)


def test_records_of_older_versions_are_read(tmp_path: Path):
    """Without rows, test and floor: the p stands, and says that its test was not recorded."""
    write([result(rows=80), result(where={"layer": 3}, **UNTESTED)], tmp_path)
    path = tmp_path / "results.json"
    old = [
        {k: v for k, v in record.items() if k not in ("rows", "test", "p_floor")}
        for record in json.loads(path.read_text())
    ]
    path.write_text(json.dumps(old))
    first, second = read(tmp_path)
    assert (first.p, first.test, first.p_floor, first.rows) == (0.005, UNTOLD, None, None)
    assert (second.p, second.test) == (None, None)
    path.write_text(json.dumps([{k: v for k, v in old[0].items() if k != "p"}]))
    with pytest.raises(ResultError, match="a record has the keys"):
        read(tmp_path)


def test_csv_says_what_was_tested_and_on_what(tmp_path: Path):
    """Rows, test and floor are columns; empty where there is none."""
    write([result(rows=80), result(where={"layer": 3}, **UNTESTED)], tmp_path)
    first, second = csv.DictReader((tmp_path / "results.csv").read_text().splitlines())
    assert (first["n"], first["rows"]) == ("40", "80")
    assert (first["test"], float(first["p_floor"])) == ("shuffled labels, 200 draws, one-sided", 1 / 201)
    assert [second[key] for key in ("rows", "p", "test", "p_floor")] == [""] * 4


@pytest.mark.parametrize(
    ("changes", "at_floor", "own"),
    [
        ({}, False, True),
        ({"p": 1 / 201}, True, True),
        ({"test": "t over seeds against 0.5", "p_floor": None}, False, False),
        (UNTESTED, False, False),
    ],
)
def test_a_null_is_that_of_p_or_stands_beside(changes: dict[str, Any], at_floor: bool, own: bool):
    """A p of draws is of the null that its test names; a t beside shuffled labels is not theirs."""
    found = result(**changes)
    assert (found.at_floor, found.null_is_of_p) == (at_floor, own)
