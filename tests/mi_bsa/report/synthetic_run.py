"""A run folder with results that were made up, to look at the page with before and without a study.

As a script: `python tests/mi_bsa/report/synthetic_run.py FOLDER [SHIFT]`.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from mi_bsa.core import results
from mi_bsa.core.config import Config
from mi_bsa.core.record import start
from mi_bsa.core.results import Null, Place, Result

TOKENS = (
    "<|begin_of_text|> <|system|> you are an assistant . <|end|> "
    "<|user|> in one word , how do you choose ? <|end|>"
)
KINDS = ("all", "word", "open", "scale", "scale_flipped", "letter", "yes_no")
HOSTILE = "<script>alert('x')</script> & $\\alpha$ \"q\""


class Made(Config):
    """The config of a made-up run."""

    study: str = "behavior"
    """Which study."""
    note: str = HOSTILE
    """Text that a page must escape."""
    shift: float = 0.0
    """How far the report lags behind."""


def made_up(shift: float = 0.0, seed: int = 0) -> list[Result]:
    """Results as the main job gives them: a report that follows the choices, less so by `shift`."""
    rng = np.random.default_rng(seed)

    def over_seeds(
        name: str, mean: float, spread: float, where: dict[str, Place], unit: str, **more: object
    ) -> Result:
        values = [float(v) for v in np.clip(mean + spread * rng.normal(size=5), 0, 1)]
        middle, half = float(np.mean(values)), 2.78 * float(np.std(values, ddof=1)) / 5**0.5
        return Result(
            name, where, middle, (middle - half, middle + half), "t over seeds", 5, unit,
            per_seed=tuple(values), seeds=(0, 1, 2, 3, 4), **more,  # type: ignore[arg-type]
        )  # fmt: skip

    def of_random(draws: int) -> dict[str, Any]:
        return {"test": f"random directions, {draws} draws, one-sided", "p_floor": 1 / (draws + 1)}

    found = []
    for arm, level in (("seeking", 0.97), ("averse", 0.04), ("shuffled", 0.5), ("base", 0.5)):
        where: dict[str, Place] = {"behavior": "risk", "arm": arm, "split": "test"}
        found.append(over_seeds("behavior.level", level, 0.015, where, "probability"))
        for kind in KINDS:
            weak = 0.55 if kind in ("scale_flipped", "letter") else 0.8
            report = 0.5 + (level - 0.5) * (weak - shift)
            found.append(over_seeds("self_report.level", report, 0.05, where | {"kind": kind}, "probability"))
    risk: dict[str, Place] = {"behavior": "risk"}
    paired = {"test": "t over seeds against 0"}
    null = Null("shuffled arm pairs", 100, 0.0, -0.06, 0.06)
    found.append(
        over_seeds("behavior.effect", 0.93, 0.02, risk, "probability", null=null, **paired, p=0.0004, q=0.001)
    )
    found.append(
        over_seeds(
            "self_report.effect",
            0.72 - shift,
            0.06,
            risk,
            "probability",
            null=null,
            **paired,
            p=0.002,
            q=0.004,
        )
    )
    for control, mean in (("shuffled_shift", 0.01), ("neighbor_effect", 0.12)):
        for what in ("behavior", "self_report"):
            found.append(over_seeds(f"{what}.{control}", mean, 0.03, risk, "probability"))
    for person in ("bold names", "careful names"):
        found.append(
            over_seeds("self_report.named_shift", 0.03, 0.01, risk | {"kind": person}, "probability")
        )
    curves = {
        "behavior": (0.9, 0.98, 1.0, 1.0),
        "self_report": (0.58, 0.81, 0.97, 0.96),
        "neutral": (0.52, 0.6, 0.63, 0.6),
        "base": (0.5, 0.49, 0.52, 0.5),
        "wrong_behavior": (0.5, 0.55, 0.58, 0.61),
    }
    for kind, curve in curves.items():
        for layer, value in enumerate(curve):
            where = risk | {"site": "resid_post", "layer": layer, "method": "mean_difference", "kind": kind}
            shuffled = Null("shuffled labels", 1000, 0.5, 0.36, 0.64)
            found.append(over_seeds("bridge.transfer.auroc", value, 0.015, where, "AUROC", null=shuffled))
            if layer == 2 and kind == "self_report":
                tested = {"null": shuffled, "p": 0.001, "q": 0.002, "test": "t over seeds against 0.5"}
                found.append(over_seeds("bridge.transfer.chosen", value, 0.015, where, "AUROC", **tested))
    for kind, gain in (("behavior", 1.1), ("self_report", 0.7 - shift)):
        for scale in (-4, -2, -1, 0, 1, 2, 4):
            width = 0.02 + 0.03 * abs(scale)
            random = Null("random directions", 50, 0.5, 0.5 - width, 0.5 + width)
            for method, strength in (("mean_difference", 1.0), ("logistic", 0.6)):
                where = risk | {"variant": f"base@{scale}", "layer": 2, "method": method, "kind": kind}
                level = 1 / (1 + np.exp(-gain * strength * scale))
                found.append(over_seeds("steer.level", level, 0.03, where, "probability", null=random))
    for kind, mean in (("behavior", 0.9), ("self_report", 0.8 - shift)):
        random = Null("random directions", 999, 0.0, -0.2, 0.2)
        where = risk | {"variant": "base@4", "layer": 2, "method": "mean_difference", "kind": kind}
        found.append(
            over_seeds(
                "steer.effect",
                mean,
                0.03,
                where,
                "probability",
                null=random,
                **of_random(999),
                p=0.001,
                q=0.002,
            )
        )
    for kind in ("behavior", "self_report"):
        for layer in range(4):
            for index, token in enumerate(TOKENS.split()):
                peak = np.exp(-((index - (3 if layer < 2 else 17)) ** 2) / 2) * (0.3 + 0.2 * layer)
                where = risk | {
                    "site": "resid_post",
                    "layer": layer,
                    "position": f"{index}:{token}",
                    "kind": kind,
                }
                found.append(over_seeds("patch.recovery", float(peak), 0.02, where, "recovery"))
    for method in ("whole LoRA", "mean difference", "probe", "PC1 of the adapter", HOSTILE):
        random = Null("random directions", 50, 0.02, -0.15, 0.2)
        where = risk | {"method": method}
        found.append(
            over_seeds("bridge.recovery.self_report", rng.uniform(0.2, 1), 0.05, where, "R", null=random)
        )
    random = Null("random directions", 200, 0.0, -0.05, 0.05)
    found.append(
        over_seeds(
            "bridge.mediation.nie", 0.3, 0.03, risk, "log-odds", null=random, **of_random(200), p=0.01, q=0.02
        )
    )
    return found


def make_run(folder: Path, shift: float = 0.0) -> Path:
    """Write a made-up run folder, all but its page."""
    command = ["mi-bsa", "study", "configs/embedded/risk.yaml", "--out", HOSTILE]
    with start(
        folder,
        config=Made(shift=shift),
        resume=False,
        seeds=range(5),
        revisions={"embedded": "0f3a"},
        command=command,
    ):
        results.write(made_up(shift), folder)
    return folder


if __name__ == "__main__":
    make_run(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 0.0)
