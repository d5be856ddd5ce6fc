import json
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from pocketface.cli.main import app
from pocketface.data.inspection import SAMPLE, count_people, inspect_path
from pocketface.data.pairs import load_pairs
from pocketface.data.record_writer import write_faces
from pocketface.errors import DataError, RecipeError


def run(*arguments):
    result = CliRunner().invoke(app, ["data", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0
    return result.stdout


@pytest.fixture
def pairs_file(tmp_path):
    path = tmp_path / "pairs.json"
    path.write_text(
        json.dumps(
            [
                ["Ann/Ann_0001.jpg", "Ann/Ann_0002.jpg", 1],
                ["Ann/Ann_0001.jpg", "Bob/Bob_0001.jpg", 0],
            ]
        )
    )
    return path


def test_folder_with_faults(people_folder, draw_jpeg):
    (people_folder / "Zoe").mkdir()
    (people_folder / "Cid/Cid_0002.jpg").write_bytes(draw_jpeg(1)[:-40])
    (people_folder / "Cid/Cid_0001.jpg").write_bytes(draw_jpeg(1, size=24))
    found = inspect_path(people_folder)
    assert (found.format, found.images, found.decoded) == ("folder", 6, 6)
    assert found.people.people == 3
    assert (found.people.fewest, found.people.median, found.people.most) == (1, 2.0, 3)
    assert found.people.single == 1
    assert found.people.histogram == {"1": 1, "2": 1, "3-4": 1}
    assert list(found.sizes.items()) == [("16x16", 4), ("24x24", 1)]
    assert [fault.name for fault in found.faults] == ["Zoe", "Cid/Cid_0002.jpg"]
    assert not found.faults[1].reason.startswith("Cid")
    text = run("inspect", people_folder)
    assert "people     3, of whom 1 have one image only" in text
    assert "16x16: 4 | 24x24: 1" in text
    assert "faults     2\n" in text
    assert "Cid/Cid_0002.jpg: cannot decode" in text
    assert f"next: pocketface train RECIPE --data {people_folder}" in text


@pytest.mark.parametrize("counts", [[1], [2, 2], [3, 4, 5, 8, 9, 16, 17], [1, 64, 65], [1000]])
def test_histogram_against_a_loop(counts):
    faces = SimpleNamespace(labels=np.repeat(np.arange(len(counts)), counts), people=counts)
    histogram = count_people(faces).histogram
    assert sum(histogram.values()) == len(counts)
    for bucket, people in histogram.items():
        first, _, last = bucket.partition("-")
        assert people == sum(int(first) <= count <= int(last or first) for count in counts)


def test_record_file_and_sample(tmp_path, draw_jpeg):
    images = [draw_jpeg(seed) for seed in range(4)]
    write_faces(tmp_path / "train.rec", [1500, 4], [*images[:1] * 1500, *images])
    calls = []
    found = inspect_path(tmp_path, progress=lambda done, total: calls.append((done, total)))
    assert (found.format, found.images, found.decoded) == ("rec", 1504, SAMPLE)
    assert calls[-1] == (SAMPLE, SAMPLE)
    every = inspect_path(tmp_path / "train.rec", every=True)
    assert every.decoded == 1504
    assert every.sizes == {"16x16": 1504}
    assert "a sample; --all" in run("inspect", tmp_path)
    assert "a sample; --all" not in run("inspect", tmp_path, "--all")


def test_list_bin_and_image(tmp_path, people_folder, pairs_file):
    alone = inspect_path(pairs_file)
    assert (alone.format, alone.images, alone.decoded) == ("pairs", 3, 0)
    assert (alone.pairs.pairs, alone.pairs.same, alone.pairs.different) == (2, 1, 1)
    assert "faults" not in run("inspect", pairs_file)
    with_images = inspect_path(pairs_file, people_folder)
    assert with_images.sizes == {"16x16": 3}
    image = inspect_path(people_folder / "Bob/Bob_0001.jpg")
    assert (image.format, image.sizes) == ("image", {"16x16": 1})
    run("make-bin", people_folder, pairs_file, tmp_path / "x.bin")
    made = inspect_path(tmp_path / "x.bin")
    assert (made.format, made.images, made.decoded) == ("bin", 3, 3)


def test_json_is_for_a_program(people_folder):
    (people_folder / "Zoe").mkdir()
    report = json.loads(run("inspect", people_folder, "--json"))
    assert report["format"] == "folder"
    assert report["people"]["most"] == 3
    assert report["faults"] == [{"name": "Zoe", "reason": "a person without an image"}]


def test_unknown_formats(tmp_path):
    (tmp_path / "notes.md").write_text("x")
    with pytest.raises(DataError, match="of no known format"):
        inspect_path(tmp_path / "notes.md")
    with pytest.raises(DataError, match="no such file or folder"):
        inspect_path(tmp_path / "absent")


def test_make_bin(tmp_path, people_folder, pairs_file):
    out = tmp_path / "made" / "faces.bin"
    text = run("make-bin", people_folder, pairs_file, out)
    assert "2 pairs of 3 images" in text
    assert "note: sizes are 16x16 (3)" in text
    assert "fold" not in text
    assert f"next: pocketface evaluate WEIGHTS {out}" in text
    assert load_pairs(out).same.tolist() == [True, False]
    with pytest.raises(RecipeError, match="is there already"):
        run("make-bin", people_folder, pairs_file, out)
    lfw = tmp_path / "pairs.txt"
    lfw.write_text("1\t2\nAnn\t1\t2\nAnn\t2\t3\nAnn\t1\tBob\t1\nBob\t1\tCid\t2\n")
    text = run("make-bin", people_folder, lfw, out, "--overwrite")
    assert "note: a .bin has no fold count: the list's 1 will be read as 4." in text
    assert len(load_pairs(out)) == 4
    with pytest.raises(RecipeError, match=r"must end with \.bin"):
        run("make-bin", people_folder, pairs_file, tmp_path / "x.pkl")


def test_make_bin_refuses_broken_images(tmp_path, people_folder, pairs_file):
    broken = people_folder / "Bob/Bob_0001.jpg"
    broken.write_bytes(broken.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"1 of 3 images cannot be used; the first: Bob/Bob_0001"):
        run("make-bin", people_folder, pairs_file, tmp_path / "x.bin")
    assert not (tmp_path / "x.bin").exists()
