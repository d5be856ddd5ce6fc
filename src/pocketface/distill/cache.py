"""Teacher embeddings on disk, image and mirror, so that a teacher's work is done once.

A cache is a folder named after the teacher's and the data's fingerprints. It holds shards of
float16 (2, n, D), first the images, then their mirrors; `cache.json` says how the images are
divided. Beside each shard lies its sha256, as `sha256sum -c` reads it, written last: a shard
without it is not there. So several processes can fill one cache, and filling goes on where it was
stopped. Older caches have all checksums in `cache.json`; they are read as they are.
"""

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pocketface import atomic
from pocketface.card import sha256_of
from pocketface.distill.mapped import MappedEmbeddings
from pocketface.distill.teacher import FaceBatch, Outputs, Teacher
from pocketface.errors import DataError

_INDEX = "cache.json"
_LEAST = 1024
"""Images of a shard at least, so that the files do not get too small."""
_MOST_SHARDS = 512
"""A mapped file is an open one, and 1,024 of those are what a system usually allows."""


def images_per_shard(images: int) -> int:
    """How a new cache divides so many images."""
    return max(_LEAST, -(-images // _MOST_SHARDS))


@dataclass
class EmbeddingCache:
    """A cache of one teacher's embeddings of one training set.

    Attributes:
        folder: where it lies.
        images: how many images the training set has.
        embedding_size: D.
        shard_images: images per shard.
    """

    folder: Path
    images: int
    embedding_size: int
    shard_images: int
    _listed: dict[int, str] = field(default_factory=dict, repr=False)

    @classmethod
    def open(cls, folder: Path, images: int, embedding_size: int) -> "EmbeddingCache":
        """Open, or begin, the cache in `folder`; its shards' bytes are not looked at yet.

        Raises:
            DataError: if what lies there is a cache of something else, or none.
        """
        index = folder / _INDEX
        if not index.is_file():
            return cls(folder, images, embedding_size, images_per_shard(images))
        stored = _read_index(index)
        expected = {"images": images, "embedding_size": embedding_size}
        found = {name: stored.get(name) for name in expected}
        if found != expected:
            raise DataError(
                f"{index} is a cache of {found}, but the teacher and the data give {expected}. "
                "Delete the folder; it is made again."
            )
        listed = {int(number): str(each) for number, each in stored["shards"].items()}
        return cls(folder, images, embedding_size, int(stored["shard_images"]), listed)

    @property
    def shards(self) -> int:
        """How many shards a full cache has."""
        return -(-self.images // self.shard_images)

    @property
    def missing(self) -> list[int]:
        """The shards that are still to be computed, as the disk has them now."""
        return [number for number in range(self.shards) if not self.holds(number)]

    def holds(self, number: int) -> bool:
        """Whether shard `number` is there, with its checksum."""
        listed = number in self._listed or self._checksum_path(number).is_file()
        return listed and self.shard_path(number).is_file()

    def span(self, number: int) -> range:
        """The images of shard `number`, by their position in the training set."""
        start = number * self.shard_images
        return range(start, min(start + self.shard_images, self.images))

    def shard_path(self, number: int) -> Path:
        """Where shard `number` lies."""
        return self.folder / f"shard_{number:05d}.npy"

    def check(self, numbers: Iterable[int]) -> list[int]:
        """Read these shards, as far as they are there, and remove what does not fit its checksum.

        Gives the numbers of those, which are missing now.
        """
        there = [number for number in numbers if self.holds(number)]
        # Hashing lets the interpreter's lock go.
        with ThreadPoolExecutor() as pool:
            sound = list(pool.map(self._is_sound, there))
        broken = [number for number, good in zip(there, sound, strict=True) if not good]
        for number in broken:
            self.shard_path(number).unlink(missing_ok=True)
        return broken

    def add(self, number: int, shard: npt.NDArray[np.float16]) -> None:
        """Write shard `number` (2, n, D), whole or not at all; nobody else may be writing it."""
        index = self.folder / _INDEX
        if not index.is_file():
            named = ("images", "embedding_size", "shard_images")
            content = {name: getattr(self, name) for name in named}
            atomic.write_text(index, json.dumps(content, indent=1) + "\n")
        path, checksum = self.shard_path(number), self._checksum_path(number)
        for abandoned in self.folder.glob(f"{path.name}{atomic.TEMPORARY}*"):
            abandoned.unlink()  # by a process that was killed
        # The old one first: at no time may it stand beside another shard than its own.
        checksum.unlink(missing_ok=True)
        with atomic.atomic_path(path) as temporary, temporary.open("wb") as file:
            np.save(file, shard)
        atomic.write_text(checksum, f"{sha256_of(path)}  {path.name}\n")

    def _checksum_path(self, number: int) -> Path:
        return self.folder / f"shard_{number:05d}.npy.sha256"

    def _is_sound(self, number: int) -> bool:
        path = self._checksum_path(number)
        try:
            told = path.read_text(encoding="ascii").split()[:1] if path.is_file() else []
            return sha256_of(self.shard_path(number)) == (told or [self._listed[number]])[0]
        except (OSError, ValueError, KeyError):
            return False


class CachedTeacher(Teacher):
    """A teacher whose embeddings of the images (as stored, and mirrored) were computed before.

    It knows nothing of other augmentations: where a recipe has them, the student sees the
    augmented image and the target belongs to the plain one.

    Raises:
        DataError: if shards are missing; from `targets` too, if one is cut short meanwhile.
    """

    def __init__(self, cache: EmbeddingCache) -> None:
        missing = cache.missing
        if missing:
            raise DataError(
                f"the cache in {cache.folder} lacks {len(missing)} of {cache.shards} shards. "
                "Fill it before training."
            )
        self.cache = cache
        self.embedding_size = cache.embedding_size
        self.embeddings = MappedEmbeddings(
            [cache.shard_path(number) for number in range(cache.shards)],
            [(2, len(cache.span(number)), cache.embedding_size) for number in range(cache.shards)],
            cache.shard_images,
        )

    def targets(self, batch: FaceBatch) -> Outputs:
        """Embeddings (N, D), float32, on the device of the batch's images."""
        rows = self.embeddings.gather(batch.indices.numpy(), batch.mirrored.numpy())
        halves, device = torch.from_numpy(rows), batch.images.device
        if device.type == "cuda":
            halves = halves.pin_memory()
        return Outputs(halves.to(device, non_blocking=True).float())


def _read_index(path: Path) -> dict[str, Any]:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        shards = stored.setdefault("shards", {})
        if int(stored["shard_images"]) < 1:
            raise ValueError(f"shard_images is {stored['shard_images']}")
        for number, checksum in shards.items():
            int(number)
            bytes.fromhex(checksum)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} is not the index of an embedding cache ({error}). "
            "Delete the folder; it is made again."
        ) from error
    return dict(stored)
