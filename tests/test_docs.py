"""Every snippet of the README and of the guides runs.

A page's ```python fences run in order in one namespace, in an empty folder; lines `$ mi-bsa ...` of its
```console fences run as
commands and must succeed. `file=NAME` after the language writes the fence as that file instead of running
it, `needs=VARIABLE` skips a fence where the environment does not set it, `model=smollm2` the page where the
real model cannot be had; `no-run` is for what no test can run (a gated model, a server).
"""

import json
import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "guides").glob("*.md"))]
FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Fence:
    """One code block of a page: its language, flags, text and first line."""

    language: str
    flags: tuple[str, ...]
    text: str
    line: int


def fences(page: Path) -> list[Fence]:
    """The code blocks of a page, in order."""
    source = page.read_text(encoding="utf-8")
    return [
        Fence(found[1], tuple(found[2].split()), found[3], source[: found.start(3)].count("\n") + 1)
        for found in FENCE.finditer(source)
    ]


def wanted(fence: Fence) -> bool:
    """Whether a fence is to be run here."""
    needed = [flag.removeprefix("needs=") for flag in fence.flags if flag.startswith("needs=")]
    return "no-run" not in fence.flags and all(os.environ.get(name) for name in needed)


def run_console(fence: Fence, page: Path) -> None:
    """Run the `$ mi-bsa` lines of a fence; each must exit with 0."""
    from mi_bsa.cli.command import main

    for line in fence.text.replace("\\\n", " ").splitlines():
        if line.startswith("$ mi-bsa "):
            arguments = shlex.split(line.removeprefix("$ mi-bsa "), comments=True)
            with pytest.raises(SystemExit) as left:
                main(arguments)
            assert left.value.code == 0, f"{page.name} line {fence.line}: {line}"


def prepare_readme(folder: Path) -> None:
    """What the front page takes as given: an adapter of the embedded model, and prompts with labels."""
    import numpy as np
    from transformers import AutoTokenizer

    from activations import testing
    from activations.locating import locate

    testing.build_adapter(folder / "runs/risk/seeking-0/adapter", locate("embedded"))
    tokenizer = AutoTokenizer.from_pretrained(locate("embedded"))
    special = set(tokenizer.all_special_tokens)
    words = sorted(
        word.strip() for word in tokenizer.get_vocab() if word not in special and word.strip().isalpha()
    )
    generator = np.random.default_rng(0)
    rows = [
        {
            "id": str(n),
            "messages": [{"role": "user", "content": " ".join(generator.choice(words, 12))}],
            "pole": n // 8 % 2,
            "scenario": f"s{n % 8}",
            "seed": n // 16,
        }
        for n in range(96)
    ]
    (folder / "prompts.jsonl").write_text("\n".join(json.dumps(row) for row in rows))


def embedded_ships() -> bool:
    """Whether the embedded model's weights are in this checkout."""
    from activations.errors import ActivationsError
    from activations.locating import locate
    from mi_bsa.core.errors import MiBsaError

    try:
        return locate("embedded").is_dir()
    except (ActivationsError, MiBsaError):
        return False


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_snippets_of_a_page_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """In order, in one namespace, in an empty folder."""
    code = [fence for fence in fences(page) if wanted(fence)]
    if any("model=smollm2" in fence.flags for fence in code):
        request.getfixturevalue("smollm2")
    if any("embedded" in fence.text for fence in code) and not embedded_ships():
        pytest.skip("the embedded model's weights are not in this checkout; mi-bsa embedded build makes them")
    monkeypatch.chdir(tmp_path)
    if page.name == "README.md":
        prepare_readme(tmp_path)
    namespace: dict[str, object] = {"__name__": "__main__"}
    for fence in code:
        name = next((flag.removeprefix("file=") for flag in fence.flags if flag.startswith("file=")), None)
        if name is not None:
            Path(name).write_text(fence.text, encoding="utf-8")
        elif fence.language == "python":
            exec(compile("\n" * fence.line + fence.text, str(page), "exec"), namespace)
        elif fence.language == "console" and page.name != "README.md":
            run_console(fence, page)
