"""A network in two files: its description, and its weights in a `.bin` of the same name."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from pocketface.card import sha256_of
from pocketface.errors import WeightsError

WEIGHTS_KEY = "pocketface_weights_sha256"
"""The entry in a description of ours that says which `.bin` belongs to it."""


def weights_beside(path: Path) -> Path:
    """The `.bin` of the description `path`. Raises WeightsError if it is missing."""
    weights = path.with_suffix(".bin")
    if not weights.is_file():
        raise WeightsError(f"{path} has no {weights.name} beside it, its weights. Copy both.")
    return weights


def pair_sha256(path: Path, metadata: Mapping[str, str]) -> str:
    """The identity of both files, hexadecimal; `metadata` are the entries of the description.

    A description that names its weights speaks for both. In others' files nothing does, so that
    both count.

    Raises WeightsError if the weights are not those that the description names.
    """
    weights = weights_beside(path)
    own, theirs = sha256_of(path), sha256_of(weights)
    named = metadata.get(WEIGHTS_KEY)
    if named and named != theirs:
        raise WeightsError(
            f"{path} and {weights.name} are not of one export: one of them was changed or copied "
            "without the other. Put the matching pair together again."
        )
    if named:
        return own
    return hashlib.sha256(f"{own} {theirs}".encode()).hexdigest()
