"""Batches of faces, in an order that depends on the seed and the epoch alone.

A sampler gives the global batches of an epoch; a process takes its share of each. So a run gives
the same batches however many processes share it, and a resumed run goes on in the middle of an
epoch as if it had never stopped.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pocketface.data import Faces
from pocketface.data.jpeg import decode_rgb
from pocketface.embedding.resize import resize_faces
from pocketface.errors import DataError, RecipeError
from pocketface.train.augment import AugmentConfig, AugmentPlan, draw_plan
from pocketface.train.batch_memory import BatchMemory
from pocketface.train.sampler import Indices, Sampler
from pocketface.train.stop import deaf_to_stops


@dataclass(frozen=True)
class LoadedBatch:
    """One process's share of a batch, on the CPU, not yet augmented.

    Attributes:
        images: uint8 (n, S, S, 3) RGB.
        labels: int64 (n,).
        indices: int64 (n,), positions in the training set.
        plan: how each image is to be augmented.
        weight: what a mean over this share counts for where the means of all processes are
            averaged, so that every image of the global batch counts alike; see `Share`.
    """

    images: Tensor
    labels: Tensor
    indices: Tensor
    plan: AugmentPlan
    weight: float = 1.0


@dataclass(frozen=True)
class Share:
    """Which part of every global batch this process takes: the `rank`-th of `world`.

    The parts differ by one image at most; where the batch divides evenly they are equal.
    """

    rank: int = 0
    world: int = 1

    def rows(self, global_batch: int) -> slice:
        """The rows of a global batch that are this process's; all processes' in turn are all."""
        first, end = (each * global_batch // self.world for each in (self.rank, self.rank + 1))
        return slice(first, end)

    def images(self, global_batch: int) -> int:
        """How many these are."""
        rows = self.rows(global_batch)
        return len(range(rows.start, rows.stop))

    def weight(self, global_batch: int) -> float:
        """How many images this share has, over those of a mean share; 1 where all are equal."""
        return self.images(global_batch) * self.world / global_batch


class FaceImages(Dataset[npt.NDArray[np.uint8]]):
    """Decoded faces of one size, a batch at a time; what cannot be decoded is left out."""

    def __init__(self, faces: Faces, image_size: int) -> None:
        self.faces = faces
        self.image_size = image_size
        self._blocks = BatchMemory()

    def __len__(self) -> int:
        return len(self.faces)

    def __getitems__(self, indices: Sequence[int]) -> tuple[npt.NDArray[np.uint8], list[str]]:
        """The images that can be read (n, S, S, 3), and for each index why it cannot be, or ""."""
        block = self._blocks.take((len(indices), self.image_size, self.image_size, 3))
        faults: list[str] = []
        rows = 0
        for index in indices:
            faults.append(self.read_into(index, block[rows]))
            rows += faults[-1] == ""
        return self._blocks.lend(block, rows), faults

    def read_into(self, index: int, out: npt.NDArray[np.uint8]) -> str:
        """Put image `index` into `out` (S, S, 3); gives why it cannot be read, or ""."""
        try:
            pixels = decode_rgb(self.faces.encoded(index), f"image {index}", out)
            if pixels is not out:
                out[:] = resize_faces(pixels[None], self.image_size)[0]
        except DataError as error:
            # Its name is asked for only now: for most images it would be made in vain.
            return f"{self.faces.name(index)}: {error}"
        return ""


class FaceLoader:
    """Gives the batches of any epoch, from any step on.

    An image that cannot be decoded, or is not square, is left out of its batch, and its name and
    the reason are kept in `unreadable`. The batches are the same whether the images come from
    memory, from this process or from workers.

    Args:
        faces: the training set.
        image_size: S, in pixels.
        global_batch: images per step, over all processes.
        seed: of order and augmentation.
        augment: what is drawn for each image.
        share: this process's part.
        balanced_share: how much of a batch are groups of a person; see SamplerConfig.
        per_person: images of such a group.
        workers: decoding processes; 0 decodes in this one.
        in_memory: decode everything once, now, and keep it.
        pin_memory: whether batches go to a GPU.
        progress: hears how many images were decoded into memory.

    Raises:
        RecipeError: if the set holds fewer images than one global batch, a process would get
            fewer than two, images would be shifted by their whole size, or the groups cannot be
            had.
    """

    def __init__(
        self,
        faces: Faces,
        *,
        image_size: int,
        global_batch: int,
        seed: int,
        augment: AugmentConfig,
        share: Share = Share(),
        balanced_share: float = 0.0,
        per_person: int = 4,
        workers: int = 0,
        in_memory: bool = False,
        pin_memory: bool = False,
        progress: Callable[[int], None] = lambda images: None,
    ) -> None:
        self.images = FaceImages(faces, image_size)
        self.labels = np.asarray(faces.labels, np.int64)
        self.global_batch = global_batch
        self.seed = seed
        self.augment = augment
        self.share = share
        self.workers = workers
        self.pin_memory = pin_memory
        self._worker_shares: list[list[int]] = []
        self._worker_batches: DataLoader[Any] | None = None
        self.memory: npt.NDArray[np.uint8] | None = None
        self.faults: dict[int, str] = {}
        self.unreadable: set[str] = set()
        if len(faces) < self.global_batch:
            raise RecipeError(
                f"the training set has {len(faces)} images, fewer than one batch of "
                f"{self.global_batch}. Lower batch_size or add images."
            )
        if self.global_batch < 2 * share.world:
            raise RecipeError(
                f"a batch of {self.global_batch} images is too small for {share.world} processes: "
                "each needs two images, for batch normalisation. Start at most "
                f"{self.global_batch // 2} processes."
            )
        if augment.shift >= image_size:
            raise RecipeError(
                f"augment.shift must be less than the image size, {image_size} pixels. "
                f"Got {augment.shift} instead."
            )
        self.sampler = Sampler(self.labels, self.global_batch, seed, balanced_share, per_person)
        if in_memory:
            self._decode_all(progress)

    @property
    def steps(self) -> int:
        """Steps per epoch; the images that do not fill a last batch wait for another epoch."""
        return self.sampler.steps

    @property
    def identity(self) -> dict[str, int | str]:
        """What decides the batches besides the recipe: a resumed run must find it unchanged.

        The images' bytes are not read for it.
        """
        return {
            "global batch": self.global_batch,
            "images": len(self.labels),
            "labels": hashlib.sha256(self.labels.tobytes()).hexdigest()[:16],
        }

    def epoch(self, epoch: int, start: int = 0) -> Iterator[LoadedBatch]:
        """The batches of `epoch` (0-based) from step `start` on.

        Raises:
            DataError: if fewer than two images of a batch can be read: batch normalisation needs
                two.
        """
        rows = self.share.rows(self.global_batch)
        weight = self.share.weight(self.global_batch)
        steps = range(start, self.steps)
        shares = [batch[rows] for batch in self.sampler.batches(epoch, start)]
        if self.memory is not None:
            read = self._from_memory(self.memory, shares)
        else:
            read = self._from_workers(shares) if self.workers else self._from_disk(shares)
        for step, indices, (images, faults) in zip(steps, shares, read, strict=True):
            # Counted from 1, since NumPy takes (seed, epoch, 0) for the order's (seed, epoch).
            rng = np.random.default_rng((self.seed, epoch, step + 1))
            plan = draw_plan(self.augment, rng, self.global_batch).part(rows)
            if any(faults):
                readable = np.flatnonzero([fault == "" for fault in faults])
                self.unreadable.update(fault for fault in faults if fault)
                if len(readable) < 2:
                    raise DataError(
                        f"only {len(readable)} of the {len(indices)} images of a batch can be "
                        f"read, and training needs two. The first: {next(filter(None, faults))}"
                    )
                indices, plan = indices[readable], plan.part(readable)
            if self.pin_memory and not images.is_pinned():  # workers' batches are pinned already
                images = images.pin_memory()
            labels = torch.from_numpy(self.labels[indices])
            yield LoadedBatch(images, labels, torch.from_numpy(indices), plan, weight)

    def _from_memory(
        self, memory: npt.NDArray[np.uint8], shares: Sequence[Indices]
    ) -> Iterator[tuple[Tensor, list[str]]]:
        for indices in shares:
            faults = [self.faults.get(int(index), "") for index in indices]
            readable = indices[[fault == "" for fault in faults]]
            yield torch.from_numpy(memory[readable]), faults

    def _from_disk(self, shares: Sequence[Indices]) -> Iterator[tuple[Tensor, list[str]]]:
        for indices in shares:
            yield _as_tensor(self.images.__getitems__(indices.tolist()))

    def _from_workers(self, shares: Sequence[Indices]) -> Iterator[tuple[Tensor, list[str]]]:
        self._worker_shares[:] = [indices.tolist() for indices in shares]
        if self._worker_batches is None:
            self._worker_batches = DataLoader(
                self.images,
                batch_sampler=self._worker_shares,
                num_workers=self.workers,
                collate_fn=_as_tensor,
                pin_memory=self.pin_memory,
                # Forked workers inherit the threads' locks of libraries such as onnxruntime. To
                # spawn one takes seconds, so they stay from epoch to epoch.
                multiprocessing_context="spawn",
                persistent_workers=True,
            )
        with deaf_to_stops():
            batches = iter(self._worker_batches)
        yield from batches

    def _decode_all(self, progress: Callable[[int], None]) -> None:
        size = self.images.image_size
        memory = np.zeros((len(self.images), size, size, 3), np.uint8)
        # The decoder releases the interpreter's lock, so threads share the work.
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            faults = pool.map(self.images.read_into, range(len(memory)), memory)
            for index, fault in enumerate(faults):
                if fault:
                    self.faults[index] = fault
                progress(1)
        self.unreadable.update(self.faults.values())
        self.memory = memory


def _as_tensor(batch: Any) -> tuple[Tensor, list[str]]:
    # What FaceImages.__getitems__ gave; torch believes it to be a list of items.
    images, faults = batch
    return torch.from_numpy(images), faults
