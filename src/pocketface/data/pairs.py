"""Verification pairs: which two images to compare, and whether they show one person."""

import hashlib
import mmap
import os
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
import numpy.typing as npt

from pocketface import atomic
from pocketface.data.jpeg import decode_rgb, encode_png
from pocketface.data.pair_lists import read_pair_list
from pocketface.data.unpickle import unpickle
from pocketface.errors import DataError

EncodedOrPixels = bytes | npt.NDArray[np.uint8]
"""An encoded image, or its pixels as uint8 (H, W, 3) RGB."""


@dataclass(frozen=True)
class PairSet:
    """Pairs over images that are held once each, so that each is embedded once.

    `images` are encoded bytes or uint8 (H, W, 3) RGB, `names` what to call them in a message.
    `left` and `right` are int64 (P,) positions in `images`; `same` is bool (P,). The pairs lie in
    `folds` contiguous folds. Raises DataError if these do not fit together.
    """

    images: Sequence[EncodedOrPixels]
    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    same: npt.NDArray[np.bool_]
    names: Sequence[str]
    folds: int = 10

    def __post_init__(self) -> None:
        pairs = len(self.same)
        if not (len(self.left) == len(self.right) == pairs and len(self.names) == len(self.images)):
            raise DataError(
                f"a set of pairs with {len(self.left)} left and {len(self.right)} right images, "
                f"{pairs} answers, {len(self.images)} images and {len(self.names)} names: "
                "the first three must be equal, and the last two."
            )
        if pairs == 0:
            raise DataError("a set of pairs without a pair. Give at least one.")
        positions = np.concatenate([self.left, self.right])
        if positions.min() < 0 or positions.max() >= len(self.images):
            raise DataError(
                f"a pair points to image {positions.max()} (or {positions.min()}), "
                f"but there are {len(self.images)} images, from 0."
            )
        if not 1 <= self.folds <= pairs:
            raise DataError(f"{self.folds} folds of {pairs} pairs: give 1 to {pairs} folds.")

    def __len__(self) -> int:
        """The number of pairs."""
        return len(self.same)

    def pixels(self, i: int) -> npt.NDArray[np.uint8]:
        """Image `i` as uint8 (H, W, 3) RGB. Raises DataError, naming it, if it is broken."""
        image = self.images[i]
        return decode_rgb(image, self.names[i]) if isinstance(image, bytes) else np.array(image)

    def fingerprint(self) -> str:
        """Content identity (sha256, hexadecimal): the pairs in order, and every image's bytes.

        Names and paths do not count. Raises DataError if an image cannot be read.
        """
        digest = hashlib.sha256(f"{len(self)} {self.folds} {len(self.images)} ".encode())
        for numbers in (self.left, self.right, self.same):
            digest.update(np.ascontiguousarray(numbers).tobytes())
        for position in range(len(self.images)):
            image = self.images[position]
            content = image if isinstance(image, bytes) else image.tobytes()
            shape = "" if isinstance(image, bytes) else str(image.shape)
            digest.update(f"{len(content)} {shape} ".encode())
            digest.update(content)
        return digest.hexdigest()


class ImageFiles(Sequence[bytes]):
    """Files of a folder, read when they are asked for."""

    def __init__(self, root: Path, names: Sequence[str]) -> None:
        self.root = root
        self.names = names

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, i: int) -> bytes: ...
    @overload
    def __getitem__(self, i: slice) -> "ImageFiles": ...
    def __getitem__(self, i: int | slice) -> "bytes | ImageFiles":
        if isinstance(i, slice):
            return ImageFiles(self.root, self.names[i])
        path = self.root / self.names[i]
        try:
            return path.read_bytes()
        except OSError as error:
            raise DataError(
                f"{path}: cannot read the image: {error.strerror}. "
                "It was there when the pairs were loaded: restore it and run again."
            ) from error


def load_pairs(path: Path, images: Path | None = None) -> PairSet:
    """Load pairs from a `.bin`, or from a list of pairs over the folder `images`.

    A `.bin` is a pickle of (2N images, N booleans), pair k being images 2k and 2k + 1; it is read
    without running it. A list is LFW's `pairs.txt`, or .json, .tsv or .csv (see
    `read_pair_list`). Raises DataError if the file is broken or an image is missing.
    """
    if not path.is_file():
        raise DataError(
            f"{path}: no such file. Give a .bin, or a list of pairs (.txt, .json, .tsv, .csv)."
        )
    if path.suffix == ".bin":
        if images is not None:
            raise DataError(f"{path} holds its own images: leave the folder {images} away.")
        return _load_bin(path)
    if images is None:
        raise DataError(f"{path} is a list of names: give the folder of its images too.")
    if not images.is_dir():
        raise DataError(f"{images}: no such folder. Give the folder of the images of {path}.")
    return _load_list(path, images)


def _load_bin(path: Path) -> PairSet:
    try:
        with path.open("rb") as handle:
            if os.fstat(handle.fileno()).st_size == 0:
                raise DataError(f"{path}: the file is empty. Copy it again.")
            with mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
                content = unpickle(data, str(path))
    except OSError as error:
        raise DataError(f"{path}: cannot read the file: {error.strerror}.") from error
    if not isinstance(content, tuple | list) or len(content) != 2:
        raise _not_a_bin(path, "its pickle is not (images, answers)")
    encoded, answers = content
    if isinstance(answers, np.ndarray) and answers.ndim == 1:
        answers = answers.tolist()
    if not isinstance(encoded, tuple | list) or not isinstance(answers, tuple | list):
        raise _not_a_bin(path, "images and answers are not lists")
    if len(encoded) != 2 * len(answers):
        raise _not_a_bin(path, f"it has {len(encoded)} images for {len(answers)} answers")
    if not answers:
        raise _not_a_bin(path, "it has no pairs")
    if not all(isinstance(answer, int) and answer in (0, 1) for answer in answers):
        raise _not_a_bin(path, "an answer is not a boolean")
    images: list[EncodedOrPixels] = []
    names: list[str] = []
    seen: dict[tuple[bytes, object], int] = {}
    order = np.empty(len(encoded), dtype=np.int64)
    for position, item in enumerate(encoded):
        image = _image_of(path, position, item)
        key = (image, None) if isinstance(image, bytes) else (image.tobytes(), image.shape)
        if key not in seen:
            seen[key] = len(images)
            images.append(image)
            names.append(f"{path.name} image {position}")
        order[position] = seen[key]
    same = np.array(answers, dtype=np.bool_)
    return PairSet(images, order[0::2], order[1::2], same, names, min(10, len(same)))


def _image_of(path: Path, position: int, item: object) -> EncodedOrPixels:
    if isinstance(item, bytes):
        return item
    if isinstance(item, np.ndarray) and item.dtype == np.uint8:
        if item.ndim == 3 and item.shape[2] == 3:
            return item
        # Encoded bytes in an array: (n,), or (n, 1) as OpenCV gives them.
        if item.size == max(item.shape, default=0):
            return item.tobytes()
    kind = f"{item.dtype} {item.shape}" if isinstance(item, np.ndarray) else type(item).__name__
    raise _not_a_bin(path, f"image {position} is {kind}, not bytes or a uint8 array")


def _not_a_bin(path: Path, reason: str) -> DataError:
    return DataError(
        f"{path}: not a verification file: {reason}. It must hold a list of 2N encoded images and "
        "a list of N booleans; `pocketface data make-bin` writes one."
    )


def _load_list(path: Path, root: Path) -> PairSet:
    pairs = read_pair_list(path)
    position: dict[str, int] = {}
    names: list[str] = []
    missing: list[str] = []
    order = np.empty((len(pairs.entries), 2), dtype=np.int64)
    for row, entry in enumerate(pairs.entries):
        for side, asked in enumerate((entry.left, entry.right)):
            if asked not in position:
                found = pairs.find(root, asked)
                if found is None:
                    missing.append(f"{entry.place}: {asked}")
                position[asked] = len(names)
                names.append(found or asked)
            order[row, side] = position[asked]
    if missing:
        shown = "; ".join(missing[:5]) + ("; ..." if len(missing) > 5 else "")
        raise DataError(
            f"{path}: {len(missing):,} of its {len(names):,} images are not in {root}: {shown}. "
            "Give the folder that the names are relative to. Leaving pairs out would change "
            "the benchmark."
        )
    same = np.array([entry.same for entry in pairs.entries], dtype=np.bool_)
    left, right = np.ascontiguousarray(order.T)
    return PairSet(ImageFiles(root, names), left, right, same, names, pairs.folds)


def save_bin(pairs: PairSet, path: Path) -> None:
    """Write `pairs` as a verification `.bin`, whole or not at all.

    It is a pickle (protocol 4) of (2P encoded images in the order of the pairs, P booleans), as
    the field's tools read it. Encoded images are written as they are, pixels as PNG. The fold
    count is not part of the format. Raises DataError if an image cannot be read.
    """
    encoded = [image if isinstance(image, bytes) else encode_png(image) for image in pairs.images]
    order = np.stack([pairs.left, pairs.right], axis=1).reshape(-1)
    content = ([encoded[i] for i in order.tolist()], pairs.same.tolist())
    with atomic.atomic_path(path) as temporary, temporary.open("wb") as handle:
        pickle.dump(content, handle, protocol=4)
