"""Mutation testing: which of the small faults that mutmut plants, one at a time, do the fast tests not see?

`python tests/mutation.py` takes every target (minutes each), `python tests/mutation.py results` one. With
`--again` only what survived the last run is tried again, for whoever writes the missing test; `--page` tries
nothing and writes the page from the last run, for whoever writes a reason. It writes `docs/mutants.md` and
exits with 1 where less than nine of ten are killed or a survivor has no reason in `tests/mutants.yaml`.

A mutant is not counted where only a sentence changes: a string that holds a space, or what is raised
behind `raise`. mutmut itself leaves annotations, docstrings, decorated functions (properties) and constants
of a module alone. The control: in every function one mutant that changes nothing must survive, else a test
depends on its order or on a shared random stream, and what it kills says nothing.
"""

import argparse
import ast
import datetime
import difflib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tokenize
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "mutants.md"
REASONS = ROOT / "tests" / "mutants.yaml"
BAR = 0.9
KILLED = {1, 3, 37}
"""Exit codes of mutmut's children: a test failed, pytest broke, refused by types."""
TOOK = "took.txt"
SHAM = "__mutmut_0"
TIMEOUT = {-24, 24, 36, 152, 255, -9}


@dataclass(frozen=True)
class Target:
    """What is mutated, and the fast tests that should see it."""

    package: str
    files: tuple[str, ...]
    tests: tuple[str, ...]


TARGETS = {
    "statistics": Target(
        "probes",
        ("probes/statistics/*.py",),
        (
            "tests/probes/test_statistics.py",
            "tests/probes/test_intervals_by_hand.py",
            "tests/probes/test_ceiling_by_hand.py",
            "tests/probes/test_tests_by_hand.py",
            "tests/mi_bsa/core/test_over_seeds.py",
            "tests/laws/test_planted_numbers.py",
        ),
    ),
    "results": Target(
        "mi_bsa",
        ("mi_bsa/core/results.py",),
        (
            "tests/mi_bsa/core/test_results.py",
            "tests/mi_bsa/core/test_over_seeds.py",
            "tests/laws/test_planted_numbers.py",
        ),
    ),
    "verdict": Target(
        "mi_bsa",
        ("mi_bsa/causal/verdict.py", "mi_bsa/causal/handle.py", "mi_bsa/causal/lines.py"),
        (
            "tests/mi_bsa/causal/test_verdicts.py",
            "tests/mi_bsa/causal/test_verdict_rules.py",
            "tests/mi_bsa/causal/test_lines_of_evidence.py",
        ),
    ),
}

CONFIG = """\
[tool.pytest.ini_options]
pythonpath = ["."]
addopts = ["-p", "shapes", "-p", "no:cacheprovider", "-m", "not slow and not gpu and not pages"]
markers = ["slow: minutes", "gpu: needs an accelerator"]
filterwarnings = ["error"]

[tool.mutmut]
source_paths = [{package!r}]
only_mutate = {files}
also_copy = {others}
do_not_mutate_patterns = ['^\\s*raise ', '^\\s*f?"[^"]* [^"]*",?$']
pytest_add_cli_args_test_selection = {tests}
timeout_multiplier = 5.0
use_git_change_detection = false
track_dependencies = false
use_setproctitle = false
"""

SHAPES = """\
import jaxtyping

jaxtyping.install_import_hook(["activations", "probes", "mi_bsa"], "beartype.beartype")
"""
"""As `--jaxtyping-packages`, which refuses to run twice in one process, as the children of mutmut do."""


@dataclass(frozen=True)
class Mutant:
    """One planted fault, where it stands, and what became of it."""

    file: str
    line: int
    function: str
    was: str
    became: str
    code: int | None

    @property
    def killed(self) -> bool:
        """A test failed, or the time ran out."""
        return self.code in KILLED | TIMEOUT

    @property
    def place(self) -> tuple[str, str, str, str]:
        """What its reason is kept under: everything but the line, which moves."""
        return self.file, self.function, self.was, self.became


def prepare(target: Target, folder: Path) -> None:
    """A folder that mutmut may work in, without a trace in the checkout."""
    folder.mkdir(parents=True, exist_ok=True)
    packages = {"activations", "probes", "mi_bsa"}
    for name in (*packages, "tests", "configs"):
        link = folder / name
        if not link.is_symlink():
            link.symlink_to(ROOT / name, target_is_directory=True)
    (folder / "shapes.py").write_text(SHAPES)
    others = [*sorted(packages - {target.package}), "configs", "shapes.py"]
    text = CONFIG.format(
        package=target.package, files=list(target.files), others=others, tests=list(target.tests)
    )
    (folder / "pyproject.toml").write_text(text)


def run(name: str, *, again: bool = False) -> list[Mutant]:
    """Plant every mutant of a target and test it; `again`: only those that survived the last time."""
    folder = ROOT / "build" / "mutants" / name
    if again:
        prepare(TARGETS[name], folder)
        _mutmut(folder, *(key for _, key, code in _codes(folder) if code not in KILLED | TIMEOUT))
    else:
        shutil.rmtree(folder, ignore_errors=True)
        prepare(TARGETS[name], folder)
        _mutmut(folder, "none.of.them", must="nothing matches")  # generates, and sees which test calls what
        _add_shams(folder)
        began = time.monotonic()
        _mutmut(folder)
        (folder / TOOK).write_text(f"{datetime.date.today()}, {(time.monotonic() - began) / 60:.0f} minutes")
    if broken := [key for _, key, code in _codes(folder) if key.endswith(SHAM) and code in KILLED | TIMEOUT]:
        raise SystemExit(f"tests fail without any fault, so that what they kill says nothing: {broken}")
    return list(read(folder))


def _mutmut(folder: Path, *names: str, must: str = "mutations/second") -> None:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"}
    program = Path(sys.executable).with_name("mutmut")
    done = subprocess.run(
        ["nice", "-n", "10", program, "run", "--max-children", "1", *names],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if must not in done.stdout:
        raise SystemExit(f"mutmut stopped with {done.returncode}:\n{done.stdout[-4000:]}")


def _add_shams(folder: Path) -> None:
    """One mutant a function that changes nothing: a test that kills it would kill anything."""
    for meta in (folder / "mutants").rglob("*.meta"):
        data = json.loads(meta.read_text())
        stems = {key.partition("__mutmut_")[0] for key in data["exit_code_by_key"]}
        data["exit_code_by_key"] |= {stem + SHAM: None for stem in sorted(stems)}
        meta.write_text(json.dumps(data))


def _codes(folder: Path) -> Iterator[tuple[Path, str, int | None]]:
    """(file, name, exit code) of every mutant of a folder."""
    for meta in sorted((folder / "mutants").rglob("*.meta")):
        file = meta.relative_to(folder / "mutants").with_suffix("")
        for key, code in json.loads(meta.read_text())["exit_code_by_key"].items():
            yield file, key, code


def read(folder: Path) -> Iterator[Mutant]:
    """The counted mutants of a folder: those that change more than a sentence."""
    sources: dict[Path, tuple[dict[str, int], dict[str, list[str]]]] = {}
    for file, key, code in _codes(folder):
        if key.endswith(SHAM):
            continue
        if file not in sources:
            sources[file] = (_lines_of(ROOT / file), _functions(folder / "mutants" / file))
        starts, functions = sources[file]
        name = key.rpartition(".")[2]
        stem = name.partition("__mutmut_")[0]
        function = stem.removeprefix("x_") if stem.startswith("x_") else ".".join(stem.split("\u01c1")[1:])
        old, new = functions[f"{stem}__mutmut_orig"], functions[name]
        at, was, became = change(old, new)
        if not is_sentence(was, became):
            yield Mutant(str(file), starts[function] + at, function, was, became, code)


def _lines_of(path: Path) -> dict[str, int]:
    """First line of every function and method."""
    found = {}
    for node in ast.parse(path.read_text()).body:
        inner = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}." if isinstance(node, ast.ClassDef) else ""
        for one in inner:
            if isinstance(one, ast.FunctionDef):
                found[prefix + one.name] = one.lineno
    return found


def _functions(path: Path) -> dict[str, list[str]]:
    """Lines of every function of a mutated file, its own name taken out of the first."""
    text = path.read_text()
    lines = text.splitlines()
    return {
        node.name: [lines[node.lineno - 1].replace(node.name, "_", 1), *lines[node.lineno : node.end_lineno]]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef) and "__mutmut_" in node.name
    }


def change(old: list[str], new: list[str]) -> tuple[int, str, str]:
    """Where two functions differ first, and the words that differ, with three words of context."""
    blocks = [b for b in difflib.SequenceMatcher(None, old, new, False).get_opcodes() if b[0] != "equal"]
    first, last = blocks[0], blocks[-1]
    was, became = old[first[1] : last[2]], new[first[3] : last[4]]
    mine, other = _words(was), _words(became)
    head = 0
    while head < min(len(mine), len(other)) and mine[head].string == other[head].string:
        head += 1
    tail = 0
    while tail < min(len(mine), len(other)) - head and mine[-1 - tail].string == other[-1 - tail].string:
        tail += 1
    line = first[1] + (mine[min(head, len(mine) - 1)].start[0] - 1 if mine else 0)
    return line, _around(was, mine, head, tail), _around(became, other, head, tail)


def _words(lines: list[str]) -> list[tokenize.TokenInfo]:
    """The tokens of some lines."""
    found = []
    try:
        for token in tokenize.generate_tokens(io.StringIO("\n".join(lines)).readline):
            if token.string.strip():
                found.append(token)
    except (tokenize.TokenError, IndentationError):
        pass  # a part of a statement ends in the middle; what came before it was read
    return found


def _around(lines: list[str], words: list[tokenize.TokenInfo], head: int, tail: int) -> str:
    """The text between an equal head and an equal tail, and three words of each."""
    kept = words[max(head - 3, 0) : len(words) - max(tail - 3, 0)]
    if not kept:
        return ""
    (top, left), (bottom, right) = kept[0].start, kept[-1].end
    part = lines[top - 1 : bottom]
    part[-1] = part[-1][:right]
    part[0] = part[0][left:]
    return " ".join(" ".join(part).split())


def is_sentence(was: str, became: str) -> bool:
    """Does nothing change but the letters of a string that holds a space?"""
    pairs = list(zip(_words([was]), _words([became]), strict=False))
    other = [(old, new) for old, new in pairs if old.string != new.string]
    same_length = len(_words([was])) == len(_words([became]))
    strings = all(old.type == new.type == tokenize.STRING and " " in old.string for old, new in other)
    return same_length and bool(other) and strings


def reasons() -> dict[tuple[str, str, str, str], str]:
    """Why each known survivor lives."""
    listed = yaml.safe_load(REASONS.read_text()) if REASONS.exists() else []
    return {
        (group["file"], function, was, became): group["reason"]
        for group in listed
        for function, was, became in group["mutants"]
    }


def section(name: str, mutants: list[Mutant]) -> tuple[str, bool]:
    """The part of the page about one target, and whether it passes."""
    target, known = TARGETS[name], reasons()
    took = (ROOT / "build" / "mutants" / name / TOOK).read_text()
    killed = sum(m.killed for m in mutants)
    late = sum(m.code in TIMEOUT for m in mutants)
    living = [m for m in mutants if not m.killed]
    lines = [
        f"## {name}",
        "",
        f"{killed} of {len(mutants)} killed ({killed / len(mutants):.1%}"
        + (f", {late} by time" if late else "")
        + f"), {len(living)} survive. {took},",
        f"`python tests/mutation.py {name}`; tests: {', '.join(f'`{t}`' for t in target.tests)}.",
        "",
        "| file | mutants | killed |",
        "|---|---|---|",
    ]
    every, dead = Counter(m.file for m in mutants), Counter(m.file for m in mutants if m.killed)
    lines += [
        f"| `{file}` | {n} | {dead[file]} ({dead[file] / n:.0%}) |" for file, n in sorted(every.items())
    ]
    grouped: dict[str, list[Mutant]] = {}
    for one in living:
        grouped.setdefault(known.get(one.place, "NO REASON YET"), []).append(one)
    for reason, group in sorted(grouped.items()):
        lines += ["", f"{len(group)} {'survives' if len(group) == 1 else 'survive'}; {reason}:", ""]
        lines += [f"- `{m.file}:{m.line}` `{_shown(m.was)}` -> `{_shown(m.became)}`" for m in group]
    passes = killed / len(mutants) >= BAR and "NO REASON YET" not in grouped
    return "\n".join(lines) + "\n", passes


def _shown(text: str) -> str:
    return text.replace("`", "'") or " "


def write_page(sections: dict[str, str]) -> None:
    """Put sections into the page; those of other targets stay."""
    old = re.split(r"^(?=## )", PAGE.read_text(), flags=re.MULTILINE)[1:] if PAGE.exists() else []
    kept = {text.split()[1]: text.rstrip() + "\n" for text in old} | sections
    head = re.sub(r"\n(?=\S)", " ", str(__doc__).strip().replace("\n\n", "\0")).replace("\0", "\n\n")
    body = [kept[name] for name in TARGETS if name in kept]
    PAGE.write_text("\n".join([f"# Mutants\n\n{head}\n", *body]))


def main() -> None:
    """Run the targets that are named, write the page, and say how it went."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("targets", nargs="*", default=list(TARGETS), help=", ".join(TARGETS))
    parser.add_argument("--again", action="store_true", help="try only what survived the last run")
    parser.add_argument("--page", action="store_true", help="try nothing, write the page from the last run")
    asked = parser.parse_args()
    if strangers := sorted(set(asked.targets) - set(TARGETS)):
        parser.error(f"unknown target {', '.join(strangers)}; choose among {', '.join(TARGETS)}")
    good = True
    for name in asked.targets:
        folder = ROOT / "build" / "mutants" / name
        text, passes = section(name, list(read(folder)) if asked.page else run(name, again=asked.again))
        write_page({name: text})
        print(text)
        good = good and passes
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
