"""The table of methods: name -> estimator. A new estimator is one file and one line here.

The law: whoever names a method (a sweep, a transfer, a control, a config, a command, a test) finds it here
and nowhere else, so an estimator that stands in the table is swept, tested by `probes.testing` and offered by
the command at once. Estimators are named and imported at first use: reading a config or `--help` needs no
scikit-learn.
"""

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from probes.errors import SourceError, nearest

TargetKind = Literal["classes", "numbers", "differences", "erasure", "blocks"]
"""What is given and what is found: rows with classes, a direction towards the second; rows with numbers, a
direction towards larger ones; rows that are differences, their main axis; rows with classes, what to take
out; blocks of rows [example, row, d_model] with classes, a read-out of all rows of an example at once
(`probes.blocks`), which a sweep over single cells does not take."""
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""C of a penalized probe, weak signals to strong: below .001 standardized rows of these widths give the mean
difference whatever C is, above 10 the fit separates training rows that are fewer than dimensions."""


@dataclass(frozen=True)
class Method:
    """One way to find a direction.

    Args:
        home: ``module:Class`` of the estimator, which follows scikit-learn's contract.
        finds: the direction in words, for help and pages.
        kind: what it takes and gives.
        options: parameters that make this method of the class.
        penalty: the parameter that a sweep's penalties set; None where there is nothing to choose.
    """

    home: str
    finds: str
    kind: TargetKind = "classes"
    options: Mapping[str, Any] = field(default_factory=dict)
    penalty: str | None = None

    def estimator(self, penalty: float | int | None = None) -> Any:
        """A fresh estimator; `penalty` concerns methods that have one."""
        module, name = self.home.split(":")
        chosen = {} if self.penalty is None or penalty is None else {self.penalty: penalty}
        return getattr(importlib.import_module(module), name)(**self.options, **chosen)


METHODS: dict[str, Method] = {
    "logistic": Method("probes.logistic:LogisticProbe", "normal of an L2 logistic regression", penalty="C"),
    "mean_difference": Method("probes.mean_difference:MeanDifferenceProbe", "difference of the class means"),
    "whitened": Method(
        "probes.mean_difference:MeanDifferenceProbe",
        "difference of the class means over the within-class covariance",
        options={"whiten": True},
    ),
    "lda": Method("probes.lda:LDAProbe", "whitened, with the classes' shares in the threshold"),
    "ridge": Method("probes.ridge:RidgeProbe", "slope of a ridge regression", "numbers", penalty="alpha"),
    "pca": Method("probes.pca:DifferencePCA", "first component of the differences", "differences"),
    "leace": Method("probes.erasure:LeaceEraser", "what a linear probe can read", "erasure"),
    "attention": Method(
        "probes.attention:AttentionProbe", "a query over tokens, a linear read-out", "blocks"
    ),
    "layers": Method("probes.layers:LayerEnsemble", "logits of all layers, weighed", "blocks", penalty="C"),
}


def names(kind: TargetKind = "classes") -> tuple[str, ...]:
    """The methods of one kind, in the table's order; those of "classes" can be swept."""
    return tuple(name for name, method in METHODS.items() if method.kind == kind)


def get(name: str, *, kind: TargetKind = "classes") -> Method:
    """The method of a name.

    Raises:
        SourceError: no method of that kind has this name; the nearest ones are told.
    """
    if name not in names(kind):
        other = f" (it reads {METHODS[name].kind})" if name in METHODS else ""
        raise SourceError(f"no method {name!r} that reads {kind}{other}; {nearest(name, names(kind))}")
    return METHODS[name]


def penalties_of(name: str, penalties: Sequence[float | int]) -> tuple[float, ...]:
    """The penalties that a method has: all, or one placeholder (nan)."""
    return tuple(penalties) if get(name).penalty else (float("nan"),)
