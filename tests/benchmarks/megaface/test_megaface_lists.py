"""The devkit's lists and the noise lists: read, written, joined, and refused where broken."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketface.benchmarks.megaface.lists import (
    PROBE_LIST,
    by_membership,
    find_distractor_lists,
    join_distractor_lists,
    read_distractor_list,
    read_noises,
    read_probe_list,
    select_distractors,
    write_distractor_list,
    write_probe_list,
)
from pocketface.benchmarks.megaface.noise import NoiseLists
from pocketface.benchmarks.megaface.similarity import ordered_pairs
from pocketface.errors import DataError


def probes_of(tmp_path, paths, people):
    write_probe_list(tmp_path / PROBE_LIST, paths, people)
    return read_probe_list(tmp_path / PROBE_LIST)


def test_probes_are_read_with_their_people_in_alphabetical_order(tmp_path):
    paths = ["Zoe/2.png", "Ann/1.png", "Zoe/1.png", "Bob/1.png", "Ann/7.png"]
    probes = probes_of(tmp_path, paths, ["Zoe", "Ann", "Zoe", "Bob", "Ann"])
    assert probes.paths == tuple(paths)
    assert probes.people == ("Ann", "Bob", "Zoe")
    assert probes.person.tolist() == [2, 0, 2, 1, 0]
    kept = probes.select(np.array([1, 3, 4]))
    assert kept.paths == ("Ann/1.png", "Bob/1.png", "Ann/7.png")
    assert kept.people == ("Ann", "Bob")
    assert kept.person.tolist() == [0, 1, 0]
    with pytest.raises(DataError, match=r"what is left.*nobody has two images"):
        probes.select(np.array([0, 1, 3]))
    with pytest.raises(DataError, match=r"what is left.*nobody has two images"):
        probes.select(np.array([], np.int64))


def test_lists_of_distractors_are_found_by_size_and_set(tmp_path):
    for number, size in ((1, 3), (1, 10), (2, 10)):
        write_distractor_list(tmp_path, [f"a/{i}.jpg" for i in range(size)], number)
    write_probe_list(tmp_path / PROBE_LIST, ["a/1", "a/2"], ["a", "a"])
    assert list(find_distractor_lists(tmp_path)) == [3, 10]
    found = find_distractor_lists(tmp_path, 2)
    assert read_distractor_list(found[10]) == tuple(f"a/{i}.jpg" for i in range(10))
    with pytest.raises(DataError, match=r"json_<distractors>_3; it has the sets 1, 2"):
        find_distractor_lists(tmp_path, 3)


LISTS = st.lists(
    st.lists(st.sampled_from([f"d{i}" for i in range(12)]), min_size=1, unique=True),
    min_size=1,
    max_size=5,
    unique_by=len,
)


@given(LISTS)
def test_joined_lists_name_what_the_files_name_and_every_image_once(drawn):
    lists = {len(names): tuple(names) for names in drawn}
    joined = join_distractor_lists(lists)
    assert sorted(joined.paths) == sorted({name for names in drawn for name in names})
    assert joined.paths[: joined.largest] == lists[joined.largest]
    for size, names in lists.items():
        assert tuple(joined.paths[row] for row in joined.chosen[size]) == names


@given(LISTS, st.sets(st.integers(0, 11)))
def test_what_is_left_of_joined_lists(drawn, gone):
    lists = {len(names): tuple(names) for names in drawn}
    joined = join_distractor_lists(lists)
    kept = np.array([row not in gone for row in range(len(joined))], np.bool_)
    left = select_distractors(joined, kept)
    wanted = {path for path, stays in zip(joined.paths, kept, strict=True) if stays}
    assert set(left.paths) == wanted
    for size, names in lists.items():
        found = [left.paths[row] for row in left.chosen[size]]
        assert found == [name for name in names if name in wanted]


@given(LISTS)
def test_each_distractor_is_compared_once_for_all_lists_that_hold_it(drawn):
    joined = join_distractor_lists({len(names): tuple(names) for names in drawn})
    seen = {}
    for sizes, rows in by_membership(joined.chosen, len(joined)):
        assert (np.diff(rows) > 0).all()
        for row in rows.tolist():
            assert row not in seen
            seen[row] = sizes
    assert seen == {
        row: [size for size, chosen in joined.chosen.items() if row in chosen]
        for row in range(len(joined))
    }


GOOD = {"path": ["a/1.png", "a/2.png", "b/1.png"], "id": ["a", "a", "b"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ([], "no list of texts under 'path'"),
        ({"path": GOOD["path"]}, "no list of texts under 'id'"),
        (GOOD | {"id": [1, 1, 2]}, "no list of texts under 'id'"),
        (GOOD | {"path": "a/1.png"}, "no list of texts under 'path'"),
        ({"path": [], "id": []}, "the list 'path' is empty"),
        (GOOD | {"id": ["a", "a"]}, "3 paths, but 2 ids"),
        (GOOD | {"id": ["a", "b", "c"]}, "nobody has two images"),
        (
            GOOD | {"path": ["a/1.png", "b/1.png", "a/1.png"]},
            r"'a/1\.png' is there twice \(entries 0 and 2\)",
        ),
        (GOOD | {"path": ["a/1.png", "../1.png", "b/1"]}, r"entry 1, '\.\./1\.png', is no path"),
        (GOOD | {"path": ["a/1.png", "/etc/1.png", "b/1"]}, "entry 1, '/etc/1.png', is no path"),
        (GOOD | {"path": ["a/1.png", "a/./1.png", "b/1"]}, r"entry 1, 'a/\./1\.png', is no path"),
        (GOOD | {"path": ["a/1.png", "", "b/1"]}, "entry 1, '', is no path"),
        (GOOD | {"path": ["a/1.png", "a/\0", "b/1"]}, "is no path inside"),
    ],
)
def test_broken_lists_of_probes_are_refused(tmp_path, content, message):
    path = tmp_path / PROBE_LIST
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(DataError, match=message):
        read_probe_list(path)


def test_broken_lists_of_distractors_are_refused(tmp_path):
    path = write_distractor_list(tmp_path, [f"a/{i}.jpg" for i in range(10)])
    content = json.loads(path.read_text())
    path.write_text(json.dumps({"path": content["path"][:9]}))
    with pytest.raises(DataError, match="the name says 10 distractors, the file has 9"):
        read_distractor_list(path)
    path.write_text(json.dumps({"path": [*content["path"][:9], "a/0.jpg"]}))
    with pytest.raises(DataError, match="it would count twice"):
        read_distractor_list(path)
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_distractor_list(tmp_path / "absent.json")


def noise_lists(folder, probes, distractors):
    (folder / "facescrub_noises.txt").write_text(probes)
    (folder / "megaface_noises.txt").write_text(distractors)
    return NoiseLists.load(folder)


def test_noise_is_named_by_file_for_probes_and_by_path_for_distractors(tmp_path):
    probes = probes_of(tmp_path, ["a/1.png", "a/2.png", "b/3.png"], ["a", "a", "b"])
    distractors = join_distractor_lists({2: ("x/y/1.png", "x/y/2.png")})
    # The published list of distractors names an image twice; so a name may come twice.
    noises = noise_lists(tmp_path, "#a comment\n2.png\n\n9.png\n", "x/y/2.png\r\nx/y/2.png\n2.png")
    assert noises is not None
    assert noises.probes == {"2.png", "9.png"}
    assert noises.distractors == {"x/y/2.png", "2.png"}
    found = noises.find(probes, distractors)
    assert [part.tolist() for part in found] == [[False, True, False], [False, True]]
    assert noises.warnings(found) == ()
    # Paths where names belong, and names where paths belong, find nothing: that is said.
    noises = noise_lists(tmp_path, "a/2.png", "2.png")
    assert noises is not None
    found = noises.find(probes, distractors)
    assert not found[0].any()
    assert not found[1].any()
    first, second = noises.warnings(found)
    assert "Warning: none of the 1 names in facescrub_noises.txt" in first
    assert "must name them by path" in second


def test_both_noise_lists_or_none(tmp_path):
    assert NoiseLists.load(tmp_path) is None
    noise_lists(tmp_path, "1.png", "a/b/1.png")
    (tmp_path / "megaface_noises.txt").unlink()
    with pytest.raises(DataError, match=r"megaface_noises\.txt is missing.*needs both"):
        NoiseLists.load(tmp_path)
    (tmp_path / "facescrub_noises.txt").write_bytes(b"\xff\xfe1")
    with pytest.raises(DataError, match="cannot be read as a noise list"):
        read_noises(tmp_path / "facescrub_noises.txt")


def test_the_devkits_own_lists_are_read(real_data: Path):
    folder = real_data / "megaface_lists"
    probes = read_probe_list(folder / PROBE_LIST)
    assert (len(probes), len(probes.people)) == (3530, 80)
    assert len(ordered_pairs(probes.person)[0]) == 153_634
    assert probes.paths[0] == "Michael_Landes/Michael_Landes_43667.png"
    found = find_distractor_lists(folder)
    assert list(found) == [10, 100, 1000, 10_000]
    joined = join_distractor_lists({size: read_distractor_list(p) for size, p in found.items()})
    assert {size: len(rows) for size, rows in joined.chosen.items()} == {n: n for n in found}
    assert len(joined) > 11_000  # random choices of a million, which hardly overlap
    assert joined.largest == 10_000
