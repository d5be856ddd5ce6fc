"""Teacher embeddings on disk, image and mirror, so that a teacher's work is done once.

A cache is a folder named after the teacher's and the data's fingerprints. It holds shards of
float16 (2, n, D), first the images, then their mirrors, and `cache.json` with each shard's
sha256. A shard is written whole or not at all, so filling goes on where it was stopped, and a
shard that no longer fits its checksum is computed again.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from pocketface import atomic
from pocketface.card import sha256_of
from pocketface.distill.teacher import FaceBatch, Outputs, Teacher
from pocketface.errors import DataError

SHARD_IMAGES = 16_384
_INDEX = "cache.json"


class ImageEmbedder(Protocol):
    """The part of an Embedder that a cache needs."""

    @property
    def embedding_size(self) -> int:
        """D."""

    @property
    def fingerprint(self) -> str:
        """What identifies the network and its preprocessing."""

    def embed(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Embeddings (N, D) of uint8 (N, H, W, 3) RGB images."""


@dataclass
class EmbeddingCache:
    """A cache of one teacher's embeddings of one training set.

    Attributes:
        folder: where it lies.
        images: how many images the training set has.
        embedding_size: D.
        shard_images: images per shard.
        checksums: sha256 by shard number, of the shards that are complete.
    """

    folder: Path
    images: int
    embedding_size: int
    shard_images: int = SHARD_IMAGES
    checksums: dict[int, str] = field(default_factory=dict)
    _mapped: dict[int, npt.NDArray[np.float16]] = field(default_factory=dict, repr=False)

    @classmethod
    def open(
        cls, root: Path, embedder: ImageEmbedder, data_fingerprint: str, images: int
    ) -> "EmbeddingCache":
        """Open, or begin, the cache of `embedder` on the data with this fingerprint.

        Shards that are missing, or that do not fit their checksum, are left for `fill`.
        """
        key = f"{embedder.fingerprint[:16]}-{data_fingerprint[:16]}"
        cache = cls(root / key, images, embedder.embedding_size)
        index = cache.folder / _INDEX
        if not index.is_file():
            return cache
        stored = _read_index(index)
        expected = {"images": images, "embedding_size": embedder.embedding_size}
        found = {name: stored.get(name) for name in expected}
        if found != expected:
            raise DataError(
                f"{index} is a cache of {found}, but the teacher and the data give {expected}. "
                "Delete the folder; it is made again."
            )
        cache.shard_images = int(stored["shard_images"])
        for number, checksum in stored["shards"].items():
            path = cache.shard_path(int(number))
            if path.is_file() and sha256_of(path) == checksum:
                cache.checksums[int(number)] = checksum
        return cache

    @property
    def shards(self) -> int:
        """How many shards a full cache has."""
        return -(-self.images // self.shard_images)

    @property
    def missing(self) -> list[int]:
        """The shards that are still to be computed."""
        return [number for number in range(self.shards) if number not in self.checksums]

    def span(self, number: int) -> range:
        """The images of shard `number`, by their position in the training set."""
        start = number * self.shard_images
        return range(start, min(start + self.shard_images, self.images))

    def shard_path(self, number: int) -> Path:
        """Where shard `number` lies."""
        return self.folder / f"shard_{number:05d}.npy"

    def fill(
        self,
        embedder: ImageEmbedder,
        read: Callable[[range], Iterator[npt.NDArray[np.uint8]]],
        progress: Callable[[int], None] = lambda images: None,
    ) -> None:
        """Compute the missing shards.

        Args:
            embedder: the teacher.
            read: gives the images of a range of the training set, in order, as batches of uint8
                (n, H, W, 3).
            progress: hears how many images each batch held.

        Raises:
            DataError: if the teacher gives numbers that float16 cannot hold, or `read` gives
                fewer images than asked for.
        """
        for number in self.missing:
            span = self.span(number)
            shard = np.empty((2, len(span), self.embedding_size), np.float16)
            done = 0
            for batch in read(span):
                for mirror, view in enumerate((batch, batch[:, :, ::-1])):
                    embeddings = embedder.embed(np.ascontiguousarray(view))
                    with np.errstate(over="ignore"):
                        shard[mirror, done : done + len(batch)] = embeddings
                done += len(batch)
                progress(len(batch))
            if done != len(span):
                raise DataError(f"expected {len(span)} images from {span.start} on, read {done}.")
            broken = np.flatnonzero(~np.isfinite(shard).all(axis=(0, 2)))
            if len(broken):
                raise DataError(
                    f"the teacher's embeddings of {len(broken):,} of {len(span):,} images hold NaN "
                    f"or numbers beyond float16's 65,504, first of image {span[broken[0]]:,} of "
                    "the training set. Check the teacher's weights and its preprocessing."
                )
            self._write(number, shard)

    def gather(
        self, indices: npt.NDArray[np.int64], mirrored: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.float32]:
        """Embeddings float32 (N, D) of the images at `indices`, mirrored where so said."""
        result = np.empty((len(indices), self.embedding_size), np.float32)
        shards = indices // self.shard_images
        for number in np.unique(shards):
            rows = np.flatnonzero(shards == number)
            block = self._shard(int(number))
            within = indices[rows] - number * self.shard_images
            result[rows] = block[mirrored[rows].astype(np.intp), within]
        return result

    def _shard(self, number: int) -> npt.NDArray[np.float16]:
        # A batch is spread over all shards: opening them anew at each step would cost as much.
        if number not in self._mapped:
            self._mapped[number] = np.load(self.shard_path(number), mmap_mode="r")
        return self._mapped[number]

    def _write(self, number: int, shard: npt.NDArray[np.float16]) -> None:
        with atomic.atomic_path(self.shard_path(number)) as temporary, temporary.open("wb") as file:
            np.save(file, shard)
        self._mapped.pop(number, None)
        self.checksums[number] = sha256_of(self.shard_path(number))
        index = {
            "images": self.images,
            "embedding_size": self.embedding_size,
            "shard_images": self.shard_images,
            "shards": {str(key): value for key, value in sorted(self.checksums.items())},
        }
        atomic.write_text(self.folder / _INDEX, json.dumps(index, indent=1) + "\n")


class CachedTeacher(Teacher):
    """A teacher whose embeddings of the images (as stored, and mirrored) were computed before.

    It knows nothing of other augmentations: where a recipe has them, the student sees the
    augmented image and the target belongs to the plain one.
    """

    def __init__(self, cache: EmbeddingCache) -> None:
        if cache.missing:
            raise DataError(
                f"the cache in {cache.folder} lacks {len(cache.missing)} of {cache.shards} shards. "
                "Fill it before training."
            )
        self.cache = cache
        self.embedding_size = cache.embedding_size

    def targets(self, batch: FaceBatch) -> Outputs:
        """Embeddings (N, D), float32, on the device of the batch's images."""
        embeddings = self.cache.gather(batch.indices.numpy(), batch.mirrored.numpy())
        return Outputs(torch.from_numpy(embeddings).to(batch.images.device, non_blocking=True))


def _read_index(path: Path) -> dict[str, Any]:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        shards = stored["shards"]
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
