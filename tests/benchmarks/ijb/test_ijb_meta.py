"""The meta files: what is read, and what is said of each way in which they can be broken."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketface.benchmarks.ijb import number_rows
from pocketface.benchmarks.ijb.meta import read_meta
from pocketface.benchmarks.ijb.number_rows import read_number_rows
from pocketface.errors import DataError

MEDIA, POINTS, PAIRS = (
    "ijbc_face_tid_mid.txt",
    "ijbc_name_5pts_score.txt",
    "ijbc_template_pair_label.txt",
)
GALLERY, PROBES = "ijbc_1N_gallery_G1.csv", "ijbc_1N_probe_mixed.csv"
LANDMARKS = "38 52 74 52 56 72 42 92 71 92"

GOOD = {
    MEDIA: "a.jpg 7 1\nb.jpg 7 1\nc.jpg 5 2\nd.jpg 9 3\na.jpg 11 1\n",
    POINTS: "".join(f"{name}.jpg {LANDMARKS} 0.9\n" for name in "abcda"),
    PAIRS: "5 7 1\n5 9 0\n9 11 0\n",
    GALLERY: "TEMPLATE_ID,SUBJECT_ID\n5,100\n",
    "ijbc_1N_gallery_G2.csv": "TEMPLATE_ID,SUBJECT_ID\n9,101\n",
    PROBES: "TEMPLATE_ID,SUBJECT_ID\n7,100\n11,101\n",
}


def write(tmp_path, **changed):
    (tmp_path / "meta").mkdir(exist_ok=True)
    (tmp_path / "loose_crop").mkdir(exist_ok=True)
    for name, text in (GOOD | changed).items():
        (tmp_path / "meta" / name).write_bytes(text.encode())
    return tmp_path


def test_everything_is_read(tmp_path):
    meta = read_meta(write(tmp_path))
    assert meta.name == "ijbc"
    assert meta.faces.names == ["a.jpg", "b.jpg", "c.jpg", "d.jpg", "a.jpg"]
    assert meta.faces.templates.tolist() == [5, 7, 9, 11]
    assert meta.faces.template.tolist() == [1, 1, 0, 2, 3]
    assert meta.faces.media.tolist() == [1, 1, 2, 3, 1]
    assert meta.faces.landmarks.shape == (5, 5, 2)
    assert meta.faces.landmarks[0].tolist()[2] == [56.0, 72.0]
    assert meta.faces.detector_score.tolist() == [0.9] * 5
    left, right = meta.pairs.pair_rows(slice(None))
    same = meta.pairs.same(slice(None)).tolist()
    found = {(*sorted(two), kind) for *two, kind in zip(left, right, same, strict=True)}
    assert found == {(0, 1, True), (0, 2, False), (2, 3, False)}
    assert {name: table.template.tolist() for name, table in meta.galleries.items()} == {
        "G1": [0],
        "G2": [2],
    }
    assert meta.probes.template.tolist() == [1, 3]
    assert meta.probes.subject.tolist() == [100, 101]


def test_windows_lines_a_byte_order_mark_and_wide_gaps_are_read(tmp_path):
    changed = {name: text.replace("\n", "\r\n") for name, text in GOOD.items()}
    changed[MEDIA] = "\ufeff" + changed[MEDIA]
    changed[PAIRS] = "5  7\t1\r\n 5 9 0\r\n9 11 0"
    changed[PROBES] = "TEMPLATE_ID,SUBJECT_ID,FILENAME\n7, 100,x\n11,101,y\n"
    plain, other = read_meta(write(tmp_path)), read_meta(write(tmp_path, **changed))
    assert other.faces.names == plain.faces.names
    assert other.pairs.keys.tolist() == plain.pairs.keys.tolist()
    assert other.probes.subject.tolist() == plain.probes.subject.tolist()


def point_line(number, landmarks=LANDMARKS, score="0.9", name=None):
    lines = GOOD[POINTS].splitlines()
    lines[number - 1] = f"{name or lines[number - 1].split()[0]} {landmarks} {score}"
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (MEDIA, "a.jpg 7\n", r"line 1: has 2 columns, but must have 3 \(name, template, media id"),
        (MEDIA, "a.jpg 7 1\n\nb.jpg 7 1\n", "line 2: has 0 columns"),
        (MEDIA, "a b.jpg 7 1\n", "line 1: has 4 columns"),
        (MEDIA, "a.jpg x 1\n", "line 1: template and media id must be whole numbers, got 'x 1'"),
        (MEDIA, "a.jpg 7 1.5\n", "whole numbers, got '7 1.5'"),
        (MEDIA, f"a.jpg {10**30} 1\n", "must be whole numbers"),
        (MEDIA, "a.jpg 7 1\nb.jpg 7 1\na.jpg 7 2\n", "line 3: a.jpg is in template 7 .* line 1"),
        (MEDIA, "", "there is no face in it"),
        (MEDIA, "a.jpg 7 1_0\n", "must be whole numbers, got '7 1_0'"),
        (POINTS, point_line(2, LANDMARKS[:-3]), "line 2: has 11 columns, but must have 12"),
        (POINTS, point_line(3, name="x.jpg"), "line 3: the face is x.jpg, but .* has c.jpg there"),
        (POINTS, GOOD[POINTS] + point_line(1), "line 6: .* has the end of the file there"),
        (POINTS, point_line(2, LANDMARKS.replace("56", "nan")), "line 2: landmarks must be finite"),
        (POINTS, point_line(2, LANDMARKS.replace("56", "inf")), "line 2: landmarks must be finite"),
        (POINTS, point_line(2, "5 6 " * 5), "line 2: landmarks must be finite and not all one"),
        (POINTS, point_line(2, score="-0.1"), "line 2: .* detector score not negative; got .*-0.1"),
        (POINTS, point_line(2, score="nan"), "line 2: .* detector score not negative"),
        (POINTS, point_line(4, score="high"), "line 4: landmarks and score must be numbers"),
        (PAIRS, "5 7\n", r"line 1: '5 7' is not 3 whole numbers \(template, template, 1 or 0\)"),
        (PAIRS, "5 7 1\n5 9 0 0\n", "line 2: '5 9 0 0' is not 3 whole numbers"),
        (PAIRS, "5 7 1\n\n5 9 0\n", "line 2: '' is not 3 whole numbers"),
        (PAIRS, "5 7 1\n5 9.0 0\n", "line 2: '5 9.0 0' is not 3 whole numbers"),
        (PAIRS, "5 7 1\n5 8 0\n", "line 2: template 8 has no face in the list of media"),
        (PAIRS, "5 7 1\n12 5 0\n", "line 2: template 12 has no face in the list of media"),
        (PAIRS, "5 7 1\n5 9 2\n", "line 2: the label must be 1 .* or 0 .*, got 2"),
        (PAIRS, "5 7 1\n9 9 0\n", "line 2: template 9 is compared with itself"),
        (PAIRS, "5 7 1\n5 9 0\n5 7 1\n", "line 3: the pair of templates . and . stands in line 1"),
        (PAIRS, "5 7 1\n5 9 0\n7 5 1\n", "line 3: .* stands in line 1 already .the order"),
        (PAIRS, "5 7 1\n5 9 0\n7 5 0\n", "line 3: .* stands in line 1 already"),
        (PAIRS, "", "there is no pair in it"),
        (
            GALLERY,
            "5,100\n",
            "line 1 must be a header such as TEMPLATE_ID,SUBJECT_ID; it is '5,100'",
        ),
        (GALLERY, "TEMPLATE_ID\n5\n", "line 1 must be a header"),
        (GALLERY, "", "line 1 must be a header"),
        (GALLERY, "T,S\n", "there is no template in it"),
        (GALLERY, "T,S\n5\n", "line 2: '5' is not template, subject"),
        (GALLERY, "T,S\n5,x\n", "line 2: '5,x' is not template, subject"),
        (GALLERY, "T,S\n5,100\n8,100\n", "line 3: template 8 has no face"),
        (PROBES, "T,S\n7,100\n11,101\n7,100\n", "line 4: template 7 stands in line 2 already"),
    ],
)
def test_broken_lists_are_named_with_their_line(tmp_path, name, text, message):
    with pytest.raises(DataError, match=f"{re.escape(name)}: .*{message}"):
        read_meta(write(tmp_path, **{name: text}))


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        (POINTS, "name_5pts_score.txt: cannot read it: No such file.*Restore the file"),
        (PAIRS, "template_pair_label.txt: cannot read it"),
        (PROBES, "only the galleries are there. Add the missing files"),
        (MEDIA, "is not an IJB set: .* 0 such lists were found"),
    ],
)
def test_missing_lists_are_named(tmp_path, gone, message):
    (write(tmp_path) / "meta" / gone).unlink()
    with pytest.raises(DataError, match=message):
        read_meta(tmp_path)


def test_a_list_of_landmarks_that_ends_early_is_named(tmp_path):
    write(tmp_path, **{MEDIA: GOOD[MEDIA] + "e.jpg 11 1\n"})
    with pytest.raises(DataError, match=f"{POINTS}: ends after line 5, but .* 6 faces, next e.jpg"):
        read_meta(tmp_path)


def test_probes_without_galleries_and_a_folder_of_two_sets_are_refused(tmp_path):
    meta = write(tmp_path) / "meta"
    for path in meta.glob("*gallery*"):
        path.unlink()
    with pytest.raises(DataError, match="only the probes are there"):
        read_meta(tmp_path)
    (meta / "ijbb_face_tid_mid.txt").write_text("")
    with pytest.raises(DataError, match="2 such lists were found"):
        read_meta(tmp_path)
    (tmp_path / "loose_crop").rmdir()
    with pytest.raises(DataError, match="must have loose_crop/"):
        read_meta(tmp_path)


@pytest.mark.parametrize("name", [MEDIA, PROBES])
def test_what_is_no_text_is_named(tmp_path, name):
    (write(tmp_path) / "meta" / name).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=rf"{name}: not UTF-8 text"):
        read_meta(tmp_path)


ROWS = st.lists(st.lists(st.integers(0, 10**18 - 1), min_size=3, max_size=3), min_size=1)


@given(ROWS, st.integers(1, 60), st.booleans(), st.sampled_from([" ", "  ", "\t"]))
def test_blocks_of_any_size_give_the_same_rows(tmp_path_factory, rows, block, ends, gap):
    path = tmp_path_factory.mktemp("rows") / "rows.txt"
    text = "\n".join(gap.join(map(str, row)) for row in rows)
    path.write_text(text + "\n" * ends)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(number_rows, "_BLOCK", block)
        found = np.concatenate(list(read_number_rows(path, 3, "three")))
    assert found.tolist() == rows


@pytest.mark.parametrize("block", [1, 7, 1 << 24])
@pytest.mark.parametrize(
    "line",
    [
        "1 2",
        "1 2 3 4",
        "1 2 x",
        "",
        "1 2 3\u0661",
        "1 2 " + "9" * 19,
        "1  2",
        "1 2 3\x0b4",
        "1 2 3_0",
    ],
)
def test_a_bad_line_is_numbered_whatever_the_block(tmp_path, monkeypatch, block, line):
    monkeypatch.setattr(number_rows, "_BLOCK", block)
    path = tmp_path / "rows.txt"
    path.write_text(f"1 2 3\n4 5 6\n{line}\n7 8 9\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"rows\.txt: line 3: "):
        list(read_number_rows(path, 3, "three"))
