"""What can be profiled, and what cannot."""

import shutil

import numpy as np
import pytest

import pocketface
from pocketface.card import card_path, read_card
from pocketface.embedding import load_embedder
from pocketface.embedding.self_description import SelfDescription
from pocketface.errors import PocketFaceError, RecipeError, WeightsError
from pocketface.models.cost import measure_cost
from pocketface.models.weights import load_backbone
from pocketface.profile.machine import describe_machine
from pocketface.profile.open_subject import open_subjects


def opened(folder, *given, size=None):
    folder.mkdir(exist_ok=True)
    return open_subjects([str(each) for each in given], folder, np.random.default_rng(0), size)


def exported(weights, folder, **options):
    from pocketface.deploy.onnx_export import build_bytes
    from pocketface.deploy.options import ExportOptions

    backbone, card = load_backbone(weights)
    wanted = ExportOptions(**options)
    description = SelfDescription(
        version=pocketface.__version__, card=card, input=wanted.input, output=wanted.output
    )
    path = folder / "exported.onnx"
    path.write_bytes(build_bytes(backbone, description, wanted))
    return path


def test_a_name_becomes_files_with_drawn_weights(tmp_path) -> None:
    (subject,) = opened(tmp_path / "w", "pocketnet_nano")
    network, _ = load_backbone(subject.weights)
    assert subject.cost == measure_cost(network)
    assert (subject.parameters, subject.image_size, subject.embedding_size) == (261_536, 64, 128)
    assert subject.fingerprints == frozenset()
    slopes = {float(s) for n, p in network.named_parameters() if n.endswith("0.weight")
              for s in p.detach().flatten()[:4]}  # fmt: skip
    assert len(slopes) > 40
    (small,) = opened(tmp_path / "s", "pocketnet_nano", size=32)
    assert small.image_size == 32
    assert small.cost.macs < subject.cost.macs


def test_jobs_fit_the_runtime(small_weights, tmp_path) -> None:
    (subject,) = opened(tmp_path / "w", small_weights)
    torch_job = subject.job("torch", 2, 3)
    assert (torch_job.file, torch_job.shape, torch_job.threads) == (
        small_weights,
        (3, 3, 32, 32),
        2,
    )
    assert subject.job("openvino", 1, 3).file == subject.file


def test_weights_are_known_by_their_reports_and_those_of_their_export(
    small_weights, tmp_path
) -> None:
    (subject,) = opened(tmp_path / "w", small_weights)
    assert load_embedder(small_weights).fingerprint in subject.fingerprints
    path = exported(small_weights, tmp_path)
    assert load_embedder(path).fingerprint in subject.fingerprints
    assert path.stat().st_size == subject.file.stat().st_size


def test_our_exported_file_knows_its_network_and_its_source(small_weights, tmp_path) -> None:
    path = exported(small_weights, tmp_path)
    source, file = opened(tmp_path / "w", small_weights, path)
    assert file.cost == source.cost
    assert file.architecture == "pocketnet_nano"
    assert dict(file.options) == dict(source.options)
    assert load_embedder(small_weights).fingerprint in file.fingerprints
    assert load_embedder(path).fingerprint in file.fingerprints
    assert file.job("torch", 1, 1) is None


def test_a_file_that_takes_pixels_gets_pixels(small_weights, tmp_path) -> None:
    path = exported(small_weights, tmp_path, input="uint8", output="unit", batch=2)
    (file,) = opened(tmp_path / "w", path)
    assert (file.pixels, file.batch) == (True, 2)
    job = file.job("onnxruntime", 1, 2)
    assert (job.shape, job.dtype) == ((2, 32, 32, 3), "uint8")
    assert file.job("onnxruntime", 1, 1) is None


def test_a_foreign_file_needs_nothing_but_a_size(tiny_onnx, tmp_path) -> None:
    fixed = tiny_onnx(tmp_path / "fixed.onnx", batch=4)
    free = tiny_onnx(tmp_path / "free.onnx", free_sides=True)
    subject, other = opened(tmp_path / "w", fixed, free, size=32)
    assert (subject.batch, subject.image_size, subject.embedding_size) == (4, 32, 8)
    assert (subject.architecture, subject.cost, subject.fingerprints) == (
        "foreign", None, frozenset(),
    )  # fmt: skip
    assert other.image_size == 32
    with pytest.raises(RecipeError, match="images of any size: say one with --size"):
        opened(tmp_path / "v", free)


def test_equal_file_names_are_told_apart(small_weights, tmp_path) -> None:
    other = tmp_path / "other" / "small.safetensors"
    other.parent.mkdir()
    shutil.copy(small_weights, other)
    shutil.copy(card_path(small_weights), card_path(other))
    subjects = opened(tmp_path / "w", small_weights, other)
    assert [subject.name for subject in subjects] == [str(small_weights), str(other)]


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ("pocketnet_s_182", RecipeError, "Did you mean 'pocketnet_s_128'"),
        ("absent.onnx", WeightsError, "absent.onnx is not there"),
        ("folder.onnx", WeightsError, "folder.onnx is a folder"),
        ("a.pth", RecipeError, "a.pth cannot be profiled.*pocketface export"),
        ("somewhere/else", RecipeError, "cannot be profiled"),
        ("text.onnx", WeightsError, "text.onnx is not an ONNX network"),
        ("map.onnx", WeightsError, r"output of shape .*embeddings \(N, D\) were due"),
        ("channels.onnx", WeightsError, "channels must come second"),
        ("two inputs.onnx", WeightsError, "must have one input"),
        ("bare.safetensors", WeightsError, "has no card"),
    ],
)
def test_what_cannot_be_profiled_says_why(
    given, error, message, tiny_onnx, small_weights, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.onnx").mkdir()
    (tmp_path / "a.pth").write_bytes(b"x")
    (tmp_path / "text.onnx").write_text("no network", encoding="utf-8")
    tiny_onnx(tmp_path / "map.onnx", kind="map")
    tiny_onnx(tmp_path / "channels.onnx", channels=4)
    tiny_onnx(tmp_path / "two inputs.onnx", kind="two inputs")
    shutil.copy(small_weights, tmp_path / "bare.safetensors")
    assert issubclass(error, PocketFaceError)
    with pytest.raises(error, match=message):
        opened(tmp_path / "w", given)


def test_each_network_is_given_once(tmp_path) -> None:
    with pytest.raises(RecipeError, match="pocketnet_nano is given twice"):
        opened(tmp_path / "w", "pocketnet_nano", "pocketnet_nano")


def test_a_card_of_another_file_is_refused(tiny_onnx, small_weights, tmp_path) -> None:
    path = tiny_onnx(tmp_path / "m.onnx")
    card = read_card(small_weights)
    card_path(path).write_text(card.model_dump_json(), encoding="utf-8")
    with pytest.raises(WeightsError, match="describes a file with sha256"):
        opened(tmp_path / "w", path)


def test_the_machine_is_described() -> None:
    machine = describe_machine()
    assert machine.cores >= 1
    assert machine.processor
    assert str(machine).startswith(machine.processor)
    assert machine == describe_machine()
