"""`python -m mi_bsa.studies.planted`."""

from __future__ import annotations

import argparse
from pathlib import Path


def main() -> int:
    """Judge planted instances and write their table; exit code 1 where a mark is missed."""
    from mi_bsa.studies.planted import REPORTED, page, runs

    parser = argparse.ArgumentParser(prog="python -m mi_bsa.studies.planted", description=main.__doc__)
    parser.add_argument("--instances", type=int, default=100, help="instances of each world")
    parser.add_argument(
        "--first", type=int, default=REPORTED, help="number of the first; debugging begins at 10000"
    )
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/planted"), help="folder of finished instances"
    )
    parser.add_argument("--share", default="0/1", help="k/n: judge every n-th instance, beginning at k")
    parser.add_argument("--out", type=Path, help="page whose section is written, when all are judged")
    options = parser.parse_args()
    k, n = (int(part) for part in options.share.split("/"))
    runs.run(options.runs, instances=options.instances, share=(k, n), first=options.first)
    found = runs.records(options.runs)
    print(page.render(found))
    if options.out is not None:
        page.write(options.out, found)
    return 0 if page.holds(found) else 1


if __name__ == "__main__":
    raise SystemExit(main())
