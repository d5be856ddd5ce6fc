import copy
import json
import logging
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from safetensors.torch import load_file, save_file

import pocketface
from pocketface.card import ModelCard, card_path, read_card, sha256_of, write_card
from pocketface.deploy import ExportOptions, export_network
from pocketface.embedding import load_embedder
from pocketface.errors import DataError, ExportError, RecipeError, WeightsError
from pocketface.models.weights import load_backbone

NETWORKS = ["small", "nano", "iresnet"]
MOBILE = ["mobilefacenet", "mobilefacenet_foamliu", "mobilenet_v1", "mobilenet_v2"]


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def copy_of(weights: Path, folder: Path) -> Path:
    """The weights and their card, in a folder of the test's own."""
    for path in (weights, card_path(weights)):
        shutil.copy(path, folder)
    return folder / weights.name


@pytest.mark.parametrize("name", [*NETWORKS, *MOBILE])
def test_the_file_computes_the_network_for_any_batch(source, exported, name) -> None:
    network, _ = load_backbone(source(name))
    session = onnxruntime.InferenceSession(exported(name).path, providers=["CPUExecutionProvider"])
    for batch in (1, 2, 9):
        shape = (batch, 3, network.image_size, network.image_size)
        images = np.random.default_rng(batch).normal(size=shape).astype(np.float32)
        with torch.no_grad():
            wanted = network(torch.from_numpy(images)).numpy()
        (found,) = session.run(None, {"images": images})
        assert found.dtype == np.float32
        assert found.shape == (batch, network.embedding_size)
        error = np.linalg.norm(found - wanted, axis=1) / np.linalg.norm(wanted, axis=1)
        assert error.max() < 1e-5


@pytest.mark.parametrize("name", NETWORKS)
def test_input_and_output_are_named_and_free_in_the_batch(source, exported, name) -> None:
    network, _ = load_backbone(source(name))
    session = onnxruntime.InferenceSession(exported(name).path, providers=["CPUExecutionProvider"])
    (given,), (taken,) = session.get_inputs(), session.get_outputs()
    size = network.image_size
    assert (given.name, given.type) == ("images", "tensor(float)")
    assert given.shape == ["batch", 3, size, size]
    assert (taken.name, taken.type) == ("embeddings", "tensor(float)")
    assert taken.shape == ["batch", network.embedding_size]


@pytest.mark.parametrize("name", NETWORKS)
def test_what_depends_on_weights_alone_is_a_constant(exported, name) -> None:
    graph = onnx.load(str(exported(name).path)).graph
    constants = {tensor.name for tensor in graph.initializer}
    left = [node.op_type for node in graph.node if set(node.input) <= constants]
    assert left == []
    kinds = {node.op_type for node in graph.node}
    assert not kinds & {"Mul", "Slice", "PRelu", "BatchNormalization"}


@pytest.mark.parametrize("name", NETWORKS)
def test_one_small_file_that_is_valid_and_tells_no_paths(source, exported, name) -> None:
    done = exported(name)
    assert {path.name for path in done.path.parent.iterdir()} == {"model.onnx", "model.json"}
    assert done.bytes == done.path.stat().st_size
    content = done.path.read_bytes()
    for trace in (b".py", b"preproc0", b"layer1", b"getitem", b"prelu_1"):
        assert trace not in content
    model = onnx.load(str(done.path))
    onnx.checker.check_model(model, full_check=True)
    assert not any(tensor.external_data for tensor in model.graph.initializer)
    weights = sum(numpy_helper.to_array(tensor).nbytes for tensor in model.graph.initializer)
    # A graph as torch writes it has almost 800 bytes for each node and tensor, beside the weights.
    entries = len(model.graph.node) + len(model.graph.initializer)
    assert done.bytes - weights < 60 * entries
    assert weights <= source(name).stat().st_size


def test_the_metadata_say_what_it_is(source, exported) -> None:
    done = exported("small")
    model = onnx.load(str(done.path))
    card = read_card(source("small"))
    (entry,) = model.metadata_props
    assert entry.key == "pocketface"
    assert json.loads(entry.value) == {
        "format": 1,
        "version": pocketface.__version__,
        "input": "float",
        "output": "raw",
        "card": card.model_dump(mode="json"),
    }
    assert card.sha256 == sha256_of(source("small"))
    assert card.thresholds
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 18)]
    assert model.ir_version == 8  # what operator set 18 needs, and no more


def test_the_card_is_the_sources_but_for_the_sha256(source, exported) -> None:
    done = exported("small")
    was, is_now = read_card(source("small")), read_card(done.path)
    assert is_now == done.card
    assert is_now.sha256 == sha256_of(done.path) != was.sha256
    assert is_now == was.model_copy(update={"sha256": is_now.sha256})
    assert is_now.thresholds


def test_the_commands_embedder_takes_it_at_once(source, exported) -> None:
    images = rng().integers(0, 256, (5, 40, 40, 3), dtype=np.uint8)
    before, after = load_embedder(source("small")), load_embedder(exported("small").path)
    np.testing.assert_allclose(after.embed(images), before.embed(images), rtol=1e-3, atol=1e-4)


def test_the_parity_is_of_these_two_networks(exported) -> None:
    parity = exported("small").parity
    assert parity.holds
    assert 0 < parity.relative < 1e-4
    assert parity.faces == 36


def test_it_is_quiet_and_leaves_torch_as_it_was(source, tmp_path, capfd) -> None:
    def state() -> list[object]:
        return [
            torch.get_rng_state().tolist(),
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
            torch.get_default_dtype(),
            torch.get_num_threads(),
            torch.are_deterministic_algorithms_enabled(),
            logging.getLogger("torch").level,
            copy.copy(warnings.filters),
        ]

    before = state()
    done = export_network(
        source("iresnet"), tmp_path / "m.onnx", generator=rng(), options=ExportOptions(opset=21)
    )
    assert state() == before
    assert capfd.readouterr() == ("", "")
    assert onnx.load(str(done.path)).opset_import[0].version == done.options.opset == 21


@pytest.mark.parametrize("opset", [17, 24, -1])
def test_other_opsets_are_refused(source, tmp_path, opset) -> None:
    with pytest.raises(RecipeError, match=f"opset must be 18 to 23, got {opset}"):
        export_network(
            source("iresnet"),
            tmp_path / "m.onnx",
            generator=rng(),
            options=ExportOptions(opset=opset),
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("weights", "out", "error", "message"),
    [
        ("other.onnx", "m.onnx", WeightsError, r"other\.onnx ends in '\.onnx'.*\.safetensors"),
        ("other.pth", "m.onnx", WeightsError, r"other\.pth ends in '\.pth'"),
        ("missing.safetensors", "m.onnx", WeightsError, r"no weights file .*missing"),
        ("bare.safetensors", "m.onnx", WeightsError, r"bare\.safetensors has no card bare\.json"),
        ("broken.safetensors", "m.onnx", WeightsError, "describes a file with sha256"),
        ("folder.safetensors", "m.onnx", WeightsError, "is a folder; give the .*last"),
        ("trained.safetensors", "m.pb", RecipeError, r"must end in \.onnx for .*, got .*m\.pb"),
        ("trained.safetensors", "m", RecipeError, r"must end in \.onnx"),
        ("trained.safetensors", "folder.onnx", RecipeError, r"folder\.onnx is a folder"),
        ("trained.safetensors", "bare.pth/m.onnx", DataError, r"m\.onnx cannot be written: .*file"),
        (
            "trained.safetensors",
            "old.onnx",
            RecipeError,
            r"old\.onnx and .*old\.json would be replaced.*--over",
        ),
        ("trained.safetensors", "lonely.onnx", RecipeError, r"lonely\.json would be replaced"),
        (
            "trained.safetensors",
            "trained.onnx",
            RecipeError,
            r"trained\.json is the card of .*trained\.safetensors.*trained_export\.onnx",
        ),
        ("trained.safetensors", "bare.onnx", RecipeError, r"bare\.json is the card of"),
    ],
)
def test_bad_input_is_refused_by_name_and_touches_nothing(
    source, tmp_path, monkeypatch, weights, out, error, message
) -> None:
    monkeypatch.setattr(
        "pocketface.deploy.onnx_export.trace_graph", lambda *_: pytest.fail("it was traced")
    )
    good = copy_of(source("iresnet"), tmp_path)
    for name in ("old.onnx", "old.json", "other.onnx", "other.pth", "lonely.json", "bare.pth"):
        (tmp_path / name).write_text("something of the user's")
    for name in ("bare", "broken"):
        shutil.copy(good, tmp_path / f"{name}.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(good.read_bytes()[:-1])
    shutil.copy(card_path(good), tmp_path / "broken.json")
    for name in ("folder.onnx", "folder.safetensors"):
        (tmp_path / name).mkdir()
    before = snapshot(tmp_path)
    with pytest.raises(error, match=message):
        export_network(tmp_path / weights, tmp_path / out, generator=rng())
    assert snapshot(tmp_path) == before


def test_another_weights_card_is_not_even_overwritten_when_asked(source, tmp_path) -> None:
    weights = copy_of(source("iresnet"), tmp_path)
    with pytest.raises(RecipeError, match="is the card of"):
        export_network(weights, weights.with_suffix(".onnx"), generator=rng(), overwrite=True)
    assert load_backbone(weights)


def test_overwrite_replaces_the_pair(source, instant, tmp_path) -> None:
    out = tmp_path / "m.onnx"
    out.write_text("old")
    card_path(out).write_text("old")
    done = export_network(source("iresnet"), out, generator=rng(), overwrite=True)
    assert read_card(out) == done.card


def test_a_folder_that_may_not_be_written_is_refused_first(source, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(DataError, match=r"m\.onnx cannot be written: .* not yours to write in"):
        export_network(source("iresnet"), tmp_path / "new" / "m.onnx", generator=rng())
    assert not list(tmp_path.iterdir())


def test_a_write_that_fails_leaves_nothing(source, instant, tmp_path, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pocketface.deploy.export.write_card", full)
    with pytest.raises(DataError, match=r"m\.onnx cannot be written: No space left"):
        export_network(source("iresnet"), tmp_path / "m.onnx", generator=rng())
    assert not list(tmp_path.iterdir())


def spoil(model: onnx.ModelProto, factor: float) -> None:
    """Multiply the largest weight tensor."""
    largest = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    changed = numpy_helper.to_array(largest) * np.float32(factor)
    largest.CopyFrom(numpy_helper.from_array(changed, largest.name))


@pytest.mark.parametrize("factor", [1.001, 0.0, -1.0])
def test_a_file_that_differs_is_refused_and_nothing_is_left(
    source, instant, tmp_path, factor
) -> None:
    spoil(instant, factor)
    with pytest.raises(ExportError, match=r"does not compute what .* Nothing was"):
        export_network(source("iresnet"), tmp_path / "new" / "m.onnx", generator=rng())
    assert not list(tmp_path.iterdir())


def test_a_file_that_differs_does_not_replace_an_older_one(source, instant, tmp_path) -> None:
    out = tmp_path / "m.onnx"
    export_network(source("iresnet"), out, generator=rng())
    before = snapshot(tmp_path)
    spoil(instant, 1.01)
    with pytest.raises(ExportError):
        export_network(source("iresnet"), out, generator=rng(), overwrite=True)
    assert snapshot(tmp_path) == before


def test_broken_weights_are_told_as_such(source, instant, tmp_path) -> None:
    weights = copy_of(source("iresnet"), tmp_path)
    state = load_file(weights)
    state["fc.weight"][0, 0] = float("nan")
    save_file(state, weights)
    card = ModelCard.model_validate_json(card_path(weights).read_text())
    write_card(weights, card.model_copy(update={"sha256": sha256_of(weights)}))
    with pytest.raises(WeightsError, match="not finite"):
        export_network(weights, tmp_path / "m.onnx", generator=rng())
    assert not list(tmp_path.glob("m.*"))


@pytest.mark.parametrize(
    ("missing", "target", "extra"),
    [
        ("onnx", "onnx", "train,export"),
        ("torch", "onnx", "train"),
        ("openvino", "openvino", "train,export,openvino"),
        ("ncnn", "ncnn", "train,export,ncnn"),
        ("pnnx", "ncnn", "train,export,ncnn"),
        ("executorch", "executorch", "train,executorch"),
    ],
)
def test_a_missing_exporter_names_the_extra(missing, target, extra) -> None:
    code = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from pocketface.deploy.targets import find_target\n"
        "from pocketface.errors import MissingExtraError\n"
        f"try:\n    find_target({target!r}).exporter()\n"
        "except MissingExtraError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f"pip install 'pocketface[{extra}]'" in done.stdout
