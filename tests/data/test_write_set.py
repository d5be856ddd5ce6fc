"""Training sets in both layouts, read back as they are read for training."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pocketface.data import decode_rgb, open_faces
from pocketface.data.jpeg import encode_png
from pocketface.data.write_set import Layout, write_set
from pocketface.errors import DataError


def png(value: int) -> bytes:
    return encode_png(np.full((5, 5, 3), value, np.uint8))


def jpeg(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (5, 5), (value, value, value)).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.mark.parametrize("layout", ["rec", "folder"])
def test_both_layouts_are_read_back_alike(tmp_path: Path, layout: Layout) -> None:
    images = [png(10), jpeg(20), png(30)]
    write_set(tmp_path / "set", ["ann", "bob"], [1, 2], images, layout)
    faces = open_faces(tmp_path / "set")
    assert faces.faults == []
    assert faces.labels.tolist() == [0, 1, 1]
    assert list(faces.people) == (["ann", "bob"] if layout == "folder" else ["0", "1"])
    order = [0, 1, 2]  # in the folder, image 1 of bob is the JPEG
    assert [faces.encoded(i) for i in order] == images
    assert [int(decode_rgb(faces.encoded(i), "x")[2, 2, 0]) for i in order] == [10, 20, 30]


def test_a_file_is_named_after_its_person_and_its_kind(tmp_path: Path) -> None:
    write_set(tmp_path, ["ann", "bob"], [1, 2], [png(1), jpeg(2), png(3)], "folder")
    files = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*"))
    assert files == ["ann/ann_0001.png", "bob/bob_0001.jpg", "bob/bob_0002.png"]


@pytest.mark.parametrize("layout", ["rec", "folder"])
@pytest.mark.parametrize(("given", "message"), [(2, "2 were given|1 were given"), (4, "more than")])
def test_a_wrong_number_of_images_is_refused(
    tmp_path: Path, layout: Layout, given: int, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        write_set(tmp_path, ["ann", "bob"], [1, 2], [png(0)] * given, layout)
