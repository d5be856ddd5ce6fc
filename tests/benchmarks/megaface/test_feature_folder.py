"""Folders of features: written, read into one file, and nothing half-made taken for whole."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from pocketface.benchmarks.megaface import feature_folder
from pocketface.benchmarks.megaface.feature_file import encode_feature, read_feature
from pocketface.benchmarks.megaface.feature_folder import (
    check_new_folder,
    find_algorithm,
    read_features,
    write_features,
)
from pocketface.errors import DataError, RecipeError

PATHS = [f"a{i % 3}/b{i % 2}/{i}_0.jpg" for i in range(10)]


def drawn(dtype=np.float32):
    return np.random.default_rng(0).standard_normal((10, 4)).astype(dtype)


@pytest.fixture
def written(tmp_path):
    write_features(tmp_path / "features", [("megaface", PATHS, drawn())], "net")
    return tmp_path / "features" / "megaface"


def full_disk(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_files_lie_where_the_devkit_looks_for_them(written):
    files = {p.relative_to(written).as_posix() for p in written.rglob("*") if p.is_file()}
    assert files == {f"{path}_net.bin" for path in PATHS}
    for path, row in zip(PATHS, drawn(), strict=True):
        np.testing.assert_array_equal(read_feature(written / f"{path}_net.bin"), row)
    assert not (written.parent.parent / "features.partial").exists()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("at_once", [1, 3, 10, 1024])
def test_what_is_written_is_read_in_the_order_that_is_asked(tmp_path, monkeypatch, dtype, at_once):
    monkeypatch.setattr(feature_folder, "_AT_ONCE", at_once)
    write_features(tmp_path / "f", [("x", PATHS, drawn(dtype))], "net")
    order, told = [7, 2, 9, 0], []
    found = read_features(
        tmp_path / "f" / "x",
        [PATHS[row] for row in order],
        "net",
        tmp_path / "work" / "x.features",
        lambda *done: told.append(done),
    )
    assert found.rows.dtype == dtype
    assert isinstance(found.rows, np.memmap)
    np.testing.assert_array_equal(found.rows, drawn(dtype)[order])
    np.testing.assert_array_equal(found.last, drawn(dtype)[order][:, -1])
    assert told[-1] == (4, 4)
    assert not found.says_noise()


def test_a_column_of_0_and_100_says_what_is_noise(tmp_path):
    rows = np.column_stack([drawn(), np.zeros(10, np.float32)])
    rows[[3, 8], -1] = 100

    def read(rows, name):
        write_features(tmp_path / name, [("x", PATHS, rows)], "net")
        return read_features(tmp_path / name / "x", PATHS, "net", tmp_path / f"{name}.features")

    found = read(rows, "clean")
    assert found.says_noise()
    assert found.marks_noise()
    assert np.flatnonzero(found.noisy()).tolist() == [3, 8]
    rows[[3, 8], -1] = 0
    found = read(rows, "dead")  # a number that the network leaves at zero
    assert found.says_noise()
    assert not found.marks_noise()
    rows[3, -1] = 99
    assert not read(rows, "other").says_noise()


def test_the_algorithm_is_what_follows_the_images_name(written):
    assert find_algorithm(written, PATHS) == "net"
    assert find_algorithm(written, ["gone/1.jpg", *PATHS]) == "net"
    (written / f"{PATHS[0]}_my_net_2.bin").write_bytes(encode_feature(drawn()[0]))
    with pytest.raises(RecipeError, match=r"several algorithms: my_net_2, net\..*--algorithm"):
        find_algorithm(written, PATHS)
    with pytest.raises(DataError, match=r"no feature of any listed image.*gone/1\.jpg_<algorithm>"):
        find_algorithm(written, ["gone/1.jpg"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (encode_feature(drawn()[0])[:-3], "cut short"),
        (encode_feature(drawn()[0, :3]), "has 3 values of type float32, the first feature 4"),
        (encode_feature(drawn(np.float64)[0]), "4 values of type float64, the first feature 4 of"),
        (encode_feature(np.full(4, np.nan, np.float32)), "4 of 4 values are not finite"),
        (encode_feature(np.zeros(4, np.float32)), "all 4 values are zero.*counts as missing"),
    ],
)
def test_a_broken_file_is_named_and_leaves_nothing_as_if_whole(written, tmp_path, content, message):
    (written / f"{PATHS[6]}_net.bin").write_bytes(content)
    target = tmp_path / "work" / "x.features"
    with pytest.raises(DataError, match=rf"6_0\.jpg_net\.bin:? .*{message}"):
        read_features(written, PATHS, "net", target)
    assert list(target.parent.iterdir()) == []
    (written / f"{PATHS[6]}_net.bin").unlink()
    with pytest.raises(DataError, match=r"6_0\.jpg_net\.bin cannot be read"):
        read_features(written, PATHS, "net", target)


def test_a_full_disk_leaves_an_older_file_as_it_was(written, tmp_path, monkeypatch):
    target = tmp_path / "x.features"
    read_features(written, PATHS, "net", target)
    before = target.read_bytes()
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(DataError, match=r"x\.features cannot be written: No space left on device"):
        read_features(written, PATHS, "net", target)
    assert target.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["features", "x.features"]


def test_a_full_disk_leaves_no_folder_that_looks_whole(tmp_path, monkeypatch):
    write, done = Path.write_bytes, []

    def filling(self, content):
        if len(done) == 6:
            full_disk()
        done.append(self)
        return write(self, content)

    monkeypatch.setattr(Path, "write_bytes", filling)
    target = tmp_path / "features"
    with pytest.raises(DataError, match=r"features\.partial cannot be written: No space.*Delete"):
        write_features(target, [("x", PATHS, drawn())], "net")
    assert not target.exists()
    assert (tmp_path / "features.partial").is_dir()
    monkeypatch.undo()
    with pytest.raises(DataError, match=r"features\.partial is left of a run that was stopped"):
        check_new_folder(target)
    with pytest.raises(DataError, match=r"features\.partial is left of a run that was stopped"):
        write_features(target, [("x", PATHS, drawn())], "other")


def test_a_folder_that_is_there_is_not_written_over(written):
    with pytest.raises(DataError, match="features is there already"):
        write_features(written.parent, [("megaface", PATHS, drawn())], "net")
