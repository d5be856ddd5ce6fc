"""How long each layer of a network takes, told by onnxruntime's own profiler.

onnxruntime fuses operations and changes their layout; a layer here is a node that it really runs.
Its name is that of the network's module that it came from, where the network is ours, else the
file's own. Only times of one session are compared: the profiler itself costs a little per node.
"""

import json
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from pocketface.benchmarks.result import Record
from pocketface.profile.node_kinds import Shape, kind_of, macs_of
from pocketface.profile.runtimes import Images, session_options

if TYPE_CHECKING:
    from onnx import ModelProto

_MARK = "pocketface-node-"
"""Beginning of the names that nodes get, to be known again however they are rewritten."""

_MARKED = re.compile(rf"{_MARK}\d+")

_SUFFIX = re.compile(r"(_nchwc|_token_\d+)?_kernel_time$")


class LayerTime(Record):
    """One node that the runtime ran.

    Attributes:
        name: of the network's module, or of the node in the file.
        block: the part of the network that it stands in: 'cells.3', 'tail', or, where a file has
            no modules, the size of its output, '28 x 28'.
        kind: what it computes, such as 'depthwise 3x3'.
        output: shape of its output.
        macs: multiply-accumulates for all images together; a scale per channel counts as one.
        microseconds: the mean of the middle half of its times, for all images together.
    """

    name: str
    block: str
    kind: str
    output: Shape
    macs: int = Field(ge=0)
    microseconds: float = Field(ge=0)


class Layers(Record):
    """All nodes in the model's order, `batch` images at once, run `runs` times."""

    threads: int
    batch: int
    runs: int
    nodes: tuple[LayerTime, ...]

    @property
    def microseconds(self) -> float:
        """The sum over all nodes."""
        return sum(node.microseconds for node in self.nodes)

    @property
    def macs(self) -> int:
        """The sum over all nodes."""
        return sum(node.macs for node in self.nodes)


@dataclass(frozen=True)
class Part:
    """Some nodes together: their time, arithmetic and number."""

    name: str
    microseconds: float
    macs: int
    nodes: int


def parts_by(layers: Layers, attribute: str, *, ordered: bool = False) -> list[Part]:
    """Sum up the nodes with equal `attribute` ('kind', 'name' or 'block').

    The slowest first, or with `ordered` in the model's order.
    """
    found: dict[str, list[LayerTime]] = {}
    for node in layers.nodes:
        found.setdefault(getattr(node, attribute), []).append(node)
    parts = [
        Part(name, sum(n.microseconds for n in nodes), sum(n.macs for n in nodes), len(nodes))
        for name, nodes in found.items()
    ]
    return parts if ordered else sorted(parts, key=lambda part: -part.microseconds)


def time_layers(
    model: bytes | Path,
    images: Images,
    threads: int,
    runs: int,
    names: Mapping[str, str],
    *,
    modules: bool = False,
) -> Layers:
    """Run an ONNX model on `images` under the profiler.

    `names` gives what marked nodes are to be called; `modules` says that these are modules of the
    network. Nodes without a mark keep the name that the runtime gives them. The first run is not
    counted.
    """
    import onnxruntime

    with tempfile.TemporaryDirectory(prefix="pocketface-profile-") as folder:
        options = session_options(threads)
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "run")
        session = onnxruntime.InferenceSession(
            model if isinstance(model, bytes) else str(model),
            options,
            providers=["CPUExecutionProvider"],
        )
        (entry,) = session.get_inputs()
        for _ in range(runs + 1):
            session.run(None, {entry.name: images})
        told = Path(session.end_profiling()).read_text(encoding="utf-8")
    times: dict[str, list[float]] = {}
    first: dict[str, Mapping[str, Any]] = {}
    for event in json.loads(told):
        if event.get("cat") == "Node" and str(event["name"]).endswith("_kernel_time"):
            times.setdefault(event["name"], []).append(float(event["dur"]))
            first.setdefault(event["name"], event["args"])
    found = [
        (_place(name), _node(name, first[name], durations, runs, names))
        for name, durations in times.items()
    ]
    return Layers(threads=threads, batch=len(images), runs=runs, nodes=_in_order(found, modules))


def _node(
    event: str,
    told: Mapping[str, Any],
    durations: list[float],
    runs: int,
    names: Mapping[str, str],
) -> LayerTime:
    """The node behind the events of one name, from what the first of them tells."""
    operator = str(told["op_name"])
    inputs, outputs = _shapes(told["input_type_shape"]), _shapes(told["output_type_shape"])
    output = outputs[0] if outputs else ()
    mark = _MARKED.match(event)
    # A node that ran several times a run counts these together.
    calls = max(1, round(len(durations) / (runs + 1)))
    return LayerTime(
        name=names.get(mark.group() if mark else "", "") or _SUFFIX.sub("", event),
        block=f"{output[2]} x {output[3]}" if len(output) == 4 else "rows",
        kind=kind_of(operator, inputs),
        output=output,
        macs=calls * macs_of(operator, inputs, output),
        microseconds=calls * _middle(durations[calls:] or durations),
    )


def _place(event: str) -> int | None:
    """The place in the model of the node that an event belongs to."""
    mark = _MARKED.match(event)
    return int(mark.group().removeprefix(_MARK)) if mark else None


def _in_order(found: list[tuple[int | None, LayerTime]], modules: bool) -> tuple[LayerTime, ...]:
    """The nodes in the model's order; what the runtime added stays behind what ran before it.

    With `modules`, nodes stand in the blocks that their names tell.
    """
    before = 0
    placed: list[tuple[int, bool, LayerTime]] = []
    for place, node in found:
        before = before if place is None else place
        placed.append((before, place is None, node))
    placed.sort(key=lambda entry: entry[:2])
    if not modules:
        return tuple(node for _, _, node in placed)
    blocks = blocks_of([node.name for _, added, node in placed if not added])
    nodes: list[LayerTime] = []
    for _, added, node in placed:
        last = nodes[-1].block if nodes else "input"
        nodes.append(node.model_copy(update={"block": last if added else blocks[node.name]}))
    return tuple(nodes)


def blocks_of(modules: Sequence[str]) -> dict[str, str]:
    """The block of each module: 'cells.3' of 'cells.3.dag.1.0', 'tail' of 'tail.1'.

    A numbered module is a block of its own where such modules hold others.
    """
    parts = {module: module.split(".") for module in modules}
    lists = {path[0] for path in parts.values() if len(path) > 2 and path[1].isdigit()}
    return {
        module: ".".join(path[:2]) if path[0] in lists and path[1:] else path[0]
        for module, path in parts.items()
    }


def mark_nodes(model: "ModelProto", names: Sequence[str]) -> dict[str, str]:
    """Give the nodes of a model marks to be known by, in place; gives the name for each mark.

    `names` are those of the nodes in order. onnxruntime names a node of its own making after the
    node, or after the output, that it replaces: so outputs are marked too. A model with graphs
    inside its nodes is left as it is.
    """
    nodes = model.graph.node
    if any(attribute.HasField("g") for node in nodes for attribute in node.attribute):
        return {}
    ends = {output.name for output in model.graph.output}
    marks = {
        output: f"{_MARK}{place}"
        for place, node in enumerate(nodes)
        for output in node.output
        if output and output not in ends
    }
    for place, node in enumerate(nodes):
        node.name = f"{_MARK}{place}"
        for values in (node.input, node.output):
            values[:] = [marks.get(value, value) for value in values]
    return {f"{_MARK}{place}": name for place, name in enumerate(names)}


def _shapes(told: Iterable[Mapping[str, Sequence[int]]]) -> list[Shape]:
    return [tuple(shape) for entry in told for shape in entry.values()]


def _middle(values: Sequence[float]) -> float:
    """The mean of the middle half: as robust as a median, finer where times are whole numbers."""
    ordered = sorted(values)
    cut = len(ordered) // 4
    return float(np.mean(ordered[cut : len(ordered) - cut]))
