"""Batches with groups of a person: who is in them, and that nothing but seed and step decides."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketface.errors import RecipeError
from pocketface.train.augment import AugmentConfig
from pocketface.train.loader import FaceLoader, Share
from pocketface.train.sampler import Sampler

# Persons 0 to 9 have 1 to 10 images, in a mixed order; six images are of nobody known.
LABELS = np.random.default_rng(0).permutation(
    [p for p in range(10) for _ in range(p + 1)] + [-1] * 6
)


def test_without_groups_it_is_the_plain_permutation():
    sampler = Sampler(LABELS, 8, seed=3)
    order = np.random.default_rng((3, 2)).permutation(len(LABELS))
    batches = list(sampler.batches(2))
    assert sampler.steps == len(batches) == 7
    assert np.array_equal(np.concatenate(batches), order[:56])


@settings(deadline=None, max_examples=40)
@given(
    batch=st.integers(8, 30),
    share=st.sampled_from([0.25, 0.5, 1.0]),
    per_person=st.integers(2, 4),
    seed=st.integers(0, 100),
    epoch=st.integers(0, 5),
)
def test_groups_are_of_different_people_and_of_different_images(
    batch, share, per_person, seed, epoch
):
    groups = min(max(1, round(batch * share / per_person)), batch // per_person)
    if groups > 11 - per_person:  # person p has p + 1 images
        return
    sampler = Sampler(LABELS, batch, seed, share, per_person)
    plain = np.random.default_rng((seed, epoch)).permutation(len(LABELS))
    size = batch - groups * per_person
    for step, indices in enumerate(sampler.batches(epoch)):
        assert len(indices) == batch
        rest = Counter(plain[step * size : (step + 1) * size].tolist())
        drawn = Counter(indices.tolist())
        assert not rest - drawn
        grouped = drawn - rest
        assert max(grouped.values()) == 1  # no image twice among the groups
        people = Counter(LABELS[list(grouped)].tolist())
        assert set(people.values()) == {per_person}
        assert len(people) == groups
        assert min(people) >= per_person - 1  # person p has p + 1 images


def test_all_who_have_enough_images_come_equally_often():
    sampler = Sampler(LABELS, 8, 0, 1.0, 4)
    counts = Counter(
        int(label)
        for epoch in range(120)
        for batch in sampler.batches(epoch)
        for label in set(LABELS[batch].tolist())
    )
    assert set(counts) == set(range(3, 10))
    expected = 120 * 7 * 2 / 7
    assert all(abs(count - expected) < 5 * expected**0.5 for count in counts.values())


def test_a_later_start_gives_the_tail_and_seed_and_epoch_decide():
    def batches(seed=0, epoch=1, start=0):
        return [b.tolist() for b in Sampler(LABELS, 8, seed, 0.5, 3).batches(epoch, start)]

    assert batches() == batches()
    assert batches(start=4) == batches()[4:]
    assert batches() != batches(seed=1)
    assert batches() != batches(epoch=2)
    groups_alone = [tuple(sorted(batch)) for batch in Sampler(LABELS, 8, 0, 1.0, 4).batches(1)]
    assert len(set(groups_alone)) == 7


def test_groups_are_spread_over_the_batch():
    sampler = Sampler(LABELS, 16, 0, 0.5, 4)
    order = np.random.default_rng((0, 1)).permutation(len(LABELS))
    ahead = []
    for step, batch in enumerate(sampler.batches(1)):
        rest = set(order[8 * step : 8 * step + 8].tolist())
        ahead.append(sum(image not in rest for image in batch[:8].tolist()))
    assert min(ahead) > 0
    assert max(ahead) < 8


def test_two_shares_are_one_batch_and_each_has_groups(tiny_faces):
    def loader(size: int, share: Share) -> FaceLoader:
        return FaceLoader(
            tiny_faces, image_size=32, global_batch=size, seed=0, augment=AugmentConfig(),
            share=share, in_memory=True, balanced_share=0.5, per_person=4,
        )  # fmt: skip

    whole = list(loader(16, Share()).epoch(0))
    halves = [list(loader(16, Share(rank, 2)).epoch(0)) for rank in (0, 1)]
    assert len(whole) == 1
    joined = [*halves[0][0].indices.tolist(), *halves[1][0].indices.tolist()]
    assert joined == whole[0].indices.tolist()
    assert max(Counter(whole[0].labels.tolist()).values()) >= 4


@pytest.mark.parametrize(
    ("batch", "share", "per_person", "message"),
    [
        (8, 1.0, 9, r"a batch of 8 images cannot hold groups of sampler.per_person: 9"),
        (16, 1.0, 8, None),
        (16, 1.0, 2, None),
        (24, 1.0, 8, None),
        (32, 1.0, 8, r"3 people have at least 8 images, .* groups of 4 people .*: 1.0\)"),
    ],
)
def test_groups_that_cannot_be_had_are_refused(batch, share, per_person, message):
    if message is None:
        Sampler(LABELS, batch, 0, share, per_person)
        return
    with pytest.raises(RecipeError, match=message):
        Sampler(LABELS, batch, 0, share, per_person)


def test_a_recipe_decides_over_the_loss(tiny_recipe):
    ekd = {"teacher": "t", "loss": "ekd"}
    assert tiny_recipe().balanced_share == 0.0
    assert tiny_recipe(distill=ekd).balanced_share == 0.5
    assert tiny_recipe(distill=ekd, sampler={"balanced_share": 0.0}).balanced_share == 0.0
    assert tiny_recipe(sampler={"balanced_share": 0.25}).balanced_share == 0.25
