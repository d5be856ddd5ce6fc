"""Images that nobody has are counted and limited; a noisy probe becomes its person's clean sum."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketface.benchmarks.megaface.lists import (
    PROBE_LIST,
    join_distractor_lists,
    read_probe_list,
    write_probe_list,
)
from pocketface.benchmarks.megaface.missing import present_only
from pocketface.benchmarks.megaface.refinement import clean_replacements
from pocketface.embedding.unit import unit
from pocketface.errors import DataError


@pytest.fixture
def listed(tmp_path):
    """20 probes of 5 people and 40 distractors, all there."""
    paths = [f"p{i // 4}/{i}.png" for i in range(20)]
    write_probe_list(tmp_path / PROBE_LIST, paths, [path.split("/")[0] for path in paths])
    probes = read_probe_list(tmp_path / PROBE_LIST)
    others = [f"d/{i}.jpg" for i in range(40)]
    distractors = join_distractor_lists({10: tuple(others[5:15]), 40: tuple(others)})
    files = tuple(
        [tmp_path / kind / path for path in part.paths]
        for kind, part in (("probes", probes), ("distractors", distractors))
    )
    for file in (*files[0], *files[1]):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return probes, distractors, files


def test_nothing_missing_changes_nothing(listed):
    probes, distractors, files = listed
    found = present_only(probes, distractors, files, 0.0)
    assert found[0] is probes
    assert found[1] is distractors


def test_what_is_missing_is_left_out_of_every_list_up_to_the_limit(listed):
    probes, distractors, files = listed
    for file in (files[0][6], files[1][7], files[1][30]):
        file.unlink()
    kept, others = present_only(probes, distractors, files, 0.05)
    assert kept.paths == tuple(p for i, p in enumerate(probes.paths) if i != 6)
    assert np.bincount(kept.person).tolist() == [4, 3, 4, 4, 4]
    assert {size: len(rows) for size, rows in others.chosen.items()} == {10: 9, 40: 38}
    assert "d/7.jpg" not in others.paths
    with pytest.raises(
        DataError, match=r"1 of 20 probes are missing, first .*p1/6\.png\. At most 0\.04.*\(0\)"
    ):
        present_only(probes, distractors, files, 0.04)
    files[1][31].unlink()
    with pytest.raises(
        DataError, match=r"3 of 40 distractors are missing, first .*d/7\.jpg, .*\(2\).*--missing-l"
    ):
        present_only(probes, distractors, files, 0.05)


@pytest.mark.parametrize("kind", [0, 1])
def test_all_missing_is_never_allowed(listed, kind):
    probes, distractors, files = listed
    for file in files[kind]:
        file.unlink()
    name = ("20 probes", "40 distractors")[kind]
    with pytest.raises(DataError, match=f"all {name} are missing"):
        present_only(probes, distractors, files, 1.0)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.data())
def test_a_noisy_probe_becomes_the_unit_sum_of_its_persons_clean_ones(seed, data):
    generator = np.random.default_rng(seed)
    person = generator.integers(3, size=12)
    directions = unit(generator.standard_normal((12, 4)))
    noisy = np.array(data.draw(st.lists(st.booleans(), min_size=12, max_size=12)))
    owners = set(person[noisy].tolist())
    if any(noisy[person == owner].all() for owner in owners):
        with pytest.raises(DataError, match="has no clean image"):
            clean_replacements(directions, person, noisy)
        return
    found = clean_replacements(directions, person, noisy)
    assert len(found) == noisy.sum()
    for row, probe in zip(found, np.flatnonzero(noisy), strict=True):
        total = np.zeros(4)
        for other in range(12):
            if person[other] == person[probe] and not noisy[other]:
                total += directions[other]
        np.testing.assert_allclose(row, total / math.dist(total, np.zeros(4)), atol=1e-14)


def test_clean_images_that_cancel_out_are_refused():
    directions = np.array([[1.0, 0], [-1.0, 0], [0, 1.0]])
    with pytest.raises(DataError, match=r"person number 0 .* images that cancel out"):
        clean_replacements(directions, np.zeros(3, np.int64), np.array([False, False, True]))
