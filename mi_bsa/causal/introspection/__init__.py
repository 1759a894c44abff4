"""Introspection controls: what a report rests on, beside the verdicts and with no say in them."""

from mi_bsa.causal.introspection.conditions import TOLD, rests_on
from mi_bsa.causal.introspection.moved import moved
from mi_bsa.causal.introspection.options import IntrospectionOptions
from mi_bsa.causal.introspection.readers import privileged_access
from mi_bsa.causal.introspection.relabelled import relabelled
from mi_bsa.causal.introspection.wordings import Wording, pool

__all__ = [
    "TOLD",
    "IntrospectionOptions",
    "Wording",
    "moved",
    "pool",
    "privileged_access",
    "relabelled",
    "rests_on",
]
