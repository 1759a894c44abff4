"""`mi-bsa ask`: put imported questions to a base and its finetuned arms, and have the answers judged."""

from pathlib import Path
from typing import Any

import click

from mi_bsa.asking.ask_config import AskConfig
from mi_bsa.cli.options import config_options, run_options

SHOWN = 12
"""Results that are printed; all of them stand in results.json."""


@click.command()
@config_options(AskConfig, positional="questions", names={"judges": "--judge"})
@run_options
def ask(settings: AskConfig, out: Path, resume: bool, dry_run: bool) -> None:
    """Ask QUESTIONS: free_form.jsonl, closed.jsonl or items.jsonl, as `mi-bsa data import` writes them.

    Free questions are sampled, closed ones scored by log-probabilities. OUT gets answers.jsonl (one row a
    sampled answer, its raw text), choices.jsonl (one row an answer of a closed question), judged.jsonl (one
    row a text and judge) and results.json.
    """
    from mi_bsa.asking.asked import read_asked
    from mi_bsa.asking.battery import adapters_of

    asked = read_asked(settings.questions)
    adapters = adapters_of(settings)
    if dry_run:
        click.echo(_described(settings, asked, adapters))
        return
    _run(settings, out, resume, asked, adapters)


def _described(settings: AskConfig, asked: list[Any], adapters: dict[str, Any]) -> str:
    """What would be asked, of whom, and a question of every kind."""
    from mi_bsa.asking.open_run import how
    from mi_bsa.core.shape import shape_of
    from mi_bsa.finetune import preflight

    preflight.check(settings, dry=True)
    paths = {name: path for name, (_, _, path) in adapters.items()}
    tried = preflight.try_model(settings.model.model_copy(update={"adapters": paths}))
    if preflight.is_here(settings.model):
        preflight.encode_prompts(settings.model, [question.messages for question in asked])
    free = [question for question in asked if not question.answers]
    texts = sum(how(question, settings)[0] for question in free)
    shape = shape_of(settings.model)
    lines = [
        f"{len(free)} free questions ({texts} samples) and {len(asked) - len(free)} closed ones x "
        f"{1 + len(adapters)} variants; judged by {', '.join(settings.judges) or 'nobody'}",
        f"{settings.model}: {shape.parameters():,} parameters; {shape}",
        *filter(None, [shape.absent(), tried]),
    ]
    for kind in sorted({str(question.labels.get("kind", "question")) for question in asked}):
        first = next(q for q in asked if str(q.labels.get("kind", "question")) == kind)
        answers = " | ".join(answer for answer, _ in first.answers) or "(free)"
        lines.append(f"-- {kind}: {first.text} -> {answers}")
    return "\n".join(lines)


def _run(settings: AskConfig, out: Path, resume: bool, asked: list[Any], adapters: dict[str, Any]) -> None:
    import pandas as pd

    from mi_bsa.asking import open_run
    from mi_bsa.core import record, results
    from mi_bsa.core.model_config import facts
    from mi_bsa.finetune import preflight

    free = [question for question in asked if not question.answers]
    closed = [question for question in asked if question.answers]
    paths = {name: path for name, (_, _, path) in adapters.items()}
    seeds = sorted({seed for _, seed, _ in adapters.values()}) or [settings.seed]
    model = preflight.ready(settings, out, resume=resume, adapters=paths)
    judges = open_run.scorers(settings, free, model)
    with record.start(out, config=settings, resume=resume, seeds=seeds, revisions=facts(model)) as run:
        found: list[Any] = []
        if closed:
            table = open_run.choices(model, closed, adapters, settings)
            _write(table, run.path / "choices.jsonl")
            found += open_run.choice_results(table)
            click.echo(f"{len(closed)} closed questions; mass on their answers {table['mass'].mean():.3f}")
        if free:
            texts = open_run.answers(model, free, adapters, settings)
            _write(texts, run.path / "answers.jsonl")
            empty = int((texts["text"].str.strip() == "").sum())
            click.echo(f"{len(texts)} answers of {len(free)} free questions, {empty} empty")
            judged = []
            for by in judges:
                done, more, line = open_run.scored(texts, by, seed=settings.seed)
                judged.append(done)
                found += more
                click.echo(line)
            if "prompt" in settings.judges:
                said, lines = open_run.with_verdicts(texts, free, open_run.say_of(settings, model))
                judged.append(said)
                found += open_run.verdict_results(said)
                click.echo("\n".join(lines))
            if judged:
                _write(pd.concat(judged, ignore_index=True), run.path / "judged.jsonl")
        results.write(found, run.path)
        for result in found[:SHOWN]:
            click.echo(_line(result))
        if len(found) > SHOWN:
            click.echo(f"... and {len(found) - SHOWN} more in results.json")
        click.echo(f"written to {run.path}")


def _write(table: Any, path: Path) -> None:
    """One JSON object a row: raw texts hold carriage returns and quotes, on which tables of commas break."""
    table.to_json(path, orient="records", lines=True, force_ascii=False)


def _line(result: Any) -> str:
    where = result.where
    interval = f"no interval ({result.ci_method.removeprefix('none: ')})"
    if result.ci is not None:
        interval = f"[{result.ci[0]:.3f}, {result.ci[1]:.3f}]"
    kind = str(where["kind"])
    kind = kind if len(kind) <= 60 else f"{kind[:57]}..."
    number = f"{result.value:.3f} {interval}, n = {result.counted}"
    return f"{result.name} {where['arm']} {kind}: {number} ({result.notes})"
