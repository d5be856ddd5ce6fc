"""A process that holds one network in one runtime and runs it when it is told to.

`python -m pocketface.profile.worker JOB`: JOB is a `Job` as JSON. It answers on standard output in
lines of JSON: first what opening took, then, for each line `{"seconds": s, "least": n}` that it
reads, the times of the runs. It ends where its input ends.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from pocketface.profile.runtimes import Execute, Images, open_network, prepare
from pocketface.profile.turns import Run

_PATIENCE = 5
"""How many times as long as it should a turn may be."""


class Job(BaseModel):
    """What a worker holds.

    Attributes:
        runtime: one of `RUNTIMES`.
        file: the ONNX file, or for torch the weights file.
        shape: of the images, batch first.
        dtype: of the images.
        threads: that it computes with.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    runtime: str
    file: Path
    shape: tuple[int, int, int, int]
    dtype: Literal["float32", "uint8"] = "float32"
    threads: int = Field(gt=0)


class Opened(BaseModel):
    """What opening took.

    Attributes:
        load_seconds: from the file to a network that can be run; the runtime was imported before.
        peak_memory: bytes at most, until the second run has ended, above what the process took
            with its runtime and its images; None where the system does not tell.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    load_seconds: float = Field(ge=0)
    peak_memory: int | None


def main() -> None:
    """Open, and answer until the input ends."""
    # Runtimes print as they please; only answers may go where answers are read.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    execute, opened = open_and_measure(Job.model_validate_json(sys.argv[1]))
    _answer(answers, opened.model_dump())
    for line in sys.stdin:
        order = json.loads(line)
        _answer(answers, take_turn(execute, order["seconds"], order["least"]))


def open_and_measure(job: Job) -> tuple[Execute, Opened]:
    """Load the network and run it twice."""
    images = draw_images(job)
    prepare(job.runtime, job.threads)
    before = _memory("VmRSS")
    _forget_peak()
    begin = time.perf_counter()
    execute = open_network(job.runtime, job.file, images, job.threads)
    seconds = time.perf_counter() - begin
    execute()
    execute()
    peak = _memory("VmHWM")
    known = before is not None and peak is not None
    memory = max(0, (peak or 0) - (before or 0)) if known else None
    return execute, Opened(load_seconds=seconds, peak_memory=memory)


def draw_images(job: Job) -> Images:
    """Noise in the shape and type that the network takes."""
    generator = np.random.default_rng(0)
    if job.dtype == "uint8":
        return generator.integers(0, 256, job.shape, dtype=np.uint8)
    return generator.standard_normal(job.shape, dtype=np.float32)


def take_turn(execute: Execute, seconds: float, least: int) -> list[Run]:
    """Run for about `seconds`, at least `least` times, after one run that is not counted.

    That one brings the network back into the processor's caches after others had their turn. Runs
    that are very long for the turn are fewer, down to one.
    """
    execute()
    runs: list[Run] = []
    begin = time.perf_counter()
    while True:
        gone = time.perf_counter() - begin
        if runs and gone >= seconds and (len(runs) >= least or gone >= _PATIENCE * seconds):
            return runs
        wall, cpu = time.perf_counter(), time.process_time()
        execute()
        runs.append(Run(time.perf_counter() - wall, time.process_time() - cpu))


def _answer(answers: Any, content: Any) -> None:
    answers.write(json.dumps(content) + "\n")
    answers.flush()


def _memory(field: str) -> int | None:
    """Memory of the process in bytes as Linux tells it; None elsewhere."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(field)), None)


def _forget_peak() -> None:
    """Let VmHWM begin anew: importing a runtime may have taken more than it kept."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    except OSError:
        return


if __name__ == "__main__":
    main()
