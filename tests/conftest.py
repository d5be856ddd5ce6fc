"""What tests of several rooms share: the real data, and networks and people made in a moment."""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

REPO = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real faces; a test that wants it skips where it is absent."""
    root = Path(os.environ.get("POCKETFACE_DATA", REPO.parent / "shared" / "data"))
    if not root.is_dir():
        pytest.skip(f"no real data at {root} (set POCKETFACE_DATA)")
    return root


@pytest.fixture(scope="session")
def pool() -> Iterator[ProcessPoolExecutor]:
    """Four processes of one warm parent, started when they are needed: torch takes seconds."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch"])
    with ProcessPoolExecutor(4, context) as executor:
        yield executor


@pytest.fixture
def processes(pool, tmp_path_factory) -> Callable[..., list[Any]]:
    """Call `work(*arguments)` in `world` gloo processes; gives what each returned.

    `work` must be a function of a module; it asks torch.distributed who it is.
    """
    from gloo import join  # torch comes with it

    def call(world: int, work: Callable[..., Any], *arguments: Any) -> list[Any]:
        meeting = tmp_path_factory.mktemp("gloo") / "meeting"
        futures = [
            pool.submit(join, meeting, rank, world, work, arguments) for rank in range(world)
        ]
        return [future.result(timeout=120) for future in futures]

    return call


@pytest.fixture
def two_processes(processes) -> Callable[..., list[Any]]:
    """As `processes`, two of them."""
    return lambda work, *arguments: processes(2, work, *arguments)


@pytest.fixture(scope="session")
def tiny_onnx() -> Callable[..., Path]:
    """Write an ONNX network: a coarse look at the image, times a fixed random matrix.

    `batch`, `height` and `width` are numbers or None for free; `kind` changes what is wrong.
    """

    def write(
        path: Path,
        *,
        size: int = 32,
        batch: int | None = None,
        free_sides: bool = False,
        dimension: int = 8,
        channels: int = 3,
        bias: float = 0.0,
        kind: str = "good",
        name: str = "faces",
    ) -> Path:
        generator = np.random.default_rng(7)
        matrix = generator.standard_normal((16 * channels, dimension)).astype(np.float32)
        if kind == "zero":
            matrix *= 0
        step = size // 4
        nodes = [
            helper.make_node(
                "AveragePool", [name], ["coarse"], kernel_shape=[step, step], strides=[step, step]
            ),
            helper.make_node("Flatten", ["coarse"], ["flat"]),
            helper.make_node("MatMul", ["flat", "matrix"], ["product"]),
            helper.make_node("Add", ["product", "bias"], ["sum"]),
        ]
        last = "sum"
        if kind == "nan":
            nodes.append(helper.make_node("Sqrt", ["sum"], ["root"]))
            last = "root"
        if kind == "map":
            last = "coarse"
        side = None if free_sides else size
        shape = [batch or "batch", channels, side or "height", side or "width"]
        inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)]
        if kind == "two inputs":
            inputs.append(helper.make_tensor_value_info("extra", TensorProto.FLOAT, [1]))
            nodes.append(helper.make_node("Add", ["sum", "extra"], ["more"]))
            last = "more"
        graph = helper.make_graph(
            nodes,
            "tiny",
            inputs,
            [helper.make_tensor_value_info(last, TensorProto.FLOAT, None)],
            initializer=[
                numpy_helper.from_array(matrix, "matrix"),
                numpy_helper.from_array(np.full(dimension, bias, np.float32), "bias"),
            ],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 8
        path.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(model, str(path))
        return path

    return write


@pytest.fixture(scope="session")
def coarse_people() -> Callable[..., Path]:
    """Write `root/<person>/<person>_000N.png`: coarse patterns that a tiny network can tell apart.

    More `noise` makes the images of a person differ more.
    """

    def write(
        root: Path, *, people: int = 6, images: int = 4, size: int = 32, noise: float = 20.0
    ) -> Path:
        generator = np.random.default_rng(3)
        for number in range(people):
            person = f"Person_{number:02d}"
            (root / person).mkdir(parents=True)
            pattern = generator.uniform(20, 235, (4, 4, 3))
            for image in range(1, images + 1):
                seen = pattern + noise * generator.standard_normal((4, 4, 3))
                pixels = np.clip(np.kron(seen, np.ones((size // 4, size // 4, 1))), 0, 255)
                picture = Image.fromarray(pixels.astype(np.uint8))
                picture.save(root / person / f"{person}_{image:04d}.png")
        return root

    return write
