"""What the site's builder does to pages on their way: mkdocs.yml names this file.

Fences carry flags for the tests (`file=NAME`, `no-run`, ...), which the Markdown of the site does not read;
a notebook is a page too; the lists of decisions and of notebooks are made of the files that there are.
"""

import json
import re
from pathlib import Path
from typing import Any

FENCE = re.compile(r"^( *```)(\w+) ([^\n`]+)$", re.MULTILINE)


def on_files(files: Any, config: Any, **_: Any) -> Any:
    """A page beside each notebook."""
    from mkdocs.structure.files import File

    for path in _notebooks(Path(config.docs_dir) / "notebooks"):
        title, _, rest = _page(path).partition("\n")
        text = f"{title}\n\n[Run it yourself: {path.name}]({path.name})\n{rest}"
        files.append(File.generated(config, f"notebooks/{path.stem}.md", content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The page as the site reads it."""
    if page.file.src_uri == "decisions/index.md":
        markdown += "\n" + _decisions(Path(page.file.abs_src_path).parent)
    if page.file.src_uri == "notebooks/index.md":
        found = _notebooks(Path(page.file.abs_src_path).parent)
        markdown += "\n" + "".join(f"- [{_title(_page(path))}]({path.stem}.md)\n" for path in found)
    return FENCE.sub(_plain_fence, markdown)


def _plain_fence(found: re.Match[str]) -> str:
    name = next((flag[5:] for flag in found[3].split() if flag.startswith("file=")), None)
    return f"{found[1]}{found[2]}" + ("" if name is None else f' title="{name}"')


def _decisions(folder: Path) -> str:
    lines = []
    for path in sorted(folder.glob("[0-9]*.md")):
        title = re.sub(r"^\d{4}:? ", "", _title(path.read_text(encoding="utf-8")))
        lines.append(f"- [{path.name[:4]}]({path.name}): {title}\n")
    return "".join(lines)


def _notebooks(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.ipynb"))


def _page(notebook: Path) -> str:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    texts = (("".join(cell["source"]), cell["cell_type"]) for cell in cells)
    return "\n\n".join(f"```python\n{text}\n```" if kind == "code" else text for text, kind in texts) + "\n"


def _title(markdown: str) -> str:
    return markdown.partition("\n")[0].removeprefix("#").strip()
