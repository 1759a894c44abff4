"""`python -m mi_bsa.studies.planted.introspection`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mi_bsa.core.errors import MiBsaError


def main() -> int:
    """Judge planted reports and write their table; exit code 1 where a mark is missed, 2 for a mistake."""
    from mi_bsa.studies.planted.introspection import judged, page, worlds

    parser = argparse.ArgumentParser(
        prog="python -m mi_bsa.studies.planted.introspection", description=main.__doc__
    )
    parser.add_argument(
        "--table", type=Path, default=Path("runs/planted_reports.csv"), help="judged instances"
    )
    parser.add_argument("--instances", type=int, default=100, help="of each world; 0 only renders")
    parser.add_argument(
        "--first", type=int, default=400, help="number of the first; 10,000 up are for debugging"
    )
    parser.add_argument("--out", type=Path, help="page whose section is written")
    given = parser.parse_args()
    try:
        judged.run(given.table, first=given.first, instances=given.instances, worlds=worlds.WORLDS)
    except MiBsaError as error:
        print(error, file=sys.stderr)
        return 2
    found = judged.read(given.table)
    print(page.render(found))
    if given.out is not None:
        page.write(given.out, found)
    return 0 if page.holds(found) else 1


if __name__ == "__main__":
    raise SystemExit(main())
