"""The training loop: one for a teacher, a student alone, and a student with a teacher."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor

from pocketface.distill import FaceBatch, Teacher, create_loss
from pocketface.errors import TrainingError
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
from pocketface.train.stop import StopRequest
from pocketface.train.teachers import create_teacher
from pocketface.train.validation import Validator

LOG_EVERY = 20


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
        self.preprocessing = Preprocessing(image_size=backbone.image_size)
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

    @property
    def backbone(self) -> Backbone:
        """The network in training."""
        return self.objective.backbone

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from `checkpoint`."""
        self.backbone.load_state_dict(checkpoint.states["backbone"])
        self.objective.head.load_state_dict(checkpoint.states["head"])
        if self.objective.distillation is not None:
            self.objective.distillation.load_state_dict(checkpoint.states["distillation"])
        for name, optimiser in zip(("backbone", "head"), self.optimisers, strict=True):
            optimiser.load_state_dict(checkpoint.states[f"{name}_optimiser"])
        self.position = replace(checkpoint.position)

    def checkpoint(self) -> Checkpoint:
        """Everything that `restore` needs."""
        states = {
            "backbone": self.backbone.state_dict(),
            "head": self.objective.head.state_dict(),
            "backbone_optimiser": self.optimisers[0].state_dict(),
            "head_optimiser": self.optimisers[1].state_dict(),
        }
        if self.objective.distillation is not None:
            states["distillation"] = self.objective.distillation.state_dict()
        return Checkpoint(states, self.position, self.recipe.model_dump(mode="json"))

    def train(self) -> RunResult:
        """Train to the end of the last epoch, or until a stop is asked for.

        Raises:
            TrainingError: if the loss is no longer a number; `last.ckpt` is from before that.
            StoppedError: if Ctrl-C or SIGTERM came; the run can be resumed.
        """
        recipe, position = self.recipe, self.position
        log = RunLog(self.run, position.step) if self.fabric.is_global_zero else None
        total = recipe.epochs * self.loader.steps * self.loader.global_batch
        done = position.step * self.loader.global_batch
        screen = Screen(self.run.name, total, done, "images", self.quiet)
        screen.say(self._description())
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
        sums: dict[str, Tensor] = {}
        since, began, waited = 0, time.monotonic(), 0.0
        batches = iter(self.loader.epoch(position.epoch, position.step_in_epoch))
        for loaded, wait in _timed(batches):
            rate = self._set_rate()
            for name, value in self.step(loaded).items():
                sums[name] = sums.get(name, torch.zeros((), device=value.device)) + value
            since, waited = since + 1, waited + wait
            position.step += 1
            position.step_in_epoch += 1
            position.images += self.loader.global_batch
            screen.advance(self.loader.global_batch)
            due = position.step % LOG_EVERY == 0 or position.step_in_epoch == self.loader.steps
            late = time.monotonic() - saved > recipe.checkpoint_minutes * 60
            if due or late or stop.asked:
                seconds = time.monotonic() - began
                values = {name: float(value) / since for name, value in sums.items()}
                self._check(values["loss"])
                values |= {
                    "learning_rate": rate,
                    "epoch": position.epoch + position.step_in_epoch / self.loader.steps,
                    "images_per_second": since * self.loader.global_batch / seconds,
                    "loader_wait": waited / seconds,
                }
                position.seconds += seconds
                if log is not None:
                    log.write(position.step, values)
                sums, since, began, waited = {}, 0, time.monotonic(), 0.0
            if late or stop.asked:
                self._save()
                saved = time.monotonic()
            stop.raise_if_asked(self.run)

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
            for fault in sorted(self.loader.unreadable)[:5]:
                screen.say(f"left out: {fault}")
            if self.loader.unreadable:
                screen.say(f"images that could not be read: {len(self.loader.unreadable)}")
        self._save()

    def _save(self) -> None:
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

    def _check(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss is {loss} at step {self.position.step}. Lower "
                "optimiser.learning_rate or optimiser.clip_norm; the newest checkpoint before "
                f"this is {self.run / 'last.ckpt'}."
            )

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
