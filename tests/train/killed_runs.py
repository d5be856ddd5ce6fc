"""A warm parent that forks training runs and kills them; `test_fifty_kills.py` runs it.

It has imported all that a run needs and computed nothing, so that each attempt costs a fork and not
a start of Python. Run by hand it prints the record:

    python tests/train/killed_runs.py RECIPE FOLDER --kills 50 --seed 0
"""

import argparse
import faulthandler
import json
import mmap
import os
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import matplotlib.backends.backend_agg  # noqa: F401  (a run would import it in each child)
import numpy as np
import torch

from pocketface.train import checkpoint as checkpoints
from pocketface.train import loop
from pocketface.train.checkpoint import load_checkpoint
from pocketface.train.launch import carry_out
from pocketface.train.recipe import Recipe, load_recipe
from pocketface.train.step import TrainingStep

STAGES = (
    "before the first step",
    "in a step",
    "between steps",
    "writing the temporary file",
    "before its renaming",
    "before the link is replaced",
    "before the old are removed",
    "after saving",
)
IN_STEP, BETWEEN, WRITING, WRITTEN, RENAMED, LINKED, SAVED = range(1, 8)
SAVING = (WRITING, WRITTEN, RENAMED, LINKED)

EARLY = 0.2  # of the random kills come before the first step
REACH = 2  # steps: no child comes further before it is killed


class Watch:
    """Where a child is, in memory that outlives it: a stage, its saves, and its steps."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, 24)
        self.aim: tuple[int, int] | None = None

    def read(self) -> tuple[int, int, int]:
        """Stage, how many checkpoints were begun, how many steps were done, in this sitting."""
        stage, saves, steps = struct.unpack("qqq", self._shared[:24])
        return stage, saves, steps

    def clear(self) -> None:
        self._shared[:24] = bytes(24)

    def enter(self, stage: int) -> None:
        """Called in the child; kills it where it was aimed at."""
        _, saves, steps = self.read()
        saves += stage == WRITING
        steps += stage == BETWEEN
        self._shared[:24] = struct.pack("qqq", stage, saves, steps)
        if self.aim == (stage, saves):
            os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class Record:
    """What was seen.

    Attributes:
        random: how many kills at random moments landed in which stage.
        aimed: the kills at a chosen stage.
        unreadable: kills after which `last.ckpt` could not be read.
        backwards: kills after which it was older than before.
        lost_steps: the most steps that a kill cost.
        steps: of the whole run.
        same: whether the weights are those of a run that nobody disturbed, bit for bit.
        seconds: all of it.
    """

    random: dict[str, int] = field(default_factory=dict)
    aimed: dict[str, int] = field(default_factory=dict)
    unreadable: int = 0
    backwards: int = 0
    lost_steps: int = 0
    steps: int = 0
    same: bool = False
    seconds: float = 0.0


def spy(watch: Watch) -> None:
    """Let the child tell its stage at every turn that the system can see."""

    def between(owner: Any, name: str, before: int | None, after: int | None) -> None:
        real: Callable[..., Any] = getattr(owner, name)

        def call(*arguments: Any, **options: Any) -> Any:
            if before is not None:
                watch.enter(before)
            result = real(*arguments, **options)
            if after is not None:
                watch.enter(after)
            return result

        setattr(owner, name, call)

    def save_in_two(content: object, file: Any) -> None:
        # A file that is there by half when the process is aimed at.
        if watch.aim is not None:
            real(content, file)
            file.flush()
            os.truncate(file.fileno(), file.tell() // 2)
            file.seek(0)
        watch.enter(WRITING)
        real(content, file)
        watch.enter(WRITTEN)

    real = torch.save
    torch.save = save_in_two
    between(TrainingStep, "learn", IN_STEP, BETWEEN)
    between(checkpoints, "_point_to", RENAMED, LINKED)
    between(loop, "save_checkpoint", None, SAVED)


def train(recipe: Recipe, run: Path, watch: Watch | None) -> NoReturn:
    """In a child: begin the run or go on with it, to its end."""
    try:
        if watch is not None:
            spy(watch)
        carry_out(recipe, run, resume=(run / checkpoints.LINK).exists(), device="cpu", quiet=True)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


class WarmParent:
    """Forks, kills, and looks at what is left."""

    def __init__(self, recipe: Recipe, run: Path, seed: int) -> None:
        self.recipe = recipe
        self.run = run
        self.random = np.random.default_rng(seed)
        self.watch = Watch()
        self.record = Record()
        self.step = -1  # of the newest checkpoint that was seen
        self.start = self.pace = 0.0  # seconds to the first step, and for a step with its saving

    def undisturbed(self, run: Path) -> None:
        """A run to its end; its pace gives the delays their size."""
        began = time.monotonic()
        child = self._fork(run)
        self._wait_for(child, lambda: self.watch.read()[2] > 0)
        self.start = time.monotonic() - began
        assert os.waitpid(child, 0)[1] == 0, "the run that nobody disturbed failed"
        self.pace = (time.monotonic() - began - self.start) / self.watch.read()[2]

    def kill_at_random(self) -> None:
        """Kill a child after a random delay, before its first step or after it."""
        child = self._fork(self.run)
        if self.random.random() < EARLY:
            time.sleep(self.random.uniform(0, self.start))
        else:
            self._wait_for(child, lambda: self.watch.read()[0] > 0)
            until = time.monotonic() + self.random.uniform(0, REACH * self.pace)
            self._wait_for(child, lambda: time.monotonic() > until or self.watch.read()[2] == REACH)
        os.kill(child, signal.SIGKILL)
        self._look(child, self.record.random)

    def kill_at(self, stage: int, save: int) -> None:
        """Have a child kill itself at a stage of the `save`-th checkpoint of its sitting."""
        self.watch.aim = (stage, save)
        self._look(self._fork(self.run), self.record.aimed)
        self.watch.aim = None

    def _fork(self, run: Path) -> int:
        self.watch.clear()
        child = os.fork()
        if child == 0:
            train(self.recipe, run, self.watch)
        return child

    def _wait_for(self, child: int, seen: Callable[[], bool]) -> None:
        while not seen():
            ended = os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            assert ended is None, f"the child ended by itself: {ended}"
            time.sleep(0.0005)

    def _look(self, child: int, landed: dict[str, int]) -> None:
        """What a killed child left: is the newest checkpoint whole, and not older than before?"""
        _, status = os.waitpid(child, 0)
        assert os.WTERMSIG(status) == signal.SIGKILL, f"the child ended by itself, status {status}"
        stage, _, steps = self.watch.read()
        name = STAGES[stage]
        if os.path.lexists(self.run / checkpoints.LINK):
            try:
                found = load_checkpoint(self.run / checkpoints.LINK).position.step
            except Exception:
                traceback.print_exc()
                self.record.unreadable += 1
            else:
                self.record.backwards += found < self.step
                self.record.lost_steps = max(self.record.lost_steps, self.step + steps - found)
                self.step = found
        elif self.step >= 0:
            self.record.unreadable += 1
        else:
            name = "before the first checkpoint"
        landed[name] = landed.get(name, 0) + 1

    def finish(self, whole: Path) -> None:
        """Let the run come to its end; compare it with the other."""
        assert os.waitpid(self._fork(self.run), 0)[1] == 0, "the last child failed"
        newest = load_checkpoint(self.run / checkpoints.LINK)
        self.record.steps = newest.position.step
        states = newest.states, load_checkpoint(whole / checkpoints.LINK).states
        weights = [(run / "last.safetensors").read_bytes() for run in (self.run, whole)]
        self.record.same = _same(*states) and weights[0] == weights[1]
        assert not list(self.run.rglob("*.tmp*")), "something half-written was left"


def _same(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, torch.Tensor):
        return torch.equal(ours, theirs)
    if isinstance(ours, dict):
        return ours.keys() == theirs.keys() and all(_same(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, list):
        return len(ours) == len(theirs) and all(map(_same, ours, theirs))
    return bool(ours == theirs)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    faulthandler.enable()
    # A child that is forked from a process with threads of OpenMP would wait for them for ever.
    torch.set_num_threads(1)
    began = time.monotonic()
    # A checkpoint after every step.
    recipe = load_recipe(options.recipe, {"checkpoint_minutes": 1e-9})
    parent = WarmParent(recipe, options.folder / "killed", options.seed)
    parent.undisturbed(options.folder / "whole")
    for save in (1, 2, 3):
        for stage in SAVING:
            parent.kill_at(stage, save)
    for _ in range(options.kills):
        parent.kill_at_random()
    parent.finish(options.folder / "whole")
    parent.record.seconds = round(time.monotonic() - began, 1)
    json.dump(asdict(parent.record), sys.stdout)


if __name__ == "__main__":
    main()
