import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketface.benchmarks.ijb import identification
from pocketface.benchmarks.ijb.identification import (
    FPIRS,
    search,
    share_at_rank,
    share_found,
)
from pocketface.benchmarks.ijb.measure import measure_identification
from pocketface.benchmarks.ijb.meta import SubjectTable
from pocketface.benchmarks.ijb.result import Counting


def draw(seed, people=20, probes=60, size=5, copies=0, each=1):
    """Two galleries of half of the people, `each` templates a person; probes of all of them."""
    generator = np.random.default_rng(seed)
    centres = generator.standard_normal((people, size))
    subject = np.append(np.repeat(np.arange(people), each), generator.integers(people, size=probes))
    units = centres[subject] + 0.7 * generator.standard_normal((len(subject), size))
    if copies:
        units = units[generator.integers(copies, size=len(units))]
    units = (units / np.linalg.norm(units, axis=1, keepdims=True)).astype(np.float32)
    shelf = np.arange(people * each)
    half = subject[shelf] < people // 2
    tables = [SubjectTable(rows, subject[rows] + 100) for rows in (shelf[half], shelf[~half])]
    rows = np.arange(people * each, len(subject))
    return units, tables, SubjectTable(rows, subject[rows] + 100)


def by_loops(units, gallery, probes):
    """Per probe: its mate's score (None without a mate), and the others' scores."""
    result = []
    for probe, person in zip(probes.template, probes.subject, strict=True):
        own, others = [], []
        for template, subject in zip(gallery.template, gallery.subject, strict=True):
            score = (units[probe].astype(float) * units[template].astype(float)).sum()
            (own if subject == person else others).append(score)
        result.append((max(own) if own else None, others))
    return result


@pytest.mark.parametrize("each", [1, 2])
@pytest.mark.parametrize("copies", [0, 6, 1])
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("block", [1, 1 << 22])
def test_figures_are_those_of_plain_loops(monkeypatch, seed, copies, each, block):
    monkeypatch.setattr(identification, "_BLOCK", block)
    units, galleries, probes = draw(seed, copies=copies, each=each)
    searches = [search(units, gallery, probes) for gallery in galleries]
    for fpir in (*FPIRS, "0.5", "1"):
        wanted = []
        for gallery in galleries:
            scored = by_loops(units, gallery, probes)
            tops = sorted((max(o) for mate, o in scored if mate is None), reverse=True)
            threshold = tops[max(int(len(tops) * float(fpir)) - 1, 0)]
            mated = [(mate, others) for mate, others in scored if mate is not None]
            found = sum(mate > max(others) and mate > threshold for mate, others in mated)
            wanted.append(found / len(mated))
        assert share_found(searches, fpir) == wanted
    for rank in (1, 2, 5):
        hits = total = 0
        for gallery in galleries:
            for mate, others in by_loops(units, gallery, probes):
                if mate is not None:
                    total += 1
                    hits += sum(score >= mate for score in others) < rank
        assert share_at_rank(searches, rank) == hits / total


def test_published_index_of_the_threshold():
    """n = 30 scores 30, 29, ..: FPIR 0.1 takes entry int(3) - 1 = 2, 0.01 and 0.001 entry 0."""
    one = identification.Search(
        mated=np.array([0, 1, 2]),
        mate=np.array([28.0, 28.5, 31.0]),
        rank=np.array([1, 1, 2]),
        unmated=np.arange(3, 33),
        best=np.arange(30.0, 0.0, -1.0),
    )
    assert [one.threshold(fpir) for fpir in FPIRS] == [28.0, 30.0, 30.0]
    # 28.0 does not beat 28.0; 31 beats the threshold, but not everybody else.
    assert one.found(28.0).tolist() == [False, True, False]


def test_int_of_a_product_is_what_the_published_script_computes():
    """Our whole numbers and its rounded ones agree for every number of probes up to 100,000."""
    n = np.arange(1, 100_001)
    for fpir, divisor in zip(FPIRS, (10, 100, 1000), strict=True):
        np.testing.assert_array_equal((n * float(fpir)).astype(np.int64), n // divisor)


def test_weights_count_a_probe_as_often_as_it_was_drawn():
    units, galleries, probes = draw(3)
    generator = np.random.default_rng(0)
    times = generator.integers(0, 4, len(probes.template))
    repeated = np.repeat(np.arange(len(times)), times)
    drawn = SubjectTable(probes.template[repeated], probes.subject[repeated])
    searches = [search(units, gallery, probes) for gallery in galleries]
    again = [search(units, gallery, drawn) for gallery in galleries]
    weights = times.astype(float)
    for fpir in (*FPIRS, "0.5"):
        assert share_found(searches, fpir, weights) == pytest.approx(share_found(again, fpir))
    assert share_at_rank(searches, 1, weights) == pytest.approx(share_at_rank(again, 1))
    assert np.isnan(share_at_rank(searches, 1, 0 * weights))


def test_without_unmated_probes_every_mate_beats_the_threshold():
    units, galleries, probes = draw(4)
    whole = SubjectTable(
        np.concatenate([gallery.template for gallery in galleries]),
        np.concatenate([gallery.subject for gallery in galleries]),
    )
    one = search(units, whole, probes)
    assert one.threshold("0.01") == -np.inf
    assert share_found([one], "0.01") == [share_at_rank([one], 1)]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_order_of_rows_changes_no_figure(seed):
    units, galleries, probes = draw(seed, copies=15 * (seed % 2))
    generator = np.random.default_rng(seed)

    def shuffled(table):
        order = generator.permutation(len(table.template))
        return SubjectTable(table.template[order], table.subject[order])

    def figures(galleries, probes):
        searches = [search(units, gallery, probes) for gallery in galleries]
        return [share_found(searches, fpir) for fpir in FPIRS], [
            share_at_rank(searches, rank) for rank in (1, 5, 10)
        ]

    wanted = figures(galleries, probes)
    assert figures([shuffled(gallery) for gallery in galleries], shuffled(probes)) == wanted


def test_each_gallery_has_the_intervals_that_it_has_alone():
    units, galleries, probes = draw(11)
    faces = Counting(keep_norm=False, detector_score=False)

    def measured(tables):
        found = measure_identification(units, tables, probes, faces, 30, 2)
        points = [(point.tpir, point.galleries) for point in found.figures.points]
        return found, points + [(rank.rate, rank.galleries) for rank in found.figures.ranks]

    both, figures = measured(dict(zip("ab", galleries, strict=True)))
    for name, gallery in zip("ab", galleries, strict=True):
        _, alone = measured({name: gallery})
        assert [parts[name] for _, parts in figures] == [whole for whole, _ in alone]
        assert all(whole == parts[name] for whole, parts in alone)
    assert all(parts["a"] != parts["b"] for _, parts in figures[:4])
    low, high = np.quantile(both.spread["TPIR at FPIR 0.1"], [0.025, 0.975])
    assert (figures[0][0].low, figures[0][0].high) == pytest.approx((low, high))
