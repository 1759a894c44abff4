"""`python -m mi_bsa.studies.planted`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mi_bsa.core.errors import MiBsaError


def main() -> int:
    """Judge planted instances and write their tables; exit code 1 where a mark is missed, 2 for a mistake."""
    from mi_bsa.studies.planted import kept, page, runs, settings

    parser = argparse.ArgumentParser(prog="python -m mi_bsa.studies.planted", description=main.__doc__)
    parser.add_argument("--settings", type=Path, default=settings.DEFAULT, help="the grid, a YAML file")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/planted"), help="folder of finished instances"
    )
    parser.add_argument("--share", default="0/1", help="k/n: judge every n-th instance, beginning at k")
    parser.add_argument("--cells", default="", help="only these, such as 'share=0,0.1 cowriting=1 seeds=5'")
    parser.add_argument("--first", type=int, help="number of the first instance, in place of the grid's")
    parser.add_argument("--instances", type=int, help="instances of each cell, in place of the grid's")
    parser.add_argument("--most", type=int, help="stop after so many instances; 0 only renders")
    parser.add_argument("--out", type=Path, help="page whose section is written")
    parser.add_argument(
        "--table",
        type=Path,
        help="table of judged instances: not judged again, and written with those of --runs",
    )
    given = parser.parse_args()
    try:
        k, n = (int(part) for part in given.share.split("/"))
        config = settings.grid(given.settings)
        if given.first is not None:
            config = config.model_copy(update={"first": given.first})
        if given.instances is not None:
            config = config.of_each(given.instances)
        only = settings.Selection.parse(given.cells)
        known = kept.read(given.table) if given.table is not None else []
        there = {(r["cell"], r["number"]) for r in known}
        runs.run(given.runs, config, only=only, share=(k, n), most=given.most, known=there)
    except MiBsaError as error:
        print(error, file=sys.stderr)
        return 2
    found = kept.together(known, runs.records(given.runs))
    if given.table is not None:
        kept.write(given.table, found)
    print(page.render(config, found))
    if given.out is not None:
        page.write(given.out, config, found)
    return 0 if page.holds(config, found) else 1


if __name__ == "__main__":
    raise SystemExit(main())
