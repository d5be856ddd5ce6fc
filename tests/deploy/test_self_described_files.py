"""Exported files without their card, with another, and spoilt."""

import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

from pocketface.card import ModelCard, card_path, read_card, sha256_of, write_card
from pocketface.cli.main import app
from pocketface.deploy import ExportOptions, export_network
from pocketface.embedding import load_embedder
from pocketface.embedding.compare import compare_files
from pocketface.errors import WeightsError
from pocketface.preprocessing import Preprocessing


@pytest.fixture
def alone(exported, tmp_path) -> Path:
    """An exported file with no card beside it."""
    return Path(shutil.copy(exported("iresnet").path, tmp_path / "alone.onnx"))


@pytest.fixture(scope="module")
def unit_file(source, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("unit") / "unit.onnx"
    options = ExportOptions(input="uint8", output="unit")
    export_network(source("iresnet"), out, generator=np.random.default_rng(0), options=options)
    return out


def change(path: Path, **fields: object) -> None:
    """Rewrite entries of what the file says of itself."""
    model = onnx.load(str(path))
    (entry,) = model.metadata_props
    entry.value = json.dumps({**json.loads(entry.value), **fields})
    onnx.save(model, str(path))


def test_a_file_without_a_card_says_all_of_it(alone, source) -> None:
    card = load_embedder(alone).card
    wanted = read_card(source("iresnet"))
    assert card == wanted.model_copy(update={"sha256": sha256_of(alone)})
    assert card.thresholds
    assert card.licence == "CC0"
    assert card.notes == "a test"
    assert card.preprocessing.channel_order == "bgr"


def test_a_card_beside_it_goes_first(alone) -> None:
    card = load_embedder(alone).card
    other = card.thresholds[0].model_copy(update={"similarity": 0.75})
    write_card(alone, card.model_copy(update={"thresholds": [other], "notes": "measured again"}))
    found = load_embedder(alone).card
    assert found.thresholds == [other]
    assert found.notes == "measured again"


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"preprocessing": Preprocessing(image_size=32, mean=(0.4, 0.5, 0.7))}, "preprocessing"),
        ({"embedding_size": 128}, "embedding_size"),
        ({"architecture": "iresnet_34"}, "architecture"),
        ({"options": {"width": 1}}, "options"),
    ],
)
def test_a_card_of_another_network_is_refused(alone, fields, name) -> None:
    card = load_embedder(alone).card
    write_card(alone, card.model_copy(update=fields))
    with pytest.raises(
        WeightsError, match=rf"alone\.json contradicts alone\.onnx itself: it says {name} "
    ):
        load_embedder(alone)


def test_options_are_refused_where_the_file_says_them(alone) -> None:
    with pytest.raises(WeightsError, match=r"alone\.onnx says its own preprocessing"):
        load_embedder(alone, Preprocessing(image_size=32))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"format": 2}, "format: .*newer PocketFace. Export the network again"),
        ({"input": "int8"}, "input: "),
        ({"card": {}}, r"card\.architecture: "),
        ({"more": 1}, "more: "),
    ],
)
def test_what_cannot_be_understood_is_told(alone, fields, message) -> None:
    change(alone, **fields)
    with pytest.raises(WeightsError, match=rf"describes itself in a way .*: {message}"):
        load_embedder(alone)


def test_an_entry_that_is_no_json_is_told(alone) -> None:
    model = onnx.load(str(alone))
    model.metadata_props[0].value = "{"
    onnx.save(model, str(alone))
    with pytest.raises(WeightsError, match=r"alone\.onnx describes itself in a way"):
        load_embedder(alone)


def test_a_file_of_others_still_needs_a_description(tiny_onnx, tmp_path) -> None:
    with pytest.raises(WeightsError, match="--size, --order, --mean and --std"):
        load_embedder(tiny_onnx(tmp_path / "m.onnx"))


def test_pixels_are_taken_only_where_the_file_says_so(unit_file, tmp_path) -> None:
    """A foreign file of pixels may hold any preprocessing, or none."""
    path = Path(shutil.copy(unit_file, tmp_path / "m.onnx"))
    model = onnx.load(str(path))
    del model.metadata_props[:]
    onnx.save(model, str(path))
    with pytest.raises(WeightsError, match=r"takes uint8 \(any, 32, 32, 3\).*must take float32"):
        load_embedder(path, Preprocessing(image_size=32))


def test_thresholds_on_flip_sums_hold_for_files_of_unit_length(
    unit_file, source, coarse_people, tmp_path
) -> None:
    """Of unit vectors the sum over image and mirror points elsewhere: lengths are put back."""
    folder = coarse_people(tmp_path / "people", people=6, images=2)
    faces = sorted(folder.rglob("*.png"))
    before, after = load_embedder(source("iresnet")), load_embedder(unit_file)
    pairs = list(itertools.pairwise(faces))
    wanted = [compare_files(before, a, b, flip=True) for a, b in pairs]
    found = [compare_files(after, a, b, flip=True) for a, b in pairs]
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert after.card.thresholds[0].flip
    # The figure that would come of the unit vectors themselves is another.
    assert max(abs(_of_units(after, a, b) - w) for (a, b), w in zip(pairs, wanted, strict=True)) > (
        1e-4
    )


def _of_units(embedder, first: Path, second: Path) -> float:
    from pocketface.embedding.compare import read_image

    sums = []
    for path in (first, second):
        face = read_image(path)
        both = embedder.embed(np.stack([face, face[:, ::-1]]))
        sums.append((both / np.linalg.norm(both, axis=1, keepdims=True)).sum(axis=0))
    a, b = sums
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_a_unit_file_without_its_lengths_is_refused(unit_file, tmp_path) -> None:
    path = Path(shutil.copy(unit_file, tmp_path / "m.onnx"))
    model = onnx.load(str(path))
    del model.graph.output[1]
    onnx.save(model, str(path))
    with pytest.raises(WeightsError, match=r"unit length and their lengths, but has one output"):
        load_embedder(path)


def test_lengths_beyond_float32_are_told_and_not_warned_of(unit_file, tmp_path) -> None:
    path = Path(shutil.copy(unit_file, tmp_path / "m.onnx"))
    model = onnx.load(str(path))
    largest = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    weight = onnx.numpy_helper.to_array(largest) * np.float32(1e30)
    largest.CopyFrom(onnx.numpy_helper.from_array(weight, largest.name))
    onnx.save(model, str(path))
    images = np.full((2, 32, 32, 3), 200, np.uint8)
    with pytest.raises(WeightsError, match="not finite"):
        load_embedder(path).embed(images)


def test_commands_work_on_the_file_alone(alone, unit_file, coarse_people, tmp_path) -> None:
    folder = coarse_people(tmp_path / "people", people=3, images=3)
    a, b = map(str, sorted(folder.rglob("*.png"))[:2])
    told = []
    for weights in (alone, Path(shutil.copy(unit_file, tmp_path / "unit.onnx"))):
        outcome = CliRunner().invoke(
            app, ["verify", a, b, "--weights", str(weights), "--json"], catch_exceptions=False
        )
        told.append(json.loads(outcome.stdout))
        assert outcome.exit_code == (0 if told[-1]["same"] else 1)
        assert told[-1]["threshold"]["similarity"] == 0.25
    assert told[0]["similarity"] == pytest.approx(told[1]["similarity"], abs=1e-5)


def test_calibrating_the_file_alone_begins_a_card_beside_it(alone, coarse_people, tmp_path) -> None:
    folder = coarse_people(tmp_path / "people", people=6, images=4)
    words = ["calibrate", str(alone), "--people", str(folder), "--far", "0.1"]
    outcome = CliRunner().invoke(app, words, catch_exceptions=False)
    assert outcome.exit_code == 0
    assert card_path(alone).is_file()
    card = load_embedder(alone).card
    assert isinstance(card, ModelCard)
    assert card.calibration is not None
    assert [entry.far for entry in card.thresholds if entry.calibrated] == [0.1]


def test_the_preprocessing_of_a_file_of_pixels_cannot_be_tried(unit_file) -> None:
    from pocketface.errors import RecipeError

    with pytest.raises(RecipeError, match=r"takes pixels and holds its preprocessing"):
        load_embedder(unit_file).with_preprocessing(Preprocessing(image_size=32))
