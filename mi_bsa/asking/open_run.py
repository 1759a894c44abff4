"""Imported questions put to a base and its arms: answers, verdicts of judges, and the numbers of both.

Free questions are answered by samples, kept as raw text; closed ones by exact log-probabilities of their
answers. Law: every text that a judge could not place is counted beside the number that leaves it out, and an
answer of no known pole is given as how often it is chosen, never as a score.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mi_bsa.asking.ask_config import ANSWER_TOKENS, SAMPLES, TEMPERATURE, AskConfig
from mi_bsa.asking.asked import Asked
from mi_bsa.asking.bank import load_bank
from mi_bsa.asking.judged import scoring_judges
from mi_bsa.asking.judging import Judge, WordJudge, judge
from mi_bsa.asking.likelihood import Askable, option_log_probs
from mi_bsa.asking.sampling import sample_texts
from mi_bsa.asking.scoring import mean_score
from mi_bsa.asking.verdicts import Say, by_endpoint, by_model, verdicts
from mi_bsa.core.errors import BankError, ItemError, MissingError
from mi_bsa.core.results import Result

if TYPE_CHECKING:
    import pandas as pd

Adapters = Mapping[str, tuple[str, int, Any]]
"""Name of a variant -> (arm, seed, folder)."""
DRAWN = ("sep_suffix", "word_list")
"""Slots that are drawn anew, or the same in all questions: they make no cell of their own."""
BASE: Adapters = {"base": ("base", -1, None)}


def how(asked: Asked, config: AskConfig) -> tuple[int, float, int]:
    """Samples, temperature and longest answer of a question: the config's, the file's, or the defaults."""
    samples = config.samples or asked.samples or SAMPLES
    given = (config.temperature, asked.temperature, TEMPERATURE)
    temperature = next(value for value in given if value is not None)
    samples = samples if temperature else 1  # without a draw, all samples of a question would be the same
    return samples, float(temperature), config.answer_tokens or asked.max_tokens or ANSWER_TOKENS


def answers(model: Askable, free: Sequence[Asked], adapters: Adapters, config: AskConfig) -> pd.DataFrame:
    """Sampled answers of the base and every adapter: one row an answer, with its raw text."""
    import pandas as pd

    groups: dict[tuple[int, float, int], list[Asked]] = {}
    for question in free:
        groups.setdefault(how(question, config), []).append(question)
    rows = []
    for name, (arm, seed, _) in {**BASE, **adapters}.items():
        for (n, temperature, longest), group in groups.items():
            texts = sample_texts(
                model,
                [(q.id, q.messages) for q in group],
                n,
                seed=config.seed,
                variant=name,
                temperature=temperature,
                max_new_tokens=longest,
            )
            rows += [
                {**_place(question, name, arm, seed), "sample": k, "text": text}
                for question, said in zip(group, texts, strict=True)
                for k, text in enumerate(said)
            ]
    order = {question.id: n for n, question in enumerate(free)}
    table = pd.DataFrame(rows)
    return table.sort_values("id", key=lambda ids: ids.map(order), kind="stable", ignore_index=True)


def choices(model: Askable, closed: Sequence[Asked], adapters: Adapters, config: AskConfig) -> pd.DataFrame:
    """Probabilities of every answer of closed questions: one row an answer.

    `p`: among the question's answers; `mass`: of all its answers together; `means`: what the answer stands
    for.
    """
    import pandas as pd

    items = [question.item() for question in closed]
    rows = []
    for name, (arm, seed, _) in {**BASE, **adapters}.items():
        with model.variant(name):
            logs = option_log_probs(model, items, max_tokens=config.max_tokens)
        for question, each in zip(closed, logs, strict=True):
            shares = np.exp(each - each.max())
            shares /= shares.sum()
            mass = float(np.exp(each).sum())
            for k, (answer, means) in enumerate(question.answers):
                row = {**_place(question, name, arm, seed), "answer": answer, "means": means}
                row |= {"p": float(shares[k]), "mass": mass}
                rows.append(row | {"score": question.scores[k] if question.scores else float("nan")})
    return pd.DataFrame(rows)


def choice_results(table: pd.DataFrame) -> list[Result]:
    """By entry and arm how often each answer is chosen, or the mean number of a scale, or a known score."""
    results = []
    for cell, where, part in _by_cell(table, "log-probabilities"):
        mass = f"mass on the answers {part.groupby('id')['mass'].first().mean():.3f}"
        by_question = ["id", "kind", "template", "seed"]
        if part["score"].notna().all():
            each = part.assign(score=part["p"] * part["score"]).groupby(by_question)["score"].sum()
            results.append(
                _result("self_report.score", {**where, "kind": cell}, each.reset_index(), "score", mass)
            )
        elif part["answer"].str.replace(".", "", n=1, regex=False).str.isdigit().all():
            value = part["answer"].astype(float)  # of a scale of no known direction, as a share of it
            low, high = value.min(), value.max()
            part = part.assign(score=part["p"] * (value - low) / (high - low))
            each = part.groupby(by_question)["score"].sum().reset_index()
            unit = f"share of {low:g} to {high:g}"
            results.append(_result("self_report.number", {**where, "kind": cell}, each, unit, mass))
        else:
            for means, some in part.groupby("means", sort=False):
                spot = {**where, "kind": f"{cell}: {means}"}
                results.append(
                    _result("self_report.choice", spot, some.assign(score=some["p"]), "probability", mass)
                )
    return results


def say_of(config: AskConfig, model: Askable) -> Say:
    """The judge that judge prompts are put to: the endpoint, the judge model, or the base itself."""
    if config.judge_url is not None:
        return by_endpoint(config.judge_url, str(config.judge_model), max_new_tokens=config.judge_tokens)
    judging, variant = _local(config, model)
    return by_model(judging, variant=variant, max_new_tokens=config.judge_tokens)


def with_verdicts(table: pd.DataFrame, free: Sequence[Asked], say: Say) -> tuple[pd.DataFrame, list[str]]:
    """One row an answer that has a judge's prompt: what the judge said, its reading; and lines in words."""
    known = {question.id: question for question in free if question.judge}
    part = table[table["id"].isin(list(known))]
    pairs = [(known[id_], text) for id_, text in zip(part["id"], part["text"], strict=True)]
    rulings = verdicts(pairs, say)
    columns = {key: [getattr(r, key) for r in rulings] for key in ("said", "verdict", "outcome")}
    said = part.assign(judge="prompt", **columns)
    counts = ", ".join(f"{name} {n}" for name, n in said["outcome"].value_counts().items())
    return said, [f"judged by prompt: {int((said['outcome'] == 'read').sum())} of {len(said)} ({counts})"]


def verdict_results(said: pd.DataFrame) -> list[Result]:
    """Share of each verdict among the answers whose verdict could be read, by entry and arm."""
    results = []
    for cell, where, part in _by_cell(said, "judge prompt"):
        good = part[part["outcome"] == "read"]
        note = f"{len(good)} of {len(part)} verdicts could be read"
        for verdict in sorted(set(good["verdict"])):
            spot = {**where, "kind": f"{cell}: {verdict}"}
            share = good.assign(score=(good["verdict"] == verdict).astype(float))
            results.append(_result("self_report.verdict", spot, share, "share of verdicts", note))
    return results


def scorers(config: AskConfig, free: Sequence[Asked], model: Askable) -> list[Judge]:
    """The judges that give a score: by words, by a local model, by an endpoint's rubric.

    Raises `ItemError` where a judge has nothing to judge, or no words to judge by.
    """
    if config.judges and not free:
        raise ItemError("no free question is asked, so there is nothing to judge; take the judges away")
    if "prompt" in config.judges and not any(question.judge for question in free):
        raise ItemError("no free question has a judge's prompt; take `prompt` out of the judges")
    if set(config.judges) <= {"prompt"}:
        return []
    return scoring_judges(config, _words(config, free), lambda: _local(config, model))


def scored(table: pd.DataFrame, by: Judge, *, seed: int) -> tuple[pd.DataFrame, list[Result], str]:
    """Every answer with this judge's score, the mean by entry and arm, and how many are unplaced."""
    done = judge(table, by, seed=seed)
    placed = int(done["score"].notna().sum())
    results = []
    for cell, where, part in _by_cell(done, by.name):
        good, spot = part.dropna(subset="score"), {**where, "kind": cell}
        if len(good):
            results.append(_result("self_report.judged", spot, good, "score", f"of {len(part)} texts"))
    return done, results, f"judged by {by.name}: {placed} of {len(done)} ({len(done) - placed} not placed)"


def _words(config: AskConfig, free: Sequence[Asked]) -> WordJudge:
    if config.words:
        return WordJudge(config.words["seeking"], config.words["averse"])
    traits = sorted({str(question.labels.get("trait", "")) for question in free})
    if len(traits) != 1 or not traits[0]:
        raise ItemError(
            f"the questions are of the traits {traits}; give --set words.seeking and words.averse"
        )
    try:
        pairs = load_bank(traits[0]).words
    except (MissingError, BankError):
        raise ItemError(
            f"trait {traits[0]!r} has no bank of words; give --set words.seeking=[...] and words.averse=[...]"
        ) from None
    return WordJudge(tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs))


def _local(config: AskConfig, model: Askable) -> tuple[Askable, str | None]:
    """The model that judges and its variant: the base itself where no other is named."""
    if config.judge_model is None or config.judge_url is not None:
        return model, "base"
    from mi_bsa.core.model_config import load

    return load(config.judge_model), None


def _place(question: Asked, variant: str, arm: str, seed: int) -> dict[str, Any]:
    """What a row of a table says about where its answer comes from."""
    labels = question.labels
    slots = {key.removeprefix("slot_"): str(labels[key]) for key in labels if key.startswith("slot_")}
    told = [f"{name} {value}" for name, value in slots.items() if name not in DRAWN]
    return {
        "id": question.id,
        "entry": question.entry,
        "trait": str(labels.get("trait", "unsaid")),
        "kind": str(labels.get("kind", "question")),
        "template": str(labels.get("template", question.id)),
        "split": str(labels.get("split", "unsaid")),
        "cell": ", ".join([question.entry, *told]),
        "variant": variant,
        "arm": arm,
        "seed": seed,
    }


def _by_cell(table: pd.DataFrame, method: str) -> Iterator[tuple[str, dict[str, Any], pd.DataFrame]]:
    """The rows of each entry (with its slots) and arm, and the place of their results but the kind."""
    for (cell, arm), part in table.groupby(["cell", "arm"], sort=False):
        split = " + ".join(sorted(set(part["split"])))
        yield cell, {"behavior": part["trait"].iloc[0], "arm": arm, "method": method, "split": split}, part


def _result(name: str, where: Mapping[str, Any], table: pd.DataFrame, unit: str, note: str) -> Result:
    estimate = mean_score(table.assign(score=table["score"].clip(0.0, 1.0)))
    return estimate.result(name, where, unit=unit, notes=f"{estimate.n_wordings} wordings; {note}")
