"""The training loop: one for a teacher, a student alone, and a student with a teacher."""

import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from lightning_fabric import Fabric

from pocketface.card import read_card
from pocketface.distill import Teacher, create_loss
from pocketface.heads import create_head
from pocketface.models import create_model
from pocketface.models.backbone import Backbone
from pocketface.models.weights import save_weights
from pocketface.preprocessing import Preprocessing
from pocketface.train import run as runs
from pocketface.train.checkpoint import Checkpoint, Position, save_checkpoint
from pocketface.train.curves import draw_curves
from pocketface.train.divergence import check_loss, check_weights
from pocketface.train.loader import FaceLoader, Share
from pocketface.train.log import RunLog, Screen
from pocketface.train.objective import Objective
from pocketface.train.recipe import Recipe
from pocketface.train.schedule import learning_rate
from pocketface.train.sources import open_sources
from pocketface.train.step import TrainingStep
from pocketface.train.stop import StopRequest, agree, stopped
from pocketface.train.teachers import create_teacher
from pocketface.train.validation import Validator
from pocketface.train.window import LogWindow, timed

LOG_EVERY = 20  # steps
_SHOWN = 5  # unreadable images that are named at a time


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
        self.step = TrainingStep(
            Objective(backbone, head, loss),
            recipe.optimiser,
            recipe.augment,
            self.preprocessing,
            fabric,
        )
        self.loader = self._create_loader(backbone.image_size)
        self.step.teacher = self._create_teacher(backbone)
        self.validator = Validator(recipe.validation, self.preprocessing)
        self.position = Position()
        self.validation: dict[str, float] = {}
        self.told: set[str] = set()

    @property
    def backbone(self) -> Backbone:
        """The network in training."""
        return self.step.objective.backbone

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from `checkpoint`.

        Raises:
            RecipeError: if the batches would be others, since the data or the number of processes
                changed.
        """
        runs.refuse_other_batches(self.run, self.loader.identity, checkpoint.batches)
        self.step.restore(checkpoint.states)
        self.position = replace(checkpoint.position)

    def checkpoint(self) -> Checkpoint:
        """Everything that `restore` needs."""
        return Checkpoint(
            self.step.states(),
            self.position,
            self.recipe.model_dump(mode="json"),
            self.loader.identity,
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
        self.step.train_mode()
        if self.step.teacher is not None:
            self.step.teacher.at_epoch(position.epoch, recipe.epochs)
        saved = time.monotonic()
        window = LogWindow()
        for loaded, waited in timed(self.loader.epoch(position.epoch, position.step_in_epoch)):
            rate = self._set_rate()
            window.add(self.step(loaded), waited)
            position.step += 1
            position.step_in_epoch += 1
            position.images += self.loader.global_batch
            screen.advance(self.loader.global_batch)
            due = position.step % LOG_EVERY == 0 or position.step_in_epoch == self.loader.steps
            overdue = time.monotonic() - saved > recipe.checkpoint_minutes * 60
            late, asked = agree(self.fabric, row_due=due, late=overdue, asked=stop.asked)
            if due or late or asked:
                self._write_row(log, window, rate)
                window = LogWindow()
            if late or asked:
                self._check_weights()
                self.save()
                saved = time.monotonic()
            if asked:
                raise stopped(self.run)

    def _write_row(self, log: RunLog | None, window: LogWindow, rate: float) -> None:
        position = self.position
        values = window.means(self.fabric, self.loader.global_batch)
        check_loss(values["loss"], position.step, self.run, self.recipe.optimiser)
        position.seconds += window.seconds
        epoch = position.epoch + position.step_in_epoch / self.loader.steps
        if log is not None:
            log.write(position.step, values | {"learning_rate": rate, "epoch": epoch})

    def _check_weights(self) -> None:
        check_weights(self.step.objective, self.position.step, self.run, self.recipe.optimiser)

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
        self.step.set_rate(rate)
        return rate

    def _create_loader(self, image_size: int) -> FaceLoader:
        recipe = self.recipe
        quiet = self.quiet or not recipe.data.in_memory
        with closing(
            Screen("decoding the training set", len(self.faces), 0, "images", quiet)
        ) as screen:
            return FaceLoader(
                self.faces,
                image_size=image_size,
                batch_size=recipe.batch_size,
                seed=recipe.seed,
                augment=recipe.augment,
                share=Share(self.fabric.global_rank, self.fabric.world_size),
                workers=recipe.data.workers,
                in_memory=recipe.data.in_memory,
                pin_memory=self.fabric.device.type == "cuda",
                progress=screen.advance,
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


def _preprocessing(recipe: Recipe, backbone: Backbone) -> Preprocessing:
    """What the initial weights' card says, if they have one; else the field's usual."""
    card = None if recipe.model.init is None else read_card(recipe.model.init)
    usual = Preprocessing() if card is None else card.preprocessing
    return usual.model_copy(update={"image_size": backbone.image_size})
