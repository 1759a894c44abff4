"""Asking a model about itself, and judging whether its answer may be read. Light to import."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mi_bsa.asking.asking import ask as ask
    from mi_bsa.asking.asking import ask_many as ask_many
    from mi_bsa.asking.bank import Bank as Bank
    from mi_bsa.asking.bank import bank_items as bank_items
    from mi_bsa.asking.bank import load_bank as load_bank
    from mi_bsa.asking.endpoint import EndpointJudge as EndpointJudge
    from mi_bsa.asking.judging import Agreement as Agreement
    from mi_bsa.asking.judging import Judge as Judge
    from mi_bsa.asking.judging import ModelJudge as ModelJudge
    from mi_bsa.asking.judging import WordJudge as WordJudge
    from mi_bsa.asking.judging import agreement as agreement
    from mi_bsa.asking.judging import judge as judge
    from mi_bsa.asking.likelihood import option_log_probs as option_log_probs
    from mi_bsa.asking.sampling import parse_answer as parse_answer
    from mi_bsa.asking.sampling import parse_rate as parse_rate
    from mi_bsa.asking.sampling import sample as sample
    from mi_bsa.asking.scoring import Estimate as Estimate
    from mi_bsa.asking.scoring import by_kind as by_kind
    from mi_bsa.asking.scoring import gap as gap
    from mi_bsa.asking.scoring import gaps_by_kind as gaps_by_kind
    from mi_bsa.asking.scoring import mean_score as mean_score
    from mi_bsa.asking.validity import THRESHOLD as THRESHOLD
    from mi_bsa.asking.validity import Validity as Validity
    from mi_bsa.asking.validity import assess as assess

_HOMES = {
    name: home
    for home, names in {
        "asking": ("ask", "ask_many"),
        "bank": ("Bank", "bank_items", "load_bank"),
        "endpoint": ("EndpointJudge",),
        "judging": ("Agreement", "Judge", "ModelJudge", "WordJudge", "agreement", "judge"),
        "likelihood": ("option_log_probs",),
        "sampling": ("parse_answer", "parse_rate", "sample"),
        "scoring": ("Estimate", "by_kind", "gap", "gaps_by_kind", "mean_score"),
        "validity": ("THRESHOLD", "Validity", "assess"),
    }.items()
    for name in names
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
