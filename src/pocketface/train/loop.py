"""The training loop: one for a teacher, a student alone, and a student with a teacher."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from pocketface.card import read_card
from pocketface.distill import FaceBatch, Teacher, create_loss
from pocketface.errors import RecipeError, TrainingError
from pocketface.heads import create_head
from pocketface.models import create_model
from pocketface.models.backbone import Backbone
from pocketface.models.normalise import normalise
from pocketface.models.weights import save_weights
from pocketface.preprocessing import Preprocessing
from pocketface.train import run as runs
from pocketface.train.augment import augment
from pocketface.train.checkpoint import Checkpoint, Position, save_checkpoint
from pocketface.train.curves import draw_curves
from pocketface.train.loader import FaceLoader, LoadedBatch, Share
from pocketface.train.log import RunLog, Screen
from pocketface.train.objective import Objective
from pocketface.train.recipe import Recipe
from pocketface.train.schedule import learning_rate
from pocketface.train.sources import open_sources
from pocketface.train.stop import StopRequest, stopped
from pocketface.train.teachers import create_teacher
from pocketface.train.validation import Validator
from pocketface.train.window import LogWindow

LOG_EVERY = 20

_SHOWN = 5
"""How many unreadable images are named at a time."""


@dataclass(frozen=True)
class RunResult:
    """What a run leaves: the folder, its last position, and the newest validation figures."""

    run: Path
    position: Position
    validation: dict[str, float]


class Trainer:
    """Carries out a recipe in a run folder.

    Args:
        recipe: the whole run.
        run: its folder.
        fabric: device, precision and processes.
        quiet: print nothing.

    Raises:
        RecipeError, DataError, WeightsError: before the first step, if the recipe cannot be
            carried out.
    """

    def __init__(self, recipe: Recipe, run: Path, fabric: Fabric, quiet: bool = False) -> None:
        self.recipe = recipe
        self.run = run
        self.fabric = fabric
        self.quiet = quiet or not fabric.is_global_zero
        self.faces = open_sources(recipe.data)
        generator = torch.Generator().manual_seed(recipe.seed)
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
        self.preprocessing = _preprocessing(recipe, backbone)
        head = create_head(recipe.head, backbone.embedding_size, len(self.faces.people), generator)
        loss = None if recipe.distill is None else create_loss(recipe.distill)
        self.objective = Objective(backbone, head, loss)
        self.optimisers = [_sgd(recipe, backbone), _sgd(recipe, head)]
        self.wrapped, *self.wrapped_optimisers = fabric.setup(self.objective, *self.optimisers)
        self.loader = FaceLoader(
            self.faces,
            image_size=backbone.image_size,
            batch_size=recipe.batch_size,
            seed=recipe.seed,
            augment=recipe.augment,
            share=Share(fabric.global_rank, fabric.world_size),
            workers=recipe.data.workers,
            in_memory=recipe.data.in_memory,
            pin_memory=fabric.device.type == "cuda",
        )
        self.teacher = self._create_teacher(backbone)
        self.validator = Validator(recipe.validation, self.preprocessing)
        self.position = Position()
        self.validation: dict[str, float] = {}
        self.told: set[str] = set()

    @property
    def backbone(self) -> Backbone:
        """The network in training."""
        return self.objective.backbone

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from `checkpoint`.

        Raises:
            RecipeError: if the batches would be others, since the data or the number of processes
                changed.
        """
        ours, theirs = self.loader.identity, checkpoint.batches
        changed = [
            f"{key}: {ours.get(key)} here, {theirs.get(key)} there"
            for key in ours
            if ours.get(key) != theirs.get(key)
        ]
        if changed:
            raise RecipeError(
                f"{self.run} was begun with other training images, or another number of "
                "processes; it cannot go on with these:\n  " + "\n  ".join(changed) + "\n"
                "Give the same again, or begin a new run with another --out."
            )
        self.backbone.load_state_dict(checkpoint.states["backbone"])
        self.objective.head.load_state_dict(checkpoint.states["head"])
        if self.objective.distillation is not None:
            self.objective.distillation.load_state_dict(checkpoint.states["distillation"])
        for name, optimiser in zip(("backbone", "head"), self.optimisers, strict=True):
            optimiser.load_state_dict(checkpoint.states[f"{name}_optimiser"])
        self.fabric.strategy.precision.load_state_dict(checkpoint.states["precision"])
        self.position = replace(checkpoint.position)

    def checkpoint(self) -> Checkpoint:
        """Everything that `restore` needs."""
        states = {
            "backbone": self.backbone.state_dict(),
            "head": self.objective.head.state_dict(),
            "backbone_optimiser": self.optimisers[0].state_dict(),
            "head_optimiser": self.optimisers[1].state_dict(),
            "precision": self.fabric.strategy.precision.state_dict(),
        }
        if self.objective.distillation is not None:
            states["distillation"] = self.objective.distillation.state_dict()
        return Checkpoint(
            states, self.position, self.recipe.model_dump(mode="json"), self.loader.identity
        )

    def train(self) -> RunResult:
        """Train to the end of the last epoch, or until a stop is asked for.

        Raises:
            TrainingError: if the loss or a weight is no longer a number; `last.ckpt` is from
                before that.
            StoppedError: if Ctrl-C or SIGTERM came; the run can be resumed.
        """
        recipe, position = self.recipe, self.position
        log = RunLog(self.run, position.step) if self.fabric.is_global_zero else None
        total = recipe.epochs * self.loader.steps * self.loader.global_batch
        done = position.step * self.loader.global_batch
        screen = Screen(self.run.name, total, done, "images", self.quiet)
        screen.say(self._description())
        if self.faces.faults:
            name, reason = self.faces.faults[0]
            screen.say(f"left out of the data: {len(self.faces.faults)}, first {name}: {reason}")
        self._tell_unreadable(screen)
        try:
            with StopRequest() as stop:
                while position.epoch < recipe.epochs:
                    self._epoch(log, screen, stop)
                    self._end_epoch(log, screen)
        finally:
            screen.close()
            if log is not None:
                log.close()
        if self.fabric.is_global_zero:
            draw_curves(self.run)
        return RunResult(self.run, position, self.validation)

    def _epoch(self, log: RunLog | None, screen: Screen, stop: StopRequest) -> None:
        recipe, position = self.recipe, self.position
        self.wrapped.train()
        if self.teacher is not None:
            self.teacher.at_epoch(position.epoch, recipe.epochs)
        saved = time.monotonic()
        window = LogWindow()
        for loaded, waited in _timed(self.loader.epoch(position.epoch, position.step_in_epoch)):
            rate = self._set_rate()
            window.add(self.step(loaded), waited)
            position.step += 1
            position.step_in_epoch += 1
            position.images += self.loader.global_batch
            screen.advance(self.loader.global_batch)
            due = position.step % LOG_EVERY == 0 or position.step_in_epoch == self.loader.steps
            overdue = time.monotonic() - saved > recipe.checkpoint_minutes * 60
            late, asked = self._agree(due, overdue, stop.asked)
            if due or late or asked:
                self._write_row(log, window, rate)
                window = LogWindow()
            if late or asked:
                self._check_weights()
                self.save()
                saved = time.monotonic()
            if asked:
                raise stopped(self.run)

    def _agree(self, due: bool, late: bool, asked: bool) -> tuple[bool, bool]:
        """Whether to save, and whether to stop: the same answer in all processes.

        They must leave the loop at one step, or those that go on wait for the others for ever. To
        ask one another costs a pause, so several processes do it only where a row is due.
        """
        if self.fabric.world_size == 1:
            return late, asked
        if not due:
            return False, False
        wishes = torch.tensor([late, asked], dtype=torch.float32, device=self.fabric.device)
        anyone: Any = self.fabric.all_reduce(wishes, reduce_op="max")
        return bool(anyone[0]), bool(anyone[1])

    def _write_row(self, log: RunLog | None, window: LogWindow, rate: float) -> None:
        position = self.position
        values = window.means(self.fabric, self.loader.global_batch)
        if not math.isfinite(values["loss"]):
            raise self._diverged(f"the loss is {values['loss']}")
        position.seconds += window.seconds
        epoch = position.epoch + position.step_in_epoch / self.loader.steps
        if log is not None:
            log.write(position.step, values | {"learning_rate": rate, "epoch": epoch})

    def _check_weights(self) -> None:
        """Keep weights that are no numbers from being saved: a loss tells of them a step late."""
        for name, tensor in self.objective.state_dict().items():
            if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                raise self._diverged(f"the weights hold numbers that are not finite ({name})")

    def _diverged(self, what: str) -> TrainingError:
        optimiser = self.recipe.optimiser
        bound = optimiser.clip_norm or "none"
        return TrainingError(
            f"{what} at step {self.position.step}. Begin a new run with a lower "
            f"optimiser.learning_rate (now {optimiser.learning_rate}) or a closer bound on the "
            f"gradient, optimiser.clip_norm (now {bound}). {self.run / 'last.ckpt'} is from before "
            "this."
        )

    def step(self, loaded: LoadedBatch) -> dict[str, Tensor]:
        """Take one optimiser step on `loaded`; gives loss terms and norms by name."""
        device = self.fabric.device
        images = loaded.images.to(device, non_blocking=True)
        batch = FaceBatch(
            images=augment(images, loaded.plan, self.recipe.augment),
            labels=loaded.labels.to(device, non_blocking=True),
            indices=loaded.indices,
            mirrored=torch.from_numpy(loaded.plan.mirrored),
        )
        targets = None if self.teacher is None else self.teacher.targets(batch)
        inputs = normalise(batch.images, self.preprocessing)
        terms, cosine = self.wrapped(inputs, batch.labels, targets)
        loss = torch.stack(list(terms.values())).sum()
        for optimiser in self.wrapped_optimisers:
            optimiser.zero_grad(set_to_none=True)
        self.fabric.backward(loss)
        values = {"loss": loss.detach(), **{f"loss/{k}": v.detach() for k, v in terms.items()}}
        if cosine is not None:
            values["cosine_to_teacher"] = cosine
        if self.recipe.optimiser.clip_norm:
            norm = self.fabric.clip_gradients(
                self.wrapped,
                self.wrapped_optimisers[0],
                max_norm=self.recipe.optimiser.clip_norm,
                error_if_nonfinite=False,
            )
            if norm is not None:
                values["gradient_norm"] = norm.detach()
        for optimiser in self.wrapped_optimisers:
            optimiser.step()
        return values

    def _end_epoch(self, log: RunLog | None, screen: Screen) -> None:
        self._check_weights()
        position = self.position
        position.epoch += 1
        position.step_in_epoch = 0
        ended = position.epoch == self.recipe.epochs
        if not self.fabric.is_global_zero:
            return
        if self.validator.due(position.epoch) or (ended and self.validator.benchmarks):
            self.validation = self.validator.measure(self.backbone)
            mean = self.validation["mean"]
            said = ", ".join(f"{k} {v:.2%}" for k, v in self.validation.items() if k != "mean")
            screen.say(f"epoch {position.epoch} of {self.recipe.epochs}: {said}")
            if log is not None:
                log.write(position.step, {f"accuracy/{k}": v for k, v in self.validation.items()})
            if mean > position.best_accuracy:
                position.best_accuracy = mean
                self._save_weights(self.run / runs.BEST)
        if self.recipe.milestones:
            self._save_weights(runs.milestone_path(self.run, position.epoch))
        if ended:
            self._save_weights(self.run / runs.LAST)
        self._tell_unreadable(screen)
        self.save()

    def _tell_unreadable(self, screen: Screen) -> None:
        """Say which images were found unreadable since the last time."""
        fresh = sorted(self.loader.unreadable - self.told)
        for fault in fresh[:_SHOWN]:
            screen.say(f"left out: {fault}")
        if len(fresh) > _SHOWN:
            screen.say(f"left out: {len(fresh) - _SHOWN} more images that cannot be read")
        self.told |= set(fresh)

    def save(self) -> None:
        """Write a checkpoint; does nothing but on the first process."""
        if self.fabric.is_global_zero:
            save_checkpoint(self.run, self.checkpoint())

    def _save_weights(self, path: Path) -> None:
        names = ", ".join(source.name for source in self.recipe.data.train)
        save_weights(
            self.backbone,
            path,
            preprocessing=self.preprocessing,
            data=f"{len(self.faces):,} images of {len(self.faces.people):,} people: {names} "
            f"(fingerprint {self.faces.fingerprint()[:12]})",
            licence=self.recipe.data.licence,
            notes=f"epoch {self.position.epoch} of {self.recipe.epochs}, seed {self.recipe.seed}"
            + ("" if self.recipe.distill is None else f", taught by {self.recipe.distill.teacher}"),
        )

    def _set_rate(self) -> float:
        rate = learning_rate(
            self.recipe.optimiser,
            self.recipe.schedule,
            progress=self.position.epoch + self.position.step_in_epoch / self.loader.steps,
            epochs=self.recipe.epochs,
            global_batch=self.loader.global_batch,
        )
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = rate
        return rate

    def _create_teacher(self, backbone: Backbone) -> Teacher | None:
        config = self.recipe.distill
        if config is None:
            return None
        with self.fabric.rank_zero_first():
            return create_teacher(
                config,
                self.faces,
                embedding_size=backbone.embedding_size,
                device=self.fabric.device,
                fill=self.fabric.is_global_zero,
                quiet=self.quiet,
            )

    def _description(self) -> str:
        parameters = sum(parameter.numel() for parameter in self.backbone.parameters())
        return (
            f"{self.recipe.model.architecture} ({parameters:,} parameters), "
            f"{len(self.faces):,} images of {len(self.faces.people):,} people, "
            f"{self.recipe.epochs} epochs of {self.loader.steps} steps of "
            f"{self.loader.global_batch} images on {self.fabric.device}"
        )


def _preprocessing(recipe: Recipe, backbone: Backbone) -> Preprocessing:
    """What the initial weights' card says, if they have one; else the field's usual."""
    card = None if recipe.model.init is None else read_card(recipe.model.init)
    usual = Preprocessing() if card is None else card.preprocessing
    return usual.model_copy(update={"image_size": backbone.image_size})


def _sgd(recipe: Recipe, module: torch.nn.Module) -> torch.optim.SGD:
    return torch.optim.SGD(
        [parameter for parameter in module.parameters() if parameter.requires_grad],
        lr=recipe.optimiser.learning_rate,
        momentum=recipe.optimiser.momentum,
        weight_decay=recipe.optimiser.weight_decay,
    )


def _timed(batches: Iterator[LoadedBatch]) -> Iterator[tuple[LoadedBatch, float]]:
    """Each batch with the seconds that it was waited for."""
    while True:
        began = time.monotonic()
        batch = next(batches, None)
        if batch is None:
            return
        yield batch, time.monotonic() - began
