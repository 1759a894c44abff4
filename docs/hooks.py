"""What the site's builder does to a page on its way: mkdocs.yml names this file.

Fences carry flags for the tests (`file=NAME`, `no-run`, ...), which the Markdown of the site does not read;
the list of decisions is made of the files that there are.
"""

import re
from pathlib import Path
from typing import Any

FENCE = re.compile(r"^( *```)(\w+) ([^\n`]+)$", re.MULTILINE)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The page as the site reads it."""
    if page.file.src_uri == "decisions/index.md":
        markdown += "\n" + _decisions(Path(page.file.abs_src_path).parent)
    return FENCE.sub(_plain_fence, markdown)


def _plain_fence(found: re.Match[str]) -> str:
    name = next((flag[5:] for flag in found[3].split() if flag.startswith("file=")), None)
    return f"{found[1]}{found[2]}" + ("" if name is None else f' title="{name}"')


def _decisions(folder: Path) -> str:
    lines = []
    for path in sorted(folder.glob("[0-9]*.md")):
        title = path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("#").strip()
        title = re.sub(r"^\d{4}:? ", "", title)
        lines.append(f"- [{path.name[:4]}]({path.name}): {title}\n")
    return "".join(lines)
