"""Build one embedded model into a folder: `mi-bsa embedded build`."""

import shutil
from collections import deque
from pathlib import Path

from mi_bsa.core.errors import RunFolderError
from mi_bsa.core.files import write_json
from mi_bsa.core.plain_files import read_json
from mi_bsa.core.progress import Progress
from mi_bsa.worlds.recipe import BuildConfig
from mi_bsa.worlds.weights import RECORD, built_with, save

BEGUN = "build.json"
"""In the folder of checkpoints: the config of the build that writes them."""


def build(config: BuildConfig, out: Path, *, resume: bool = False) -> Path:
    """Pretrain and save; returns the folder. A killed build goes on from its last checkpoint with `resume`.

    Raises:
        RunFolderError: `out` exists and `resume` is False, or holds anything but a build of this config.
    """
    if out.exists() and not resume:
        raise RunFolderError(f"{out}: exists already; give another --out, or continue it with --resume")
    checkpoints = out / "checkpoint"
    if out.exists() and _is_finished(out, checkpoints, config):
        return out
    write_json(checkpoints / BEGUN, config.dump())
    import torch

    from mi_bsa.worlds.pretrain import pretrain

    torch.set_num_threads(config.threads)
    losses: deque[float] = deque(maxlen=100)
    with Progress("pretraining", float(config.recipe.steps)) as progress:

        def each(step: int, loss: float, _: object) -> None:
            losses.append(loss)
            if step % 20 == 0:
                progress.advance(20.0, f"loss on answers {sum(losses) / len(losses):.3f}")

        model, tokenizer = pretrain(
            config.shape, config.recipe, seed=config.seed, each=each, checkpoints=checkpoints
        )
    recipe = config.recipe
    save(out, model, tokenizer, config, tokens=recipe.steps * recipe.rows * recipe.row)
    shutil.rmtree(checkpoints, ignore_errors=True)
    return out


def _is_finished(out: Path, checkpoints: Path, config: BuildConfig) -> bool:
    """Whether this config's model is there already. Raises `RunFolderError` where anything else is."""
    if not out.is_dir():
        raise RunFolderError(f"{out}: exists and is a file; give another --out")
    begun = checkpoints / BEGUN
    if begun.is_file():
        if read_json(begun, remedy="give another --out") != config.dump():
            raise RunFolderError(f"{out}: is being built with another config; give that, or another --out")
        return False
    if (out / RECORD).is_file() and built_with(out) == config:
        return True
    if any(out.iterdir()):
        raise RunFolderError(f"{out}: is not empty and no build of this config; give another --out")
    return False
