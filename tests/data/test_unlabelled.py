"""Images of nobody known: folders of any depth, and sets whose people are forgotten."""

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pocketface.data import ConcatFaces, FolderFaces, ImageTree, Unnamed, open_unlabelled
from pocketface.errors import DataError


@pytest.fixture
def tree(tmp_path) -> Path:
    """Images at three depths, and what is none."""
    root = tmp_path / "tree"
    for number, name in enumerate(["b.png", "a/one.JPG", "a/deep/er/two.png", "c/three.webp"]):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number * 40, 0, 0)).save(path)
    (root / "a" / "notes.txt").write_text("no image")
    (root / ".hidden").mkdir()
    shutil.copy(root / "b.png", root / ".hidden" / "x.png")
    shutil.copy(root / "b.png", root / "a" / ".y.png")
    return root


def test_all_images_at_any_depth_in_the_order_of_their_paths(tree):
    faces = ImageTree(tree)
    names = ["a/deep/er/two.png", "a/one.JPG", "b.png", "c/three.webp"]
    assert [faces.name(i) for i in range(len(faces))] == names
    assert faces.labels.tolist() == [-1] * 4
    assert faces.labels.dtype == np.int64
    assert list(faces.people) == []
    assert [faces.encoded(i) for i in range(4)] == [(tree / name).read_bytes() for name in names]
    assert [(fault.name, fault.reason) for fault in faces.faults] == [
        ("a/notes.txt", "not an image by its ending")
    ]


def test_links_are_followed_once(tree, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    shutil.copy(tree / "b.png", outside / "far.png")
    (tree / "link").symlink_to(outside)
    (tree / "round").symlink_to(tree)
    (tree / "broken.png").symlink_to(tmp_path / "nowhere.png")
    faces = ImageTree(tree)
    assert [faces.name(i) for i in range(len(faces))].count("link/far.png") == 1
    assert len(faces) == 5
    assert "broken.png" in [fault.name for fault in faces.faults]


def test_a_copy_is_the_same_data_and_a_changed_image_is_not(tree, tmp_path):
    shutil.copytree(tree, tmp_path / "copy")
    again = ImageTree(tmp_path / "copy")
    assert again.fingerprint() == ImageTree(tree).fingerprint()
    Image.new("RGB", (8, 8), "white").save(tmp_path / "copy" / "b.png")
    assert ImageTree(tmp_path / "copy").fingerprint() != ImageTree(tree).fingerprint()


def test_it_can_be_sent_to_a_worker(tree):
    faces = pickle.loads(pickle.dumps(ImageTree(tree)))
    assert faces.encoded(2) == (tree / "b.png").read_bytes()


def test_where_there_is_no_image(tmp_path):
    (tmp_path / "empty" / "a").mkdir(parents=True)
    with pytest.raises(DataError, match=r"empty: no image is there, at any depth"):
        ImageTree(tmp_path / "empty")
    with pytest.raises(DataError, match=r"nowhere: no such file or folder"):
        open_unlabelled(tmp_path / "nowhere")
    (tmp_path / "b.png").touch()
    with pytest.raises(DataError, match=r"not a training set"):
        open_unlabelled(tmp_path / "b.png")


def test_an_image_that_went_away_is_named(tree):
    faces = ImageTree(tree)
    (tree / "b.png").unlink()
    with pytest.raises(DataError, match=r"b.png: cannot read the image"):
        faces.encoded(2)


def test_people_are_forgotten(coarse_people, tmp_path):
    root = coarse_people(tmp_path / "people", people=3, images=2)
    known = FolderFaces(root, ["Person_00", "Person_02"])
    faces = open_unlabelled(root, ["Person_02", "Person_00"])
    assert isinstance(faces, Unnamed)
    assert list(faces.people) == []
    assert faces.labels.tolist() == [-1] * 4
    assert [faces.encoded(i) for i in range(4)] == [known.encoded(i) for i in range(4)]
    assert faces.name(3) == "Person_02/Person_02_0002.png"
    assert faces.fingerprint() != known.fingerprint()
    # The same images in a folder of any depth are the same data.
    shutil.rmtree(root / "Person_01")
    assert ImageTree(root).fingerprint() == faces.fingerprint()


def test_joined_with_people_they_stay_unknown(coarse_people, tree, tmp_path):
    root = coarse_people(tmp_path / "people", people=3, images=2)
    faces = ConcatFaces([FolderFaces(root), ImageTree(tree), FolderFaces(root)])
    assert faces.labels.tolist() == [0, 0, 1, 1, 2, 2, -1, -1, -1, -1, 3, 3, 4, 4, 5, 5]
    assert len(faces.people) == 6
    assert faces.encoded(8) == (tree / "b.png").read_bytes()


def test_a_record_file_gives_its_images_alone(real_data):
    record = real_data / "celeba299_rec" / "train.rec"
    if not record.is_file():
        pytest.skip("no CelebA record file")
    faces = open_unlabelled(record.parent)
    assert isinstance(faces, Unnamed)
    assert len(faces) == 6300
    assert set(faces.labels.tolist()) == {-1}
