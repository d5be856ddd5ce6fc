"""The target 'executorch': one `.pte` file, all of whose operations are XNNPACK's."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pocketface.deploy.executorch_format import (
    NamedDataStoreOutput,
    PTEFile,
    ScalarType,
    quiet,
    schema,
    serialize_pte_binary,
)
from pocketface.deploy.fold import fold
from pocketface.deploy.graph import Graph
from pocketface.deploy.options import ExportOptions
from pocketface.deploy.pixels import take_pixels
from pocketface.deploy.trace import trace_graph
from pocketface.deploy.xnnpack import write_xnnpack
from pocketface.embedding.executorch_embedder import (
    ExecuTorchEmbedder,
    parts_of,
    weights_sha256,
)
from pocketface.embedding.self_description import SelfDescription
from pocketface.embedding.weights_beside import WEIGHTS_KEY

if TYPE_CHECKING:
    from pocketface.models.backbone import Backbone

_ALIGNMENT = 16
"""Of what the runtime places in its memory, in bytes."""


def build(
    backbone: "Backbone", description: SelfDescription, options: ExportOptions, path: Path
) -> None:
    """Write `path` (.pte): the method 'forward', and the method 'pocketface', which describes it.

    PReLUs stay whole: XNNPACK has them. Raises ExportError for a network that cannot be written.
    """
    graph = trace_graph(backbone)
    fold(graph)
    pixels = options.input == "uint8"
    if pixels:
        take_pixels(graph, description.card.preprocessing)
    content = write_program(
        graph,
        backbone.image_size,
        description.to_metadata(),
        pixels=pixels,
        unit=options.output == "unit",
    )
    path.write_bytes(content)


def write_program(
    graph: Graph,
    image_size: int,
    metadata: Mapping[str, str],
    *,
    pixels: bool = False,
    unit: bool = False,
) -> bytes:
    """The content of a file that runs `graph`; each entry of `metadata` is a method in it."""
    network, weights = write_xnnpack(graph, image_size, pixels=pixels, unit=unit)
    images = [1, image_size, image_size, 3] if pixels else [1, 3, image_size, image_size]
    outputs = [[1, graph.channels[graph.output]], *([[1, 1]] if unit else [])]
    plans = [_forward(images, ScalarType.BYTE if pixels else ScalarType.FLOAT, outputs)]
    plans += [_constant(key, text) for key, text in metadata.items()]
    # Twice: the program names its weights, which follow it and do not change.
    content = _serialize([*plans, _constant(WEIGHTS_KEY, "0" * 64)], network, weights)
    begin, end = parts_of(content)
    named = _constant(WEIGHTS_KEY, weights_sha256(content[begin:end]))
    return _serialize([*plans, named], network, weights)


def open_file(path: Path) -> ExecuTorchEmbedder:
    """The file in ExecuTorch, by what it says of itself."""
    return ExecuTorchEmbedder(path)


def _serialize(
    plans: list[schema.ExecutionPlan], network: bytes, weights: NamedDataStoreOutput
) -> bytes:
    program = schema.Program(
        version=0,
        execution_plan=plans,
        constant_buffer=[schema.Buffer(b"")],
        backend_delegate_data=[schema.BackendDelegateInlineData(network)],
        segments=[],
        constant_segment=schema.SubsegmentOffsets(segment_index=0, offsets=[]),
    )
    file = PTEFile(program, named_data=weights)
    with quiet():
        content = serialize_pte_binary(
            file, extract_delegate_segments=True, segment_alignment=_ALIGNMENT
        )
    return bytes(content)


def _forward(images: list[int], kind: ScalarType, outputs: list[list[int]]) -> schema.ExecutionPlan:
    """A method that hands the images to the first delegate and gives back what that gives."""
    values, end = [], 0
    for shape, scalar in [(images, kind), *((shape, ScalarType.FLOAT) for shape in outputs)]:
        size = 1 if scalar == ScalarType.BYTE else 4
        for side in shape:
            size *= side
        tensor = schema.Tensor(
            scalar_type=scalar,
            storage_offset=0,
            sizes=shape,
            dim_order=list(range(len(shape))),
            requires_grad=False,
            layout=0,
            data_buffer_idx=0,
            allocation_info=schema.AllocationDetails(1, end, 0),
            shape_dynamism=schema.TensorShapeDynamism.STATIC,
        )
        values.append(schema.EValue(tensor))
        end += size + -size % _ALIGNMENT
    places = list(range(len(values)))
    delegate = schema.BackendDelegate(
        "XnnpackBackend",
        schema.BackendDelegateDataReference(schema.DataLocation.INLINE, 0),
        compile_specs=[],
    )
    call = schema.Instruction(schema.DelegateCall(delegate_index=0, args=places))
    return _plan("forward", values, [call], places[:1], places[1:], [delegate], [0, end])


def _constant(name: str, text: str) -> schema.ExecutionPlan:
    """A method without inputs that gives `text`."""
    return _plan(name, [schema.EValue(schema.String(text))], [], [], [0], [], [0])


def _plan(
    name: str,
    values: list[schema.EValue],
    instructions: list[schema.Instruction],
    inputs: list[int],
    outputs: list[int],
    delegates: list[schema.BackendDelegate],
    sizes: list[int],
) -> schema.ExecutionPlan:
    return schema.ExecutionPlan(
        name=name,
        container_meta_type=schema.ContainerMetadata("", ""),
        values=values,
        inputs=inputs,
        outputs=outputs,
        chains=[schema.Chain([], [], instructions, None)],
        operators=[],
        delegates=delegates,
        non_const_buffer_sizes=sizes,
    )
