"""Files in 8 bits against the fused files in float: `python bench/int8.py`.

Every variant runs in turns in one process, on one thread, a round of each after the other. What is
counted is the processor's time, not the clock's: on one thread they are the same, but for what else
the machine does. Ranges come from a few synthetic faces, and the networks have statistics and
slopes as training gives them; cosines of such networks are lower than of trained ones, and are
measured elsewhere (`pocketface export --int8`). Bars: PocketNetS-128 in at most 1.25 MB (aim 1.1),
and in each runtime faster than its fused file in float where the processor has 8-bit dot products.
"""

import argparse
import io
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from deploy import in_onnxruntime, in_openvino, runtimes
from naive_export import trained_like
from pocketface.deploy.fold import fold
from pocketface.deploy.fuse import fuse
from pocketface.deploy.graph import Graph
from pocketface.deploy.int8.border import AUTO, START, find_border
from pocketface.deploy.int8.calibrate import find_grids
from pocketface.deploy.int8.grid import Plan
from pocketface.deploy.int8.prepare import prepare
from pocketface.deploy.int8.sensitive import leave_first_in_float
from pocketface.deploy.int8.write import Int8Writer
from pocketface.deploy.parity import draw_faces
from pocketface.deploy.trace import trace_graph
from pocketface.deploy.write import Writer, write_graph
from pocketface.models import Backbone, create_model

NETWORKS = ("pocketnet_s_128", "mobilefacenet", "mobilefacenet_foamliu")
FLOAT = "float, fused"
BORDERS = {"int8, from where it pays": AUTO, "int8, from the start": START}
FACES = 4
"""That set the ranges: speed does not depend on them."""

Run = Callable[[], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--runtimes", nargs="+", default=list(runtimes()))
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("8-bit dot products:", ", ".join(dot_products()) or "none")
    for name in options.networks:
        measure(name, options.rounds, options.batch, options.runtimes)


def measure(name: str, rounds: int, batch: int, chosen: list[str]) -> None:
    network = trained_like(create_model(name, generator=torch.Generator().manual_seed(0)))
    contents = write_all(network)
    images = np.random.default_rng(0).standard_normal((batch, 3, 112, 112), dtype=np.float32)
    runs: dict[str, Run] = {}
    for title, content in contents.items():
        if "onnxruntime" in chosen:
            runs[f"onnxruntime, {title}"] = in_onnxruntime(content, images, 1)
        if "openvino" in chosen:
            runs[f"OpenVINO, {title}"] = in_openvino(io.BytesIO(content), images, 1)
    times: dict[str, list[float]] = {title: [] for title in runs}
    for run in runs.values():
        run()
    for _ in range(rounds):
        for title, run in runs.items():
            begin = time.process_time()
            run()
            times[title].append(1e3 * (time.process_time() - begin))
    print(f"{name}, batches of {batch}, one thread, {rounds} rounds")
    for title, content in contents.items():
        print(f"  {title:24} {len(content) / 1e6:.3f} MB")
    for title, found in times.items():
        base = statistics.median(times[f"{title.split(',')[0]}, {FLOAT}"])
        middle = statistics.median(found)
        print(
            f"  {title:38} min {min(found):6.2f} ms, median {middle:6.2f} ms, "
            f"{base / middle:5.2f} times its float file",
            flush=True,
        )


def write_all(network: Backbone) -> dict[str, bytes]:
    graph = trace_graph(network)
    fuse(graph)
    contents = {FLOAT: write(graph, Writer(graph))}
    pixels = draw_faces(FACES, 112, np.random.default_rng(0))
    faces = torch.from_numpy((pixels.transpose(0, 3, 1, 2) / 127.5 - 1).astype(np.float32))
    for title, begin in BORDERS.items():
        graph = trace_graph(network)
        fold(graph)
        early = prepare(graph, find_border(graph, begin, 112))
        plan = Plan(find_grids(graph, lambda: [faces], "minmax"), early, early)
        contents[title] = write(graph, Int8Writer(graph, leave_first_in_float(graph, plan)))
    if len(set(contents.values())) < len(contents):  # it pays from the start
        del contents["int8, from the start"]
    return contents


def write(graph: Graph, writer: Writer) -> bytes:
    content: bytes = write_graph(graph, 112, 18, {}, writer=writer).SerializeToString()
    return content


def dot_products() -> list[str]:
    """The instructions of this processor for them, as Linux tells."""
    flags = Path("/proc/cpuinfo").read_text().split()
    return sorted({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp"}.intersection(flags))


if __name__ == "__main__":
    main()
