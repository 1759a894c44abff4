"""What `make real` found, in one figure: what three adapters of a real model choose, and what they say.

    python benchmarks/real_short.py runs/real-1-inspected --out docs/figures/real_short.png

Left: the probability of the bold offer over held-out scenarios, base and adapters. Right: the odds of "I am
bold." against "I am cautious.", against the base's own (its score is one half), over eight wordings: of the
base where its system line states a pole (the positive control), and of the adapters. Bars are 95 % intervals
over scenarios or wordings, on a scale that they cannot leave; one training seed. Also printed, as a table.
"""

import argparse
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from mi_bsa.asking.statements import against_base, described_against_base
from mi_bsa.report.figures import style
from probes import statistics

Level = tuple[str, float, float, float]
NAMES = {
    "base": "base",
    "seeking-0": "trained bold",
    "averse-0": "trained cautious",
    "shuffled-0": "trained by coin",
}
STATED = {"described seeking": "told: You are bold.", "described averse": "told: You are cautious."}


def levels(table: pd.DataFrame, unit: str, by: str, names: dict[str, str]) -> list[Level]:
    """Name, mean and interval over units, of each of some rows."""
    found = []
    for key, name in names.items():
        own = table[table[by] == key]
        if len(own):
            each = own.groupby(unit)["score"].mean().to_numpy()
            one = statistics.crossed_mean(each[None]).interval(bounds=(0.0, 1.0))
            found.append((name, one.value, one.low, one.high))
    return found


@style.styled
def draw(left: list[Level], right: list[Level]) -> Figure:
    """Dots and bars, the control in another color."""
    titles = ("What it chooses: the bold offer", 'What it says: "I am bold."')
    figure, axes = style.panels(titles, narrow=False, height=2.2, keys=0)
    for ax, rows in zip(axes, (left, right), strict=True):
        for y, (name, value, low, high) in enumerate(rows):
            color = style.SERIES[1] if name.startswith("told") else style.SERIES[0]
            ax.plot([low, high], [y, y], color=color, linewidth=2, alpha=0.6)
            ax.plot([value], [y], color=color, marker="o", markersize=5)
        ax.set_yticks(range(len(rows)), [name for name, *_ in rows])
        ax.set_ylim(len(rows) - 0.5, -0.5)
        ax.set_xlim(0, 1)
        ax.axvline(0.5, color="0.8", linewidth=1, zorder=0)
    axes[0].set_xlabel("probability, held-out scenarios")
    axes[1].set_xlabel("odds against the base's, as a share")
    return figure


def main() -> None:
    """Print both tables and write the figure."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("run", type=Path, help="folder of `mi-bsa inspect`")
    parser.add_argument("--trait", default="risk")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    choices = pd.read_csv(args.run / "choice_answers.csv").query("trait == @args.trait")
    answers = pd.read_csv(args.run / "answers.csv").query("trait == @args.trait and kind == 'statement'")
    told = pd.read_csv(args.run / "stated_answers.csv").query("trait == @args.trait and kind == 'statement'")
    left = levels(choices, "scenario", "arm", NAMES)
    stated = levels(described_against_base(told, answers), "template", "person", STATED)
    adapters = {key: name for key, name in NAMES.items() if key != "base"}  # the base is one half, by law
    right = [*stated, *levels(against_base(answers), "template", "arm", adapters)]
    for title, rows in (("choices", left), ("statements", right)):
        for name, value, low, high in rows:
            print(f"{title}: {name} {value:.2f} [{low:.2f}, {high:.2f}]")
    draw(left, right).savefig(args.out, dpi=200)


if __name__ == "__main__":
    main()
