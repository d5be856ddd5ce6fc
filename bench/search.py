"""What one second-order step of a search costs: `python bench/search.py`.

Ours against `naive_search.py`, at equal weights on equal batches: the gradients must agree. Each
runs in a process of its own, taking turns of one step; medians are compared, and the most memory
that each process held. The bar is 1.5 times as fast, with less memory.

`--cpu-time` counts the processors' time in place of the clock's, for a machine that is busy.
"""

import argparse
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from torch import Tensor

BAR = 1.5
PEOPLE = 64
RATE, MOMENTUM, DECAY = 0.1, 0.9, 3e-4

Step = Callable[[], list[Tensor]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image-size", type=int, default=112)
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--cells", type=int, default=8)
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--groups", type=int, default=128)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cpu-time", action="store_true")
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    workers = {}
    for name in ("naive", "ours"):
        here, there = context.Pipe()
        context.Process(target=work, args=(name, options, there), daemon=True).start()
        workers[name] = here
    seconds: dict[str, list[float]] = {name: [] for name in workers}
    for turn in range(options.steps + 1):
        for name, worker in workers.items():
            worker.send("step")
            took = worker.recv()
            if turn:  # the first warms up
                seconds[name].append(took)
    for worker in workers.values():
        worker.send("end")
    gradients, memory = {}, {}
    for name, worker in workers.items():
        gradients[name], memory[name] = worker.recv()
    report(seconds, gradients, memory, options)


def report(
    seconds: dict[str, list[float]],
    gradients: dict[str, list[list[float]]],
    memory: dict[str, float],
    options: argparse.Namespace,
) -> None:
    unit = "CPU seconds" if options.cpu_time else "seconds"
    for name, times in seconds.items():
        spread = f"{min(times):.2f} to {max(times):.2f}"
        print(
            f"{name:6} {statistics.median(times):8.2f} {unit} a step ({spread}), "
            f"{memory[name]:.0f} MB at most"
        )
    ours, naive = (torch.tensor(gradients[name], dtype=torch.float64) for name in ("ours", "naive"))
    apart = float((ours - naive).norm() / naive.norm())
    ratio = statistics.median(seconds["naive"]) / statistics.median(seconds["ours"])
    smaller = memory["ours"] / memory["naive"]
    print(f"gradients of the first batch, before the finite differences: {apart:.1e} apart")
    print(f"{ratio:.2f} times as fast (bar {BAR}: {'held' if ratio >= BAR else 'MISSED'})")
    print(f"{smaller:.2f} of the memory ({'less' if smaller < 1 else 'MORE'})")


def work(name: str, options: argparse.Namespace, pipe: Connection) -> None:
    """Build one of the two and step when asked."""
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    floor = peak(device)
    step, check = (ours if name == "ours" else naive)(options, device)
    clock = time.process_time if options.cpu_time else time.perf_counter
    while pipe.recv() == "step":
        began = clock()
        step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        pipe.send(clock() - began)
    most = peak(device) - floor
    pipe.send(([gradient.flatten().tolist() for gradient in check()], most))


def peak(device: torch.device) -> float:
    """The most memory this process has held so far, in MB."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def parts(options: argparse.Namespace, device: torch.device):
    """Our network, its architecture weights, and two batches: the same in both processes."""
    from pocketface.search.architecture import ArchitectureWeights
    from pocketface.search.objective import SearchObjective
    from pocketface.search.supernet import Supernet

    generator = torch.Generator().manual_seed(0)
    supernet = Supernet(
        image_size=options.image_size,
        channels=options.channels,
        cells=options.cells,
        hidden=options.hidden,
        groups=options.groups,
        generator=generator,
    )
    network = SearchObjective(supernet, PEOPLE, None, generator).to(device)
    architecture = ArchitectureWeights(0.1, generator).to(device)
    size = (options.batch, 3, options.image_size, options.image_size)
    batches = [
        (
            torch.randn(size, generator=generator).to(device),
            torch.randint(PEOPLE, (options.batch,), generator=generator).to(device),
        )
        for _ in range(2)
    ]
    return network, architecture, batches


def ours(options: argparse.Namespace, device: torch.device) -> tuple[Step, Step]:
    """A step, and the gradient of the held-out loss that precedes the finite differences."""
    from pocketface.search.architect import VirtualStep, first_order, second_order

    network, architecture, (training, held_out) = parts(options, device)
    alphas = tuple(architecture.parameters())
    step = VirtualStep(RATE, MOMENTUM, DECAY)

    def on(batch: tuple[Tensor, Tensor]):
        return lambda called: called(*batch, *architecture.softmax())

    return (
        lambda: list(second_order(network, alphas, on(training), on(held_out), step).gradients),
        lambda: list(first_order(network, alphas, on(held_out)).gradients),
    )


def naive(options: argparse.Namespace, device: torch.device) -> tuple[Step, Step]:
    """The same of the yardstick, with our weights."""
    sys.path.insert(0, str(Path(__file__).parent))
    from naive_search import NaiveNetwork, second_order_step

    network, architecture, (training, held_out) = parts(options, device)
    copy = NaiveNetwork(
        options.image_size,
        options.channels,
        options.cells,
        options.hidden,
        options.groups,
        network.supernet.embedding_size,
        PEOPLE,
    ).to(device)
    take_weights(copy, network, architecture)
    del network
    return (
        lambda: second_order_step(
            copy, training, held_out, rate=RATE, momentum=MOMENTUM, weight_decay=DECAY
        ),
        lambda: list(torch.autograd.grad(copy.loss(*held_out), list(copy.alphas))),
    )


@torch.no_grad()
def take_weights(copy, network, architecture) -> None:
    """Give the yardstick the weights of our network, primitive by primitive."""
    from pocketface.search.architecture import edge_index
    from pocketface.search.mixed import KERNELS, SEARCH_PRIMITIVES
    from pocketface.search.supernet import first_reader

    supernet = network.supernet
    copy.stem.load_state_dict(supernet.stem.state_dict())
    copy.tail.load_state_dict(supernet.tail.state_dict())
    copy.classifier.load_state_dict(network.classifier.state_dict())
    copy.alphas[0].copy_(architecture.normal)
    copy.alphas[1].copy_(architecture.reduce)
    for theirs, cell in zip(copy.cells, supernet.cells, strict=True):
        for name in ("preproc0", "preproc1"):
            state = getattr(cell, name).state_dict()
            getattr(theirs, name).load_state_dict(
                {key.removeprefix("net."): value for key, value in state.items()}
            )
        for source, edges in enumerate(cell.edges):
            for place in range(edges.edges):
                row = edge_index(first_reader(source) + place, source)
                primitives = theirs.edges[row].primitives
                for name in KERNELS:
                    own = edges.convolutions[name]
                    layers = primitives[SEARCH_PRIMITIVES.index(name)]
                    channels = own.pointwise.shape[1]
                    rows = slice(place * channels, (place + 1) * channels)
                    layers[0].weight.copy_(own.slope[place])
                    layers[1].weight.copy_(own.depthwise[rows])
                    layers[2].weight.copy_(own.pointwise[rows])
                if edges.skips is not None:
                    own, skip = edges.skips, primitives[2]
                    skip.relu.weight.copy_(own.slope[place])
                    skip.conv11.weight.copy_(own.depthwise[place, 0][:, None])
                    skip.conv21.weight.copy_(own.depthwise[place, 1][:, None])
                    skip.conv12.weight.copy_(own.pointwise[place, 0][:, :, None, None])
                    skip.conv22.weight.copy_(own.pointwise[place, 1][:, :, None, None])


if __name__ == "__main__":
    main()
