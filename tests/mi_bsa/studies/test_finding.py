"""The finding's page is what its data says: rendered from it, and a number that is not there stops it."""

import csv
import io
from pathlib import Path

import pytest

from mi_bsa.core.errors import ResultError
from mi_bsa.core.results import Result
from mi_bsa.studies.grid import finding
from mi_bsa.studies.grid.finding import Data, short, to_csv

DOCS = Path(__file__).parents[3] / "docs"
ONE = {"ci_method": "t over bases", "n": 3, "unit": "share of plain's"}
FEW = (
    Result("mixing.over_bases.report_share", {"method": "benign-1"}, 0.384, (0.2, 0.56), **ONE),
    Result("mixing.report_share", {"method": "benign-1", "base": "a"}, -0.0049, (-1.0, 1.234), **ONE),
    Result("mixing.report_share", {"method": "benign-1", "base": "b"}, 1.0, (0.9, 12.34), **ONE),
)


@pytest.fixture(scope="module")
def few():
    """Three results as the data holds them."""
    return Data([*csv.DictReader(io.StringIO(to_csv({"mixing": FEW})))])


def test_the_page_is_what_the_data_says():
    """`docs/finding.md` is rendered from `docs/finding_data.csv`, to the letter."""
    assert finding.page(Data.read(DOCS / finding.DATA)) == (DOCS / finding.PAGE).read_text(encoding="utf-8")


def test_a_changed_number_changes_the_page():
    """What stands in the data stands in the page, and nowhere else in it."""
    data = Data.read(DOCS / finding.DATA)
    name = "mixing.over_bases.report_share"
    changed = [
        {**row, "value": "0.123456"} if row["name"] == name and row["method"] == "benign-1" else row
        for row in data.rows
    ]
    before, after = finding.page(data), finding.page(Data(changed))
    assert before != after
    assert after.count(".12 [") >= 2


def test_every_figure_is_there_and_shown():
    """In the folder of figures, and on the page."""
    page = (DOCS / finding.PAGE).read_text(encoding="utf-8")
    for name in finding.figures():
        assert (DOCS / finding.FIGURES / f"{name}.png").is_file()
        assert f"(figures/{name}.png)" in page


def test_a_page_names_one_result(few):
    """By its whole place; a place that several have, or none, is refused."""
    assert few.ci("mixing.over_bases.report_share", method="benign-1") == ".38 [.20, .56]"
    assert few.ci("mixing.report_share", method="benign-1", base="a") == ".00 [-1.00, 1.23]"
    assert few.ci("mixing.report_share", method="benign-1", base="b") == "1.00 [.90, 12.3]"
    assert few.span("mixing.report_share", method="benign-1") == ".00 to 1.00"
    for where in ({"method": "benign-1"}, {"method": "plain"}):
        with pytest.raises(ResultError, match="give its whole place"):
            few.v("mixing.report_share", **where)


@pytest.mark.parametrize(
    ("number", "told"), [(0.384, ".38"), (-0.05, "-.05"), (-0.001, ".00"), (1.18, "1.18"), (12.34, "12.3")]
)
def test_numbers_are_said_shortly(number, told):
    """Two digits, no zero before the point, no negative zero."""
    assert short(number) == told
