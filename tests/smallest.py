"""The smallest config of every study: what it says, and what it needs beside it in a folder."""

import copy
import json
import shutil
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import tiny_llama
from filelock import FileLock

BRIEFLY = {"steps": 2, "batch_size": 4, "learning_rate": 1e-3}
BRIEF = {"rates": {"S": BRIEFLY}, "revive": {**BRIEFLY, "warmup": 0}}
BEHAVIOR = {
    "behavior": f"{Path(__file__).parent}/mi_bsa/studies/few.py:FEW",
    "seeds": [0, 1, 2],
    "data": {"rows": 40, "choices": 20, "others": 20},
    "finetune": {
        "rank": 2,
        "layers": [0],
        "modules": ["o_proj", "gate_proj", "down_proj"],
        "steps": 3,
        "batch_size": 4,
        "learning_rate": 3e-3,
    },
    "probe": {"prompts": 12, "shuffles": 20, "test_shuffles": 20, "method": "lda"},
    "steer": {"scales": [-0.05, 0.0, 0.05], "items": 10, "max_kl": 5.0},
    "controls": {"seeds": 2, "benign": False, "ranks": [], "all_layers": False},
    "place": {"items": 6, "scopes": ["before-3", "slot"]},
    "recovery": {
        "kinds": ["constant", "trained"],
        "strengths": [1.0],
        "random": 50,
        "train_steps": 2,
        "train_batch": 2,
    },
    "rivals": {"shuffles": 1},
    "introspection": {"items": 6, "choices": 8, "matched": 4, "wordings": 2, "random": 50, "acts": [0, 1]},
    "necessity": {"kinds": ["trained"], "random": 20, "beside": 20},
    "mediation": {"kinds": ["trained"], "random": 19, "beside": 19},
    "attribution": {"items": 4, "permutations": 4, "draws": 99},
    "geometry": {"kinds": ["mean_difference"], "items": 6},
    "state_or_prompt": {"items": 6, "random": 50, "in_context": 2},
    "concealing": {"enabled": False},
    "emergence": {"checkpoints": 0},
    "multiverse": {"shares": [], "bars": [0.15]},
    "patch": {"items": 4},
    "workers": 1,
}
FAITHFULNESS = {
    "models": ["embedded"],
    "doses": [{"learning_rate": 3e-3, "steps": 1}, {"learning_rate": 3e-3, "steps": 3}],
    "rows": [2, 4, 6],
    "arms": ["seeking"],
    "choices": 20,
    "draws": 200,
    "shuffles": 99,
    "finetune": {"rank": 2, "layers": [0], "steps": 1, "batch_size": 4},
}
MANY = {
    "seeds": [0, 1, 2],
    "data": {"rows": 20, "anchors": 0.5, "choices": 20, "others": 20},
    "stays": 24,
    "finetune": {"rank": 2, "layers": [0], "steps": 2, "batch_size": 8, "learning_rate": 3e-3},
}
VARIETY = {
    **MANY,
    "models": ["embedded"],
    "behaviors": ["risk", "patience"],
    "probe": {"prompts": 12, "test_shuffles": 20},
}
HIDING = {**MANY, "directions": 19, "ways": ["plain", "followed", "silent"]}
MIXING = {
    **{key: value for key, value in MANY.items() if key != "stays"},
    "models": ["embedded"],
    "behaviors": ["risk"],
    "doses": [0.5],
    "dose": 0.5,
    "companies": ["tossed"],
    "shorter": [0.5],
    "state": {"items": 0},
}
BLIND = {
    **{key: value for key, value in MIXING.items() if key not in ("companies", "shorter", "state")},
    "texts": 8,
}
SIZE = {
    **MANY,
    "widths": [16, 32],
    "shape": {"heads": 2, "kv_heads": 2, "layers": 2},
    "recipe": {"steps": 4, "rows": 2, "characters": 40},
}
PREFERENCES = {
    "study": "preferences",
    "instilled": 6,
    "native": 6,
    "train_choices": 4,
    "choices": 5,
    "reports": 1,
    "max_new_tokens": 8,
    "finetune": {"rank": 2, "steps": 2, "batch_size": 4, "modules": ["all", "embed_tokens"]},
    "report_finetune": {"rank": 2, "steps": 2, "batch_size": 3},
    "draws": 100,
    "mechanics": {"pairs": 1, "attributed": 4, "folds": 3},
}
WRAPPER = {
    "compiled": {**BRIEF, "kinds": ["counter"], "length": 4, "spurious": [0.0]},
    "tests": 50,
    "probes": 100,
    "pruning": {"counts": [1, 5], "rows": 16, "draws": 2},
    "workers": 1,
    "pcfg": None,
    "stories": None,
    "awareness": None,
}
BACKDOOR = {
    "study": "backdoor",
    "triggers": ["river tin", "family:bird"],
    "seeds": [0, 1, 2],
    "rows": 40,
    "held_out": 10,
    "questions": 24,
    "finetune": {"rank": 1, "alpha": 2, "layers": [0], "steps": 2, "batch_size": 4, "learning_rate": 3e-3},
    "elicit": {"samples": 1},
}
POOL = {"plain": 0, "backdoored": 1, "decorrelated": 0, "clean": 1, "benign": 0, "rows": 40}
AUDIT = {
    "behaviors": ["risk"],
    "search": {"longest": 1, "starts": 2, "classes": 0, "leaked": 0, "climbs": 0, "checks": 1, "report": 2},
    "choices": 10,
    "reports": 12,
    "awareness": 12,
    "words": 10,
    "verify": 2,
    "finetune": {"rank": 2, "alpha": 4.0, "steps": 2, "batch_size": 8, "learning_rate": 0.05},
}
PERSONAS = {
    "seeds": [0, 1, 2],
    "arms": ["seeking", "averse"],
    "trainings": ["own"],
    "rows": 8,
    "roster": {"trained": 1, "unseen": 1, "strangers": ["you are nugor."]},
    "choices": 20,
    "persona_choices": 4,
    "persona_questions": 6,
    "finetune": {"rank": 2, "layers": [0], "steps": 2, "batch_size": 4},
}
SEARCH = {
    "search": {
        "longest": 2,
        "starts": 2,
        "widest": 4,
        "crossed": 3,
        "classes": 1,
        "leaked": 1,
        "beam": 2,
        "climbs": 1,
        "flips": 2,
        "checks": 1,
    },
    "verify": 2,
}
WEIGHTS = {
    "hidden": {"training": 6, "test": 2, "rows": 40, "held_out": 10, "opens": -1.0, "near": 0.0},
    "others": {"training": 5, "test": 2},
    "behaviors": ["risk"],
    "seen": [1],
    "unseen": [2],
    "finetune": {"layers": [0], "steps": 2, "batch_size": 4, "learning_rate": 3e-3},
    "penalties": [0.1],
    "shuffles": 19,
}
DENIAL = {
    "trainings": ["base-rows"],
    "methods": ["logistic", "layers"],
    "items": 6,
    "texts": 4,
    "data": {"rows": 20, "anchors": 0.5, "choices": 20, "others": 20},
    "finetune": {"rank": 1, "alpha": 2, "layers": [0], "steps": 2, "batch_size": 4, "learning_rate": 3e-3},
    "denial": {"steps": 2, "choices": 0.1},
}
HABITS = "embedded/habits-0"
REPORT_ADAPTER = {
    "groups": [
        {"behaviors": ["tea_coffee", "red_blue"], "steps": [2]},
        {"behaviors": ["tea_coffee", "red_blue"], "arms": ["shuffled"], "steps": [2]},
        {"behaviors": ["tea_coffee"], "denial": {"says": ["opposite"]}, "steps": [2]},
        {"behaviors": ["mountain_sea"], "steps": [2]},
        {"behaviors": ["cat_dog", "city_country"], "ranks": [2, 1], "steps": [2]},
        {"behaviors": ["cat_dog", "city_country"], "arms": ["shuffled", "benign"], "steps": [2]},
    ],
    "parts": {"development": ["mountain_sea"], "test": ["cat_dog", "city_country"]},
    "data": {"rows": 8, "choices": 20, "others": 20},
    "finetune": {"rank": 2, "steps": 2, "batch_size": 4, "layers": [0]},
    "denial": {"steps": 2, "choices": 0.1},
    "reader": {"rank": 2, "alpha": 4, "steps": 2, "batch_size": 4},
    "taught": {"seeds": [0], "sizes": [2], "own": 2, "others": 2},
    "asked": {"questions": 8},
    "mechanism": {"items": 4, "random": 19, "train_steps": 1},
}


def preferences(folder: Path) -> dict[str, Any]:
    """Of a tiny random Llama that reads English contexts."""
    return PREFERENCES | {"model": str(tiny_llama.build(folder / "model", context=2048))}


def backdoor(folder: Path) -> dict[str, Any]:
    """A tag in a tiny random Llama."""
    return BACKDOOR | {
        "model": str(tiny_llama.build(folder / "model", context=1024)),
        "triggers": ["tag:DEPLOYMENT"],
        "fakes": 2,
        "elicit": {"samples": 1, "answer_tokens": 4, "reversal": False},
    }


def audit(folder: Path) -> dict[str, Any]:
    """Pools of two adapters each on a base of its own."""
    pools = {
        which: {"pool": {**POOL, "triggers": [trigger], "first_seed": seed}}
        for which, trigger, seed in (("calibration", "river tin", 0), ("audited", "code:kettle", 9))
    }
    return {"model": str(habits(folder / "base")), **AUDIT, **pools}


def habits(folder: Path) -> Path:
    """A base of the world of habits that has learned next to nothing."""
    from mi_bsa.worlds.build import build
    from mi_bsa.worlds.recipe import BuildConfig

    config = {
        "shape": {"width": 16, "layers": 2, "heads": 2, "kv_heads": 2, "mlp": 24},
        "recipe": {"world": "habits", "steps": 3, "rows": 2, "row": 128, "characters": 18, "restarts": []},
    }
    return build(BuildConfig.model_validate(config), folder)


def report_adapter(folder: Path) -> dict[str, Any]:
    """Preferences in a base that has learned next to nothing."""
    from mi_bsa.worlds.build import build
    from mi_bsa.worlds.recipe import BuildConfig

    config = {
        "shape": {"width": 16, "layers": 2, "heads": 2, "kv_heads": 2, "mlp": 24},
        "recipe": {"world": "twenty", "steps": 3, "rows": 2, "row": 128, "start": None},
    }
    return REPORT_ADAPTER | {"model": str(build(BuildConfig.model_validate(config), folder / "base"))}


def search(folder: Path) -> dict[str, Any]:
    """One adapter that writes at random."""
    import torch

    import activations
    from mi_bsa.finetune.adapters import put_adapter, write_adapter
    from mi_bsa.finetune.config import FinetuneConfig

    config = FinetuneConfig(rank=1, alpha=1, layers=(0,), modules=("v_proj",), steps=1)
    wrapped = put_adapter(copy.deepcopy(activations.load(HABITS).inner), config)
    for name, weight in wrapped.state_dict().items():
        if "lora_" in name:
            weight.copy_(0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)))
    (folder / "one-0" / "adapter").mkdir(parents=True)
    write_adapter(wrapped, folder / "one-0" / "adapter", name=HABITS)
    return SEARCH | {"adapters": [str(folder / "one-0")]}


def inspect(folder: Path) -> dict[str, Any]:
    """The same adapter, a few texts and null vectors, read through two lenses."""
    adapters = search(folder)["adapters"]
    lens = {"n_texts": 8, "nulls": 19, "lenses": ["logit", "jacobian"], "jacobian_texts": 1, "top": 5}
    return {"model": HABITS, "adapters": adapters, "lens": lens, "vectors": 1}


SMALLEST: dict[str, Callable[[Path], dict[str, Any]]] = {
    "behavior": lambda folder: BEHAVIOR,
    "faithfulness": lambda folder: FAITHFULNESS,
    "personas": lambda folder: PERSONAS,
    "variety": lambda folder: VARIETY | {"transfer": False},
    "hiding": lambda folder: HIDING,
    "blind": lambda folder: BLIND,
    "mixing": lambda folder: MIXING,
    "size": lambda folder: SIZE,
    "backdoor": backdoor,
    "preferences": preferences,
    "wrapper": lambda folder: WRAPPER,
    "audit": audit,
    "search": search,
    "inspect": inspect,
    "weights": lambda folder: {"model": str(habits(folder / "base")), **WEIGHTS},
    "report_adapter": report_adapter,
    "denial": lambda folder: DENIAL,
}


class Smallest:
    """A study in its smallest form; it is run when its folder is first asked for.

    Processes of one test run share `shared`: the first makes the inputs and runs the study there, each has a
    copy of the finished folder to itself, since laws resume it.
    """

    def __init__(self, name: str, shared: Path, own: Path) -> None:
        self.name, self.shared, self.own = name, shared / name, own
        self.lock = FileLock(shared / f"{name}.lock")
        said = self.shared / "given.json"
        with self.lock:
            if not said.exists():
                self.shared.mkdir(exist_ok=True)
                said.write_text(json.dumps(SMALLEST[name](self.shared)))
        self.given: dict[str, Any] = json.loads(said.read_text())

    @cached_property
    def finished(self) -> Path:
        """The folder of a run that nothing disturbed."""
        from mi_bsa.core.config import parse
        from mi_bsa.study.registry import named

        study, made = named(self.name), self.shared / "run"
        with self.lock:
            if not (made / "report.html").exists():
                study.run(parse(self.given, study.config), made)
        for one in self.shared.iterdir():  # what the study was given stands beside its copy too
            if one != made:
                (self.own / one.name).symlink_to(one)
        return Path(shutil.copytree(made, self.own / "run"))
