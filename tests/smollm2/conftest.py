"""The real model, loaded once a session, and the scripts of `benchmarks/` whose claims are held here."""

import sys
from pathlib import Path

import pytest

import activations

# scripts, not a package: they import each other by name, and tests import them
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))


@pytest.fixture(scope="session")
def real(smollm2: Path) -> activations.Model:
    """SmolLM2-135M-Instruct, dequantized from 4 bits, in float32; nobody changes it."""
    return activations.load(smollm2, device="cpu")
