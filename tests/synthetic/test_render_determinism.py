"""One seed, one picture: whatever the batch, the threads, the processes; nearly so elsewhere."""

import hashlib
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch

from pocketface.synthetic.nuisance import NuisanceRanges, Spread
from pocketface.synthetic.population import Population
from pocketface.synthetic.render import Rendered, render

RANGES = NuisanceRanges(
    yaw=Spread(0, 40, -90, 90), chance_mask=0.2, chance_hat=0.2, chance_blink=0.3
)


def take(numbers: list[int], size: int = 112) -> Rendered:
    population = Population(99)
    return render(
        [population.person(i) for i in numbers],
        [population.nuisance(i, 3, RANGES) for i in numbers],
        size,
    )


def digests(numbers: list[int]) -> list[str]:
    batch = take(numbers)
    return [
        hashlib.sha256(image.tobytes() + points.tobytes() + mask.tobytes()).hexdigest()
        for image, points, mask in zip(batch.images, batch.landmarks, batch.mask, strict=True)
    ]


@pytest.fixture(scope="module")
def expected() -> list[str]:
    return digests(list(range(20)))


def test_two_runs_give_the_same_bytes(expected: list[str]) -> None:
    assert digests(list(range(20))) == expected


def test_batches_do_not_show(expected: list[str]) -> None:
    """Alone, in fives, backwards, and beside others."""
    assert [digests([i])[0] for i in range(6)] == expected[:6]
    assert [d for i in range(0, 20, 5) for d in digests(list(range(i, i + 5)))] == expected
    assert digests(list(range(19, -1, -1)))[::-1] == expected
    assert digests([77, 3, 42, 4])[1::2] == expected[3:5]


def test_threads_do_not_show(expected: list[str]) -> None:
    before = torch.get_num_threads()
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            assert digests(list(range(8))) == expected[:8]
    finally:
        torch.set_num_threads(before)


@pytest.mark.slow
def test_one_worker_or_four(expected: list[str]) -> None:
    for workers in (1, 4):
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            parts = pool.map(digests, [list(range(i, i + 5)) for i in range(0, 20, 5)])
            assert [d for part in parts for d in part] == expected


@pytest.mark.slow
def test_plain_vector_units_differ_by_one_grey_level_at_most(tmp_path: Path) -> None:
    """A processor without AVX stands for another machine: torch's other kernels, OpenBLAS' too."""
    script = (
        "import sys, numpy as np; sys.path.insert(0, sys.argv[1]);"
        "from test_render_determinism import take;"
        "np.save(sys.argv[2], take(list(range(24))).images)"
    )
    environment = os.environ | {
        "ATEN_CPU_CAPABILITY": "default",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
        "OPENBLAS_CORETYPE": "Prescott",
        "NPY_DISABLE_CPU_FEATURES": "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL",
    }
    target = tmp_path / "elsewhere.npy"
    here = Path(__file__).parent
    subprocess.run([sys.executable, "-c", script, here, target], env=environment, check=True)
    other, own = np.load(target).astype(int), take(list(range(24))).images.astype(int)
    assert np.abs(other - own).max() <= 1
    assert (other != own).mean() <= 0.001


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_differs_by_one_grey_level_at_most() -> None:
    population = Population(99)
    people = [population.person(i) for i in range(64)]
    moments = [population.nuisance(i, 3, RANGES) for i in range(64)]
    own = render(people, moments).images.astype(int)
    other = render(people, moments, device="cuda").images.astype(int)
    assert np.abs(other - own).max() <= 1
    assert (other != own).mean() <= 0.001
