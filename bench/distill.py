"""What a cached teacher costs a training step: `python bench/distill.py`.

Trains the same student, from the same weights on the same batches, plainly and under a cached
teacher, in turns of one step, and compares the medians. The bar is a ratio of 1.10. The cost of
a live teacher of the same run stands beside it.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import simplejpeg
import torch
from lightning_fabric import Fabric

from pocketface.models import create_model
from pocketface.models.weights import save_weights
from pocketface.preprocessing import Preprocessing
from pocketface.train.loop import Trainer
from pocketface.train.recipe import load_recipe

BAR = 1.10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        trainers = make_trainers(Path(folder))
        seconds = measure(trainers, options.steps)
    plain = statistics.median(seconds["plain"])
    for name, times in seconds.items():
        median = statistics.median(times)
        print(f"{name:8} {1000 * median:8.1f} ms a step   {median / plain:.3f} x plain")
    ratio = statistics.median(seconds["cached"]) / plain
    print(f"cached / plain = {ratio:.3f} (bar {BAR}: {'held' if ratio <= BAR else 'MISSED'})")


def make_trainers(folder: Path) -> dict[str, Trainer]:
    """The same student plainly, with a cached, and with a live teacher."""
    write_faces(folder / "faces")
    teacher = folder / "teacher.safetensors"
    network = create_model("iresnet_18", embedding_size=128, image_size=64, width=0.25)
    save_weights(
        network,
        teacher,
        preprocessing=Preprocessing(image_size=64),
        data="none",
        licence="Apache-2.0",
    )
    base = {"data.train": [str(folder / "faces")], "epochs": 50}
    lessons = {
        "plain": {},
        "cached": {"distill.teacher": str(teacher), "distill.cache": str(folder / "cache")},
        "live": {"distill.teacher": str(teacher)},
    }
    return {
        name: Trainer(
            load_recipe("pocketnet_nano", base | lesson),
            folder / name,
            Fabric(accelerator="cpu"),
            quiet=True,
        )
        for name, lesson in lessons.items()
    }


def write_faces(folder: Path) -> None:
    """512 JPEGs of 32 people: noise, since only the time is looked at."""
    rng = np.random.default_rng(0)
    for number in range(512):
        person = folder / f"person_{number % 32:02d}"
        person.mkdir(parents=True, exist_ok=True)
        image = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
        (person / f"{number:04d}.jpg").write_bytes(simplejpeg.encode_jpeg(image, quality=80))


def measure(trainers: dict[str, Trainer], steps: int) -> dict[str, list[float]]:
    """Seconds per step by trainer, the trainers taking turns; the first two steps warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in trainers}
    batches = [b for epoch in range(steps) for b in trainers["plain"].loader.epoch(epoch)]
    for number, batch in enumerate(batches[: steps + 2]):
        for name, trainer in trainers.items():
            began = time.perf_counter()
            trainer.step(batch)
            if number >= 2:
                seconds[name].append(time.perf_counter() - began)
    return seconds


if __name__ == "__main__":
    main()
