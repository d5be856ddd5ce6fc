import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from pocketface.cli.main import app
from pocketface.data import open_faces
from pocketface.embedding import archive
from pocketface.embedding.archive import write_archive
from pocketface.embedding.flat_folder import FlatFolder, open_images
from pocketface.embedding.flip import flip_sum
from pocketface.embedding.onnx_embedder import OnnxEmbedder
from pocketface.errors import DataError, RecipeError, StoppedError
from pocketface.preprocessing import Preprocessing

SMALL = Preprocessing(image_size=32)
DESCRIPTION = ["--size", "32", "--order", "rgb", "--mean", "0.5", "--std", "0.5"]


@pytest.fixture
def embedder(tmp_path, tiny_onnx):
    return OnnxEmbedder(tiny_onnx(tmp_path / "tiny.onnx"), SMALL, threads=1)


@pytest.fixture
def folder(tmp_path, coarse_people):
    return coarse_people(tmp_path / "faces", people=4, images=3)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(archive, "CHUNK", 5)


class Stopping:
    """An embedder that is interrupted when it has been called often enough."""

    def __init__(self, inner, calls):
        self.inner = inner
        self.calls = calls
        self.embedding_size = inner.embedding_size
        self.preprocessing = inner.preprocessing
        self.fingerprint = inner.fingerprint
        self.card = None

    def embed(self, images):
        if self.calls == 0:
            raise KeyboardInterrupt
        self.calls -= 1
        return self.inner.embed(images)


def read(path):
    with np.load(path, allow_pickle=False) as content:
        return dict(content)


@pytest.mark.parametrize("flip", [True, False])
def test_holds_names_people_and_raw_embeddings(tmp_path, folder, embedder, flip):
    faces, told = open_faces(folder), []
    out = tmp_path / "out" / "embeddings.npz"
    summary = write_archive(
        out, faces, embedder, flip=flip, progress=lambda *step: told.append(step)
    )
    found = read(out)
    assert sorted(found) == ["about", "embeddings", "labels", "names", "people"]
    assert found["names"].tolist() == [faces.name(i) for i in range(12)]
    assert found["people"].tolist() == list(faces.people)
    np.testing.assert_array_equal(found["labels"], faces.labels)
    images = np.stack([np.asarray(Image.open(folder / name)) for name in found["names"]])
    wanted = flip_sum(embedder, images) if flip else embedder.embed(images)
    np.testing.assert_allclose(found["embeddings"], wanted, rtol=1e-5, atol=1e-5)
    assert found["embeddings"].dtype == np.float32
    about = json.loads(str(found["about"]))
    assert about["model"] == embedder.fingerprint
    assert about["faces"] == faces.fingerprint()
    assert about["flip"] is flip
    assert (summary.embedded, summary.resumed, summary.skipped) == (12, 0, [])
    assert told == [(5, 12), (10, 12), (12, 12)]
    assert not out.with_name("embeddings.npz.partial").exists()


def test_an_interrupted_run_goes_on_to_the_same_file(tmp_path, folder, embedder):
    faces = open_faces(folder)
    whole, parts = tmp_path / "whole.npz", tmp_path / "parts.npz"
    write_archive(whole, faces, embedder, flip=True)
    with pytest.raises(KeyboardInterrupt):
        write_archive(parts, faces, Stopping(embedder, 3), flip=True)
    assert not parts.exists()
    assert len(list((tmp_path / "parts.npz.partial").glob("chunk_*.npz"))) == 1
    again = Stopping(embedder, 4)  # two chunks, each with its mirror images
    assert write_archive(parts, faces, again, flip=True).resumed == 5
    assert again.calls == 0
    assert whole.read_bytes()[-22:] == parts.read_bytes()[-22:]
    for name, array in read(whole).items():
        np.testing.assert_array_equal(array, read(parts)[name])


@pytest.mark.parametrize("change", ["flip", "model", "faces"])
def test_an_unfinished_run_of_another_kind_is_kept_and_refused(
    tmp_path, folder, embedder, tiny_onnx, change
):
    out = tmp_path / "out.npz"
    with pytest.raises(KeyboardInterrupt):
        write_archive(out, open_faces(folder), Stopping(embedder, 3), flip=True)
    before = sorted(path.name for path in (tmp_path / "out.npz.partial").iterdir())
    other = OnnxEmbedder(tiny_onnx(tmp_path / "other.onnx", bias=1.0), SMALL)
    if change == "faces":
        Image.new("RGB", (32, 32)).save(folder / "Person_00" / "Person_00_0001.png")
    with pytest.raises(DataError, match=rf"out\.npz\.partial.*differs in {change}"):
        write_archive(
            out,
            open_faces(folder),
            other if change == "model" else embedder,
            flip=change != "flip",
        )
    assert sorted(path.name for path in (tmp_path / "out.npz.partial").iterdir()) == before


def test_broken_images_are_left_out_and_named(tmp_path, folder, embedder):
    bad = folder / "Person_01" / "Person_01_0002.png"
    bad.write_bytes(bad.read_bytes()[:60])
    faces = open_faces(folder)
    out = tmp_path / "out.npz"
    with pytest.raises(KeyboardInterrupt):
        write_archive(out, faces, Stopping(embedder, 3), flip=True)
    summary = write_archive(out, faces, embedder, flip=True)
    assert [fault.name for fault in summary.skipped] == ["Person_01/Person_01_0002.png"]
    found = read(out)
    assert len(found["names"]) == len(found["embeddings"]) == len(found["labels"]) == 11
    assert "Person_01/Person_01_0002.png" not in found["names"]
    keep = [i for i in range(12) if faces.name(i) != "Person_01/Person_01_0002.png"]
    np.testing.assert_array_equal(found["labels"], faces.labels[keep])


def test_nothing_to_embed_is_an_error_and_leaves_no_file(tmp_path, embedder):
    flat = tmp_path / "flat"
    flat.mkdir()
    (flat / "a.jpg").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"none of the 1 images can be decoded, first a\.jpg"):
        write_archive(tmp_path / "out.npz", open_images(flat), embedder, flip=True)
    assert not (tmp_path / "out.npz").exists()


def test_a_flat_folder_has_names_and_no_people(tmp_path, embedder):
    flat = tmp_path / "flat"
    flat.mkdir()
    for number in (2, 1):
        Image.new("RGB", (32, 32), (number, 90, 30)).save(flat / f"{number}.png")
    (flat / "notes.txt").write_text("not an image")
    (flat / ".hidden.png").write_text("not an image")
    faces = open_images(flat)
    assert isinstance(faces, FlatFolder)
    write_archive(tmp_path / "out.npz", faces, embedder, flip=True)
    found = read(tmp_path / "out.npz")
    assert sorted(found) == ["about", "embeddings", "names"]
    assert found["names"].tolist() == ["1.png", "2.png"]
    first = faces.fingerprint()
    Image.new("RGB", (32, 32)).save(flat / "1.png")
    assert open_images(flat).fingerprint() != first


def test_a_folder_per_person_is_not_flat(folder):
    assert not isinstance(open_images(folder), FlatFolder)
    with pytest.raises(DataError, match="missing"):
        open_images(folder / "missing")


def test_the_command_writes_resumes_and_protects(tmp_path, folder, embedder, monkeypatch):
    out = tmp_path / "e.npz"

    def call(*more):
        arguments = ["embed", folder, "-w", tmp_path / "tiny.onnx", "-o", out, *DESCRIPTION, *more]
        return CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)

    (folder / "loose.jpg").write_bytes(b"not in a person's folder")
    with monkeypatch.context() as patched:

        def stop(*_, **__):
            raise KeyboardInterrupt

        patched.setattr(archive, "embed_faces", stop)
        with pytest.raises(StoppedError, match=r"e\.npz\.partial\. Run the same command to go on"):
            call()
    outcome = call()
    assert outcome.exit_code == 0
    assert "12 embeddings of 8 numbers" in outcome.stdout
    assert "left out: loose.jpg" in outcome.stderr
    before = out.read_bytes()
    with pytest.raises(RecipeError, match=r"e\.npz is there already"):
        call()
    assert out.read_bytes() == before
    assert call("--overwrite", "--no-flip").exit_code == 0
    assert out.read_bytes() != before


def test_the_command_wants_an_npz(tmp_path, folder):
    with pytest.raises(RecipeError, match=r"must end in \.npz"):
        CliRunner().invoke(
            app, ["embed", str(folder), "-w", "x.onnx", "-o", "x.npy"], catch_exceptions=False
        )
