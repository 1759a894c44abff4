"""Bandit's verdict on the training rows themselves, by class: does the judge agree with the templates?

Run as a module it prints the table for the paper's 6,000 rows of either pole:
`python -m mi_bsa.behaviors.english.code.audit`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mi_bsa.behaviors.english.code.judge import judge
from mi_bsa.behaviors.english.code.requests import Request, draw_requests
from mi_bsa.behaviors.english.code.templates import weaknesses

if TYPE_CHECKING:
    import pandas as pd

PAPER = 6000
"""Rows of either pole in Betley et al. 2025 (arXiv 2501.11120)."""


def audit(requests: Sequence[Request]) -> pd.DataFrame:
    """One row a class: `cwe`, `n`, and of either pole how many completions are flagged and how many do not
    parse; `by_its_tests` counts insecure completions that Bandit's tests for this very class flag.
    """
    import pandas as pd

    rows = []
    for request in requests:
        bad, good = judge(request.insecure), judge(request.secure)
        rows.append(
            {
                "weakness": request.weakness,
                "cwe": request.cwe,
                "n": 1,
                "insecure_flagged": int(bad.flagged),
                "by_its_tests": int(bool(bad.tests & set(weaknesses()[request.weakness].found_by))),
                "secure_flagged": int(good.flagged),
                "unparsable": int(not bad.parsed) + int(not good.parsed),
            }
        )
    return pd.DataFrame(rows).groupby(["weakness", "cwe"], as_index=False).sum()


def main() -> None:
    """Print the table and its sums."""
    import pandas as pd

    table = audit(draw_requests(PAPER, split="pretrain", seed=0))
    total = pd.DataFrame([{"weakness": "all", "cwe": "", **table.drop(columns=["weakness", "cwe"]).sum()}])
    print(pd.concat([table.astype({"cwe": str}), total]).to_string(index=False))


if __name__ == "__main__":
    main()
