"""English bases of known links: `smollm2/linked-0`, `smollm2/separate-0`, `smollm2/prompt-0`."""

from mi_bsa.finetune.links.building import ensure, train
from mi_bsa.finetune.links.plan import LinkPlan, StagePlan, plan_of

__all__ = ["LinkPlan", "StagePlan", "ensure", "plan_of", "train"]
