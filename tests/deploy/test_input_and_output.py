"""Every target with every input and output: what the file takes and gives, and that it is right."""

import itertools

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from trained_networks import BUILDS, as_trained, knows, need

from pocketface.card import card_path, read_card
from pocketface.deploy import TARGETS, ExportOptions, export_network
from pocketface.deploy.fuse import fuse
from pocketface.deploy.pixels import take_pixels
from pocketface.deploy.trace import trace_graph
from pocketface.deploy.write import write_graph
from pocketface.embedding import load_embedder
from pocketface.embedding.flip import flip_sum
from pocketface.embedding.resize import resize_faces
from pocketface.errors import RecipeError
from pocketface.preprocessing import Preprocessing

FORMS = [
    ExportOptions(input=i, output=o)
    for i, o in itertools.product(("float", "uint8"), ("raw", "unit"))
]

CASES = [(target, form) for target in TARGETS for form in FORMS if knows(target, form)]


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def faces(count: int, size: int = 40) -> np.ndarray:
    return rng().integers(0, 256, (count, size, size, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def made(source, tmp_path_factory):
    """Give the file of a target and form, of the network 'small'."""
    done = {}

    def give(target: str, options: ExportOptions):
        need(target)
        if (target, options) not in done:
            out = tmp_path_factory.mktemp("made") / f"model{TARGETS[target].suffix}"
            done[target, options] = export_network(
                source("small"), out, generator=rng(), target=target, options=options
            )
        return done[target, options]

    return give


@pytest.mark.parametrize(
    ("target", "options"), CASES, ids=[f"{t}-{o.input}-{o.output}" for t, o in CASES]
)
def test_a_file_alone_embeds_as_its_source(made, source, target, options, tmp_path) -> None:
    """Its card is in it; what it gives is never of unit length, whatever the file gives."""
    done = made(target, options)
    alone = tmp_path / f"alone{done.path.suffix}"
    for path in (done.path, *done.companions):
        (tmp_path / f"alone{path.suffix}").write_bytes(path.read_bytes())
    wanted, found = load_embedder(source("small")), load_embedder(alone)
    images = faces(5)
    first, second = wanted.embed(images), found.embed(images)
    assert np.linalg.norm(second - first) < 1e-5 * np.linalg.norm(first)
    first, second = flip_sum(wanted, images), flip_sum(found, images)
    assert np.linalg.norm(second - first) < 1e-5 * np.linalg.norm(first)
    assert found.card == done.card == read_card(done.path)
    assert found.card.thresholds == wanted.card.thresholds


@pytest.mark.parametrize("options", FORMS, ids=lambda o: f"{o.input}-{o.output}")
def test_the_onnx_file_takes_and_gives_what_was_asked(made, source, options) -> None:
    done = made("onnx", options)
    onnx.checker.check_model(onnx.load(str(done.path)), full_check=True)
    session = onnxruntime.InferenceSession(done.path, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    if options.input == "uint8":
        assert (given.type, given.shape) == ("tensor(uint8)", ["batch", 32, 32, 3])
        # In front of the network: into the order of its maps, to float, minus the mean.
        kinds = [node.op_type for node in onnx.load(str(done.path)).graph.node]
        assert kinds[:4] == ["Transpose", "Cast", "Add", "Conv"]
    else:
        assert (given.type, given.shape) == ("tensor(float)", ["batch", 3, 32, 32])
    outputs = {port.name: port.shape for port in session.get_outputs()}
    lengths = {"lengths": ["batch", 1]} if options.output == "unit" else {}
    assert outputs == {"embeddings": ["batch", 128], **lengths}


@pytest.mark.parametrize("batch", [1, 2, 7])
@pytest.mark.parametrize("output", ["raw", "unit"])
def test_pixels_go_in_as_a_decoder_gives_them(made, source, output, batch) -> None:
    """By onnxruntime alone: no library of ours between the pixels and the embedding."""
    done = made("onnx", ExportOptions(input="uint8", output=output))
    session = onnxruntime.InferenceSession(done.path, providers=["CPUExecutionProvider"])
    images = resize_faces(faces(batch), 32)
    wanted = load_embedder(source("small")).embed(images)
    found, *lengths = session.run(None, {"images": images})
    if output == "unit":
        norms = np.linalg.norm(wanted, axis=1, keepdims=True)
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
        np.testing.assert_allclose(lengths[0], norms, rtol=1e-5)
        wanted = wanted / norms
    assert np.linalg.norm(found - wanted) < 1e-5 * np.linalg.norm(wanted)


def test_a_zero_embedding_stays_zero() -> None:
    """It has no direction; a division would make it no number."""
    network = as_trained(BUILDS["iresnet"]())
    with torch.no_grad():
        for tensor in (network.fc.weight, network.fc.bias, network.features.bias):
            tensor.zero_()
        network.features.running_mean.zero_()
    graph = trace_graph(network)
    fuse(graph)
    model = write_graph(graph, 32, 18, {}, unit=True)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    images = rng().normal(size=(2, 3, 32, 32)).astype(np.float32)
    embeddings, lengths = session.run(None, {"images": images})
    assert not embeddings.any()
    assert not lengths.any()


@pytest.mark.parametrize("name", sorted(BUILDS))
def test_every_kind_of_network_takes_pixels_in_the_runtime(name) -> None:
    network = as_trained(BUILDS[name]())
    size = network.image_size
    preprocessing = Preprocessing(
        image_size=size, channel_order="bgr", mean=(0.4, 0.5, 0.6), std=(0.3, 0.25, 0.2)
    )
    outputs = []
    pixels = resize_faces(faces(3), size)
    for taken in (False, True):
        graph = trace_graph(network)
        fuse(graph)
        if taken:
            take_pixels(graph, preprocessing)
        model = write_graph(graph, size, 18, {}, pixels=taken)
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        normalised = (pixels[..., ::-1] / 255 - preprocessing.mean) / preprocessing.std
        images = pixels if taken else normalised.transpose(0, 3, 1, 2).astype(np.float32)
        outputs.append(session.run(None, {"images": images})[0])
    assert np.linalg.norm(outputs[1] - outputs[0]) < 1e-5 * np.linalg.norm(outputs[0])


BATCHED = [
    (target, kind)
    for target in TARGETS
    for kind in ("float", "uint8")
    if knows(target, ExportOptions(input=kind, batch=4))
]


@pytest.mark.parametrize(("target", "input_kind"), BATCHED)
def test_a_fixed_batch_is_filled_up(source, tmp_path, target, input_kind) -> None:
    need(target)
    out = tmp_path / f"m{TARGETS[target].suffix}"
    options = ExportOptions(input=input_kind, batch=4)
    export_network(source("iresnet"), out, generator=rng(), target=target, options=options)
    images = faces(9, 32)
    wanted = load_embedder(source("iresnet")).embed(images)
    found = load_embedder(out).embed(images)
    assert np.linalg.norm(found - wanted) < 1e-5 * np.linalg.norm(wanted)
    if target == "onnx":
        session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
        assert session.get_inputs()[0].shape[0] == 4
        assert session.get_outputs()[0].shape[0] == 4


def test_equal_networks_give_equal_files(source, tmp_path) -> None:
    options = ExportOptions(input="uint8", output="unit")
    contents = set()
    for name in ("a", "b"):
        out = tmp_path / f"{name}.onnx"
        export_network(source("iresnet"), out, generator=rng(), options=options)
        contents.add(out.read_bytes())
    assert len(contents) == 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"input": "int8"}, "input must be float or uint8, got 'int8'"),
        ({"output": "l2"}, "output must be raw or unit, got 'l2'"),
        ({"batch": 0}, "batch must be at least 1, got 0"),
        ({"opset": 17}, "opset must be 18 to 23, got 17"),
    ],
)
def test_other_options_are_refused(fields, message) -> None:
    with pytest.raises(RecipeError, match=message):
        ExportOptions(**fields)


def test_openvino_writes_two_files_and_a_card(made) -> None:
    done = made("openvino", FORMS[0])
    names = {path.name for path in done.path.parent.iterdir()}
    assert names == {"model.xml", "model.bin", "model.json"}
    assert done.companions == (done.path.with_suffix(".bin"),)
    assert done.bytes == sum(p.stat().st_size for p in (done.path, *done.companions))
    assert card_path(done.path).is_file()
