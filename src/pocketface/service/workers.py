"""Work off the event loop: a few threads, a bounded number of requests, a limit of time.

The runtimes let other threads run while they compute, so the loop goes on answering meanwhile.
"""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from pocketface.service.bounds import Bounds
from pocketface.service.refusal import busy

T = TypeVar("T")


class Workers:
    """`bounds.threads` threads; to be used on one event loop."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._admitted = 0
        self._threads = ThreadPoolExecutor(bounds.threads, "pocketface-worker")

    @property
    def admitted(self) -> int:
        """Requests that are worked on or wait."""
        return self._admitted

    @contextmanager
    def admit(self) -> Iterator[None]:
        """A place for one request, from before its body is read. Raises RefusedError if none."""
        most = self._bounds.threads + self._bounds.waiting
        if self._admitted >= most:
            raise busy(f"{self._admitted} requests are under way.", f"At most {most} at once.")
        self._admitted += 1
        try:
            yield
        finally:
            self._admitted -= 1

    async def run(self, work: Callable[[], T]) -> T:
        """Do `work` in a thread; gives what it gives.

        Raises RefusedError (503) after `bounds.seconds`, and what `work` raises. A thread cannot be
        stopped: work that has begun goes on to its end, unheard; what has not begun never does.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._bounds.seconds):
                return await loop.run_in_executor(self._threads, work)
        except TimeoutError:
            raise busy(
                f"The answer was not ready after {self._bounds.seconds:g} s.",
                f"At most {self._bounds.seconds:g} s for one request.",
                5,
            ) from None

    def close(self) -> None:
        """Let what is running end, and begin nothing more."""
        self._threads.shutdown(wait=True, cancel_futures=True)
