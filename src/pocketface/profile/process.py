"""A worker process, seen from the process that measures."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from types import TracebackType
from typing import Self

from pocketface.errors import WeightsError
from pocketface.profile.turns import Run
from pocketface.profile.worker import Job, Opened

TURN_SECONDS = 0.1
LEAST_RUNS = 3
"""A turn lasts so long, and has at least so many runs."""


class Worker:
    """Starts a process for `job` and waits until its network is open; a context manager.

    It has a session of its own, so that Ctrl-C reaches only the process that measures; when that
    ends, in whatever way, so does the worker's input, and with it the worker.

    Raises WeightsError where the runtime cannot open or run the file.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pocketface.profile.worker", job.model_dump_json()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            start_new_session=True,
            # Libraries with threads of their own are not to take more than they were given.
            env={**os.environ, "OMP_NUM_THREADS": str(job.threads)},
        )
        try:
            self.opened = Opened.model_validate_json(self._read())
        except BaseException:
            self.close()
            raise

    def turn(self) -> list[Run]:
        """Let it run for a turn. Raises WeightsError if the process has died."""
        assert self._process.stdin is not None
        order = json.dumps({"seconds": TURN_SECONDS, "least": LEAST_RUNS})
        try:
            self._process.stdin.write(order + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._died() from None
        return [Run(*times) for times in json.loads(self._read())]

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                # What could not be handed to a dead process is still there to be flushed.
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._died()
        return line

    def _died(self) -> WeightsError:
        code = self._process.wait()
        self._errors.seek(0)
        said = [line for line in self._errors.read().splitlines() if line.strip()]
        reason = said[-1][:300] if said else f"the process ended with code {code}"
        if code == -9:
            reason = "the process was killed; perhaps memory ran out"
        job = self.job
        return WeightsError(
            f"{job.runtime} cannot run {job.file.name} on images of shape {job.shape} with "
            f"{job.threads} thread(s): {reason}. Leave this runtime out, or mend the file."
        )
