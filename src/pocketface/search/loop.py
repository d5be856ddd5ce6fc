"""The loop of a search: steps, the ends of epochs, checkpoints, and when it is over."""

import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric

from pocketface import atomic
from pocketface.search import run_folder
from pocketface.search.architecture import EDGES, ArchitectureWeights
from pocketface.search.collapse import skip_scale
from pocketface.search.config import SearchConfig
from pocketface.search.halves_loader import HalvesLoader
from pocketface.search.history import EpochRecord, History
from pocketface.search.measure_epoch import measure_epoch
from pocketface.search.objective import SearchObjective
from pocketface.search.step import SearchStep
from pocketface.search.supernet import Supernet
from pocketface.search.target import Target
from pocketface.train import run as runs
from pocketface.train.checkpoint import Checkpoint, Position, save_checkpoint
from pocketface.train.divergence import check_loss, check_weights
from pocketface.train.log import RunLog, Screen
from pocketface.train.schedule import CosineSchedule
from pocketface.train.sources import describe_faces, open_sources
from pocketface.train.stop import StopRequest, stopped
from pocketface.train.window import LogWindow, timed

LOG_EVERY = 20  # steps


@dataclass(frozen=True)
class Searched:
    """What a search leaves.

    Attributes:
        run: its folder.
        position: where it ended.
        history: its epochs.
        chosen: the epoch (from 1) that the cells are taken from.
        kept: the first epochs, among which it was chosen; fewer than all if the cells collapsed.
    """

    run: Path
    position: Position
    history: History
    chosen: int
    kept: int


class Searcher:
    """Carries out a search in a run folder.

    Args:
        config: the whole search.
        run: its folder.
        fabric: the device, in one process.
        quiet: print nothing.

    Raises:
        RecipeError, DataError: before the first step, if the search cannot be carried out.
    """

    def __init__(self, config: SearchConfig, run: Path, fabric: Fabric, quiet: bool) -> None:
        self.config = config
        self.run = run
        self.fabric = fabric
        self.quiet = quiet
        self.target = Target.of(config)
        self.faces = open_sources(config.data)
        silent = quiet or not config.data.in_memory
        with closing(Screen("decoding", len(self.faces), 0, "images", silent)) as screen:
            self.halves = HalvesLoader(config, self.faces, fabric.device, screen.advance)
        generator = torch.Generator().manual_seed(config.seed)
        supernet = Supernet(**vars(config.supernet), generator=generator)
        people = len(self.faces.people)
        network = SearchObjective(supernet, people, config.head, generator)
        architecture = ArchitectureWeights(config.architecture.scale, generator)
        self.step = SearchStep(
            config,
            network.to(fabric.device),
            architecture.to(fabric.device),
            self.target.penalty(),
        )
        self.position = Position()
        self.history = History(architecture)
        self.told: set[str] = set()

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from `checkpoint`.

        Raises:
            RecipeError: if the batches would be others, since the data changed.
        """
        runs.refuse_other_batches(self.run, self.halves.identity, checkpoint.batches)
        states = dict(checkpoint.states)
        self.history.restore(states.pop("history"))
        self.step.restore(states)
        self.position = replace(checkpoint.position)

    def save(self) -> None:
        """Write a checkpoint."""
        checkpoint = Checkpoint(
            {**self.step.states(), "history": self.history.states()},
            self.position,
            self.config.model_dump(mode="json"),
            self.halves.identity,
        )
        save_checkpoint(self.run, checkpoint)

    def search(self) -> Searched:
        """Search to the end of the last epoch, or until the cells collapse, or a stop is asked for.

        Raises:
            TrainingError: if the loss or a weight is no longer a number; `last.ckpt` is from
                before that.
            StoppedError: if Ctrl-C or SIGTERM came; the search can be resumed.
        """
        position, epochs = self.position, self.config.epochs
        batch = self.config.batch_size
        log = RunLog(self.run, position.step)
        total = epochs * self.halves.steps * batch
        screen = Screen(self.run.name, total, position.step * batch, "images", self.quiet)
        screen.say(self._description())
        if self.faces.faults:
            name, reason = self.faces.faults[0]
            screen.say(f"left out of the data: {len(self.faces.faults)}, first {name}: {reason}")
        self._tell_unreadable(screen)
        try:
            with StopRequest() as stop:
                while position.epoch < epochs and self._sound() is None:
                    self._epoch(log, screen, stop)
                    self._end_epoch(log, screen)
        finally:
            screen.close()
            log.close()
        kept = self._sound() or position.epoch
        chosen = self.history.best(kept, self._warm_up)
        return Searched(self.run, position, self.history, chosen, kept)

    @property
    def _warm_up(self) -> int:
        return self.config.architecture.warm_up_epochs

    def _sound(self) -> int | None:
        return self.history.sound(self.config.collapse, self._warm_up)

    def _epoch(self, log: RunLog, screen: Screen, stop: StopRequest) -> None:
        config, position = self.config, self.position
        rate = rate_at(config, position.epoch)
        self.step.set_rate(rate)
        held_out = position.epoch >= self._warm_up
        batches = self.halves.epoch(position.epoch, position.step_in_epoch, held_out=held_out)
        saved = time.monotonic()
        window = LogWindow()
        for (training, judging), waited in timed(batches):
            values = self.step(
                training,
                judging,
                decay=config.collapse.beta_decay * progress(config, position.epoch),
                skip_scale=self._skip_scale(len(training[1])),
            )
            window.add(values, waited)
            position.step += 1
            position.step_in_epoch += 1
            position.images += config.batch_size
            screen.advance(config.batch_size)
            late = time.monotonic() - saved > config.checkpoint_minutes * 60
            last = position.step_in_epoch == self.halves.steps
            # Read once: a signal that comes later waits for the next step.
            asked = stop.asked
            if late or last or asked or position.step % LOG_EVERY == 0:
                self._write_row(log, window, rate)
                window = LogWindow()
            # The end of the epoch saves by itself.
            if (late and not last) or asked:
                self._check_weights()
                self.save()
                saved = time.monotonic()
            if asked:
                raise stopped(self.run)

    def _skip_scale(self, images: int) -> torch.Tensor | None:
        """Which skip connections the next step leaves out; drawn from (seed, step)."""
        config = self.config
        rate = config.collapse.skip_dropout * (1 - progress(config, self.position.epoch))
        if not rate:
            return None
        seed = np.random.SeedSequence((config.seed, self.position.step, 2)).generate_state(1)[0]
        generator = torch.Generator().manual_seed(int(seed))
        scale = skip_scale(images, config.supernet.cells, EDGES, rate, generator)
        return scale.to(self.fabric.device)

    def _write_row(self, log: RunLog, window: LogWindow, rate: float) -> None:
        position = self.position
        values = window.means(self.fabric, self.config.batch_size)
        for name in ("loss", "architecture_loss"):
            if name in values:
                check_loss(values[name], position.step, self.run, self.config.weights, "weights")
        position.seconds += window.seconds
        epoch = position.epoch + position.step_in_epoch / self.halves.steps
        log.write(position.step, values | {"learning_rate": rate, "epoch": epoch})

    def _check_weights(self) -> None:
        for module in (self.step.network, self.step.architecture):
            check_weights(module, self.position.step, self.run, self.config.weights, "weights")

    def _end_epoch(self, log: RunLog, screen: Screen) -> None:
        self._check_weights()
        began = time.monotonic()
        position = self.position
        record = measure_epoch(self.step, self.halves, self.target, self.config, position.epoch)
        self.history.add(record, self.step.architecture)
        position.epoch += 1
        position.step_in_epoch = 0
        position.seconds += time.monotonic() - began
        log.write(position.step, record.metrics() | {"epoch": float(position.epoch)})
        screen.say(f"epoch {position.epoch} of {self.config.epochs}: {_told(record)}")
        self._tell_unreadable(screen)
        write_alphas(self.history, self.run)
        self.save()

    def _tell_unreadable(self, screen: Screen) -> None:
        """Say how many images were found unreadable since the last time, and name one."""
        fresh = self.halves.unreadable - self.told
        if fresh:
            screen.say(f"left out: {len(fresh)} images that cannot be read, such as {min(fresh)}")
            self.told |= fresh

    def _description(self) -> str:
        config = self.config
        parameters = sum(each.numel() for each in self.step.network.supernet.parameters())
        return (
            f"{config.architecture.order} order, {parameters:,} parameters in "
            f"{config.supernet.cells} cells, {describe_faces(self.faces)}, "
            f"{config.epochs} epochs of {self.halves.steps} steps of {config.batch_size} images "
            f"of {config.supernet.image_size} px on {self.fabric.device}"
        )


def rate_at(config: SearchConfig, epoch: int) -> float:
    """The learning rate of the network's weights in `epoch` (0-based): DARTS moves it by epochs."""
    weights = config.weights
    floor = weights.last_rate / weights.learning_rate
    schedule = CosineSchedule(kind="cosine", floor=floor)
    return weights.learning_rate * schedule.decay(epoch, config.epochs)


def progress(config: SearchConfig, epoch: int) -> float:
    """How far a search has come in `epoch` (0-based): 0 in the first epoch, 1 in the last."""
    return epoch / max(1, config.epochs - 1)


def write_alphas(history: History, run: Path) -> None:
    """Write the architecture weights of all epochs so far, which the pictures are drawn from."""
    normal, reduce = history.alphas()
    with atomic.atomic_path(run / run_folder.ALPHAS) as temporary, temporary.open("wb") as file:
        np.savez(file, normal=normal, reduce=reduce)


def _told(record: EpochRecord) -> str:
    return (
        f"top-1 {record.top1_weights:.1%} on the weights' half, {record.top1_architecture:.1%} on "
        f"the architecture's; {record.skips_normal} skips and {record.pools_normal} pools in the "
        f"normal cell, {record.skips_reduce} and {record.pools_reduce} in the reduction cell; "
        f"entropy {record.entropy_normal:.3f} and {record.entropy_reduce:.3f}; eigenvalue "
        f"{record.eigenvalue:.3g}"
    )
