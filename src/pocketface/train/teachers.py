"""From a recipe's words on distillation to a teacher that can be asked."""

from functools import partial
from pathlib import Path

import torch
from lightning_fabric import Fabric

from pocketface.card import ModelCard, card_path, read_card
from pocketface.data import Faces
from pocketface.distill import (
    CachedTeacher,
    DistillConfig,
    LiveTeacher,
    MultiStepTeacher,
    Precision,
    Teacher,
    teacher_files,
)
from pocketface.embedding.embedder import Embedder
from pocketface.embedding.load import load_embedder
from pocketface.embedding.self_description import UndescribedError
from pocketface.embedding.torch_embedder import TorchEmbedder
from pocketface.errors import RecipeError
from pocketface.models import outline_model
from pocketface.train.teacher_caches import identify, open_caches


def create_teacher(
    config: DistillConfig,
    faces: Faces,
    *,
    embedding_size: int,
    fabric: Fabric,
    precision: Precision = "32-true",
    channels_last: bool = False,
    quiet: bool = False,
) -> Teacher:
    """Build the teacher of a run; caches that are not full are filled first, with progress.

    All processes of a run call it together, and fill caches together.

    Args:
        config: the recipe's section.
        faces: the training set.
        embedding_size: the student's; the teacher's must be equal if the loss compares the two and
            no projection joins them.
        fabric: device and processes.
        precision: of a live teacher, unless `config` says another.
        channels_last: the memory layout of a torch network's weights.
        quiet: print nothing.

    Raises:
        RecipeError: if a teacher's file is missing or not described, or its embeddings have
            another size; before anything is computed.
        WeightsError: if a teacher's file is broken.
        StoppedError: if Ctrl-C came while a cache was filled; what is full stays.
    """
    paths = teacher_files(config)
    precision = config.teacher_precision or ("32-true" if config.cache else precision)

    def ready(embedder: Embedder) -> LiveTeacher:
        assert isinstance(embedder, TorchEmbedder)
        backbone = embedder.backbone.to(fabric.device)
        if channels_last:
            backbone = backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return LiveTeacher(
            backbone, embedder.preprocessing, stages=config.needs_stages, precision=precision
        )

    def live(path: Path) -> LiveTeacher:
        return ready(_load_live(path, config, embedding_size))

    if config.cache is not None:
        files = [identify(path, partial(_load, path, config)) for path in paths]
        for file in files:
            _check_size(file.path, config, file.embedding_size, embedding_size)
        caches = open_caches(
            files,
            config.cache,
            faces,
            fabric,
            ready,
            precision=precision,
            batch=config.teacher_batch,
            quiet=quiet,
        )
        if not config.multi_step:
            return CachedTeacher(caches[0])
        return MultiStepTeacher(
            [partial(CachedTeacher, cache) for cache in caches], caches[0].embedding_size
        )
    if not config.multi_step:
        return live(paths[0])
    cards = [_check_milestone(path, config, embedding_size) for path in paths]
    stages: tuple[int, ...] = ()
    if config.needs_stages:
        stages = outline_model(cards[0].architecture, **cards[0].options).stage_channels
    return MultiStepTeacher(
        [partial(live, path) for path in paths],
        cards[0].embedding_size,
        stages,
    )


def _load_live(path: Path, config: DistillConfig, embedding_size: int) -> Embedder:
    if path.suffix == ".onnx":
        raise RecipeError(
            f"the teacher {path} is an ONNX file, which teaches from cached embeddings only. "
            "Name a folder for them with --cache."
        )
    embedder = _load(path, config)
    _check_size(path, config, embedder.embedding_size, embedding_size)
    return embedder


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
