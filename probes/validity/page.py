"""Measuring the laws and writing the page."""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from probes.errors import LeakageError
from probes.splits import check_no_leak
from probes.validity.auroc_laws import CEILING
from probes.validity.crossed_laws import crossed_lines, crossed_section
from probes.validity.law import ALPHA, SEEDS, Law, Rng, coverage_in_words, exact, reaches
from probes.validity.laws import LAWS
from probes.validity.layer_laws import chosen_lines, chosen_section

BESIDE = "<!-- planted truth: begin -->"
"""What stands from here on in the page is another command's, and is kept; so is what stands behind `REPORTS`,
which comes before it."""
REPORTS = "<!-- reports: begin -->"


@dataclass(frozen=True)
class LawLine:
    """A measured law."""

    law: Law
    rate: float
    low: float
    high: float
    n: int
    power: float | None
    seconds: float

    @property
    def passed(self) -> bool:
        """By the exact interval of the rate: coverage reaches into .93 to .98 (or above, where an interval
        may cover more), an error rate is not told to be above .05; a "shown" line is not judged."""
        if self.law.kind == "coverage":
            return reaches(self.low, self.high)
        if self.law.kind == "conservative":
            return reaches(0.0, self.high)
        return self.law.kind == "shown" or self.low <= ALPHA


def _seed_of(name: str) -> int:
    return int.from_bytes(name.encode(), "little") % 2**63


def measure(law: Law, *, sims: int, seed: int = 0, power: bool = True) -> LawLine:
    """Run one law over all simulation seeds: its rate with exact interval, and its power on fewer."""
    key, sims = _seed_of(law.name), min(sims, law.most)
    start = time.monotonic()
    each = -(-sims // len(SEEDS))
    found = [law.run(np.random.default_rng([seed + more, key]), each) for more in SEEDS]
    hits = np.concatenate([np.array(one) for one in found])
    strength = None
    if power and law.power is not None:
        strength = float(np.mean(law.power(np.random.default_rng([seed + 1, key]), max(sims // 4, 20))))
    return LawLine(law, *exact(hits), len(hits), strength, time.monotonic() - start)


def planted(rng: Rng) -> list[tuple[str, float]]:
    """Cosine of the recovered with the planted direction, where n and size allow it (stated beforehand)."""
    from probes import methods

    n, d = 4000, 64
    u = rng.normal(size=d)
    u /= np.linalg.norm(u)
    y = np.arange(n) % 2
    x = rng.normal(size=(n, d)) + np.outer(2.0 * y - 1.0, u)
    graded = rng.uniform(-1, 1, size=n)
    given = {
        "classes": (x, y),
        "numbers": (rng.normal(size=(n, d)) + np.outer(2 * graded, u), graded),
        "differences": (rng.normal(size=(n, d)) + 2 * u, None),
    }
    found = []
    for name, method in methods.METHODS.items():
        if method.kind in given:
            got = method.estimator(0.01 if method.kind == "classes" else None).fit(*given[method.kind])
            found.append((name, float(got.direction("resid_post.0").vector @ u)))
    return found


def leak_refused() -> bool:
    """A leak planted between groups is refused."""
    codes = np.arange(20)[:, None] % 4
    try:
        check_no_leak(codes, np.arange(10), np.arange(10, 20))
    except LeakageError:
        return True
    return False


def _verdict(line: LawLine) -> str:
    said = coverage_in_words(line.low, line.high)
    if line.law.kind == "shown":
        return f"not used here: {said}"
    return said if line.passed else f"FAILS: {said}"


def near_the_ceiling(sims: int) -> list[str]:
    """Coverage and width near the ceiling over all simulation seeds, as lines of Markdown."""
    out = [
        "## Near the ceiling",
        "",
        "Bar: at least .93, and no interval that begins at the estimate or leaves [0, 1]. With few wrong",
        "rows an exact interval covers more than it must, and the price is its width: low and high are the",
        "medians of its ends. Units hold both classes where nothing else is said.",
        "",
        "| truth and design | covered | below | above | low | high | perfect scores |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, draw in CEILING.items():
        key = _seed_of(name)
        each = -(-sims // len(SEEDS))
        found = [one for seed in SEEDS for one in draw(np.random.default_rng([seed, key]), each)]
        low, high = (np.array([getattr(e, end) for e, _ in found]) for end in ("low", "high"))
        truth = np.array([t for _, t in found])
        perfect = np.mean([e.value == 1 for e, _ in found])
        rate, least, most = exact((low <= truth) & (truth <= high))
        out.append(
            f"| {name} | {rate:.3f} [{least:.3f}, {most:.3f}] | {(high < truth).mean():.3f} | "
            f"{(low > truth).mean():.3f} | {np.median(low):.3f} | {np.median(high):.4f} | {perfect:.2f} |"
        )
    return [*out, ""]


def render(
    lines: Sequence[LawLine],
    recovered: Sequence[tuple[str, float]],
    sims: int,
    seed: int,
    ceiling: Sequence[str] = (),
) -> str:
    """The table as Markdown."""
    out = [
        "# Validity of the intervals and tests",
        "",
        f"Generated by `python -m probes.validity --out docs/validity.md` ({sims} simulations a line, fewer "
        f"of what takes long, divided among the simulation seeds {', '.join(str(seed + s) for s in SEEDS)}).",
        "The bracket is the exact 95 % interval of the rate over all of them, and a line is judged by it:",
        "*not told from .93* is an interval that holds .93.",
        "",
        "## Coverage of 95 % intervals (bar: .93 to .98)",
        "",
        "| interval | covered | simulations | verdict |",
        "| --- | --- | --- | --- |",
    ]
    for line in lines:
        if line.law.kind in ("coverage", "conservative", "shown"):
            verdict = _verdict(line)
            out.append(
                f"| {line.law.name} | {line.rate:.3f} [{line.low:.3f}, {line.high:.3f}] | {line.n} | "
                f"{verdict} |"
            )
    out += [
        "",
        *ceiling,
        "## Error rate of tests at .05 under a true null (bar: the interval of the rate not above .05)",
        "",
        "Discrete tests may be conservative: their smallest possible p is given.",
        "",
        "| test | rejects a true null | simulations | smallest p | power | at effect | verdict |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for line in lines:
        if line.law.kind == "error":
            least = "continuous" if line.law.smallest_p is None else f"{line.law.smallest_p:.4f}"
            power = "" if line.power is None else f"{line.power:.2f}"
            out.append(
                f"| {line.law.name} | {line.rate:.3f} [{line.low:.3f}, {line.high:.3f}] | {line.n} | "
                f"{least} | {power} | {line.law.effect} | {'holds' if line.passed else 'FAILS'} |"
            )
    out += [
        "",
        "## Planted directions",
        "",
        "4,000 rows, 64 dimensions, classes 2 sd apart (graded label: 2 sd a unit): expected cosine at "
        "least .95.",
        "",
        "| method | cosine with the planted direction |",
        "| --- | --- |",
        *[f"| {name} | {value:.3f} |" for name, value in recovered],
        "",
        f"A leak planted between groups is {'refused' if leak_refused() else 'NOT REFUSED'}.",
        "",
    ]
    return "\n".join(out)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the laws and write the table; exit code 1 if one fails."""
    parser = argparse.ArgumentParser(prog="python -m probes.validity", description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sims", type=int, default=3000, help="of a line, over all simulation seeds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--keep", type=Path, help="JSON file that keeps finished laws, so that a stopped run goes on"
    )
    parser.add_argument("--only", default="", help="laws whose name holds this text")
    options = parser.parse_args(arguments)
    kept = json.loads(options.keep.read_text()) if options.keep and options.keep.exists() else {}
    lines = []
    for law in LAWS:
        if options.only not in law.name:
            continue
        key = f"{law.name}|{options.sims}|{options.seed}"
        if key in kept:
            lines.append(LawLine(law, *kept[key]))
            continue
        line = measure(law, sims=options.sims, seed=options.seed)
        lines.append(line)
        kept[key] = [line.rate, line.low, line.high, line.n, line.power, line.seconds]
        if options.keep:
            options.keep.write_text(json.dumps(kept))
        verdict = "ok  " if line.passed else "FAIL"
        print(f"{line.rate:.3f} {verdict} {line.seconds:6.0f} s  {law.name}  power {line.power}", flush=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    recovered = planted(np.random.default_rng(options.seed))
    old = options.out.read_text(encoding="utf-8") if options.out.exists() else ""
    mark = REPORTS if REPORTS in old else BESIDE
    beside = old.partition(mark)[2]
    drawn_twice, chosen = crossed_lines(options.sims), chosen_lines(options.sims)
    beside_laws = [
        *near_the_ceiling(options.sims // 4),
        *crossed_section(drawn_twice),
        *chosen_section(chosen),
    ]
    text = render(lines, recovered, options.sims, options.seed, beside_laws)
    options.out.write_text(f"{text}\n{mark}{beside}" if beside else text, encoding="utf-8")
    good = (
        all(line.passed for line in lines)
        and not any(line.fails for line in drawn_twice)
        and not any(line.fails for line in chosen)
        and all(v >= 0.95 for _, v in recovered)
        and leak_refused()
    )
    return 0 if good else 1
