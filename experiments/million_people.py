"""A classifier for a million people on this CPU: `python experiments/million_people.py`.

Takes true training steps (a small backbone, the head, both optimisers) with random images of a
million people, with the head whole, sharded over one and two processes, and with a tenth of the
centres sampled. Each row of the table is measured in fresh processes: the time of a step, its
processor time, the most memory that a process ever held, what of it came with the head, and the
bytes that a process hands to collective operations in a step. The last column is the memory of the
first process after it has gathered kernel and momentum for a checkpoint.
"""

import argparse
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import time
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from lightning_fabric import Fabric

from pocketface.heads import HeadConfig, create_head, create_sharded_head
from pocketface.models import create_model
from pocketface.preprocessing import Preprocessing
from pocketface.train.augment import AugmentConfig, draw_plan
from pocketface.train.loader import LoadedBatch
from pocketface.train.objective import Objective
from pocketface.train.schedule import OptimiserConfig
from pocketface.train.step import TrainingStep

WAYS = ("whole, 1", "1.0, 1", "0.1, 1", "1.0, 2", "0.1, 2")
"""The share that is sampled, or a head that is not sharded; and the number of processes."""

IMAGE = 32


def main() -> None:
    """Print the table, or measure one process of a row of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=1_000_000)
    parser.add_argument("--size", type=int, default=64, help="numbers of an embedding")
    parser.add_argument("--batch", type=int, default=64, help="images of all processes together")
    parser.add_argument("--steps", type=int, default=7)
    parser.add_argument("--ways", nargs="*", default=WAYS, help="rows of the table")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.one:
        print(json.dumps(measure(options)))
        return
    print(f"{options.people:,} people, {options.size} numbers, {options.batch} images a step")
    columns = "".join(f"{name:>10}" for name in ("step", "CPU", "memory", "head", "sent", "saving"))
    print(f"{'sample, processes':18}{columns}")
    for way in options.ways:
        rows = run(way, options)
        first = rows[0]
        most, head = (max(row[name] for row in rows) for name in ("peak", "head"))
        print(
            f"{way:18}{first['seconds']:8.2f} s{first['processor']:8.2f} s{most:7.0f} MB"
            f"{head:7.0f} MB{first['sent'] / 1e6:7.2f} MB{first['saving']:7.0f} MB"
            f"   loss {first['loss']:.2f}",
            flush=True,
        )


def run(way: str, options: argparse.Namespace) -> list[dict[str, float]]:
    """Measure one row of the table in fresh processes."""
    world = int(way.split(", ")[1])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    children = []
    for rank in range(world):
        command = [sys.executable, __file__, "--one", way]
        for name in ("people", "size", "batch", "steps"):
            command += [f"--{name}", str(getattr(options, name))]
        place = {"RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": 0}
        group = {
            "WORLD_SIZE": world,
            "LOCAL_WORLD_SIZE": world,
            "TORCHELASTIC_RUN_ID": "experiment",
        }
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": 1}
        told = {name: str(value) for name, value in (place | group | meeting).items()}
        children.append(
            subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # Fabric's greeting
                text=True,
                env=os.environ | told,
            )
        )
    said = [child.communicate()[0] for child in children]
    if any(child.returncode for child in children):
        raise SystemExit(f"{way}: a process failed")
    return [json.loads(words.splitlines()[-1]) for words in said]


def measure(options: argparse.Namespace) -> dict[str, float]:
    """What one process of one row finds."""
    share, world = options.one.split(", ")
    several = int(world) > 1
    fabric = Fabric(accelerator="cpu", devices=int(world), strategy="ddp" if several else "auto")
    fabric.launch()
    generator = torch.Generator().manual_seed(0)
    backbone = create_model(
        "pocketnet_nano",
        embedding_size=options.size,
        image_size=IMAGE,
        generator=generator,
        channels=4,
        cells=4,
    )
    before = peak()
    if share == "whole":
        head: Any = create_head(HeadConfig(), options.size, options.people, generator)
    else:
        config = HeadConfig(sharded=True, sample=float(share))
        head = create_sharded_head(config, options.size, options.people, generator)
    preprocessing = Preprocessing(image_size=IMAGE)
    objective = Objective(backbone, head)
    step = TrainingStep(objective, OptimiserConfig(), AugmentConfig(), preprocessing, fabric)
    step.set_rate(0.1)
    step.train_mode()
    sent = count_bytes()
    seconds, processor, loss = [], [], 0.0
    for number in range(options.steps + 1):  # the first one makes the momentum, and is not counted
        step.set_number(number)
        share_of_batch = options.batch // int(world)
        loaded = batch(share_of_batch, options.people, 1000 * fabric.global_rank + number)
        sent.clear()
        clock, work = time.perf_counter(), time.process_time()
        loss = float(step(loaded)["loss"])
        seconds.append(time.perf_counter() - clock)
        processor.append(time.process_time() - work)
    if several:
        sent.append(4 * sum(each.numel() for each in backbone.parameters()))
    most = peak()
    step.states()
    return {
        "seconds": statistics.median(seconds[1:]),
        "processor": statistics.median(processor[1:]),
        "peak": most,
        "head": most - before,
        "sent": sum(sent),
        "loss": loss,
        "saving": peak(),
    }


def batch(images: int, people: int, seed: int) -> LoadedBatch:
    """Random pixels of random people."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (images, IMAGE, IMAGE, 3), generator=generator).byte()
    labels = torch.randint(0, people, (images,), generator=generator)
    plan = draw_plan(AugmentConfig(), np.random.default_rng(seed), images)
    return LoadedBatch(pixels, labels, torch.arange(images), plan)


def count_bytes() -> list[int]:
    """From now on, the bytes that each collective operation but data parallelism's is given."""
    given: list[int] = []
    for name in ("all_gather", "all_reduce"):
        real = getattr(dist, name)

        def counted(first: Any, *rest: Any, real: Any = real) -> Any:
            tensor = rest[0] if isinstance(first, list) else first
            given.append(tensor.numel() * tensor.element_size())
            return real(first, *rest)

        setattr(dist, name, counted)
    return given


def peak() -> float:
    """The most memory that this process ever held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    main()
