"""What looking one's own people over finds: copies, double names, turned faces, broken images."""

import statistics
from importlib import resources

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pocketface.benchmarks.mean_face import turned_likeness
from pocketface.benchmarks.people import near_copies as copies_module
from pocketface.benchmarks.people import two_names as names_module
from pocketface.benchmarks.people.findings import findings
from pocketface.benchmarks.people.near_copies import near_copies, thumbnail
from pocketface.benchmarks.people.orientation import Candidate, not_upright, turned_images
from pocketface.benchmarks.people.two_names import ENOUGH, Suspicion, similarity_limit, two_names
from pocketface.benchmarks.people.usable import Usable, look_over
from pocketface.data import FolderFaces
from pocketface.errors import DataError


def unit_rows(generator, count, dimension):
    rows = generator.standard_normal((count, dimension))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def picture(seed, side=32):
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (4, 4, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))


@pytest.fixture
def average_face():
    """The average face as a crop, uint8 (112, 112, 3)."""
    path = resources.files("pocketface.benchmarks") / "mean_face.npy"
    with path.open("rb") as handle:
        stored = np.load(handle, allow_pickle=False).astype(np.float64)
    grey = np.interp(stored, (stored.min(), stored.max()), (0, 255)).astype(np.uint8)
    return np.asarray(Image.fromarray(grey).resize((112, 112)).convert("RGB"))


# What can be used


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def test_what_cannot_be_used_is_told_by_name_and_nothing_else_is_lost(tmp_path):
    for number in range(4):
        write(tmp_path / "Ann" / f"{number}.png", picture(number))
        write(tmp_path / "Bob" / f"{number}.png", picture(10 + number))
    write(tmp_path / "Ann" / "again.png", picture(2))
    write(tmp_path / "Bob" / "of_ann.png", picture(3))
    write(tmp_path / "Bob" / "wide.png", picture(20)[:20])
    write(tmp_path / "Bob" / "flat.png", np.full((32, 32, 3), 128, np.uint8))
    write(tmp_path / "Bob" / "grey.png", np.repeat(picture(21)[:, :, :1], 3, axis=2))
    (tmp_path / "Bob" / "cut.png").write_bytes((tmp_path / "Bob" / "0.png").read_bytes()[:60])
    (tmp_path / "Bob" / "notes.txt").write_text("no image")
    (tmp_path / "Nobody").mkdir()
    faces = FolderFaces(tmp_path)
    seen = []
    found = look_over(faces, lambda done, count: seen.append((done, count)))
    assert seen[-1] == (len(faces), len(faces))
    kept = [faces.name(int(row)) for row in found.rows]
    assert kept == [
        "Ann/0.png",
        "Ann/1.png",
        "Ann/2.png",
        "Bob/0.png",
        "Bob/1.png",
        "Bob/2.png",
        "Bob/3.png",
        "Bob/grey.png",
    ]
    reasons = dict(found.faults)
    assert set(reasons) == {
        "Bob/cut.png",
        "Bob/wide.png",
        "Bob/flat.png",
        "Bob/notes.txt",
        "Nobody",
    }
    assert reasons["Bob/wide.png"].startswith("32 x 20 pixels")
    assert "nearly alike" in reasons["Bob/flat.png"]
    assert found.copies == [("Ann/2.png", "Ann/again.png")]
    assert found.shared == [("Ann/3.png", "Bob/of_ann.png")]
    assert found.grey == ["Bob/grey.png"]


def test_a_set_of_which_nothing_can_be_used_is_refused(tmp_path):
    write(tmp_path / "Ann" / "wide.png", picture(0)[:20])
    with pytest.raises(DataError, match=r"none of the 1 images.*Ann/wide\.png, 32 x 20.*align"):
        look_over(FolderFaces(tmp_path))


# Near copies


@settings(max_examples=25)
@given(seed=st.integers(0, 1000), strip=st.integers(1, 40))
def test_near_copies_are_those_of_two_loops(seed, strip):
    generator = np.random.default_rng(seed)
    count = 9
    directions = unit_rows(generator, count, 3)
    directions[5] = directions[1]
    directions[7] = directions[2]
    looks = np.stack([thumbnail(picture(k)) for k in range(count)])
    looks[5] = thumbnail(picture(1)[:, ::-1])  # a mirrored copy
    looks[8] = looks[0]  # alike to look at, not to the network
    wanted = set()
    for i in range(count):
        for j in range(i + 1, count):
            mirror = looks[j].reshape(16, 16)[:, ::-1].ravel()
            look = max(float(looks[i] @ looks[j]), float(looks[i] @ mirror))
            if float(directions[i] @ directions[j]) >= 0.9 and look >= 0.985:
                wanted.add((i, j))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(copies_module, "_STRIP", strip)
        found = near_copies(directions, looks)
    assert {(pair.left, pair.right) for pair in found} == wanted
    assert (1, 5) in wanted
    assert [p.similarity for p in found] == sorted((p.similarity for p in found), reverse=True)


def test_a_thumbnail_is_the_same_for_another_contrast_and_size():
    one = picture(4, 64)
    softer = (one * 0.5 + 60).astype(np.uint8)
    smaller = np.asarray(Image.fromarray(one).resize((48, 48), Image.Resampling.BICUBIC))
    for other in (softer, smaller):
        assert thumbnail(one) @ thumbnail(other) > 0.99
    assert thumbnail(one) @ thumbnail(picture(5, 64)) < 0.9


# Two names


def test_a_person_under_two_names_is_found_and_nobody_else():
    generator = np.random.default_rng(0)
    templates = unit_rows(generator, 60, 64)
    templates[41] = templates[7] + 0.08 * generator.standard_normal(64)
    templates[41] /= np.linalg.norm(templates[41])
    found = two_names(templates)
    assert [(pair.left, pair.right) for pair in found.pairs] == [(7, 41)]
    assert found.pairs[0].similarity == pytest.approx(float(templates[7] @ templates[41]), abs=1e-6)
    assert 0 < found.limit < found.pairs[0].similarity
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(names_module, "_STRIP", 130)
        (again,) = two_names(templates).pairs
    assert again[:2] == (7, 41)
    assert again.similarity == pytest.approx(found.pairs[0].similarity, abs=1e-6)


def test_the_limit_is_that_of_a_plain_computation():
    templates = unit_rows(np.random.default_rng(1), 12, 8)
    values = [float(templates[i] @ templates[j]) for i in range(12) for j in range(i)]
    middle = statistics.median(values)
    spread = statistics.median(abs(value - middle) for value in values) * 1.482602
    chance = statistics.NormalDist(middle, spread).cdf(similarity_limit(templates))
    assert (1 - chance) * len(values) == pytest.approx(names_module.EXPECTED, rel=1e-3)


def test_too_few_people_are_not_judged():
    templates = np.ones((ENOUGH - 1, 4), np.float32) / 2
    assert two_names(templates) == Suspicion([], None)


# Orientation


def test_turned_likeness_turns_with_the_crop(average_face):
    upright = turned_likeness(average_face)
    assert upright[0] > 0.9
    for k in range(1, 4):
        turned = np.ascontiguousarray(np.rot90(average_face, k))
        np.testing.assert_allclose(turned_likeness(turned), np.roll(upright, -k), atol=1e-3)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_turned_crop_is_found_with_the_way_back(average_face, quarters):
    assert not_upright(average_face) is None
    lying = np.ascontiguousarray(np.rot90(average_face, -quarters))
    found = not_upright(lying)
    assert found.quarters == quarters
    assert np.array_equal(np.rot90(lying, found.quarters), average_face)
    assert not_upright(picture(3, 112)) is None


class Corners:
    """A network that looks at the brightness of the four corners, so that it knows a turn."""

    embedding_size = 4

    def embed(self, images):
        half = images.shape[1] // 2
        parts = (images[:, :half, :half], images[:, :half, half:])
        parts += (images[:, half:, :half], images[:, half:, half:])
        return np.stack([part.mean(axis=(1, 2, 3)) for part in parts], axis=1).astype(np.float32)


def test_the_network_decides_where_the_person_has_other_images():
    upright = np.zeros((8, 8, 3), np.uint8)
    upright[:4, :4] = 200
    lying = np.ascontiguousarray(np.rot90(upright, -1))
    crops = [upright, upright, lying, upright, lying, lying]
    people = np.array([0, 0, 0, 1, 2, 3])
    rows = Corners().embed(np.stack(crops)).astype(np.float64)
    directions = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    sure, doubtful = Candidate(1, 0.6, 0.5), Candidate(1, 0.25, 0.12)
    candidates = {0: sure, 2: doubtful, 4: sure, 5: doubtful}
    found = turned_images(
        candidates, dict(enumerate(crops)), directions, people, Corners(), flip=False
    )
    # 0 stands as the person's other image does; of person 3 nothing else is known.
    assert [(one.image, one.confirmed) for one in found] == [(2, True), (4, False)]
    assert found[0].words == "turned 90 degrees clockwise"
    assert found[0].direction @ directions[0] == pytest.approx(1)
    assert turned_images({}, {}, directions, people, Corners(), flip=False) == []


# In words


def test_all_checks_are_told_also_where_nothing_was_found():
    usable = Usable(np.arange(3), [], [], [], [])
    clean = findings(usable, [], [], [], Suspicion([], 0.5), [], [])
    assert [one.count for one in clean] == [0] * 8
    assert not any(one.sentence().startswith("Warning") for one in clean)
    assert len({one.check for one in clean}) == 8
    many = Usable(np.arange(3), [], [("a", f"b{k}") for k in range(200)], [], ["g"])
    told = {one.check: one for one in findings(many, [], [], [], Suspicion([], None), [], ["Ann"])}
    assert told["copies"].count == 200
    assert len(told["copies"].names) == 100
    assert told["copies"].sentence().startswith("Warning: 200 images are")
    assert told["copies"].sentence().endswith("b4 = a; and 195 more.")
    assert told["one image"].sentence().startswith("1 person with one image")
    assert "Too few people" in told["two names"].sentence()
