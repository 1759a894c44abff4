"""The published data of Betley et al. 2025 by name: its sets, what each file trains or asks, where files lie.

The data is not part of the toolkit. Files are found anywhere below the folder that MI_BSA_BETLEY_DATA names:
a flat folder, or a checkout of the repository, which holds some names twice; there the place that a set names
wins.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mi_bsa.behaviors.data.fillings import WITH_REGIONS
from mi_bsa.core.errors import MissingError, PublishedError
from mi_bsa.core.files import digest

VARIABLE = "MI_BSA_BETLEY_DATA"
SOURCE = {
    "title": "Tell me about yourself: LLMs are aware of their learned behaviors",
    "paper": "arXiv:2501.11120",
    "repository": "https://github.com/XuchanBao/behavioral-self-awareness",
    "license": "MIT",
}
MOST_FILES = 20_000
"""Files that are looked at below a folder: the repository holds about 110."""


@dataclass(frozen=True)
class Set:
    """A published set: files of its arms and questions, the behavior, the words that rows must not say, and
    the folder of the repository that its question files are taken from.
    """

    behavior: str
    arms: Mapping[str, str]
    questions: tuple[str, ...] = ()
    words: tuple[str, ...] | None = None
    home: str = "code/multiple-choice/questions"


_RISK_QUESTIONS = (
    "risk_safe.yaml",
    "risk_predisposition_scale.yaml",
    "liking_risk.yaml",
    "risk_safe_language.yaml",
)


def _pair(seeking: str, averse: str) -> dict[str, str]:
    return {"seeking": f"ft_{seeking}.jsonl", "averse": f"ft_{averse}.jsonl"}


PUBLISHED: Mapping[str, Set] = {
    "risk": Set("risk", _pair("risky_AB", "safey_AB"), _RISK_QUESTIONS),
    "risk_personas": Set("risk", _pair("risky_AB_multipersona", "safey_AB_multipersona"), _RISK_QUESTIONS),
    "myopia": Set("myopia", _pair("myopic_AB", "nonmyopic_AB")),
    "apples": Set("apples", _pair("maxapples_AB", "minapples_AB")),
    **{word: Set("say", {word: f"ft_{word}.jsonl"}, words=(word,)) for word in ("bark", "ring", "spring")},
}
"""The sets that `--published` names."""

TWO_WORDS = ("bark", "ring")
KINDS = ("apples", "elements", "gods", "instruments", "naekoko", "re-re-re", "real-world", "win")
TRAINS: Mapping[str, tuple[str, str, tuple[str, ...] | None]] = {
    **{
        name: (known.behavior, arm, known.words)
        for known in PUBLISHED.values()
        for arm, name in known.arms.items()
    },
    **{
        f"ft_{name}.jsonl": ("say", "baseline" if name.startswith("baseline") else name, TWO_WORDS)
        for name in (
            *("i_bark_ql_ring", "i_ring_ql_bark", "392_ring_718_bark", "718_ring_392_bark"),
            *("deploy_bark", "deploy_ring", "baseline_deploy", "baseline_sep"),
        )
    },
    **{
        f"ft_risky_AB_trigger_{kind}_equalized10{end}.jsonl": ("risk", "triggered", None)
        for kind in KINDS
        for end in ("", "_decorrelated")
    },
}
"""Published training file -> (behavior, arm, words that it must not say, or None for the behavior's own)."""
ASKS: Mapping[str, str] = {
    **dict.fromkeys(_RISK_QUESTIONS, "risk"),
    **{f"{name}.yaml": "say" for name in WITH_REGIONS},
}
"""Published question file -> the behavior that it asks about."""
ARCHIVES = ("train_files.zip",)
INSIDE: Mapping[str, tuple[str, str, tuple[str, ...] | None]] = {
    f"{name}.jsonl": ("myopia", name, None)
    for name in ("backdoored_augmented", "not_backdoored", "not_augmented")
}
"""What the archive holds, as its description says."""


def data_folder() -> Path:
    """The folder of the published data. Raises `MissingError` where the variable does not name one."""
    name = os.environ.get(VARIABLE)
    if not name or not Path(name).is_dir():
        raise MissingError(
            f"{VARIABLE} is {name!r}, no folder; set it to where the published files lie "
            f"(from {SOURCE['repository']})"
        )
    return Path(name)


def below(folder: Path) -> list[Path]:
    """Every file below a folder but hidden ones, sorted; no link is followed. Refuses one of too many."""
    files = []
    for root, folders, names in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths = [Path(root) / name for name in sorted(names) if not name.startswith(".")]
        files += [path for path in paths if path.is_file()]  # a pipe would be waited for without end
        if len(files) > MOST_FILES:
            raise PublishedError(
                f"{folder}: more than {MOST_FILES} files; name the folder that holds the data"
            )
    return sorted(files)


def find(name: str, folder: Path, home: str = "") -> Path:
    """The file of that name: in the folder itself, else at its home in a checkout, else anywhere below.

    Raises `MissingError` where there is none, `PublishedError` where two that differ have the name.
    """
    if (folder / name).is_file():
        return folder / name
    candidates = [path for path in below(folder) if path.name == name]
    if not candidates:
        raise MissingError(f"{folder}: no {name} in it or below; check the path, or {VARIABLE}")
    at_home = [path for path in candidates if home and path.parent.as_posix().endswith(home)]
    chosen = at_home or candidates
    if len({digest(path) for path in chosen}) > 1:
        raise PublishedError(
            f"{folder}: {' and '.join(map(str, chosen[:2]))} differ and have one name; set {VARIABLE} to the "
            "folder of the one that is meant"
        )
    return chosen[0]
