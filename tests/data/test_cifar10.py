"""CIFAR-10's binary version: a small one that was made up, and what is wrong with others."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from pocketface.cli.main import app
from pocketface.data import decode_rgb, open_faces
from pocketface.data.cifar10 import RECORD, read_cifar10, write_cifar10
from pocketface.errors import DataError, RecipeError
from pocketface.train.loader import FaceImages

NAMES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files of 7 and 5 records; label k's images have red 10 k + column, and so on."""
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    (folder / "batches.meta.txt").write_text("\n".join(NAMES) + "\n\n")
    (folder / "data_batch_1.bin").write_bytes(b"".join(map(record, [3, 1, 9, 3, 0, 1, 3])))
    (folder / "data_batch_4.bin").write_bytes(b"".join(map(record, [5, 5, 0, 9, 3])))
    return folder


def pixel(label: int, row: int, column: int) -> tuple[int, int, int]:
    return 10 * label + column, 10 * label + row, row + column


def record(label: int) -> bytes:
    """One record, byte by byte."""
    data = [label]
    for channel in range(3):
        for row in range(32):
            data += [pixel(label, row, column)[channel] for column in range(32)]
    return bytes(data)


def test_records_become_images(folder: Path) -> None:
    cifar = read_cifar10(folder)
    assert cifar.names == NAMES
    assert cifar.labels.tolist() == [3, 1, 9, 3, 0, 1, 3, 5, 5, 0, 9, 3]
    assert cifar.images.dtype == np.uint8
    for image, label in zip(cifar.images, cifar.labels.tolist(), strict=True):
        assert image.shape == (32, 32, 3)
        for row, column in ((0, 0), (31, 0), (0, 31), (7, 20)):
            assert tuple(image[row, column].tolist()) == pixel(label, row, column)


@pytest.mark.parametrize("layout", ["rec", "folder"])
def test_the_command_makes_a_training_set(
    folder: Path, tmp_path: Path, layout: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "set"
    words = ["data", "cifar10", str(folder), str(out), "--layout", layout]
    app(words, standalone_mode=False)
    said = capsys.readouterr().out
    assert f"{out}: 5 classes, 12 images of 32x32" in said
    assert f"next: pocketface search {out}" in said
    faces = open_faces(out)
    assert faces.faults == []
    assert faces.labels.tolist() == [0, 0, 1, 1, 2, 2, 2, 2, 3, 3, 4, 4]
    if layout == "folder":
        assert list(faces.people) == ["airplane", "automobile", "cat", "dog", "truck"]
    wanted = [label for label in (0, 1, 3, 5, 9) for _ in range(4 if label == 3 else 2)]
    for i, label in enumerate(wanted):
        image = decode_rgb(faces.encoded(i), faces.name(i))
        assert image.shape == (32, 32, 3)
        assert tuple(image[7, 20].tolist()) == pixel(label, 7, 20)
    assert [path.name for path in out.parent.iterdir()] == ["set"]
    # Training enlarges it to the network's size.
    room = np.zeros((48, 48, 3), np.uint8)
    assert FaceImages(faces, 48).read_into(0, room) == ""
    assert abs(int(room[24, 24, 0]) - 16) <= 1


def test_what_is_there_already_stays(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    out.mkdir()
    with pytest.raises(RecipeError, match="is there already"):
        write_cifar10(read_cifar10(folder), out, "rec")


@pytest.mark.parametrize(
    "content",
    [b"", record(1)[:-1], record(1) + b"x", record(1) * 10_001, bytes(2 * (RECORD + 1))],
    ids=["empty", "cut short", "a byte too many", "too many records", "CIFAR-100's records"],
)
def test_a_file_of_another_size_is_refused(folder: Path, content: bytes) -> None:
    (folder / "data_batch_2.bin").write_bytes(content)
    with pytest.raises(DataError, match=r"data_batch_2\.bin has .* records of 3,073 bytes"):
        read_cifar10(folder)


def test_a_label_beyond_the_tenth_is_refused(folder: Path) -> None:
    (folder / "data_batch_2.bin").write_bytes(record(1) + bytes([10]) + record(1)[1:])
    with pytest.raises(DataError, match=r"data_batch_2\.bin: record 1 has the label 10"):
        read_cifar10(folder)


class _Trap:
    """A pickle that would make a file if it were loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.path,)


def test_the_python_version_is_never_opened_and_the_binary_one_named(tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    for name in ("data_batch_1", "batches.meta"):
        (tmp_path / name).write_bytes(pickle.dumps(_Trap(trap)))
    with pytest.raises(DataError, match=r"python version .* Fetch cifar-10-binary\.tar\.gz"):
        read_cifar10(tmp_path)
    assert not trap.exists()


def test_other_folders_are_named_for_what_they_are(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"Give {folder}"):
        read_cifar10(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        read_cifar10(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds none of"):
        read_cifar10(tmp_path / "empty")
    (tmp_path / "empty" / "data_batch_1.mat").touch()
    with pytest.raises(DataError, match="Matlab version"):
        read_cifar10(tmp_path / "empty")


@pytest.mark.parametrize(
    "text",
    ["", "\n".join(NAMES[:9]), "\n".join([*NAMES[:9], "cat"]), "../x\n" + "\n".join(NAMES[1:])],
)
def test_names_that_are_none_are_refused(folder: Path, text: str) -> None:
    (folder / "batches.meta.txt").write_text(text)
    with pytest.raises(DataError, match="10 different names"):
        read_cifar10(folder)
    (folder / "batches.meta.txt").unlink()
    with pytest.raises(DataError, match="cannot be read"):
        read_cifar10(folder)
