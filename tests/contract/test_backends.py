"""Every backend passes the same suite, on every family, with and without LoRA, and with eager and sdpa
attention."""

from pathlib import Path

import pytest

import activations
from activations import backends, testing
from activations.errors import BackendError
from activations.locating import locate


@pytest.fixture(scope="module", params=[*testing.FAMILIES, "embedded"])
def eager(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> activations.Model:
    """A tiny random model of each family, and the embedded one, with an adapter and eager attention."""
    root: Path = tmp_path_factory.mktemp(request.param)
    if request.param != "embedded":
        return testing.tiny(root, request.param)
    try:
        base = locate("embedded")
    except Exception as error:
        pytest.skip(f"the embedded model's weights are not in this checkout ({error})")
    return activations.load(base, adapter=testing.build_adapter(root / "adapter", base), attention="eager")


@pytest.fixture
def model(eager: activations.Model) -> activations.Model:
    """Each of them."""
    return eager


class TestHooks(testing.BackendContract):
    """The reference."""

    backend = "hooks"


class TestNnsight(testing.BackendContract):
    """nnsight in this process."""

    backend = "nnsight"


@pytest.fixture(scope="module")
def bridged(eager: activations.Model) -> activations.Model:
    """The model, where TransformerLens knows its family."""
    try:
        backends.get("transformer_lens").bridge(eager)  # type: ignore[attr-defined]
    except BackendError as error:
        pytest.skip(str(error))
    return eager


class TestTransformerLens(testing.BackendContract):
    """A TransformerBridge over the same weights."""

    backend = "transformer_lens"

    @pytest.fixture
    def model(self, bridged: activations.Model) -> activations.Model:
        """Each family that it knows."""
        return bridged


@pytest.fixture(scope="module")
def sdpa(tmp_path_factory: pytest.TempPathFactory) -> activations.Model:
    """A tiny Llama with sdpa attention."""
    root = tmp_path_factory.mktemp("sdpa")
    base = testing.build(root / "base")
    return activations.load(base, adapter=testing.build_adapter(root / "adapter", base))


class TestSdpa(testing.BackendContract):
    """TransformerLens forces eager attention; against sdpa the values still agree within the tolerance."""

    backend = "transformer_lens"

    @pytest.fixture
    def model(self, sdpa: activations.Model) -> activations.Model:
        """Attention as users load it."""
        return sdpa


class TestRemote(testing.BackendContract):
    """nnsight through the serialization that NDIF uses, run here."""

    backend = "nnsight"
    remote = "local"

    @pytest.fixture
    def model(self, sdpa: activations.Model) -> activations.Model:
        """One family is enough for the transport."""
        return sdpa
