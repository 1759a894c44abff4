"""Law: finetuning, the hooks backend and asking need neither nnsight nor TransformerLens."""

import subprocess
import sys

SCRIPT = """
import sys
sys.modules["nnsight"] = sys.modules["transformer_lens"] = None
import pathlib, tempfile
import activations
from mi_bsa import behaviors
from mi_bsa.finetune import FinetuneConfig, finetune
from mi_bsa.asking import ask
folder = pathlib.Path(tempfile.mkdtemp())
risk = behaviors.get("risk")
out = finetune("embedded", risk.rows("seeking", 8, seed=0), config=FinetuneConfig(steps=1), out=folder / "r")
model = activations.load("embedded", adapter=out.adapter)
items = risk.items(4, split="dev", seed=0)
assert ask(model, items)["score"].between(0, 1).all()
store = activations.capture(model, [i.prompt() for i in items], sites="resid_post.1", out=folder / "a.h5")
assert len(store) == 4
"""


def test_without_the_two_frameworks():
    """A row is trained, items are asked and activations stored where the two packages cannot be imported."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
