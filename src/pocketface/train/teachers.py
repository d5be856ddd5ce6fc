"""From a recipe's words on distillation to a teacher that can be asked."""

import contextlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from pocketface.card import ModelCard, card_path, read_card
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
from pocketface.embedding.embedder import Embedder
from pocketface.embedding.load import load_embedder
from pocketface.embedding.resize import resize_faces
from pocketface.embedding.self_description import UndescribedError
from pocketface.embedding.torch_embedder import TorchEmbedder
from pocketface.errors import DataError, RecipeError, StoppedError
from pocketface.models import outline_model
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
        embedding_size: the student's; the teacher's must be equal if the loss compares the two and
            no projection joins them.
        device: where a live teacher works.
        fill: whether this process may write caches; the others wait for it.
        quiet: print nothing.

    Raises:
        RecipeError: if a teacher's file is missing or not described, or its embeddings have
            another size; before anything is computed.
        WeightsError: if a teacher's file is broken.
        StoppedError: if Ctrl-C came while a cache was filled; what is full stays.
    """
    paths = teacher_files(config)
    if config.cache is not None:
        cached = [_cached(path, config, faces, embedding_size, fill, quiet) for path in paths]
        if not config.multi_step:
            return cached[0]
        return MultiStepTeacher(
            [partial(_same, teacher) for teacher in cached], cached[0].embedding_size
        )
    if not config.multi_step:
        return _live(paths[0], config, embedding_size, device)
    cards = [_check_milestone(path, config, embedding_size) for path in paths]
    stages: tuple[int, ...] = ()
    if config.needs_stages:
        stages = outline_model(cards[0].architecture, **cards[0].options).stage_channels
    return MultiStepTeacher(
        [partial(_live, path, config, embedding_size, device) for path in paths],
        cards[0].embedding_size,
        stages,
    )


def _same(teacher: Teacher) -> Teacher:
    return teacher


def _live(
    path: Path, config: DistillConfig, embedding_size: int, device: torch.device
) -> LiveTeacher:
    if path.suffix == ".onnx":
        raise RecipeError(
            f"the teacher {path} is an ONNX file, which teaches from cached embeddings only. "
            "Name a folder for them with --cache."
        )
    embedder = _load(path, config)
    assert isinstance(embedder, TorchEmbedder)
    _check_size(path, config, embedder.embedding_size, embedding_size)
    return LiveTeacher(
        embedder.backbone.to(device), embedder.preprocessing, stages=config.needs_stages
    )


def _cached(
    path: Path,
    config: DistillConfig,
    faces: Faces,
    embedding_size: int,
    fill: bool,
    quiet: bool,
) -> CachedTeacher:
    assert config.cache is not None
    embedder = _load(path, config)
    _check_size(path, config, embedder.embedding_size, embedding_size)
    cache = EmbeddingCache.open(config.cache, embedder, faces.fingerprint(), len(faces))
    if fill and cache.missing:
        done = len(faces) - sum(len(cache.span(number)) for number in cache.missing)
        screen = Screen(
            f"embedding the training set with {path.name}", len(faces), done, "images", quiet
        )
        side = embedder.preprocessing.image_size
        try:
            cache.fill(embedder, lambda span: _batches(faces, span, side), screen.advance)
        except KeyboardInterrupt as interrupt:
            raise StoppedError(
                f"stopped; {cache.shards - len(cache.missing)} of {cache.shards} parts of the "
                f"teacher's embeddings are kept in {cache.folder}. The same command goes on."
            ) from interrupt
        finally:
            screen.close()
    return CachedTeacher(cache)


def _load(path: Path, config: DistillConfig) -> Embedder:
    """Open a teacher's file; a foreign one is described by the recipe."""
    if not card_path(path).is_file():
        if config.preprocessing is None:
            try:
                # An exported file describes itself.
                return load_embedder(path, architecture=config.architecture)
            except UndescribedError as error:
                raise RecipeError(
                    f"the teacher {path} has no card ({card_path(path).name}) that says its "
                    "preprocessing. Say it, for example the field's usual one: --set "
                    "'distill.preprocessing={image_size: 112, mean: [0.5, 0.5, 0.5], "
                    "std: [0.5, 0.5, 0.5]}'"
                ) from error
        if path.suffix in (".pt", ".pth") and config.architecture is None:
            raise RecipeError(
                f"the teacher {path} is a state dict, which does not say its network. Name it: "
                "--set distill.architecture=NAME; `pocketface models` lists the names."
            )
    return load_embedder(path, config.preprocessing, architecture=config.architecture)


def _check_milestone(path: Path, config: DistillConfig, embedding_size: int) -> ModelCard:
    """Find a broken milestone before the run starts, not in the epoch that needs it."""
    card = read_card(path)
    if card is None:
        raise RecipeError(
            f"the teacher's {path} has no card {card_path(path).name} beside it. Copy the "
            "milestones with their cards."
        )
    _check_size(path, config, card.embedding_size, embedding_size)
    return card


def _check_size(path: Path, config: DistillConfig, theirs: int, ours: int) -> None:
    if config.projection == "pca" and theirs < ours:
        raise RecipeError(
            f"the teacher {path} gives embeddings of {theirs} numbers, which have no {ours} "
            "principal directions for the student's. Take --projection learned."
        )
    joins = config.projection in ("learned", "pca")
    if theirs != ours and config.compares_sizes and not joins:
        raise RecipeError(
            f"the teacher {path} gives embeddings of {theirs} numbers, the student of {ours}. "
            f"Set model.embedding_size: {theirs}, choose another teacher, or join them with "
            f"--projection {'pca (or learned)' if theirs > ours else 'learned'}."
        )


def _batches(faces: Faces, span: range, side: int) -> Iterator[npt.NDArray[np.uint8]]:
    """The images of `span`, in order, resized as the teacher would resize each of them.

    An image that cannot be used is grey: the loader never asks for its embedding.
    """
    for start in range(span.start, span.stop, _CACHE_BATCH):
        indices = range(start, min(start + _CACHE_BATCH, span.stop))
        images = np.full((len(indices), side, side, 3), 127, np.uint8)
        for row, index in enumerate(indices):
            with contextlib.suppress(DataError):
                pixels = decode_rgb(faces.encoded(index), faces.name(index))
                images[row] = resize_faces(pixels[None], side)[0]
        yield images
