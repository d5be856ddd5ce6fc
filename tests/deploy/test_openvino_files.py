"""OpenVINO files as embedders: whole, foreign and spoilt."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from pocketface.card import write_card
from pocketface.deploy import ExportOptions, export_network
from pocketface.embedding import load_embedder
from pocketface.embedding.embedder import Adjustable
from pocketface.errors import DataError, RecipeError, WeightsError
from pocketface.preprocessing import Preprocessing

openvino = pytest.importorskip("openvino")

SMALL = Preprocessing(image_size=32)


@pytest.fixture(scope="module")
def written(source, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("openvino") / "m.xml"
    export_network(source("iresnet"), out, generator=np.random.default_rng(0), target="openvino")
    return out


@pytest.fixture
def copy(written, tmp_path) -> Path:
    """The two files, without the card."""
    for suffix in (".xml", ".bin"):
        shutil.copy(written.with_suffix(suffix), tmp_path)
    return tmp_path / written.name


def faces(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", ["small", "mobilefacenet"])
def test_maps_keep_the_runtimes_order(source, tmp_path, name) -> None:
    """The images alone are brought into another; slopes of three dimensions bring each map."""
    out = tmp_path / "m.xml"
    export_network(source(name), out, generator=np.random.default_rng(0), target="openvino")
    core = openvino.Core()
    model = core.read_model(out)
    kinds = [node.get_type_name() for node in model.get_ordered_ops()]
    assert kinds.count("PRelu") > 1
    model.reshape([1, 3, 32, 32])
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def kind(node: object) -> str:
        return node.get_rt_info()["layerType"].astype(str)

    moved = [
        node
        for node in compiled.get_runtime_model().get_ordered_ops()
        if kind(node) == "Reorder" and kind(node.input(0).get_source_output().get_node()) != "Const"
    ]
    # The images, and the rows after the last map.
    assert len(moved) <= 3, moved


def test_another_preprocessing_gives_other_embeddings(copy) -> None:
    embedder = load_embedder(copy, threads=1)
    assert isinstance(embedder, Adjustable)
    other = embedder.with_preprocessing(SMALL)
    assert other.fingerprint != embedder.fingerprint
    assert not np.allclose(other.embed(faces(2)), embedder.embed(faces(2)))


def test_a_folder_of_many_faces_is_embedded_in_parts(copy) -> None:
    embedder = load_embedder(copy)
    images = faces(70)
    one_by_one = np.concatenate([embedder.embed(images[i : i + 1]) for i in range(70)])
    np.testing.assert_allclose(embedder.embed(images), one_by_one, rtol=1e-3, atol=1e-5)
    assert embedder.embed(images[:0]).shape == (0, 16)
    with pytest.raises(DataError, match="grey"):
        embedder.embed(images[..., :1])


def test_weights_of_another_export_are_refused(copy, source, tmp_path) -> None:
    """The card knows the .xml only; the .xml knows its .bin."""
    content = bytearray(copy.with_suffix(".bin").read_bytes())
    content[100] ^= 1
    copy.with_suffix(".bin").write_bytes(content)
    with pytest.raises(WeightsError, match=r"m\.xml and m\.bin are not of one export"):
        load_embedder(copy)


@pytest.mark.parametrize("spoilt", ["missing", "cut weights", "cut xml", "text", "empty"])
def test_spoilt_files_are_refused_by_name(copy, spoilt) -> None:
    weights = copy.with_suffix(".bin")
    if spoilt == "missing":
        weights.unlink()
    elif spoilt == "cut weights":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif spoilt == "cut xml":
        copy.write_bytes(copy.read_bytes()[:1000])
    else:
        copy.write_text("hello" if spoilt == "text" else "")
    with pytest.raises(WeightsError, match=r"m\.xml"):
        load_embedder(copy, None)


def test_a_foreign_file_is_described_by_hand_or_by_a_card(tiny_onnx, tmp_path) -> None:
    """Read from an ONNX file of others, it embeds as that does."""
    onnx_file = tiny_onnx(tmp_path / "tiny.onnx")
    path = tmp_path / "foreign.xml"
    openvino.save_model(openvino.Core().read_model(onnx_file), path, compress_to_fp16=False)
    with pytest.raises(WeightsError, match="--size, --order, --mean and --std"):
        load_embedder(path)
    embedder = load_embedder(path, SMALL)
    wanted = load_embedder(onnx_file, SMALL).embed(faces(3))
    np.testing.assert_allclose(embedder.embed(faces(3)), wanted, rtol=1e-4, atol=1e-4)
    assert embedder.card is None
    from pocketface.cli.foreign import begin_card

    write_card(path, begin_card(path, embedder, None))
    assert load_embedder(path).card.architecture == "foreign"


def test_two_networks_of_others_have_two_fingerprints(tiny_onnx, tmp_path) -> None:
    """Equal layers, other weights: the `.xml` alone would not tell."""
    path = tmp_path / "foreign.xml"
    model = openvino.Core().read_model(tiny_onnx(tmp_path / "tiny.onnx"))
    openvino.save_model(model, path, compress_to_fp16=False)
    first = load_embedder(path, SMALL).fingerprint
    content = bytearray(path.with_suffix(".bin").read_bytes())
    content[100] ^= 1
    path.with_suffix(".bin").write_bytes(content)
    assert load_embedder(path, SMALL).fingerprint != first


def test_threads_must_be_positive(copy) -> None:
    with pytest.raises(RecipeError, match="at least 1, got 0"):
        load_embedder(copy, threads=0)


def test_pixels_without_a_description_are_refused(source, tmp_path) -> None:
    out = tmp_path / "m.xml"
    options = ExportOptions(input="uint8")
    export_network(
        source("iresnet"),
        out,
        generator=np.random.default_rng(0),
        target="openvino",
        options=options,
    )
    model = openvino.Core().read_model(out)
    bare = tmp_path / "bare.xml"
    for key in ("pocketface", "pocketface_weights_sha256"):
        model.set_rt_info("", [key])
    openvino.save_model(model, bare, compress_to_fp16=False)
    text = bare.read_text().replace("<pocketface value", "<other value")
    bare.write_text(text.replace("<pocketface_weights_sha256 value", "<another value"))
    with pytest.raises(WeightsError, match=r"takes uint8 \(any, 32, 32, 3\).*must take float32"):
        load_embedder(bare, SMALL)
