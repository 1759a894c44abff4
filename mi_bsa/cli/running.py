"""What commands that write a run do alike, before its folder is made and where it is there already."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from activations import Model
    from mi_bsa.core.config import Config


def ready(settings: Any, out: Path, *, resume: bool, adapters: Mapping[str, Path] | None = None) -> Model:
    """The model of a config, loaded once the folder is seen to be free and all that is named to be there."""
    from mi_bsa.core import model_config, record
    from mi_bsa.finetune import preflight

    record.check_free(out, resume=resume)
    preflight.check(settings)
    return model_config.load(settings.model, adapters)


def finished(settings: Config, out: Path, *, resume: bool, revisions: Mapping[str, str]) -> bool:
    """Whether a run of this very config on these very data ended here before.

    Raises:
        RunFolderError: the folder may not be written to, whether it ended or not.
    """
    from mi_bsa.core.record import RunFolder, check_free

    check_free(out, resume=resume)
    if not (out / "results.json").is_file() or not (out / "config.yaml").is_file():
        return False
    record = RunFolder(out).record()
    last = record["invocations"][-1] if record["invocations"] else record
    same = (out / "config.yaml").read_text(encoding="utf-8") == settings.to_yaml()
    return same and last["revisions"] == dict(revisions)
