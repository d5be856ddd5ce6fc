"""The fold protocol against plain loops over thresholds, folds and pairs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketface.benchmarks.folds import (
    ACCURACY_GRID,
    TAR_GRID,
    FoldTally,
    fold_accuracy,
    fold_numbers,
    fold_tar,
)
from pocketface.errors import DataError


def loop_accuracy(distances, same, fold):
    """Per fold: test accuracy and threshold, by the words of the protocol."""
    accuracies, thresholds = [], []
    for test in range(fold.max() + 1):
        best, best_threshold = -1.0, None
        for threshold in ACCURACY_GRID:
            right = [
                (d < threshold) == s
                for d, s, f in zip(distances, same, fold, strict=True)
                if f != test
            ]
            accuracy = sum(right) / len(right)
            if accuracy > best:  # strictly: the first maximum stays
                best, best_threshold = accuracy, threshold
        right = [
            (d < best_threshold) == s
            for d, s, f in zip(distances, same, fold, strict=True)
            if f == test
        ]
        accuracies.append(sum(right) / len(right))
        thresholds.append(best_threshold)
    return accuracies, thresholds


def loop_tar(distances, same, fold, far):
    """Per fold: TAR, FAR and threshold, by the words of our rule."""
    tars, fars, thresholds = [], [], []
    for test in range(fold.max() + 1):
        impostors = distances[~same & (fold != test)]
        chosen, reached = 0.0, False
        for threshold in TAR_GRID:
            share = (impostors < threshold).sum() / len(impostors)
            if share <= far:
                chosen = threshold
            if share >= far:
                reached = True
        if not reached:
            chosen = 0.0
        genuine, others = distances[same & (fold == test)], distances[~same & (fold == test)]
        tars.append((genuine < chosen).mean())
        fars.append((others < chosen).mean())
        thresholds.append(chosen)
    return tars, fars, thresholds


def draw_pairs(seed, pairs, *, decimals=None, overlap=1.0):
    """Distances of mixed quality; rounding them makes ties and values on the grid itself."""
    generator = np.random.default_rng(seed)
    same = generator.random(pairs) < 0.5
    same[0::4], same[1::4] = True, False  # every fold has both kinds
    distances = np.clip(
        np.where(same, 1.2, 1.2 + 0.8 / overlap) + 0.4 * generator.standard_normal(pairs), 0, 4
    )
    return (distances if decimals is None else distances.round(decimals)), same


@pytest.mark.parametrize("decimals", [None, 1, 2, 3])
@pytest.mark.parametrize("overlap", [0.5, 1.0, 100.0])
def test_fold_accuracy_equals_the_loop(decimals, overlap):
    distances, same = draw_pairs(int(overlap), 60, decimals=decimals, overlap=overlap)
    fold = fold_numbers(60, 5)
    found = fold_accuracy(FoldTally(distances, same, fold, ACCURACY_GRID).count())
    accuracies, thresholds = loop_accuracy(distances, same, fold)
    assert found.accuracies.tolist() == accuracies
    assert found.thresholds.tolist() == thresholds
    assert found.mean == pytest.approx(np.mean(accuracies), rel=1e-15)
    assert found.std == pytest.approx(np.std(accuracies), rel=1e-12)


@pytest.mark.parametrize("decimals", [None, 1, 3])
@pytest.mark.parametrize("far", [1e-3, 1e-2, 0.1, 0.5])
def test_fold_tar_equals_the_loop(decimals, far):
    distances, same = draw_pairs(3, 90, decimals=decimals)
    fold = fold_numbers(90, 5)
    found = fold_tar(FoldTally(distances, same, fold, TAR_GRID).count(), far)
    tars, fars, thresholds = loop_tar(distances, same, fold, far)
    assert found.tars.tolist() == tars
    assert found.fars.tolist() == fars
    assert found.thresholds.tolist() == thresholds


def test_repeated_fars_take_the_largest_threshold():
    """Impostors of the training fold at 1.0 and 2.0: FAR 0.5 holds from 1.001 to 2.0."""
    distances = np.array([1.9995, 2.5, 1.0, 2.0])
    same = np.array([True, False, False, False])
    fold = np.array([0, 0, 1, 1])
    found = fold_tar(FoldTally(distances, same, fold, TAR_GRID).count(), 0.5)
    assert found.thresholds[0] == 2.0
    assert found.tars[0] == 1.0


def test_a_far_that_is_never_reached_accepts_nobody():
    """Opposite impostors lie at 4, beyond the grid: no threshold of it accepts one."""
    distances = np.array([0.1, 4.0, 0.1, 4.0])
    same = np.array([True, False, True, False])
    found = fold_tar(FoldTally(distances, same, np.array([0, 0, 1, 1]), TAR_GRID).count(), 1e-3)
    assert found.thresholds.tolist() == [0.0, 0.0]
    assert found.tars.tolist() == [0.0, 0.0]


def test_the_first_maximum_is_taken_and_below_means_below():
    """All thresholds from above 0.50 to 1.00 are perfect; 0.5 itself is not below 0.5."""
    distances = np.array([0.5, 1.0, 0.5, 1.0])
    same = np.array([True, False, True, False])
    found = fold_accuracy(FoldTally(distances, same, np.array([0, 0, 1, 1]), ACCURACY_GRID).count())
    assert found.thresholds.tolist() == [ACCURACY_GRID[51]] * 2
    assert found.accuracies.tolist() == [1.0, 1.0]


def test_weights_count_as_repeated_pairs():
    distances, same = draw_pairs(8, 60)
    fold = fold_numbers(60, 5)
    weights = np.random.default_rng(1).integers(0, 4, 60).astype(np.float64)
    repeats = weights.astype(int)
    repeated = [np.repeat(column, repeats) for column in (distances, same, fold)]
    for grid in (ACCURACY_GRID, TAR_GRID):
        weighted = FoldTally(distances, same, fold, grid).count(weights)
        plain = FoldTally(*repeated, grid).count()
        np.testing.assert_array_equal(
            fold_accuracy(weighted).accuracies, fold_accuracy(plain).accuracies
        )
        np.testing.assert_array_equal(fold_tar(weighted, 0.1).tars, fold_tar(plain, 0.1).tars)


def test_a_fold_without_a_kind_is_left_out_of_the_mean():
    distances = np.array([0.1, 0.2, 3.0, 0.1, 3.5, 0.3])
    same = np.array([True, True, False, True, False, True])
    found = fold_tar(
        FoldTally(distances, same, np.array([0, 0, 1, 1, 2, 2]), TAR_GRID).count(), 0.5
    )
    assert np.isnan(found.fars[0])
    assert np.isfinite([found.mean, found.std, found.mean_far]).all()


@settings(max_examples=50)
@given(st.integers(0, 10_000))
def test_the_order_within_a_fold_changes_nothing(seed):
    distances, same = draw_pairs(seed, 40, decimals=2)
    fold = fold_numbers(40, 4)
    order = np.lexsort([np.random.default_rng(seed).random(40), fold])
    for grid in (ACCURACY_GRID, TAR_GRID):
        first = FoldTally(distances, same, fold, grid).count()
        second = FoldTally(distances[order], same[order], fold, grid).count()
        np.testing.assert_array_equal(
            fold_accuracy(first).accuracies, fold_accuracy(second).accuracies
        )
        np.testing.assert_array_equal(fold_tar(first, 0.1).tars, fold_tar(second, 0.1).tars)


@given(st.integers(2, 40), st.integers(2, 12))
def test_folds_are_those_of_array_split(pairs, folds):
    if folds > pairs:
        with pytest.raises(DataError, match=f"{pairs} pairs cannot be cut into {folds} folds"):
            fold_numbers(pairs, folds)
        return
    parts = np.array_split(np.arange(pairs), folds)
    wanted = [number for number, part in enumerate(parts) for _ in part]
    assert fold_numbers(pairs, folds).tolist() == wanted


def test_one_fold_is_refused():
    with pytest.raises(DataError, match="2 <= folds"):
        fold_numbers(10, 1)
