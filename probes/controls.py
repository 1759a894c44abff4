"""What a score must be held against: the floors of a probe, on by default.

Each control is one line with AUROC, interval, n and what was done; a control that could not run says why
and never disappears. Shuffled labels are part of every sweep (`probes.shuffles`); here are the others:

control_task     labels drawn at random for each type (scenario) and learnt from rows of the same types;
                 selectivity is the task's accuracy minus the control's (Hewitt and Liang 2019, arXiv
                 1909.03368)
bag_of_words     logistic regression on the words of the prompt, same folds
prompt_length    the number of words alone
embedding        the same probe on the embedding layer
base_model       the same probe on the base model's activations of the same rows
massive_dropped  the same probe without massive dimensions (Sun et al. 2024, arXiv 2402.17762)
unstandardized   the same probe without standardizing, where massive dimensions dominate
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int, Num

from probes.errors import ActivationError, LabelError, ProbesError, SourceError, nearest
from probes.fits import Job, held_out
from probes.joining import differences
from probes.scores import accuracy, auroc
from probes.shared_training import out_of_fold
from probes.source import Cell, as_source, cells_of, read_rows
from probes.splits import Split
from probes.statistics.intervals import Estimate, t_interval
from probes.statistics.spread import is_constant

CONTROLS = (
    "control_task",
    "bag_of_words",
    "prompt_length",
    "embedding",
    "base_model",
    "massive_dropped",
    "unstandardized",
)
MASSIVE = 20.0
"""A dimension is massive where its typical size is this many times the median dimension's; Sun et
al. speak of a thousand times at the tokens where they stand, of which a mean over rows keeps a part."""
VOCABULARY = 5000
"""Words of the bag, the most frequent ones: more than prompts written from templates have, and still one
matrix."""


@dataclass(frozen=True, eq=False)
class Setting:
    """What a control needs to repeat the probe: rows, labels, folds, method."""

    x: Num[np.ndarray, "example d_model"]
    y: Int[np.ndarray, " example"]
    table: pd.DataFrame
    splits: Sequence[Split]
    groups: Sequence[str] | None
    unit: np.ndarray | None
    method: str
    penalty: float | int
    seed: int
    device: str


def cross_validated(
    x: Num[np.ndarray, "example d_feature"], setting: Setting, *, standardize: bool = True
) -> Estimate:
    """AUROC of the setting's method on other features, same folds and units."""
    y, score, unit, fold = _out_of_fold(x, setting, standardize=standardize)
    return out_of_fold(auroc(y, score, units=unit, strata=fold, seed=setting.seed))[0]


def _out_of_fold(
    x: np.ndarray, setting: Setting, *, standardize: bool = True
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray]:
    """Label, score, unit and fold of the rows that a fold tests."""
    y, splits = setting.y, setting.splits
    jobs = [Job(x[s.train], y[s.train][:, None], [x[s.test]]) for s in splits]
    found = held_out(
        setting.method, jobs, penalties=[setting.penalty], standardize=standardize, device=setting.device
    )
    score, fold = np.full(len(y), np.nan), np.full(len(y), -1)
    for k, (s, (values,)) in enumerate(zip(splits, found, strict=True)):
        score[s.test], fold[s.test] = values[0, 0], k
    tested = fold >= 0
    return y[tested], score[tested], None if setting.unit is None else setting.unit[tested], fold[tested]


def massive_dimensions(x: Num[np.ndarray, "example d_model"]) -> Int[np.ndarray, " massive"]:
    """Dimensions whose root mean square is more than 20 times the median one."""
    size = np.sqrt(np.mean(np.asarray(x, dtype=np.float64) ** 2, axis=0))
    return np.flatnonzero(size > MASSIVE * np.median(size))


@dataclass(frozen=True)
class Selectivity:
    """Accuracy of the task (grouped folds), of the control task (folds over rows, types shared), and the
    difference."""

    task: Estimate
    control: Estimate
    selectivity: Estimate
    types: str


def control_task(setting: Setting, *, types: str | None = None, n_draws: int = 20) -> Selectivity:
    """Hewitt and Liang's control task: a random label for each type, so that only memory can solve it.

    Args:
        types: the column whose levels are the types; the group column with the most levels if None.
        n_draws: random labelings; the interval of the control and of selectivity is t over them.

    Raises:
        LabelError: no column whose levels hold several rows.
    """
    names = [types] if types else sorted(setting.groups or [], key=lambda g: -setting.table[g].nunique())
    names = [n for n in names if n in setting.table and setting.table[n].nunique() < len(setting.table)]
    if not names:
        raise LabelError(
            "no column whose levels hold several rows, so a control task has no types; name it with types="
        )
    code = np.unique(setting.table[names[0]].to_numpy(), return_inverse=True)[1]
    levels = int(code.max()) + 1
    if levels < 4:  # three types have three labelings at most, which are no distribution
        raise LabelError(f"{names[0]} has {levels} levels; a control task needs 4 types at least")
    rng = np.random.default_rng(setting.seed)
    n = len(code)
    fold = np.empty(n, dtype=int)
    for level in range(levels):  # rows of one type go to different folds: the control may remember types
        rows = rng.permutation(np.flatnonzero(code == level))
        fold[rows] = np.arange(len(rows)) % 2
    halves = [Split(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in (0, 1)]
    share = setting.y.mean()  # as many types are positive as rows are: the control has the task's majority
    drawn = []
    for _ in range(n_draws):
        of_type = np.zeros(levels, dtype=np.int64)
        of_type[rng.permutation(levels)[: int(np.clip(round(share * levels), 1, levels - 1))]] = 1
        drawn.append(of_type[code])
    targets = np.stack(drawn, axis=1)
    jobs = [Job(setting.x[s.train], targets[s.train], [setting.x[s.test]]) for s in halves]
    found = held_out(setting.method, jobs, penalties=[setting.penalty], device=setting.device)
    hit = np.zeros((n_draws, n))
    for s, (values,) in zip(halves, found, strict=True):
        hit[:, s.test] = (values[0] > 0) == (targets[s.test].T == 1)
    y, score, unit, _ = _out_of_fold(setting.x, setting)
    task = accuracy(y, score, units=unit, seed=setting.seed)
    control = t_interval(hit.mean(axis=1), n=n)
    difference = t_interval(task.value - hit.mean(axis=1), n=n)
    return Selectivity(task, control, difference, names[0])


def run_controls(
    setting: Setting,
    *,
    source: Any = None,
    rows: np.ndarray | None = None,
    cell: str = "",
    base: Any = None,
    text: str = "prompt",
    without: Sequence[str] = (),
) -> pd.DataFrame:
    """All controls of one probe, one line each: control, auroc, low, high, n, units, method, note.

    Args:
        setting: the probe.
        source, rows, cell: where its rows came from, for the embedding layer and the base model.
        base: a source with the same rows from the base model.
        text: the column that holds the prompt.
        without: controls that are switched off, by name.

    Raises:
        SourceError: `without` names no control.
    """
    for name in without:
        if name not in CONTROLS:
            raise SourceError(f"no control {name!r} to switch off; {nearest(name, CONTROLS)}")
    lines = []
    for name in CONTROLS:
        if name in without:
            lines.append({"control": name, "note": "switched off by name"})
            continue
        try:
            lines.append({"control": name, **_one(name, setting, source, rows, cell, base, text)})
        except ProbesError as reason:
            lines.append({"control": name, "note": f"not run: {reason}"})
    columns = ["control", "score", "value", "low", "high", "n", "units", "method", "note"]
    return pd.DataFrame(lines).reindex(columns=columns)


def _one(
    name: str, setting: Setting, source: Any, rows: np.ndarray | None, cell: str, base: Any, text: str
) -> dict[str, Any]:
    note = "same folds, units and penalty as the probe"
    if name == "control_task":
        found = control_task(setting)
        s = found.selectivity
        task, control = found.task.value, found.control.value
        note = f"task accuracy {task:.3f}, control task {control:.3f} on types of {found.types}"
        return _line(replace(s, method="t over labelings"), note, score="selectivity")
    if name in ("bag_of_words", "prompt_length"):
        if text not in setting.table:
            raise SourceError(
                f"the row table has no column {text!r} with the prompt; "
                f"{nearest(text, setting.table.columns)}"
            )
        words = setting.table[text].astype(str)
        features = (
            _bag(words) if name == "bag_of_words" else words.str.split().str.len().to_numpy(float)[:, None]
        )
        # one prompt for all rows gives a probe nothing, and its AUROC is .5 by construction, not by finding
        if is_constant(features, scale=0.0, axis=0).all():
            return _line(None, "all prompts are alike in this respect; nothing can be read from it")
        return _line(cross_validated(features, setting), note)
    if name == "embedding":
        where = _embedding_cell(source)
        if where is None:
            raise SourceError("the source holds neither embed nor resid_pre.0; capture one of them")
        return _line(cross_validated(read_rows(source, where, rows), setting), f"{where}; {note}")
    if name == "base_model":
        if base is None:
            raise SourceError(
                "no base model's activations were given; pass base= (the sibling cache of the base)"
            )
        held = as_source(base, setting.table) if isinstance(base, np.ndarray) else as_source(base)
        differ = differences(source, held)
        if differ:
            raise SourceError(f"the base's cache has another {differ[0]}; capture both alike")
        where = Cell("array") if isinstance(base, np.ndarray) else Cell.parse(cell)
        got = read_rows(held, where, None if isinstance(base, np.ndarray) else rows)
        if len(got) != len(setting.y):
            raise SourceError(
                f"the base has {len(got)} rows, the probe {len(setting.y)}; capture the same prompts"
            )
        return _line(cross_validated(got, setting), note)
    if name == "massive_dropped":
        massive = massive_dimensions(setting.x)
        kept = np.setdiff1d(np.arange(setting.x.shape[1]), massive)
        if not len(massive):
            return _line(
                cross_validated(setting.x, setting), "no massive dimension at this site; equals the probe"
            )
        if not len(kept):
            raise ActivationError("every dimension is massive, which can not be; check the activations")
        return _line(
            cross_validated(setting.x[:, kept], setting), f"without dimensions {massive[:8].tolist()}; {note}"
        )
    return _line(cross_validated(setting.x, setting, standardize=False), note)


def _line(estimate: Estimate | None, note: str, *, score: str = "auroc") -> dict[str, Any]:
    if estimate is None:
        return {"score": score, "value": np.nan, "note": note}
    fields = {name: getattr(estimate, name) for name in ("value", "low", "high", "n", "units", "method")}
    return {"score": score, **fields, "note": note}


def _bag(words: pd.Series) -> np.ndarray:
    from sklearn.feature_extraction.text import CountVectorizer

    try:
        found = CountVectorizer(
            binary=True, max_features=VOCABULARY, token_pattern=r"(?u)\b\w+\b"
        ).fit_transform(words)
    except ValueError as error:
        raise LabelError(f"the prompts hold no words ({error}); name the text column") from error
    return found.toarray().astype(np.float64)


def _embedding_cell(source: Any) -> Cell | None:
    try:
        held = cells_of(source)
    except SourceError:
        return None
    return next((cell for cell in (Cell("embed"), Cell("resid_pre", 0)) if cell in held), None)
