"""Training sets of synthetic people, read back by the readers of training sets."""

from pathlib import Path

import numpy as np

from pocketface.data import decode_rgb, open_faces
from pocketface.synthetic.population import Population
from pocketface.synthetic.sets.training_set import TrainingRecipe


def test_a_folder_per_person_is_read_back(make) -> None:
    (made,) = make("train", people=4, images_per_person=3, size=48)
    faces = open_faces(made.path)
    assert not faces.faults
    assert faces.people == [f"person_{i:06d}" for i in range(4)]
    assert faces.labels.tolist() == np.repeat(range(4), 3).tolist()
    assert faces.name(4) == "person_000001/person_000001_0002.jpg"
    assert decode_rgb(faces.encoded(0), "x").shape == (48, 48, 3)
    assert made.counts == {"people": 4, "images": 12}


def test_records_hold_the_same_bytes_as_the_folder(make, tmp_path: Path) -> None:
    make("train", root=tmp_path / "a")
    make("train", root=tmp_path / "b", layout="rec")
    assert {p.name for p in (tmp_path / "b" / "train").iterdir()} == {"train.rec", "train.idx"}
    folder, records = open_faces(tmp_path / "a" / "train"), open_faces(tmp_path / "b" / "train")
    assert folder.labels.tolist() == records.labels.tolist()
    assert [folder.encoded(i) for i in range(6)] == [records.encoded(i) for i in range(6)]


def test_a_person_is_spread_over_years_and_poses() -> None:
    plan = TrainingRecipe(people=100, images_per_person=10).plan(1)
    population = Population(1)
    nuisances = [shot.nuisance(population) for shot in plan.shots]
    ages = np.array([n.age for n in nuisances]).reshape(100, 10)
    assert ages.min() >= 18
    assert ages.max() <= 80
    assert 20 < np.ptp(ages, axis=1).mean() < 50
    assert np.abs([n.yaw for n in nuisances]).max() > 60


def test_the_first_people_of_a_larger_set_are_those_of_a_smaller_one() -> None:
    small = TrainingRecipe(people=3, images_per_person=4).plan(9)
    large = TrainingRecipe(people=8, images_per_person=4).plan(9)
    assert large.shots[:12] == small.shots
