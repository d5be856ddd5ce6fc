"""What is shown as wrong: the worst of each probe, without what was replaced."""

import numpy as np
import pytest

from pocketface.benchmarks.megaface.measure import Comparison, measure
from pocketface.benchmarks.megaface.worst import worst_cases

NAMES = tuple(f"p{i}.png" for i in range(30)), tuple(f"d{i}.jpg" for i in range(400))


@pytest.fixture
def figures():
    generator = np.random.default_rng(2)
    (found,) = measure(
        Comparison(
            generator.standard_normal((30, 6)),
            np.repeat(np.arange(10), 3),
            generator.standard_normal((400, 6)),
            {400: np.arange(400)},
            ("raw",),
            np.zeros(30, np.bool_),
            np.zeros(400, np.bool_),
        ),
        replicates=0,
        generator=generator,
    )
    return found


def captions(figures, replaced):
    def nothing(_):
        return None

    groups = worst_cases(figures, (NAMES[0], nothing), (NAMES[1], nothing), replaced)
    assert all(case.images == [] for group in groups for case in group.cases)
    return [[case.caption.split("\n") for case in group.cases] for group in groups]


def test_the_worst_of_each_probe_come_in_order(figures):
    matches, misses = captions(figures, np.zeros(30, np.bool_))
    order = np.argsort(-figures.tail.similarity, kind="stable")
    wanted = {}
    for entry in order.tolist():
        probe = NAMES[0][figures.tail.probe[entry]]
        wanted.setdefault(probe, [probe, NAMES[1][figures.tail.distractor[entry]]])
    assert matches == list(wanted.values())[:8]
    wanted = {}
    for pair in np.argsort(figures.genuine, kind="stable").tolist():
        first, second = int(figures.enrolled[pair]), int(figures.probe[pair])
        if first < second:  # of two orders, one
            wanted.setdefault(second, [NAMES[0][first], NAMES[0][second]])
    assert misses == list(wanted.values())[:8]


def test_what_was_replaced_has_no_picture_and_is_not_shown(figures):
    matches, misses = captions(figures, np.zeros(30, np.bool_))
    hidden = {matches[0][0], misses[0][0], misses[1][1]}
    replaced = np.array([name in hidden for name in NAMES[0]])
    others = captions(figures, replaced)
    assert not hidden & {name for group in others for pair in group for name in pair}
    assert [len(group) for group in others] == [8, 8]
