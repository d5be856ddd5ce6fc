"""How fast exported files run: `python bench/deploy.py`.

Every variant of a network runs in turns in one process, a round of each after the other, so that
whatever else the machine does meets them all; medians are compared. Variants: torch's own export
and ours in onnxruntime and in OpenVINO, ours in LiteRT, ncnn and ExecuTorch (where installed),
and a dense matrix product with as many multiplications, which no runtime is likely to beat. Load
time and peak memory come from a process of their own for each file. Bars for PocketNetS-128 with
one thread and one image: ours in onnxruntime at least 2.8 times as fast as torch's export (aim
3.5), the best runtime at least 3.3 times (aim 4) and at most 2.0 matrix products (aim 1.6).
"""

import argparse
import importlib.util
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
from pocketface.deploy.options import ExportOptions
from pocketface.deploy.targets import TARGETS
from pocketface.embedding.self_description import SelfDescription
from pocketface.models import Backbone, create_model
from pocketface.models.cost import measure_cost
from pocketface.models.weights import save_weights
from pocketface.preprocessing import Preprocessing

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
    parser.add_argument(
        "--processor-time",
        action="store_true",
        help="Count what the process computed, not what passed: for a machine with other work.",
    )
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
    plain = folder / f"{name}_plain.onnx"
    export_plainly(network, plain)
    ours = export_everywhere(network, folder, name)
    variants = {
        (runtime, title): files[TAKES[runtime]]
        for title, files in ((PLAIN, {"onnx": plain, "openvino": plain}), (OURS, ours))
        for runtime in runtimes()
        if TAKES[runtime] in files
    }
    macs = measure_cost(network).macs
    check(variants, network.image_size)
    print(f"{name}: {macs / 1e6:.1f} M multiply-accumulates")
    clock = time.process_time if options.processor_time else time.perf_counter
    for threads in options.threads:
        for batch in options.batches:
            rounds = max(10, options.rounds // batch)
            compare(variants, macs, network.image_size, threads, batch, rounds, clock)
    for (runtime, title), file in variants.items():
        print(f"  {runtime}, {title}: {alone(runtime, file, network.image_size)}", flush=True)


def export_everywhere(network: Backbone, folder: Path, name: str) -> dict[str, Path]:
    """The files of the targets whose runtimes are installed, by target."""
    weights = folder / f"{name}.safetensors"
    preprocessing = Preprocessing(image_size=network.image_size)
    card = save_weights(network, weights, preprocessing=preprocessing, data="none", licence="none")
    files = {}
    for target in dict.fromkeys(TAKES[runtime] for runtime in runtimes()):
        # A folder for each: files of two targets have a .bin beside them.
        own = folder / target
        own.mkdir(exist_ok=True)
        files[target] = own / f"{name}{TARGETS[target].suffix}"
        TARGETS[target].exporter().build(
            network, SelfDescription(version="bench", card=card), ExportOptions(), files[target]
        )
    return files


def check(variants: dict[tuple[str, str], Path], size: int) -> None:
    """The files must compute the same."""
    images = images_of(1, size)
    outputs = [OPEN[runtime](file, images, 1)() for (runtime, _), file in variants.items()]
    for key, output in zip(variants, outputs, strict=True):
        difference = np.linalg.norm(np.subtract(output, outputs[0])) / np.linalg.norm(outputs[0])
        if not difference < 1e-4:
            raise SystemExit(f"{key} differs by {difference:.2g}")


def compare(
    variants: dict[tuple[str, str], Path],
    macs: int,
    size: int,
    threads: int,
    batch: int,
    rounds: int,
    clock: Callable[[], float],
) -> None:
    images = images_of(batch, size)
    runs: dict[str, Run] = {
        f"{runtime}, {title}": OPEN[runtime](file, images, threads)
        for (runtime, title), file in variants.items()
    }
    torch.set_num_threads(threads)
    runs["matrix product"] = matrix_product(macs * batch)
    times = {title: [] for title in runs}
    for run in runs.values():
        run()
    for _ in range(rounds):
        for title, run in runs.items():
            begin = clock()
            run()
            times[title].append(clock() - begin)
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


def in_litert(file: Path, images: np.ndarray, threads: int) -> Run:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=file.read_bytes(), num_threads=threads)
    (entry,), (output,) = interpreter.get_input_details(), interpreter.get_output_details()
    turned = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
    interpreter.resize_tensor_input(entry["index"], turned.shape)
    interpreter.allocate_tensors()

    def run() -> np.ndarray:
        interpreter.set_tensor(entry["index"], turned)
        interpreter.invoke()
        return interpreter.get_tensor(output["index"])

    return run


def in_ncnn(file: Path, images: np.ndarray, threads: int) -> Run:
    """One image after the other: ncnn knows no batch."""
    from pocketface.embedding.ncnn_embedder import NcnnEmbedder

    network = NcnnEmbedder(file, threads=threads)._file
    return lambda: np.concatenate([network.run(image[None])[0] for image in images])


def in_executorch(file: Path, images: np.ndarray, threads: int) -> Run:
    """One image after the other: the file is of one."""
    from pocketface.embedding.executorch_embedder import ExecuTorchEmbedder

    network = ExecuTorchEmbedder(file, threads=threads).network
    return lambda: np.concatenate([network.run(image[None])[0] for image in images])


def matrix_product(multiplications: int) -> Run:
    """A product (784, 1024) x (1024, n): 784 are the pixels of a map of 28 x 28."""
    generator = torch.Generator().manual_seed(0)
    left = torch.rand(784, 1024, generator=generator)
    right = torch.rand(1024, round(multiplications / (784 * 1024)), generator=generator)
    return lambda: torch.mm(left, right)


OPEN: dict[str, Callable[[Path, np.ndarray, int], Run]] = {
    "onnxruntime": in_onnxruntime,
    "openvino": in_openvino,
    "litert": in_litert,
    "ncnn": in_ncnn,
    "executorch": in_executorch,
}
TAKES = {
    "onnxruntime": "onnx",
    "openvino": "openvino",
    "litert": "litert",
    "ncnn": "ncnn",
    "executorch": "executorch",
}
"""The target whose file of ours each runtime is given; OpenVINO reads torch's export as well."""

MODULES = {"litert": "ai_edge_litert", "ncnn": "pnnx"}
"""What a runtime imports, where that is not its name; pnnx writes ncnn's files, beside ncnn."""


def runtimes() -> tuple[str, ...]:
    """The names of those that are installed."""
    return tuple(
        name for name in OPEN if importlib.util.find_spec(MODULES.get(name, name)) is not None
    )


def alone(runtime: str, file: Path, size: int) -> str:
    """Load time and memory of one file in a process of its own."""
    words = [sys.executable, __file__, "--child", runtime, str(file), str(size)]
    found = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)
    parts = [file, *([file.with_suffix(".bin")] if file.suffix in (".param", ".xml") else [])]
    return (
        f"{sum(part.stat().st_size for part in parts) / 1e6:.2f} MB on disk, loaded in "
        f"{1e3 * found['load']:.0f} ms, {found['memory']:.0f} MB above the runtime at its peak"
    )


def load_and_run(runtime: str, file: str, size: str) -> dict[str, float]:
    images = images_of(1, int(size))
    # What is imported is not counted as the file's.
    if runtime == "ncnn":
        import pocketface.embedding.ncnn_embedder
    elif runtime == "executorch":
        import pocketface.embedding.executorch_embedder  # noqa: F401
    elif runtime == "litert":
        import ai_edge_litert.interpreter  # noqa: F401
    elif runtime == "openvino":
        import openvino  # noqa: F401
    before = resident("VmRSS")
    begin = time.perf_counter()
    run = OPEN[runtime](Path(file), images, 1)
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
