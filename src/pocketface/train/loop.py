"""The training loop: one for a teacher, a student alone, and a student with a teacher."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from lightning_fabric import Fabric

from pocketface.models.backbone import Backbone
from pocketface.models.weights import save_weights
from pocketface.train import anchors
from pocketface.train import run as runs
from pocketface.train.build import (
    build_backbone,
    build_feed,
    build_inherited,
    build_loader,
    build_objective,
    build_teacher,
    check_compiler,
    preprocessing_of,
)
from pocketface.train.checkpoint import Checkpoint, Position, save_checkpoint
from pocketface.train.curves import draw_curves
from pocketface.train.descriptions import data_of, describe_run, notes_of
from pocketface.train.device_use import device_use, told
from pocketface.train.divergence import Diverged, LossWatch, refuse_broken_weights
from pocketface.train.fit import fit_projection
from pocketface.train.log import RunLog, Screen
from pocketface.train.processes import all_wait
from pocketface.train.recipe import Recipe
from pocketface.train.recovery import recover
from pocketface.train.schedule import learning_rate
from pocketface.train.sources import open_sources
from pocketface.train.step import TrainingStep
from pocketface.train.stop import Agreement, StopRequest, stopped
from pocketface.train.sync_batch_norm import synchronise
from pocketface.train.validation import Validator
from pocketface.train.window import LogWindow

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
        global_batch: images per step over all processes, of a run that goes on; none: the recipe's
            for each process.

    Raises:
        RecipeError, DataError, WeightsError: before the first step, if the recipe cannot be
            carried out.
    """

    def __init__(
        self,
        recipe: Recipe,
        run: Path,
        fabric: Fabric,
        quiet: bool = False,
        global_batch: int | None = None,
    ) -> None:
        self.recipe = recipe
        self.run = run
        self.fabric = fabric
        self.quiet = quiet or not fabric.is_global_zero
        check_compiler(recipe, fabric.device)
        self.faces = open_sources(recipe.data)
        generator = torch.Generator().manual_seed(recipe.seed)
        backbone = build_backbone(recipe, generator)
        if recipe.sync_batch_norm:
            backbone = synchronise(backbone, fabric.device)
        self.preprocessing = preprocessing_of(recipe, backbone)
        self.validator = Validator(recipe.validation, self.preprocessing)
        self.loader = build_loader(
            recipe, self.faces, backbone.image_size, fabric, self.quiet, global_batch
        )
        inherited = build_inherited(recipe, self.faces)
        teacher = build_teacher(recipe, self.faces, backbone, fabric, self.quiet)
        people = len(self.faces.people)
        self.step = TrainingStep(
            build_objective(recipe, backbone, teacher, inherited, people, generator),
            recipe.optimiser,
            recipe.augment,
            self.preprocessing,
            fabric,
        )
        self.step.teacher = teacher
        self.feed = build_feed(recipe, self.loader, self.step)
        self.agree = Agreement(fabric)
        self.watch = LossWatch(recipe.divergence.spike)
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
            RecipeError: if the batches would be others, since the data changed.
        """
        runs.refuse_other_batches(self.run, self.loader.identity, checkpoint.batches)
        self.step.restore(checkpoint.states)
        self.watch.restore(checkpoint.states.get("watch", {}).get("losses", ()))
        self.position = replace(checkpoint.position)

    def checkpoint(self) -> Checkpoint:
        """Everything that `restore` needs, on the first process; all must call this together."""
        return Checkpoint(
            {**self.step.states(), "watch": {"losses": self.watch.losses}},
            self.position,
            self.recipe.model_dump(mode="json"),
            self.loader.identity,
        )

    def train(self) -> RunResult:
        """Train to the end of the last epoch, or until a stop is asked for.

        Raises:
            TrainingError: if the run diverges and the recipe does not ask to back off; the batch is
                kept for inspection.
            StoppedError: if Ctrl-C or SIGTERM came; the run can be resumed.
        """
        recipe = self.recipe
        log = self._open_log()
        total = recipe.epochs * self.loader.steps * self.loader.global_batch
        screen = Screen(self.run.name, total, self._images_done, "images", self.quiet)
        screen.say(describe_run(self.recipe, self.backbone, self.faces, self.loader, self.fabric))
        if self.faces.faults:
            name, reason = self.faces.faults[0]
            screen.say(f"left out of the data: {len(self.faces.faults)}, first {name}: {reason}")
        self._tell_unreadable(screen)
        projection = self.step.objective.projection
        if fit_projection(projection, self.step.teacher, self.loader, self.fabric):
            assert projection is not None
            screen.say(f"the student: {projection.told}")
        try:
            with StopRequest() as stop:
                self._anchor()
                while self.position.epoch < recipe.epochs:
                    try:
                        self._epoch(log, screen, stop)
                        self._end_epoch(log, screen)
                    except Diverged as diverged:
                        said = recover(self, diverged)
                        if log is not None:
                            log.close()
                        log = self._open_log()
                        screen.set_back(self._images_done)
                        screen.say(said)
        finally:
            screen.close()
            if log is not None:
                log.close()
        if self.fabric.is_global_zero:
            draw_curves(self.run)
        return RunResult(self.run, self.position, self.validation)

    @property
    def _images_done(self) -> int:
        return self.position.step * self.loader.global_batch

    def _open_log(self) -> RunLog | None:
        return RunLog(self.run, self.position.step) if self.fabric.is_global_zero else None

    def _epoch(self, log: RunLog | None, screen: Screen, stop: StopRequest) -> None:
        recipe, position = self.recipe, self.position
        self.step.train_mode()
        if self.step.teacher is not None:
            self.step.teacher.at_epoch(position.epoch, recipe.epochs)
        if recipe.distill is not None and recipe.distill.multi_step and not position.step_in_epoch:
            self.watch.begin_anew()  # another teacher may speak from here on
        saved = time.monotonic()
        window = LogWindow()
        for ready, waited in self.feed.epoch(position.epoch, position.step_in_epoch):
            rate = self._set_rate()
            window.add(self.step.learn(ready), waited)
            position.step += 1
            position.step_in_epoch += 1
            position.images += self.loader.global_batch
            screen.advance(self.loader.global_batch)
            due = position.step % LOG_EVERY == 0 or position.step_in_epoch == self.loader.steps
            overdue = time.monotonic() - saved > recipe.checkpoint_minutes * 60
            late, asked = self.agree(row_due=due, late=overdue, asked=stop.asked)
            if due or late or asked:
                self._write_row(log, screen, window, rate)
                window = LogWindow()
            if late or asked:
                self._check_weights()
                self.save()
                saved = time.monotonic()
            if asked:
                raise stopped(self.run)

    def _write_row(
        self, log: RunLog | None, screen: Screen, window: LogWindow, rate: float
    ) -> None:
        position = self.position
        self.watch.see(window.losses(self.fabric), position.step)
        values = window.means(self.fabric, self.loader.global_batch)
        values |= device_use(self.fabric.device)
        screen.note = told(values)
        position.seconds += window.seconds
        epoch = position.epoch + position.step_in_epoch / self.loader.steps
        if log is not None:
            values |= {"processes": float(self.fabric.world_size)}
            log.write(position.step, values | {"learning_rate": rate, "epoch": epoch})

    def _check_weights(self) -> None:
        refuse_broken_weights(self.step.objective, self.position.step, self.fabric)

    def _end_epoch(self, log: RunLog | None, screen: Screen) -> None:
        self._check_weights()
        position = self.position
        position.epoch += 1
        position.step_in_epoch = 0
        with all_wait(self.fabric):
            if self.fabric.is_global_zero:
                self._measure_and_keep(log, screen)
        self.save()

    def _measure_and_keep(self, log: RunLog | None, screen: Screen) -> None:
        """What the first process does at an epoch's end, before it saves."""
        position = self.position
        ended = position.epoch == self.recipe.epochs
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

    def _tell_unreadable(self, screen: Screen) -> None:
        """Say which images were found unreadable since the last time."""
        fresh = sorted(self.loader.unreadable - self.told)
        for fault in fresh[:_SHOWN]:
            screen.say(f"left out: {fault}")
        if len(fresh) > _SHOWN:
            screen.say(f"left out: {len(fresh) - _SHOWN} more images that cannot be read")
        self.told |= set(fresh)

    def save(self) -> None:
        """Write a checkpoint on the first process; all must call this together."""
        checkpoint = self.checkpoint()
        with all_wait(self.fabric):
            if self.fabric.is_global_zero:
                save_checkpoint(self.run, checkpoint)
        self._anchor()

    def _anchor(self) -> None:
        """Keep a checkpoint of an epoch's end, or the one that the run goes on from, to go back to.

        What lies beyond it belongs to a way that was left.
        """
        step = self.position.step
        if self.recipe.divergence.action == "stop" or not self.fabric.is_global_zero:
            return
        anchors.forget_after(self.run, step)
        if self.position.step_in_epoch == 0 or anchors.newest_before(self.run, step) is None:
            anchors.keep(self.run, step)

    def _save_weights(self, path: Path) -> None:
        save_weights(
            self.backbone,
            path,
            preprocessing=self.preprocessing,
            data=data_of(self.recipe.data, self.faces),
            licence=self.recipe.data.licence,
            notes=notes_of(self.recipe, self.position.epoch, self.step.objective.projection),
        )

    def _set_rate(self) -> float:
        rate = learning_rate(
            self.recipe.optimiser,
            self.recipe.schedule,
            progress=self.position.epoch + self.position.step_in_epoch / self.loader.steps,
            epochs=self.recipe.epochs,
            global_batch=self.loader.global_batch,
        )
        rate *= self.recipe.divergence.factor**self.position.back_offs
        self.step.set_rate(rate)
        self.step.set_number(self.position.step)
        return rate
