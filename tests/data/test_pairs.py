import json
import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pocketface.data import decode_rgb
from pocketface.data.pair_lists import read_pair_list
from pocketface.data.pairs import PairSet, load_pairs, save_bin
from pocketface.errors import DataError


@pytest.fixture
def small_list(tmp_path, people_folder):
    """2 folds of 1 + 1 pairs over the people of `people_folder`."""
    path = tmp_path / "pairs.txt"
    path.write_text("2\t1\nAnn\t1\t3\nAnn\t1\tBob\t1\nCid\t1\t2\nCid\t2\tAnn\t3\n")
    return path


def by_name(pairs):
    left = [pairs.names[i] for i in pairs.left]
    right = [pairs.names[i] for i in pairs.right]
    return list(zip(left, right, pairs.same.tolist(), strict=True))


def test_lfw_list(small_list, people_folder):
    pairs = load_pairs(small_list, people_folder)
    assert by_name(pairs) == [
        ("Ann/Ann_0001.jpg", "Ann/Ann_0003.jpg", True),
        ("Ann/Ann_0001.jpg", "Bob/Bob_0001.jpg", False),
        ("Cid/Cid_0001.jpg", "Cid/Cid_0002.jpg", True),
        ("Cid/Cid_0002.jpg", "Ann/Ann_0003.jpg", False),
    ]
    assert pairs.folds == 2
    assert len(pairs) == 4
    assert len(pairs.images) == 5  # each once
    assert pairs.left.dtype == pairs.right.dtype == np.int64
    assert pairs.same.dtype == np.bool_
    for i, name in enumerate(pairs.names):
        assert pairs.images[i] == (people_folder / name).read_bytes()
        np.testing.assert_array_equal(pairs.pixels(i), decode_rgb(pairs.images[i], name))
    assert [len(image) for image in pairs.images[1:3]] == [len(pairs.images[k]) for k in (1, 2)]


def test_lfw_list_finds_other_endings_and_spaces(tmp_path, people_folder):
    bob = people_folder / "Bob"
    (bob / "Bob_0001.jpg").rename(bob / "Bob_0001.png")
    path = tmp_path / "pairs.txt"
    path.write_text("\ufeff1 1\r\nAnn 1 2\r\n\r\nBob 1 Ann 2\r\n")
    pairs = load_pairs(path, people_folder)
    assert by_name(pairs)[1] == ("Bob/Bob_0001.png", "Ann/Ann_0002.jpg", False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1 must be LFW's header"),
        ("10\n", "line 1 must be LFW's header"),
        ("Ann\t1\t2\n", "line 1 must be LFW's header"),
        ("1\t1\nAnn\t1\t2\n", "promises 1 folds of 1 .* there are 1"),
        ("1\t1\nAnn\t1\nAnn\t1\tBob\t1\n", "line 2: 'Ann 1' is neither"),
        ("1\t1\n\nAnn\t1\t2\nAnn\tx\tBob\t1\n", "line 4: 'Ann x Bob 1' is neither"),
        ("1\t1\nAnn\t1\tBob\t1\nAnn\t1\t2\n", "line 2: a pair of two people"),
        ("1\t1\nAnn\t1\t2\nAnn\t1\t3\n", "line 3: a pair of one person"),
        ("0\t0\n", "no pair"),
        (
            "1\t1\nAnn\t1\t9\nAnn\t1\tEve\t1\n",
            "2 of its 3 images are not in .*line 2: Ann/Ann_0009",
        ),
    ],
)
def test_faults_of_lfw_lists_name_the_line(tmp_path, people_folder, text, message):
    path = tmp_path / "pairs.txt"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        load_pairs(path, people_folder)


TRIPLES = [
    ["Ann/Ann_0001.jpg", "Ann/Ann_0002.jpg", 1],
    ["Ann/Ann_0001.jpg", "Bob/Bob_0001.jpg", 0],
    ["Cid/Cid_0001.jpg", "Cid/Cid_0002.jpg", 1],
]
EXPECTED = [(left, right, bool(same)) for left, right, same in TRIPLES]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", json.dumps(TRIPLES)),
        ("a.json", json.dumps([[a, b, bool(same)] for a, b, same in TRIPLES])),
        ("a.json", json.dumps({"comment": "x", "train": ["Ann", "Bob"], "pairs": TRIPLES})),
        ("a.json", json.dumps({"train": TRIPLES[:1], "test": TRIPLES})),
        ("a.tsv", "".join(f"{a}\t{b}\t{same}\n" for a, b, same in TRIPLES)),
        ("a.tsv", "image\timage\tsame\n" + "".join(f"{a}\t{b}\t{s}\n" for a, b, s in TRIPLES)),
        ("a.csv", "".join(f'"{a}",{b},{bool(same)!s}\n' for a, b, same in TRIPLES)),
    ],
)
def test_lists_of_triples(tmp_path, people_folder, name, text):
    (tmp_path / name).write_text(text)
    pairs = load_pairs(tmp_path / name, people_folder)
    assert by_name(pairs) == EXPECTED
    assert pairs.folds == 3
    assert len(pairs.images) == 5


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", "[[1, 2", "not JSON"),
        ("a.json", "[" * 100_000, "not JSON"),
        ("a.json", "3", "must be a list"),
        ("a.json", "[]", "no pair"),
        ("a.json", '{"a": [["x", "y", 1]], "b": [["x", "y", 1]]}', r"2 of its keys .*\(a, b\)"),
        ("a.json", '{"train": ["x"]}', "0 of its keys"),
        ("a.json", '[["x", "y", 1], ["x", "y", 2]]', r"item 1: .* is not \[image, image, same\]"),
        ("a.json", '[["x", "y", 1], ["x", 5, 1]]', "item 1"),
        ("a.json", '[["x", "y", 0.5]]', "item 0"),
        ("a.json", '["x y 1"]', "item 0"),
        ("a.tsv", "x\ty\t1\nx\ty\n", "line 2"),
        ("a.tsv", "x\ty\tsame\nx\ty\tyes\n", "line 2"),
        ("a.csv", "x,y,1\n\nx,,1\n", "line 3"),
        ("a.csv", "left,right,same\n", "no pair"),
        ("a.xml", "x", r"ending .* must be one of \.txt"),
    ],
)
def test_faults_of_lists_of_triples(tmp_path, people_folder, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        load_pairs(tmp_path / name, people_folder)


def test_wrong_places(tmp_path, small_list, people_folder):
    with pytest.raises(DataError, match="no such file"):
        load_pairs(tmp_path / "absent.bin")
    with pytest.raises(DataError, match="give the folder of its images"):
        load_pairs(small_list)
    with pytest.raises(DataError, match="no such folder"):
        load_pairs(small_list, tmp_path / "absent")
    (tmp_path / "a.bin").write_bytes(b"x")
    with pytest.raises(DataError, match="holds its own images"):
        load_pairs(tmp_path / "a.bin", people_folder)
    (tmp_path / "latin.txt").write_bytes(b"10\t1\nJos\xe9\t1\t2\n")
    with pytest.raises(DataError, match="not UTF-8"):
        load_pairs(tmp_path / "latin.txt", people_folder)
    pairs = load_pairs(small_list, people_folder)
    (people_folder / "Ann/Ann_0001.jpg").unlink()
    with pytest.raises(DataError, match=r"Ann_0001\.jpg: cannot read"):
        pairs.pixels(0)


def write_bin(path, content, protocol=4):
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


@pytest.mark.parametrize("outer", [tuple, list])
def test_bin_of_bytes_holds_each_image_once(tmp_path, outer, draw_jpeg):
    a, b, c = (draw_jpeg(seed) for seed in range(3))
    path = write_bin(tmp_path / "x.bin", outer([[a, b, b, c, a, b], [True, False, True]]))
    pairs = load_pairs(path)
    assert list(pairs.images) == [a, b, c]
    assert pairs.left.tolist() == [0, 1, 0]
    assert pairs.right.tolist() == [1, 2, 1]
    assert pairs.same.tolist() == [True, False, True]
    assert pairs.names == ["x.bin image 0", "x.bin image 1", "x.bin image 3"]
    assert pairs.folds == 3
    assert pairs.pixels(2).shape == (16, 16, 3)


def test_bin_of_arrays(tmp_path, draw_jpeg):
    encoded = draw_jpeg(1)
    flat = np.frombuffer(encoded, np.uint8)
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    images = [flat, flat[:, None], encoded, pixels]
    pairs = load_pairs(write_bin(tmp_path / "x.bin", (images, np.array([True, False]))))
    assert pairs.left.tolist() == [0, 0]  # three spellings of one image
    assert pairs.right.tolist() == [0, 1]
    np.testing.assert_array_equal(pairs.pixels(1), pixels)
    assert pairs.pixels(1).flags.writeable


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (3, "not \\(images, answers\\)"),
        (([b"x"], [True], 1), "not \\(images, answers\\)"),
        ((b"xy", [True]), "not lists"),
        (([b"x", b"y"], True), "not lists"),
        (([b"x", b"y", b"z"], [True]), "3 images for 1 answers"),
        (([], []), "no pairs"),
        (([b"x", b"y"], [None]), "not a boolean"),
        (([b"x", b"y"], [2]), "not a boolean"),
        (([b"x", "y"], [True]), "image 1 is str"),
        (([b"x", np.zeros(3, np.int32)], [True]), r"image 1 is int32 \(3,\)"),
        (([b"x", np.zeros((2, 2), np.uint8)], [True]), r"image 1 is uint8 \(2, 2\)"),
    ],
)
def test_other_content_is_no_bin(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        load_pairs(write_bin(tmp_path / "x.bin", content))


def test_empty_truncated_and_evil_bins(tmp_path):
    path = tmp_path / "x.bin"
    path.write_bytes(b"")
    with pytest.raises(DataError, match="empty"):
        load_pairs(path)
    path.write_bytes(pickle.dumps(([b"x", b"y"], [True]))[:-3])
    with pytest.raises(DataError, match="cut short"):
        load_pairs(path)
    path.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(DataError, match=r"x\.bin: refused .* asks for os\.system"):
        load_pairs(path)


def test_saved_bin_is_read_by_the_usual_loader_and_by_ours(tmp_path, small_list, people_folder):
    pairs = load_pairs(small_list, people_folder)
    save_bin(pairs, tmp_path / "x.bin")
    with (tmp_path / "x.bin").open("rb") as handle:  # as the field's tools do
        images, same = pickle.load(handle, encoding="bytes")
    assert images[0::2] == [(people_folder / name).read_bytes() for name, _, _ in by_name(pairs)]
    assert images[1::2] == [(people_folder / name).read_bytes() for _, name, _ in by_name(pairs)]
    assert same == [True, False, True, False]
    assert all(answer is True or answer is False for answer in same)
    again = load_pairs(tmp_path / "x.bin")
    assert again.left.tolist() == pairs.left.tolist()
    assert again.right.tolist() == pairs.right.tolist()
    assert list(again.images) == list(pairs.images)


def test_pixels_are_saved_without_loss(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), dtype=np.uint8)
    zero, one = np.array([0]), np.array([1])
    save_bin(PairSet(list(pixels), zero, one, np.array([True]), ["a", "b"], 1), tmp_path / "x.bin")
    again = load_pairs(tmp_path / "x.bin")
    np.testing.assert_array_equal(again.pixels(0), pixels[0])
    np.testing.assert_array_equal(again.pixels(1), pixels[1])


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 4), st.booleans()), min_size=1, max_size=25
    )
)
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40
)
def test_any_pair_set_survives_the_bin(tmp_path, rows):
    left, right, same = (np.array(column) for column in zip(*rows, strict=True))
    images = [bytes([k]) * (k + 1) for k in range(5)]
    save_bin(PairSet(images, left, right, same, list("abcde"), 1), tmp_path / "x.bin")
    again = load_pairs(tmp_path / "x.bin")
    assert [again.images[i] for i in again.left] == [images[i] for i in left]
    assert [again.images[i] for i in again.right] == [images[i] for i in right]
    assert again.same.tolist() == same.tolist()
    assert again.folds == min(10, len(rows))


@pytest.mark.parametrize(
    "change",
    [
        {"left": np.array([0, 5])},
        {"right": np.array([-1, 0])},
        {"left": np.array([0])},
        {"names": ["a"]},
        {"folds": 0},
        {"folds": 3},
        {"left": np.array([]), "right": np.array([]), "same": np.array([])},
    ],
)
def test_inconsistent_sets_are_refused(change):
    fields = {
        "images": [b"x", b"y"],
        "left": np.array([0, 1]),
        "right": np.array([1, 1]),
        "same": np.array([True, False]),
        "names": ["x", "y"],
        "folds": 2,
    }
    PairSet(**fields)
    with pytest.raises(DataError):
        PairSet(**(fields | change))


def test_list_alone(small_list):
    listed = read_pair_list(small_list)
    assert listed.entries[1] == ("Ann/Ann_0001", "Bob/Bob_0001", False, "line 3")


@pytest.mark.slow
def test_real_lists_and_bin(real_data):
    lfw = load_pairs(real_data / "lfw_pairs.txt", real_data / "lfw112")
    assert (len(lfw), lfw.folds, int(lfw.same.sum())) == (6000, 10, 3000)
    blocks = lfw.same.reshape(10, 2, 300)
    assert blocks[:, 0].all()
    assert not blocks[:, 1].any()
    assert len(lfw.images) == 7701
    assert lfw.pixels(7700).shape == (112, 112, 3)
    ours = load_pairs(real_data / "lfw_open_set.json", real_data / "lfw112")
    assert (len(ours), ours.folds, int(ours.same.sum())) == (3000, 10, 1500)
    small = load_pairs(real_data / "small_lfw.bin")
    assert (len(small), len(small.images)) == (10, 17)
    assert small.same.all()
    assert {small.pixels(i).shape for i in range(17)} == {(112, 112, 3)}
