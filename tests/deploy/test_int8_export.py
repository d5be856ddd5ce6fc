"""Files in 8 bits: what they say, what they lose, and what is refused."""

import json

import numpy as np
import onnx
import pytest
from PIL import Image
from typer.testing import CliRunner

from pocketface.card import read_card
from pocketface.cli.main import app
from pocketface.deploy import ExportOptions
from pocketface.deploy.int8.export import export_int8
from pocketface.deploy.int8.faces import read_calibration_faces
from pocketface.deploy.int8.quantise import Int8Options
from pocketface.embedding import load_embedder
from pocketface.errors import DataError, ExportError, RecipeError

NAME = "mobilefacenet_foamliu"


def run(*arguments: object):
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """A folder of twelve faces of three people."""
    root = tmp_path_factory.mktemp("faces")
    generator = np.random.default_rng(0)
    for index in range(12):
        coarse = Image.fromarray(generator.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        path = root / f"person{index % 3}" / f"{index}.png"
        path.parent.mkdir(exist_ok=True)
        coarse.resize((40, 40), Image.Resampling.BICUBIC).save(path)
    return root


@pytest.fixture(scope="module")
def written(source, faces, tmp_path_factory):
    out = tmp_path_factory.mktemp("int8") / "m.onnx"
    done = run("export", source(NAME), out, "--int8", "--calibrate", faces, "--json")
    assert done.exit_code == 0, done.output
    return out, json.loads(done.stdout)


def test_it_says_what_it_wrote_and_lost(written, source, faces) -> None:
    out, answer = written
    lost = answer["quantisation"]
    assert answer["bytes"] == out.stat().st_size
    assert lost["calibrated_on"] == f"8 images of {faces.name}"
    assert lost["held_out"] == 4
    assert 0.98 <= lost["mean_cosine"] < 1
    assert lost["least_cosine"] <= lost["mean_cosine"]
    card = read_card(out)
    assert card.quantisation.model_dump() == lost
    assert card.thresholds == read_card(source(NAME)).thresholds
    inside = json.loads(onnx.load(str(out)).metadata_props[0].value)["card"]
    assert inside["quantisation"] == lost


def test_its_loss_is_that_of_the_file(written, source, faces) -> None:
    out, answer = written
    held = read_calibration_faces(str(faces), 32, np.random.default_rng(0)).held_out
    one, other = (load_embedder(path).embed(held).astype(float) for path in (source(NAME), out))
    cosines = [
        sum(a * b for a, b in zip(x, y, strict=True))
        / sum(a * a for a in x) ** 0.5
        / sum(b * b for b in y) ** 0.5
        for x, y in zip(one.tolist(), other.tolist(), strict=True)
    ]
    assert answer["quantisation"]["mean_cosine"] == pytest.approx(np.mean(cosines), abs=1e-6)
    assert answer["quantisation"]["least_cosine"] == pytest.approx(min(cosines), abs=1e-6)


def test_the_same_command_writes_the_same_bytes(written, source, faces, tmp_path) -> None:
    out, _ = written
    again = export_int8(
        source(NAME),
        tmp_path / "again.onnx",
        generator=np.random.default_rng(0),
        int8=Int8Options(str(faces)),
    )
    assert again.path.read_bytes() == out.read_bytes()


def test_pixels_in_and_unit_length_out(written, source, faces, tmp_path) -> None:
    out, _ = written
    done = export_int8(
        source(NAME),
        tmp_path / "pixels.onnx",
        generator=np.random.default_rng(0),
        int8=Int8Options(str(faces)),
        options=ExportOptions(input="uint8", output="unit", batch=2),
    )
    images = np.random.default_rng(1).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    found, wanted = (load_embedder(path).embed(images) for path in (done.path, out))
    cosine = (
        (found * wanted).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(wanted, axis=1)
    )
    assert cosine.min() > 0.99


def test_8_bits_begin_where_they_are_asked_to(written, source, faces, tmp_path) -> None:
    assert written[1]["quantisation"]["begins_with"] == ""
    arguments = ["export", source(NAME), tmp_path / "m.onnx", "--int8", "--calibrate", faces]
    done = run(*arguments, "--int8-from", "features.3", "--json")
    assert done.exit_code == 0, done.output
    lost = json.loads(done.stdout)["quantisation"]
    assert lost["begins_with"].startswith("features.3")
    assert lost["float_layers"] == []
    text = run(*arguments, "--int8-from", "features.3", "--overwrite").stdout
    assert f"In float: all before {lost['begins_with']}" in text


def test_a_file_that_loses_much_is_refused(source, faces, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("pocketface.deploy.int8.export.LEAST_COSINE", 1.0)
    out = tmp_path / "m.onnx"
    with pytest.raises(ExportError, match=r"mean cosine similarity .* Nothing was written"):
        export_int8(
            source(NAME),
            out,
            generator=np.random.default_rng(0),
            int8=Int8Options(str(faces)),
        )
    assert not out.exists()
    text = run("export", source(NAME), out, "--int8", "--calibrate", faces, "--allow-loss").stdout
    assert text.startswith(f"{out}: {out.stat().st_size / 1e6:.2f} MB in 8 bits")
    assert "Cosine to trained.safetensors on 4 other faces: " in text
    assert "its thresholds are the float network's" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--calibrate", "synthetic"], "add --int8"),
        (["--allow-loss"], "add --int8"),
        (["--int8-from", "start"], "add --int8"),
        (["--int8", "--calibrate", "synthetic:8", "--int8-from", "cells.4"], "is no module"),
        (["--int8", "--target", "openvino"], "writes ONNX files"),
        (["--int8", "--fine-tune", "-1"], "at least 0 steps"),
        (["--int8", "--calibrate", "synthetic:few"], "names no number of faces"),
        (["--int8", "--calibrate", "synthetic:3"], "at least 8"),
    ],
)
def test_options_that_make_no_sense(source, tmp_path, words, message) -> None:
    done = run("export", source(NAME), tmp_path / "m.onnx", *words)
    assert isinstance(done.exception, RecipeError)
    assert message in str(done.exception)


def test_faces_that_are_too_few_or_not_there(faces, tmp_path) -> None:
    generator = np.random.default_rng(0)
    with pytest.raises(DataError, match="no such file"):
        read_calibration_faces(str(tmp_path / "none"), 32, generator)
    one = tmp_path / "few" / "a"
    one.mkdir(parents=True)
    (one / "1.png").write_bytes((faces / "person0" / "0.png").read_bytes())
    with pytest.raises(DataError, match="has 1 images; ranges need at least 8"):
        read_calibration_faces(str(tmp_path / "few"), 32, generator)


def test_drawn_faces_are_other_people_than_those_held_out() -> None:
    found = read_calibration_faces("synthetic:8", 32, np.random.default_rng(0))
    assert found.seen.shape == (8, 32, 32, 3)
    assert found.source == "8 synthetic people"
    everything = np.concatenate([found.seen, found.held_out])
    assert len({face.tobytes() for face in everything}) == len(everything)
