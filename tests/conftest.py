"""Shared fixtures. beartype comes first: nnsight patches `object`; the other order crashes at collection."""

import beartype  # isort: skip
import functools
import gc
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any

import jaxtyping
import pytest
from jaxtyping._decorator import _destring_annotation

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("MI_BSA_MEASURE", "0")  # seconds of work in every dry run would be minutes
gc.set_threshold(20_000, 20, 50)  # else a sixth of the imports' time goes into looking for garbage

WITH_SHAPES = jaxtyping.jaxtyped


def checks(fn: Any = None, *, typechecker: Any) -> Any:
    """What jaxtyping's import hook puts on functions and dataclasses: a function that checks its types, made
    when it is first called.
    """
    if fn is None:
        return functools.partial(checks, typechecker=typechecker)
    if inspect.isclass(fn):
        own = vars(fn).get("__init__")
        if hasattr(fn, "__dataclass_fields__") and isinstance(own, FunctionType):
            fn.__init__ = checks(own, typechecker=typechecker)
        return fn
    if not isinstance(fn, FunctionType) or hasattr(fn, "__no_type_check__"):
        return WITH_SHAPES(fn, typechecker=typechecker)
    made: list[Any] = []

    @functools.wraps(fn)
    def checked(*args: Any, **kwargs: Any) -> Any:
        if not made:
            made.append(_make(fn, typechecker))
        return made[0](*args, **kwargs)

    return checked


def _make(fn: Any, typechecker: Any) -> Any:
    """jaxtyping's own where the signature names a shape; where none does beartype alone, which makes the same
    checks in a tenth of the time.
    """
    written = fn.__annotations__
    hints = {name: _destring_annotation(hint, fn.__globals__) for name, hint in written.items()}
    if any("jaxtyping" in repr(hint) for hint in hints.values()):
        return WITH_SHAPES(fn, typechecker=typechecker)
    try:
        fn.__annotations__ = hints
        return beartype.beartype(fn)
    except Exception:  # a hint that beartype reads inside its class only
        return WITH_SHAPES(fn, typechecker=typechecker)
    finally:
        fn.__annotations__ = written


jaxtyping.jaxtyped = checks


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that read the smallest runs stand together, in front: several workers share them in long pieces,
    and who needs a run that another is just making can only wait for it.
    """
    items.sort(key=lambda item: "smallest" not in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def smallest(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """`smallest(name)`: the smallest config of a study as data (`given`), and the folder of its finished run
    (`finished`), made once; nobody writes there.
    """
    from smallest import Smallest

    here = tmp_path_factory.getbasetemp()
    shared = (here.parent if "PYTEST_XDIST_WORKER" in os.environ else here) / "smallest"
    shared.mkdir(exist_ok=True)
    return functools.cache(lambda name: Smallest(name, shared, tmp_path_factory.mktemp(name)))


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """The real chat model in float32: SmolLM2-135M-Instruct, dequantized from 4 bits; skips where it cannot
    be had.
    """
    import real

    return _or_skip(real.smollm2)


@pytest.fixture(scope="session")
def real_tokenizer() -> Callable[[str], Path]:
    """`real_tokenizer(name)`: the folder of a real tokenizer, one of `llama3_1`, `qwen3`, `gemma3`; skips
    where it cannot be had.
    """
    import real

    return functools.cache(lambda name: _or_skip(functools.partial(real.tokenizer, name)))


@pytest.fixture(scope="session")
def real_vocabulary(
    real_tokenizer: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """`real_vocabulary(name)`: a tiny random model of that vocabulary, in the Hub's format, beside the real
    tokenizer.
    """
    import real

    from activations.testing_real import build_beside

    @functools.cache
    def build(name: str) -> Path:
        words = real_tokenizer(name)
        return build_beside(tmp_path_factory.mktemp("real") / name, words, family=real.FAMILY[name])

    return build


def _or_skip(get: Callable[[], Path]) -> Path:
    """What `get` gives, or a skip that says why it could not be had; a fault of ours is still an error."""
    from mi_bsa.core.errors import MiBsaError

    try:
        return get()
    except MiBsaError as error:
        pytest.skip(str(error))
