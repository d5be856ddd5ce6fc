"""How fast exported files run: `python bench/deploy.py`.

Every variant of a network runs in turns in one process, a round of each after the other, so that
whatever else the machine does meets them all; medians are compared. Variants: torch's own export
and ours in onnxruntime, both in OpenVINO where it is installed, and a dense matrix product with as
many multiplications, which no runtime is likely to beat. Load time and peak memory come from a
process of their own for each file. Bars for PocketNetS-128 with one thread and one image: ours in
onnxruntime at least 2.8 times as fast as torch's export (aim 3.5), the best runtime at least 3.3
times (aim 4) and at most 2.0 matrix products (aim 1.6).
"""

import argparse
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from naive_export import export_plainly, trained_like
from pocketface.deploy.fuse import fuse
from pocketface.deploy.trace import trace_graph
from pocketface.deploy.write import write_graph
from pocketface.models import create_model
from pocketface.models.cost import measure_cost

NETWORKS = (
    "pocketnet_s_128",
    "pocketnet_m_128",
    "mobilefacenet",
    "mobilenet_v1",
    "mobilenet_v2",
)
PLAIN, OURS = "torch's export", "ours"
Run = Callable[[], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--child", nargs=3)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(load_and_run(*options.child)))
        return
    with tempfile.TemporaryDirectory(prefix="bench-deploy-") as name:
        for network in options.networks:
            measure(network, Path(name), options)


def measure(name: str, folder: Path, options: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    network = trained_like(create_model(name, generator=torch.Generator().manual_seed(0)))
    files = {PLAIN: folder / f"{name}_plain.onnx", OURS: folder / f"{name}.onnx"}
    export_plainly(network, files[PLAIN])
    graph = trace_graph(network)
    fuse(graph)
    model = write_graph(graph, network.image_size, 18, {})
    files[OURS].write_bytes(model.SerializeToString())
    macs = measure_cost(network).macs
    check(files, network.image_size)
    print(f"{name}: {macs / 1e6:.1f} M multiply-accumulates")
    for threads in options.threads:
        for batch in options.batches:
            rounds = max(10, options.rounds // batch)
            compare(files, macs, network.image_size, threads, batch, rounds)
    for title, file in files.items():
        for runtime in runtimes():
            print(f"  {runtime}, {title}: {alone(runtime, file)}", flush=True)


def check(files: dict[str, Path], size: int) -> None:
    """The files must compute the same."""
    images = images_of(1, size)
    plain, ours = (in_onnxruntime(file, images, 1)() for file in files.values())
    difference = np.linalg.norm(np.subtract(ours, plain)) / np.linalg.norm(plain)
    if not difference < 1e-4:
        raise SystemExit(f"the files differ by {difference:.2g}")


def compare(
    files: dict[str, Path], macs: int, size: int, threads: int, batch: int, rounds: int
) -> None:
    images = images_of(batch, size)
    runs: dict[str, Run] = {}
    for title, file in files.items():
        runs[f"onnxruntime, {title}"] = in_onnxruntime(file, images, threads)
    if "openvino" in runtimes():
        for title, file in files.items():
            runs[f"OpenVINO, {title}"] = in_openvino(file, images, threads)
    torch.set_num_threads(threads)
    runs["matrix product"] = matrix_product(macs * batch)
    times = {title: [] for title in runs}
    for run in runs.values():
        run()
    for _ in range(rounds):
        for title, run in runs.items():
            begin = time.perf_counter()
            run()
            times[title].append(time.perf_counter() - begin)
    torch.set_num_threads(1)
    medians = {title: statistics.median(values) for title, values in times.items()}
    base, floor = medians[f"onnxruntime, {PLAIN}"], medians["matrix product"]
    print(f" {threads} thread(s), {batch} image(s), medians of {rounds} rounds")
    for title, seconds in medians.items():
        print(
            f"  {title:28} {1e3 * seconds / batch:8.2f} ms an image, "
            f"{base / seconds:5.2f} times {PLAIN} in onnxruntime, "
            f"{seconds / floor:5.2f} matrix products",
            flush=True,
        )


def images_of(batch: int, size: int) -> np.ndarray:
    generator = np.random.default_rng(0)
    return generator.standard_normal((batch, 3, size, size), dtype=np.float32)


def in_onnxruntime(file: Path | bytes, images: np.ndarray, threads: int) -> Run:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    given = file if isinstance(file, bytes) else str(file)
    session = onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"images": images})[0]


def in_openvino(file: Path | io.BytesIO, images: np.ndarray, threads: int) -> Run:
    import openvino

    given = file if isinstance(file, io.BytesIO) else str(file)
    model = openvino.Core().read_model(given)
    model.reshape(list(images.shape))
    wanted = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": "f32",
    }
    request = openvino.Core().compile_model(model, "CPU", wanted).create_infer_request()
    return lambda: request.infer([images])[0]


def matrix_product(multiplications: int) -> Run:
    """A product (784, 1024) x (1024, n): 784 are the pixels of a map of 28 x 28."""
    generator = torch.Generator().manual_seed(0)
    left = torch.rand(784, 1024, generator=generator)
    right = torch.rand(1024, round(multiplications / (784 * 1024)), generator=generator)
    return lambda: torch.mm(left, right)


def runtimes() -> tuple[str, ...]:
    import importlib.util

    found = importlib.util.find_spec("openvino") is not None
    return ("onnxruntime", "openvino") if found else ("onnxruntime",)


def alone(runtime: str, file: Path) -> str:
    """Load time and memory of one file in a process of its own."""
    size = onnxruntime.InferenceSession(str(file)).get_inputs()[0].shape[2]
    words = [sys.executable, __file__, "--child", runtime, str(file), str(size)]
    found = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)
    return (
        f"{file.stat().st_size / 1e6:.2f} MB on disk, loaded in {1e3 * found['load']:.0f} ms, "
        f"{found['memory']:.0f} MB above the runtime at its peak"
    )


def load_and_run(runtime: str, file: str, size: str) -> dict[str, float]:
    before = resident("VmRSS")
    images = images_of(1, int(size))
    if runtime == "openvino":
        import openvino  # noqa: F401 - not counted as the file's

        before = resident("VmRSS")
    begin = time.perf_counter()
    run = (in_openvino if runtime == "openvino" else in_onnxruntime)(Path(file), images, 1)
    load = time.perf_counter() - begin
    run()
    return {"load": load, "memory": (resident("VmHWM") - before) / 1e6}


def resident(field: str) -> int:
    """This process's memory in bytes, as Linux tells it."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return 1024 * int(line.split()[1])
    raise SystemExit("this bench needs /proc, as Linux has it")


if __name__ == "__main__":
    main()
