"""Finetuning: LoRA adapters on chat rows, completion-only loss, leak check. Light to import."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mi_bsa.core.finetuned import FinetuneResult as FinetuneResult
    from mi_bsa.core.finetuned import metrics as metrics
    from mi_bsa.core.finetuned import read_result as read_result
    from mi_bsa.core.leaks import Leak as Leak
    from mi_bsa.core.leaks import find_leaks as find_leaks
    from mi_bsa.core.leaks import leak_check as leak_check
    from mi_bsa.core.rows import read_rows as read_rows
    from mi_bsa.finetune.beside import Beside as Beside
    from mi_bsa.finetune.beside import joined as joined
    from mi_bsa.finetune.config import FinetuneConfig as FinetuneConfig
    from mi_bsa.finetune.many import train_many as train_many
    from mi_bsa.finetune.plan import Preview as Preview
    from mi_bsa.finetune.plan import preview as preview
    from mi_bsa.finetune.together import finetune_together as finetune_together
    from mi_bsa.finetune.train import finetune as finetune

_HOMES = {
    "Beside": "mi_bsa.finetune.beside",
    "FinetuneConfig": "mi_bsa.finetune.config",
    "FinetuneResult": "mi_bsa.core.finetuned",
    "Leak": "mi_bsa.core.leaks",
    "Preview": "mi_bsa.finetune.plan",
    "find_leaks": "mi_bsa.core.leaks",
    "finetune": "mi_bsa.finetune.train",
    "finetune_together": "mi_bsa.finetune.together",
    "joined": "mi_bsa.finetune.beside",
    "leak_check": "mi_bsa.core.leaks",
    "metrics": "mi_bsa.core.finetuned",
    "preview": "mi_bsa.finetune.plan",
    "read_result": "mi_bsa.core.finetuned",
    "read_rows": "mi_bsa.core.rows",
    "train_many": "mi_bsa.finetune.many",
}

__all__ = [
    "Beside",
    "FinetuneConfig",
    "FinetuneResult",
    "Leak",
    "Preview",
    "find_leaks",
    "finetune",
    "finetune_together",
    "joined",
    "leak_check",
    "metrics",
    "preview",
    "read_result",
    "read_rows",
    "train_many",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
