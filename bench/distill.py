"""What a teacher costs a training step: `python bench/distill.py` (`--device cuda` on a GPU).

The same student learns, from the same weights and on the same batches, plainly, under cached
teachers and under a live IResNet-100, in turns; the medians are compared. A cached teacher may
cost 1.05 times plain training. Caches are of realistic size, and each batch asks for random rows.
On a CPU a turn is one step. On a GPU it is `--turn` steps between two synchronisations, since
there the teacher works beside the student.
"""

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import simplejpeg
import torch
from lightning_fabric import Fabric

from pocketface.distill import CachedTeacher, EmbeddingCache, LiveTeacher, MultiStepTeacher, Teacher
from pocketface.models import create_model
from pocketface.models.weights import save_weights
from pocketface.preprocessing import Preprocessing
from pocketface.train.feed import Feed
from pocketface.train.loader import FaceLoader, LoadedBatch
from pocketface.train.loop import Trainer
from pocketface.train.recipe import load_recipe

BAR = 1.05
SIDE = 64
MILESTONES = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=40, help="turns of each arm")
    parser.add_argument("--live-steps", type=int, default=3, help="turns beside a live teacher")
    parser.add_argument("--images", type=int, default=200_000, help="images of a cache")
    parser.add_argument("--sizes", type=int, nargs="*", default=[128, 512], help="D of the caches")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--live-batch", type=int, default=None, help="[16 on a CPU, else --batch]")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--turn", type=int, default=None, help="steps of a turn [1, on a GPU 10]")
    parser.add_argument("--precision", default="32-true", help="32-true, bf16-mixed, 16-mixed")
    parser.add_argument(
        "--processor-time",
        action="store_true",
        help="count the process's own time, on a CPU that others use too",
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    on_gpu = options.device == "cuda"
    options.turn = options.turn or (10 if on_gpu else 1)
    options.live_batch = options.live_batch or (options.batch if on_gpu else 16)
    machine = torch.cuda.get_device_name() if on_gpu else platform.processor() or "CPU"
    print(f"{machine}, torch {torch.__version__}, {options.precision}, {options.threads} thread(s)")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_faces(root / "faces")
        held = [compare(root, size, options) for size in options.sizes]
        if options.live_steps:
            live(root, options)
    print(f"cached teachers cost at most {BAR}: {'held' if all(held) else 'MISSED'}")


def compare(root: Path, size: int, options: argparse.Namespace) -> bool:
    """Plain training, one cached teacher, and a sequence of them; whether the bar holds."""
    caches = [
        write_cache(root / f"cache_{size}_{number}", options.images, size)
        for number in range(MILESTONES)
    ]
    steps = MultiStepTeacher([partial(CachedTeacher, cache) for cache in caches], size)
    teachers: dict[str, Teacher | None] = {
        "plain": None,
        "cached": CachedTeacher(caches[0]),
        "cached, multi-step": steps,
    }
    arms = {
        name: turns(root / f"{size} {name}", size, options.batch, teacher, options)
        for name, teacher in teachers.items()
    }
    print(f"{size} numbers, {options.images:,} images, batch {options.batch}")
    ratios = show(measure(arms, options.steps, options), options.turn)
    gathered = gather_seconds(CachedTeacher(caches[0]), options)
    print(f"  the gathering alone {1000 * gathered:8.2f} ms")
    return all(ratio <= BAR for ratio in ratios)


def live(root: Path, options: argparse.Namespace) -> None:
    """A cached teacher, and an IResNet-100 that looks at every batch."""
    cache = write_cache(root / "cache_live", options.images, 512)
    network = create_model("iresnet_100", image_size=SIDE, generator=torch.Generator())
    network = network.to(options.device, memory_format=torch.channels_last)
    teachers: dict[str, Teacher] = {
        "cached": CachedTeacher(cache),
        "live IResNet-100": LiveTeacher(
            network, Preprocessing(image_size=SIDE), precision=options.precision
        ),
    }
    arms = {
        name: turns(root / f"live {name}", 512, options.live_batch, teacher, options)
        for name, teacher in teachers.items()
    }
    print(f"512 numbers, batch {options.live_batch}, {SIDE} x {SIDE} pixels")
    show(measure(arms, options.live_steps, options), options.turn)


class AsOfALargeSet:
    """A loader whose images are few, and whose positions are those of a large training set."""

    def __init__(self, loader: FaceLoader, images: int) -> None:
        self.loader = loader
        self.images = images

    def epoch(self, epoch: int, start: int = 0) -> Iterator[LoadedBatch]:
        rng = np.random.default_rng(epoch)
        for loaded in self.loader.epoch(epoch, start):
            drawn = rng.integers(0, self.images, len(loaded.indices))
            yield replace(loaded, indices=torch.from_numpy(drawn))


def turns(
    run: Path, size: int, batch: int, teacher: Teacher | None, options: argparse.Namespace
) -> Callable[[], None]:
    """A student of `size` numbers under `teacher`; each call is a turn of its training."""
    changes = {
        "data.train": [str(run.parent / "faces")],
        "data.in_memory": True,
        "data.workers": 0,
        "epochs": 50,
        "batch_size": batch,
        "model.embedding_size": size,
        "precision": options.precision,
    }
    if teacher is not None:
        # Its file gives the recipe a teacher; the one that is measured takes its place.
        changes["distill.teacher"] = str(write_teacher(run.parent / f"{size}.safetensors", size))
    fabric = Fabric(accelerator=options.device, devices=1, precision=options.precision)
    trainer = Trainer(load_recipe("pocketnet_nano", changes), run, fabric, quiet=True)
    trainer.step.teacher = teacher
    trainer.step.train_mode()
    trainer.step.set_rate(0.01)
    feed = Feed(AsOfALargeSet(trainer.loader, options.images), trainer.step)

    def ready() -> Iterator[object]:
        for epoch in range(10**9):
            if teacher is not None:
                teacher.at_epoch(epoch % 50, 50)
            for batch, _ in feed.epoch(epoch):
                yield batch

    batches = ready()

    def turn() -> None:
        for _ in range(options.turn):
            trainer.step.learn(next(batches))

    return turn


def write_teacher(path: Path, size: int) -> Path:
    if not path.exists():
        network = create_model("pocketnet_nano", embedding_size=size, image_size=SIDE)
        how = Preprocessing(image_size=SIDE)
        save_weights(network, path, preprocessing=how, data="none", licence="Apache-2.0")
    return path


def write_faces(folder: Path) -> None:
    """512 JPEGs of 32 people: noise, since only the time is looked at."""
    rng = np.random.default_rng(0)
    for number in range(512):
        person = folder / f"person_{number % 32:02d}"
        person.mkdir(parents=True, exist_ok=True)
        image = rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        (person / f"{number:04d}.jpg").write_bytes(simplejpeg.encode_jpeg(image, quality=80))


def write_cache(folder: Path, images: int, size: int) -> EmbeddingCache:
    """A full cache of random numbers."""
    cache, rng = EmbeddingCache.open(folder, images, size), np.random.default_rng(0)
    for number in range(cache.shards):
        shape = (2, len(cache.span(number)), size)
        cache.add(number, rng.random(shape, np.float32).astype(np.float16))
    return cache


def gather_seconds(teacher: CachedTeacher, options: argparse.Namespace) -> float:
    """The median time in which the rows of a batch are gathered."""
    rng, seconds = np.random.default_rng(1), []
    for _ in range(200):
        indices = rng.integers(0, options.images, options.batch)
        mirrored = rng.random(options.batch) < 0.5
        began = time.perf_counter()
        teacher.embeddings.gather(indices, mirrored)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def measure(
    arms: dict[str, Callable[[], None]], count: int, options: argparse.Namespace
) -> dict[str, list[float]]:
    """Seconds of each turn by arm, in an order that rotates; one turn of each warms up."""
    clock = time.process_time if options.processor_time else time.perf_counter
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    names = list(arms)
    for number in range(count + 1):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            wait_for(options.device)
            began = clock()
            arms[name]()
            wait_for(options.device)
            if number:
                seconds[name].append(clock() - began)
    return seconds


def wait_for(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def show(seconds: dict[str, list[float]], turn: int) -> list[float]:
    """Print the medians and their ratios to the first arm; gives the ratios of the others."""
    first = statistics.median(next(iter(seconds.values())))
    ratios = []
    for name, times in seconds.items():
        median = statistics.median(times)
        ratios.append(median / first)
        print(f"  {name:20} {1000 * median / turn:8.1f} ms a step   {ratios[-1]:.3f}")
    return ratios[1:]


if __name__ == "__main__":
    main()
