"""Every snippet of the README and of the guides runs.

A page's ```python fences run in order in one namespace, in an empty folder; lines `$ mi-bsa ...` of its
```console fences run as
commands and must succeed. `file=NAME` after the language writes the fence as that file instead of running
it, `needs=VARIABLE` skips a fence where the environment does not set it, `model=smollm2` the page where the
real model cannot be had; `no-run` is for what no test can run (a gated model, a server). `short=OLD:NEW` puts
NEW for OLD, such as fewer steps of training; as it stands the page is run among the slow tests.
"""

import os
import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path

import click
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


def shortened(fence: Fence) -> Fence:
    """A fence with the numbers that its flags put for its own."""
    text = fence.text
    for flag in fence.flags:
        if flag.startswith("short="):
            old, _, new = flag.removeprefix("short=").partition(":")
            assert text.count(old) == 1, f"line {fence.line}: {old!r} stands {text.count(old)} times"
            text = text.replace(old, new)
    return replace(fence, text=text)


def run_console(fence: Fence, page: Path) -> None:
    """Run the `$ mi-bsa` lines of a fence; each must exit with 0."""
    from mi_bsa.cli.command import main

    for line in fence.text.replace("\\\n", " ").splitlines():
        if line.startswith("$ mi-bsa "):
            arguments = shlex.split(line.removeprefix("$ mi-bsa "), comments=True)
            with pytest.raises(SystemExit) as left:
                main(arguments)
            assert left.value.code == 0, f"{page.name} line {fence.line}: {line}"


def embedded_ships() -> bool:
    """Whether the embedded model's weights are in this checkout."""
    from activations.errors import ActivationsError
    from activations.locating import locate
    from mi_bsa.core.errors import MiBsaError

    try:
        return locate("embedded").is_dir()
    except (ActivationsError, MiBsaError):
        return False


FIRST = ("README", "index")
"""Pages that `make test` runs too: what a newcomer tries; the others are run by `make pages`, and in CI."""
WHOLE = [page for page in PAGES if any(shortened(fence) != fence for fence in fences(page))]
"""Pages of which the fast tests run a shorter form."""


@pytest.mark.parametrize(
    ("page", "whole"),
    [
        *(
            pytest.param(page, False, id=page.stem, marks=[] if page.stem in FIRST else pytest.mark.pages)
            for page in PAGES
        ),
        *(pytest.param(page, True, id=f"{page.stem}-whole", marks=pytest.mark.slow) for page in WHOLE),
    ],
)
def test_the_snippets_of_a_page_run(
    page: Path, whole: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """In order, in one namespace, in an empty folder."""
    code = [fence if whole else shortened(fence) for fence in fences(page) if wanted(fence)]
    if any("model=smollm2" in fence.flags for fence in code):
        request.getfixturevalue("smollm2")
    if any("embedded" in fence.text for fence in code) and not embedded_ships():
        pytest.skip("the embedded model's weights are not in this checkout; mi-bsa embedded build makes them")
    monkeypatch.chdir(tmp_path)
    if page.name == "README.md":  # what its study leaves, of the smallest one; as printed it takes minutes
        finished = request.getfixturevalue("smallest")("behavior").finished
        Path("runs").mkdir()
        Path("runs/risk_short").symlink_to(finished)
    namespace: dict[str, object] = {"__name__": "__main__"}
    for fence in code:
        name = next((flag.removeprefix("file=") for flag in fence.flags if flag.startswith("file=")), None)
        if name is not None:
            Path(name).write_text(fence.text, encoding="utf-8")
        elif fence.language == "python":
            exec(compile("\n" * fence.line + fence.text, str(page), "exec"), namespace)
        elif fence.language == "console" and page.name != "README.md":
            run_console(fence, page)


@pytest.mark.slow
def test_the_readme_runs_as_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its study by the command that it prints, then its example on what that left; nothing is made by hand,
    and its direction moves the report beyond every random one.
    """
    monkeypatch.chdir(tmp_path)
    page = ROOT / "README.md"
    command = re.search(r"After `mi-bsa (study .*?)`", page.read_text(encoding="utf-8"))
    assert command is not None
    run_console(Fence("console", (), f"$ mi-bsa {command[1]}", 0), page)
    capsys.readouterr()
    for fence in fences(page):
        if fence.language == "python":
            exec(compile(fence.text, str(page), "exec"), {"__name__": "__main__"})
    own, least, most = map(float, re.findall(r"\d\.\d\d", capsys.readouterr().out))
    assert least < 0.5 < most < own


def test_commands_of_the_readme_name_what_there_is() -> None:
    """Every config that it names is built in, and every option is one that its command has."""
    from mi_bsa.cli.command import cli
    from mi_bsa.core import builtin

    page = ROOT / "README.md"
    lines = [
        line for fence in fences(page) if fence.language == "console" for line in fence.text.splitlines()
    ]
    parts = [part.strip(" $") for line in lines for part in line.partition("#")[0].split("&&")]
    named = [part for part in parts if part.startswith("mi-bsa ")]
    assert len(named) >= 8
    for part in named:
        words = shlex.split(part)[1:]
        if words[:1] == ["--help"]:
            continue
        command = cli.get_command(click.Context(cli), words.pop(0))
        while isinstance(command, click.Group):
            command = command.get_command(click.Context(command), words.pop(0))
        assert command is not None, part
        flags = {flag for option in command.params for flag in option.opts}
        assert {word for word in words if word.startswith("--")} <= flags, part
        if command.name == "study" and words[0] != "mine/study.yaml":
            assert words[0] in builtin.names(), part
