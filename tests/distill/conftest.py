"""Two gloo processes for losses, from one warm parent: to import torch takes seconds."""

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest
import torch
from gloo import join

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def pool() -> Iterator[ProcessPoolExecutor]:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch"])
    with ProcessPoolExecutor(2, context) as executor:
        yield executor


@pytest.fixture
def two_processes(pool, tmp_path) -> Callable[..., list[Any]]:
    """Call `work(*arguments)` in two processes that form a group; gives what each returned.

    `work` must be a function of a module; it asks torch.distributed who it is.
    """

    def call(work: Callable[..., Any], *arguments: Any) -> list[Any]:
        meeting = tmp_path / "meeting"
        futures = [pool.submit(join, meeting, rank, work, arguments) for rank in range(2)]
        return [future.result(timeout=120) for future in futures]

    return call
