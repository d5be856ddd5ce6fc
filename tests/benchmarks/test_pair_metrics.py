import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketface.benchmarks.pair_metrics import PairMetrics
from pocketface.embedding.unit import squared_distances, unit
from pocketface.errors import DataError


def draw_embeddings(seed, people=12, pairs=80):
    """Embeddings of people, and pairs of them that alternate between one person and two."""
    generator = np.random.default_rng(seed)
    centres = generator.standard_normal((people, 6))
    left = generator.integers(people, size=pairs)
    other = (left + generator.integers(1, people, size=pairs)) % people
    same = np.arange(pairs) % 2 == 0
    right = np.where(same, left, other)
    first = centres[left] + 0.5 * generator.standard_normal((pairs, 6))
    second = centres[right] + 0.5 * generator.standard_normal((pairs, 6))
    return first, second, same


def all_figures(distances, same):
    figures = PairMetrics(distances, same, 8).figures()
    return [
        *figures.accuracy.accuracies,
        *figures.accuracy.thresholds,
        *figures.tar.tars,
        *figures.tar.thresholds,
        figures.roc.area(),
        figures.roc.equal_error_rate(),
        figures.roc.tar_at(0.1),
    ]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(-20, 20))
def test_one_common_scale_changes_no_figure(seed, power):
    first, second, same = draw_embeddings(seed)
    scale = 2.0**power
    before = all_figures(squared_distances(unit(first), unit(second)), same)
    after = all_figures(squared_distances(unit(scale * first), unit(scale * second)), same)
    assert before == after


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_the_order_of_pairs_within_folds_and_of_the_images_of_a_pair_changes_no_figure(seed):
    first, second, same = draw_embeddings(seed)
    distances = squared_distances(unit(first), unit(second))
    mirrored = squared_distances(unit(second), unit(first))
    generator = np.random.default_rng(seed)
    order = np.concatenate([10 * fold + generator.permutation(10) for fold in range(8)])
    wanted = all_figures(distances, same)
    assert all_figures(mirrored, same) == wanted
    assert all_figures(distances[order], same[order]) == wanted


def test_replicates_of_unit_weights_are_the_figures():
    first, second, same = draw_embeddings(1)
    metrics = PairMetrics(squared_distances(unit(first), unit(second)), same, 8)
    figures = metrics.figures()
    found = metrics.replicates(iter([np.ones(80)] * 2), (0.1,))
    assert {name: values.tolist() for name, values in found.items()} == {
        "accuracy": [figures.accuracy.mean] * 2,
        "fold_tar": [figures.tar.mean] * 2,
        "auc": [figures.roc.area()] * 2,
        "eer": [figures.roc.equal_error_rate()] * 2,
        "tar@0.1": [figures.roc.tar_at(0.1)] * 2,
    }


@pytest.mark.parametrize(
    ("distances", "same", "message"),
    [
        ([0.1, 0.2, 0.3], [True, False], "one distance and one truth"),
        ([0.1, np.nan], [True, False], "between 0 and 4"),
        ([0.1, 4.1], [True, False], "between 0 and 4"),
        ([-0.1, 4.0], [True, False], "between 0 and 4"),
        ([0.1, 0.2], [True, True], "all 2 pairs are of one person"),
    ],
)
def test_unusable_pairs_are_refused(distances, same, message):
    with pytest.raises(DataError, match=message):
        PairMetrics(np.array(distances), np.array(same), 2)
