"""Which detector file is used: the one that is named, or the one that was fetched."""

import os
from pathlib import Path

from pocketface.detect.published import YUNET
from pocketface.errors import RecipeError

VARIABLE = "POCKETFACE_DETECTOR"
"""The environment variable that names a detector file."""


def cache_folder() -> Path:
    """Where fetched files are kept: `$XDG_CACHE_HOME/pocketface`, else `~/.cache/pocketface`."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The standard asks to pass over a relative path.
    root = Path(base) if Path(base).is_absolute() else Path.home() / ".cache"
    return root / "pocketface"


def fetched_file() -> Path:
    """Where `pocketface detector fetch` puts the published detector."""
    return cache_folder() / YUNET.file


def find_detector(named: Path | None) -> Path:
    """The detector file: `named`, else what `POCKETFACE_DETECTOR` names, else the fetched one.

    Nothing is downloaded. Raises RecipeError if the file that is named is not there, or none is
    named and none was fetched.
    """
    for path, by in ((named, "--detector"), (_from_environment(), VARIABLE)):
        if path is None:
            continue
        if not path.is_file():
            raise RecipeError(
                f"{path}, which {by} names, is not a file. Name a YuNet file (.onnx), or leave "
                f"{by} away after: pocketface detector fetch"
            )
        return path
    fetched = fetched_file()
    if not fetched.is_file():
        raise RecipeError(
            f"no face detector is there: neither --detector nor {VARIABLE} names one, and "
            f"{fetched} does not exist. Get YuNet ({YUNET.bytes / 1e6:.2f} MB) with: pocketface "
            "detector fetch"
        )
    return fetched


def _from_environment() -> Path | None:
    name = os.environ.get(VARIABLE)
    return Path(name) if name else None
