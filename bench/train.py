"""What a step of training costs: `python bench/train.py`, on a GPU `... --device cuda`.

Ours against the published step as `naive_train.py` writes it down, from the same weights on the
same batch: in 64 bits, where no rounding is in the way, losses and gradients must be equal, and in
32 bits the losses of what is measured. Each way runs in a process of its own; they take turns,
medians are compared, and the most memory that each held stands beside. Three tables:

- training: the step of a network alone, its batch on the device already;
- distillation: the same under an IResNet-100. The naive step asks the teacher in every step; ours
  has its targets cached, as a run has that is taught by a final teacher, or asks it too (live);
- with the loader: training with everything from the JPEGs on. The naive way decodes and prepares
  them one by one in the process that trains.

The bar on a CPU is 1.4 times for training. On a GPU the aims are 3, 4 and 10. Needs no data: it
makes its own JPEGs.

`--cpu-time` counts the processors' time in place of the clock's, for a machine that is busy. It
does not count the loader's workers, so the table with the loader always goes by the clock.
"""

import argparse
import itertools
import multiprocessing
import random
import statistics
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import simplejpeg
import torch
from PIL import Image
from torch import Tensor

RATE = 0.1
TOLERANCE = {"training": 1e-4, "distillation": 1e-3}
"""Between losses, relative; a cached teacher's targets are rounded to float16."""

EXACT = 1e-6
"""The same in 64 bits, of gradients too. In 32 bits rounding turns some maximum or some sign, and a
gradient with it."""

BARS = {
    "cpu": {"training": ("bar", 1.4)},
    "cuda": {
        "training": ("aim", 3.0),
        "distillation": ("aim", 4.0),
        "with the loader": ("aim", 10.0),
    },
}

Numbers = npt.NDArray[np.floating]
Outcome = tuple[float, Numbers]
"""The loss of the first step, and its gradient."""


@dataclass(frozen=True)
class Way:
    """One of those compared: `changes` are to the recipe; the naive step has none."""

    name: str
    changes: dict[str, Any] = field(default_factory=dict)
    naive: bool = False
    exact: bool = True


NAIVE = Way("naive", naive=True)
HALF = {"precision": "bf16-mixed"}
ON_A_GPU = (
    Way("ours, bf16", HALF, exact=False),
    Way("ours, fp16", {"precision": "16-mixed"}, exact=False),
    Way("ours, compiled", {"compile": True}),
    Way("ours, compiled, bf16", HALF | {"compile": True}, exact=False),
    Way("ours, graphs, bf16", HALF | {"compile": "graphs"}, exact=False),
)


def main() -> None:
    options = parse()
    tables = {
        "training": [NAIVE, Way("ours"), Way("ours, planar", {"channels_last": False})],
        "distillation": [
            NAIVE,
            Way("ours, cached", {"distill.cache": "cache"}),
            Way("ours, live", {"distill.cache": None}),
        ],
        "with the loader": [
            NAIVE,
            Way("ours, workers", {"data.workers": options.workers}),
            Way("ours, in memory", {"data.in_memory": True}),
        ],
    }
    if options.device == "cuda":
        tables["training"] += ON_A_GPU
        fastest = ON_A_GPU[-2:]
        for name, start in (("distillation", tables["distillation"][1:]), ("with the loader", [])):
            start = start or tables[name][1:]
            tables[name] += [
                Way(
                    f"{way.name}{quick.name.removeprefix('ours')}",
                    way.changes | quick.changes,
                    exact=False,
                )
                for way in start
                for quick in fastest
            ]
    elif options.compile:
        tables["training"].append(Way("ours, compiled", {"compile": True}))
    print(describe(options))
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), options)
        check(Path(folder), options)
        for name in options.tables or tables:
            report(name, tables[name], Path(folder), options)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--batch", type=int, help="images; on a CPU 16, on a GPU 128")
    parser.add_argument("--turns", type=int, help="of each way; on a CPU 5, on a GPU 15")
    parser.add_argument("--steps", type=int, help="of each turn; on a CPU 1, on a GPU 10")
    parser.add_argument("--people", type=int, default=85_742, help="of the head: MS1MV2's")
    parser.add_argument("--architecture", default="pocketnet_s_128")
    parser.add_argument("--teacher", default="iresnet_100")
    parser.add_argument("--image-size", type=int, default=112)
    parser.add_argument(
        "--images", type=int, help="JPEGs of the loader; on a CPU 4 batches, on a GPU 64"
    )
    parser.add_argument("--threads", type=int, default=1, help="on a CPU")
    parser.add_argument(
        "--workers", type=int, help="decoding; on a CPU 1, on a GPU all cores but 2"
    )
    parser.add_argument("--compile", action="store_true", help="measure it on a CPU too (minutes)")
    parser.add_argument("--tables", nargs="+", choices=list(BARS["cuda"]), help="only these")
    parser.add_argument("--cpu-time", action="store_true")
    options = parser.parse_args()
    on_a_gpu = options.device == "cuda"
    usual = {"batch": (16, 128), "turns": (5, 15), "steps": (1, 10)}
    for name, values in usual.items():
        if getattr(options, name) is None:
            setattr(options, name, values[on_a_gpu])
    from pocketface.profile.machine import cores

    options.workers = options.workers or (max(1, cores() - 2) if on_a_gpu else 1)
    options.images = options.images or (64 if on_a_gpu else 4) * options.batch
    return options


def describe(options: argparse.Namespace) -> str:
    from pocketface.profile.machine import describe_machine

    gpu = f"{torch.cuda.get_device_name()}; " if options.device == "cuda" else ""
    return (
        f"{gpu}{describe_machine()}; torch {torch.__version__}\n"
        f"{options.architecture} at {options.image_size}, batch {options.batch}, "
        f"{options.people:,} people, teacher {options.teacher}"
    )


def prepare(folder: Path, options: argparse.Namespace) -> None:
    """JPEGs about as large as faces in a .rec, and a teacher's weights, which may be random."""
    from pocketface.data.record_writer import write_faces
    from pocketface.models import create_model
    from pocketface.models.weights import save_weights
    from pocketface.preprocessing import Preprocessing

    rng = np.random.default_rng(0)
    side = (options.image_size, options.image_size)

    def encoded() -> bytes:
        coarse = rng.integers(0, 256, (7, 7, 3), dtype=np.uint8)
        smooth = np.asarray(Image.fromarray(coarse).resize(side, Image.Resampling.BICUBIC))
        noisy = np.clip(smooth + rng.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)
        return simplejpeg.encode_jpeg(noisy, quality=88)

    for name, count in (("batch", options.batch), ("loader", options.images)):
        (folder / name).mkdir()
        write_faces(folder / name / "train.rec", [1] * count, [encoded() for _ in range(count)])
    if options.tables is None or "distillation" in options.tables:
        teacher = create_model(
            options.teacher,
            embedding_size=student_size(options),
            image_size=options.image_size,
            generator=torch.Generator().manual_seed(1),
        )
        settle(teacher, as_floats(one_batch(folder, options).images))
        usual = Preprocessing(image_size=options.image_size)
        path = folder / "teacher.safetensors"
        save_weights(teacher, path, preprocessing=usual, data="none", licence="Apache-2.0")


@torch.no_grad()
def settle(network: torch.nn.Module, inputs: Tensor) -> None:
    """Take the statistics of these images: through a hundred layers random weights overflow."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            module.momentum = 1.0
    network.train()(inputs)


def student_size(options: argparse.Namespace) -> int:
    from pocketface.models import outline_model

    return outline_model(options.architecture).embedding_size


def report(table: str, ways: list[Way], folder: Path, options: argparse.Namespace) -> None:
    context = multiprocessing.get_context("spawn")
    lines: dict[str, Connection] = {}
    outcomes: dict[str, Outcome] = {}
    failed: dict[str, str] = {}
    processes = []
    for way in ways:
        here, there = context.Pipe()
        process = context.Process(target=work, args=(table, way, folder, options, there))
        process.start()
        there.close()  # so that the end of the process is noticed
        processes.append(process)
        # One after the other: the second finds the teacher's cache that the first has filled.
        answer = hear(here)
        if isinstance(answer, str):
            failed[way.name] = answer
        else:
            outcomes[way.name] = answer
            lines[way.name] = here
    seconds: dict[str, list[float]] = {name: [] for name in lines}
    for _ in range(options.turns):
        for name, line in list(lines.items()):
            line.send("steps")
            answer = hear(line)
            if isinstance(answer, str):
                failed[name] = answer
                del lines[name], outcomes[name]
            else:
                seconds[name].append(answer)
    memory = {}
    for name, line in lines.items():
        line.send("end")
        answer = hear(line)
        memory[name] = float("nan") if isinstance(answer, str) else answer
    for process in processes:
        process.join()
    show(table, ways, seconds, memory, failed, options)
    compare(table, ways, outcomes)


def hear(line: Connection) -> Any:
    """What a process answers; words if it cannot."""
    try:
        return line.recv()
    except EOFError:
        return "its process ended"


def show(
    table: str,
    ways: list[Way],
    seconds: dict[str, list[float]],
    memory: dict[str, float],
    failed: dict[str, str],
    options: argparse.Namespace,
) -> None:
    print(f"\n{table:34s}{'ms a step':>10}{'images/s':>11}{'times as fast':>15}{'peak MB':>9}")
    best = 0.0
    medians = {name: statistics.median(times) for name, times in seconds.items() if times}
    if "naive" not in medians:
        raise SystemExit(f"the naive step failed: {failed['naive']}")
    for way in ways:
        if way.name in failed:
            print(f"  {way.name:32s}  failed: {failed[way.name]}")
            continue
        took = medians[way.name]
        ratio = medians["naive"] / took
        best = best if way.naive else max(best, ratio)
        print(
            f"  {way.name:32s}{1000 * took:10.1f}{options.batch / took:11.1f}{ratio:15.2f}"
            f"{memory[way.name]:9.0f}"
        )
    if table in BARS[options.device]:
        kind, bar = BARS[options.device][table]
        print(f"  {kind} {bar}: {'held' if best >= bar else 'MISSED'} ({best:.2f})")


def compare(table: str, ways: list[Way], outcomes: dict[str, Outcome]) -> None:
    """Whether all took the same step; where numbers are rounded to 16 bits, how far it is away."""
    if table not in TOLERANCE:
        return
    loss, gradient = outcomes["naive"]
    for way in ways:
        if way.naive or way.name not in outcomes:
            continue
        own_loss, own_gradient = outcomes[way.name]
        apart = abs(own_loss - loss) / loss
        turned = distance(own_gradient, gradient)
        said = f"  {way.name}: loss {apart:.1e}, gradient {turned:.1e} from the naive step's"
        if way.exact and not apart <= TOLERANCE[table]:
            raise SystemExit(f"{said}; the loss must be within {TOLERANCE[table]:.0e}")
        print(said)


def distance(one: Numbers, two: Numbers) -> float:
    return float(np.linalg.norm(one - two) / np.linalg.norm(two))


def check(folder: Path, options: argparse.Namespace) -> None:
    """That both compute the same function, in 64 bits on the CPU, on four images."""
    batch = one_batch(folder, options)
    inputs = as_floats(batch.images[:4]).double()
    labels = batch.labels[:4]
    network, head = naive_networks(folder, options)
    loss = head.double()(network.double().train()(inputs), labels)
    loss.backward()
    objective = our_objective(recipe_of("training", NAIVE, folder, options), options, None)
    own_loss = objective.double().train()(inputs, labels)[0]["margin"]
    own_loss.backward()
    apart = abs(float(own_loss.detach() / loss.detach()) - 1)
    turned = distance(gradient_of(objective.backbone), gradient_of(network))
    centres = distance(objective.head.kernel.grad.numpy(), head.kernel.grad.numpy())
    said = f"in 64 bits: loss {apart:.0e}, gradients {turned:.0e} and {centres:.0e} apart"
    if not max(apart, turned, centres) <= EXACT:
        raise SystemExit(f"{said}; it must be {EXACT:.0e}")
    print(said)


def work(table: str, way: Way, folder: Path, options: argparse.Namespace, line: Connection) -> None:
    """Build one way, take its first step, and go on when asked."""
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)

    floor = peak(device)
    try:
        if way.naive:
            steps, outcome = naive(table, folder, options)
        else:
            steps, outcome = ours(table, way, folder, options)
        next(steps)
        line.send(outcome())
    except Exception as error:
        line.send(in_words(error))
        return
    by_cpu = options.cpu_time and table != "with the loader"
    clock = time.process_time if by_cpu else time.perf_counter
    while line.recv() == "steps":
        began = clock()
        try:
            for _ in range(options.steps):
                next(steps)
        except Exception as error:
            line.send(in_words(error))
            return
        if device.type == "cuda":
            torch.cuda.synchronize()
        line.send((clock() - began) / options.steps)
    line.send(peak(device) - floor)


def in_words(error: Exception) -> str:
    """The first line of an error; the whole of it on the screen."""
    traceback.print_exception(error)
    return f"{type(error).__name__}: {f'{error}'.partition(chr(10))[0]}"


def peak(device: torch.device) -> float:
    """The most memory this process has held so far, in MB; on a GPU with what CUDA graphs keep."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved() / 1e6
    # Not getrusage, whose peak a process inherits from the one that started it.
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1e3


def recipe_of(table: str, way: Way, folder: Path, options: argparse.Namespace):
    from pocketface.train.recipe import load_recipe

    source = folder / ("loader" if table == "with the loader" else "batch")
    changes = {
        "model.architecture": options.architecture,
        "model.image_size": options.image_size,
        "data.train": [str(source)],
        "data.workers": 0,
        "batch_size": options.batch,
        **way.changes,
    }
    if table == "distillation":
        changes["distill.teacher"] = str(folder / "teacher.safetensors")
        if changes.get("distill.cache"):
            changes["distill.cache"] = str(folder / changes["distill.cache"])
    return load_recipe("pocketnet_s_128", changes)


def one_batch(folder: Path, options: argparse.Namespace):
    """The batch of both: uint8 images that are not mirrored, and labels of any of the people."""
    from pocketface.data import open_faces
    from pocketface.train.augment import AugmentConfig, draw_plan
    from pocketface.train.loader import FaceImages, LoadedBatch

    images, _ = FaceImages(
        open_faces(folder / "batch" / "train.rec"), options.image_size
    ).__getitems__(range(options.batch))
    rng = np.random.default_rng(0)
    return LoadedBatch(
        torch.from_numpy(images),
        torch.from_numpy(rng.integers(options.people, size=options.batch)),
        torch.arange(options.batch),
        draw_plan(AugmentConfig(mirror=False), rng, options.batch),
    )


def as_floats(images: Tensor) -> Tensor:
    """What the naive step is given."""
    return ((images.permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5).contiguous()


def our_objective(recipe, options: argparse.Namespace, teacher):
    """The backbone, the head and what the teacher adds; the weights are always the same."""
    from pocketface.train.build import build_backbone, build_objective

    generator = torch.Generator().manual_seed(0)
    backbone = build_backbone(recipe, generator)
    return build_objective(recipe, backbone, teacher, None, options.people, generator)


def naive_networks(folder: Path, options: argparse.Namespace):
    """The yardstick's backbone and head, with the weights of ours."""
    sys.path.insert(0, str(Path(__file__).parent))
    from naive_train import NaiveArcFace, NaivePocketNet

    copied = our_objective(recipe_of("training", NAIVE, folder, options), options, None)
    size, sizes = copied.backbone.embedding_size, copied.backbone.options
    network = NaivePocketNet(sizes["channels"], sizes["cells"], options.image_size, size)
    network.load_state_dict(copied.backbone.state_dict())
    head = NaiveArcFace(size, options.people)
    head.load_state_dict(copied.head.state_dict())
    return network, head


def ours(
    table: str, way: Way, folder: Path, options: argparse.Namespace
) -> tuple[Iterator[None], Callable[[], Outcome]]:
    """Steps without end, and what the first one gave."""
    from lightning_fabric import Fabric

    from pocketface.train.build import build_feed, build_loader, build_teacher, preprocessing_of
    from pocketface.train.sources import open_sources
    from pocketface.train.step import ReadyBatch, TrainingStep

    recipe = recipe_of(table, way, folder, options)
    fabric = Fabric(accelerator=options.device, devices=1, precision=recipe.precision)
    fabric.launch()
    faces = open_sources(recipe.data)
    outline = our_objective(recipe_of("training", NAIVE, folder, options), options, None).backbone
    teacher = build_teacher(recipe, faces, outline, fabric, quiet=True)
    objective = our_objective(recipe, options, teacher)
    backbone = objective.backbone
    step = TrainingStep(
        objective, recipe.optimiser, recipe.augment, preprocessing_of(recipe, backbone), fabric
    )
    step.teacher = teacher
    step.train_mode()
    step.set_rate(RATE)
    losses: list[Tensor] = []

    def on_one_batch() -> Iterator[None]:
        loaded = one_batch(folder, options)
        batch = step.prepare(loaded)
        while True:
            targets = None if teacher is None else teacher.targets(batch)
            values = step.learn(ReadyBatch(loaded, batch, targets))
            losses[:] = losses or [values["loss"]]
            yield

    def on_a_loader() -> Iterator[None]:
        loader = build_loader(recipe, faces, backbone.image_size, fabric, quiet=True)
        feed = build_feed(recipe, loader, step)
        for epoch in itertools.count():
            for ready, _ in feed.epoch(epoch):
                losses[:] = [step.learn(ready)["loss"]]
                yield

    steps = on_a_loader() if table == "with the loader" else on_one_batch()
    return steps, lambda: (float(losses[0]), gradient_of(backbone))


def naive(
    table: str, folder: Path, options: argparse.Namespace
) -> tuple[Iterator[None], Callable[[], Outcome]]:
    """The same of the yardstick, with our weights."""
    sys.path.insert(0, str(Path(__file__).parent))
    from naive_train import NaiveIResNet, NaiveStep, naive_batches
    from pocketface.data import open_faces
    from pocketface.models import outline_model
    from pocketface.models.checkpoint import load_state

    device = torch.device(options.device)
    network, head = naive_networks(folder, options)
    teacher = None
    if table == "distillation":
        blocks = outline_model(options.teacher).options["blocks"]
        teacher = NaiveIResNet(blocks, options.image_size, student_size(options))
        load_state(teacher, folder / "teacher.safetensors")
        teacher = teacher.to(device)
    step = NaiveStep(network.to(device), head.to(device), teacher, RATE)
    losses: list[Tensor] = []

    def on_one_batch() -> Iterator[None]:
        batch = one_batch(folder, options)
        inputs, labels = as_floats(batch.images).to(device), batch.labels.to(device)
        while True:
            losses[:] = [*losses, step(inputs, labels)][:1]
            yield

    def on_a_loader() -> Iterator[None]:
        faces = open_faces(folder / "loader" / "train.rec")
        encoded = [faces.encoded(place) for place in range(len(faces))]
        batches = naive_batches(encoded, faces.labels, options.batch, random.Random(0))
        for inputs, labels in batches:
            losses[:] = [step(inputs.to(device), labels.to(device))]
            yield

    steps = on_a_loader() if table == "with the loader" else on_one_batch()
    return steps, lambda: (float(losses[0]), gradient_of(network))


def gradient_of(network: torch.nn.Module) -> Numbers:
    """Of the whole backbone, as one vector, after the bound on its norm."""
    parts = [parameter.grad.flatten() for parameter in network.parameters()]
    return torch.cat(parts).cpu().numpy()


if __name__ == "__main__":
    main()
