"""What every probe of several rows an example shares: all tokens of a prompt, or one token at all layers.

The law: X is [example, row, d_model], and `mask` [example, row] says which rows are real (all where it is
None). What stands in the others, NaN too, changes nothing, in a fit and after it. Whatever a fit chooses by
itself (when to stop, how layers are weighed) it chooses on `groups` that the rest of that fit did not see,
so a group is named wherever examples share a seed or a scenario; None states that examples are independent.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from probes import pairs
from probes.errors import ActivationError, GroupError, LabelError, SourceError
from probes.splits import Split
from probes.validation import check_finite

FORMAT = "mi-bsa block probe 1"


class BlockProbe(ClassifierMixin, BaseEstimator):
    """Base of the probes of several rows at once, two classes: subclasses say how `_learn` and `_decide`
    work.

    `LEARNT` are the names of the arrays that a fit leaves; `rows` says what the rows of an example are: its
    "tokens", some of which may be missing, or its "layers", which are all there.
    """

    LEARNT: ClassVar[tuple[str, ...]] = ()
    rows: ClassVar[Literal["tokens", "layers"]] = "tokens"

    classes_: np.ndarray
    n_features_in_: int

    def fit(self, X: Any, y: Any, *, mask: Any = None, groups: Any = None) -> "BlockProbe":
        """Fit on examples [example, row, d_model] and one label an example.

        Args:
            X, y: examples, and labels of two classes.
            mask: which rows are real [example, row]; all if None.
            groups: of each example (adapter seed, scenario), for choices inside the fit; None states that
                examples are independent.

        Raises:
            ActivationError: another shape, an example without a real row, NaN or infinity in a real one.
            LabelError: not two classes. GroupError: too few groups to choose anything on.
        """
        x, real = self._checked(X, mask)
        labels = np.asarray(y)
        if labels.shape != (len(x),):
            raise LabelError(f"labels of shape {labels.shape} for {len(x)} examples; give one an example")
        classes, code = np.unique(labels, return_inverse=True)
        if len(classes) != 2:
            said = "the label is constant" if len(classes) == 1 else f"{len(classes)} classes found"
            raise LabelError(f"{said} on the examples given; choose examples of two classes")
        own = np.arange(len(x)) if groups is None else np.asarray(groups)
        if own.shape != (len(x),):
            raise GroupError(f"groups of shape {own.shape} for {len(x)} examples; give one an example")
        self.classes_, self.n_features_in_ = classes, x.shape[2]
        self._learn(x, code.astype(np.int64), real, own)
        return self

    def decision_function(self, X: Any, *, mask: Any = None) -> Float[np.ndarray, " example"]:
        """Logit of the second class [example]."""
        check_is_fitted(self)
        x, real = self._checked(X, mask)
        if x.shape[2] != self.n_features_in_:
            raise ActivationError(
                f"examples of width {x.shape[2]} for a probe of width {self.n_features_in_}; read the site "
                "that it was fitted on"
            )
        return self._decide(x, real)

    def predict(self, X: Any, *, mask: Any = None) -> np.ndarray:
        """The class of each example."""
        return self.classes_[(self.decision_function(X, mask=mask) > 0).astype(int)]

    def predict_proba(self, X: Any, *, mask: Any = None) -> Float[np.ndarray, "example class"]:
        """Probability of each class; whether it keeps its word is another question
        (`probes.reliability`)."""
        from scipy.special import expit

        high = expit(self.decision_function(X, mask=mask))
        return np.stack([1 - high, high], axis=1)

    def save(self, path: str | Path) -> Path:
        """Write `<path>.safetensors` and `<path>.json`; never over an existing probe."""
        check_is_fitted(self)
        arrays = {name: np.asarray(getattr(self, name)) for name in self.LEARNT}
        said = {"method": type(self).__name__, "parameters": self.get_params()}
        return pairs.write(
            path, arrays, said | {"classes": self.classes_.tolist()}, form=FORMAT, what="probe"
        )

    @classmethod
    def load(cls, path: str | Path) -> "BlockProbe":
        """Read what `save` wrote.

        Raises:
            SourceError: a file is missing, has changed, or holds another estimator.
        """

        def made(arrays: Any, said: Any) -> "BlockProbe":
            if said["method"] != cls.__name__:
                raise SourceError(f"{path} holds a {said['method']}; load it with that class")
            probe = cls(**said["parameters"])
            for name in cls.LEARNT:
                setattr(probe, name, np.asarray(arrays[name]))
            probe.classes_ = np.array(said["classes"])
            probe.n_features_in_ = int(arrays[cls.LEARNT[0]].shape[-1])
            return probe

        return pairs.read(path, made, form=FORMAT, what="probe", error=SourceError)

    def _learn(self, x: np.ndarray, y: np.ndarray, real: np.ndarray, groups: np.ndarray) -> None:
        raise NotImplementedError

    def _decide(self, x: np.ndarray, real: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def _checked(
        self, X: Any, mask: Any
    ) -> tuple[Float[np.ndarray, "example row d_model"], Bool[np.ndarray, "example row"]]:
        """Examples with zeros in the rows that are not real, and the mask."""
        x = np.asarray(X)
        if x.ndim != 3 or not len(x):
            raise ActivationError(
                f"examples of shape {x.shape}; this probe reads [example, row, d_model], several rows an "
                "example"
            )
        x = x if x.dtype == np.float32 else x.astype(np.float64)
        real = np.ones(x.shape[:2], bool) if mask is None else np.asarray(mask)
        if real.shape != x.shape[:2] or real.dtype != bool:
            raise ActivationError(
                f"mask of shape {real.shape} and type {real.dtype} for examples of shape {x.shape}; give "
                "True or False for every row [example, row]"
            )
        if self.rows == "layers" and not real.all():
            raise ActivationError(
                f"{int((~real).any(1).sum())} of {len(x)} examples lack rows; {type(self).__name__} reads "
                "all layers of every example: give those alone that have them"
            )
        if not real.any(1).all():
            raise ActivationError(
                f"{int((~real.any(1)).sum())} of {len(x)} examples have no real row; drop them"
            )
        x = np.where(real[..., None], x, x.dtype.type(0))
        check_finite(x)
        return x, real


def inner_folds(
    y: Int[np.ndarray, " example"], groups: np.ndarray, n_splits: int, *, seed: int
) -> Sequence[Split]:
    """Folds over whole groups, both classes on both sides, whatever the order of the examples.

    Raises:
        GroupError: fewer than two groups, or a fold without one of the classes.
    """
    levels, code = np.unique(groups, return_inverse=True)
    count = min(n_splits, len(levels))
    if count < 2:
        raise GroupError(
            f"{len(levels)} group of examples and {n_splits} folds: a fit that chooses something by itself "
            "needs two of each; give finer groups"
        )
    order = np.random.default_rng(seed).permutation(len(levels))
    share = np.bincount(code, weights=y) / np.bincount(code)
    fold = np.empty(len(levels), np.int64)
    fold[order[np.argsort(share[order], kind="stable")]] = np.arange(len(levels)) % count
    found = [Split(np.flatnonzero(fold[code] != k), np.flatnonzero(fold[code] == k)) for k in range(count)]
    for split in found:
        for side in (split.train, split.test):
            if y[side].min() == y[side].max():
                raise GroupError(
                    f"a fold over {len(levels)} groups holds one class only; use fewer folds (n_splits), or "
                    "groups that hold both classes"
                )
    return found
