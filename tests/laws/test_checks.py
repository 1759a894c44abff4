"""Law: a test run checks the types and shapes that signatures and dataclasses name."""

import numpy as np
import pytest

from activations import Site
from activations.maps import ratio_of_means
from mi_bsa.core.files import write_json


@pytest.mark.parametrize(
    "call",
    [
        lambda: write_json(5, {}),
        lambda: Site("resid_post", "1"),
        lambda: ratio_of_means(np.ones((3, 2)), np.ones(4)),
        lambda: ratio_of_means(np.ones((3, 2)), gap=np.ones(3), level="0.95"),
    ],
    ids=["a type", "a field", "two shapes", "a type beside shapes"],
)
def test_what_a_signature_does_not_allow_is_an_error(call):
    """Of a function without shapes, of a dataclass, of arrays that do not fit each other."""
    with pytest.raises(Exception, match=r"violates|Type-check error"):
        call()
