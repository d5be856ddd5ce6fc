"""The cached teachers of a run: found, checked, and filled by all processes together."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from pocketface.card import read_card
from pocketface.data import Faces
from pocketface.distill import EmbeddingCache, LiveTeacher, Precision, Task, Views, fill
from pocketface.distill.filling import Pixels
from pocketface.embedding.embedder import Embedder, fingerprint_of
from pocketface.errors import StoppedError
from pocketface.train.loader import FaceImages
from pocketface.train.log import Screen

_BATCH = 256
_KEPT_BYTES = 2**30
"""Memory for decoded images that several teachers look at, at most, or one shard's."""


@dataclass(frozen=True)
class TeacherFile:
    """What must be known of a teacher before its cache can be found.

    Attributes:
        path: its file.
        fingerprint: what identifies the network and its preprocessing.
        embedding_size: D.
        image_size: in pixels; it sees images of this size.
        load: opens it.
    """

    path: Path
    fingerprint: str
    embedding_size: int
    image_size: int
    load: Callable[[], Embedder]


def identify(path: Path, load: Callable[[], Embedder]) -> TeacherFile:
    """What a teacher is, without building its network if a card says it; the card is checked."""
    card = read_card(path) if path.suffix == ".safetensors" else None
    if card is None:
        embedder = load()
        fingerprint, preprocessing = embedder.fingerprint, embedder.preprocessing
        size = embedder.embedding_size
    else:
        fingerprint = fingerprint_of(card.sha256, card.preprocessing)
        size, preprocessing = card.embedding_size, card.preprocessing
    return TeacherFile(path, fingerprint, size, preprocessing.image_size, load)


def open_caches(
    teachers: Sequence[TeacherFile],
    root: Path,
    faces: Faces,
    fabric: Fabric,
    open_live: Callable[[Embedder], LiveTeacher],
    *,
    precision: Precision = "32-true",
    batch: int | None = None,
    quiet: bool = False,
) -> list[EmbeddingCache]:
    """The caches of these teachers, in order, checked and filled; all processes call it together.

    Each process checks its part of the shards. What is missing or broken is computed by whichever
    process is free, so `root` must be a folder that all of them see.

    Args:
        teachers: what is known of each.
        root: where caches lie.
        faces: the training set.
        fabric: device and processes.
        open_live: makes a torch network ready to work on the device; others work as they are.
        precision: of the networks' arithmetic; each has its own cache.
        batch: images that a network looks at together; none: 256.
        quiet: print nothing.

    Raises:
        DataError: if a folder is no cache of these, or the teacher's numbers are no embeddings.
        StoppedError: if Ctrl-C came; what is full stays.
    """
    data = faces.fingerprint()
    arithmetic = "" if precision == "32-true" else f"-{precision}"
    caches = [
        EmbeddingCache.open(
            root / f"{each.fingerprint[:16]}-{data[:16]}{arithmetic}",
            len(faces),
            each.embedding_size,
        )
        for each in teachers
    ]
    own = (range(fabric.global_rank, cache.shards, fabric.world_size) for cache in caches)
    found = sum(len(cache.check(part)) for cache, part in zip(caches, own, strict=True))
    # The sum is for the screen; that all have checked their parts is for what follows.
    broken: Any = fabric.all_reduce(torch.tensor(found, device=fabric.device), reduce_op="sum")
    both = zip(teachers, caches, strict=True)
    # By folder: two checkpoints may be the same.
    lacking = {cache.folder: (each, cache) for each, cache in both if cache.missing}
    if not lacking:
        return caches
    images = sum(len(cache.span(n)) for _, cache in lacking.values() for n in cache.missing)
    title = f"embedding the training set with {_named([each for each, _ in lacking.values()])}"
    total = len(lacking) * len(faces)
    screen = Screen(title, total, total - images, "images", quiet)
    if broken:
        screen.say(f"broken parts of the cache, which are made again: {int(broken)}")
    try:
        for (side, shard_images), group in _alike(list(lacking.values())).items():
            tasks = [Task(cache, _opener(each, open_live, fabric.device)) for each, cache in group]
            fits = _KEPT_BYTES // (shard_images * side * side * 3)
            fair = group[0][1].shards // (4 * fabric.world_size)
            fill(
                tasks,
                partial(read_faces, faces, side, batch or _BATCH),
                at_once=max(1, min(fits, fair)),
                progress=screen.advance,
            )
    except KeyboardInterrupt as interrupt:
        shards = sum(cache.shards for cache in caches)
        missing = sum(len(cache.missing) for cache in caches)
        raise StoppedError(
            f"stopped; {shards - missing} of {shards} parts of the teacher's embeddings are kept "
            f"in {root}. The same command goes on."
        ) from interrupt
    finally:
        screen.close()
    return caches


def _named(teachers: Sequence[TeacherFile]) -> str:
    first = teachers[0].path.name
    return first if len(teachers) == 1 else f"{first} and {len(teachers) - 1} more"


def _alike(
    lacking: Sequence[tuple[TeacherFile, EmbeddingCache]],
) -> dict[tuple[int, int], list[tuple[TeacherFile, EmbeddingCache]]]:
    """Grouped by the size of the images that they see, and by the images of a shard."""
    groups: dict[tuple[int, int], list[tuple[TeacherFile, EmbeddingCache]]] = {}
    for each, cache in lacking:
        groups.setdefault((each.image_size, cache.shard_images), []).append((each, cache))
    return groups


def _opener(
    teacher: TeacherFile, open_live: Callable[[Embedder], LiveTeacher], device: torch.device
) -> Callable[[], Views]:
    def open_teacher() -> Views:
        embedder = teacher.load()
        if not hasattr(embedder, "backbone"):
            return lambda images: views_of(embedder, images)
        live = open_live(embedder)
        return lambda images: live_views(live, images, device)

    return open_teacher


def views_of(embedder: Embedder, images: Pixels) -> Tensor:
    """Embeddings (2, n, D) of images and mirrors, by any runtime, on the CPU."""
    mirrors = np.ascontiguousarray(images[:, :, ::-1])
    return torch.from_numpy(np.stack([embedder.embed(images), embedder.embed(mirrors)]))


def live_views(teacher: LiveTeacher, images: Pixels, device: torch.device) -> Tensor:
    """The same by a torch network, on its device; nothing waits for the device here."""
    pixels = torch.from_numpy(images)
    if device.type == "cuda":
        pixels = pixels.pin_memory().to(device, non_blocking=True)
    return torch.stack([teacher.look(each).embeddings for each in (pixels, pixels.flip(2))])


def read_faces(faces: Faces, side: int, batch: int, span: range) -> Iterator[Pixels]:
    """The images of `span`, in order, resized as the teacher would resize each of them.

    Threads decode the next batches meanwhile. An image that cannot be used is grey: the loader
    never asks for its embedding.
    """
    images = FaceImages(faces, side)

    def decode(indices: range) -> Pixels:
        pixels = np.empty((len(indices), side, side, 3), np.uint8)
        for row, index in zip(pixels, indices, strict=True):
            if images.read_into(index, row):
                row[:] = 127
        return pixels

    workers = os.cpu_count() or 1
    ahead: deque[Future[Pixels]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for start in range(0, len(span), batch):
                ahead.append(pool.submit(decode, span[start : start + batch]))
                if len(ahead) > workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()
