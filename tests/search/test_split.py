"""The two halves of the images: disjoint, complete, equal person by person."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketface.data import FolderFaces
from pocketface.errors import DataError, RecipeError
from pocketface.search.split import halves, split_faces


@settings(deadline=None, max_examples=50)
@given(counts=st.lists(st.integers(1, 9), min_size=1, max_size=8), seed=st.integers(0, 2**32))
def test_the_halves_never_mix_and_are_equal_for_each_person(counts: list[int], seed: int) -> None:
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    first, second = halves(labels, seed)
    assert sorted([*first.tolist(), *second.tolist()]) == list(range(len(labels)))
    for person in range(len(counts)):
        sizes = [int((labels[half] == person).sum()) for half in (first, second)]
        assert abs(sizes[0] - sizes[1]) == counts[person] % 2
    assert 0 <= len(first) - len(second) <= 1
    again = halves(labels, seed)
    assert np.array_equal(first, again[0])
    assert np.array_equal(second, again[1])


def test_another_seed_gives_other_halves() -> None:
    labels = np.repeat(np.arange(4), 10)
    assert not np.array_equal(halves(labels, 0)[0], halves(labels, 1)[0])


def test_a_half_shows_the_images_of_the_whole(tmp_path, coarse_people) -> None:
    faces = FolderFaces(coarse_people(tmp_path / "people", people=3, images=4))
    first, second = split_faces(faces, seed=0, batch_size=6)
    assert len(first) == len(second) == 6
    for half in (first, second):
        for place, index in enumerate(half.indices.tolist()):
            assert half.name(place) == faces.name(index)
            assert half.encoded(place) == faces.encoded(index)
            assert half.labels[place] == faces.labels[index]
        assert list(half.people) == list(faces.people)
    assert len({faces.fingerprint(), first.fingerprint(), second.fingerprint()}) == 3
    names = [{half.name(place) for place in range(6)} for half in (first, second)]
    assert not names[0] & names[1]


def test_too_few_images_and_too_few_people_are_refused(tmp_path, coarse_people) -> None:
    faces = FolderFaces(coarse_people(tmp_path / "people", people=3, images=4))
    with pytest.raises(RecipeError, match="half of the 12 images are 6, fewer than one batch of 7"):
        split_faces(faces, seed=0, batch_size=7)
    alone = FolderFaces(coarse_people(tmp_path / "alone", people=1, images=4))
    with pytest.raises(DataError, match="of 1 person"):
        split_faces(alone, seed=0, batch_size=2)
    faces.labels = faces.labels - 1
    with pytest.raises(DataError, match="4 images are of nobody known"):
        split_faces(faces, seed=0, batch_size=2)
