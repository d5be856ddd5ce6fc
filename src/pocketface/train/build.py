"""From a recipe to the parts of a run: network, preprocessing, batches, teacher, loss."""

import os
import shutil
from contextlib import closing

import torch
from lightning_fabric import Fabric

from pocketface.card import read_card
from pocketface.data import Faces
from pocketface.distill import (
    CentredProjection,
    DistillConfig,
    FittedProjection,
    LearnedProjection,
    Partners,
    PrincipalProjection,
    Projection,
    Teacher,
)
from pocketface.errors import RecipeError
from pocketface.heads import MarginHead, create_head, create_sharded_head
from pocketface.models import create_model
from pocketface.models.backbone import Backbone
from pocketface.preprocessing import Preprocessing
from pocketface.train.feed import Feed
from pocketface.train.head_states import Head
from pocketface.train.inherit import inherit_head
from pocketface.train.loader import FaceLoader, Share
from pocketface.train.log import Screen
from pocketface.train.objective import Objective
from pocketface.train.processes import all_wait
from pocketface.train.recipe import Recipe
from pocketface.train.step import TrainingStep
from pocketface.train.teachers import create_teacher


def build_backbone(recipe: Recipe, generator: torch.Generator) -> Backbone:
    """The network that learns, with its initial weights.

    Raises:
        RecipeError, WeightsError: as `create_model`.
    """
    backbone = create_model(
        recipe.model.architecture,
        embedding_size=recipe.model.embedding_size,
        image_size=recipe.model.image_size,
        weights=recipe.model.init,
        generator=generator,
        **recipe.model.options,
    )
    if recipe.channels_last:
        backbone = backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return backbone


def preprocessing_of(recipe: Recipe, backbone: Backbone) -> Preprocessing:
    """What the initial weights' card says, if they have one; else the field's usual."""
    card = None if recipe.model.init is None else read_card(recipe.model.init)
    usual = Preprocessing() if card is None else card.preprocessing
    return usual.model_copy(update={"image_size": backbone.image_size})


def check_compiler(recipe: Recipe, device: torch.device) -> None:
    """Raise RecipeError if the recipe wants a compiled network and the device lacks the means."""
    if recipe.compile == "graphs" and device.type != "cuda":
        raise RecipeError(
            f"compile: graphs needs a CUDA GPU, whose graphs they are; this run is on "
            f"{device.type}. Set compile: true, or false."
        )
    if not recipe.compile or device.type != "cpu":
        return
    named = os.environ.get("CXX")
    wanted = [named] if named else ["g++", "clang++"]
    if not any(shutil.which(name) for name in wanted):
        raise RecipeError(
            "compile: true needs a C++ compiler on a CPU; "
            f"none was found as {' or '.join(wanted)}. "
            "Install one (on Debian the package g++), name one in the environment variable CXX, or "
            "set compile: false."
        )


def build_loader(
    recipe: Recipe,
    faces: Faces,
    image_size: int,
    fabric: Fabric,
    quiet: bool,
    global_batch: int | None = None,
) -> FaceLoader:
    """The batches, this process's share of them; decodes them into memory if the recipe says so.

    A run that goes on keeps the `global_batch` that it was begun with; a new one takes the
    recipe's batch for each process.

    Raises:
        RecipeError: as `FaceLoader`.
    """
    quiet = quiet or not recipe.data.in_memory
    with closing(Screen("decoding the training set", len(faces), 0, "images", quiet)) as screen:
        return FaceLoader(
            faces,
            image_size=image_size,
            global_batch=global_batch or recipe.batch_size * fabric.world_size,
            seed=recipe.seed,
            augment=recipe.augment,
            share=Share(fabric.global_rank, fabric.world_size),
            balanced_share=recipe.balanced_share,
            per_person=recipe.sampler.per_person,
            workers=recipe.data.workers,
            in_memory=recipe.data.in_memory,
            pin_memory=fabric.device.type == "cuda",
            progress=screen.advance,
        )


def build_teacher(
    recipe: Recipe, faces: Faces, backbone: Backbone, fabric: Fabric, quiet: bool
) -> Teacher | None:
    """The teacher, if the recipe has one; all processes fill its cache together.

    Raises:
        RecipeError, WeightsError, StoppedError: as `create_teacher`.
    """
    if recipe.distill is None:
        return None
    with all_wait(fabric):
        return create_teacher(
            recipe.distill,
            faces,
            embedding_size=backbone.embedding_size,
            fabric=fabric,
            precision=recipe.precision,
            channels_last=recipe.channels_last,
            quiet=quiet,
        )


def build_feed(recipe: Recipe, loader: FaceLoader, step: TrainingStep) -> Feed:
    """The batches made ready; a live teacher looks at as many together as the recipe says."""
    config = recipe.distill
    if config is None or config.cache is not None or config.teacher_batch is None:
        return Feed(loader, step)
    return Feed(loader, step, max(1, config.teacher_batch // recipe.batch_size))


def build_inherited(recipe: Recipe, faces: Faces) -> MarginHead | None:
    """The teacher's head, if the loss is to inherit it.

    Raises:
        RecipeError, WeightsError: as `inherit_head`.
    """
    if recipe.distill is None or not recipe.distill.inherits_head:
        return None
    return inherit_head(recipe.distill, faces)


def build_objective(
    recipe: Recipe,
    backbone: Backbone,
    teacher: Teacher | None,
    inherited: MarginHead | None,
    people: int,
    generator: torch.Generator,
) -> Objective:
    """The training loss: `backbone`, a head for that many people, and what the teacher adds.

    There is no head where the distillation takes its place, or where nobody is known. `inherited`
    is the teacher's.
    """
    head: Head | None = None
    if people and (recipe.distill is None or not recipe.distill.replaces_head):
        size = backbone.embedding_size
        if recipe.head.sharded:
            head = create_sharded_head(recipe.head, size, people, generator, seed=recipe.seed)
        else:
            head = create_head(recipe.head, size, people, generator)
    if recipe.distill is None or teacher is None:
        return Objective(backbone, head, compiled=recipe.compile)
    projection = _projection(recipe.distill, backbone, teacher, generator)
    fitted = isinstance(projection, FittedProjection)
    partners = Partners(
        embedding_size=backbone.embedding_size if fitted else teacher.embedding_size,
        student_stages=backbone.stage_channels,
        teacher_stages=teacher.stage_channels,
        people=people,
        head=inherited,
        generator=generator,
    )
    loss = recipe.distill.create_loss(partners)
    return Objective(backbone, head, loss, projection, compiled=recipe.compile)


def _projection(
    config: DistillConfig, backbone: Backbone, teacher: Teacher, generator: torch.Generator
) -> Projection | None:
    sizes = backbone.embedding_size, teacher.embedding_size
    if config.projection == "learned":
        return LearnedProjection(*sizes, generator)
    if config.projection == "centred":
        return CentredProjection(backbone.embedding_size)
    return PrincipalProjection(*sizes) if config.projection == "pca" else None
