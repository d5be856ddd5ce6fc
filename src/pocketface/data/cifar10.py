"""CIFAR-10 in its binary version: six files of 10,000 records, and the names of ten classes.

A record is one byte, the label 0 to 9, then 3,072 bytes: 32 rows of 32 for red, then green, then
blue (https://www.cs.toronto.edu/~kriz/cifar.html, "Binary version"). The data set's other versions
are pickles and Matlab files, which are not read: a pickle may run any program.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pocketface import atomic
from pocketface.data.jpeg import encode_png
from pocketface.data.write_set import Layout, write_set
from pocketface.errors import DataError, RecipeError

SIDE = 32
RECORD = 1 + 3 * SIDE * SIDE
TRAINING = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
NAMES = "batches.meta.txt"
CLASSES = 10
MOST_BYTES = 10_000 * RECORD
"""Of a file: as many as the published ones have."""

_WANTED = "Fetch cifar-10-binary.tar.gz, unpack it, and give its folder cifar-10-batches-bin."


class Cifar10(NamedTuple):
    """The training images.

    Attributes:
        images: uint8 (N, 32, 32, 3) RGB.
        labels: int64 (N,), 0 to 9.
        names: of the classes.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    names: tuple[str, ...]


def read_cifar10(folder: Path) -> Cifar10:
    """Read the training images of CIFAR-10 from the folder of its binary version.

    Fewer than the five files are read as they are, so a part of the set can be used.

    Raises:
        DataError: if the folder holds another version, none of the files, or a file that is not a
            whole number of records, has a label above 9 or is too large.
    """
    files = [folder / name for name in TRAINING if (folder / name).is_file()]
    if not files:
        raise DataError(_why_none(folder))
    parts = [_read_records(file) for file in files]
    records = np.concatenate(parts)
    planes = records[:, 1:].reshape(-1, 3, SIDE, SIDE)
    return Cifar10(
        np.ascontiguousarray(planes.transpose(0, 2, 3, 1)),
        records[:, 0].astype(np.int64),
        _read_names(folder / NAMES),
    )


def write_cifar10(
    cifar: Cifar10,
    out: Path,
    layout: Layout,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Write the images as a training set, class by class, each as a PNG of 32x32.

    The folder `out` appears when it is whole. `progress` is told the images written and all.

    Raises RecipeError if `out` is there already, DataError if it cannot be written.
    """
    if out.exists():
        raise RecipeError(f"{out} is there already. Choose another folder, or delete it first.")
    present = np.flatnonzero(np.bincount(cifar.labels, minlength=CLASSES))
    counts = [int((cifar.labels == label).sum()) for label in present]
    names = [cifar.names[label] for label in present]
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as temporary:
            whole = Path(temporary) / "whole"
            write_set(whole, names, counts, _pngs(cifar, progress), layout)
            os.sync()  # once for all files
            whole.replace(out)
        atomic.sync_folder(out.parent)
    except OSError as error:
        raise DataError(
            f"{error.filename or out} cannot be written: {error.strerror}. Choose another place."
        ) from error


def _pngs(cifar: Cifar10, progress: Callable[[int, int], None]) -> Iterator[bytes]:
    order = np.argsort(cifar.labels, kind="stable")
    for done, index in enumerate(order, 1):
        yield encode_png(cifar.images[index])
        progress(done, len(order))


def _read_records(file: Path) -> npt.NDArray[np.uint8]:
    try:
        size = file.stat().st_size
        if not size or size % RECORD or size > MOST_BYTES:
            raise DataError(
                f"{file} has {size:,} bytes; a file of CIFAR-10's binary version has 1 to 10,000 "
                f"records of {RECORD:,} bytes. {_WANTED}"
            )
        records = np.fromfile(file, np.uint8)
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}. {_WANTED}") from error
    if records.size != size:
        raise DataError(f"{file} changed while it was read. Try again when it is whole.")
    records = records.reshape(-1, RECORD)
    beyond = np.flatnonzero(records[:, 0] >= CLASSES)
    if len(beyond):
        raise DataError(
            f"{file}: record {int(beyond[0]):,} has the label {int(records[beyond[0], 0])}; labels "
            f"are 0 to {CLASSES - 1}. CIFAR-100 is another set and is not read. {_WANTED}"
        )
    return records


def _read_names(file: Path) -> tuple[str, ...]:
    """The names of the classes, one in a line; the file may end with empty lines."""
    try:
        text = file.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file} cannot be read: {error}. {_WANTED}") from error
    names = tuple(line.strip() for line in text.splitlines() if line.strip())
    plain = all(name.replace("_", "").isalnum() for name in names)
    if len(names) != CLASSES or len(set(names)) != CLASSES or not plain:
        raise DataError(
            f"{file} must hold {CLASSES} different names of letters and digits, one in a line. "
            f"Got {len(names)} lines. {_WANTED}"
        )
    return names


def _why_none(folder: Path) -> str:
    if not folder.is_dir():
        return f"{folder}: no such folder. {_WANTED}"
    if (folder / "data_batch_1").is_file() or (folder / "batches.meta").is_file():
        return (
            f"{folder} holds the python version of CIFAR-10, whose files are pickles: these may "
            f"run any program and are never opened. {_WANTED}"
        )
    if (folder / "data_batch_1.mat").is_file():
        return f"{folder} holds the Matlab version of CIFAR-10. {_WANTED}"
    inner = folder / "cifar-10-batches-bin"
    if (inner / TRAINING[0]).is_file():
        return f"{folder}: the files are in the folder within. Give {inner}."
    return f"{folder} holds none of {', '.join(TRAINING)}. {_WANTED}"
