"""Batches of both halves of a search's images, as the searched network sees them."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Literal

import numpy as np
import torch

from pocketface.data import Faces
from pocketface.models.normalise import normalise
from pocketface.preprocessing import Preprocessing
from pocketface.search.config import SearchConfig
from pocketface.search.split import Indices, split_faces
from pocketface.search.step import Batch
from pocketface.train.augment import AugmentConfig, augment
from pocketface.train.loader import FaceLoader, LoadedBatch

Half = Literal["weights", "architecture"]

_READERS = 4
"""Threads that decode; the decoder lets them work at once."""


class HalvesLoader:
    """Gives the batches of both halves, in an order that depends on the seed and the epoch alone.

    Images of the weights' half are read `margin` pixels larger on each side, mirrored half of the
    time, and cropped at random; a shift by up to the margin, then the middle, is such a crop.
    Those of the architecture's half are seen whole, as they are.

    Args:
        config: of the search.
        faces: all images; each is of somebody.
        device: where the batches go.
        progress: hears how many images were decoded into memory.

    Raises:
        DataError: as `split_faces`.
        RecipeError: if a half is smaller than a batch.
    """

    def __init__(
        self,
        config: SearchConfig,
        faces: Faces,
        device: torch.device,
        progress: Callable[[int], None] = lambda images: None,
    ) -> None:
        self.device = device
        self.margin = config.margin
        self.batch_size = config.batch_size
        size = config.supernet.image_size
        self.preprocessing = Preprocessing(image_size=size)
        first, second = split_faces(faces, config.seed, config.batch_size)
        # The halves are sorted alike: with one seed, both batches would show the same people.
        other_seed = int(np.random.SeedSequence((config.seed, 1)).generate_state(1)[0])
        plans = {
            "weights": (first, size + 2 * config.margin, config.seed, config.margin, config.mirror),
            "architecture": (second, size, other_seed, 0, False),
        }
        self.loaders: dict[str, FaceLoader] = {
            half: FaceLoader(
                part,
                image_size=pixels,
                global_batch=config.batch_size,
                seed=seed,
                augment=AugmentConfig(mirror=mirror, shift=shift),
                workers=config.data.workers,
                in_memory=config.data.in_memory,
                pin_memory=device.type == "cuda",
                progress=progress,
            )
            for half, (part, pixels, seed, shift, mirror) in plans.items()
        }

    @property
    def steps(self) -> int:
        """Steps per epoch: whole batches of the smaller half."""
        return min(loader.steps for loader in self.loaders.values())

    @property
    def identity(self) -> dict[str, int | str]:
        """What decides the batches besides the settings; the images' bytes are not read for it."""
        return {
            f"{name} ({half} half)": value
            for half, loader in self.loaders.items()
            for name, value in loader.identity.items()
        }

    @property
    def unreadable(self) -> set[str]:
        """Images that could not be read so far, and why."""
        return set().union(*(loader.unreadable for loader in self.loaders.values()))

    def epoch(
        self, epoch: int, start: int = 0, *, held_out: bool = True
    ) -> Iterator[tuple[Batch, Batch | None]]:
        """The batches of `epoch` (0-based) from step `start` on: of the weights', of the other.

        Args:
            epoch: which.
            start: the first step.
            held_out: whether the architecture's half takes part; else None stands for its batches.

        Raises:
            DataError: if fewer than two images of a batch can be read.
        """
        steps = max(0, self.steps - start)
        training = islice(self.loaders["weights"].epoch(epoch, start), steps)
        if not held_out:
            for batch in training:
                yield self._training(batch), None
            return
        judging = islice(self.loaders["architecture"].epoch(epoch, start), steps)
        for batch, other in zip(training, judging, strict=True):
            yield self._training(batch), self._batch(other.images, other.labels)

    def as_they_are(self, half: Half, indices: Indices) -> Batch | None:
        """Chosen images of a half without augmentation; None if none of them can be read.

        Of the weights' half the middle is seen.
        """
        loader = self.loaders[half]
        if loader.memory is not None:
            readable = np.array([int(index) not in loader.faults for index in indices], dtype=bool)
            pixels = loader.memory[indices[readable]]
        else:
            images = loader.images
            size = images.image_size
            pixels = np.empty((len(indices), size, size, 3), np.uint8)
            with ThreadPoolExecutor(_READERS) as pool:
                faults = list(pool.map(images.read_into, indices.tolist(), pixels))
            loader.unreadable.update(fault for fault in faults if fault)
            readable = np.array([not fault for fault in faults], dtype=bool)
            pixels = pixels[readable]
        if not len(pixels):
            return None
        images_of = torch.from_numpy(pixels)
        labels = torch.from_numpy(loader.labels[indices[readable]])
        return self._batch(self._middle(images_of) if half == "weights" else images_of, labels)

    def _training(self, loaded: LoadedBatch) -> Batch:
        images = loaded.images.to(self.device, non_blocking=True)
        images = augment(images, loaded.plan, self.loaders["weights"].augment)
        return self._batch(self._middle(images), loaded.labels)

    def _middle(self, images: torch.Tensor) -> torch.Tensor:
        end = images.shape[1] - self.margin
        return images[:, self.margin : end, self.margin : end]

    def _batch(self, images: torch.Tensor, labels: torch.Tensor) -> Batch:
        images = images.to(self.device, non_blocking=True)
        return normalise(images, self.preprocessing), labels.to(self.device, non_blocking=True)
