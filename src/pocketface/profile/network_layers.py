"""The layers of a profiled network: its nodes named after the modules they came from, and timed."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from pocketface.profile.layers import Layers, mark_nodes, time_layers
from pocketface.profile.subject import Subject
from pocketface.profile.worker import draw_images

if TYPE_CHECKING:
    from pocketface.deploy.graph import Graph

MOST_RUNS = 200
LEAST_RUNS = 5


def measure_layers(subject: Subject, threads: int, seconds: float) -> Layers:
    """Time the nodes of `subject` for about `seconds`, one image at a time."""
    job = subject.job("onnxruntime", threads, subject.batch or 1)
    assert job is not None
    images = draw_images(job)
    ours = subject.weights is not None
    model, names = _own(subject.weights) if subject.weights else _foreign(subject.file)
    begin = time.perf_counter()
    time_layers(model, images, threads, 1, names, modules=ours)
    each = max(time.perf_counter() - begin, 1e-3) / 2
    runs = int(min(MOST_RUNS, max(LEAST_RUNS, seconds / each)))
    return time_layers(model, images, threads, runs, names, modules=ours)


def count_macs(subject: Subject) -> int:
    """Multiply-accumulates for one image of what onnxruntime runs of an ONNX file."""
    job = subject.job("onnxruntime", 1, subject.batch or 1)
    assert job is not None
    images = draw_images(job)
    return time_layers(subject.file, images, 1, 1, {}).macs // len(images)


def _own(weights: Path) -> tuple[bytes, dict[str, str]]:
    """The network as it is exported, with the module of each node."""
    from pocketface.deploy.fuse import fuse
    from pocketface.deploy.options import OPSETS
    from pocketface.deploy.trace import trace_graph
    from pocketface.deploy.write import write_graph
    from pocketface.models.weights import load_backbone

    backbone, _ = load_backbone(weights)
    graph = trace_graph(backbone)
    fuse(graph)
    model = write_graph(graph, backbone.image_size, OPSETS[0], {})
    names = mark_nodes(model, module_names(graph))
    content: bytes = model.SerializeToString()
    return content, names


def module_names(graph: "Graph") -> list[str]:
    """The module of each node.

    A node that only bends a convolution's output has that one's; what stands in no module, as the
    flattening of the last map may, has that of the node before it.
    """
    from pocketface.deploy.graph import Affine, Conv, Relu

    producers = graph.producers()
    names: list[str] = []
    for node in graph.nodes:
        before = producers.get(node.inputs[0])
        bends = isinstance(node.operation, Relu) and before is not None
        if bends and before is not None and isinstance(before.operation, Conv | Affine):
            node = before
        names.append(graph.layers[node.output] or (names[-1] if names else "input"))
    return names


def _foreign(path: Path) -> tuple[bytes | Path, dict[str, str]]:
    """A file, with the names that it gives its nodes; as it is where onnx is not installed."""
    try:
        import onnx
    except ModuleNotFoundError:
        return path, {}
    model = onnx.load(str(path))
    own = [node.name or f"{node.op_type} {place}" for place, node in enumerate(model.graph.node)]
    names = mark_nodes(model, own)
    content: bytes = model.SerializeToString()
    return content, names
