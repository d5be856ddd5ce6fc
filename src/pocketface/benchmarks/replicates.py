"""The bootstrap replicates of a result's figures, kept so that two networks can be compared.

Two runs on one set with one seed draw the same people in the same order, so replicate r of one
belongs to replicate r of the other: their differences are the paired bootstrap, and no score is
needed. A file holds a thousand numbers per figure, whatever the size of the set.
"""

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pocketface import atomic
from pocketface.errors import DataError

Floats = npt.NDArray[np.float64]

FILE = "replicates.npz"
"""Its name beside a `report.json`."""


@dataclass(frozen=True)
class Replicates:
    """Each figure of a result, and its value in each bootstrap replicate.

    Attributes:
        data: content identity of the set, hexadecimal: what is compared must be measured on it.
        model: the network's fingerprint.
        drawn: what a replicate draws, as in `Intervals`.
        seed: of the draws.
        values: the figures by name, fractions.
        draws: float64 (R,) by the same names; NaN where a replicate has no such figure.
    """

    data: str
    model: str
    drawn: str
    seed: int
    values: dict[str, float]
    draws: dict[str, Floats]


def write_replicates(folder: Path, replicates: Replicates) -> Path:
    """Write `replicates.npz` into `folder`, whole or not at all; raises OSError if it cannot."""
    about = {
        "format": 1,
        "data": replicates.data,
        "model": replicates.model,
        "drawn": replicates.drawn,
        "seed": replicates.seed,
    }
    path = folder / FILE
    names = list(replicates.values)
    with atomic.atomic_path(path) as temporary, temporary.open("wb") as handle:
        np.savez(
            handle,
            about=np.array(json.dumps(about), np.str_),
            figures=np.array(names, np.str_),
            values=np.array([replicates.values[name] for name in names], np.float64),
            draws=np.stack([replicates.draws[name] for name in names]),
        )
    return path


def read_replicates(report: Path) -> Replicates:
    """The replicates beside a `report.json`. Raises DataError if there are none, or broken ones."""
    path = report.parent / FILE
    if not path.is_file():
        raise DataError(
            f"{path} is missing: a paired comparison needs the bootstrap replicates beside "
            f"{report.name}. Measure that network again, with --replicates above 0."
        )
    try:
        with np.load(path, allow_pickle=False) as content:
            about = json.loads(str(content["about"]))
            names = [str(name) for name in content["figures"]]
            values, draws = content["values"], content["draws"]
        if about.pop("format") != 1 or not len(names) == len(values) == len(draws):
            raise ValueError("another format")
        return Replicates(
            **about,
            values=dict(zip(names, values.tolist(), strict=True)),
            draws=dict(zip(names, draws, strict=True)),
        )
    except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path} is not a file of replicates: {error}. Measure that network again."
        ) from error
