"""Every registered family keeps the laws, and what is known of one stands in its record alone."""

import re
from pathlib import Path

import pytest

import activations
from activations import families, testing
from activations.errors import ModelError


@pytest.fixture(scope="module", params=testing.FAMILIES)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> activations.Model:
    """A tiny random model of each family with an adapter."""
    return testing.tiny(tmp_path_factory.mktemp(request.param), request.param)


class TestFamilies(testing.FamilyLaws):
    """All of them."""


ASKS = re.compile(
    r"model_type\"?\]?\s*(==|!=|\bin\b|\bnot in\b)|isinstance\([^)]*ForCausalLM|hasattr\([^)]*_norm"
)


def test_nobody_else_asks_for_a_models_type() -> None:
    """A branch on a type, a class or an attribute of some families is a record that was not written."""
    root = Path(activations.__file__).parents[1]
    found = [
        f"{path.relative_to(root)}:{number}"
        for package in ("activations", "probes", "mi_bsa")
        for path in (root / package).rglob("*.py")
        if path.parent.name != "families"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if ASKS.search(line)
    ]
    assert not found


def test_an_unknown_type_is_refused_with_those_that_are_known() -> None:
    """By its configuration, before any weight is read."""
    from transformers import GPT2Config

    with pytest.raises(ModelError, match=r"'gpt2' is not known .* llama"):
        families.of(GPT2Config())
