"""Estimators agree with independent references; what all must keep stands in `probes.testing`."""

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, Ridge

from probes import (
    ActivationError,
    DifferencePCA,
    LabelError,
    LDAProbe,
    LeaceEraser,
    LogisticProbe,
    MeanDifferenceProbe,
    RidgeProbe,
    Slices,
)


def blobs(seed=0, n=240, d=10, classes=2):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    x = rng.normal(size=(n, d)) * np.linspace(0.5, 3, d) + 5
    x[:, 0] += 1.5 * y
    x[:, 1] -= y**2
    return x, y


def test_streaming_logistic_of_several_classes():
    """A streamed multinomial probe predicts as the batch one does."""
    x, y = blobs(classes=3)
    one, other = (
        LogisticProbe(C=0.1).fit(x, y),
        LogisticProbe(C=0.1).fit_stream([(x[:100], y[:100]), (x[100:], y[100:])]),
    )
    np.testing.assert_allclose(one.predict_proba(x), other.predict_proba(x), atol=1e-4)


def test_logistic_equals_scikit_learn():
    """The probe in raw coordinates is scikit-learn's on standardized rows."""
    x, y = blobs()
    z = (x - x.mean(0)) / x.std(0)
    reference = LogisticRegression(C=0.1, tol=1e-8, max_iter=5000).fit(z, y)
    np.testing.assert_allclose(
        LogisticProbe(C=0.1).fit(x, y).decision_function(x), reference.decision_function(z), atol=1e-3
    )


def test_lda_equals_scikit_learn():
    """LDA on running moments equals scikit-learn's least-squares solver with the same shrinkage."""
    x, y = blobs(classes=3)
    reference = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1).fit(x, y)
    np.testing.assert_allclose(LDAProbe().fit(x, y).coef_, reference.coef_, rtol=1e-6)
    np.testing.assert_allclose(LDAProbe().fit(x, y).intercept_, reference.intercept_, rtol=1e-6)


def test_ridge_equals_scikit_learn():
    """Ridge equals scikit-learn's on standardized rows."""
    x, y = blobs()
    z = (x - x.mean(0)) / x.std(0)
    np.testing.assert_allclose(RidgeProbe(alpha=3).fit(x, y).predict(x), Ridge(alpha=3).fit(z, y).predict(z))


def test_leace_leaves_nothing_and_moves_little():
    """After erasure class means agree, no linear probe beats the majority, and a coarser erasure moves rows
    more."""
    x, y = blobs(n=400)
    eraser = LeaceEraser().fit(x, y)
    erased = eraser.transform(x)
    np.testing.assert_allclose(erased[y == 0].mean(0), erased[y == 1].mean(0), atol=1e-8)
    assert np.abs(LogisticRegression(C=1e6).fit(erased, y).coef_).max() < 1e-3
    gap = x[y == 1].mean(0) - x[y == 0].mean(0)
    unit = gap / np.linalg.norm(gap)
    projected = x - np.outer((x - x.mean(0)) @ unit, unit)
    assert ((erased - x) ** 2).sum() < ((projected - x) ** 2).sum()
    np.testing.assert_allclose(eraser.removal_ @ eraser.removal_, eraser.removal_, atol=1e-8)
    assert eraser.rank_ == 1
    assert LeaceEraser().fit(*blobs(classes=3)).rank_ == 2


def test_pca_says_what_share_it_explains():
    """All of a single axis, and of isotropic rows the inverse of their width."""
    rng = np.random.default_rng(0)
    axis = np.outer(rng.normal(size=50), np.eye(5)[1])
    assert DifferencePCA().fit(axis).explained_[0] == pytest.approx(1)
    assert DifferencePCA().fit(rng.normal(size=(20_000, 5))).explained_[0] == pytest.approx(0.2, abs=0.01)


def test_bad_input():
    """Slices that can be read once only, a third class and infinite slices are refused with the remedy."""
    x, y = blobs()
    with pytest.raises(LabelError, match=r"give a list or probes\.moments\.Slices"):
        LogisticProbe().fit_stream(iter([(x, y)]))
    with pytest.raises(LabelError, match="pass rows of two classes"):
        MeanDifferenceProbe().fit(*blobs(classes=3))
    x[7, 2] = np.inf
    with pytest.raises(ActivationError, match=r"rows \[7\]"):
        MeanDifferenceProbe().fit_stream(Slices(lambda rows: x[rows], y))
