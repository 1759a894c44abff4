"""What `--help` says of every command, written down: help comes at once, and imports no config.

Flags are made of the fields of configs, and those stand on pydantic, which alone takes longer to import than
a reader should wait for help. So their words are kept in helps.txt (`docs_helps`), at the width that they
have on a terminal of 80 columns or more; on a narrower one the command itself says them.

The law it keeps: the file says what the commands say; a test holds it current.
"""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

FILE = Path(__file__).with_name("helps.txt")
COLUMNS = 80
"""A terminal's, from which on help has its full width."""
HEAD = re.compile(r"^== mi-bsa (.+)\n", re.MULTILINE)


def kept(arguments: Sequence[str]) -> str | None:
    """The help that these arguments ask for; None where they ask for more, or for what is not kept.

    `arguments`: of `mi-bsa`, such as `["backdoor", "search", "--help"]`.
    """
    *names, last = arguments or [""]
    if last not in ("-h", "--help") or shutil.get_terminal_size().columns < COLUMNS or not FILE.is_file():
        return None
    _, *parts = HEAD.split(FILE.read_text(encoding="utf-8"))
    return dict(zip(parts[::2], parts[1::2], strict=True)).get(" ".join(names))
