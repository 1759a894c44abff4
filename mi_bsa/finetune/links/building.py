"""Making an English base of characters: trained stage by stage, added to its model, and put in place.

Law: what a killed call finished is kept, and the next one goes on from its last state; what stands under the
base's name is whole.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mi_bsa.core.files import digest
from mi_bsa.core.model_config import as_config
from mi_bsa.core.named_models.home import LOCK, beside, home, locked, put
from mi_bsa.core.named_models.installed import damage, folder_of, write_record
from mi_bsa.finetune.adapters import WEIGHTS
from mi_bsa.finetune.links.card import card
from mi_bsa.finetune.links.plan import LinkPlan, plan_of
from mi_bsa.finetune.many import train_many
from mi_bsa.finetune.merging import merge


def train(plan: LinkPlan, out: Path) -> Path:
    """Train all stages into `out/stage-N`; returns the last one's adapter. Finished stages are kept."""
    adapter: Path | None = None
    for stage in range(len(plan.stages)):
        name = f"stage-{stage}"
        starts = {} if adapter is None else {name: adapter}
        jobs = {name: (plan.rows(stage), plan.training(stage))}
        adapter = train_many(plan.model, jobs, out=out, starts=starts)[name].adapter
    assert adapter is not None
    return adapter


def ensure(name: str, *, plan: LinkPlan | None = None) -> Path:
    """The model folder of a base such as `smollm2/linked-0`; made where it is not here.

    `plan`: another than its own.

    Raises:
        ConfigError: a base that is made by no plan.
        MissingError: the model under it is not here.
    """
    plan = plan_of(name) if plan is None else plan
    target = folder_of(name, "float32")
    with locked(target.parent / LOCK):
        if damage(target) is None:
            return target
        adapter = train(plan, home() / "links" / name.replace("/", "-"))
        with beside(target) as part:
            made = merge(plan.model, adapter, part / "made", dtype="float32")
            _describe(name, plan, adapter, made)
            put(made, target)
    return target


def _describe(name: str, plan: LinkPlan, adapter: Path, made: Path) -> None:
    """The record and the card of a base."""
    record: dict[str, Any] = {
        "name": name,
        "dtype": "float32",
        "under": as_config(plan.model).text,
        "link": plan.link,
        "adapter": {"sha256": digest(adapter / WEIGHTS)},
        "plan": plan.dump(),
    }
    (made / "README.md").write_text(card(record), encoding="utf-8")
    for file in made.iterdir():
        file.chmod(0o644)
    write_record(made, record)
