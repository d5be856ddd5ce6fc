"""An ONNX model with nothing in it that its runtime does not need.

torch writes long names, and beside every node where in the source code it came from: on a small
network that is half as many bytes as the weights, and it tells the paths of the machine.
"""

import numpy as np
import onnx
from onnx import helper, numpy_helper

import pocketface
from pocketface.card import ModelCard


def compact(model: onnx.ModelProto, card: ModelCard) -> onnx.ModelProto:
    """Rebuild `model` with short names and say in it what it is; its input and output keep theirs.

    `card` is that of the source's weights. The metadata hold its architecture, embedding size,
    preprocessing (JSON) and sha256, and our version. The format's version is the least that
    knows the operators, so that older runtimes read the file. The graph must have no subgraphs;
    those of our networks have none.
    """
    graph = model.graph
    names: dict[str, str] = {value.name: value.name for value in (*graph.input, *graph.output)}
    names[""] = ""  # an optional input that is left out

    def short(name: str) -> str:
        return names.setdefault(name, np.base_repr(len(names), 36).lower())

    rebuilt = helper.make_graph(
        [
            onnx.NodeProto(
                op_type=node.op_type,
                domain=node.domain,
                input=map(short, node.input),
                output=map(short, node.output),
                attribute=node.attribute,
            )
            for node in graph.node
        ],
        card.architecture,
        [_plain(value) for value in graph.input],
        [_plain(value) for value in graph.output],
        [
            numpy_helper.from_array(numpy_helper.to_array(tensor), short(tensor.name))
            for tensor in graph.initializer
        ],
    )
    opsets = [helper.make_opsetid(entry.domain, entry.version) for entry in model.opset_import]
    result = helper.make_model(
        rebuilt,
        opset_imports=opsets,
        ir_version=helper.find_min_ir_version_for(opsets),
        producer_name="pocketface",
        producer_version=pocketface.__version__,
    )
    helper.set_model_props(
        result,
        {
            "architecture": card.architecture,
            "embedding_size": str(card.embedding_size),
            "preprocessing": card.preprocessing.model_dump_json(),
            "source_sha256": card.sha256,
            "pocketface_version": pocketface.__version__,
        },
    )
    return result


def _plain(value: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
    """The value's name and type alone."""
    return onnx.ValueInfoProto(name=value.name, type=value.type)
