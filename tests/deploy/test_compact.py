import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from pocketface.card import ModelCard
from pocketface.deploy.compact import compact

CARD = ModelCard(architecture="pocketnet_nano", embedding_size=3, sha256="ab" * 32)


def wordy() -> onnx.ModelProto:
    """Clip from above alone (its lower bound is left out), a constant, and many words."""
    nodes = [
        helper.make_node("Clip", ["images", "", "cells.0.upper"], ["a very long name"], name="n1"),
        helper.make_node("Mul", ["a very long name", "cells.0.scale"], ["embeddings"], name="n2"),
    ]
    for node in nodes:
        node.doc_string = "File /somewhere/model.py"
        node.metadata_props.add(key="stack", value="File /somewhere/model.py")
    shape = ["batch", 3]
    graph = helper.make_graph(
        nodes,
        "main",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape, "File /somewhere")],
        [helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, shape)],
        [
            numpy_helper.from_array(np.float32(2), "cells.0.upper"),
            numpy_helper.from_array(np.array([1, -1, 3], np.float32), "cells.0.scale"),
        ],
        doc_string="File /somewhere",
        value_info=[helper.make_tensor_value_info("a very long name", TensorProto.FLOAT, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    model.metadata_props.add(key="stack", value="File /somewhere")
    return model


def test_the_function_stays_and_the_words_go() -> None:
    before, after = wordy(), compact(wordy(), CARD)
    onnx.checker.check_model(after, full_check=True)
    images = np.array([[1, 3, -5], [4, 0.5, 2.5]], np.float32)
    results = [
        onnxruntime.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        ).run(None, {"images": images})[0]
        for model in (before, after)
    ]
    np.testing.assert_array_equal(*results)
    content = after.SerializeToString()
    assert b"File" not in content
    assert b"cells" not in content
    names = [name for node in after.graph.node for name in (*node.input, *node.output)]
    assert set(map(len, set(names) - {"images", "embeddings"})) <= {0, 1}
    assert after.graph.node[0].input[1] == ""
    assert not after.graph.value_info
    assert after.ir_version == 8
    assert before.SerializeToString() == wordy().SerializeToString()


def test_many_names_stay_distinct() -> None:
    count = 100
    nodes = [
        helper.make_node("Neg", [f"value {i}" if i else "images"], [f"value {i + 1}"])
        for i in range(count)
    ]
    nodes[-1].output[0] = "embeddings"
    graph = helper.make_graph(
        nodes,
        "main",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, [1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    outputs = [node.output[0] for node in compact(model, CARD).graph.node]
    assert len(set(outputs)) == count
    assert max(len(name) for name in outputs[:-1]) == 2
