"""How fast people are pictured, and that workers do not show: `python bench/synthetic.py`.

Draws people and circumstances and renders them at 112x112, file degradation and all, on one thread
of one process; the figure is the median over batches. Then the same pictures are made by one
process and by four, and must be equal. With a GPU, its rate and its largest difference follow.
The bar is 150 faces a second and core; the aim is 250. Processor time is shown beside the clock's,
for a busy machine.
"""

import argparse
import hashlib
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import numpy as np
import torch

from pocketface.synthetic.population import Population
from pocketface.synthetic.render import render

BAR, AIM = 150.0, 250.0
BATCH = 16
SEED = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, default=30)
    parser.add_argument("--size", type=int, default=112)
    parser.add_argument("--workers", type=int, default=4)
    options = parser.parse_args()
    torch.set_num_threads(1)
    picture(range(BATCH), options.size)  # builds the template and its tables
    clock, processor = [], []
    for number in range(1, options.batches + 1):
        numbers = range(number * BATCH, (number + 1) * BATCH)
        begin, begin_processor = time.perf_counter(), time.process_time()
        picture(numbers, options.size)
        clock.append(time.perf_counter() - begin)
        processor.append(time.process_time() - begin_processor)
    rate = BATCH / statistics.median(clock)
    print(
        f"one core, {options.size}x{options.size}: {rate:.0f} faces/s by the clock, "
        f"{BATCH / statistics.median(processor):.0f} by processor time "
        f"(bar {BAR:.0f}, aim {AIM:.0f})"
    )
    compare_workers(options.size, options.workers)
    if torch.cuda.is_available():
        measure_gpu(options.size)


def picture(numbers: range, size: int, device: str = "cpu") -> np.ndarray:
    """Draw and picture these people once each."""
    population = Population(SEED)
    people = [population.person(i) for i in numbers]
    moments = [population.nuisance(i, 0) for i in numbers]
    return render(people, moments, size, device=device).images


def digest(numbers: range, size: int) -> str:
    return hashlib.sha256(picture(numbers, size).tobytes()).hexdigest()


def compare_workers(size: int, workers: int) -> None:
    parts = [range(i, i + BATCH) for i in range(0, 8 * BATCH, BATCH)]
    found = []
    for count in (1, workers):
        begin = time.perf_counter()
        with ProcessPoolExecutor(count, get_context("spawn"), initializer=one_thread) as pool:
            found.append(list(pool.map(partial(digest, size=size), parts)))
        print(f"{count} workers: {time.perf_counter() - begin:.1f} s for {8 * BATCH} faces")
    print("same bytes" if found[0] == found[1] else "THE BYTES DIFFER")


def one_thread() -> None:
    torch.set_num_threads(1)


def measure_gpu(size: int) -> None:
    numbers = range(512)
    picture(numbers, size, "cuda")
    begin = time.perf_counter()
    images = picture(numbers, size, "cuda").astype(int)
    rate = len(numbers) / (time.perf_counter() - begin)
    difference = np.abs(images - picture(numbers, size).astype(int))
    print(
        f"{torch.cuda.get_device_name()}: {rate:.0f} faces/s; differs from the processor on "
        f"{(difference > 0).mean():.4%} of the pixels by {difference.max()} at most"
    )


if __name__ == "__main__":
    main()
