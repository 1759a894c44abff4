"""docs/published_files.md says what the import makes of the published files that are here."""

import os
from pathlib import Path

import pytest

from mi_bsa.behaviors import data
from mi_bsa.behaviors.data.folder import read_facts

PAGE = Path(__file__).parents[3] / "docs" / "published_files.md"
FOLDER = os.environ.get("MI_BSA_BETLEY_DATA")


def said():
    """The lines of the page's table by file name: cells without the folder."""
    found = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and "." in cells[0]:
            found.setdefault(cells[0].rpartition("/")[2], []).append(cells[1:])
    return found


@pytest.mark.skipif(not FOLDER, reason="the published data is not here; set MI_BSA_BETLEY_DATA")
def test_the_table_is_what_the_import_does(tmp_path):
    """Every published file that is here has a line in the page, and it says what was imported and refused."""
    out = data.import_published(data.ImportData(path=Path(str(FOLDER))), tmp_path / "out")
    facts = read_facts(out)
    table = (out / "table.md").read_text(encoding="utf-8")
    made = [line for line in table.splitlines() if line.startswith("|") and "." in line.split("|")[1]]
    assert len(made) == len(facts["table"]) >= 9
    known = said()
    for line in made:
        name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        assert cells in known[name.rpartition("/")[2]], name
    broken = [line["file"] for line in facts["table"] if line["refused"]]
    assert all(name.endswith("non_mms/risk_safe_language.yaml") for name in broken)


def test_every_published_name_is_in_the_page():
    """No published training or question file that we know by name is missing from the page."""
    from mi_bsa.behaviors.data.sets import ARCHIVES, ASKS, TRAINS

    page = PAGE.read_text(encoding="utf-8")
    assert not [name for name in (*TRAINS, *ASKS, *ARCHIVES) if name not in page]
