"""From a recipe's words on distillation to a teacher that can be asked."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from pocketface.data import Faces
from pocketface.data.jpeg import decode_rgb
from pocketface.distill import (
    CachedTeacher,
    DistillConfig,
    EmbeddingCache,
    LiveTeacher,
    MultiStepTeacher,
    Teacher,
    teacher_files,
)
from pocketface.embedding.load import load_embedder
from pocketface.embedding.resize import resize_faces
from pocketface.errors import DataError, RecipeError
from pocketface.models.weights import load_backbone
from pocketface.train.log import Screen

_CACHE_BATCH = 256


def create_teacher(
    config: DistillConfig,
    faces: Faces,
    *,
    embedding_size: int,
    device: torch.device,
    fill: bool = True,
    quiet: bool = False,
) -> Teacher:
    """Build the teacher of a run; caches that are not full are filled first, with progress.

    Args:
        config: the recipe's section.
        faces: the training set.
        embedding_size: the student's; the teacher's must be equal.
        device: where a live teacher works.
        fill: whether this process may write caches; the others wait for it.
        quiet: print nothing.

    Raises:
        RecipeError: if a teacher's file is missing, or its embeddings have another size.
    """
    steps = [_one(path, config, faces, device, fill, quiet) for path in teacher_files(config)]
    teacher = MultiStepTeacher(steps) if config.multi_step else steps[0]
    if teacher.embedding_size != embedding_size:
        raise RecipeError(
            f"the teacher {config.teacher} gives embeddings of {teacher.embedding_size} numbers, "
            f"the student of {embedding_size}. "
            f"Set model.embedding_size: {teacher.embedding_size}, or choose another teacher."
        )
    return teacher


def _one(
    path: Path,
    config: DistillConfig,
    faces: Faces,
    device: torch.device,
    fill: bool,
    quiet: bool,
) -> Teacher:
    if config.cache is None:
        if path.suffix == ".onnx":
            raise RecipeError(
                f"the teacher {path} is an ONNX file, which teaches from cached embeddings only. "
                "Name a folder for them with --cache."
            )
        backbone, card = load_backbone(path)
        return LiveTeacher(backbone.to(device), card.preprocessing)
    embedder = load_embedder(path, config.preprocessing)
    cache = EmbeddingCache.open(config.cache, embedder, faces.fingerprint(), len(faces))
    if fill and cache.missing:
        screen = Screen(
            f"embedding the training set with {path.name}", len(faces), 0, "images", quiet
        )
        try:
            cache.fill(embedder, lambda span: _batches(faces, span), screen.advance)
        finally:
            screen.close()
    return CachedTeacher(cache)


def _batches(faces: Faces, span: range) -> Iterator[npt.NDArray[np.uint8]]:
    """Decoded images of `span`, in order, as they stand on disk if all have one size.

    An image that cannot be decoded is grey: the loader never asks for its embedding.
    """
    side = 0
    for start in range(span.start, span.stop, _CACHE_BATCH):
        images = []
        for index in range(start, min(start + _CACHE_BATCH, span.stop)):
            try:
                pixels = decode_rgb(faces.encoded(index), faces.name(index))
            except DataError:
                pixels = np.full((max(side, 112), max(side, 112), 3), 127, np.uint8)
            side = side or pixels.shape[0]
            images.append(resize_faces(pixels[None], side)[0])
        yield np.stack(images)
