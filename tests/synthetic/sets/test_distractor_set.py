"""The MegaFace-like set, read back by its published layout."""

import json
from collections import Counter
from pathlib import Path

import pytest

from pocketface.data import open_faces
from pocketface.synthetic.sets.distractor_set import DistractorRecipe, list_sizes


@pytest.fixture
def written(make) -> Path:
    (made,) = make("megaface", scale=0.2)
    return made.path


def lines(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if not line.startswith("#")]


def test_at_scale_1_there_are_200_probes_and_2000_distractors() -> None:
    plan = DistractorRecipe().plan(4)
    assert plan.counts == {
        "probes": 200,
        "distractors": 2000,
        "noisy_probes": 4,
        "noisy_distractors": 8,
        "images": 2200,
    }
    assert list_sizes(2000) == [10, 100, 1000, 2000]
    assert list_sizes(100) == [10, 100]


def test_the_lists_name_the_files_that_are_there(written: Path) -> None:
    lists = written / "templatelists"
    probes = json.loads((lists / "facescrub_features_list.json").read_text())
    assert list(probes) == ["path", "id"]
    assert Counter(Counter(probes["id"]).values()) == {10: 4}
    assert all(path.startswith(f"{who}/{who}_") for path, who in zip(*probes.values(), strict=True))
    files = {
        p.relative_to(written / "facescrub").as_posix()
        for p in (written / "facescrub").glob("*/*.jpg")
    }
    assert files == set(probes["path"])
    assert len(open_faces(written / "facescrub")) == 40

    files = {
        p.relative_to(written / "megaface").as_posix()
        for p in (written / "megaface").glob("*/*/*.jpg")
    }
    found = {}
    for size in (10, 100, 400):
        content = json.loads((lists / f"megaface_features_list.json_{size}_1").read_text())
        assert list(content) == ["path"]
        assert len(content["path"]) == len(set(content["path"])) == size
        found[size] = content["path"]
    assert set(found[400]) == files
    assert len(list(lists.iterdir())) == 4
    for path in found[400]:
        first, owner, _ = path.split("/")
        assert owner.startswith(first)


def test_the_noise_lists_name_exactly_what_is_wrong(make) -> None:
    plan = DistractorRecipe(0.2).plan(5)
    (made,) = make("megaface", scale=0.2)
    people = [Counter(shot.person for shot in plan.shots[i : i + 10]) for i in range(0, 40, 10)]
    own = [count.most_common(1)[0][0] for count in people]
    wrong_probes = [i for i in range(40) if plan.shots[i].person != own[i // 10]]
    wrong_distractors = [i for i in range(40, 440) if plan.shots[i].person in own]
    assert wrong_probes
    assert wrong_distractors
    assert lines(made.path / "facescrub_noises.txt") == [
        plan.paths[i].split("/")[1] for i in wrong_probes
    ]
    assert lines(made.path / "megaface_noises.txt") == [plan.paths[i] for i in wrong_distractors]
    assert min(count.most_common(1)[0][1] for count in people) >= 9


def test_apart_from_the_noise_every_distractor_is_somebody_else() -> None:
    plan = DistractorRecipe(0.2).plan(6)
    probes = {shot.person for shot in plan.shots[: plan.probes]}
    clean = [plan.shots[i].person for i in range(plan.probes, 440) if i not in plan.noisy]
    assert not probes & set(clean)
    assert len(set(clean)) == len(clean)


def test_no_picture_is_there_twice() -> None:
    plan = DistractorRecipe(0.2).plan(7)
    assert len({(shot.person, shot.image) for shot in plan.shots}) == len(plan.shots)
    assert len(set(plan.paths)) == len(plan.paths)
