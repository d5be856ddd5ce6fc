"""LiteRT files: graphs computed as torch computes them; whole, foreign and spoilt files."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from graph_oracle import compute
from hypothesis import given, settings
from hypothesis import strategies as st
from trained_networks import as_trained, genotypes

from pocketface.card import write_card
from pocketface.deploy import ExportOptions, export_network
from pocketface.deploy.fold import fold
from pocketface.deploy.graph import Affine, Concat, Conv, Flatten, Graph, Linear, Pool, PRelu, Relu
from pocketface.deploy.parity import LEAST_COSINE, MOST_RELATIVE, compare
from pocketface.deploy.pool import pick_pools
from pocketface.deploy.trace import trace_graph
from pocketface.embedding import load_embedder
from pocketface.errors import DataError, ExportError, RecipeError, WeightsError
from pocketface.models import Genotype, create_model
from pocketface.preprocessing import Preprocessing

interpreter = pytest.importorskip(
    "ai_edge_litert.interpreter",
    reason="LiteRT is not installed (pip install 'pocketface[train,litert]')",
)
from ai_edge_litert import schema_py_generated as schema  # noqa: E402

from pocketface.deploy.litert_write import write_litert  # noqa: E402

SMALL = Preprocessing(image_size=32)


@pytest.fixture(scope="module")
def written(source, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("litert") / "m.tflite"
    export_network(source("iresnet"), out, generator=np.random.default_rng(0), target="litert")
    return out


@pytest.fixture
def copy(written, tmp_path) -> Path:
    """The file, without the card."""
    return Path(shutil.copy(written, tmp_path))


def faces(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def run(graph: Graph, images: np.ndarray) -> np.ndarray:
    """What LiteRT computes of float64 images (N, 3, S, S)."""
    network = interpreter.Interpreter(model_content=write_litert(graph, images.shape[2], {}))
    (entry,) = network.get_input_details()
    turned = np.ascontiguousarray(images.transpose(0, 2, 3, 1), dtype=np.float32)
    network.resize_tensor_input(entry["index"], turned.shape, strict=True)
    network.allocate_tensors()
    network.set_tensor(entry["index"], turned)
    network.invoke()
    (output,) = network.get_output_details()
    return network.get_tensor(output["index"])


def operators(content: bytes) -> list[str]:
    """Names of the operators, in order."""
    names = {value: name for name, value in vars(schema.BuiltinOperator).items()}
    model = schema.ModelT.InitFromPackedBuf(content)
    codes = [names[code.builtinCode] for code in model.operatorCodes]
    return [codes[operator.opcodeIndex] for operator in model.subgraphs[0].operators]


def bare(path: Path, change=lambda model: None) -> Path:
    """Make it a file of others: its metadata are taken away."""
    import flatbuffers

    model = schema.ModelT.InitFromPackedBuf(path.read_bytes())
    model.metadata = None
    change(model)
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path


def rows_of(graph: Graph, value: str) -> Graph:
    graph.output = graph.add(Flatten(), value)
    return graph


def check(graph: Graph, side: int) -> None:
    images = np.random.default_rng(0).normal(size=(2, 3, side, side))
    wanted = compute(graph, torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(run(graph, images), wanted, rtol=1e-5, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(
    kernel=st.sampled_from([1, 2, 3, 5, 7]),
    stride=st.integers(1, 3),
    before=st.integers(0, 3),
    after=st.integers(0, 3),
    depthwise=st.booleans(),
    side=st.integers(7, 12),
)
def test_a_convolution_reads_the_pixels_that_torch_reads(
    kernel, stride, before, after, depthwise, side
) -> None:
    rng = np.random.default_rng(1)
    weight = rng.normal(size=(3, 1, kernel, kernel) if depthwise else (4, 3, kernel, kernel))
    bias = rng.normal(size=len(weight))
    graph = Graph("images", channels={"images": 3})
    conv = Conv(weight, bias, stride, (before, after), 3 if depthwise else 1)
    check(rows_of(graph, graph.add(conv, "images")), side)


@settings(max_examples=30, deadline=None)
@given(
    average=st.booleans(),
    form=st.sampled_from([(3, 1), (5, 2), (2, 0), (3, 0), (1, 0)]),
    stride=st.integers(1, 3),
    side=st.integers(7, 12),
)
def test_a_pool_leaves_the_padding_out(average, form, stride, side) -> None:
    graph = Graph("images", channels={"images": 3})
    rows_of(graph, graph.add(Pool(average, form[0], stride, form[1]), "images"))
    pick_pools(graph)
    check(graph, side)


def test_other_operations_compute_as_torch_does() -> None:
    rng = np.random.default_rng(1)
    graph = Graph("images", channels={"images": 3})
    bent = graph.add(PRelu(np.array([-0.5, 0.25, 2.0])), "images")
    moved = graph.add(Affine(rng.normal(size=3), rng.normal(size=3)), bent)
    shifted = graph.add(Affine(np.ones(3), rng.normal(size=3)), "images")
    cut = graph.add(Relu(6.0), graph.add(Affine(np.full(3, 9.0), np.zeros(3)), "images"))
    joined = graph.add(Concat(), moved, shifted, graph.add(Relu(), "images"), cut)
    grouped = graph.add(Conv(rng.normal(size=(8, 6, 3, 3)), np.zeros(8), groups=2), joined)
    flat = graph.add(Flatten(), grouped)
    rows = graph.add(Linear(rng.normal(size=(6, 8 * 3 * 3)), rng.normal(size=6)), flat)
    rows = graph.add(PRelu(rng.normal(size=6)), rows)
    graph.output = graph.add(Affine(rng.normal(size=6), rng.normal(size=6)), rows)
    images = rng.normal(size=(2, 3, 5, 5))
    wanted = compute(graph, torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(run(graph, images), wanted, rtol=1e-4, atol=1e-4)


def test_what_litert_has_not_is_told() -> None:
    graph = Graph("images", channels={"images": 3})
    rows_of(graph, graph.add(Relu(4.0), "images"))
    with pytest.raises(ExportError, match="a relu up to 6, and none up to 4"):
        write_litert(graph, 8, {})
    graph = Graph("images", channels={"images": 3})
    rows_of(graph, graph.add(Pool(True, 4, 1, 1), "images"))
    with pytest.raises(ExportError, match="no pool of 4x4 with stride 1 and 1 pixels"):
        write_litert(graph, 8, {})


@settings(max_examples=12, deadline=None)
@given(genotypes(), st.sampled_from([32, 48]))
def test_any_genotype_is_its_source(genotype: Genotype, size: int) -> None:
    network = create_model(
        "pocketnet_nano", image_size=size, embedding_size=8, channels=4, cells=4, genotype=genotype
    )
    network = as_trained(network).eval()
    graph = trace_graph(network)
    pick_pools(graph)
    fold(graph)
    images = np.random.default_rng(0).normal(size=(2, 3, size, size))
    with torch.no_grad():
        wanted = network.double()(torch.from_numpy(images)).numpy()
    parity = compare(wanted.astype(np.float32), run(graph, images))
    assert parity.cosine >= LEAST_COSINE
    assert parity.relative <= MOST_RELATIVE


def test_prelus_stay_whole_and_nothing_is_left_of_batch_norms(source, tmp_path) -> None:
    done = export_network(
        source("small"),
        tmp_path / "m.tflite",
        generator=np.random.default_rng(0),
        target="litert",
        options=ExportOptions(input="uint8", output="unit"),
    )
    found = operators(done.path.read_bytes())
    assert "PRELU" in found
    assert found[:3] == ["CAST", "ADD", "PAD"]  # pixels to numbers, minus the mean
    assert found[-6:] == ["RESHAPE", "MUL", "SUM", "SQRT", "MAXIMUM", "DIV"]
    # Behind a pool of stride 1 a batch norm stays; the picking of other pools takes it.
    batch_norms = sum(found[i - 1 : i + 1] == ["MUL", "ADD"] for i in range(1, len(found)))
    assert batch_norms == found.count("MUL") - 1 == 2


def test_one_delegate_computes_it_all(copy) -> None:
    """XNNPACK knows every operator that is written, with any number of images."""
    network = interpreter.Interpreter(model_content=copy.read_bytes())
    network.allocate_tensors()
    kinds = [entry["op_name"] for entry in network._get_ops_details()]
    assert kinds.count("DELEGATE") == 1
    assert kinds[-1] == "DELEGATE"


def test_weights_lie_where_a_device_can_map_them(copy) -> None:
    content = copy.read_bytes()
    model = schema.Model.GetRootAs(content)
    start = np.frombuffer(content, np.uint8).__array_interface__["data"][0]
    for place in range(1, model.BuffersLength()):
        data = model.Buffers(place).DataAsNumpy()
        assert (data.__array_interface__["data"][0] - start) % 16 == 0


def test_equal_networks_give_equal_files(copy, source, tmp_path) -> None:
    again = export_network(
        source("iresnet"),
        tmp_path / "again.tflite",
        generator=np.random.default_rng(0),
        target="litert",
    )
    assert again.path.read_bytes() == copy.read_bytes()


def test_a_zero_embedding_stays_zero() -> None:
    graph = Graph("images", channels={"images": 3})
    flat = graph.add(Flatten(), "images")
    graph.output = graph.add(Linear(np.zeros((4, 12)), np.zeros(4)), flat)
    network = interpreter.Interpreter(model_content=write_litert(graph, 2, {}, unit=True))
    network.allocate_tensors()
    network.invoke()
    for entry in network.get_output_details():
        assert not network.get_tensor(entry["index"]).any()


def test_a_folder_of_many_faces_is_embedded_in_parts(copy) -> None:
    embedder = load_embedder(copy, threads=1)
    images = faces(70)
    one_by_one = np.concatenate([embedder.embed(images[i : i + 1]) for i in range(70)])
    np.testing.assert_allclose(embedder.embed(images), one_by_one, rtol=1e-3, atol=1e-5)
    assert embedder.embed(images[:0]).shape == (0, 16)
    with pytest.raises(DataError, match="grey"):
        embedder.embed(images[..., :1])


def test_threads_must_be_positive(copy) -> None:
    with pytest.raises(RecipeError, match="at least 1, got 0"):
        load_embedder(copy, threads=0)


@pytest.mark.parametrize("spoilt", ["cut", "cut short", "text", "empty", "zeros", "renamed"])
def test_spoilt_files_are_refused_by_name(copy, spoilt, tiny_onnx) -> None:
    content = copy.read_bytes()
    if spoilt == "renamed":
        tiny_onnx(copy)
    else:
        copy.write_bytes(
            {
                "cut": content[:-1000],
                "cut short": content[:100],
                "text": b"hello",
                "empty": b"",
                "zeros": content[:8] + bytes(len(content) - 8),
            }[spoilt]
        )
    with pytest.raises(WeightsError, match=r"m\.tflite is not a network that LiteRT \d.* can run"):
        load_embedder(copy)


def test_a_flipped_byte_is_an_error_or_another_network(copy) -> None:
    """It ends no process: the runtime checks the file before it reads it."""
    content, rng = copy.read_bytes(), np.random.default_rng(0)
    for name in range(30):
        spoilt = bytearray(content)
        for place in rng.integers(len(content) - 20_000, len(content), 4):  # the operators
            spoilt[place] ^= int(rng.integers(1, 256))
        copy.with_stem(f"spoilt{name}").write_bytes(spoilt)
    code = (
        "import pathlib, sys\n"
        "from pocketface.embedding import load_embedder\n"
        "from pocketface.errors import WeightsError\n"
        "for path in pathlib.Path(sys.argv[1]).glob('spoilt*.tflite'):\n"
        "    try: load_embedder(path, threads=1)\n"
        "    except WeightsError as error: assert path.name in str(error); print('refused')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(copy.parent)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "refused" in done.stdout


def test_a_file_of_others_is_described_by_hand_or_by_a_card(copy) -> None:
    wanted = load_embedder(copy, threads=1)
    bare(copy)
    with pytest.raises(WeightsError, match="--size, --order, --mean and --std"):
        load_embedder(copy)
    embedder = load_embedder(copy, wanted.preprocessing, threads=1)
    assert np.array_equal(embedder.embed(faces(2)), wanted.embed(faces(2)))
    assert embedder.card is None
    assert embedder.fingerprint != wanted.fingerprint
    from pocketface.cli.foreign import begin_card

    write_card(copy, begin_card(copy, embedder, None))
    assert load_embedder(copy, threads=1).card.architecture == "foreign"


def test_a_file_of_others_may_take_its_channels_first(tmp_path) -> None:
    """As converters from torch write them; one image at a time."""
    path = tmp_path / "m.tflite"
    graph = Graph("images", channels={"images": 3})
    graph.output = graph.add(Flatten(), "images")
    path.write_bytes(write_litert(graph, 32, {}, batch=1))

    def turn(model) -> None:
        part = model.subgraphs[0]
        part.tensors[part.inputs[0]].shape = [1, 3, 32, 32]
        flattening = part.operators[1]
        flattening.inputs = [part.inputs[0], flattening.inputs[1]]
        part.operators = [flattening]

    bare(path, turn)
    embedder = load_embedder(path, SMALL, threads=1)
    wanted = (faces(3) / 255 - 0.5) / 0.5
    np.testing.assert_allclose(
        embedder.embed(faces(3)), wanted.transpose(0, 3, 1, 2).reshape(3, -1), atol=1e-6
    )


def test_pixels_without_a_description_are_refused(source, tmp_path) -> None:
    done = export_network(
        source("iresnet"),
        tmp_path / "m.tflite",
        generator=np.random.default_rng(0),
        target="litert",
        options=ExportOptions(input="uint8"),
    )
    done.path.with_suffix(".json").unlink()
    with pytest.raises(WeightsError, match=r"takes uint8 \(any, 32, 32, 3\).*must take float32"):
        load_embedder(bare(done.path), SMALL)


def test_another_size_than_described_is_refused(copy) -> None:
    with pytest.raises(WeightsError, match="but its preprocessing says 112 x 112 pixels"):
        load_embedder(bare(copy), Preprocessing(image_size=112))
