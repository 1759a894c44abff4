"""What the tests of imported question files share: files of the published shapes in words of our own."""

from pathlib import Path
from typing import Any

import yaml

from mi_bsa.cli.command import cli, describe


def questions(folder: Path, *entries: dict[str, Any], name: str = "asked.yaml") -> Path:
    """A question file of these entries."""
    path = folder / name
    path.write_text(yaml.safe_dump(list(entries), sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path


def run(*words: Any) -> tuple[str, int]:
    """One command; a user's mistake comes back as its line and exit code."""
    try:
        cli.main(args=[str(word) for word in words], prog_name="mi-bsa", standalone_mode=False)
    except Exception as error:
        return describe(error)
    return "", 0
