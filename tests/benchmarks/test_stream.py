import errno
import json
import os

import numpy as np
import pytest

from pocketface.benchmarks import stream
from pocketface.benchmarks.stream import embed_to_file
from pocketface.errors import DataError, WeightsError
from pocketface.preprocessing import Preprocessing

COUNT = 300


class SumEmbedder:
    """Eight sums of pixels, which depend on the whole image and on its mirroring."""

    embedding_size = 8
    preprocessing = Preprocessing(image_size=16)
    card = None

    def __init__(self, fingerprint="sums", scale=1.0):
        self.fingerprint = fingerprint
        self._weights = np.random.default_rng(0).random((16 * 16 * 3, 8)) * scale
        self.images = 0

    def embed(self, images):
        self.images += len(images)
        return (images.reshape(len(images), -1) @ self._weights).astype(np.float32)


def picture(i):
    return np.random.default_rng(i).integers(0, 256, (16, 16, 3), dtype=np.uint8)


def run(path, embedder=None, fetch=picture, *, count=COUNT, flip=True, images="a", **options):
    return embed_to_file(
        path,
        count,
        fetch,
        embedder or SumEmbedder(),
        flip=flip,
        plan={"images of": images},
        **options,
    )


def failing_at(stop, error):
    def fetch(i):
        if i >= stop:
            raise error
        return picture(i)

    return fetch


@pytest.mark.parametrize("flip", [True, False])
def test_rows_are_the_embeddings_in_order(tmp_path, flip):
    told = []
    found = run(tmp_path / "e.npy", flip=flip, progress=lambda *done: told.append(done))
    for i in (0, 1, 63, 64, 299):
        image = picture(i)[None]
        one = SumEmbedder().embed(image)
        wanted = one + SumEmbedder().embed(image[:, :, ::-1]) if flip else one
        np.testing.assert_allclose(found[i], wanted[0], rtol=1e-6)
    assert not found.flags.writeable
    assert found.dtype == np.float32
    assert told == [(64, 300), (128, 300), (192, 300), (256, 300), (300, 300)]
    np.testing.assert_array_equal(np.load(tmp_path / "e.npy"), found)


def test_a_stopped_run_goes_on_and_gives_the_same_bytes(tmp_path):
    whole = run(tmp_path / "whole.npy")
    path = tmp_path / "e.npy"
    with pytest.raises(KeyboardInterrupt):
        run(path, fetch=failing_at(200, KeyboardInterrupt()))
    assert not path.exists()
    assert json.loads((tmp_path / "e.npy.json").read_text())["finished"] == 192
    embedder, told = SumEmbedder(), []
    found = run(path, embedder, progress=lambda *done: told.append(done))
    assert embedder.images == 2 * (COUNT - 192)
    assert told[0] == (256, 300)
    np.testing.assert_array_equal(found, whole)
    assert path.read_bytes() == (tmp_path / "whole.npy").read_bytes()
    assert not path.with_name("e.npy.partial").exists()


def test_a_kill_loses_at_most_what_the_journal_does_not_hold(tmp_path, monkeypatch):
    """A kill leaves the journal of the last note: rows beyond it are computed again."""
    path = tmp_path / "e.npy"
    with pytest.raises(KeyboardInterrupt):
        run(path, fetch=failing_at(200, KeyboardInterrupt()))
    journal = tmp_path / "e.npy.json"
    content = json.loads(journal.read_text())
    journal.write_text(json.dumps({**content, "finished": 64}))
    with (tmp_path / "e.npy.partial").open("r+b") as handle:  # rows 64.. are not on the disk
        handle.truncate(128 + 64 * 32)
    np.testing.assert_array_equal(run(path), run(tmp_path / "whole.npy"))


@pytest.mark.parametrize("count", [256, 300])
def test_a_kill_just_before_the_file_gets_its_name(tmp_path, count):
    path = tmp_path / "e.npy"
    wanted = np.array(run(path, count=count))
    path.rename(tmp_path / "e.npy.partial")
    embedder = SumEmbedder()
    np.testing.assert_array_equal(run(path, embedder, count=count), wanted)
    assert embedder.images <= 2 * stream.BATCH
    assert path.is_file()


def test_a_whole_file_is_used_as_it_is(tmp_path):
    wanted = run(tmp_path / "e.npy")
    embedder, told = SumEmbedder(), []
    found = run(tmp_path / "e.npy", embedder, progress=lambda *done: told.append(done))
    np.testing.assert_array_equal(found, wanted)
    assert embedder.images == 0
    assert told == [(300, 300)]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"embedder": SumEmbedder("other")}, "network"),
        ({"images": "b"}, "images of"),
        ({"flip": False}, "flip"),
        ({"count": 299}, "images"),
        ({"dtype": "float16"}, "number type"),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_files_of_another_run_are_refused_and_kept(tmp_path, change, named, whole):
    path = tmp_path / "e.npy"
    if whole:
        run(path)
    else:
        with pytest.raises(KeyboardInterrupt):
            run(path, fetch=failing_at(100, KeyboardInterrupt()))
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(DataError, match=f"differs in {named}"):
        run(path, **change)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_full_disk_is_said_and_leaves_nothing_that_looks_whole(tmp_path, monkeypatch):
    path = tmp_path / "e.npy"
    real, full = stream._EmbeddingFile.write, True

    def write(self, handle, first, rows):
        if full and first >= 128:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(self, handle, first, rows)

    monkeypatch.setattr(stream._EmbeddingFile, "write", write)
    with pytest.raises(DataError, match="No space left on device"):
        run(path)
    assert not path.exists()
    full = False
    embedder = SumEmbedder()
    np.testing.assert_array_equal(run(path, embedder), run(tmp_path / "whole.npy"))
    assert embedder.images == 2 * (COUNT - 128)


def test_a_disk_that_is_too_small_is_known_before_the_work(tmp_path, monkeypatch):
    def fallocate(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", fallocate)
    embedder = SumEmbedder()
    with pytest.raises(DataError, match="No space left on device"):
        run(tmp_path / "e.npy", embedder)
    assert embedder.images == 0
    assert list(tmp_path.iterdir()) == []


def test_broken_files_are_refused(tmp_path):
    path = tmp_path / "e.npy"
    run(path)
    with path.open("r+b") as handle:
        handle.truncate(1000)
    with pytest.raises(DataError, match="has 1,000 bytes"):
        run(path)
    path.unlink()
    with pytest.raises(DataError, match="is shorter than the 300 rows"):
        run(path)
    (tmp_path / "e.npy.json").write_text("{}")
    with pytest.raises(DataError, match="not the journal"):
        run(path)
    (tmp_path / "e.npy.json").unlink()
    path.write_bytes(b"of somebody else")
    with pytest.raises(DataError, match="nobody knows"):
        run(path)
    assert path.read_bytes() == b"of somebody else"


def test_an_image_that_fails_is_named_and_the_rows_before_it_are_kept(tmp_path):
    path = tmp_path / "e.npy"
    with pytest.raises(DataError, match="face 70 is broken"):
        run(path, fetch=failing_at(70, DataError("face 70 is broken")))
    embedder = SumEmbedder()
    run(path, embedder)
    assert embedder.images == 2 * (COUNT - 64)


def test_float16_keeps_half_the_bytes_and_refuses_what_it_cannot_hold(tmp_path):
    found = run(tmp_path / "half.npy", SumEmbedder(scale=1e-3), dtype="float16")
    wanted = run(tmp_path / "e.npy", SumEmbedder(scale=1e-3))
    assert found.dtype == np.float16
    np.testing.assert_array_equal(found, wanted.astype(np.float16))
    with pytest.raises(WeightsError, match="beyond the range of float16"):
        run(tmp_path / "far.npy", dtype="float16")
