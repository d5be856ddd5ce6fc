"""Runs that are stopped go on; broken files, networks and disks are named and leave no half."""

from math import nan

import numpy as np
import pytest
from plain_ijb import lines, run

from pocketface.benchmarks import stream
from pocketface.benchmarks.ijb import IjbBenchmark
from pocketface.errors import DataError, WeightsError


class Stopping:
    """A network that is stopped by Ctrl-C after some images."""

    def __init__(self, inner, after):
        self._inner, self._after = inner, after

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def embed(self, images):
        if self._inner.images >= self._after:
            raise KeyboardInterrupt
        return self._inner.embed(images)


def test_a_stopped_run_goes_on_and_gives_the_same_file(ijb_set, pattern_embedder, tmp_path):
    folder = ijb_set()
    whole = run(folder, pattern_embedder(), tmp_path / "whole", replicates=20)
    work = tmp_path / "work"
    with pytest.raises(KeyboardInterrupt):
        run(folder, Stopping(pattern_embedder(), 2 * 128), work)
    assert not (work / "embeddings.npy").exists()
    embedder, told = pattern_embedder(), []
    again = IjbBenchmark.load(folder).run(
        embedder, lambda *done: told.append(done), work=work, replicates=20
    )
    assert embedder.images == 2 * (269 - 128)
    assert told == [(192, 269), (256, 269), (269, 269)]
    assert (work / "embeddings.npy").read_bytes() == (
        tmp_path / "whole/embeddings.npy"
    ).read_bytes()
    same = {"embedding_seconds": 0.0}
    assert again.result.model_copy(update=same) == whole.result.model_copy(update=same)
    embedder = pattern_embedder()
    run(folder, embedder, work, keep_norm=False)  # other options, the same embeddings
    assert embedder.images == 0


def test_embeddings_outlive_a_corrected_list_of_pairs(ijb_set, pattern_embedder, tmp_path):
    folder = ijb_set()
    before = IjbBenchmark.load(folder)
    before.run(pattern_embedder(), work=tmp_path / "work", replicates=0)
    path = folder / "meta" / "ijbc_template_pair_label.txt"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    after, embedder = IjbBenchmark.load(folder), pattern_embedder()
    result = after.run(embedder, work=tmp_path / "work", replicates=0).result
    assert embedder.images == 0
    assert result.data != before.data  # and yet it is another set to compare on
    path = folder / "meta" / "ijbc_name_5pts_score.txt"
    name, x, rest = path.read_text().split(" ", 2)
    path.write_text(f"{name} {float(x) + 1} {rest}")
    with pytest.raises(DataError, match=r"embeddings of another run: it differs in faces"):
        run(folder, pattern_embedder(), tmp_path / "work")


def test_another_networks_embeddings_are_refused(ijb_set, pattern_embedder, tmp_path):
    folder = ijb_set()
    run(folder, pattern_embedder(), tmp_path / "work")
    with pytest.raises(DataError, match=r"another run: it differs in network.*Delete it"):
        run(folder, pattern_embedder("other"), tmp_path / "work")
    with pytest.raises(DataError, match="differs in flip"):
        run(folder, pattern_embedder(), tmp_path / "work", flip=False)


def test_a_truncated_file_of_embeddings_is_refused(ijb_set, pattern_embedder, tmp_path):
    folder, work = ijb_set(), tmp_path / "work"
    run(folder, pattern_embedder(), work)
    path = work / "embeddings.npy"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"embeddings\.npy has 25,951 bytes, where .* have 25,952"):
        run(folder, pattern_embedder(), work)


def test_a_full_disk_is_said_before_the_work_and_leaves_nothing(
    ijb_set, pattern_embedder, tmp_path, monkeypatch
):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(stream.os, "posix_fallocate", full)
    embedder = pattern_embedder()
    with pytest.raises(DataError, match="cannot be written: No space left on device"):
        run(ijb_set(), embedder, tmp_path / "work")
    assert embedder.images == 0
    assert list((tmp_path / "work").iterdir()) == []


class Broken:
    """A network that gives one number, or zeros, for every image that is not among the first."""

    def __init__(self, inner, value):
        self._inner, self._value, self._seen = inner, value, 0

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def embed(self, images):
        self._seen += len(images)
        rows = self._inner.embed(images)
        if self._seen > 150:
            rows[5] = self._value
        return rows


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (nan, r"embedding of image 133 \(from 0\) is not finite"),
        (np.inf, r"embedding of image 133 \(from 0\) is not finite"),
        (0.0, "embedding of {name} is zero or not finite"),
    ],
)
def test_features_without_direction_are_named_by_image(
    ijb_set, pattern_embedder, tmp_path, value, message
):
    folder, work = ijb_set(), tmp_path / "work"
    name = lines(folder / "meta" / "ijbc_face_tid_mid.txt")[133][0]
    with pytest.raises(WeightsError, match=message.format(name=name)):
        run(folder, Broken(pattern_embedder(), value), work, flip=False)
    # Numbers that are no numbers are not kept as if they were embeddings.
    assert (work / "embeddings.npy").exists() == (value == 0)


def test_images_are_named(ijb_set, pattern_embedder, tmp_path, drawn_sets):
    folder = ijb_set()
    crops = folder / "loose_crop"
    crops.unlink()
    crops.mkdir()
    for image in (drawn_sets / "IJBC" / "loose_crop").iterdir():
        (crops / image.name).symlink_to(image)
    names = [row[0] for row in lines(folder / "meta" / "ijbc_face_tid_mid.txt")]
    broken = crops / names[70]
    content = broken.read_bytes()
    broken.unlink()
    broken.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=names[70]):
        run(folder, pattern_embedder(), tmp_path / "work")
    assert not (tmp_path / "work" / "embeddings.npy").exists()
    for gone in names[100:103]:
        (crops / gone).unlink()
    with pytest.raises(
        DataError, match=rf"3 of 269 images are missing, first {names[100]}.*change every figure"
    ):
        IjbBenchmark.load(folder)
