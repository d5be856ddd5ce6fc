"""IJB-like sets, read back by parsers of our own that know only the published layout."""

import csv
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from pocketface.data.jpeg import decode_rgb
from pocketface.synthetic.nuisance import Nuisance
from pocketface.synthetic.population import Population
from pocketface.synthetic.sets.detector import detect
from pocketface.synthetic.sets.template_sets import TemplateRecipe

NAMES = ("ijbb", "ijbc")
FOLDER = {"ijbb": "IJBB", "ijbc": "IJBC"}
GALLERIES = {"ijbb": ("S1", "S2"), "ijbc": ("G1", "G2")}


def rows(path: Path) -> list[list[str]]:
    return [line.split(" ") for line in path.read_text().splitlines()]


def table(path: Path) -> dict[int, str]:
    with path.open() as handle:
        reader = csv.reader(handle)
        header = next(reader)
        assert len(header) == 2
        content = [(int(template), subject) for template, subject in reader]
    assert len(dict(content)) == len(content)
    return dict(content)


@pytest.mark.parametrize("name", NAMES)
def test_at_scale_1_there_are_200_people_and_1000_templates(name: str) -> None:
    plan = TemplateRecipe(name).plan(2)
    assert plan.counts["people"] == 200
    assert plan.counts["templates"] == 1000
    assert 2000 < plan.counts["images"] < 5000
    assert plan.counts["pairs"] == 200 * 800
    assert len(plan.gallery[0]) == len(plan.gallery[1]) == 100


@pytest.fixture(params=NAMES)
def written(request, make) -> tuple[str, Path]:
    (made,) = make(request.param, scale=0.03)
    assert made.path.name == FOLDER[request.param]
    return request.param, made.path


def test_the_faces_stand_in_one_order_in_both_lists_and_on_disk(written: tuple[str, Path]) -> None:
    name, root = written
    media = rows(root / "meta" / f"{name}_face_tid_mid.txt")
    points = rows(root / "meta" / f"{name}_name_5pts_score.txt")
    assert all(len(row) == 3 for row in media)
    assert all(len(row) == 12 for row in points)
    assert [row[0] for row in media] == [row[0] for row in points]
    assert {row[0] for row in media} == {file.name for file in (root / "loose_crop").iterdir()}
    for row in points:
        pixels = decode_rgb((root / "loose_crop" / row[0]).read_bytes(), row[0])
        assert pixels.shape[0] == pixels.shape[1] in (128, 160, 192)
        assert 0 < float(row[11]) < 1


def test_templates_are_stills_and_frames_that_share_a_medium(written: tuple[str, Path]) -> None:
    name, root = written
    faces: dict[int, list[int]] = defaultdict(list)
    of_medium: dict[int, set[int]] = defaultdict(set)
    for _, template, medium in rows(root / "meta" / f"{name}_face_tid_mid.txt"):
        faces[int(template)].append(int(medium))
        of_medium[int(medium)].add(int(template))
    frames = [max(Counter(media).values()) for media in faces.values()]
    assert max(frames) >= 2
    assert min(frames) == 1
    assert max(len(templates) for templates in of_medium.values()) >= 2
    everyone = _subjects(name, root)
    assert set(faces) == set(everyone)
    for templates in of_medium.values():
        assert len({everyone[template] for template in templates}) == 1
    order = [int(row[1]) for row in rows(root / "meta" / f"{name}_face_tid_mid.txt")]
    assert order != sorted(order)


def _subjects(name: str, root: Path) -> dict[int, str]:
    stems = [f"gallery_{gallery}" for gallery in GALLERIES[name]] + ["probe_mixed"]
    subjects: dict[int, str] = {}
    for stem in stems:
        subjects |= table(root / "meta" / f"{name}_1N_{stem}.csv")
    return subjects


def test_galleries_share_nobody_and_every_probe_is_in_one(written: tuple[str, Path]) -> None:
    name, root = written
    first, second = (
        table(root / "meta" / f"{name}_1N_gallery_{gallery}.csv") for gallery in GALLERIES[name]
    )
    probe = table(root / "meta" / f"{name}_1N_probe_mixed.csv")
    assert not set(first.values()) & set(second.values())
    assert len(first) == len(set(first.values()))
    assert set(probe.values()) == set(first.values()) | set(second.values())
    assert not set(probe) & (set(first) | set(second))


def test_pairs_are_gallery_against_probe_with_true_answers(written: tuple[str, Path]) -> None:
    name, root = written
    everyone = _subjects(name, root)
    galleries = [table(root / "meta" / f"{name}_1N_gallery_{g}.csv") for g in GALLERIES[name]]
    gallery = galleries[0] | galleries[1]
    probe = table(root / "meta" / f"{name}_1N_probe_mixed.csv")
    seen = set()
    genuine = 0
    for left, right, label in rows(root / "meta" / f"{name}_template_pair_label.txt"):
        assert int(left) in gallery
        assert int(right) in probe
        assert label == str(int(everyone[int(left)] == everyone[int(right)]))
        genuine += label == "1"
        seen.add((left, right))
    assert genuine == len(probe)
    assert len(seen) == len(gallery) * len(probe)


def test_frames_of_one_video_share_the_day_and_differ_in_the_moment() -> None:
    plan = TemplateRecipe("ijbc", 0.05).plan(3)
    population = Population(3)
    videos: dict[int, list[Nuisance]] = defaultdict(list)
    for shot, medium in zip(plan.shots, plan.media.tolist(), strict=True):
        if shot.frame is not None:
            videos[medium].append(shot.nuisance(population))
    assert videos
    for frames in videos.values():
        assert len({frame.yaw for frame in frames}) == len(frames)
        assert len({frame.age for frame in frames}) == 1
        assert len({frame.clothes.tobytes() for frame in frames}) == 1
        assert len({frame.resolution for frame in frames}) == 1


def test_the_impostor_pairs_are_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pocketface.synthetic.sets.template_sets.IMPOSTORS_PER_GENUINE", 3)
    pairs = TemplateRecipe("ijbb", 0.05).plan(0).pairs
    genuine = int(pairs[:, 2].sum())
    assert len(pairs) == 4 * genuine
    assert len({(left, right) for left, right, _ in pairs.tolist()}) == len(pairs)


def test_the_detector_is_less_sure_of_turned_blurred_coarse_and_masked_faces() -> None:
    good = Nuisance(blur=0.6)
    worse = [
        good.but(yaw=70.0),
        good.but(yaw=-70.0),
        good.but(blur=3.0),
        good.but(resolution=40.0),
        good.but(mask=1.0),
    ]
    points = np.full((5, 2), 60, np.float32)

    def score(nuisance: Nuisance) -> float:
        return detect(nuisance, points, 160, np.random.default_rng(1)).score

    assert all(score(nuisance) < score(good) - 0.05 for nuisance in worse)


def test_the_detected_landmarks_are_off_as_in_an_aligned_crop() -> None:
    shift = np.array([[1.0, -2.0]] * 5)
    points = np.full((5, 2), 60, np.float32)
    found = detect(Nuisance(landmark_shift=shift), points, 330, np.random.default_rng(0)).landmarks
    # 330 pixels over 330 mm: a pixel of an aligned crop (200 mm) is 200 / 112 of these.
    assert found == pytest.approx(points + shift * 200 / 112, rel=1e-5)
