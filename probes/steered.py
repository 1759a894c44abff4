"""lm-evaluation-harness's steered-model file (`--model steered --model_args steer_path=X.pt`), written and
read.

The file maps a hookpoint (a module name below the base model, such as ``layers.12``) to a vector, a
coefficient, a bias and an action ("add" or "clamp"). This is the only file that reads a .pt, with
weights_only=True, which runs no code. lm-eval's "add" closes over its loop variable, so that with several
hookpoints only the last vector is used; therefore exactly one hookpoint is written, and a file with several
is refused at reading.
"""

from pathlib import Path

import numpy as np

from probes.directions import Direction
from probes.errors import DirectionError
from probes.source import Cell


def write_steered(
    direction: Direction,
    path: str | Path,
    *,
    coefficient: float | int,
    units: str = "site",
    action: str = "add",
    layers: str = "layers",
) -> Path:
    """Write one direction as a steered-model file.

    Args:
        direction: at ``resid_post.<layer>``, the output of a block, which is where lm-eval hooks.
        coefficient: strength, in units of the site's typical norm, or raw with units="raw".
        action: "add", or "clamp" (the projection is set to the coefficient).
        layers: name of the block list below the base model (``layers`` in Llama, ``h`` in GPT-2).

    Raises:
        DirectionError: another site, an unknown scale, or an existing file.
    """
    import torch

    cell, path = Cell.parse(direction.site), Path(path)
    if cell.site != "resid_post" or cell.layer is None:
        raise DirectionError(
            f"the direction lives at {direction.site}; lm-eval steers block outputs only: export one at "
            "resid_post.<layer>"
        )
    if action not in {"add", "clamp"} or units not in {"site", "raw"}:
        raise DirectionError(f"action {action!r} in units {units!r}; choose add or clamp, and site or raw")
    if path.suffix not in {".pt", ".pth"}:
        raise DirectionError(f"{path} must end in .pt; lm-eval tells the format by it")
    if path.exists():
        raise DirectionError(f"{path} exists already; choose another name")
    if units == "site":
        if direction.scale is None:
            raise DirectionError(
                "the direction has no scale (its site's typical norm); give the coefficient in units='raw'"
            )
        coefficient = coefficient * direction.scale
    entry = {
        "steering_vector": torch.from_numpy(direction.vector.astype(np.float32)),
        "steering_coefficient": float(coefficient),
        "action": action,
        "bias": None,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({f"{layers}.{cell.layer}": entry}, path)
    return path


def read_steered(path: str | Path) -> tuple[Direction, float, str]:
    """The direction, its raw coefficient and its action, from a steered-model file.

    The length of the stored vector goes into the coefficient; with "clamp", which ignores it, it does not.
    """
    import torch

    path = Path(path)
    if not path.is_file():
        raise DirectionError(f"{path} does not exist; give a steered-model .pt file")
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:
        raise DirectionError(
            f"{path} is no steered-model file ({type(error).__name__}); it must load without running code"
        ) from error
    if not isinstance(content, dict) or len(content) != 1:
        count = len(content) if isinstance(content, (dict, list)) else 0
        raise DirectionError(
            f"{path} holds {count} hookpoints; one a file is read, because lm-eval itself applies only the "
            "last"
        )
    ((hookpoint, entry),) = content.items()
    name, _, layer = str(hookpoint).rpartition(".")
    if (
        not layer.isdigit()
        or not isinstance(entry, dict)
        or not {"steering_vector", "steering_coefficient", "action"} <= set(entry)
    ):
        raise DirectionError(
            f"{path} has no block output at {hookpoint!r}; a hookpoint such as layers.12 is read"
        )
    if entry.get("bias") is not None:
        raise DirectionError(
            f"{path} steers around a bias (a sparse autoencoder's), which a direction does not hold; export "
            "without it"
        )
    vector = entry["steering_vector"].to(torch.float64).numpy().ravel()
    facts = {"method": "lm-eval steered file", "hookpoint": str(hookpoint)}
    direction = Direction(vector, f"resid_post.{int(layer)}", "as in the file", None, facts)
    strength = float(entry["steering_coefficient"])
    return direction, strength * (direction.length if entry["action"] == "add" else 1.0), str(entry["action"])
