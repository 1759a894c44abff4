"""`mi-bsa self-report`: ask a base and its finetuned arms about themselves, and judge whether the answer
may be read.
"""

from pathlib import Path
from typing import Any

import click

from mi_bsa.asking.battery import BatteryConfig
from mi_bsa.cli.options import config_options, run_options


@click.command(name="self-report")
@config_options(BatteryConfig, names={"banks": "--bank"}, whole=("banks",))
@run_options
def self_report(settings: BatteryConfig, out: Path, resume: bool, dry_run: bool) -> None:
    """Ask by exact log-probabilities; print scores, gaps, which kinds of question may be read, and the
    validity index.

    The base is asked the trained trait's questions a second time, with each pole stated in its system line: a
    kind that does not tell stated poles apart is blind, and its silence is no null. A kind whose options hold
    little of the probability is asked again by sampling (`--instead`), and read so where enough of what is
    said can be parsed. `hosted` (an OpenAI-compatible endpoint and the names of a base and its finetunes
    there) is asked instead of a local model, by the log-probabilities that it gives. CONFIG is a YAML file;
    flags say the same and win over it. OUT gets answers.csv (one row an answer), by_kind.csv, results.json,
    described.csv (the base with stated poles), sampled.csv (kinds that were asked by sampling) and, where
    both poles were asked, gaps.csv and validity.csv; samples.csv and judged.csv where answers are sampled and
    judged.
    """
    if dry_run:
        from mi_bsa.cli.self_report_plan import describe

        click.echo(describe(settings))
        return
    from mi_bsa.asking.battery import adapters_of
    from mi_bsa.behaviors.battery import described, questions

    adapters = adapters_of(settings)
    trait, items = questions(settings)
    _run(settings, out, resume, trait, items, described(settings), adapters)


def _run(
    settings: BatteryConfig,
    out: Path,
    resume: bool,
    trait: str,
    items: list[Any],
    stated: list[Any],
    adapters: dict[str, Any],
) -> None:
    from mi_bsa.asking.bank import KIND
    from mi_bsa.asking.battery import split_of
    from mi_bsa.asking.sampling import parse_rate
    from mi_bsa.asking.scoring import by_kind, gaps_by_kind
    from mi_bsa.asking.statements import against_base
    from mi_bsa.asking.validity import assess
    from mi_bsa.causal.readable import kinds_results, validity_results
    from mi_bsa.core import record, results
    from mi_bsa.core.variants import BASE

    split = split_of(settings, items)
    there = _asked(settings, out, resume=resume, adapters=adapters)
    who, items, stated = there.who, there.answerable(items), there.answerable(stated)
    seeds = sorted({one.seed for name, one in who.items() if name != BASE}) or [settings.seed]
    with record.start(out, config=settings, resume=resume, seeds=seeds, revisions=there.facts) as run:
        there.keep_in(run.path)
        raw = there.ask_many(items)
        scored = against_base(raw)
        if there.mass_known:
            scored.to_csv(run.path / "answers.csv", index=False)
        if left := len(raw) - len(scored):
            click.echo(f"{left} answers left out: of statements that are further apart than a score holds")
        table, looked = _kinds(there, raw, items, stated, settings, run.path, trait=trait)
        kinds = _of_read(by_kind, table, looked)
        kinds.to_csv(run.path / "by_kind.csv", index=False)
        found = [
            _number("self_report.score", row, "score", split, arm=row["arm"])
            for row in kinds.to_dict("records")
        ]
        about_itself = kinds[(kinds["trait"] == trait) & (kinds["person"] == "default")]
        click.echo(_shown(about_itself))
        known = kinds_results(looked, behavior=trait, split=split)
        found += [one for one in known if there.mass_known or one.name != "self_report.option_mass"]
        if not there.mass_known:
            click.echo("option masses are not known, without log-probabilities; they count as 0 below")
        click.echo(f"kinds of question: {looked}\n{looked.control}")
        samples = None
        if settings.samples:
            import pandas as pd

            asked = [
                i
                for i in items
                if (i.labels["trait"], i.labels["person"]) == (trait, "default") and i.labels["kind"] != KIND
            ]
            drawn = [
                there.sample(asked, settings.samples, name).assign(variant=name, arm=one.arm, seed=one.seed)
                for name, one in who.items()
            ]
            samples = pd.concat(drawn, ignore_index=True)
            _write_texts(samples, run.path / "samples.csv")
            counts = samples["outcome"].value_counts()
            said = ", ".join(f"{outcome} {n}" for outcome, n in counts.items())
            click.echo(f"{len(samples)} samples, parse rate {parse_rate(samples):.2f} ({said})")
            if settings.judges:
                from mi_bsa.asking.judged import judged_results, judges_of

                judges = judges_of(settings, asked, there.model)
                more, texts, lines = judged_results(
                    samples, judges, trait=trait, split=split, seed=settings.seed
                )
                _write_texts(texts, run.path / "judged.csv")
                found += more
                click.echo("\n".join(lines))
        if {"seeking", "averse"} <= set(table["arm"]):
            gaps = _of_read(gaps_by_kind, table, looked)
            gaps.to_csv(run.path / "gaps.csv", index=False)
            found += [_number("self_report.effect", row, "gap", split) for row in gaps.to_dict("records")]
            poles = None if samples is None else samples[samples["variant"] != "base"]
            unread = list(looked.unread)
            chosen = _chosen(table, looked)
            kept = chosen[looked.keeps(chosen)]
            verdict = assess(kept, trait=trait, samples=poles, unread=unread, seed=settings.seed)
            verdict.frame().to_csv(run.path / "validity.csv", index=False)
            found += validity_results(verdict, behavior=verdict.trait, split=split)
            shown = gaps[(gaps["trait"] == trait) & (gaps["person"] == "default")]
            click.echo(_shown(shown))
            click.echo(str(verdict))
        else:
            click.echo("no seeking and averse arm: gaps and the validity index need both poles")
        results.write(found, run.path)
        click.echo(f"written to {run.path}")


def _asked(
    settings: BatteryConfig, out: Path, *, resume: bool, adapters: dict[str, tuple[str, int, Path]]
) -> Any:
    """Whom the config asks, `where.Here` or `where.There`, once the folder is seen to be free and all that is
    named to be there.
    """
    from mi_bsa.asking.where import Here, There

    if settings.hosted is not None:
        from mi_bsa.core import record

        record.check_free(out, resume=resume)
        return There(settings.hosted, settings)
    from mi_bsa.core.model_config import facts
    from mi_bsa.core.variants import BASE, Variant
    from mi_bsa.finetune import preflight

    paths = {name: path for name, (_, _, path) in adapters.items()}
    model = preflight.ready(settings, out, resume=resume, adapters=paths)
    who = {BASE: Variant()} | {name: Variant(arm, seed) for name, (arm, seed, _) in adapters.items()}
    return Here(model, who, settings, facts(model))


def _of_read(estimate: Any, table: Any, looked: Any) -> Any:
    """The table by kind, with how each was asked; its rows of all kinds are of those that are read."""
    import pandas as pd

    from mi_bsa.asking.by_sampling import answered
    from mi_bsa.asking.where import UNKNOWN

    chosen = _chosen(table, looked)
    each, whole = (estimate(answered(part)) for part in (chosen, chosen[looked.keeps(chosen)]))
    asked = {one.kind: one.how for one in looked.each}
    if UNKNOWN in table.columns:
        asked = dict.fromkeys(asked, "asked by sampling")
    each["asked"] = each["kind"].map(asked).fillna("asked by log-probabilities")
    whole["asked"] = ", ".join(sorted({asked[kind] for kind in looked.read})) or "no kind is read"
    parts = [each[each["kind"] != "all"], whole[whole["kind"] == "all"]]
    return pd.concat(parts, ignore_index=True).sort_values(["trait", "person"], kind="stable")


def _chosen(table: Any, looked: Any) -> Any:
    """The answers of each kind as it is asked; where only samples are known, those."""
    from mi_bsa.asking.by_sampling import by_sampling
    from mi_bsa.asking.where import UNKNOWN

    return table[by_sampling(table)] if UNKNOWN in table.columns else looked.chosen(table)


def _kinds(
    there: Any,
    raw: Any,
    items: list[Any],
    stated: list[Any],
    settings: BatteryConfig,
    out: Path,
    *,
    trait: str,
) -> tuple[Any, Any]:
    """The answers with those that were sampled, and which kinds of question are read; the base is asked with
    stated poles for it.
    """
    import pandas as pd

    from mi_bsa.asking.kinds import asked_kinds
    from mi_bsa.asking.low_mass import low_kinds
    from mi_bsa.asking.statements import against_base, described_against_base
    from mi_bsa.causal.gate import BARS

    table, described = against_base(raw), None
    if stated:
        described = there.ask(stated)
        described = described_against_base(described, raw)
        described.to_csv(out / "described.csv", index=False)

    def own(answers: Any) -> Any:
        return answers[(answers["trait"] == trait) & (answers["person"] == "default")]

    if settings.instead and (low := low_kinds(own(table), bars=BARS)):
        sampled, said = _sampled(there, items, stated, settings, low=low, trait=trait)
        pd.concat([sampled, said], ignore_index=True).to_csv(out / "sampled.csv", index=False)
        table = pd.concat([table, sampled], ignore_index=True)
        described = pd.concat([described, said], ignore_index=True) if len(said) else described
    return table, asked_kinds(own(table), described, bars=BARS)


def _sampled(
    there: Any,
    items: list[Any],
    stated: list[Any],
    settings: BatteryConfig,
    *,
    low: tuple[str, ...],
    trait: str,
) -> tuple[Any, Any]:
    """Sampled answers to kinds whose options hold too little, and the base's with stated poles. The base is
    asked about itself first: where too little of what it says can be read, nobody else is.
    """
    import pandas as pd

    from mi_bsa.asking.low_mass import parsed_kinds
    from mi_bsa.causal.gate import BARS
    from mi_bsa.core.variants import BASE

    def sampled(some: list[Any], variant: str) -> Any:
        answers, one = there.ask_by_sampling(some, settings.instead, variant), there.who[variant]
        return answers.assign(variant=variant, arm=one.arm, seed=one.seed)

    def about(item: Any) -> bool:
        return bool(item.labels["trait"] == trait and item.labels["person"] == "default")

    tried = [item for item in items if item.labels["kind"] in low]
    frames = [sampled([item for item in tried if about(item)], BASE)]
    # without log-probabilities samples are all that is known, of unread kinds too
    kinds = parsed_kinds(frames[0], bars=BARS) if there.mass_known else low
    said: list[Any] = []
    others = [item for item in tried if item.labels["kind"] in kinds]
    for variant in there.who:
        if some := [item for item in others if variant != BASE or not about(item)]:
            frames.append(sampled(some, variant))
    if some := [item for item in stated if item.labels["kind"] in kinds]:
        said.append(sampled(some, BASE))
    return pd.concat(frames, ignore_index=True), pd.concat(said) if said else pd.DataFrame()


def _write_texts(table: Any, path: Path) -> None:
    """Raw texts as CSV, every text in quotes: a lone carriage return would end a row otherwise."""
    import csv

    table.to_csv(path, index=False, quoting=csv.QUOTE_NONNUMERIC)


def _shown(table: Any) -> str:
    """A table of numbers with their intervals as text; where there is none, the reason."""
    text = table.drop(columns=["trait", "person", "ci_method"]).round(3)
    text["asked"] = text["asked"].str.removeprefix("asked ")
    absent = table["low"].isna() | table["high"].isna()
    if absent.any():
        text[["low", "high"]] = text[["low", "high"]].astype(object)
        text.loc[absent, ["low", "high"]] = "-"
        text["interval"] = ["no interval: one wording of one seed" if none else "" for none in absent]
    return str(text.to_string(index=False))


def _number(name: str, row: dict[str, Any], column: str, split: str, **where: str) -> Any:
    """A row of a table by kind as a result; the kind says whom it is about where that is not the model."""
    from mi_bsa.asking.scoring import Estimate

    kind = row["kind"] if row["person"] == "default" else f"{row['kind']} about {row['person']}"
    value, low, high = (float(row[key]) for key in (column, "low", "high"))
    n, wordings, seeds = (int(row[key]) for key in ("n", "n_wordings", "n_seeds"))
    estimate = Estimate(value, low, high, n, wordings, seeds, ci_method=row["ci_method"])
    place = {"behavior": row["trait"], "kind": str(kind), "split": split, **where}
    return estimate.result(name, place, notes=f"{wordings} wordings, {seeds} seeds; {row['asked']}")
