import os
import pickle
import shutil

import numpy as np
import pytest

from pocketface.data import ConcatFaces, FolderFaces, decode_rgb, open_faces
from pocketface.errors import DataError


def test_people_images_and_labels_in_the_order_of_names(people_folder):
    faces = open_faces(people_folder)
    assert isinstance(faces, FolderFaces)
    assert len(faces) == 6
    assert faces.people == ["Ann", "Bob", "Cid"]
    assert faces.labels.dtype == np.int64
    assert faces.labels.tolist() == [0, 0, 0, 1, 2, 2]
    assert faces.name(1) == "Ann/Ann_0002.jpg"
    assert faces.encoded(4) == (people_folder / "Cid/Cid_0001.jpg").read_bytes()
    assert decode_rgb(faces.encoded(4), faces.name(4)).shape == (16, 16, 3)
    assert faces.faults == []


def test_faults_are_named_and_sorted(people_folder, draw_jpeg):
    (people_folder / "Zoe").mkdir()
    (people_folder / "Ann" / "notes.txt").write_text("x")
    (people_folder / "Ann" / "inner").mkdir()
    (people_folder / "Ann" / ".hidden.jpg").write_text("x")
    (people_folder / "Bob" / "gone.png").symlink_to("nowhere.png")
    (people_folder / "loose.jpg").write_bytes(draw_jpeg(1))
    (people_folder / "README").write_text("x")
    (people_folder / ".git").mkdir()
    faces = open_faces(people_folder)
    assert len(faces) == 6
    assert faces.people == ["Ann", "Bob", "Cid"]
    assert [fault.name for fault in faces.faults] == [
        "loose.jpg",
        "Ann/inner",
        "Ann/notes.txt",
        "Bob/gone.png",
        "Zoe",
    ]
    assert faces.faults[-1].reason == "a person without an image"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list every folder")
def test_a_folder_that_cannot_be_listed_is_a_fault(people_folder):
    (people_folder / "Bob").chmod(0)
    try:
        faces = open_faces(people_folder)
    finally:
        (people_folder / "Bob").chmod(0o755)
    assert [fault.name for fault in faces.faults] == ["Bob"]


def test_only_some_people(people_folder):
    faces = open_faces(people_folder, only=["Cid", "Ann", "Cid"])
    assert faces.people == ["Ann", "Cid"]
    assert faces.labels.tolist() == [0, 0, 0, 1, 1]
    with pytest.raises(DataError, match=r"2 of the 3 people.*Dan, Eve"):
        open_faces(people_folder, only=["Eve", "Ann", "Dan"])


def test_empty_loose_and_absent(tmp_path, draw_jpeg):
    with pytest.raises(DataError, match="no such file or folder"):
        open_faces(tmp_path / "absent")
    (tmp_path / "empty" / "Ann").mkdir(parents=True)
    with pytest.raises(DataError, match="no image of any person"):
        open_faces(tmp_path / "empty")
    (tmp_path / "loose").mkdir()
    (tmp_path / "loose" / "1.jpg").write_bytes(draw_jpeg(1))
    with pytest.raises(DataError, match="lie directly"):
        open_faces(tmp_path / "loose")
    (tmp_path / "lfw.bin").write_bytes(b"x")
    with pytest.raises(DataError, match=r"ends with '\.bin'"):
        open_faces(tmp_path / "lfw.bin")


def test_image_removed_after_opening(people_folder):
    faces = open_faces(people_folder)
    (people_folder / "Bob/Bob_0001.jpg").unlink()
    with pytest.raises(DataError, match=r"Bob_0001\.jpg.*No such file"):
        faces.encoded(3)


def test_odd_names(tmp_path, draw_jpeg):
    root = tmp_path / "people"
    names = ["Zoë", "李雷", "a b", os.fsdecode(b"caf\xe9")]
    for n, name in enumerate(names):
        (root / name).mkdir(parents=True)
        (root / name / f"{name}.JPG").write_bytes(draw_jpeg(n))
    faces = open_faces(root)
    assert faces.people == sorted(names)
    for i in range(len(faces)):
        assert faces.encoded(i) == (root / faces.name(i)).read_bytes()
    assert len(faces.fingerprint()) == 64


def test_fingerprint_is_bound_to_content_not_to_place(people_folder, tmp_path, draw_jpeg):
    first = open_faces(people_folder).fingerprint()
    copy = tmp_path / "elsewhere"
    shutil.copytree(people_folder, copy)
    assert open_faces(copy).fingerprint() == first
    (copy / "Ann/Ann_0001.jpg").write_bytes(draw_jpeg(999))
    changed = open_faces(copy).fingerprint()
    assert changed != first
    shutil.copy(people_folder / "Ann/Ann_0001.jpg", copy / "Ann/Ann_0001.jpg")
    (copy / "Bob").rename(copy / "Bobby")
    renamed = open_faces(copy).fingerprint()
    assert renamed not in (first, changed)
    (copy / "Bobby").rename(copy / "Bob")
    (copy / "Ann/Ann_0003.jpg").rename(copy / "Bob/Ann_0003.jpg")  # same bytes, another person
    assert open_faces(copy).fingerprint() not in (first, changed, renamed)
    assert open_faces(people_folder, only=["Ann"]).fingerprint() != first


def test_fingerprint_is_computed_once(people_folder):
    faces = open_faces(people_folder)
    first = faces.fingerprint()
    shutil.rmtree(people_folder)
    assert faces.fingerprint() == first


def test_pickle(people_folder):
    faces = pickle.loads(pickle.dumps(open_faces(people_folder)))
    assert faces.encoded(5) == (people_folder / "Cid/Cid_0002.jpg").read_bytes()


def test_concat_keeps_people_of_different_sources_apart(people_folder):
    (people_folder / "Zoe").mkdir()
    one, two = open_faces(people_folder), open_faces(people_folder, only=["Bob", "Cid"])
    both = pickle.loads(pickle.dumps(ConcatFaces([one, two])))
    assert len(both) == 9
    assert both.people == ["1/Ann", "1/Bob", "1/Cid", "2/Bob", "2/Cid"]
    assert both.labels.tolist() == [0, 0, 0, 1, 2, 2, 3, 4, 4]
    assert both.labels.dtype == np.int64
    expected = [(1, one, i) for i in range(6)] + [(2, two, i) for i in range(3)]
    for i, (number, source, inside) in enumerate(expected):
        assert both.name(i) == f"{number}/{source.name(inside)}"
        assert both.encoded(i) == source.encoded(inside)
    assert [fault.name for fault in both.faults] == ["1/Zoe"]
    assert both.fingerprint() != ConcatFaces([two, one]).fingerprint()
    with pytest.raises(IndexError):
        both.encoded(9)
    with pytest.raises(DataError, match="at least one"):
        ConcatFaces([])


@pytest.mark.slow
def test_all_of_lfw(real_data):
    faces = open_faces(real_data / "lfw112")
    assert len(faces) == 13233
    assert len(faces.people) == 5749
    assert faces.faults == []
    assert np.bincount(faces.labels).max() == 530
    assert decode_rgb(faces.encoded(0), faces.name(0)).shape == (112, 112, 3)
